"""
What every queue store promises.

Mix L{QueueStoreContract} into a test case of each provider and of each
double.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from txmta.errors import MessageDamaged, StoreUnavailable
from txmta.interfaces import IContent, IIncoming, IQueueStore
from txmta.model import (
    LOCAL_CLIENT,
    Attempt,
    Client,
    Envelope,
    NewMessage,
    QueuedMessage,
    QueueName,
    Recipient,
    RecipientState,
    Result,
)

if TYPE_CHECKING:
    from twisted.trial.unittest import SynchronousTestCase as _Base
else:
    _Base = object

CONTENT = b"Subject: hello\r\n\r\nbody\r\n"
CLIENT = Client("192.0.2.1", 54321, "mail.example.com", "mail.example.com")

#: Above what any provider keeps in a row.
LARGE = b"0123456789abcde\n" * 8192

DONE, BOUNCED = RecipientState.DONE, RecipientState.BOUNCED
DEFERRED = RecipientState.DEFERRED


class QueueStoreContract(_Base):
    """
    @ivar time: the wall clock of the store, to be set by tests.
    """

    time = 1_700_000_000.0
    store: IQueueStore

    def make_store(self) -> IQueueStore:
        """
        @return: an empty store, started, that reads C{self.time}.
        """
        raise NotImplementedError

    def wait(self, answer: object) -> Any:
        """
        @return: the answer, or what a Deferred of it fires with; raises what
            it fails with.
        """
        raise NotImplementedError

    def spoil(self, queue_id: str) -> None:
        """
        Damage a message, behind the store's back.
        """
        raise NotImplementedError

    def setUp(self) -> None:
        self.store = self.make_store()

    # Tools.

    def envelope(self, count: int = 1, **values: Any) -> Envelope:
        values.setdefault("sender", "from@example.com")
        values.setdefault("client", CLIENT)
        values.setdefault(
            "recipients",
            tuple(
                Recipient(n, f"to{n}@example.org", f"to{n}@example.org")
                for n in range(count)
            ),
        )
        return Envelope(queue_id=self.store.new_id(), arrival=self.time, **values)

    def put(self, count: int = 1, content: bytes = CONTENT, **values: Any) -> str:
        incoming = self.store.open(self.envelope(count, **values))
        incoming.write(content)
        queue_id: str = self.wait(incoming.commit())
        return queue_id

    def claim(self, limit: int = 100) -> list[QueuedMessage]:
        return list(self.wait(self.store.claim(limit, self.time)))

    def claimed_ids(self, limit: int = 100) -> list[str]:
        return [m.envelope.queue_id for m in self.claim(limit)]

    def read(self, queue_id: str) -> bytes:
        content = self.wait(self.store.content(queue_id))
        try:
            data: bytes = self.wait(content.read(0, content.size + 1))
            return data
        finally:
            content.close()

    def record(
        self,
        queue_id: str,
        *states: RecipientState,
        due: float | None = None,
        inserts: tuple[NewMessage, ...] = (),
    ) -> bool:
        """
        Record one state for each recipient, from number 0.
        """
        results = tuple(
            Result(n, state, "4.4.1 not now" if state is DEFERRED else "")
            for n, state in enumerate(states)
        )
        attempt = Attempt(queue_id, results, due, inserts)
        removed: bool = self.wait(self.store.record(attempt))
        return removed

    def defer(self, seconds: float = 300, **values: Any) -> str:
        """
        @return: a message in the deferred queue.
        """
        queue_id = self.put(**values)
        self.assertIn(queue_id, self.claimed_ids())
        self.record(queue_id, DEFERRED, due=self.time + seconds)
        return queue_id

    def listed(self, queue: QueueName | None = None) -> list[str]:
        found = self.wait(self.store.find(queue))
        return [m.envelope.queue_id for m in found]

    def count(self, queue: QueueName) -> int:
        number: int = self.wait(self.store.counts())[queue]
        return number

    # New mail.

    def test_interfaces(self) -> None:
        verifyObject(IQueueStore, self.store)
        incoming = self.store.open(self.envelope())
        verifyObject(IIncoming, incoming)
        incoming.abort()
        queue_id = self.put()
        self.claim()
        verifyObject(IContent, self.wait(self.store.content(queue_id)))

    def test_new_ids(self) -> None:
        """
        No id is made twice, and each is greater than the one before, also
        when the clock goes back.
        """
        made = [self.store.new_id() for _ in range(100)]
        self.time -= 86400
        made += [self.store.new_id() for _ in range(100)]
        self.assertEqual(made, sorted(set(made)))

    def test_round_trip(self) -> None:
        """
        An envelope comes back as it was given.
        """
        envelope = self.envelope(
            sender="\udcff strange@example.com",
            recipients=(
                Recipient(0, "a@example.org", "a@example.org"),
                Recipient(1, "b@example.org", "alias@example.org", "rfc822;x@y", 6),
                Recipient(2, "ü@example.org", "", "", 0),
            ),
            helo="h\\nelo",
            protocol="ESMTP",
            body="8BITMIME",
            smtputf8=True,
            ret="HDRS",
            envid="QQ314159",
            local_origin=True,
            filter="scan:[127.0.0.1]:10025",
        )
        incoming = self.store.open(envelope)
        incoming.write(CONTENT)
        queue_id = self.wait(incoming.commit())
        self.assertEqual(queue_id, envelope.queue_id)
        (found,) = self.wait(self.store.find())
        self.assertEqual(found.envelope, envelope)
        (message,) = self.claim()
        self.assertEqual(
            message, QueuedMessage(envelope, len(CONTENT), QueueName.INCOMING)
        )
        self.assertEqual(self.read(queue_id), CONTENT)

    def test_blocks(self) -> None:
        """
        Content may come in any pieces, small and large.
        """
        incoming = self.store.open(self.envelope())
        for start in range(0, len(LARGE), 1000):
            incoming.write(LARGE[start : start + 1000])
        large = self.wait(incoming.commit())
        empty = self.put(content=b"")
        self.claim()
        self.assertEqual(self.read(large), LARGE)
        self.assertEqual(self.read(empty), b"")
        content = self.wait(self.store.content(large))
        self.assertEqual(content.size, len(LARGE))
        self.assertEqual(self.wait(content.read(16, 32)), LARGE[:32])
        self.assertEqual(self.wait(content.read(len(LARGE) - 5, 100)), LARGE[-5:])
        content.close()
        content.close()

    def test_envelope_at_commit(self) -> None:
        """
        Cleanup may change the envelope until the end.
        """
        envelope = self.envelope()
        incoming = self.store.open(envelope)
        incoming.write(CONTENT)
        changed = Envelope(
            envelope.queue_id,
            self.time,
            "other@example.com",
            envelope.recipients,
            CLIENT,
        )
        self.wait(incoming.commit(changed))
        (message,) = self.claim()
        self.assertEqual(message.envelope.sender, "other@example.com")

    def test_invisible_before_commit(self) -> None:
        """
        Nothing is in the queue before its commit, nor after an abort.
        """
        first = self.store.open(self.envelope())
        first.write(CONTENT)
        second = self.store.open(self.envelope())
        second.write(LARGE)
        self.assertEqual(self.claim(), [])
        first.abort()
        second.abort()
        for incoming in (first, second):
            with self.assertRaises(StoreUnavailable):
                self.wait(incoming.commit())
        self.assertEqual(self.listed(), [])

    def test_abort_after_commit(self) -> None:
        """
        An abort that comes too late is harmless.
        """
        for content in (CONTENT, LARGE):
            incoming = self.store.open(self.envelope())
            incoming.write(content)
            queue_id = self.wait(incoming.commit())
            incoming.abort()
            self.claim()
            self.assertEqual(self.read(queue_id), content)

    def test_doorbell(self) -> None:
        """
        The doorbell rings with the ids of what was committed.
        """
        heard: list[str] = []

        def bell(queue_ids: Sequence[str]) -> None:
            heard.extend(queue_ids)

        self.store.listen(bell)
        put = [self.put(), self.put(content=LARGE)]
        self.assertEqual(heard, put)

    def test_no_refusal(self) -> None:
        self.assertIsNone(self.store.refusal())

    def test_free_space(self) -> None:
        free = self.store.free_space()
        assert free is not None
        self.assertGreater(free, 0)

    # Claims.

    def test_claim_in_order(self) -> None:
        """
        New messages are claimed in order of arrival, and once.
        """
        put = [self.put() for _ in range(5)]
        self.assertEqual(self.claimed_ids(2), put[:2])
        self.assertEqual(self.claimed_ids(), put[2:])
        self.assertEqual(self.claimed_ids(), [])
        self.assertEqual(self.claimed_ids(0), [])

    def test_claim_due(self) -> None:
        """
        Deferred messages are claimed when they are due, oldest first, with
        the reasons why they were deferred.
        """
        late = self.defer(600)
        soon = self.defer(300)
        self.assertEqual(self.claim(), [])
        self.time += 299
        self.assertEqual(self.claim(), [])
        self.time += 302
        messages = self.claim()
        self.assertEqual([m.envelope.queue_id for m in messages], [soon, late])
        self.assertEqual(messages[0].queue, QueueName.DEFERRED)
        self.assertEqual(messages[0].reasons, ((0, "4.4.1 not now"),))
        self.assertEqual(self.claim(), [])

    def test_not_before_it_is_due(self) -> None:
        """
        Times due may have fractions.
        """
        queue_id = self.defer(0.5)
        self.assertEqual(self.claim(), [])
        self.time += 1
        self.assertEqual(self.claimed_ids(), [queue_id])

    def test_claim_half_of_each(self) -> None:
        """
        When there is enough of both, half is new and half is due.
        """
        old = [self.defer(10) for _ in range(6)]
        new = [self.put() for _ in range(6)]
        self.time += 20
        self.assertEqual(set(self.claimed_ids(4)), {*new[:2], *old[:2]})
        self.assertEqual(len(self.claimed_ids(6)), 6)
        self.assertEqual(len(self.claimed_ids(6)), 2)
        self.assertEqual(self.claimed_ids(6), [])

    def test_claims_in_flight(self) -> None:
        """
        Several claims at once share out, and give nothing twice.
        """
        put = {self.defer(10) for _ in range(4)}
        put |= {self.put() for _ in range(4)}
        self.time += 20
        answers = [self.store.claim(3, self.time) for _ in range(4)]
        got = [m.envelope.queue_id for a in answers for m in self.wait(a)]
        self.assertEqual(len(got), len(set(got)))
        self.assertEqual(set(got) | set(self.claimed_ids()), put)

    # Records.

    def test_finish(self) -> None:
        """
        A message without recipients left is removed.
        """
        for content in (CONTENT, LARGE):
            queue_id = self.put(2, content)
            self.claim()
            self.assertTrue(self.record(queue_id, DONE, BOUNCED))
            self.assertEqual(self.listed(), [])
            self.assertEqual(self.count(QueueName.ACTIVE), 0)
            with self.assertRaises(MessageDamaged):
                self.wait(self.store.content(queue_id))

    def test_some_at_a_time(self) -> None:
        """
        A message stays claimed until every claimed recipient has a result.
        """
        queue_id = self.put(3)
        self.claim()
        done = Attempt(queue_id, (Result(1, DONE),))
        self.assertFalse(self.wait(self.store.record(done)))
        self.assertEqual(self.claim(), [])
        (found,) = self.wait(self.store.find(QueueName.ACTIVE))
        self.assertEqual([r.n for r in found.envelope.recipients], [0, 2])
        deferred = Attempt(queue_id, (Result(0, DEFERRED, "4.0.0 a"),), self.time + 10)
        self.assertFalse(self.wait(self.store.record(deferred)))
        self.time += 20
        self.assertEqual(self.claim(), [])
        last = Attempt(queue_id, (Result(2, DEFERRED, "4.0.0 b"),), self.time + 10)
        self.assertFalse(self.wait(self.store.record(last)))
        self.assertEqual(self.claim(), [])
        self.time += 20
        (message,) = self.claim()
        self.assertEqual([r.n for r in message.envelope.recipients], [0, 2])
        self.assertEqual(message.reasons, ((0, "4.0.0 a"), (2, "4.0.0 b")))
        done = Attempt(queue_id, (Result(0, DONE),))
        self.assertFalse(self.wait(self.store.record(done)))
        done = Attempt(queue_id, (Result(2, DONE),))
        self.assertTrue(self.wait(self.store.record(done)))

    def test_records_in_flight(self) -> None:
        """
        Records of one message may be under way at the same time.
        """
        queue_id = self.put(3)
        self.claim()
        answers = [
            self.store.record(Attempt(queue_id, (Result(n, DONE),))) for n in range(3)
        ]
        self.assertEqual([self.wait(a) for a in answers], [False, False, True])
        self.assertEqual(self.listed(), [])

    def test_told_of_a_delay(self) -> None:
        """
        That the sender was told of the delay is kept, for as long as some
        recipient is left for which it was written down.
        """
        queue_id = self.put(2)
        (message,) = self.claim()
        self.assertFalse(message.warned)
        told = tuple(Result(n, DEFERRED, "4.0.0 late", True) for n in range(2))
        self.wait(self.store.record(Attempt(queue_id, told, self.time)))
        self.time += 1
        (message,) = self.claim()
        self.assertTrue(message.warned)
        (found,) = self.wait(self.store.find(QueueName.ACTIVE))
        self.assertTrue(found.warned)
        self.record(queue_id, DONE, DEFERRED, due=self.time)
        self.time += 1
        (message,) = self.claim()
        self.assertTrue(message.warned)
        self.assertEqual(message.reasons, ((1, "4.4.1 not now"),))

    def test_deferral_keeps_what_is_known(self) -> None:
        """
        A reason does not disturb what else is known of a recipient.
        """
        recipient = Recipient(0, "b@example.org", "alias@example.org", "rfc822;x", 4)
        queue_id = self.put(recipients=(recipient,))
        self.claim()
        for _ in range(2):
            self.record(queue_id, DEFERRED, due=self.time)
            self.time += 1
            (message,) = self.claim()
            self.assertEqual(message.envelope.recipients, (recipient,))
            self.assertEqual(message.reasons, ((0, "4.4.1 not now"),))
        deferred = Attempt(queue_id, (Result(0, DEFERRED),), self.time)
        self.wait(self.store.record(deferred))
        self.time += 1
        (message,) = self.claim()
        self.assertEqual(message.envelope.recipients, (recipient,))
        self.assertEqual(self.read(queue_id), CONTENT)

    def test_inserts(self) -> None:
        """
        Bounces and forwards are in the queue when the attempt is recorded.
        """
        for content in (CONTENT, LARGE):
            queue_id = self.put(1, content)
            self.claim()
            bounce = self.envelope(sender="", client=LOCAL_CLIENT)
            forward = self.envelope()
            large = self.envelope()
            inserts = (
                NewMessage(bounce, b"bounce"),
                NewMessage(forward, b"Delivered-To: me\r\n", queue_id),
                NewMessage(large, LARGE),
            )
            self.assertTrue(self.record(queue_id, DONE, inserts=inserts))
            new = [bounce.queue_id, forward.queue_id, large.queue_id]
            self.assertEqual(self.claimed_ids(), new)
            self.assertEqual(self.read(new[0]), b"bounce")
            self.assertEqual(self.read(new[1]), b"Delivered-To: me\r\n" + content)
            self.assertEqual(self.read(new[2]), LARGE)
            for i in new:
                self.record(i, DONE)

    def test_record_of_the_unknown(self) -> None:
        """
        A message that was deleted under way is finished.
        """
        queue_id = self.put()
        self.claim()
        self.assertEqual(self.wait(self.store.delete([queue_id])), 1)
        self.assertTrue(self.record(queue_id, DONE))

    def test_renew_and_lost(self) -> None:
        self.assertIsNone(self.wait(self.store.renew()))
        self.assertEqual(list(self.store.lost()), [])

    # Administration.

    def test_damaged(self) -> None:
        """
        A damaged message is out of the way, and still there; one that is only
        said to be is not believed.
        """
        queue_id = self.put()
        self.claim()
        self.assertFalse(self.wait(self.store.damaged(queue_id)))
        self.assertEqual(self.listed(QueueName.CORRUPT), [])
        self.assertEqual(self.listed(QueueName.ACTIVE), [queue_id])
        self.spoil(queue_id)
        self.assertTrue(self.wait(self.store.damaged(queue_id)))
        self.assertEqual(self.listed(QueueName.CORRUPT), [queue_id])
        self.assertEqual(self.claim(), [])
        self.assertEqual(self.wait(self.store.hold([queue_id])), 0)
        self.assertEqual(self.wait(self.store.expire([queue_id])), 0)
        self.assertEqual(self.wait(self.store.requeue(None)), 0)

    def test_hold_and_release(self) -> None:
        new, old = self.put(), self.put()
        self.assertEqual(self.wait(self.store.hold([new, "nonsense", old])), 2)
        self.assertEqual(self.claim(), [])
        self.assertEqual(self.listed(QueueName.HOLD), [new, old])
        self.assertEqual(self.count(QueueName.HOLD), 2)
        self.assertEqual(self.wait(self.store.release([new, old, old])), 2)
        self.assertEqual(sorted(self.claimed_ids()), [new, old])

    def test_taken_on_hold(self) -> None:
        """
        A message can be on hold from the first moment; others are not.
        """
        self.assertEqual(self.claim(), [])  # from now on it is told what arrives
        held, other = self.put(hold=True), self.put()
        self.assertEqual(self.claimed_ids(), [other])
        self.assertEqual(self.listed(QueueName.HOLD), [held])
        self.assertEqual(self.wait(self.store.release([held])), 1)
        self.assertEqual(self.claimed_ids(), [held])

    def test_hold_in_hand(self) -> None:
        """
        A message in hand finishes its attempt, and is then on hold.
        """
        queue_id = self.put(2)
        self.claim()
        self.assertEqual(self.wait(self.store.hold([queue_id])), 1)
        self.assertEqual(self.count(QueueName.ACTIVE), 1)
        self.assertEqual(self.count(QueueName.HOLD), 0)
        self.record(queue_id, DONE, DEFERRED, due=self.time)
        self.time += 1000
        self.assertEqual(self.claim(), [])
        self.assertEqual(self.listed(QueueName.HOLD), [queue_id])

    def test_requeue(self) -> None:
        first, second = self.defer(), self.defer()
        held = self.put()
        self.wait(self.store.hold([held]))
        self.assertEqual(self.wait(self.store.requeue([second, held])), 1)
        self.assertEqual(self.claimed_ids(), [second])
        self.assertEqual(self.wait(self.store.requeue(None)), 1)
        self.assertEqual(self.claimed_ids(), [first])

    def test_doorbell_of_the_administrator(self) -> None:
        """
        The doorbell rings for what is due now, too.
        """
        deferred, held = self.defer(), self.put()
        self.wait(self.store.hold([held]))
        heard: list[Sequence[str]] = []
        self.store.listen(heard.append)
        self.wait(self.store.requeue([deferred]))
        self.wait(self.store.release([held]))
        self.assertEqual(len(heard), 2)

    def test_due_now_when_the_clock_goes_back(self) -> None:
        """
        What was released or requeued is due at once, and stays so, when the
        wall clock is set back before anybody claims it.
        """
        requeued, all_of_them, released = self.defer(), self.defer(), self.put()
        self.wait(self.store.hold([released]))
        self.time += 86400
        self.wait(self.store.requeue([requeued]))
        self.wait(self.store.requeue(None))
        self.wait(self.store.release([released]))
        self.time -= 86400
        self.assertEqual(
            sorted(self.claimed_ids()), sorted([requeued, all_of_them, released])
        )

    def test_expire(self) -> None:
        """
        The next attempt of an expired message is its last, and comes soon.
        """
        old, new = self.defer(), self.put()
        self.assertEqual(self.wait(self.store.expire([old, new, "nonsense"])), 2)
        self.wait(self.store.requeue([old]))  # is expired all the same
        messages = self.claim()
        self.assertEqual({m.envelope.queue_id for m in messages}, {old, new})
        self.assertTrue(all(m.expire for m in messages))
        self.assertTrue(self.record(old, BOUNCED))

    def test_delete(self) -> None:
        small, large = self.put(), self.put(1, LARGE)
        self.assertEqual(self.wait(self.store.delete([small, large, small])), 2)
        self.assertEqual(self.claim(), [])
        self.assertEqual(self.listed(), [])

    def test_find(self) -> None:
        """
        Listings come in pages, in order, and show where a message is.
        """
        put = [self.put() for _ in range(5)]
        first, second = self.claimed_ids(2)
        self.record(first, DEFERRED, due=self.time + 9)
        self.assertEqual(self.listed(), put)
        page = self.wait(self.store.find(None, put[1], 2))
        self.assertEqual([m.envelope.queue_id for m in page], put[2:4])
        self.assertEqual(self.listed(QueueName.ACTIVE), [second])
        self.assertEqual(self.listed(QueueName.DEFERRED), [first])
        self.assertEqual(self.listed(QueueName.INCOMING), put[2:])
        self.assertEqual(
            self.wait(self.store.counts()),
            {
                QueueName.INCOMING: 3,
                QueueName.ACTIVE: 1,
                QueueName.DEFERRED: 1,
                QueueName.HOLD: 0,
                QueueName.CORRUPT: 0,
            },
        )

    def test_unknown_content(self) -> None:
        for queue_id in ("", "nonsense", self.store.new_id()):
            with self.assertRaises(MessageDamaged):
                self.wait(self.store.content(queue_id))

    def test_deferred_or_value(self) -> None:
        """
        Commits and records are always told later.
        """
        incoming = self.store.open(self.envelope())
        committed = incoming.commit()
        self.assertIsInstance(committed, Deferred)
        self.wait(committed)
