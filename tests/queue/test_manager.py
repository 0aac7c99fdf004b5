"""
Tests of L{txmta.queue.manager}: from doorbell to the end of a message.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from tests.queue.doubles import (
    HOST,
    Report,
    World,
    busy,
    no_user,
    refused,
    sent,
)
from txmta.errors import MessageDamaged, StoreUnavailable, TableUnavailable
from txmta.events import Activated, Delivery, Removed, Warn
from txmta.model import (
    Action,
    AddressClass,
    Attempt,
    DeliveryRequest,
    Forward,
    Outcome,
    QueueName,
    Recipient,
    RecipientState,
    Route,
)
from txmta.queue.manager import TICK


class PathTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World()

    def test_new_mail(self) -> None:
        """
        A new message is delivered when its doorbell rings, logged as Postfix
        does, and gone when all is recorded.
        """
        world = self.world
        world.start()
        world.agent.answer = sent
        queue_id = world.put("user@dest.example")
        self.assertEqual(
            world.sink.lines(),
            [
                f"qmgr: {queue_id}: from=<sender@example.com>, size=22, nrcpt=1 "
                "(queue active)",
                f"smtp: {queue_id}: to=<user@dest.example>, relay=x[1.2.3.4]:25, "
                "delay=0, delays=0/0/0/0, dsn=2.0.0, status=sent (250 2.0.0 Ok)",
                f"qmgr: {queue_id}: removed",
            ],
        )
        self.assertEqual(world.store.rows, {})
        self.assertEqual(world.manager.active, {})

    def test_request(self) -> None:
        """
        The agent is told all it needs.
        """
        world = self.world
        world.start()
        world.resolver.routes["alias@here"] = Route(
            AddressClass.DEFAULT, "smtp", "[hub]:26", "real@hub"
        )
        queue_id = world.put("alias@here")
        (hand,) = world.agent.hands
        request = hand.request
        self.assertEqual((request.transport, request.nexthop), ("smtp", "[hub]:26"))
        self.assertEqual(request.recipients, (Recipient(0, "real@hub", "alias@here"),))
        self.assertEqual(request.envelope.queue_id, queue_id)
        self.assertEqual(request.size, 22)
        content = request.open_content()
        assert not isinstance(content, Deferred)
        self.assertEqual(content.read(0, 100), b"Subject: hi\r\n\r\nhello\r\n")

    def test_found_at_start(self) -> None:
        """
        What is in the queue at start is delivered without a doorbell.
        """
        world = self.world
        queue_id = world.put("user@dest.example")
        self.assertEqual(world.agent.hands, [])
        world.start()
        self.assertEqual(world.agent.hands[0].request.envelope.queue_id, queue_id)

    def test_lost_doorbell(self) -> None:
        """
        A message whose doorbell nobody heard is found a few seconds later.
        """
        world = self.world
        world.start()
        world.store._doorbells.clear()
        world.put("user@dest.example")
        self.assertEqual(world.agent.hands, [])
        world.run(TICK)
        self.assertEqual(len(world.agent.hands), 1)

    def test_one_delivery_for_one_host(self) -> None:
        """
        Recipients with the same next hop go together, up to
        default_destination_recipient_limit, whether their routes are known at
        once or later.
        """
        world = World(default_destination_recipient_limit="3")
        later: Deferred[Route] = Deferred()
        world.resolver.routes["u2@one"] = later
        world.start()
        world.put("u0@one", "u1@two", "u2@one", "u3@one", "u4@one")
        self.assertEqual(world.agent.hands, [])
        later.callback(Route(AddressClass.DEFAULT, "smtp", "one", "u2@one"))
        groups = [hand.addresses for hand in world.agent.hands]
        self.assertEqual(
            sorted(groups), [["u0@one", "u3@one", "u4@one"], ["u1@two"], ["u2@one"]]
        )

    def test_all_outcomes_in_one_transaction(self) -> None:
        """
        The outcomes of one attempt are recorded together, when it ends.
        """
        world = self.world
        world.start()
        queue_id = world.put("a@one", "b@two", "c@three")
        for hand, outcome in zip(world.agent.hands, (sent, busy, sent), strict=True):
            self.assertEqual(len(world.row(queue_id).states), 3)
            hand.end(outcome)
        row = world.row(queue_id)
        self.assertEqual(row.states, {1: RecipientState.DEFERRED})
        self.assertEqual(row.queue, QueueName.DEFERRED)
        self.assertTrue(row.reasons[1].startswith("4.2.0 host x[1.2.3.4] said: 450"))
        self.assertEqual(row.due, world.now() + 300)
        self.assertEqual(world.sink.of(Removed), [])

    def test_outcomes_are_logged_at_once(self) -> None:
        """
        An outcome is in the log when it is final, not when the message is.
        """
        world = self.world
        world.start()
        world.put("a@one", "b@two")
        world.agent.hands[0].end()
        self.assertEqual(len(world.sink.of(Delivery)), 1)

    def test_long_attempt(self) -> None:
        """
        While a slow destination holds up a message, what is delivered
        elsewhere is recorded, so that a crash repeats at most what is in
        hand.
        """
        world = self.world
        world.start()
        queue_id = world.put("fast@one", "slow@two", "no@three")
        world.agent.hands[0].end()
        world.agent.hands[2].end(no_user)
        world.run(TICK)
        self.assertEqual(set(world.row(queue_id).states), {1, 2})
        world.restart()
        again = world.agent.hands[3:]
        self.assertEqual(
            sorted(a for h in again for a in h.addresses), ["no@three", "slow@two"]
        )

    def test_long_attempt_goes_on(self) -> None:
        """
        After such a record the rest of the message ends as usual.
        """
        world = self.world
        world.start()
        queue_id = world.put("fast@one", "slow@two")
        world.agent.hands[0].end()
        world.run(TICK)
        world.agent.hands[1].end()
        self.assertEqual(world.store.rows, {})
        self.assertIn(f"qmgr: {queue_id}: removed", world.sink.lines())
        self.assertEqual(world.manager.active, {})

    def test_end_while_recording(self) -> None:
        """
        A message that ends while a part of it is on its way to the store
        waits for the answer.
        """
        world = self.world
        world.start()
        answers: list[Deferred[bool]] = []
        record = world.store.record

        def slow(attempt: Attempt) -> Deferred[bool]:
            answer: Deferred[bool] = Deferred()
            answers.append(answer)
            return answer.addCallback(lambda _: record(attempt))

        self.patch(world.store, "record", slow)
        queue_id = world.put("fast@one", "slow@two")
        world.agent.hands[0].end()
        world.run(TICK)
        world.agent.hands[1].end()
        self.assertEqual(len(answers), 1)
        answers[0].callback(True)
        self.assertEqual(len(answers), 2)
        self.assertIn(queue_id, world.manager.active)
        answers[1].callback(True)
        self.assertEqual(world.manager.active, {})
        self.assertEqual(world.store.rows, {})

    def test_forward(self) -> None:
        """
        A recipient that becomes a new message is finished in the same
        transaction, and logged as Postfix does.
        """
        world = self.world
        world.start()
        world.resolver.routes["list@here"] = "local"
        forward = Forward(
            "sender@example.com",
            ("x@a", "y@b"),
            b"Delivered-To: l\r\n",
            notify=4,
            orcpt="rfc822;l@x",
            original="list@here",
            keep_envid=True,
        )
        world.local.answer = lambda r: Outcome(
            r.n, Action.EXPANDED, "2.0.0", "forwarded", "local", forward=(forward,)
        )
        queue_id = world.put("list@here", envid="e1", ret="HDRS")
        deliveries = world.sink.of(Delivery)
        (row,) = world.store.rows.values()
        new_id = row.envelope.queue_id
        self.assertEqual(deliveries[0].outcome.reason, f"forwarded as {new_id}")
        self.assertEqual(
            row.content,
            f"Received: by {HOST}\r\n\tid {new_id}\r\n".encode()
            + b"Delivered-To: l\r\nSubject: hi\r\n\r\nhello\r\n",
        )
        self.assertEqual(
            row.envelope.recipients,
            tuple(
                Recipient(n, address, "list@here", "rfc822;l@x", 4)
                for n, address in enumerate(("x@a", "y@b"))
            ),
        )
        self.assertEqual(row.envelope.sender, "sender@example.com")
        self.assertEqual((row.envelope.envid, row.envelope.ret), ("e1", "HDRS"))
        self.assertIn(f"qmgr: {queue_id}: removed", world.sink.lines())
        # And it is on its way already.
        self.assertEqual(world.agent.attempts, ["x@a", "y@b"])

    def test_forward_with_owner(self) -> None:
        """
        A list with an owner is a new sender: what the old one asked to be
        told, and wrote, ends there.
        """
        world = self.world
        world.start()
        world.resolver.routes["list@here"] = "local"
        forward = Forward("owner@here", ("x@a",), b"")
        world.local.answer = lambda r: Outcome(
            r.n, Action.EXPANDED, "2.0.0", "forwarded", "local", forward=(forward,)
        )
        recipient = Recipient(0, "list@here", "list@here", "rfc822;l@x", notify=4)
        world.put(recipients=[recipient], envid="e1", ret="HDRS")
        (row,) = world.store.rows.values()
        self.assertEqual(row.envelope.recipients, (Recipient(0, "x@a", "x@a"),))
        self.assertEqual((row.envelope.envid, row.envelope.ret), ("", ""))

    def test_no_recipient_left(self) -> None:
        """
        A message whose last record was lost with its deletion is removed.
        """
        world = self.world
        queue_id = world.put("a@one")
        world.row(queue_id).states.clear()
        world.start()
        self.assertEqual(world.store.rows, {})


class TroubleTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World()

    def warnings(self) -> list[str]:
        return [w.text for w in self.world.sink.of(Warn)]

    def last(self) -> Outcome:
        return self.world.sink.of(Delivery)[-1].outcome

    def test_table_unavailable(self) -> None:
        """
        A table that cannot answer defers, at once or later, and says so.
        """
        world = self.world
        world.start()
        trouble = TableUnavailable("hash:/x", "gone")
        world.resolver.routes["a@one"] = trouble
        world.resolver.routes["b@one"] = fail(trouble)
        for address in ("a@one", "b@one"):
            queue_id = world.put(address)
            self.assertEqual(world.queue(queue_id), QueueName.DEFERRED)
            self.assertEqual(
                self.last(), Outcome(0, Action.DELAYED, "4.3.0", str(trouble))
            )
        self.assertEqual(world.sink.of(Delivery)[-1].program, "error")

    def test_resolver_bug(self) -> None:
        """
        A bug in the resolver defers, and is told.
        """
        world = self.world
        world.start()
        world.resolver.routes["a@one"] = ZeroDivisionError("oops")
        queue_id = world.put("a@one")
        self.assertEqual(world.queue(queue_id), QueueName.DEFERRED)
        self.assertEqual(self.warnings(), ["resolver for a@one: oops"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_unknown_transport(self) -> None:
        """
        A transport that is not there defers as in Postfix.
        """
        world = self.world
        world.start()
        world.resolver.routes["a@one"] = "nosuch"
        queue_id = world.put("a@one")
        self.assertEqual(world.queue(queue_id), QueueName.DEFERRED)
        self.assertTrue(
            world.sink.lines()[-1].endswith(
                "dsn=4.3.0, status=deferred (mail transport unavailable)"
            ),
            world.sink.lines(),
        )

    def test_deferred_transport(self) -> None:
        """
        Mail for defer_transports waits for a flush, and is then tried.
        """
        self.world = world = World(defer_transports="smtp")
        world.start()
        queue_id = world.put("a@one")
        world.run(4000, 100)
        self.assertEqual(world.agent.hands, [])
        self.assertEqual(self.last().reason, "deferred transport")
        self.assertEqual(self.last().status, "4.3.2")
        self.successResultOf(world.manager.flush())
        self.assertEqual(world.agent.attempts, ["a@one"])
        # New mail is not what was flushed.
        world.agent.hands[0].end()
        self.assertIsNone(world.queue(queue_id))
        world.put("b@one")
        self.assertEqual(world.agent.attempts, ["a@one"])

    def test_agent_fails(self) -> None:
        """
        An agent that fails, by exception or Deferred, defers the recipients
        without outcome, and rests for transport_retry_time; the others keep
        their outcome.
        """
        for way in ("raise", "fail"):
            with self.subTest(way=way):
                self.world = world = World()
                world.start()

                def deliver(
                    request: DeliveryRequest, report: Report, way: str = way
                ) -> Deferred[None]:
                    report(sent(request.recipients[0]))
                    if way == "raise":
                        raise ZeroDivisionError("oops")
                    return fail(ZeroDivisionError("oops"))

                self.patch(world.agent, "deliver", deliver)
                queue_id = world.put("a@one", "b@one")
                self.assertEqual(set(world.row(queue_id).states), {1})
                self.assertEqual(self.last().reason, "unknown mail transport error")
                self.assertEqual(self.last().status, "4.3.0")
                self.assertIn("transport smtp: oops", self.warnings())
                self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
                # At rest: nothing is tried.
                self.patch(world.agent, "deliver", lambda *_: self.fail("tried"))
                world.put("c@two")
                self.assertEqual(self.last().reason, "unknown mail transport error")
                world.run(60, 10)
                del world.agent.deliver
                world.put("d@two")
                self.assertEqual(world.agent.attempts[-1], "d@two")

    def test_agent_forgets(self) -> None:
        """
        An agent that ends without an outcome for each recipient is broken.
        """
        world = self.world
        world.start()
        queue_id = world.put("a@one", "b@one")
        hand = world.agent.hands[0]
        hand.report(sent(hand.request.recipients[1]))
        hand.ended.callback(None)
        self.assertEqual(set(world.row(queue_id).states), {0})
        self.assertIn("forgets 1 recipients", self.warnings()[0])

    def test_agent_reports_garbage(self) -> None:
        """
        What is reported twice, unasked, after the end, or is no outcome at
        all changes nothing, and is told.
        """
        world = self.world
        world.start()
        queue_id = world.put("a@one", "b@two")
        first = world.agent.hands[0]
        first.report(Outcome(1, Action.FAILED, "5.0.0", "not yours"))
        first.report("sent")  # type: ignore[arg-type]
        first.report(Outcome(0, Action.FAILED, None, None))  # type: ignore[arg-type]
        first.report(Outcome(0, "failed", "5.0.0", "no"))  # type: ignore[arg-type]
        first.report(busy(first.request.recipients[0]))
        first.report(sent(first.request.recipients[0]))
        first.ended.callback(None)
        first.report(sent(first.request.recipients[0]))
        self.assertEqual(len(self.warnings()), 6)
        world.agent.hands[1].end()
        self.assertEqual(world.row(queue_id).states, {0: RecipientState.DEFERRED})

    def test_agent_gives_garbage(self) -> None:
        """
        So does an agent that gives something else than a Deferred.
        """
        world = self.world
        world.start()
        world.agent.deliver = lambda request, report: "soon"  # type: ignore
        queue_id = world.put("a@one")
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)
        self.assertEqual(world.row(queue_id).states, {0: RecipientState.DEFERRED})

    def test_outcome_is_mended(self) -> None:
        """
        A status that contradicts the action, or a reason with line ends,
        reaches neither log nor bounce.
        """
        world = self.world
        world.start()
        for action, status, expected in (
            (Action.FAILED, "4.1.1", "5.1.1"),
            (Action.DELAYED, "garbage", "4.0.0"),
            (Action.DELIVERED, "5.0.0", "2.0.0"),
        ):
            world.put("a@one")
            hand = world.agent.hands[-1]
            hand.report(Outcome(0, action, status, "one\r\ntwo"))
            hand.ended.callback(None)
            self.assertEqual(self.last().status, expected)
            self.assertEqual(self.last().reason, "one two")

    def test_store_cannot_record(self) -> None:
        """
        While the store cannot write, nothing is delivered again, and the
        outcome is recorded when it can.
        """
        world = self.world
        world.start()
        queue_id = world.put("a@one")
        world.store.unavailable = StoreUnavailable("disk full")
        world.agent.hands[0].end()
        self.assertIn("disk full", self.warnings()[0])
        world.run(3600, 10)
        self.assertEqual(len(world.agent.hands), 1)
        self.assertIn(queue_id, world.manager.active)
        world.store.unavailable = None
        world.run(TICK)
        self.assertEqual(world.store.rows, {})
        self.assertEqual(len(world.sink.of(Removed)), 1)
        self.assertEqual(len(world.agent.hands), 1)

    def test_store_cannot_claim(self) -> None:
        """
        A queue that cannot be read is read again later.
        """
        world = self.world
        claim = world.store.claim
        for way in (
            lambda *_: fail(StoreUnavailable("busy")),
            lambda *_: (_ for _ in ()).throw(StoreUnavailable("busy")),
        ):
            world = self.world = World()
            claim = world.store.claim
            self.patch(world.store, "claim", way)
            world.start()
            world.put("a@one")
            self.assertIn("cannot read the queue: busy", self.warnings())
            self.patch(world.store, "claim", claim)
            world.run(TICK)
            self.assertEqual(len(world.agent.hands), 1)

    def test_claimed_twice(self) -> None:
        """
        A message that the store gives although it is active is not delivered
        twice.
        """
        world = self.world
        world.start()
        queue_id = world.put("a@one")
        world.row(queue_id).claimed = None
        world.run(TICK)
        self.assertEqual(len(world.agent.hands), 1)
        self.assertEqual(
            self.warnings(), [f"{queue_id}: claimed while active, ignored"]
        )

    def test_store_unavailable_for_content(self) -> None:
        """
        An agent that cannot read the content because of the store defers; the
        transport is not to blame.
        """
        world = self.world
        world.start()
        world.put("a@one")
        world.agent.hands[0].ended.errback(StoreUnavailable("disk gone"))
        self.assertEqual(self.last().reason, "disk gone")
        world.put("b@two")
        self.assertEqual(len(world.agent.hands), 2)

    def test_damaged_message(self) -> None:
        """
        A message whose content is damaged goes to the corrupt queue, what was
        delivered of it stays delivered, and the postmaster is told.
        """
        world = self.world
        world.start()
        queue_id = world.put("a@one", "b@two")
        world.agent.hands[0].end()
        world.row(queue_id).damaged = True
        world.agent.hands[1].ended.errback(MessageDamaged(queue_id, "bad checksum"))
        self.assertEqual(world.queue(queue_id), QueueName.CORRUPT)
        self.assertEqual(set(world.row(queue_id).states), {1})
        self.assertNotIn(queue_id, world.manager.active)
        self.assertIn("bad checksum", self.warnings()[0])
        (notice,) = world.others(queue_id)
        self.assertEqual(notice.envelope.sender, f"double-bounce@{HOST}")
        self.assertEqual(notice.envelope.recipients[0].address, f"postmaster@{HOST}")
        self.assertIn(
            b"Reason: " + queue_id.encode() + b": bad checksum\r\n", notice.content
        )

    def test_damaged_message_quietly(self) -> None:
        """
        Without the class software the postmaster is not told.
        """
        self.world = world = World(notify_classes="bounce")
        world.start()
        queue_id = world.put("a@one")
        world.row(queue_id).damaged = True
        world.agent.hands[0].ended.errback(MessageDamaged(queue_id, "bad checksum"))
        self.assertEqual(world.queue(queue_id), QueueName.CORRUPT)
        self.assertEqual(world.others(queue_id), [])

    def test_not_damaged(self) -> None:
        """
        What an agent says of damage is not believed, if the message is what
        was accepted: whoever has taken over its process cannot stop mail. It is
        tried again.
        """
        world = self.world
        world.start()
        queue_id = world.put("a@one", "b@two")
        world.agent.hands[0].end()
        world.agent.hands[1].ended.errback(MessageDamaged(queue_id, "bad checksum"))
        self.assertEqual(world.queue(queue_id), QueueName.DEFERRED)
        self.assertEqual(set(world.row(queue_id).states), {1})
        self.assertNotIn(queue_id, world.manager.active)
        self.assertEqual(world.others(queue_id), [])
        (warning,) = self.warnings()
        self.assertIn("it is not damaged", warning)

    def test_dead_destination(self) -> None:
        """
        When a destination is found dead, all that waits for it is deferred
        without trying, as is what comes later, until minimal_backoff_time has
        passed.
        """
        world = self.world
        world.start()
        ids = [world.put(f"u{n}@dead") for n in range(8)]
        self.assertEqual(len(world.agent.hands), 5)
        for hand in world.agent.hands[:3]:
            hand.end(refused)
        suspended = (
            "delivery temporarily suspended: connect to x[1.2.3.4]:25: "
            "Connection refused"
        )
        self.assertEqual(self.last().reason, suspended)
        self.assertEqual(self.last().status, "4.4.1")
        self.assertEqual(len(world.agent.hands), 5)
        self.assertEqual(
            [world.row(i).queue for i in ids[5:]], [QueueName.DEFERRED] * 3
        )
        world.put("late@dead")
        self.assertEqual(self.last().reason, suspended)
        world.put("other@alive")
        self.assertEqual(len(world.agent.hands), 6)
        for hand in world.agent.hands[3:5]:
            hand.end(refused)
        world.run(290, 10)
        self.assertEqual(len(world.agent.hands), 6)
        world.run(10, 10)
        self.assertEqual(len(world.agent.hands), 11)

    def test_refusals_are_no_dead_destination(self) -> None:
        """
        A server that answers, whatever it answers, is alive.
        """
        world = self.world
        world.start()
        world.agent.answer = busy
        for n in range(20):
            world.put(f"u{n}@one")
        self.assertEqual(len(world.agent.hands), 20)

    def test_flush_revives(self) -> None:
        """
        A flush tries dead destinations and resting transports again.
        """
        world = self.world
        world.start()
        world.agent.answer = refused
        for n in range(5):
            world.put(f"u{n}@dead")
        before = len(world.agent.hands)
        world.agent.answer = sent
        self.assertEqual(self.successResultOf(world.manager.flush()), 5)
        self.assertEqual(len(world.agent.hands), before + 5)
        self.assertEqual(world.store.rows, {})

    def test_flush_one(self) -> None:
        """
        One message can be tried before its time.
        """
        world = self.world
        world.start()
        world.agent.answer = busy
        one, other = world.put("a@one"), world.put("b@two")
        world.run(10)
        self.assertEqual(self.successResultOf(world.manager.flush([one])), 1)
        self.assertEqual(world.agent.attempts, ["a@one", "b@two", "a@one"])
        self.assertEqual(world.queue(other), QueueName.DEFERRED)

    def test_hold(self) -> None:
        """
        A message that is put on hold in hand finishes its attempt, and is
        then left alone, also by a flush.
        """
        world = self.world
        world.start()
        queue_id = world.put("a@one")
        world.row(queue_id).queue = QueueName.HOLD
        world.agent.hands[0].end(busy)
        world.run(5000, 100)
        self.successResultOf(world.manager.flush())
        self.assertEqual(len(world.agent.hands), 1)
        self.assertEqual(world.queue(queue_id), QueueName.HOLD)

    def test_soft_bounce(self) -> None:
        """
        With soft_bounce a failure is a delay, and Postfix's word for it is in
        the log.
        """
        self.world = world = World(soft_bounce="yes")
        world.start()
        world.agent.answer = no_user
        queue_id = world.put("a@one")
        self.assertEqual(world.queue(queue_id), QueueName.DEFERRED)
        self.assertIn("dsn=4.1.1, status=SOFTBOUNCE (host x", world.sink.lines()[-1])
        self.assertEqual(world.others(queue_id), [])

    def test_double_bounce_address(self) -> None:
        """
        Mail to our own double bounce address is dropped, as in Postfix.
        """
        world = self.world
        world.start()
        world.resolver.routes[HOST] = "local"
        world.put(f"Double-Bounce@{HOST}", sender="")
        self.assertEqual(world.store.rows, {})
        self.assertEqual(world.local.hands, [])
        self.assertIn(
            "status=sent (undeliverable postmaster notification discarded)",
            world.sink.lines()[1],
        )


class BoundTests(SynchronousTestCase):
    def test_message_limit(self) -> None:
        """
        No more than qmgr_message_active_limit messages are in memory; more
        are read as they leave, and none is forgotten.
        """
        world = World(qmgr_message_active_limit="5")
        for n in range(30):
            world.put(f"u@d{n}")
        world.start()
        seen = 0
        while seen < 30:
            self.assertLessEqual(len(world.manager.active), 5)
            hands = world.agent.hands[seen:]
            self.assertTrue(hands)
            for hand in hands:
                hand.end()
                seen += 1
            world.run(1)
        self.assertEqual(world.store.rows, {})

    def test_recipient_limit(self) -> None:
        """
        No more messages are read while qmgr_message_recipient_limit
        recipients are in memory.
        """
        world = World(qmgr_message_recipient_limit="10")
        for n in range(20):
            world.put(f"a@d{n}", f"b@d{n}", f"c@d{n}")
        world.start()
        seen = 0
        while world.store.rows:
            recipients = sum(
                len(m.envelope.recipients) for m in world.manager.active.values()
            )
            self.assertLessEqual(recipients, 30)  # one page of ten messages
            hands = world.agent.hands[seen:]
            self.assertTrue(hands)
            for hand in hands:
                hand.end()
                seen += 1
            world.run(1)
        self.assertEqual(len(world.agent.attempts), 60)

    def test_large_message(self) -> None:
        """
        A message with more recipients than the limit is delivered all the
        same.
        """
        world = World(qmgr_message_recipient_limit="10")
        world.start()
        world.agent.answer = sent
        world.put(*(f"u{n}@one" for n in range(100)))
        self.assertEqual(world.store.rows, {})
        self.assertEqual(len(world.agent.hands), 2)

    def test_ten_thousand_recipients(self) -> None:
        """
        A mailing to 10,000 local users or to one domain keeps no other
        message waiting for more than its turn.
        """
        for domain in ("here", "one"):
            with self.subTest(domain=domain):
                world = World()
                world.processes["local"] = world.processes["smtp"] = 1
                world.manager = world.make_manager()
                world.resolver.routes["here"] = "local"
                world.start()
                agent = world.local if domain == "here" else world.agent
                world.put(*(f"u{n}@{domain}" for n in range(10_000)))
                world.put(f"other@{domain}")
                for _ in range(3):
                    agent.hands[-1].end()
                self.assertIn(f"other@{domain}", agent.attempts)
                while world.store.rows:
                    agent.hands[-1].end()
                self.assertEqual(len(agent.attempts), 10_001)
                self.assertEqual(len(set(agent.attempts)), 10_001)

    def test_process_limit(self) -> None:
        """
        No more deliveries at a time than maxproc; 0 is no limit.
        """
        world = World()
        world.processes["smtp"] = 3
        world.manager = world.make_manager()
        world.start()
        for n in range(20):
            world.put(f"u@d{n}")
        for _ in range(20):
            open_hands = [h for h in world.agent.hands if not h.ended.called]
            self.assertLessEqual(len(open_hands), 3)
            open_hands[0].end()
        self.assertEqual(world.store.rows, {})

    def test_concurrency_limit(self) -> None:
        """
        A transport's own concurrency limit counts before the default.
        """
        world = World(smtp_destination_concurrency_limit="2")
        world.start()
        for n in range(10):
            world.put(f"u{n}@one")
        self.assertEqual(len(world.agent.hands), 2)

    def test_rate_delay(self) -> None:
        """
        default_destination_rate_delay seconds lie between two deliveries to
        one destination.
        """
        world = World(default_destination_rate_delay="10s")
        world.start()
        world.agent.answer = sent
        for n in range(4):
            world.put(f"u{n}@one")
        world.run(100)
        self.assertEqual(world.agent.times, [100, 110, 120, 130])

    def test_transport_rate_delay(self) -> None:
        """
        smtp_transport_rate_delay seconds lie between two deliveries.
        """
        world = World(smtp_transport_rate_delay="10s")
        world.start()
        world.agent.answer = sent
        for n in range(4):
            world.put(f"u@d{n}")
        world.run(100)
        self.assertEqual(world.agent.times, [100, 110, 120, 130])

    def test_new_and_deferred_mail_share(self) -> None:
        """
        A flood of new mail does not keep deferred mail out of the active
        queue.
        """
        world = World(qmgr_message_active_limit="4")
        world.start()
        world.agent.answer = busy
        old = [world.put(f"old{n}@o{n}") for n in range(4)]
        self.assertEqual({world.queue(i) for i in old}, {QueueName.DEFERRED})
        world.agent.answer = None
        world.agent.hands.clear()
        world.kill()
        for n in range(50):
            world.put(f"new{n}@n{n}")
        world.clock.advance(400)
        world.restart()
        attempts = world.agent.attempts
        self.assertEqual(len([a for a in attempts if a.startswith("old")]), 2)
        self.assertEqual(len([a for a in attempts if a.startswith("new")]), 2)

    def test_claims_that_answer_later(self) -> None:
        """
        A store may answer a claim later; doorbells meanwhile are not lost.
        """
        world = World()
        claim = world.store.claim
        waiting: list[tuple[Deferred[object], int, float]] = []

        def later(limit: int, now: float) -> Deferred[object]:
            answer: Deferred[object] = Deferred()
            waiting.append((answer, limit, now))
            return answer

        self.patch(world.store, "claim", later)
        world.start()
        answer, limit, now = waiting.pop()
        page = claim(limit, now)
        world.put("a@one")
        self.assertEqual(waiting, [])
        answer.callback(page)
        answer, limit, now = waiting.pop()
        answer.callback(claim(limit, now))
        self.assertEqual(world.agent.attempts, ["a@one"])


class StopTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World(default_destination_concurrency_limit="1")
        self.world.start()

    def test_nothing_in_hand(self) -> None:
        """
        An idle queue manager stops at once, and leaves no timer behind.
        """
        self.successResultOf(self.world.manager.stopService())
        self.assertEqual(self.world.clock.getDelayedCalls(), [])

    def test_deliveries_in_hand(self) -> None:
        """
        Deliveries in hand end and are recorded, others do not start.
        """
        world = self.world
        first, second = world.put("a@one"), world.put("b@one")
        stopped = world.manager.stopService()
        self.assertNoResult(stopped)
        world.agent.hands[0].end()
        self.successResultOf(stopped)
        self.assertIsNone(world.queue(first))
        self.assertIsNotNone(world.queue(second))
        self.assertEqual(len(world.agent.hands), 1)
        self.assertEqual(world.clock.getDelayedCalls(), [])

    def test_part_of_a_message(self) -> None:
        """
        What is delivered of a message that cannot end is recorded before we
        stop.
        """
        world = self.world
        queue_id = world.put(*(f"u{n}@one" for n in range(80)))
        stopped = world.manager.stopService()
        world.agent.hands[0].end()
        self.successResultOf(stopped)
        self.assertEqual(len(world.row(queue_id).states), 30)

    def test_limit(self) -> None:
        """
        An agent that never ends does not keep us from stopping.
        """
        world = self.world
        world.put("a@one")
        drained = world.manager.drain(5)
        world.run(4)
        self.assertNoResult(drained)
        world.run(1)
        self.successResultOf(drained)

    def test_new_mail_while_stopping(self) -> None:
        """
        Mail that arrives while we stop stays for whoever starts next.
        """
        world = self.world
        world.put("a@one")
        stopped = world.manager.stopService()
        queue_id = world.put("b@two")
        world.agent.hands[0].end()
        self.successResultOf(stopped)
        self.assertEqual(world.queue(queue_id), QueueName.INCOMING)
        self.assertEqual(len(world.sink.of(Activated)), 1)
