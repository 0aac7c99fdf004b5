"""
One link to a queue manager, and the deliveries that it has asked for.

Owns: what a queue manager may say; that it has heard everything before we end.
Knows nothing of: agents, other queue managers (L{txmta.master.agent_host}).

Errors: L{BadDelivery<txmta.master.wire_fields.BadDelivery>} ends the link.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from txmta.interfaces import IContent
from txmta.master.frames import Record
from txmta.master.intake import Received
from txmta.master.link import Handlers, Link
from txmta.master.records import Schema
from txmta.master.wire import RequestReader, wanted_content
from txmta.master.wire_fields import BadDelivery, CheckedByReader
from txmta.master.wire_reports import encode_failed
from txmta.master.wire_work import OWN_KEYS
from txmta.model import Action, DeliveryRequest, Outcome

if TYPE_CHECKING:
    from txmta.master.agent_host import AgentHost

_PLAIN = Schema({})
_CHECKED = CheckedByReader()


class Hand:
    """
    A delivery in hand, or just over.

    @ivar end: who is to be told; L{None} when that is gone.
    @ivar left: numbers of recipients without outcome.
    @ivar told: outcomes that C{end} has been sent.
    @ivar kept: outcomes that nobody has been told.
    @ivar error: what it failed with.
    """

    __slots__ = (
        "end",
        "error",
        "joined",
        "kept",
        "key",
        "left",
        "over",
        "request",
        "told",
    )

    def __init__(self, key: int, request: DeliveryRequest, end: HostEnd) -> None:
        self.key = key
        self.request = request
        self.end: HostEnd | None = end
        self.left = {r.n for r in request.recipients}
        self.told: list[Outcome] = []
        self.kept: list[Outcome] = []
        self.joined = False
        self.over = False
        self.error: BaseException | None = None

    def retell(self) -> None:
        """
        Whoever was told is gone. What ends a recipient counts, whether it was
        written down or not; what does not is found out anew.
        """
        self.end = None
        final = [o for o in self.told if o.action is not Action.DELAYED]
        self.kept = final + self.kept
        self.told = []

    def ending(self) -> Record:
        """
        @return: what the queue manager is told last.
        """
        if self.error is None:
            return {"t": "done", "key": self.key}
        return encode_failed(self.key, self.error)


class HostEnd:
    """
    A link to one queue manager.

    @ivar hands: deliveries that it has been told of, by key.
    @ivar carriers: types of records of which each comes with a descriptor.
    """

    carriers: Collection[str] = ()

    def __init__(self, host: AgentHost, peer: str) -> None:
        self._host = host
        self.hands: dict[int, Hand] = {}
        self._asked = False
        self._leaving = 0
        self._quiet = True
        self._reader = RequestReader(self._content, self._joins)
        handlers: Handlers = {
            "hello": (_PLAIN, self._hello),
            "recipients": (_CHECKED, self._reader.part),
            "deliver": (_CHECKED, self._deliver),
            "left": (_PLAIN, self._left),
        }
        self.link = Link(
            peer,
            handlers,
            host.clock,
            lost=self._lost,
            warn=host.warn,
            carriers=self.carriers,
            ahead=None if host.ahead is None else self._ahead,
        )

    def send(self, record: Record) -> None:
        """
        Tell the queue manager something.
        """
        self._quiet = False
        self.link.send(record)

    def leave(self) -> None:
        """
        Ask for no more deliveries.
        """
        self._quiet = True
        self._leaving += 1
        self.link.send({"t": "leaving"})

    def settled(self) -> bool:
        """
        @return: the queue manager has read all that it was sent, and sends no
            more. If not, it is asked to say so.
        """
        if not self._leaving and not self._quiet:
            self.leave()
        return not self._leaving

    def _content(self, key: int, queue_id: str) -> IContent | Deferred[IContent]:
        return self._host.content(queue_id)

    def _ahead(self, came: Sequence[Received]) -> None:
        wanted = [wanted_content(record) for record, _ in came]
        ahead = self._host.ahead
        if ahead is not None:
            ahead([each for each in wanted if each is not None])

    def _joins(self, key: int) -> None:
        hand = self.hands.get(key)
        if hand is not None:
            self._host.joins(hand)

    def _hello(self, record: Record) -> None:
        if self._asked:
            raise BadDelivery("asked twice")
        self._asked = True
        self._host.tell(self)

    def _deliver(self, record: Record) -> None:
        key, request = self._reader.whole(record)
        if key >= OWN_KEYS or key in self.hands:
            raise BadDelivery("a key that is in use")
        self._host.start(key, request, self)

    def _left(self, record: Record) -> None:
        if not self._leaving:
            raise BadDelivery("left without having been asked to")
        self._leaving -= 1
        self._host.left()

    def _lost(self, reason: str) -> None:
        self._host.forget(self)
