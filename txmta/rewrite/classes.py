"""
Address classes: which domain belongs to which, and what each one's transport,
next hop and tables are.

Owns: Postfix's five classes, C{transport:nexthop}, which tables are opened.
Knows nothing of: how addresses are taken apart (L{txmta.rewrite.standard}),
    what the lists are made of.

Sources: Postfix's ADDRESS_CLASS_README; C{trivial-rewrite/resolve.c},
C{global/resolve_local.c}.

Errors: L{ConfigError<txmta.errors.ConfigError>} for a transport that is not
one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from txmta.address import literal_address
from txmta.config.settings import Settings
from txmta.errors import ConfigError
from txmta.interfaces import IMatchList, ITable
from txmta.model import AddressClass

#: Transports that return mail, or keep it; their next hop is a text.
NOWHERE = ("error", "retry")


@dataclass(frozen=True)
class DomainLists:
    """
    The lists that make classes.

    @ivar own_addresses: of inet_interfaces and proxy_interfaces, without
        brackets, in shortest form: user@[address] is local.
    """

    mydestination: IMatchList
    virtual_mailbox_domains: IMatchList
    relay_domains: IMatchList
    own_addresses: Collection[str] = ()
    virtual_alias_domains: IMatchList | None = None

    def is_own_literal(self, domain: str) -> bool:
        """
        Whether it is C{[address]} with an address of ours.
        """
        address = literal_address(domain)
        return address is not None and address in self.own_addresses


@dataclass(frozen=True)
class RecipientTables:
    """
    The tables of known recipients of each class; none: all are known.

    @ivar rewritten: of recipient_canonical_maps, canonical_maps and
        virtual_alias_maps: an address in one of these is known.
    @ivar senders: of sender_canonical_maps: the same, for a sender.
    """

    local: Sequence[ITable] = ()
    virtual_mailbox: Sequence[ITable] = ()
    relay: Sequence[ITable] = ()
    rewritten: Sequence[Sequence[ITable]] = ()
    senders: Sequence[ITable] = ()

    @classmethod
    def open(
        cls, settings: Settings, table: Callable[[str, str], ITable]
    ) -> RecipientTables:
        """
        @param table: opens C{type:name}; arguments: the item, and the
            parameter that it stands in.
        @raise ConfigError: with all that cannot be opened.
        """
        opener = Opener(settings, table)
        opened = cls(
            opener.tables("local_recipient_maps"),
            opener.tables("virtual_mailbox_maps"),
            opener.tables("relay_recipient_maps"),
            [
                tables
                for parameter in (
                    "recipient_canonical_maps",
                    "canonical_maps",
                    "virtual_alias_maps",
                )
                if (tables := opener.tables(parameter))
            ],
            opener.tables("sender_canonical_maps"),
        )
        opener.finish()
        return opened


class Opener:
    """
    Opens the tables of parameters, and remembers what is wrong.
    """

    def __init__(self, settings: Settings, table: Callable[[str, str], ITable]) -> None:
        """
        @param table: see L{RecipientTables.open}.
        """
        self._settings = settings
        self._table = table
        self._problems: list[str] = []

    def tables(self, parameter: str) -> Sequence[ITable]:
        """
        @return: those that can be opened.
        """
        found: list[ITable] = []
        for item in getattr(self._settings, parameter):
            try:
                found.append(self._table(item, parameter))
            except ConfigError as e:
                self._problems.extend(e.problems)
        return found

    def finish(self) -> None:
        """
        @raise ConfigError: with all that could not be opened.
        """
        if self._problems:
            raise ConfigError(self._problems)


@dataclass(frozen=True)
class Transport:
    """
    @ivar name: service in master.cf.
    @ivar nexthop: fixed next hop, or C{""}: the recipient's domain.
    """

    name: str
    nexthop: str = ""


def parse_transport(text: str) -> Transport:
    """
    @param text: C{transport}, C{transport:} or C{transport:nexthop}.
    """
    name, _colon, nexthop = text.partition(":")
    return Transport(name, nexthop)


def transports(settings: Settings) -> Mapping[AddressClass, Transport]:
    """
    @return: how each class is delivered, before relayhost and tables.
    @raise ConfigError: a transport is empty.
    """
    problems: list[str] = []

    def parse(parameter: str) -> Transport:
        text: str = getattr(settings, parameter)
        transport = parse_transport(text)
        if not transport.name:
            problems.append(
                f"{parameter} = {text}: null transport is not allowed: "
                "write the name of a service in master.cf"
            )
        return transport

    where = " in virtual alias table" if settings.show_user_unknown_table_name else ""
    found = {
        AddressClass.LOCAL: parse("local_transport"),
        AddressClass.VIRTUAL_ALIAS: Transport("error", f"5.1.1 User unknown{where}"),
        AddressClass.VIRTUAL_MAILBOX: parse("virtual_transport"),
        AddressClass.RELAY: parse("relay_transport"),
        AddressClass.DEFAULT: parse("default_transport"),
    }
    if problems:
        raise ConfigError(problems)
    return found
