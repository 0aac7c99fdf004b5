"""
The harness notices a server that breaks its promise: each mutation of our code
(L{tests.crash.launch}) must break a rule that the real server keeps.
"""

from __future__ import annotations

from tests.crash import order
from tests.crash.launch import MUTATIONS
from tests.crash.mails import Mail
from tests.crash.test_order import OrderCase

SMALL = Mail("small", ("me@example.com",), 2000)
LARGE = Mail("big", ("me@example.com",), 200_000)


class MutationTests(OrderCase):
    def broken(self, mutation: str, mail: Mail) -> list[str]:
        seen = self.watch(mail, mutation)
        large = mail is LARGE
        return order.accepting(seen, large) + order.delivering(seen)

    def test_synchronous_off(self) -> None:
        """
        SQLite with synchronous = OFF is noticed.
        """
        self.assertIn(
            "250 was sent before the row was on disk",
            self.broken("synchronous_off", SMALL),
        )

    def test_early_250(self) -> None:
        """
        250 before the commit is noticed.
        """
        self.assertIn(
            "250 was sent before the row was on disk", self.broken("early_250", SMALL)
        )

    def test_no_fsync_of_maildir_file(self) -> None:
        """
        A Maildir file that is not synced is noticed.
        """
        self.assertIn(
            "the file was not on disk before the recipient was recorded",
            self.broken("no_fsync_of_maildir_file", SMALL),
        )

    def test_no_fsync_of_maildir_directory(self) -> None:
        """
        A Maildir whose directory is not synced is noticed.
        """
        self.assertIn(
            "the directory new was not on disk before the recipient was recorded",
            self.broken("no_fsync_of_maildir_directory", SMALL),
        )

    def test_recorded_before_fsync(self) -> None:
        """
        A recipient recorded before the file is written is noticed.
        """
        self.assertIn(
            "the file was not on disk before the recipient was recorded",
            self.broken("recorded_before_fsync", SMALL),
        )

    def test_no_fsync_of_content_directory(self) -> None:
        """
        A large content file whose directory is not synced is noticed.
        """
        self.assertIn(
            "the directory of the content file was not on disk before the row",
            self.broken("no_fsync_of_content_directory", LARGE),
        )

    def test_all(self) -> None:
        """
        No mutation is without a test.
        """
        for name in MUTATIONS:
            self.assertTrue(hasattr(self, f"test_{name}"), name)
