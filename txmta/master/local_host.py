"""
Delivery agents that a queue manager in another process asks to deliver, in a
process that does one thing at a time: what it has in hand, master's orders,
and the end.

Owns: the loop of such a process; content that comes as a descriptor; how many
    deliveries it takes at once.
Knows nothing of: what agents do, and with whose rights.

All requests that wait are taken before the first of them is worked on, so that
agents can do together what belongs together. An outcome is told as soon as it
is known.

A queue manager decides who gets mail, and nothing else: a request holds no
path and no command. Its descriptor must be of a file, and of one that has as
many octets as the request says.

Sources: Postfix C{master/single_server.c}.

Errors: L{BadDelivery<txmta.master.wire_fields.BadDelivery>} ends a link.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

from twisted.internet.interfaces import IReactorTime, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from txmta.errors import MailError, StoreUnavailable
from txmta.interfaces import IContent, IDeliveryAgent
from txmta.master.agent_host import AgentHost
from txmta.master.control import BlockingControl
from txmta.master.frames import Record
from txmta.master.host_end import Hand, HostEnd
from txmta.master.link import Link
from txmta.master.wire_fields import BadDelivery
from txmta.master.wire_work import OWN_KEYS
from txmta.model import DeliveryRequest

#: Deliveries in hand. The queue manager has narrower limits; each costs a
#: descriptor here.
MAX_IN_HAND = 500

#: Seconds to wait for something to do.
_REST = 3600.0


class Loop(Protocol):
    """
    What runs the agents.
    """

    seconds: Callable[[], float]

    def addReader(self, reader: IReadDescriptor) -> None:
        """
        See L{IReactorFDSet.addReader}.
        """

    def turn(self, longest: float) -> None:
        """
        Do what there is to do; wait for it so many seconds.
        """


@implementer(IContent)
class DescriptorContent:
    """
    Content in an open file.
    """

    def __init__(self, descriptor: int, size: int) -> None:
        """
        @param descriptor: ours from now on.
        """
        self.size = size
        self._descriptor = descriptor

    def fileno(self) -> int:
        """
        @return: -1 when it is closed.
        """
        return self._descriptor

    def read(self, offset: int, length: int) -> bytes:
        length = max(0, min(length, self.size - offset))
        try:
            # One call may give less, of a file that is larger than 2 GB.
            return os.pread(self._descriptor, length, offset)
        except OSError as e:
            raise StoreUnavailable(f"cannot read content: {e.strerror}") from e

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class _Carried:
    """
    What opens the content of one request: it came along.
    """

    def __init__(self, descriptor: int, size: int) -> None:
        self._content = DescriptorContent(descriptor, size)

    def __call__(self) -> IContent:
        if self._content.fileno() < 0:
            raise StoreUnavailable("content is read only once")
        return self._content

    def close(self) -> None:
        self._content.close()


class LocalEnd(HostEnd):
    """
    A link over which each delivery brings its content.
    """

    carriers = ("deliver",)

    def _deliver(self, record: Record) -> None:
        key, request = self._reader.whole(record)
        if key >= OWN_KEYS or key in self.hands:
            raise BadDelivery("a key that is in use")
        descriptor = self.link.take_descriptor()
        carried = _Carried(descriptor, request.size)
        try:
            _check_content(descriptor, request.size)
        except BadDelivery:
            carried.close()
            raise
        self._host.start(key, replace(request, open_content=carried), self)


def _check_content(descriptor: int, size: int) -> None:
    """
    Nothing that would have to be waited for.
    """
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_size != size:
        raise BadDelivery("content that is none")


class LocalHost(AgentHost):
    """
    As its base, with content that comes along, and a limit.
    """

    def link(self, peer: str) -> Link:
        """
        See L{AgentHost.link}.
        """
        return self._add(LocalEnd(self, peer))

    def start(self, key: int, request: DeliveryRequest, end: HostEnd) -> None:
        """
        See L{AgentHost.start}.
        """
        if len(self.hands) >= MAX_IN_HAND:
            # Not kept, and not refused for good.
            hand = Hand(key, request, end)
            self.hands[hand] = None
            end.hands[key] = hand
            self._finish(MailError("too many deliveries at once"), hand)
            return
        super().start(key, request, end)

    def _finish(self, error: BaseException | None, hand: Hand) -> None:
        opener = hand.request.open_content
        if isinstance(opener, _Carried):
            opener.close()
        super()._finish(error, hand)


def no_content(queue_id: str) -> IContent:
    """
    Nothing is read from the queue here.
    """
    raise StoreUnavailable("content has not come along")


def make_host(
    agents: Mapping[str, IDeliveryAgent],
    clock: IReactorTime,
    warn: Callable[[str], None],
) -> LocalHost:
    """
    @param agents: by transport.
    """
    return LocalHost(agents, no_content, clock, warn)


@implementer(IReadDescriptor)
class _Orders:
    """
    Master's words, as they come.
    """

    def __init__(self, control: BlockingControl) -> None:
        self._control = control

    def fileno(self) -> int:
        return self._control.fileno()

    def logPrefix(self) -> str:
        return "control"

    def doRead(self) -> None:
        self._control.handle()

    def connectionLost(self, reason: Failure) -> None:
        """
        It ends the process itself.
        """


def serve(
    loop: Loop, host: LocalHost, control: BlockingControl, stop: Callable[[], object]
) -> None:
    """
    Deliver until master wants an end of it.

    @param stop: kills what agents still run, when their time is over.
    """
    over: list[object] = []
    loop.addReader(_Orders(control))
    control.ready()
    while control.draining is None:
        loop.turn(_REST)
    end = loop.seconds() + max(0.0, control.draining)
    host.drain().addCallback(over.append)
    while not over and loop.seconds() < end:
        loop.turn(max(0.0, end - loop.seconds()))
    stop()
    control.drained()
