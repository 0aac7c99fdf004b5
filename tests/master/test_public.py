"""
Tests of the sockets in C{public/}.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from txmta.errors import ConfigError
from txmta.master.public import bind_public


class BindTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.queue = Path(tempfile.mkdtemp(prefix="tx"))
        self.addCleanup(shutil.rmtree, self.queue)
        self.public = self.queue / "public"
        self.public.mkdir()

    def bind(self, *names: str) -> dict[str, socket.socket]:
        made = bind_public(str(self.queue), names)
        for each in made.values():
            self.addCleanup(each.close)
        return made

    def test_connect(self) -> None:
        """
        Whoever gets into the directory can connect, whatever the umask.
        """
        before = os.umask(0o077)
        self.addCleanup(os.umask, before)
        made = self.bind("showq", "qmgr")
        self.assertEqual(sorted(made), ["qmgr", "showq"])
        path = self.public / "showq"
        self.assertEqual(stat.S_IMODE(path.stat().st_mode) & 0o666, 0o666)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            accepted, _ = made["showq"].accept()
            accepted.close()
        self.assertFalse(made["showq"].getblocking())

    def test_again(self) -> None:
        """
        The socket of an earlier server is replaced.
        """
        self.bind("showq")["showq"].close()
        self.bind("showq")

    def test_in_the_way(self) -> None:
        """
        What is no socket is not removed; nothing is left open.
        """
        (self.public / "qmgr").write_text("precious")
        error = self.assertRaises(ConfigError, self.bind, "showq", "qmgr")
        self.assertIn("public: cannot make a socket", str(error))
        self.assertEqual((self.public / "qmgr").read_text(), "precious")

    def test_link(self) -> None:
        """
        A link in place of the directory leads nowhere.
        """
        self.public.rmdir()
        elsewhere = self.queue / "elsewhere"
        elsewhere.mkdir()
        self.public.symlink_to(elsewhere)
        self.assertRaises(ConfigError, self.bind, "showq")
        self.assertEqual(list(elsewhere.iterdir()), [])

    def test_long_path(self) -> None:
        """
        A queue directory may have a longer path than a socket's address holds.
        """
        deep = self.queue.joinpath(*["x" * 50] * 4)
        (deep / "public").mkdir(parents=True)
        for each in bind_public(str(deep), ["showq"]).values():
            each.close()
        self.assertTrue((deep / "public/showq").is_socket())
