"""
Tests of what the server answers to the queue tools, and to whoever else finds
its sockets. A client here is its octets and its credentials.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from typing import Any, cast

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.queue.doubles import World, refused
from txmta.errors import StoreUnavailable
from txmta.interfaces import IMatchList
from txmta.model import QueueName
from txmta.queue.listed import entries
from txmta.queue.public import (
    MOST,
    MOST_OF_USER,
    PATIENCE,
    Connection,
    Desk,
    Peer,
    Rights,
    peer_of,
)
from txmta.queue.public_answers import PAGE, Answers
from txmta.queue.public_wire import (
    MAX_IDS,
    MAX_REQUEST,
    QMGR,
    SHOWQ,
    BadRequest,
    Request,
)

OWNER, GROUP, ALICE, MALLORY = 200, 201, 1000, 1001

ROOT = Peer(0, frozenset({0}))
USER = Peer(ALICE, frozenset({ALICE, GROUP}))
NAMES = {ALICE: "alice", MALLORY: "mallory"}


class Names:
    """
    A list that holds these, and nothing else.
    """

    def __init__(self, *names: str) -> None:
        self._names = names

    def match(self, item: str) -> bool:
        return item in self._names


class Wire(StringTransport):
    """
    @ivar aborted: the server has had enough.
    """

    aborted = False

    def getHandle(self) -> object:
        return self

    def abortConnection(self) -> None:
        self.aborted = self.disconnecting = True


class PublicTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World()
        self.world.agent.answer = refused
        self.world.start()
        self.addCleanup(self.world.kill)
        rights = Rights(
            OWNER,
            GROUP,
            cast(IMatchList, Names("alice", "mallory")),
            cast(IMatchList, Names("alice")),
            lambda uid: NAMES.get(uid, "unknown"),
        )
        self.answers = Answers(
            self.world.store,
            self.world.manager,
            cast(IMatchList, Names("x.test", "[192.0.2.1]")),
            self.world.sink,
        )
        self.peer = ROOT
        self.desk = Desk(
            rights,
            self.answers,
            cast(IReactorTime, self.world.clock),
            lambda _: self.peer,
        )

    def connect(self, peer: Peer = ROOT, name: str = QMGR) -> tuple[Connection, Wire]:
        self.peer = peer
        connection, wire = Connection(self.desk, name), Wire()
        connection.makeConnection(wire)
        return connection, wire

    def leave(self, connection: Connection) -> None:
        connection.connectionLost(Failure(ConnectionDone()))

    def ask(
        self, request: Request, peer: Peer = ROOT, name: str = ""
    ) -> list[dict[str, Any]]:
        name = name or (SHOWQ if request.operation == "list" else QMGR)
        connection, wire = self.connect(peer, name)
        connection.dataReceived(request.encode())
        self.world.run(1, 0.1)
        self.assertTrue(wire.disconnecting)
        self.leave(connection)
        return [json.loads(line) for line in wire.value().splitlines()]

    def listed(self, queue: str, after: str = "") -> list[str]:
        *lines, end = self.ask(Request("list", queues=(queue,), after=after))
        self.assertEqual(end["t"], "end")
        return [entry.queue_id for entry in entries(lines)]


class ListTests(PublicTestCase):
    def test_queues(self) -> None:
        """
        Each message is in the listing of its queue, and in no other; what is in
        the queue manager's memory is active.
        """
        deferred = self.world.put("a@x.test")
        held = self.world.put("b@x.test")
        self.world.run(1)
        self.world.store.hold([held])
        self.world.agent.answer = None
        active = self.world.put("c@y.test")
        self.world.run(1)
        self.assertEqual(self.listed("deferred"), [deferred])
        self.assertEqual(self.listed("hold"), [held])
        self.assertEqual(self.listed("active"), [active])
        self.assertEqual(self.listed("incoming"), [])
        self.assertEqual(self.listed("maildrop"), [])

    def test_fields(self) -> None:
        """
        A message has the reason of its delay, without the status code.
        """
        self.world.put("a@x.test", sender="")
        self.world.run(1)
        *lines, _ = self.ask(Request("list", queues=("deferred",)))
        (entry,) = entries(lines)
        self.assertEqual(entry.sender, "MAILER-DAEMON")
        self.assertEqual(
            entry.recipients,
            [("a@x.test", "connect to x[1.2.3.4]:25: Connection refused")],
        )

    def test_pages(self) -> None:
        """
        A long queue comes in pages; each says where the next one starts.
        """
        ids = [self.world.put("a@x.test") for _ in range(PAGE + 5)]
        self.world.run(2)
        first = self.ask(Request("list", queues=("deferred",)))
        self.assertEqual(len(first), PAGE + 1)
        self.assertEqual(first[-1]["after"], ids[PAGE - 1])
        self.assertEqual(self.listed("deferred", ids[PAGE - 1]), ids[PAGE:])

    def test_turns(self) -> None:
        """
        A long answer is given in turns: a user's listing takes half of our time.
        """
        for _ in range(20):
            self.world.put("a@x.test")
        self.world.run(2)
        seconds = self.world.clock.seconds

        def slow(*_: object) -> float:
            self.world.clock.rightNow += 0.003
            return seconds()

        self.world.clock.seconds = slow  # type: ignore[method-assign]
        connection, wire = self.connect(USER, SHOWQ)
        connection.dataReceived(Request("list", queues=("deferred",)).encode())
        self.assertFalse(wire.disconnecting)
        self.assertLess(wire.value().count(b"\n"), 5)
        for _ in range(50):
            self.world.clock.advance(0.05)
        self.assertEqual(wire.value().count(b"\n"), 21)

    def test_slow_reader(self) -> None:
        """
        Who does not read gets no more, and is dropped after a while; the queue
        is read no further for him.
        """
        for _ in range(3):
            self.world.put("a@x.test")
        self.world.run(1)
        connection, wire = self.connect(USER, SHOWQ)
        producer = cast(IPushProducer, wire.producer)
        producer.pauseProducing()
        connection.dataReceived(Request("list", queues=("deferred",)).encode())
        self.assertEqual(wire.value().count(b"\n"), 1)
        self.world.run(PATIENCE + 1)
        self.assertTrue(wire.aborted)
        self.leave(connection)
        self.assertEqual(wire.value().count(b"\n"), 1)

    def test_unavailable(self) -> None:
        """
        A store that cannot be read is told, and is no bug.
        """

        def find(*_: object) -> None:
            raise StoreUnavailable("disk on fire")

        self.patch(self.world.store, "find", find)
        (line,) = self.ask(Request("list", queues=("hold",)))
        self.assertEqual((line["kind"], line["text"]), ("trouble", "disk on fire"))


class ChangeTests(PublicTestCase):
    def done(self, operation: str, *ids: str, queues: Iterable[str] = ()) -> list[str]:
        *lines, end = self.ask(Request(operation, ids, tuple(queues)))
        self.assertEqual(end, {"t": "end"})
        return [f"{line['step']} {ids.index(line['id'])}" for line in lines]

    def put(self) -> str:
        queue_id = self.world.put("a@x.test")
        self.world.run(1)
        return queue_id

    def test_each(self) -> None:
        """
        Each change is told for each message that it concerns, and logged.
        """
        one, two = self.put(), self.put()
        self.assertEqual(self.done("hold", one, two, "nosuch"), ["hold 0", "hold 1"])
        self.assertEqual(self.world.queue(one), QueueName.HOLD)
        self.assertIn(f"postsuper: {one}: placed on hold", self.world.sink.lines())
        self.assertEqual(self.done("hold", one), [])
        self.assertEqual(self.done("expire", one), ["expire 0"])
        self.assertEqual(self.done("expire", one), [])
        self.assertEqual(self.world.queue(one), QueueName.HOLD)
        self.assertEqual(self.done("expire_release", one), ["release 0"])
        self.assertEqual(self.done("release", two), ["release 0"])
        self.assertEqual(self.done("delete", two), ["delete 0"])
        self.assertEqual(self.done("delete", two), [])

    def test_expire_release(self) -> None:
        """
        C{-f} on a held message is two steps.
        """
        one = self.put()
        self.done("hold", one)
        self.assertEqual(self.done("expire_release", one), ["expire 0", "release 0"])

    def test_queues(self) -> None:
        """
        A message in another queue than those named is left alone.
        """
        one = self.put()
        for queue in ("incoming", "active", "hold", "corrupt"):
            self.assertEqual(self.done("delete", one, queues=(queue,)), [])
        self.assertEqual(self.done("delete", one, queues=("deferred",)), ["delete 0"])

    def test_requeue(self) -> None:
        """
        Requeued mail is tried at once, also from hold.
        """
        one, two = self.put(), self.put()
        self.done("hold", one)
        before = len(self.world.agent.attempts)
        self.world.agent.answer = None
        self.assertEqual(self.done("requeue", one, two), ["requeue 0", "requeue 1"])
        self.assertEqual(self.world.queue(one), QueueName.DEFERRED)
        self.world.run(400)
        self.assertGreater(len(self.world.agent.attempts), before)

    def test_in_hand(self) -> None:
        """
        What is being delivered finishes its attempt, and is then on hold.
        """
        self.world.agent.answer = None
        one = self.world.put("a@x.test")
        self.world.run(1)
        self.assertEqual(self.done("hold", one, queues=("active",)), ["hold 0"])
        (hand,) = self.world.agent.hands
        hand.end(refused)
        self.world.run(1)
        self.assertEqual(self.world.queue(one), QueueName.HOLD)

    def test_all(self) -> None:
        """
        All at once: only counts are told.
        """
        ids = [self.put() for _ in range(3)]
        self.done("hold", ids[0])
        count = {"t": "count", "step": "hold", "count": 2}
        self.assertEqual(self.ask(Request("hold"))[:-1], [count])
        count = {"t": "count", "step": "delete", "count": 3}
        self.assertEqual(self.ask(Request("delete"))[:-1], [count])
        self.assertEqual(self.world.store.rows, {})

    def test_client_gone(self) -> None:
        """
        When the tool is interrupted, the rest is left as it is.
        """
        ids = [self.put() for _ in range(3)]
        connection, wire = self.connect()
        cast(IPushProducer, wire.producer).pauseProducing()
        connection.dataReceived(Request("delete", tuple(ids)).encode())
        self.leave(connection)
        self.assertEqual(sorted(self.world.store.rows), ids[1:])


class FlushTests(PublicTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.one = self.world.put("a@x.test")
        self.two = self.world.put("a@y.test")
        self.world.run(1)
        self.world.agent.hands.clear()

    def tried(self, request: Request) -> list[str]:
        self.assertEqual(self.ask(request)[-1]["t"], "end")
        return self.world.agent.attempts

    def test_all(self) -> None:
        self.assertEqual(self.tried(Request("flush")), ["a@x.test", "a@y.test"])

    def test_one(self) -> None:
        self.assertEqual(self.tried(Request("flush", (self.two,))), ["a@y.test"])

    def test_site(self) -> None:
        """
        Only mail for that site, and only for one in fast_flush_domains.
        """
        self.assertEqual(self.tried(Request("flush", site="X.test")), ["a@x.test"])
        (line,) = self.ask(Request("flush", site="y.test"))
        self.assertEqual(line["kind"], "unavailable")
        self.assertIn('not configured for destination "y.test"', line["text"])


class RightsTests(PublicTestCase):
    def refused(self, request: Request, peer: Peer) -> str:
        (line,) = self.ask(request, peer)
        self.assertEqual((line["t"], line["kind"]), ("error", "refused"))
        return str(line["text"])

    def test_owner(self) -> None:
        """
        Root and the mail owner may do everything, in no group.
        """
        for peer in (ROOT, Peer(OWNER, frozenset())):
            for request in (
                Request("list", queues=("hold",)),
                Request("flush"),
                Request("delete"),
            ):
                self.assertEqual(self.ask(request, peer)[-1]["t"], "end")

    def test_users(self) -> None:
        """
        Others in the group may list and flush, if they are in the lists.
        """
        listing, mallory = Request("list", queues=("hold",)), Peer(MALLORY, USER.groups)
        self.assertEqual(self.ask(listing, USER)[-1]["t"], "end")
        self.assertEqual(self.ask(Request("flush"), USER)[-1]["t"], "end")
        self.assertEqual(self.ask(listing, mallory)[-1]["t"], "end")
        self.assertEqual(
            self.refused(Request("flush"), mallory),
            f"User mallory({MALLORY}) is not allowed to flush the mail queue",
        )
        self.assertEqual(
            self.refused(listing, Peer(7, USER.groups)),
            "User unknown(7) is not allowed to view the mail queue",
        )

    def test_outside_of_the_group(self) -> None:
        """
        Who is not in the group may nothing, even if he got to the socket.
        """
        stranger = Peer(ALICE, frozenset({ALICE}))
        self.refused(Request("list", queues=("hold",)), stranger)
        self.refused(Request("flush"), stranger)

    def test_changes(self) -> None:
        """
        Nobody else changes anything, whatever lists he is in.
        """
        queue_id = self.world.put("a@x.test")
        self.world.run(1)
        for operation in ("delete", "hold", "requeue", "expire", "expire_release"):
            for ids in (None, (queue_id,)):
                text = self.refused(Request(operation, ids), USER)
                self.assertIn("reserved for the superuser", text)
        self.assertEqual(self.world.queue(queue_id), QueueName.DEFERRED)


class HostileTests(PublicTestCase):
    def send(self, *pieces: bytes, name: str = SHOWQ) -> Wire:
        connection, wire = self.connect(USER, name)
        for piece in pieces:
            if not wire.disconnecting:
                connection.dataReceived(piece)
        self.leave(connection)
        return wire

    def test_requests(self) -> None:
        """
        What is no request, or none for this socket, is refused.
        """
        for bad in (
            b"\n",
            b"{}\n",
            b"[]\n",
            b"\xff\xfe\n",
            b'{"operation":"list"}\n',
            b'{"operation":["list"],"queues":["hold"]}\n',
            b'{"operation":"list","queues":["../hold"]}\n',
            b'{"operation":"list","queues":["hold","active"]}\n',
            b'{"operation":"list","queues":["hold"],"after":3}\n',
            b'{"operation":"list","queues":["hold"],"more":1}\n',
            b'{"operation":"delete"}\n',
            b"[" * 9999 + b"\n",
        ):
            wire = self.send(bad)
            self.assertTrue(wire.disconnecting, bad)
            self.assertEqual(json.loads(wire.value())["kind"], "bad", bad)

    def test_bounds(self) -> None:
        for ids in (["x"] * (MAX_IDS + 1), ["x" * 65], "x", [1]):
            line = json.dumps({"operation": "flush", "ids": ids}).encode()
            self.assertRaises(BadRequest, Request.decode, line, QMGR)
        most = Request("flush", ("x" * 60,) * MAX_IDS)
        self.assertLessEqual(len(most.encode()), MAX_REQUEST)
        self.assertEqual(Request.decode(most.encode(), QMGR), most)

    def test_too_long(self) -> None:
        """
        A request that does not end is not kept.
        """
        wire = self.send(*[b"x" * 1000] * 100)
        self.assertEqual(json.loads(wire.value())["text"], "request too long")

    def test_more(self) -> None:
        """
        One request for each connection; who goes on is dropped.
        """
        request = Request("list", queues=("hold",)).encode()
        wire = self.send(request + request)
        self.assertEqual(json.loads(wire.value())["kind"], "bad")
        connection, wire = self.connect(USER, SHOWQ)
        cast(IPushProducer, wire.producer).pauseProducing()
        connection.dataReceived(request)
        connection.dataReceived(b"x")
        self.assertTrue(wire.aborted)
        self.leave(connection)

    def test_half(self) -> None:
        """
        Half a request is waited for, but not for ever, and octet by octet it
        takes no longer.
        """
        connection, wire = self.connect(USER, SHOWQ)
        for _ in range(int(PATIENCE) - 1):
            connection.dataReceived(b"x")
            self.world.run(1)
        self.assertFalse(wire.aborted)
        self.world.run(2)
        self.assertTrue(wire.aborted)
        self.leave(connection)

    def test_flood(self) -> None:
        """
        One user has a few connections at once, all users together have some more,
        and root always gets in.
        """
        those = [self.connect(USER) for _ in range(MOST_OF_USER)]
        connection, wire = self.connect(USER)
        self.assertEqual(json.loads(wire.value())["kind"], "busy")
        self.leave(connection)
        for n in range(MOST):
            those.append(self.connect(Peer(5000 + n, USER.groups)))
        busy = [w for _, w in those if w.disconnecting]
        self.assertEqual(len(those) - len(busy), MOST)
        self.assertFalse(self.connect(ROOT)[1].disconnecting)
        for connection, _ in those:
            self.leave(connection)
        connection, wire = self.connect(USER)
        self.assertFalse(wire.disconnecting)

    def test_nothing_left(self) -> None:
        """
        No timer outlives its connection.
        """
        connection, _ = self.connect(USER)
        before = len(self.world.clock.getDelayedCalls())
        self.leave(connection)
        self.assertEqual(len(self.world.clock.getDelayedCalls()), before - 1)


class PeerTests(SynchronousTestCase):
    def test_ourselves(self) -> None:
        """
        The kernel says who is at the other end.
        """
        import os

        one, other = socket.socketpair()
        with one, other:
            peer = peer_of(one)
        self.assertEqual(peer.uid, os.getuid())
        self.assertLessEqual({os.getgid(), *os.getgroups()}, peer.groups)
