"""
Tests of who is told that mail cannot be delivered, and of what he gets:
L{txmta.queue.notifier} in the queue manager.
"""

from __future__ import annotations

from email import message_from_bytes
from email.message import Message

from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from tests.queue.doubles import HOST, World, busy, no_user, refused, sent
from txmta.errors import MessageDamaged, StoreUnavailable
from txmta.events import Delivery, Notified, Removed, Warn
from txmta.interfaces import IContent
from txmta.model import (
    Attempt,
    Notify,
    Outcome,
    QueueName,
    Recipient,
    RecipientState,
)
from txmta.queue.store.memory import Row

CONTENT = b"Subject: x\r\n\r\n" + b"body\r\n" * 100


def returned(row: Row) -> Message:
    return message_from_bytes(row.content)


def types(row: Row) -> list[str]:
    return [part.get_content_type() for part in returned(row).walk()]


def to(address: str, notify: int, n: int = 0) -> Recipient:
    return Recipient(n, address, address, notify=notify)


class NoticeCase(SynchronousTestCase):
    """
    All mail is refused, but notices, which stay in the queue.
    """

    def setUp(self) -> None:
        self.use()

    def use(self, **settings: str) -> None:
        """
        Start afresh, with other settings.
        """
        self.world = World(**settings)
        self.world.start()
        self.world.agent.answer = no_user
        for domain in ("example.com", HOST):
            self.world.resolver.routes[domain] = "local"

    def notice(self) -> Row:
        """
        @return: the one message that is in the queue.
        """
        (row,) = self.world.store.rows.values()
        return row


