"""
Tests of who is told that mail cannot be delivered, through the queue manager.
"""

from __future__ import annotations

from email import message_from_bytes
from email.message import Message
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.queue.doubles import HOST, World, busy, no_user, sent
from txmta.errors import StoreUnavailable
from txmta.model import Attempt, Notify, QueueName, Recipient, RecipientState
from txmta.queue.store.memory import Row

CONTENT = b"Subject: hi\r\n\r\nhello\r\n"


def world(**settings: str) -> World:
    """
    @return: one where to@there is refused, and nothing else answered.
    """
    found = World(**settings)
    found.start()
    return found


def refuse(world: World) -> None:
    world.agent.hands[-1].end(no_user)


def returned(row: Row) -> Message:
    return message_from_bytes(row.content)


def types(row: Row) -> list[str]:
    return [part.get_content_type() for part in returned(row).walk()]


class WhoTests(SynchronousTestCase):
    def test_sender(self) -> None:
        """
        The sender is told, by mail from the null sender.
        """
        w = world()
        queue_id = w.put("to@there")
        refuse(w)
        self.assertIsNone(w.queue(queue_id))
        [bounce] = w.others()
        self.assertEqual(bounce.envelope.sender, "")
        self.assertEqual(
            [r.address for r in bounce.envelope.recipients], ["sender@example.com"]
        )
        self.assertEqual(returned(bounce)["To"], "sender@example.com")
        self.assertIn("message/delivery-status", types(bounce))
        self.assertIn(
            f"bounce: {queue_id}: sender non-delivery notification: "
            f"{bounce.envelope.queue_id}",
            w.sink.lines(),
        )

    def test_one_for_all(self) -> None:
        """
        All recipients that failed in an attempt are in one notification.
        """
        w = world()
        w.put("a@x", "b@y", "c@z")
        for hand in list(w.agent.hands[:2]):
            hand.end(no_user)
        self.assertEqual(len(w.store.rows), 1)
        w.agent.hands[2].end(busy)
        [bounce] = [r for r in w.store.rows.values() if not r.envelope.sender]
        self.assertEqual(bounce.content.count(b"Final-Recipient: "), 2)
        self.assertNotIn(b"c@z", bounce.content)

    def test_null_sender(self) -> None:
        """
        The null sender is never told anything.
        """
        w = world()
        queue_id = w.put("to@there", sender="")
        refuse(w)
        self.assertIsNone(w.queue(queue_id))
        self.assertEqual(w.others(), [])

    def test_double_bounce(self) -> None:
        """
        With notify_classes = 2bounce the postmaster is told of a bounce that
        fails, by mail from an address that is never told.
        """
        w = world(notify_classes="2bounce")
        w.put("to@there", sender="")
        refuse(w)
        [notice] = w.others()
        self.assertEqual(notice.envelope.sender, f"double-bounce@{HOST}")
        self.assertEqual(
            [r.address for r in notice.envelope.recipients], [f"postmaster@{HOST}"]
        )
        self.assertEqual(
            returned(notice)["Subject"], "Postmaster Copy: Undelivered Mail"
        )

    def test_no_loop(self) -> None:
        """
        If everything fails, it comes to an end: message, bounce, double
        bounce, nothing.
        """
        w = World(notify_classes="2bounce, bounce")
        # Bounded, so that a loop fails and does not hang.
        w.agent.answer = lambda r: (no_user if len(w.agent.hands) < 20 else sent)(r)
        w.start()
        w.put("to@there")
        w.run(10)
        self.assertEqual(w.others(), [])
        self.assertLessEqual(len(w.agent.attempts), 4)
        self.assertIn("undeliverable postmaster notification", "".join(w.sink.lines()))

    def test_postmaster_copy(self) -> None:
        """
        With notify_classes = bounce the postmaster gets a copy of the headers.
        """
        w = world(notify_classes="bounce")
        w.put("to@there")
        refuse(w)
        to = {r.envelope.recipients[0].address: r for r in w.others()}
        self.assertEqual(set(to), {"sender@example.com", f"postmaster@{HOST}"})
        self.assertIn(b"hello", to["sender@example.com"].content)
        self.assertNotIn(b"hello", to[f"postmaster@{HOST}"].content)

    def test_notify(self) -> None:
        """
        NOTIFY decides: NEVER and SUCCESS want no news of a failure, FAILURE
        does.
        """
        for notify, told in (
            (Notify.NEVER, False),
            (Notify.SUCCESS, False),
            (Notify.DELAY, False),
            (Notify.FAILURE | Notify.DELAY, True),
            (Notify.DEFAULT, True),
        ):
            with self.subTest(notify=notify):
                w = world()
                recipient = Recipient(0, "to@there", "to@there", "", notify)
                queue_id = w.put(recipients=[recipient])
                refuse(w)
                self.assertIsNone(w.queue(queue_id))
                self.assertEqual(len(w.others()), int(told))

    def test_notify_of_one(self) -> None:
        """
        A recipient with NOTIFY=NEVER is not named in the news of others.
        """
        w = world()
        w.put(
            recipients=[
                Recipient(0, "quiet@there", "quiet@there", "", Notify.NEVER),
                Recipient(1, "loud@there", "loud@there"),
            ]
        )
        refuse(w)
        [bounce] = w.others()
        self.assertIn(b"loud@there", bounce.content)
        self.assertNotIn(b"quiet@there", bounce.content)


