"""
The order of system calls that makes 250 a promise.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.crash import order
from tests.crash.mails import Mail
from tests.crash.site import Site
from tests.crash.trace import CALLS, Call, Strace, calls
from tests.support import require


class OrderCase(SynchronousTestCase):
    """
    Watches a server take and deliver one message.

    @cvar make: what is watched.
    """

    make: type[Site] = Site

    def setUp(self) -> None:
        require("strace")
        self.folder = Path(tempfile.mkdtemp(prefix="txmta-order-"))
        # mail_owner must be able to read the configuration.
        self.folder.chmod(0o755)
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.site = self.make(self.folder / "site")
        self.addCleanup(self.site.close)

    def watch(self, mail: Mail, mutation: str = "") -> list[Call]:
        """
        @return: what the server did for one message.
        """
        self.site.start(mutation)
        # The first message makes directories; the second is the one watched.
        self.site.send(replace(mail, name="first", size=100))
        self.site.wait_until_delivered()
        time.sleep(0.5)
        strace = Strace(self.site.pid, self.folder / "strace.log", CALLS)
        try:
            replies = self.site.send(mail)
            self.assertEqual([r[:3] for r in replies], [b"250"])
            self.site.wait_until_delivered()
            # The record follows the delivery.
            time.sleep(0.5)
        finally:
            strace.stop()
        return calls(strace.output)


class OrderTests(OrderCase):
    def test_small(self) -> None:
        """
        A small message: the row is on disk before 250; the file and its
        directory before the recipient is recorded.
        """
        seen = self.watch(Mail("small", ("me@example.com",), 2000))
        self.assertEqual(order.accepting(seen, large=False), [])
        self.assertEqual(order.delivering(seen), [])

    def test_large(self) -> None:
        """
        A large one: its content file and the directory of that before the row.
        """
        seen = self.watch(Mail("big", ("me@example.com",), 200_000))
        self.assertEqual(order.accepting(seen, large=True), [])
        self.assertEqual(order.delivering(seen), [])

    def test_relayed(self) -> None:
        seen = self.watch(Mail("small", ("r@example.org",), 2000))
        self.assertEqual(order.accepting(seen, large=False), [])
