"""
Tables that send mail elsewhere than the class of its address would.

Owns: transport_maps, relocated_maps, sender_dependent_relayhost_maps,
    sender_dependent_default_transport_maps: which come first, what is in them.
Knows nothing of: classes of domains, how tables are asked.

Sources: Postfix's transport(5), relocated(5), postconf(5);
C{trivial-rewrite/resolve.c}, C{trivial-rewrite/transport.c}.

Errors: L{ConfigError<txmta.errors.ConfigError>} for tables that cannot be opened;
L{TableUnavailable<txmta.errors.TableUnavailable>} of a table, and for what a table
says that is no transport.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from txmta.config.settings import Settings
from txmta.errors import TableUnavailable
from txmta.interfaces import ITable
from txmta.model import AddressClass
from txmta.rewrite.classes import NOWHERE, Opener, Transport, parse_transport
from txmta.search import DEFAULT, TRANSPORT, TRANSPORT_PARENTS, Order


class Ask(Protocol):
    """
    Looks an address up.
    """

    def __call__(
        self,
        tables: Sequence[ITable],
        address: str,
        order: Order = DEFAULT,
        last: str = "",
    ) -> Awaitable[str | None]:
        """
        @param last: a key to try when nothing is found, or C{""}.
        """


#: Classes whose mail goes to another machine.
_OUTWARD = (AddressClass.RELAY, AddressClass.DEFAULT)

#: What a sender-dependent table says to leave it at the default.
_DUNNO = "dunno"

#: Why mail is returned or kept when transport_maps says no more about it.
_UNDELIVERABLE = "Address is undeliverable"


@dataclass(frozen=True)
class DetourTables:
    """
    The tables of the four parameters.
    """

    transport: Sequence[ITable] = ()
    relocated: Sequence[ITable] = ()
    relayhost: Sequence[ITable] = ()
    default_transport: Sequence[ITable] = ()

    @classmethod
    def open(
        cls, settings: Settings, table: Callable[[str, str], ITable]
    ) -> DetourTables:
        """
        @param table: opens C{type:name}; arguments: the item, and the
            parameter that it stands in.
        @raise ConfigError: with all that cannot be opened.
        """
        opener = Opener(settings, table)
        opened = cls(
            opener.tables("transport_maps"),
            opener.tables("relocated_maps"),
            opener.tables("sender_dependent_relayhost_maps"),
            opener.tables("sender_dependent_default_transport_maps"),
        )
        opener.finish()
        return opened

    def __bool__(self) -> bool:
        return bool(
            self.transport or self.relocated or self.relayhost or self.default_transport
        )


class Detours:
    """
    Asks the tables, in Postfix's order.
    """

    def __init__(self, settings: Settings, tables: DetourTables, ask: Ask) -> None:
        self._tables = tables
        self._ask = ask
        self._relayhost = settings.relayhost
        self._null_relayhost = settings.empty_address_relayhost_maps_lookup_key
        self._null_transport = settings.empty_address_default_transport_maps_lookup_key
        parents = "transport_maps" in settings.parent_domain_matches_subdomains
        self._order = TRANSPORT_PARENTS if parents else TRANSPORT
        prefixed = settings.relocated_prefix_enable
        self._moved = "5.1.6 User has moved to " if prefixed else ""

    async def find(
        self,
        address_class: AddressClass,
        transport: Transport,
        recipient: str,
        sender: str,
    ) -> Transport:
        """
        @param transport: of the class.
        @param sender: C{""} is the null sender.
        @return: where it goes; its next hop is never empty.
        """
        domain = recipient.rpartition("@")[2].lower()
        tables = self._tables
        if address_class is AddressClass.DEFAULT and tables.default_transport:
            transport = await self._default_transport(transport, sender)
        nexthop = transport.nexthop
        if not nexthop and address_class in _OUTWARD:
            nexthop = await self._relay(sender)
        transport = Transport(transport.name, nexthop or domain)
        # Mail for a virtual alias that nobody has is for nobody.
        if tables.transport and address_class is not AddressClass.VIRTUAL_ALIAS:
            transport = await self._mapped(transport, recipient, domain)
        if tables.relocated:
            moved = await self._ask(tables.relocated, recipient)
            if moved is not None:
                return Transport("error", self._moved + moved)
        return transport

    async def _default_transport(self, transport: Transport, sender: str) -> Transport:
        tables = self._tables.default_transport
        key = sender or self._null_transport
        found = await self._ask(tables, key)
        if not found or found.lower() == _DUNNO:
            return transport
        chosen = parse_transport(found)
        if not chosen.name:
            raise TableUnavailable(
                "sender_dependent_default_transport_maps",
                f"null transport is not allowed: {found}",
            )
        return chosen

    async def _relay(self, sender: str) -> str:
        tables = self._tables.relayhost
        if tables:
            key = sender or self._null_relayhost
            found = await self._ask(tables, key)
            if found and found.lower() != _DUNNO:
                return found
        return self._relayhost

    async def _mapped(
        self, transport: Transport, recipient: str, domain: str
    ) -> Transport:
        found = await self._ask(self._tables.transport, recipient, self._order, "*")
        if found is None:
            return transport
        name, _colon, nexthop = found.partition(":")
        if not name:
            return Transport(transport.name, nexthop or transport.nexthop)
        if not nexthop:
            nexthop = _UNDELIVERABLE if name in NOWHERE else domain
        return Transport(name, nexthop)