class OriginalTests(SynchronousTestCase):
    def bounce(self, w: World, content: bytes = CONTENT, **fields: Any) -> Row:
        w.put("to@there", content=content, **fields)
        refuse(w)
        [bounce] = w.others()
        return bounce

    def test_whole(self) -> None:
        """
        The original is returned as it is.
        """
        bounce = self.bounce(world())
        self.assertIn("message/rfc822", types(bounce))
        self.assertIn(CONTENT, bounce.content)

    def test_size_limit(self) -> None:
        """
        Of a message above bounce_size_limit only headers are returned.
        """
        limit = len(CONTENT)
        self.assertIn(
            "message/rfc822", types(self.bounce(world(bounce_size_limit=str(limit))))
        )
        bounce = self.bounce(world(bounce_size_limit=str(limit - 1)))
        self.assertIn("text/rfc822-headers", types(bounce))
        self.assertNotIn(b"hello", bounce.content)

    def test_large_headers(self) -> None:
        """
        A message that is all header makes no notification above the limit.
        """
        content = b"".join(b"X-%d: much\r\n" % n for n in range(20_000))
        bounce = self.bounce(world(), content)
        self.assertLess(len(bounce.content), 55_000)

    def test_ret(self) -> None:
        """
        RET=HDRS asks for headers only.
        """
        bounce = self.bounce(world(), ret="HDRS")
        self.assertIn("text/rfc822-headers", types(bounce))
        self.assertNotIn(b"hello", bounce.content)

    def test_unreadable(self) -> None:
        """
        An original that cannot be read does not keep the news from the
        sender.
        """
        w = world()
        queue_id = w.put("to@there")
        w.store.corrupted.append(queue_id)
        refuse(w)
        [bounce] = w.others()
        self.assertIn(b"could not be read", bounce.content)
        self.assertIn("message/delivery-status", types(bounce))


class TransactionTests(SynchronousTestCase):
    def test_together(self) -> None:
        """
        The end of the recipient and the news of it are one transaction.
        """
        w = world()
        attempts: list[Attempt] = []
        record = w.store.record

        def spy(attempt: Attempt) -> Deferred[bool]:
            attempts.append(attempt)
            return record(attempt)

        self.patch(w.store, "record", spy)
        w.put("to@there")
        refuse(w)
        [attempt] = attempts
        self.assertEqual([r.state for r in attempt.results], [RecipientState.BOUNCED])
        self.assertEqual(len(attempt.inserts), 1)

    def test_store_unavailable(self) -> None:
        """
        While the store cannot write, the sender is not told; when it can, he
        is told once.
        """
        w = world()
        queue_id = w.put("to@there")
        w.store.unavailable = StoreUnavailable("disk full")
        refuse(w)
        w.run(60)
        self.assertEqual(list(w.store.rows), [queue_id])
        w.store.unavailable = None
        w.run(10)
        self.assertEqual(len(w.others(queue_id)), 1)
        self.assertIsNone(w.queue(queue_id))

    def test_bug(self) -> None:
        """
        A bug of ours loses neither the mail nor the news: the recipient is
        tried again.
        """
        w = world()
        queue_id = w.put("to@there")

        def rewrite(address: str, local: bool) -> str:
            raise ZeroDivisionError

        self.patch(w.resolver, "rewrite", rewrite)
        refuse(w)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(w.queue(queue_id), QueueName.DEFERRED)
        self.assertEqual(w.others(queue_id), [])

    def test_success_tells_nobody(self) -> None:
        """
        What is delivered makes no notification.
        """
        w = world()
        w.put("to@there")
        w.agent.hands[-1].end(sent)
        self.assertEqual(w.others(), [])
