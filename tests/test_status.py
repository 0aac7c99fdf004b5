"""
Tests of L{txmta.status}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txmta.status import about_recipient, split_status


class StatusTests(SynchronousTestCase):
    def test_split(self) -> None:
        """
        RFC 3463: only a whole code in front is one.
        """
        for text, expected in {
            "5.7.1 No mail": ("5.7.1", "No mail"),
            "4.10.100  later": ("4.10.100", "later"),
            "5.7.1": ("5.7.1", ""),
            "5.7.1x": ("5.0.0", "5.7.1x"),
            "3.7.1 x": ("5.0.0", "3.7.1 x"),
            "No 5.7.1": ("5.0.0", "No 5.7.1"),
            "": ("5.0.0", ""),
        }.items():
            self.assertEqual(split_status(text, "5.0.0"), expected, text)

    def test_about_recipient(self) -> None:
        """
        What is about senders becomes what says the same of recipients.
        """
        for status, expected in {
            "5.1.1": "5.1.1",
            "5.1.6": "5.1.6",
            "5.1.7": "5.1.3",
            "4.1.8": "4.1.2",
            "5.1.10": "5.1.0",
            "5.1.0": "5.1.0",
            "5.7.8": "5.7.8",
        }.items():
            self.assertEqual(about_recipient(status), expected)
