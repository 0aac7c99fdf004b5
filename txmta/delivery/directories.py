"""
Open the directories of a Maildir without being led elsewhere.

Each directory below a trusted base is opened relative to the one before,
never through a symbolic link, and then looked at through its descriptor: what
was checked is what is used, whatever a racing user renames meanwhile.

Owns: the walk, the checks, making what is missing, syncing what was made.
Knows nothing of: messages.

Sources: Postfix C{util/make_dirs.c}, C{util/safe_open.c}; strict_mailbox_ownership
in postconf(5).

Errors: L{MailboxError<txmta.delivery.filesystem.MailboxError>}.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from txmta.delivery.filesystem import FileSystem, failure, refusal

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NONBLOCK
_BELOW = _DIRECTORY | os.O_NOFOLLOW

#: Directories remembered as synced; our own choice, about 10 MB.
MAX_SYNCED = 50_000


@dataclass(frozen=True, slots=True)
class MaildirPath:
    """
    Where a Maildir is.

    @ivar base: trusted directory, absolute; may go through symbolic links.
    @ivar below: names of the directories from there to the Maildir; not
        trusted; never empty, C{"."} or C{".."}.
    @ivar make_base: make C{base} if it is missing.
    """

    base: str
    below: tuple[str, ...]
    make_base: bool = False

    def __str__(self) -> str:
        return "/".join((self.base.rstrip("/"), *self.below, ""))


@dataclass(frozen=True, slots=True)
class Directories:
    """
    Descriptors of an open Maildir.
    """

    path: MaildirPath
    tmp: int
    new: int


class Opener:
    """
    Opens Maildirs; any number of threads may call at the same time.
    """

    def __init__(self, fs: FileSystem, strict_ownership: bool = True) -> None:
        """
        @param strict_ownership: refuse what another user owns.
        """
        self._fs = fs
        self._strict = strict_ownership
        self._lock = threading.Lock()
        # By (device, inode): a directory that was replaced counts as new.
        self._synced: dict[tuple[int, int], None] = {}

    @contextmanager
    def opened(self, path: MaildirPath) -> Iterator[Directories]:
        """
        Descriptors are closed when the context ends.
        """
        descriptors: list[int] = []
        try:
            try:
                directories = self._walk(path, descriptors)
            except OSError as e:
                raise failure(f"open {e.filename or path}", e) from e
            yield directories
        finally:
            for descriptor in descriptors:
                with suppress(OSError):
                    self._fs.close(descriptor)

    def _walk(self, path: MaildirPath, descriptors: list[int]) -> Directories:
        at = self._base(path.base, path.make_base, descriptors)
        trusted = {self._fs.geteuid(), 0, self._fs.fstat(at).st_uid}
        shown = path.base.rstrip("/")
        for name in path.below[:-1]:
            at, shown = self._step(at, name, shown, trusted, descriptors)
        owner = {self._fs.geteuid()}
        at, shown = self._step(at, path.below[-1], shown, owner, descriptors)
        tmp, _ = self._step(at, "tmp", shown, owner, descriptors)
        try:
            new, _ = self._step(at, "new", shown, owner, descriptors, make=False)
        except FileNotFoundError:
            self._make(at, "cur", shown)
            new, _ = self._step(at, "new", shown, owner, descriptors)
        return Directories(path, tmp, new)

    def _base(self, path: str, make: bool, descriptors: list[int]) -> int:
        try:
            descriptor = self._fs.open(path, _DIRECTORY)
        except PermissionError:
            # We may look names up in it, but not list it. What is made in it
            # cannot be synced, so _step refuses to make anything.
            descriptor = self._fs.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            parent, name = os.path.split(path.rstrip("/"))
            if not make or not name:
                raise
            above = self._base(parent, make, descriptors)
            self._make(above, name, parent)
            self._fs.fsync(above)
            descriptor = self._fs.open(name, _BELOW, dir_fd=above)
        descriptors.append(descriptor)
        return descriptor

    def _step(
        self,
        parent: int,
        name: str,
        shown: str,
        owners: set[int],
        descriptors: list[int],
        make: bool = True,
    ) -> tuple[int, str]:
        """
        Open one directory below C{parent}; make it if it is missing.

        @param shown: path of C{parent}, for messages.
        @return: its descriptor and path.
        """
        path = f"{shown}/{name}"
        try:
            descriptor = self._fs.open(name, _BELOW, dir_fd=parent)
        except FileNotFoundError:
            if not make:
                raise
            self._make(parent, name, shown)
            descriptor = self._fs.open(name, _BELOW, dir_fd=parent)
        except NotADirectoryError as e:
            raise refusal(f"{path} is a symbolic link or no directory") from e
        descriptors.append(descriptor)
        self._check(descriptor, path, owners)
        self._sync_entry(parent, descriptor)
        return descriptor, path

    def _make(self, parent: int, name: str, shown: str) -> None:
        try:
            with suppress(FileExistsError):
                self._fs.mkdir(name, 0o700, dir_fd=parent)
        except OSError as e:
            raise failure(f"create directory {shown}/{name}", e) from e

    def _check(self, descriptor: int, path: str, owners: set[int]) -> None:
        status = self._fs.fstat(descriptor)
        if status.st_mode & stat.S_IWOTH:
            raise refusal(f"directory {path} is writable for everybody")
        if self._strict and status.st_uid not in owners:
            raise refusal(f"destination {path} is not owned by recipient")

    def _sync_entry(self, parent: int, descriptor: int) -> None:
        """
        The first time that this process comes here, sync the parent: whoever
        made the directory, perhaps we before an error, may not have done so.
        """
        status = self._fs.fstat(descriptor)
        key = (status.st_dev, status.st_ino)
        if key in self._synced:
            return
        self._fs.fsync(parent)
        with self._lock:
            while len(self._synced) >= MAX_SYNCED:
                del self._synced[next(iter(self._synced))]
            self._synced[key] = None
