"""
One question to the restrictions, and what can be the answer.

Owns: these values.
Knows nothing of: which restrictions there are.

Sources: Postfix C{smtpd/smtpd_check.c} (SMTPD_CHECK_OK, _DUNNO, _REJECT).

Errors: none.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass, field
from enum import Enum

from twisted.internet.defer import Deferred

from txmta.interfaces import IAddressResolver, IClientList
from txmta.model import Reply, Route
from txmta.smtp.session import Session


class Verdict(Enum):
    """
    What a restriction says, if it does not refuse with a L{Reply}.
    """

    NEXT = "no opinion"
    PERMIT = "permitted by this list"


@dataclass(frozen=True)
class Codes:
    """
    The reply codes that main.cf chooses.
    """

    reject: int = 554
    defer: int = 450
    relay: int = 554
    local: int = 550
    relay_recipient: int = 550
    virtual_mailbox: int = 550
    virtual_alias: int = 550
    show_table: bool = True


@dataclass(frozen=True)
class World:
    """
    What restrictions may look at besides the question.

    @ivar mynetworks: clients that may relay.
    @ivar own: IP addresses that are ours.
    """

    addresses: IAddressResolver
    mynetworks: IClientList
    own: Container[str]
    codes: Codes = Codes()


@dataclass(slots=True)
class Check:
    """
    May this client send to this recipient?

    @ivar recipient: in internal form, as the client wrote it: replies show it.
    @ivar address: the same in standard form.
    @ivar sender: in standard form, C{""} for the null sender; where mail goes
        may depend on it.
    @ivar route: where it goes, once somebody asked.
    @ivar listed: the recipient tables were asked, and know it.
    @ivar warnings: what warn_if_reject kept from being refused.
    @ivar if_permit: what defer_if_permit will say instead of yes.
    @ivar if_reject: what defer_if_reject will say instead of 5xx.
    """

    world: World
    session: Session
    recipient: str
    address: str
    sender: str = ""
    route: Route | None = None
    listed: bool = False
    warnings: list[Reply] = field(default_factory=list)
    if_permit: Reply | None = None
    if_reject: Reply | None = None

    def reply(self, code: int, status: str, text: str) -> Reply:
        """
        @param status: its class follows the code.
        """
        return Reply(code, f"{code // 100}{status[1:]}", f"<{self.recipient}>: {text}")

    def resolve(self) -> Route | Deferred[Route]:
        """
        @return: L{route}, asked for at most once.
        """
        if self.route is not None:
            return self.route
        route = self.world.addresses.resolve(self.address, self.sender)
        # isinstance() is slow to deny.
        if type(route) is not Route and isinstance(route, Deferred):
            return route.addCallback(self._resolved)
        self.route = route
        return route

    def _resolved(self, route: Route) -> Route:
        self.route = route
        return route


Answer = Verdict | Reply
Restriction = Callable[[Check], Answer | Deferred[Answer]]
