"""
Tests for L{txmta.master.remote_agent}, L{txmta.master.agent_host} and
L{txmta.master.elsewhere}, over links in memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import cast

from twisted.internet.interfaces import IReactorTime
from twisted.trial.unittest import SynchronousTestCase

from tests.master.children import Answer, Child, Site
from tests.master.pairs import until
from tests.master.socket_net import SocketNet
from tests.master.test_link import Transport
from tests.master.test_wire import make_request
from tests.queue.doubles import busy, no_user, sent
from txmta.config.settings import Settings
from txmta.errors import StoreUnavailable
from txmta.events import Delivery
from txmta.master import agent_host
from txmta.master.agent_host import MEMORY_RECIPIENTS
from txmta.master.elsewhere import MAX_HELD, WorkElsewhere
from txmta.master.frames import Record, encode
from txmta.master.link import Link
from txmta.master.remote_agent import WAIT, RemoteAgents
from txmta.master.wire import encode_request
from txmta.master.wire_work import OWN_KEYS
from txmta.model import (
    Action,
    AddressClass,
    Forward,
    Outcome,
    QueueName,
    Route,
)


class SiteCase(SynchronousTestCase):
    def sent_lines(self, site: Site) -> list[str]:
        return [line for line in site.world.sink.lines() if "status=" in line]


class DeliveryTests(SiteCase):
    def test_delivered(self) -> None:
        """
        A message is delivered by an agent in another process.
        """
        site = Site(answer=sent)
        queue_id = site.world.put("a@x.example", "b@x.example", "c@y.example")
        site.net.run()
        self.assertIsNone(site.world.queue(queue_id))
        self.assertEqual(
            sorted(address for _, address in site.delivered),
            ["a@x.example", "b@x.example", "c@y.example"],
        )
        self.assertEqual(len(self.sent_lines(site)), 3)
        self.assertEqual(site.warned, [])

    def test_reported_when_final(self) -> None:
        """
        Each outcome passes when it is final, not when the delivery is over.
        """
        site = Site(1)
        site.world.put("a@x.example", "b@x.example")
        site.net.run()
        (hand,) = site.children[0].smtp.hands
        hand.report(sent(hand.request.recipients[1]))
        site.net.run()
        (line,) = self.sent_lines(site)
        self.assertIn("to=<b@x.example>", line)

    def test_least_busy(self) -> None:
        """
        Whoever has the fewest deliveries in hand gets the next.
        """
        site = Site(2)
        for n in range(4):
            site.world.put(f"a@x{n}.example")
        site.net.run()
        one, other = site.children
        self.assertEqual([len(one.smtp.hands), len(other.smtp.hands)], [2, 2])
        for hand in other.smtp.hands:
            hand.end()
        site.net.run()
        site.world.put("a@y.example", "a@z.example")
        site.net.run()
        self.assertEqual([len(one.smtp.hands), len(other.smtp.hands)], [2, 4])

    def test_joins(self) -> None:
        """
        What an agent says of waiting for others only is heard, once.
        """
        site = Site(1)
        site.world.processes["smtp"] = 100
        joined: list[None] = []
        site.world.put("a@x.example")
        site.net.run()
        (end,) = site.remote._ends
        (delivery,) = end.hands.values()
        delivery.request = replace(delivery.request, joins=lambda: joined.append(None))
        (hand,) = site.children[0].smtp.hands
        hand.request.joins()
        hand.request.joins()
        site.net.run()
        self.assertEqual(len(joined), 1)
        hand.end()
        hand.request.joins()
        site.net.run()
        self.assertEqual(len(joined), 1)

    def test_failures(self) -> None:
        """
        An agent fails with what it fails with; what it forgets is forgotten.
        """
        for error, words in (
            (StoreUnavailable("the disk is gone"), "the disk is gone"),
            (KeyError("x"), "unknown mail transport error"),
            (None, "unknown mail transport error"),
        ):
            site = Site(1)
            site.world.put("a@x.example")
            site.net.run()
            (hand,) = site.children[0].smtp.hands
            if error is None:
                hand.ended.callback(None)
            else:
                hand.ended.errback(error)
            site.net.run()
            self.flushLoggedErrors(KeyError)
            (line,) = self.sent_lines(site)
            self.assertIn(words, line)
            self.assertIn("status=deferred", line)

    def test_raises(self) -> None:
        """
        An agent that raises, gives no Deferred, or is not there, has failed.
        """
        site = Site(1)
        child = site.children[0]

        class Broken:
            name = "smtp"

            def deliver(self, request: object, report: object) -> object:
                raise KeyError("x")

        class Async(Broken):
            def deliver(self, request: object, report: object) -> object:
                return 3

        for agent in (Broken(), Async(), None):
            child.host.agents = {"smtp": agent} if agent else {}  # type: ignore[dict-item]
            site.world.put(f"a@{type(agent).__name__}.example")
            site.net.run()
            site.world.manager.dispatcher.revive()
        self.flushLoggedErrors(KeyError)
        self.assertEqual(len(self.sent_lines(site)), 3)

    def test_buggy_agent(self) -> None:
        """
        What an agent gets wrong costs neither the link nor the others.
        """
        site = Site(1)
        site.world.put("a@x.example", "b@x.example")
        site.net.run()
        child = site.children[0]
        (hand,) = child.smtp.hands
        good = sent(hand.request.recipients[0])
        for bad in (
            None,
            replace(good, n=7),
            replace(good, n=cast(int, [])),
            replace(good, bounce_to="a\nb"),
        ):
            hand.report(cast(Outcome, bad))
        hand.report(good)
        hand.report(good)
        self.assertEqual(len(child.warned), 5)
        hand.end()
        site.net.run()
        self.assertEqual(len(self.sent_lines(site)), 2)
        self.assertEqual(site.warned, [])

    def test_too_long(self) -> None:
        """
        A recipient that no record can hold is deferred, and nobody else.
        """
        site = Site(1, answer=sent)
        long = "a" * 30_000 + "@x.example"
        one = site.world.put(long)
        other = site.world.put("a@x.example")
        site.net.run()
        self.assertEqual(site.world.queue(one), QueueName.DEFERRED)
        self.assertIsNone(site.world.queue(other))

    def test_reroute_and_forward(self) -> None:
        """
        local sends a recipient another way, and makes new messages.
        """
        site = Site(1)
        site.world.resolver.routes["l.example"] = "local"
        site.world.put("a@l.example", "b@l.example")
        site.net.run()
        child = site.children[0]
        one, other = child.local.hands
        (a,), (b,) = one.request.recipients, other.request.recipients
        route = Route(AddressClass.LOCAL, "smtp", "elsewhere.example", a.address)
        one.report(Outcome(a.n, Action.DELAYED, "4.3.0", "passed", reroute=route))
        forward = Forward("s@x.example", ("c@x.example",), b"X: y\r\n")
        other.report(replace(sent(b), forward=(forward,)))
        for hand in (one, other):
            hand.ended.callback(None)
        site.net.run()
        self.assertEqual(child.smtp.attempts, ["a@l.example"])
        child.smtp.hands[0].end()
        site.net.run()
        self.assertEqual(child.smtp.attempts, ["a@l.example", "c@x.example"])


class NobodyThereTests(SiteCase):
    def test_waits(self) -> None:
        """
        A delivery waits a while for a process.
        """
        site = Site(0, answer=sent)
        queue_id = site.world.put("a@x.example")
        site.net.pass_time(WAIT - 1)
        self.assertEqual(self.sent_lines(site), [])
        site.add_child()
        site.net.run()
        self.assertIsNone(site.world.queue(queue_id))
        site.net.pass_time(2 * WAIT)

    def test_not_for_ever(self) -> None:
        """
        Then it is deferred; the transport is not to blame, so the next one
        goes as soon as there is a process.
        """
        site = Site(0, answer=sent)
        first = site.world.put("a@x.example")
        site.net.pass_time(WAIT - 4)
        second = site.world.put("b@x.example")
        site.net.pass_time(5)
        (line,) = self.sent_lines(site)
        self.assertIn("status=deferred (mail transport unavailable)", line)
        self.assertEqual(site.world.queue(first), QueueName.DEFERRED)
        site.add_child()
        site.net.run()
        self.assertIsNone(site.world.queue(second))

    def test_made_again(self) -> None:
        """
        A process ends: another makes the deliveries that it had in hand, for
        recipients that have no outcome.
        """
        site = Site(1)
        queue_id = site.world.put("a@x.example", "b@x.example")
        site.net.run()
        (hand,) = site.children[0].smtp.hands
        hand.report(sent(hand.request.recipients[0]))
        site.net.run()
        site.kill_child(0)
        self.assertEqual(site.warned, ["smtp.0 ended with 1 deliveries in hand"])
        child = site.add_child()
        site.net.run()
        (again,) = child.smtp.hands
        self.assertEqual(again.addresses, ["b@x.example"])
        again.end()
        site.net.run()
        self.assertIsNone(site.world.queue(queue_id))

    def test_all_told_but_the_end(self) -> None:
        """
        A process that ends when all outcomes are known has nothing in hand.
        """
        site = Site(1)
        queue_id = site.world.put("a@x.example")
        site.net.run()
        (hand,) = site.children[0].smtp.hands
        hand.report(sent(hand.request.recipients[0]))
        site.net.run()
        site.kill_child(0)
        site.net.run()
        self.assertIsNone(site.world.queue(queue_id))
        self.assertFalse(site.world.manager.dispatcher.hands)

    def test_ends_everybody(self) -> None:
        """
        A message that ends each process that it comes to ends two of them; its
        delivery is put off, and other mail goes on.
        """
        site = Site(3)
        queue_id = site.world.put("poison@x.example")
        for n in range(2):
            site.net.run()
            self.assertEqual(len(site.children[n].smtp.hands), 1)
            site.kill_child(n)
        site.net.run()
        self.assertEqual(site.world.queue(queue_id), QueueName.DEFERRED)
        (line,) = self.sent_lines(site)
        self.assertIn("4.3.0", line)
        self.assertIn("(delivery agent process ended)", line)
        site.world.put("good@x.example")
        site.net.run()
        self.assertEqual(len(site.children[2].smtp.hands), 1)


class KillTests(SiteCase):
    """
    Either end dies at every record.
    """

    def site(self, answer: Answer | None = None) -> Site:
        return Site(answer=answer)

    def put(self, site: Site) -> None:
        site.world.put("a@x.example", "b@x.example", "c@y.example")
        site.world.put("d@x.example")
        site.world.put("e@z.example", "f@y.example")

    def is_over(self, site: Site) -> bool:
        return not site.world.store.rows

    def every_place(self) -> int:
        site = self.site(sent)
        self.put(site)
        site.net.run()
        self.assertTrue(self.is_over(site))
        return site.net.steps

    def test_queue_manager(self) -> None:
        """
        The queue manager dies after any record: the next one delivers all, and
        nothing twice.
        """
        for place in range(self.every_place() + 1):
            site = self.site(sent)
            site.net.limit = place
            self.put(site)
            site.net.run()
            site.kill_manager()
            site.net.limit = None
            site.start_manager()
            until(site.net, lambda s=site: self.is_over(s), 10)  # type: ignore[misc]
            self.assertTrue(self.is_over(site), f"after {place} records")
            twice = [k for k, n in Counter(site.delivered).items() if n > 1]
            self.assertEqual(twice, [], f"after {place} records")
            self.assertEqual(len(site.delivered), 6)

    def test_queue_manager_and_slow_agents(self) -> None:
        """
        The same when deliveries end only long after the next one is there,
        or while there is none.
        """
        for late in (True, False):
            for place in range(14):
                site = self.site()
                site.net.limit = place
                self.put(site)
                site.net.run()
                site.kill_manager()
                site.net.limit = None
                if not late:
                    self.end_all(site)
                site.start_manager()
                site.net.pass_time(2)
                while self.end_all(site):
                    site.net.pass_time(2)
                where = f"after {place} records, late={late}"
                self.assertTrue(self.is_over(site), where)
                self.assertEqual(len(site.delivered), 6, where)
                self.assertEqual(len(set(site.delivered)), 6, where)

    def end_all(self, site: Site) -> bool:
        """
        @return: whether anything was in hand.
        """
        some = False
        for child in site.children:
            for hand in child.smtp.hands:
                if not hand.ended.called and not child.dead:
                    hand.end()
                    some = True
        return some

    def test_agent(self) -> None:
        """
        A process that delivers dies after any record: another delivers all,
        and twice at most what the dead one had delivered.
        """
        for place in range(self.every_place() + 1):
            site = self.site(sent)
            site.net.limit = place
            self.put(site)
            site.net.run()
            site.kill_child(0)
            site.net.limit = None
            until(site.net, lambda s=site: self.is_over(s), 10)  # type: ignore[misc]
            self.assertTrue(self.is_over(site), f"after {place} records")
            twice = {k for k, n in Counter(site.delivered).items() if n > 1}
            self.assertLessEqual(twice, set(site.children[0].delivered))
            self.assertEqual(len(set(site.delivered)), 6)

    def test_both(self) -> None:
        """
        The queue manager and a process at once.
        """
        for place in range(self.every_place() + 1):
            site = self.site(sent)
            site.net.limit = place
            self.put(site)
            site.net.run()
            site.kill_manager()
            site.kill_child(0)
            site.net.limit = None
            site.start_manager()
            until(site.net, lambda s=site: self.is_over(s), 10)  # type: ignore[misc]
            self.assertTrue(self.is_over(site), f"after {place} records")
            self.assertEqual(len(set(site.delivered)), 6)

    def test_queue_manager_twice(self) -> None:
        """
        The next queue manager dies as well, before or after it has asked.
        """
        for place in range(12):
            site = self.site()
            self.put(site)
            site.net.run()
            self.end_all(site)
            site.kill_manager()
            site.net.steps, site.net.limit = 0, place
            site.start_manager()
            site.net.run()
            site.kill_manager()
            site.net.limit = None
            site.start_manager()
            site.net.pass_time(2)
            while self.end_all(site):
                site.net.pass_time(2)
            self.assertTrue(self.is_over(site), f"after {place} records")
            self.assertEqual(len(site.delivered), 6, f"after {place} records")


class SocketKillTests(KillTests):
    """
    The same over real sockets.
    """

    def site(self, answer: Answer | None = None) -> Site:
        net = SocketNet()
        self.addCleanup(net.close)
        return Site(answer=answer, net=net)


class NextManagerTests(SiteCase):
    def test_not_dispatched(self) -> None:
        """
        What an agent has in hand nobody else gets, however long it takes; the
        outcome is logged and recorded as if this queue manager had asked.
        """
        site = Site(2)
        queue_id = site.world.put("a@x.example", "b@y.example")
        site.net.run()
        site.kill_manager()
        site.start_manager()
        site.net.pass_time(60)
        self.assertEqual(len(site.delivered), 2)
        one, other = (child.smtp.hands[0] for child in site.children)
        one.end(no_user)
        other.end(busy)
        site.net.run()
        self.assertEqual(site.world.queue(queue_id), QueueName.DEFERRED)
        events = {e.recipient.address: e for e in site.world.sink.of(Delivery)}
        self.assertEqual(events["a@x.example"].program, "smtp")
        self.assertIs(events["a@x.example"].outcome.action, Action.FAILED)
        self.assertIs(events["b@y.example"].outcome.action, Action.DELAYED)
        self.assertEqual(len(site.world.others(queue_id)), 1)

    def test_still_there(self) -> None:
        """
        While another queue manager ends what it has in hand, the next one is
        linked already, but asks nobody: the deliveries are not its.
        """
        site = Site(1)
        site.world.put("a@x.example", "b@y.example")
        site.net.run()
        (child,) = site.children
        clock = cast(IReactorTime, site.world.clock)
        elsewhere = WorkElsewhere(clock)
        remote = RemoteAgents(clock, site.warned.append, elsewhere)
        remote.agent("smtp", "smtp", onward=False)
        pair = site.net.connect(remote.link("smtp.0"), child.host.link("qmgr.2"))
        site.net.pass_time(60)
        self.assertEqual(pair.passed, [])
        child.smtp.hands[0].end()
        site.net.run()
        self.assertEqual(len(self.sent_lines(site)), 1)
        site.kill_manager()
        site.net.run()
        elsewhere.ready()
        site.net.run()
        self.assertEqual(
            [record["t"] for record in pair.passed],
            ["hello", "working", "working", "outcome", "done", "worked"],
        )
        child.smtp.hands[1].end()
        site.net.run()
        self.assertEqual([r["t"] for r in pair.passed][-2:], ["outcome", "done"])

    def test_gives_up(self) -> None:
        """
        When the agent gives up a recipient, or dies, it is delivered anew.
        """
        for dies in (True, False):
            site = Site(1)
            site.world.put("a@x.example")
            site.net.run()
            site.kill_manager()
            site.start_manager()
            site.net.run()
            child = site.add_child()
            site.net.run()
            if dies:
                site.kill_child(0)
            else:
                site.children[0].smtp.hands[0].ended.errback(StoreUnavailable("x"))
            site.net.run()
            hands = child.smtp.hands + site.children[0].smtp.hands[1:]
            self.assertEqual(len(hands), 1, dies)

    def test_given_up_meanwhile(self) -> None:
        """
        What an agent gave up while nobody was there is in nobody's hand.
        """
        site = Site(1)
        site.world.put("a@x.example")
        site.net.run()
        site.kill_manager()
        site.children[0].smtp.hands[0].ended.errback(StoreUnavailable("x"))
        site.start_manager()
        site.net.run()
        self.assertEqual(site.warned, [])
        self.assertEqual(len(site.children[0].smtp.hands), 2)

    def test_put_off(self) -> None:
        """
        The queue manager was told that all are put off, but not that it is
        over: there is nothing left to tell, before the next one is there or
        after.
        """
        for meanwhile in (True, False):
            site = Site(1)
            site.world.put("a@x.example", "b@x.example")
            site.net.run()
            (child,) = site.children
            (hand,) = child.smtp.hands
            for recipient in hand.request.recipients:
                hand.report(busy(recipient))
            site.net.limit = site.net.steps
            site.net.run()
            site.kill_manager()
            site.net.limit = None
            if meanwhile:
                hand.ended.callback(None)
            site.start_manager()
            site.net.run()
            if not meanwhile:
                hand.ended.callback(None)
            site.net.run()
            self.assertEqual(site.warned, [])
            self.assertEqual(len(child.smtp.hands), 2)
            over: list[None] = []
            child.smtp.hands[1].end()
            child.host.drain().addCallback(over.append)
            site.net.run()
            self.assertEqual(over, [None])

    def test_too_old(self) -> None:
        """
        An outcome for another queue manager is an attempt like any: a message
        that is too old is given up after it.
        """
        site = Site(1)
        queue_id = site.world.put("a@x.example")
        site.net.run()
        site.kill_manager()
        site.world.clock.advance(6 * 86400)
        site.children[0].smtp.hands[0].end(busy)
        site.start_manager()
        site.net.run()
        self.assertIsNone(site.world.queue(queue_id))
        self.assertEqual(len(site.world.others(queue_id)), 1)

    def test_silent(self) -> None:
        """
        An agent that does not answer holds up the others for 5 seconds.
        """
        site = Site(2, answer=sent)
        site.kill_manager()
        site.world.put("a@x.example")
        hung = site.children[1]
        site.start_manager()
        site.net.pairs.remove(hung.pair)
        site.net.pass_time(4)
        site.world.manager.doorbell(())
        site.net.run()
        self.assertEqual(site.delivered, [])
        site.net.pass_time(2)
        self.assertEqual(len(site.delivered), 1)
        self.assertEqual(len(hung.delivered), 0)

    def test_rerouted(self) -> None:
        """
        An agent sends a recipient another way while no queue manager is there.
        """
        site = Site(1)
        site.world.resolver.routes["l.example"] = "local"
        queue_id = site.world.put("a@l.example")
        site.net.run()
        child = site.children[0]
        site.kill_manager()
        (hand,) = child.local.hands
        route = Route(AddressClass.LOCAL, "smtp", "elsewhere.example", "a@l.example")
        forward = Forward("s@x.example", ("c@x.example",), b"")
        hand.report(
            Outcome(
                0, Action.DELAYED, "4.3.0", "passed", reroute=route, forward=(forward,)
            )
        )
        hand.ended.callback(None)
        site.start_manager()
        site.net.run()
        self.assertEqual(child.smtp.attempts, ["a@l.example"])
        child.smtp.hands[0].end()
        site.net.run()
        self.assertEqual(child.smtp.attempts, ["a@l.example", "c@x.example"])
        self.assertIsNone(site.world.queue(queue_id))
        self.assertEqual(len(child.local.hands), 1)

    def test_told_but_not_written(self) -> None:
        """
        What a queue manager was told right before it died it may not have
        written down: the next one is told again.
        """
        site = Site(1, answer=sent)
        site.world.store.unavailable = StoreUnavailable("the disk is slow")
        queue_id = site.world.put("a@x.example")
        site.net.run()
        self.assertEqual(len(site.delivered), 1)
        site.kill_manager()
        site.world.store.unavailable = None
        site.start_manager()
        site.net.pass_time(1)
        self.assertIsNone(site.world.queue(queue_id))
        self.assertEqual(len(site.delivered), 1)


class DrainTests(SiteCase):
    def drain(self, child: Child) -> list[None]:
        over: list[None] = []
        child.host.drain().addCallback(over.append)
        return over

    def test_delays(self) -> None:
        """
        What a delivery took that outlived its queue manager counts once in
        the log: C{delay=} is the age of the message.
        """
        site = Site(1)
        site.world.put("a@x.example")
        site.net.run()
        site.net.pass_time(10)
        site.kill_manager()
        site.start_manager()
        site.net.run()
        site.net.pass_time(10)
        (hand,) = site.children[0].smtp.hands
        outcome = sent(hand.request.recipients[0])
        hand.report(replace(outcome, setup=5.0, transmission=15.0))
        hand.ended.callback(None)
        site.net.run()
        (line,) = self.sent_lines(site)
        self.assertRegex(line, r" delay=20, delays=0(\.\d+)?/0/5/15, ")

    def test_memory(self) -> None:
        """
        What agents remember of what they told is bounded by recipients, too:
        all of it can be told to the next queue manager.
        """
        self.patch(agent_host, "MEMORY_RECIPIENTS", 3)
        site = Site(1, answer=sent)
        child = site.children[0]
        for n in range(4):
            site.world.put(f"a@x{n}.example", f"b@x{n}.example")
            site.net.run()
        site.kill_manager()
        self.assertEqual(len(child.host._untold), 1)
        site.start_manager()
        site.net.run()
        for n in range(4, 6):
            site.world.put(f"a@x{n}.example", f"b@x{n}.example")
            site.net.run()
        site.kill_manager()
        self.assertEqual(len(child.host._untold), 1)
        active = int(Settings.of().qmgr_message_recipient_limit)
        self.assertLess(MEMORY_RECIPIENTS + active, MAX_HELD)

    def test_nothing_in_hand(self) -> None:
        site = Site(2, answer=sent)
        site.net.run()
        over = self.drain(site.children[0])
        self.assertEqual(over, [])
        site.net.run()
        self.assertEqual(over, [None])
        site.world.put("a@x.example")
        site.net.run()
        self.assertEqual(site.children[0].delivered, [])

    def test_no_queue_manager(self) -> None:
        """
        Whoever has nothing to tell need not wait for one.
        """
        site = Site(1)
        site.kill_manager()
        self.assertEqual(self.drain(site.children[0]), [None])

    def test_finishes(self) -> None:
        """
        What is in hand is finished; nothing new comes.
        """
        site = Site(2)
        queue_id = site.world.put("a@x.example")
        site.net.run()
        child = site.children[0]
        over = self.drain(child)
        site.net.pass_time(60)
        self.assertEqual(over, [])
        child.smtp.hands[0].end()
        child.clock.advance(0)
        self.assertEqual(over, [], "nobody has read the outcome")
        site.net.run()
        self.assertEqual(over, [None])
        self.assertIsNone(site.world.queue(queue_id))

    def test_on_the_way(self) -> None:
        """
        A request that crosses the farewell is served.
        """
        site = Site(1)
        site.net.run()
        queue_id = site.world.put("a@x.example")
        over = self.drain(site.children[0])
        site.net.run()
        self.assertEqual(over, [])
        site.children[0].smtp.hands[0].end()
        site.net.run()
        self.assertEqual(over, [None])
        self.assertIsNone(site.world.queue(queue_id))

    def test_until_told(self) -> None:
        """
        Outcomes that nobody was told are told to the next queue manager.
        """
        site = Site(1)
        queue_id = site.world.put("a@x.example")
        site.net.run()
        child = site.children[0]
        site.kill_manager()
        child.smtp.hands[0].end()
        over = self.drain(child)
        self.assertEqual(over, [])
        site.start_manager()
        site.net.run()
        self.assertEqual(over, [None])
        self.assertIsNone(site.world.queue(queue_id))

    def test_nobody_comes(self) -> None:
        """
        When the server stops, after its queue manager, nobody waits for
        another one that hears what it has written down long since; but what
        is in hand goes on.
        """
        site = Site(1)
        site.world.put("a@x.example")
        site.world.put("a@y.example")
        site.net.run()
        child = site.children[0]
        first, second = child.smtp.hands
        first.report(sent(first.request.recipients[0]))
        first.ended.callback(None)
        site.net.run()
        site.kill_manager()
        over = self.drain(child)
        child.host.nobody_comes()
        self.assertEqual(over, [])
        second.report(sent(second.request.recipients[0]))
        second.ended.callback(None)
        self.assertEqual(over, [None])

    def test_told_while_ending(self) -> None:
        """
        The same when that is known only later.
        """
        site = Site(1, answer=sent)
        site.world.put("a@x.example")
        site.net.run()
        over = self.drain(site.children[0])
        site.kill_manager()
        self.assertEqual(over, [])
        site.children[0].host.nobody_comes()
        self.assertEqual(over, [None])

    def test_retired(self) -> None:
        """
        A link to a process that is only to end what it has brings no work.
        """
        site = Site(0, answer=sent)
        child = site.add_child(link=False)
        child.pair = site.net.connect(
            site.remote.link(child.name, last=True), child.host.link("qmgr")
        )
        site.world.put("a@x.example")
        site.net.run()
        self.assertEqual(child.delivered, [])


class ManagerLieTests(SiteCase):
    """
    Whoever plays the queue manager costs us a link at most.
    """

    def refused(self, *records: Record) -> None:
        site = Site(1)
        site.kill_manager()
        (child,) = site.children
        clock = cast(IReactorTime, site.world.clock)
        liar = Link("smtp.0", {}, clock, lost=lambda reason: None)
        site.net.connect(liar, child.host.link("qmgr"))
        for record in records:
            self.assertEqual(child.warned, [])
            liar.send(record)
            site.net.run()
        self.assertEqual(len(child.warned), 1)

    def test_keys(self) -> None:
        """
        Keys name one delivery each, and are its own.
        """
        for key in (OWN_KEYS, -1, 1 << 60):
            (record,) = encode_request(1, make_request())
            self.refused({**record, "key": key})

    def test_twice(self) -> None:
        (record,) = encode_request(1, make_request())
        site = Site(1)
        (child,) = site.children
        site.net.run()
        (end,) = site.remote._ends
        end.link.send(record)
        end.link.send(record)
        site.net.run()
        self.assertIn("a key that is in use", child.warned[0])
        self.assertEqual(len(child.smtp.hands), 1)

    def test_ahead(self) -> None:
        """
        Whoever reads content hears of all deliveries that came together before
        any is begun; of what is none of ours it hears nothing, and that is
        found wrong as ever.
        """
        site = Site(1)
        (child,) = site.children
        site.net.run()
        told: list[list[tuple[str, int]]] = []

        def ahead(wanted: Iterable[tuple[str, int]]) -> None:
            self.assertEqual(child.smtp.hands, [])
            told.append([*wanted])

        child.host.ahead = ahead
        link = child.host.link("qmgr")
        link.makeConnection(Transport())
        (record,) = encode_request(1, make_request())
        queue_id = make_request().envelope.queue_id
        good = {**record, "key": 2}
        link.dataReceived(encode([{"t": "hello"}, record, good]))
        self.assertEqual(told, [[(queue_id, 5123)] * 2])
        self.assertEqual(len(child.smtp.hands), 2)
        envelope: object
        for envelope in (None, 1, {}, {"0": "x"}, [], [None], [["x"]], ["../x"]):
            self.refuses_ahead({**record, "envelope": envelope})
        for size in (None, -1, 1 << 60, "1", 1.5):
            self.refuses_ahead({**record, "size": size})
        self.refuses_ahead({"t": "deliver"})

    def refuses_ahead(self, record: Record) -> None:
        """
        The record is not told of, and ends the link.
        """
        (child,) = Site(1).children
        told: list[tuple[str, int]] = []
        child.host.ahead = told.extend
        link = child.host.link("qmgr")
        link.makeConnection(Transport())
        link.dataReceived(encode([record]))
        self.assertEqual(told, [])
        self.assertEqual(len(child.warned), 1)

    def test_hello(self) -> None:
        """
        It asks once, and answers what it is asked.
        """
        site = Site(1)
        (child,) = site.children
        site.net.run()
        (end,) = site.remote._ends
        end.link.send({"t": "hello"})
        site.net.run()
        self.assertIn("asked twice", child.warned[0])
        self.refused({"t": "left"})
        self.refused({"t": "outcome"})
