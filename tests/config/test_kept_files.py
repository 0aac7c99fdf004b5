"""
Files that only root may read, on their way to a process that is not root.
"""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from txmta.config.kept_files import HeldFiles
from txmta.config.settings import Settings
from txmta.config.snapshot import Configuration, pack, unpack

FILES = {"/etc/a": b"one", "/etc/\udcff": b"\xff\0" * 70_000, "/etc/empty": b""}


class KeptFilesTests(SynchronousTestCase):
    def descriptor(self, before: bytes = b"") -> int:
        configuration = Configuration("main.cf", Settings(), (), (), HeldFiles(FILES))
        descriptor = os.memfd_create("test")
        with open(descriptor, "wb", closefd=False) as file:
            file.write(before + pack(configuration))
        return descriptor

    def test_all(self) -> None:
        """
        A configuration comes with its files, octet by octet, wherever it
        begins.
        """
        for before in (b"", b"="):
            found = unpack(self.descriptor(before), len(before))
            self.assertEqual(found.path, "main.cf")
            for path, content in FILES.items():
                self.assertEqual(found.files.get(path), content)
            self.assertIs(found.files.get("/etc/b"), None)
            found.files.close()

    def test_none(self) -> None:
        """
        Where there are none, nothing stays open.
        """
        descriptor = os.memfd_create("test")
        os.write(descriptor, pack(Configuration("main.cf", Settings(), ())))
        self.assertIs(unpack(descriptor).files.get("/etc/a"), None)
        self.assertRaises(OSError, os.fstat, descriptor)

    def test_closed(self) -> None:
        """
        A process that has read what it needs has no way to the rest.
        """
        descriptor = self.descriptor()
        files = unpack(descriptor).files
        files.close()
        files.close()
        self.assertRaises(OSError, os.fstat, descriptor)
        self.assertIs(files.get("/etc/a"), None)