class WhoTests(NoticeCase):
    def test_sender(self) -> None:
        """
        The sender is told, by a message from the null sender that is in the
        queue when the recipient is finished; the log is Postfix's.
        """
        world = self.world
        queue_id = world.put("a@one", content=CONTENT)
        row = self.notice()
        new = row.envelope
        self.assertEqual(new.sender, "")
        self.assertEqual([r.address for r in new.recipients], ["sender@example.com"])
        self.assertTrue(row.content.startswith(f"Received: by {HOST}".encode()))
        self.assertEqual(returned(row)["To"], "sender@example.com")
        self.assertIn("message/delivery-status", types(row))
        lines = world.sink.lines()
        start = lines.index(
            f"bounce: {queue_id}: sender non-delivery notification: {new.queue_id}"
        )
        self.assertEqual(
            lines[start - 1],
            f"cleanup: {new.queue_id}: message-id="
            f"<20261124035052.{new.queue_id}@{HOST}>",
        )
        self.assertEqual(lines[start + 1], f"qmgr: {queue_id}: removed")
        self.assertEqual(world.local.attempts, ["sender@example.com"])

    def test_one_for_all(self) -> None:
        """
        All that fail in one attempt are in one notice, made when the attempt
        is over; others are not in it.
        """
        world = self.world
        world.agent.answer = None
        queue_id = world.put(*(f"u{n}@d{n}" for n in range(6)))
        for n in range(6):
            self.assertEqual(world.others(queue_id), [])
            world.agent.hands[n].end((no_user, busy, sent)[n % 3])
        (bounce,) = world.others(queue_id)
        told = [n for n in range(6) if f"<u{n}@d{n}>".encode() in bounce.content]
        self.assertEqual(told, [0, 3])
        self.assertEqual(bounce.content.count(b"Final-Recipient: "), 2)

    def test_expired(self) -> None:
        """
        What expires is returned with the last reason.
        """
        self.use(maximal_queue_lifetime="0")
        self.world.agent.answer = refused
        self.world.put("a@one")
        self.assertIn(b"Action: failed\r\nStatus: 4.4.1\r\n", self.notice().content)

    def test_notify(self) -> None:
        """
        NOTIFY=NEVER, or without FAILURE, is respected (RFC 3461 4.1).
        """
        for notify, told in (
            (Notify.NEVER, 0),
            (Notify.SUCCESS, 0),
            (Notify.DELAY, 0),
            (Notify.SUCCESS | Notify.DELAY, 0),
            (Notify.FAILURE, 1),
            (Notify.FAILURE | Notify.DELAY, 1),
            (Notify.DEFAULT, 1),
        ):
            with self.subTest(notify=notify):
                self.use()
                queue_id = self.world.put(recipients=[to("a@one", notify)])
                self.assertIsNone(self.world.queue(queue_id))
                self.assertEqual(len(self.world.others()), told)

    def test_notify_of_one(self) -> None:
        """
        A recipient with NOTIFY=NEVER is not named in the news of others.
        """
        quiet = to("quiet@there", Notify.NEVER)
        self.world.put(recipients=[quiet, to("loud@there", Notify.DEFAULT, 1)])
        self.assertIn(b"loud@there", self.notice().content)
        self.assertNotIn(b"quiet@there", self.notice().content)

    def test_success_tells_nobody(self) -> None:
        self.world.agent.answer = sent
        self.world.put("a@one")
        self.assertEqual(self.world.others(), [])

    def test_null_sender(self) -> None:
        """
        A bounce is never bounced; by default, as in Postfix, nobody hears.
        """
        self.world.put("a@one", sender="")
        self.assertEqual(self.world.store.rows, {})
        self.assertEqual(len(self.world.sink.of(Removed)), 1)

    def test_double_bounce(self) -> None:
        """
        With the class 2bounce the postmaster is told of a bounce that fails,
        by mail from an address that is never told.
        """
        for recipient, told in (
            ({}, f"postmaster@{HOST}"),
            ({"2bounce_notice_recipient": "pm@one"}, "pm@one"),
        ):
            with self.subTest(told=told):
                self.use(notify_classes="2bounce", **recipient)
                self.world.agent.answer = None
                self.world.put("a@one", sender="")
                self.world.agent.hands[0].end(no_user)
                row = self.notice()
                self.assertEqual(row.envelope.sender, f"double-bounce@{HOST}")
                self.assertEqual([r.address for r in row.envelope.recipients], [told])
                self.assertEqual(
                    returned(row)["Subject"], "Postmaster Copy: Undelivered Mail"
                )
                (notified,) = self.world.sink.of(Notified)
                self.assertEqual(notified.kind, "postmaster non-delivery")

    def test_triple_bounce(self) -> None:
        """
        Mail about mail that fails ends there, with a line in the log.
        """
        self.use(notify_classes="bounce, 2bounce")
        queue_id = self.world.put("a@one", sender=f"Double-Bounce@{HOST}")
        self.assertEqual(self.world.store.rows, {})
        self.assertEqual(
            [f"{w.program}: {w.text}" for w in self.world.sink.of(Warn)],
            [f"bounce: {queue_id}: undeliverable postmaster notification discarded"],
        )

    def test_no_loop(self) -> None:
        """
        If everything fails, it comes to an end: message, bounce and its copy,
        double bounce, nothing.
        """
        self.use(notify_classes="bounce, 2bounce")
        world = self.world
        world.resolver.routes.clear()

        def fail_not_for_ever(recipient: Recipient) -> Outcome:
            return (no_user if len(world.agent.hands) < 20 else sent)(recipient)

        world.agent.answer = fail_not_for_ever
        world.put("a@one")
        world.run(10)
        self.assertEqual(world.store.rows, {})
        self.assertLessEqual(len(world.agent.attempts), 4)
        self.assertIn(
            "undeliverable postmaster notification", "".join(world.sink.lines())
        )

    def test_postmaster_copy(self) -> None:
        """
        With the class bounce the postmaster gets the headers as well.
        """
        self.use(notify_classes="bounce")
        self.world.put("a@one", content=CONTENT)
        told = {r.envelope.recipients[0].address: r for r in self.world.others()}
        self.assertEqual(set(told), {"sender@example.com", f"postmaster@{HOST}"})
        self.assertIn(CONTENT, told["sender@example.com"].content)
        copy = told[f"postmaster@{HOST}"]
        self.assertIn(b"Subject: x\r\n", copy.content)
        self.assertNotIn(b"body\r\n", copy.content)


