"""
Records of one message, some of which fail: nobody is forgotten, and nothing is
left behind.
"""

from __future__ import annotations

from tests.queue.store.cases import SqliteCase
from tests.queue.store.test_intake import message
from txmta.model import Attempt, NewMessage, QueueName, RecipientState, Result
from txmta.queue.store.intake import Claim
from txmta.queue.store.operations import Change, Changed

DONE, DEFERRED = RecipientState.DONE, RecipientState.DEFERRED


class RecordTests(SqliteCase):
    def setUp(self) -> None:
        super().setUp()
        self.there, self.queue_id = self.put(), self.put(2)
        self.claim()

    def done(self, n: int, *inserts: NewMessage) -> Attempt:
        return Attempt(self.queue_id, (Result(n, DONE),), None, inserts)

    def impossible(self) -> NewMessage:
        """
        @return: a message with the id of another, which cannot be inserted.
        """
        envelope = self.envelope()
        object.__setattr__(envelope, "queue_id", self.there)
        return NewMessage(envelope, b"x")

    def test_one_of_two_fails(self) -> None:
        """
        The last recipient is finished while the record of another one is
        under way, and fails: the message must not be removed.
        """
        with self.rig.turn_held():
            first = self.store.record(self.done(0, self.impossible()))
            second = self.store.record(self.done(1))
        self.assertFails(first)
        self.assertFalse(self.wait(second))
        self.restart()
        (_, left) = self.claim()
        self.assertEqual([r.n for r in left.envelope.recipients], [0])

    def test_again_after_a_failure(self) -> None:
        """
        What was not recorded still counts: recording it again does not end a
        message that has other recipients.
        """
        self.assertFails(self.store.record(self.done(0, self.impossible())))
        self.assertFalse(self.wait(self.store.record(self.done(0))))
        self.assertEqual(self.listed(QueueName.ACTIVE), [self.there, self.queue_id])
        self.assertTrue(self.wait(self.store.record(self.done(1))))

    def test_nothing_is_left(self) -> None:
        """
        A finished message leaves no row in any table, and no claim.
        """
        self.assertTrue(self.wait(self.finish(self.there)))
        self.assertTrue(self.wait(self.finish(self.queue_id, 2)))
        self.assertEqual(self.store._core.intake.claims, {})
        self.assertEqual(self.store._core.cache._size, 0)
        self.wait(self.store.stop())
        with self.rows() as rows:
            for table in ("message", "recipient", "content"):
                left = rows.execute(f"SELECT count(*) FROM {table}").fetchone()
                self.assertEqual(left, (0,), table)

    def test_damaged_recipient(self) -> None:
        """
        A deferral is recorded though what is known of the recipient cannot be
        read: damage is for whoever delivers.
        """

        def spoil(connection: object) -> list[Changed]:
            connection.execute("UPDATE recipient SET info = '{'")  # type: ignore[attr-defined]
            return []

        self.wait(self.store._core.submit(Change(spoil, 1)))
        results = tuple(Result(n, DEFERRED, "4.0.0 x") for n in range(2))
        attempt = Attempt(self.queue_id, results, self.time)
        self.assertFalse(self.wait(self.store.record(attempt)))
        self.assertEqual(self.listed(QueueName.ACTIVE), [self.there])

    def test_due_in_a_while(self) -> None:
        """
        Times due are kept in whole seconds, rounded up: nothing comes early.
        """
        self.wait(self.finish(self.there))
        results = tuple(Result(n, DEFERRED, "4.0.0 x") for n in range(2))
        due = self.time + 0.5
        self.wait(self.store.record(Attempt(self.queue_id, results, due)))
        self.restart()
        self.assertEqual(self.claim(), [])
        self.time += 1
        self.assertEqual(self.claimed_ids(), [self.queue_id])

    def test_claim_ends_with_the_last_record(self) -> None:
        """
        A claim does not end while a record is under way, or the message would
        be claimed and delivered twice.
        """
        claim = Claim(message(1, 2))
        self.assertFalse(claim.record([Result(0, DEFERRED)]))
        self.assertFalse(claim.record([Result(1, DONE)]))
        self.assertFalse(claim.recorded(self.time))
        self.assertTrue(claim.recorded(None))
        self.assertEqual(claim.due, self.time)
