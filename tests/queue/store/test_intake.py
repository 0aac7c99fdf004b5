"""
Which messages are claimed while the rows are being read: what was read may be
too old by the time it is here.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from txmta.model import LOCAL_CLIENT, Envelope, QueuedMessage, QueueName, Recipient
from txmta.queue.store import ids, intake
from txmta.queue.store.intake import Found, Intake, Page

NOW = 1_700_000_000
START = (-2, 0)


def message(number: int, recipients: int = 1) -> QueuedMessage:
    to = tuple(Recipient(n, "to@example.org", "") for n in range(recipients))
    envelope = Envelope(ids.encode(number), NOW, "", to, LOCAL_CLIENT)
    return QueuedMessage(envelope, 1, QueueName.INCOMING)


def numbers(messages: Sequence[QueuedMessage]) -> list[int | None]:
    return [ids.decode(m.envelope.queue_id) for m in messages]


class IntakeCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.intake = Intake()

    def read(self, new: Sequence[int] = (), due: Sequence[int] = ()) -> None:
        """
        The rows have been read, and these were in them.
        """
        found = Found(Page([message(n) for n in new]), Page([message(n) for n in due]))
        self.intake.found(self.scan, found)

    def start(self) -> None:
        self.wanted()
        self.scan = self.intake.start(100, NOW, 1.0)

    def settle(self) -> None:
        """
        Everything in the rows is known.
        """
        self.start()
        self.read()

    def take(self) -> list[int | None]:
        return numbers(self.intake.take(100))

    def wanted(self, limit: int = 100, now: float = NOW, seconds: float = 1) -> bool:
        return self.intake.wanted(limit, now, seconds)


class StaleTests(IntakeCase):
    """
    Read before, changed since: what was read must not be claimed.
    """

    def test_changed(self) -> None:
        """
        Deleted, put on hold or recorded by somebody meanwhile.
        """
        self.start()
        self.intake.withdraw([1, 2])
        self.read(new=[1, 3], due=[2, 4])
        self.assertEqual(self.take(), [3, 4])

    def test_ended(self) -> None:
        """
        Claimed before, and at an end meanwhile.
        """
        for n in (1, 2):
            self.intake._new[n] = message(n)
        self.take()
        self.start()
        self.intake.end(1)
        self.intake.end(2)
        self.read(new=[1], due=[2, 3])
        self.assertEqual(self.take(), [3])

    def test_claimed(self) -> None:
        """
        Claimed while the rows were read, which still have it.
        """
        self.settle()
        self.intake.arrived(1, message(1))
        self.intake.behind(2)
        self.intake.deferred(NOW)
        self.start()
        self.assertEqual(self.take(), [1])
        self.read(new=[1], due=[1])
        self.assertEqual(self.take(), [])

    def test_only_while_reading(self) -> None:
        """
        What changed before the rows are read is read as it is.
        """
        self.intake.withdraw([1])
        self.start()
        self.read(new=[1])
        self.assertEqual(self.take(), [1])
        self.start()
        self.intake.withdraw([2])
        self.intake.behind(2)
        self.read()
        self.start()
        self.read(new=[2])
        self.assertEqual(self.take(), [2])

    def test_in_hand_is_skipped(self) -> None:
        """
        What is here, claimed or not, is not asked for again.
        """
        self.settle()
        self.intake.arrived(1, message(1))
        self.intake.arrived(2, message(2))
        self.assertEqual(numbers(self.intake.take(1)), [1])
        self.intake.deferred(NOW)
        self.start()
        self.read(due=[3])
        self.start()
        self.assertEqual(self.scan.skip, {1, 2, 3})

    def test_withdrawn(self) -> None:
        """
        What is here and was changed is not claimed as it was.
        """
        self.settle()
        self.intake.arrived(1, message(1))
        self.intake.deferred(NOW)
        self.start()
        self.read(due=[2])
        self.intake.withdraw([1, 2])
        self.assertEqual(self.take(), [])


class MissedTests(IntakeCase):
    """
    Written after the rows were read: it must be looked for again.
    """

    def test_new(self) -> None:
        self.start()
        self.intake.arrived(8, message(8))
        self.intake.behind(7)
        self.intake.behind(9)
        self.read()
        self.assertTrue(self.wanted())
        self.start()
        self.assertEqual(self.scan.new_after, 6)

    def test_due(self) -> None:
        self.start()
        self.intake.deferred(NOW + 60)
        self.intake.deferred(NOW + 30)
        self.intake.deferred(NOW + 90)
        self.read()
        self.assertFalse(self.wanted(now=NOW + 29))
        self.assertTrue(self.wanted(now=NOW + 30))

    def test_not_for_ever(self) -> None:
        """
        What was missed once is not missed again.
        """
        self.settle()
        self.start()
        self.intake.behind(7)
        self.intake.deferred(NOW)
        self.read()
        self.start()
        self.read()
        self.assertFalse(self.wanted())

    def test_nothing_overtakes(self) -> None:
        """
        While older mail is in the rows, or being read, new mail is left there.
        """
        self.intake.arrived(5, message(5))
        self.assertEqual(self.take(), [])
        self.settle()
        self.start()
        self.intake.arrived(6, message(6))
        self.assertEqual(self.take(), [])

    def test_failed(self) -> None:
        """
        Rows that could not be read are read again.
        """
        self.start()
        self.intake.failed()
        self.assertFalse(self.intake.scanning)
        self.assertTrue(self.wanted())
        self.assertEqual(self.intake.start(1, NOW, 1.0).new_after, 0)


class BoundTests(IntakeCase):
    def test_recipients(self) -> None:
        """
        Not only messages in memory are bounded, but recipients as well; the
        bound is free again when they are claimed or withdrawn.
        """
        self.patch(intake, "FRESH_RECIPIENTS", 10)
        self.settle()
        self.intake.arrived(1, message(1, 6))
        self.intake.arrived(2, message(2, 6))
        self.assertFalse(self.wanted(2))
        self.intake.arrived(3, message(3))
        self.assertTrue(self.wanted(3))
        self.assertEqual(self.take(), [1, 2])
        self.settle()
        self.intake.arrived(4, message(4, 10))
        self.intake.withdraw([4])
        self.intake.arrived(5, message(5))
        self.assertEqual(self.take(), [5])