class OriginalTests(NoticeCase):
    def test_how_much(self) -> None:
        """
        The original is returned as it is; of one above bounce_size_limit, or
        with RET=HDRS, only the headers.
        """
        size = len(CONTENT)
        for limit, ret, whole in (
            (size, "", True),
            (size, "FULL", True),
            (size - 1, "", False),
            (size - 1, "FULL", False),
            (size, "HDRS", False),
        ):
            with self.subTest(limit=limit, ret=ret):
                self.use(bounce_size_limit=str(limit))
                self.world.put("a@one", content=CONTENT, ret=ret)
                row = self.notice()
                self.assertEqual(CONTENT + b"\r\n--" in row.content, whole)
                self.assertEqual(b"body\r\n" in row.content, whole)
                self.assertIn(b"Subject: x\r\n", row.content)
                kind = "message/rfc822" if whole else "text/rfc822-headers"
                self.assertIn(kind, types(row))

    def test_large_headers(self) -> None:
        """
        A message that is all header makes no notification above the limit.
        """
        content = b"".join(b"X-%d: much\r\n" % n for n in range(20_000))
        self.world.put("a@one", content=content)
        self.assertLess(len(self.notice().content), 55_000)

    def test_unreadable(self) -> None:
        """
        An original that cannot be read does not keep the news from the
        sender; the notice says so.
        """
        for trouble in (StoreUnavailable("io"), MessageDamaged("X", "gone")):
            self.use()
            self.patch(self.world.store, "content", lambda _, t=trouble: fail(t))
            self.world.put("a@one")
            self.assertIn(b"could not be read from the queue", self.notice().content)
            self.assertIn("message/delivery-status", types(self.notice()))

    def test_content_later(self) -> None:
        """
        Reading may take time; the failed recipient waits for it.
        """
        world = self.world
        content = world.store.content
        opened: Deferred[IContent] = Deferred()
        self.patch(world.store, "content", lambda _: opened)
        queue_id = world.put("a@one")
        self.assertEqual(set(world.row(queue_id).states), {0})
        found = content(queue_id)
        assert not isinstance(found, Deferred)
        opened.callback(found)
        self.assertIsNone(world.queue(queue_id))


class TransactionTests(NoticeCase):
    def test_together(self) -> None:
        """
        The end of the recipient and the news of it are one transaction.
        """
        attempts: list[Attempt] = []
        record = self.world.store.record

        def spy(attempt: Attempt) -> Deferred[bool]:
            attempts.append(attempt)
            return record(attempt)

        self.patch(self.world.store, "record", spy)
        self.world.agent.answer = None
        self.world.put("a@one")
        self.world.agent.hands[0].end(no_user)
        [attempt] = attempts
        self.assertEqual([r.state for r in attempt.results], [RecipientState.BOUNCED])
        self.assertEqual(len(attempt.inserts), 1)

    def test_not_recorded_not_told(self) -> None:
        """
        While the store cannot write, the sender is not told; when it can, he
        is told once.
        """
        world = self.world
        world.store.unavailable = StoreUnavailable("disk full")
        queue_id = world.put("a@one")
        world.run(60)
        self.assertEqual(list(world.store.rows), [queue_id])
        self.assertEqual(world.sink.of(Notified), [])
        world.store.unavailable = None
        world.run(10)
        self.assertEqual(self.notice().envelope.sender, "")
        self.assertIsNone(world.queue(queue_id))
        self.assertEqual(len(world.sink.of(Notified)), 1)

    def test_bug(self) -> None:
        """
        A bug of ours loses neither the mail nor the news: the recipient is
        tried again.
        """

        def broken(address: str, local: bool) -> str:
            raise ZeroDivisionError("oops")

        self.patch(self.world.resolver, "rewrite", broken)
        queue_id = self.world.put("a@one")
        self.assertEqual(self.world.queue(queue_id), QueueName.DEFERRED)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(len(self.world.sink.of(Delivery)), 1)
        self.assertEqual(self.world.others(queue_id), [])
