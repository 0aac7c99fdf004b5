"""
Tests of the two forms of a listing.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from txmta.admin.listing import as_json, for_people
from txmta.queue.listed import Listed

ONE = Listed(
    "deferred",
    "4jYlK26ZshzJ9",
    1795529894,
    398,
    False,
    "s@here.test",
    [("c@x.test", "connect to x.test: Connection refused"), ("b@y.test", "")],
)


class ForPeopleTests(SynchronousTestCase):
    def setUp(self) -> None:
        before = os.environ.get("TZ")
        os.environ["TZ"] = "UTC"
        time.tzset()

        def restore() -> None:
            if before is None:
                del os.environ["TZ"]
            else:
                os.environ["TZ"] = before
            time.tzset()

        self.addCleanup(restore)

    def form(self, *entries: Listed) -> str:
        return "".join(for_people(entries))

    def test_empty(self) -> None:
        self.assertEqual(self.form(), "Mail queue is empty\n")

    def test_one(self) -> None:
        """
        A recipient without a reason after one with a reason says so.
        """
        self.assertEqual(
            self.form(ONE),
            "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------\n"
            "4jYlK26ZshzJ9          398 Tue Nov 24 14:18:14 s@here.test\n"
            "                                       "
            "(connect to x.test: Connection refused)\n"
            "                                               c@x.test\n"
            "                                                          "
            "(reason unavailable)\n"
            "                                               b@y.test\n"
            "\n-- 0 Kbytes in 1 Request.\n",
        )

    def test_marks(self) -> None:
        """
        Active, on hold, and forced to expire are seen behind the queue id.
        """
        for entry, mark in (
            (replace(ONE, queue="active"), "* "),
            (replace(ONE, queue="hold"), "! "),
            (replace(ONE, queue="hold", expire=True), "!#"),
            (replace(ONE, queue="incoming", expire=True), "# "),
        ):
            self.assertIn(f"\n{ONE.queue_id}{mark}", self.form(entry))

    def test_many(self) -> None:
        """
        A reason is said once for recipients that have it in a row; messages are
        counted, and their sizes added.
        """
        recipients = [(f"{n}@x.test", "refused") for n in range(3)]
        entry = replace(ONE, recipients=recipients, size=1500)
        text = self.form(entry, entry)
        self.assertEqual(text.count("(refused)"), 2)
        self.assertTrue(text.endswith("\n\n-- 2 Kbytes in 2 Requests.\n"))

    def test_long_reason(self) -> None:
        """
        What is longer than a line starts at its beginning.
        """
        reason = "x" * 77
        entry = replace(ONE, recipients=[("a@x.test", reason)])
        self.assertIn(f"\n({reason})\n", self.form(entry))


class AsJsonTests(SynchronousTestCase):
    def test_one(self) -> None:
        self.assertEqual(
            "".join(as_json([ONE])),
            '{"queue_name": "deferred", "queue_id": "4jYlK26ZshzJ9", '
            '"arrival_time": 1795529894, "message_size": 398, '
            '"forced_expire": false, "sender": "s@here.test", "recipients": ['
            '{"address": "c@x.test", '
            '"delay_reason": "connect to x.test: Connection refused"}, '
            '{"address": "b@y.test"}]}\n',
        )

    def test_quoting(self) -> None:
        """
        Quotes and control characters are escaped as Postfix does it.
        """
        entry = replace(ONE, sender='"a\\b"\t\x01\x7fü', expire=True, recipients=[])
        text = "".join(as_json([entry]))
        self.assertIn('"sender": "\\"a\\\\b\\"\\t\\u0001\\u007Fü", ', text)
        self.assertIn('"forced_expire": true', text)
        self.assertIn('"recipients": []}', text)
