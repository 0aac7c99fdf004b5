"""
Address classes: which domain belongs to which, and what each one's transport,
next hop and tables are.

Owns: Postfix's five classes, C{transport:nexthop}, relayhost.
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
    """

    local: Sequence[ITable] = ()
    virtual_mailbox: Sequence[ITable] = ()
    relay: Sequence[ITable] = ()

    @classmethod
    def open(
        cls, settings: Settings, table: Callable[[str, str], ITable]
    ) -> RecipientTables:
        """
        @param table: opens C{type:name}; arguments: the item, and the
            parameter that it stands in.
        @raise ConfigError: with all that cannot be opened.
        """
        problems: list[str] = []

        def tables(parameter: str, items: Sequence[str]) -> list[ITable]:
            found: list[ITable] = []
            for item in items:
                try:
                    found.append(table(item, parameter))
                except ConfigError as e:
                    problems.extend(e.problems)
            return found

        opened = cls(
            tables("local_recipient_maps", settings.local_recipient_maps),
            tables("virtual_mailbox_maps", settings.virtual_mailbox_maps),
            tables("relay_recipient_maps", settings.relay_recipient_maps),
        )
        if problems:
            raise ConfigError(problems)
        return opened


@dataclass(frozen=True)
class Transport:
    """
    @ivar name: service in master.cf.
    @ivar nexthop: fixed next hop, or C{""}: the recipient's domain.
    """

    name: str
    nexthop: str = ""


def transports(settings: Settings) -> Mapping[AddressClass, Transport]:
    """
    @return: how each class is delivered. relayhost stands in for the domain
        in the relay and default classes, an explicit next hop comes first.
    @raise ConfigError: a transport is empty.
    """
    problems: list[str] = []

    def parse(parameter: str, text: str, nexthop: str = "") -> Transport:
        name, _colon, explicit = text.partition(":")
        if not name:
            problems.append(
                f"{parameter} = {text}: null transport is not allowed: "
                "write the name of a service in master.cf"
            )
        return Transport(name, explicit or nexthop)

    found = {
        AddressClass.LOCAL: parse("local_transport", settings.local_transport),
        AddressClass.VIRTUAL_MAILBOX: parse(
            "virtual_transport", settings.virtual_transport
        ),
        AddressClass.RELAY: parse(
            "relay_transport", settings.relay_transport, settings.relayhost
        ),
        AddressClass.DEFAULT: parse(
            "default_transport", settings.default_transport, settings.relayhost
        ),
    }
    if problems:
        raise ConfigError(problems)
    return found
