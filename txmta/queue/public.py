"""
The sockets in C{public/}: where the queue tools ask the running server.

Anybody who gets through to a socket may say anything to it: who he is says the
kernel (SO_PEERCRED), and a request is bounded in size, time and number. One
connection carries one request, and its answer.

Owns: connections, who may ask what, and how many at once.
Knows nothing of: what an answer says (L{txmta.queue.public_answers}); how the
    sockets were made (L{txmta.master.public}).

Sources: unix(7) (SO_PEERCRED); Postfix C{postqueue/postqueue.c} (who may list
and flush), C{postsuper/postsuper.c}.

Errors: none leaves here; what goes wrong is told to who asked.
"""

from __future__ import annotations

import socket
import struct
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IPushProducer,
    IReactorTime,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txmta.errors import MailError
from txmta.interfaces import IMatchList
from txmta.queue.public_answers import Answers, Line, Refused
from txmta.queue.public_socket import Acceptor
from txmta.queue.public_wire import (
    CHANGES,
    MAX_REQUEST,
    BadRequest,
    Request,
    encode,
)

#: Seconds for a request to come, and for some of an answer to be taken.
PATIENCE = 10.0

#: Connections at once: of all users together, and of one who is neither root
#: nor the mail owner.
MOST, MOST_OF_USER = 50, 4

#: Seconds of work on an answer after which others get a turn.
TURN = 0.005

_SO_PEERGROUPS = 59
_CREDENTIALS = struct.Struct("=iII")


@dataclass(frozen=True)
class Peer:
    """
    Who has connected.
    """

    uid: int
    groups: frozenset[int]


