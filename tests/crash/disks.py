"""
Disks in a file, on a file system that may have less room than they promise.

Needs root. Everything mounted here is unmounted by the same object.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Octets of the journal.
JOURNAL = 4


class Disk:
    """
    An ext4 file system.

    @ivar root: where it is mounted.
    """

    def __init__(self, size: int, real: int) -> None:
        """
        @param size: octets that the disk promises.
        @param real: octets that there are for it.
        """
        self._size = size
        self._real = real
        self._folder = Path(tempfile.mkdtemp(prefix="disk"))
        self._store = self._folder / "store"
        self._image = self._store / "image"
        self._ballast = self._store / "ballast"
        self._mounted: list[Path] = []
        self.root = self._folder / "root"

    def mount(self) -> None:
        self._store.mkdir()
        self.root.mkdir()
        _run("mount", "-t", "tmpfs", "-o", f"size={self._real}", "tmpfs", self._store)
        self._mounted.append(self._store)
        with self._image.open("wb") as file:
            file.truncate(self._size)
        _run(
            *("mkfs.ext4", "-q", "-b", "4096", "-m", "0", "-J", f"size={JOURNAL}"),
            *("-E", "lazy_itable_init=0,lazy_journal_init=0", self._image),
        )
        _run("mount", "-o", "loop", self._image, self.root)
        self._mounted.append(self.root)
        if self._real < self._size:
            self._use_journal()

    def _use_journal(self) -> None:
        """
        Give every block of the journal room of its own: it is data that is to
        get lost, not the file system.
        """
        for _ in range(60):
            folder = self.root / "fill"
            folder.mkdir()
            for n in range(100):
                (folder / f"{n:050}").touch()
            os.sync()
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
            os.sync()

    def take_room(self) -> None:
        """
        From now on the disk has no room for blocks that were never written.
        """
        os.sync()
        with self._ballast.open("wb", buffering=0) as file:
            block = b"x" * 4096
            try:
                while True:
                    file.write(block)
            except OSError:
                return

    def give_room(self) -> None:
        self._ballast.unlink()

    def remount(self, how: str) -> None:
        _run("mount", "-o", f"remount,{how}", self.root)

    @contextmanager
    def cut(self, folder: Path) -> Iterator[Path]:
        """
        What a power cut would leave now, mounted: only what the kernel has
        written. Nobody may be writing.
        """
        image, root = folder / "cut", folder / "mounted"
        _run("cp", "--sparse=always", self._image, image)
        root.mkdir()
        _run("mount", "-o", "loop", image, root)
        try:
            yield root
        finally:
            _run("umount", root)

    def remove(self) -> None:
        for path in reversed(self._mounted):
            _run("umount", path)
        for path in (self.root, self._store, self._folder):
            if path.exists():
                path.rmdir()


def _run(*command: object) -> None:
    words = [str(word) for word in command]
    subprocess.run(words, check=True, capture_output=True)
