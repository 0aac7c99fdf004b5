"""
What access tables want done with a message, as far as cleanup does it.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.cleanup.doubles import Kitchen, make_envelope
from txmta.model import Recipient


class ActionTests(SynchronousTestCase):
    def test_prepend(self) -> None:
        """
        Before all other headers, and never more than one line.
        """
        content, _ = Kitchen().run(
            b"Subject: x\r\n\r\n", prepend=("X-A: b", "X-C: d\r\nX-Evil: e")
        )
        lines = content.split(b"\r\n")
        self.assertEqual(lines[:2], [b"X-A: b", b"X-C: d  X-Evil: e"])
        self.assertTrue(lines[2].startswith(b"Received: "))

    def test_amended(self) -> None:
        """
        Copies and a hold that are wanted at the last moment.
        """
        kitchen = Kitchen()
        envelope = make_envelope()
        message = kitchen.cleanup.open(envelope)
        message.write(b"Subject: x\r\n\r\n")
        copy = Recipient(1, "c@y.test", "c@y.test", notify=1)
        recipients = (*envelope.recipients, copy)
        message.amend(replace(envelope, hold=True, filter="a:b", recipients=recipients))
        self.assertIsInstance(message.finish(), Deferred)
        stored = kitchen.store.messages[-1].envelope
        self.assertEqual((stored.hold, stored.filter), (True, "a:b"))
        self.assertEqual(stored.recipients, recipients)

    def test_redirected(self) -> None:
        """
        At the last moment, too, nobody else gets it.
        """
        kitchen = Kitchen()
        message = kitchen.cleanup.open(make_envelope())
        message.write(b"Subject: x\r\n\r\n")
        new = (Recipient(0, "new@y.test", "r@y.test"),)
        message.amend(make_envelope(recipients=new))
        self.assertIsInstance(message.finish(), Deferred)
        self.assertEqual(kitchen.store.messages[-1].envelope.recipients, new)