def peer_of(connected: socket.socket) -> Peer:
    """
    @return: as the kernel noted when C{connect} was called.
    @raise OSError: this is no Unix socket.
    """
    octets = connected.getsockopt(
        socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size
    )
    _pid, uid, gid = _CREDENTIALS.unpack(octets)
    try:
        more = connected.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 1024)
    except OSError:  # no such option before Linux 4.13; more than 256 groups
        more = b""
    groups = struct.unpack(f"={len(more) // 4}I", more[: len(more) // 4 * 4])
    return Peer(uid, frozenset((gid, *groups)))


@dataclass(frozen=True)
class Rights:
    """
    Who may ask what.

    @ivar owner: uid of the mail owner, who may do everything, as may root.
    @ivar group: gid of setgid_group: the others who may ask at all; L{None}
        is nobody.
    @ivar viewers: login names, of those in the group (authorized_mailq_users).
    @ivar flushers: the same (authorized_flush_users).
    @ivar name_of: the login name of a uid.
    """

    owner: int
    group: int | None
    viewers: IMatchList
    flushers: IMatchList
    name_of: Callable[[int], str]

    def privileged(self, peer: Peer) -> bool:
        return peer.uid in (0, self.owner)

    async def check(self, peer: Peer, request: Request) -> None:
        """
        @raise Refused: he may not.
        """
        if self.privileged(peer):
            return
        if request.operation in CHANGES:
            raise Refused("use of this command is reserved for the superuser")
        listing = request.operation == "list"
        users = self.viewers if listing else self.flushers
        name = self.name_of(peer.uid)
        allowed = self.group in peer.groups and users.match(name)
        if isinstance(allowed, Deferred):
            allowed = await allowed
        if not allowed:
            what = "view" if listing else "flush"
            raise Refused(
                f"User {name}({peer.uid}) is not allowed to {what} the mail queue"
            )


@implementer(IPushProducer)
class Connection(Protocol):
    """
    One request, and its answer.
    """

    def __init__(self, desk: Desk, name: str) -> None:
        """
        @param name: of the socket.
        """
        self._desk = desk
        self._name = name
        self._buffer = bytearray()
        self._asked = False
        self._timer: IDelayedCall | None = None
        self._drained: Deferred[None] | None = None
        self._peer: Peer | None = None
        self._gone = False

    @property
    def _wire(self) -> Any:
        return self.transport

    def connectionMade(self) -> None:
        self._wire.registerProducer(self, True)
        self._patience()
        peer = self._desk.peer_of(self._wire.getHandle())
        if self._desk.enter(peer):
            self._peer = peer
        else:
            self._asked = True
            self._end({"t": "error", "kind": "busy", "text": "too many connections"})

    def dataReceived(self, data: bytes) -> None:
        if self._asked:
            self._abort()  # there is nothing more to say
            return
        self._buffer += data
        end = self._buffer.find(b"\n")
        if end < 0 and len(self._buffer) <= MAX_REQUEST:
            return
        self._asked = True
        Deferred.fromCoroutine(self._answer(end)).addErrback(self._bug)

    def connectionLost(self, reason: Failure | None = None) -> None:
        self._gone = True
        self._impatience()
        if self._peer is not None:
            self._desk.leave(self._peer)
        self._go_on()

    def pauseProducing(self) -> None:
        """
        The client does not read as fast as we write.
        """
        if self._drained is None:
            self._drained = Deferred()

    def resumeProducing(self) -> None:
        self._patience()
        self._go_on()

    def stopProducing(self) -> None:
        """
        C{connectionLost} comes.
        """

    def _go_on(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None:
            drained.callback(None)

    async def _answer(self, end: int) -> None:
        try:
            if not 0 <= end < MAX_REQUEST:
                raise BadRequest("request too long")
            if end + 1 != len(self._buffer):
                raise BadRequest("more than one request")
            request = Request.decode(bytes(self._buffer[:end]), self._name)
            await self._answered(request)
        except BadRequest as e:
            self._end({"t": "error", "kind": "bad", "text": str(e)})
        except Refused as e:
            self._end({"t": "error", "kind": e.kind, "text": str(e)})
        except MailError as e:
            self._end({"t": "error", "kind": "trouble", "text": str(e)})

    async def _answered(self, request: Request) -> None:
        desk = self._desk
        assert self._peer is not None, "an excess connection asks nothing"
        await desk.rights.check(self._peer, request)
        privileged = desk.rights.privileged(self._peer)
        start = desk.clock.seconds()
        async for line in desk.answers.answer(request):
            if self._gone:
                return
            self._wire.write(encode(line))
            self._patience()
            if self._drained is not None:
                await self._drained
                if self._gone:
                    return
            spent = desk.clock.seconds() - start
            if spent > TURN:
                # Users get half of our time at most.
                rest: Deferred[None] = deferLater(
                    desk.clock, 0 if privileged else spent, lambda: None
                )
                await rest
                start = desk.clock.seconds()
        self._end()

    def _end(self, line: Line | None = None) -> None:
        if not self._gone:
            if line is not None:
                self._wire.write(encode(line))
            self._wire.unregisterProducer()
            self._wire.loseConnection()

    def _bug(self, failure: Failure) -> None:
        self._desk.log.failure("queue tools", failure)
        self._abort()

    def _abort(self) -> None:
        if not self._gone:
            self._wire.abortConnection()

    def _patience(self) -> None:
        self._impatience()
        if not self._gone:
            self._timer = self._desk.clock.callLater(PATIENCE, self._abort)

    def _impatience(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()


class Desk:
    """
    What all connections share.
    """

    log = Logger()

    def __init__(
        self,
        rights: Rights,
        answers: Answers,
        clock: IReactorTime,
        peer_of: Callable[[socket.socket], Peer] = peer_of,
    ) -> None:
        """
        @param clock: monotonic.
        """
        self.rights = rights
        self.answers = answers
        self.clock = clock
        self.peer_of = peer_of
        self._present: Counter[int] = Counter()

    def enter(self, peer: Peer) -> bool:
        """
        @return: whether there is room for one more of this user.
        """
        if not self.rights.privileged(peer) and (
            self._present[peer.uid] >= MOST_OF_USER or self._present.total() >= MOST
        ):
            return False
        self._present[peer.uid] += 1
        return True

    def leave(self, peer: Peer) -> None:
        self._present[peer.uid] -= 1
        if not self._present[peer.uid]:
            del self._present[peer.uid]


class _Connections(Factory):
    noisy = False

    def __init__(self, desk: Desk, name: str) -> None:
        self._desk = desk
        self._name = name

    def buildProtocol(self, addr: IAddress | None) -> Connection:
        return Connection(self._desk, self._name)


class Public:
    """
    All sockets in C{public/}.
    """

    def __init__(self, desk: Desk, reactor: Any) -> None:
        self._desk = desk
        self._reactor = reactor
        self._acceptors: list[Acceptor] = []

    def listen(self, sockets: Mapping[str, socket.socket]) -> None:
        """
        @param sockets: by name; they stay the caller's.
        """
        for name, sock in sockets.items():
            factory = _Connections(self._desk, name)
            self._acceptors.append(Acceptor(self._reactor, sock, factory))

    def stop(self) -> None:
        """
        Take no more requests. Answers under way go on as long as we live.
        """
        acceptors, self._acceptors = self._acceptors, []
        for acceptor in acceptors:
            acceptor.stop()
