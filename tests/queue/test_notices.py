"""
Tests of who is told of failures: L{txmta.queue.notifier} in the manager.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from tests.queue.doubles import HOST, World, busy, no_user, refused, sent
from txmta.errors import MessageDamaged, StoreUnavailable
from txmta.events import Delivery, Notified, Removed, Warn
from txmta.interfaces import IContent
from txmta.model import Notify, Outcome, QueueName, Recipient
from txmta.queue.store.memory import Row


def to(address: str, notify: int) -> Recipient:
    return Recipient(0, address, address, notify=notify)


class NoticeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.use()

    def use(self, **settings: str) -> None:
        self.world = World(**settings)
        self.world.start()
        self.world.agent.answer = no_user
        for domain in ("example.com", HOST):  # notices stay in the queue
            self.world.resolver.routes[domain] = "local"

    def notice(self) -> Row:
        (row,) = self.world.store.rows.values()
        return row

    def test_bounce(self) -> None:
        """
        The sender is told, by a message from the null sender that is in the
        queue when the recipient is finished; the log is Postfix's.
        """
        world = self.world
        queue_id = world.put("a@one", content=b"Subject: x\r\n\r\nbody\r\n")
        row = self.notice()
        new = row.envelope
        self.assertEqual(new.sender, "")
        self.assertEqual([r.address for r in new.recipients], ["sender@example.com"])
        self.assertTrue(row.content.startswith(f"Received: by {HOST}".encode()))
        self.assertIn(b"Subject: x\r\n\r\nbody\r\n\r\n--", row.content)
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

    def test_one_bounce_for_all(self) -> None:
        """
        All that fail in one attempt are in one bounce; others are not in it.
        """
        world = self.world
        world.agent.answer = lambda r: (no_user, busy, sent)[r.n % 3](r)
        world.put(*(f"u{n}@d{n}" for n in range(6)))
        bounces = [r for r in world.store.rows.values() if not r.envelope.sender]
        content = bounces[0].content
        self.assertEqual(len(bounces), 1)
        told = [n for n in range(6) if f"<u{n}@d{n}>".encode() in content]
        self.assertEqual(told, [0, 3])

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
        for notify, expected in (
            (Notify.NEVER, 0),
            (Notify.SUCCESS | Notify.DELAY, 0),
            (Notify.FAILURE, 1),
            (Notify.DEFAULT, 1),
        ):
            self.use()
            self.world.put(recipients=[to("a@one", notify)])
            self.assertEqual(len(self.world.store.rows), expected, notify)

    def test_null_sender(self) -> None:
        """
        A bounce is never bounced; by default, as in Postfix, nobody hears.
        """
        self.world.put("a@one", sender="")
        self.assertEqual(self.world.store.rows, {})
        self.assertEqual(len(self.world.sink.of(Removed)), 1)

    def test_double_bounce(self) -> None:
        """
        With the class 2bounce the postmaster gets what cannot be returned.
        """
        self.use(**{"notify_classes": "2bounce", "2bounce_notice_recipient": "pm@one"})
        self.world.agent.answer = None
        self.world.put("a@one", sender="")
        self.world.agent.hands[0].end(no_user)
        row = self.notice()
        self.assertEqual(row.envelope.sender, f"double-bounce@{HOST}")
        self.assertEqual(row.envelope.recipients[0].address, "pm@one")
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
        When nothing at all can be delivered, it all ends.
        """
        self.use(notify_classes="bounce, 2bounce")
        self.world.resolver.routes.clear()
        tried: list[Recipient] = []

        def fail_not_for_ever(recipient: Recipient) -> Outcome:
            tried.append(recipient)
            return (no_user if len(tried) < 20 else busy)(recipient)

        self.world.agent.answer = fail_not_for_ever
        self.world.put("a@one")
        self.world.run(1)
        self.assertEqual(self.world.store.rows, {})
        self.assertLessEqual(len(tried), 6)

    def test_postmaster_copy(self) -> None:
        """
        With the class bounce the postmaster gets the headers as well.
        """
        self.use(notify_classes="bounce")
        self.world.put("a@one", content=b"Subject: x\r\n\r\nsecret\r\n")
        copies = [r for r in self.world.store.rows.values() if r.envelope.sender]
        self.assertEqual(len(copies), 1)
        self.assertIn(b"Subject: x\r\n", copies[0].content)
        self.assertNotIn(b"secret", copies[0].content)

    def test_size_limit(self) -> None:
        """
        Of a message above bounce_size_limit only the headers go back; so
        with RET=HDRS.
        """
        content = b"Subject: x\r\n\r\n" + b"body\r\n" * 100
        for limit, ret, whole in (("614", "", 1), ("613", "", 0), ("614", "HDRS", 0)):
            self.use(bounce_size_limit=limit)
            self.world.put("a@one", content=content, ret=ret)
            self.assertEqual(b"body\r\n" in self.notice().content, bool(whole))
            self.assertIn(b"Subject: x\r\n", self.notice().content)

    def test_unreadable_original(self) -> None:
        """
        A bounce whose original cannot be read goes out without it, and says
        so.
        """
        for trouble in (StoreUnavailable("io"), MessageDamaged("X", "gone")):
            self.use()
            self.patch(self.world.store, "content", lambda _, t=trouble: fail(t))
            self.world.put("a@one")
            self.assertIn(b"could not be read from the queue", self.notice().content)

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

    def test_not_recorded_not_told(self) -> None:
        """
        Bounce and end of the recipient are one transaction: if it fails,
        neither happened, and later there is one bounce.
        """
        world = self.world
        world.store.unavailable = StoreUnavailable("full")
        queue_id = world.put("a@one")
        self.assertEqual(list(world.store.rows), [queue_id])
        world.store.unavailable = None
        world.run(5)
        self.assertEqual(self.notice().envelope.sender, "")
        self.assertEqual(len(world.sink.of(Notified)), 1)

    def test_bug_in_bounce(self) -> None:
        """
        A bug while a bounce is made loses neither the mail nor the news.
        """
        world = self.world

        def broken(address: str, local: bool) -> str:
            raise ZeroDivisionError("oops")

        self.patch(world.resolver, "rewrite", broken)
        queue_id = world.put("a@one")
        self.assertEqual(world.queue(queue_id), QueueName.DEFERRED)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(len(world.sink.of(Delivery)), 1)
