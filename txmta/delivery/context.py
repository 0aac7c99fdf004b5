"""
What a delivery agent is made from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFDSet, IReactorTCP, IReactorTime

from txmta.config.settings import Settings
from txmta.delivery.rights import OwnAccount, Rights
from txmta.interfaces import (
    IAddressResolver,
    IEventSink,
    IPostmaster,
    IResolver,
    ITable,
)

if TYPE_CHECKING:
    from txmta.delivery.command import Runner


@dataclass(frozen=True)
class AgentContext:
    """
    @ivar service: the name in master.cf, for parameters such as
        C{<service>_destination_recipient_limit}.
    @ivar settings: of this service, C{-o} overrides applied.
    @ivar reactor: to connect with; also L{clock}, seen as a clock.
    @ivar clock: monotonic. It is the reactor itself, for libraries that need
        all of it, such as C{twisted.web.client}.
    @ivar now: wall time.
    @ivar resolver: DNS.
    @ivar sink: for notes and warnings; the queue manager logs outcomes.
    @ivar table: opens C{type:name}, each once; arguments: the item, and the
        parameter that it stands in.
    @ivar in_thread: run blocking work away from the reactor. A mailbox on a
        dead disk keeps a thread for as long as the disk is dead: the threads
        must not be those that anything but this agent needs.
    @ivar addresses: for agents that meet new addresses, as local does in
        aliases.
    @ivar arguments: what follows the program in master.cf, less C{-o}.
    @ivar where: C{"master.cf, line 12"}, for messages.
    @ivar postmaster: hears of trouble in sessions, if he wants to.
    @ivar descriptors: to watch the pipes and the ends of commands with.
    @ivar attributes: values of what master.cf says after C{plugin}, by name;
        some may be secret.
    @ivar rights: whose rights there are for mailboxes, users' files and
        commands.
    @ivar commands: runs commands, if not we ourselves with C{descriptors}; a
        L{Runner<txmta.delivery.command.Runner>}.
    @ivar one_thread: C{in_thread} has but one, and works wait for each other.
    """

    service: str
    settings: Settings
    reactor: IReactorTCP
    clock: IReactorTime
    now: Callable[[], float]
    resolver: IResolver
    sink: IEventSink
    table: Callable[[str, str], ITable]
    in_thread: Callable[..., Deferred[Any]]
    addresses: IAddressResolver | None = None
    arguments: tuple[str, ...] = field(default=(), repr=False)
    where: str = ""
    descriptors: IReactorFDSet | None = None
    postmaster: IPostmaster | None = None
    attributes: Mapping[str, Any] = field(
        default_factory=dict, repr=False, kw_only=True
    )
    rights: Rights = field(default_factory=OwnAccount, kw_only=True)
    commands: Runner | None = field(default=None, kw_only=True)
    one_thread: bool = field(default=False, kw_only=True)
