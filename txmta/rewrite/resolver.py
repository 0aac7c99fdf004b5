"""
Standard form, class, transport and next hop of addresses: trivial-rewrite.

Owns: asking lists and tables in the right order, at once where they can
    answer at once; which recipients are known.
Knows nothing of: what tables that redirect mail say
    (L{txmta.rewrite.detours}); whether a transport exists.

Sources: Postfix's trivial-rewrite(8), ADDRESS_CLASS_README;
C{trivial-rewrite/resolve.c}; C{smtpd/smtpd_check.c} (check_rcpt_maps).

Errors: L{TableUnavailable<txmta.errors.TableUnavailable>} of a list or table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from twisted.internet.defer import Deferred
from zope.interface import implementer

from txmta.address import split, valid_domain
from txmta.config.settings import Settings
from txmta.interfaces import IAddressResolver, IMatchList, ITable
from txmta.model import AddressClass, Route
from txmta.rewrite.classes import (
    NOWHERE,
    DomainLists,
    RecipientTables,
    Transport,
    transports,
)
from txmta.rewrite.detours import Detours, DetourTables
from txmta.rewrite.standard import SIMPLE, Form, Peeling, Unwrapped, rewrite, unwrap
from txmta.rewrite.steps import at_once
from txmta.search import DEFAULT, Order, address_keys, search

#: What the error agent says of an address that cannot be; in Postfix's words.
BAD_ADDRESS = "5.1.3 bad address syntax"

#: Mail that the system itself makes and absorbs; always accepted.
_ALWAYS_KNOWN = ("postmaster", "mailer-daemon")

_Classes = Sequence[tuple[IMatchList, AddressClass]]


@implementer(IAddressResolver)
class AddressResolver:
    """
    Answers from a snapshot of the settings.
    """

    def __init__(
        self,
        settings: Settings,
        lists: DomainLists,
        tables: RecipientTables | None = None,
        detours: DetourTables | None = None,
    ) -> None:
        """
        @raise ConfigError: a transport is not one.
        """
        self._lists = lists
        self._classes = _classes(lists)
        self._recipients = tables or RecipientTables()
        self._transports = _with_relayhost(transports(settings), settings.relayhost)
        self._detours = None
        if detours:
            self._detours = Detours(settings, detours, self._ask)
            self._transports = transports(settings)
        self._delimiters = settings.recipient_delimiter
        self._origin = settings.myorigin.lower()
        self._allow_min_user = settings.allow_min_user
        double_bounce = settings.text("double_bounce_sender") or "double-bounce"
        self._always_known = (*_ALWAYS_KNOWN, double_bounce.lower())
        self._local_form = _form(settings, settings.myorigin, settings.mydomain)
        remote = settings.remote_header_rewrite_domain
        self._remote_form = _form(settings, remote, remote)
        self._peeling = Peeling(
            self._local_form,
            settings.myhostname,
            settings.empty_address_recipient,
            settings.resolve_dequoted_address,
            settings.resolve_null_domain,
            settings.resolve_numeric_domain,
        )

    def rewrite(self, address: str, local: bool) -> str:
        return rewrite(address, self._local_form if local else self._remote_form)

    def resolve(self, address: str, sender: str = "") -> Route | Deferred[Route]:
        match = SIMPLE.fullmatch(address)
        if match is None or not valid_domain(match[2]):
            return at_once(self._unwrapped(address, sender))
        domain = match[2]
        found = AddressClass.DEFAULT
        for domains, address_class in self._classes:
            is_in = domains.match(domain)
            # isinstance() is slow to deny.
            if type(is_in) is not bool and isinstance(is_in, Deferred):
                return at_once(self._resolve(address, domain, sender, domains, is_in))
            if is_in:
                found = address_class
                break
        if self._detours is not None:
            return at_once(self._route(found, address, domain, sender, False))
        transport = self._transports[found]
        nexthop = transport.nexthop or domain.lower()
        return Route(found, transport.name, nexthop, address)

    async def _resolve(
        self,
        address: str,
        domain: str,
        sender: str,
        asked: IMatchList,
        answer: Deferred[bool],
    ) -> Route:
        """
        @param asked: the first list that did not answer at once.
        """
        which = [domains for domains, _ in self._classes].index(asked)
        found = self._classes[which][1]
        if not await answer:
            found = await self._class_of(domain, self._classes[which + 1 :])
        return await self._route(found, address, domain, sender, False)

    async def _unwrapped(self, address: str, sender: str) -> Route:
        found = await self._unwrap(address)
        recipient, domain = found.recipient, found.domain
        if found.bad:
            address_class = AddressClass.DEFAULT
            return Route(address_class, "error", BAD_ADDRESS, recipient, found.routed)
        address_class = AddressClass.LOCAL
        if not found.local:
            address_class = await self._class_of(domain, self._classes[1:])
        route = await self._route(
            address_class, recipient, domain, sender, found.routed
        )
        # Last, as nothing may overrule it.
        if recipient.startswith("-") and not self._allow_min_user:
            route = replace(route, transport="error", nexthop=BAD_ADDRESS)
        return route

    async def _class_of(self, domain: str, classes: _Classes) -> AddressClass:
        for domains, address_class in classes:
            is_in = domains.match(domain)
            if isinstance(is_in, Deferred):
                is_in = await is_in
            if is_in:
                return address_class
        return AddressClass.DEFAULT

    async def _route(
        self,
        address_class: AddressClass,
        recipient: str,
        domain: str,
        sender: str,
        routed: bool,
    ) -> Route:
        transport = self._transports[address_class]
        if self._detours is not None:
            transport = await self._detours.find(
                address_class, transport, recipient, sender
            )
        nexthop = transport.nexthop or domain.lower()
        return Route(address_class, transport.name, nexthop, recipient, routed)

    async def _unwrap(self, address: str) -> Unwrapped:
        question = unwrap(address, self._peeling)
        try:
            domain = next(question)
            while True:
                domain = question.send(await self._is_ours(domain))
        except StopIteration as e:
            found: Unwrapped = e.value
            return found

    async def _is_ours(self, domain: str) -> bool:
        if domain.endswith(".") and not domain.endswith(".."):
            domain = domain[:-1]
        if self._lists.is_own_literal(domain):
            return True
        ours = bool(domain) and self._lists.mydestination.match(domain)
        return await ours if isinstance(ours, Deferred) else ours

    async def _ask(
        self,
        tables: Sequence[ITable],
        address: str,
        order: Order = DEFAULT,
        last: str = "",
    ) -> str | None:
        """
        @param last: a key to try when nothing is found, or C{""}.
        """
        local = False
        if order.local:
            domain = split(address)[1]
            local = domain.lower() == self._origin or await self._is_ours(domain)
        keys = address_keys(
            address, delimiters=self._delimiters, local=local, order=order
        )
        found = search(tables, keys)
        if isinstance(found, Deferred):
            found = await found
        if found is None and last:
            found = search(tables, (last,))
            if isinstance(found, Deferred):
                found = await found
        return found

    def validate(
        self, address: str, route: Route, as_sender: bool = False
    ) -> bool | Deferred[bool]:
        return at_once(self._validate(route, as_sender))

    async def _validate(self, route: Route, as_sender: bool) -> bool:
        known = self._recipients
        recipient = route.recipient
        for tables in known.rewritten:
            if await self._has(tables, recipient):
                return True
        if as_sender and await self._has(known.senders, recipient):
            return True
        if route.transport in NOWHERE:
            return False
        address_class = route.address_class
        if address_class is AddressClass.LOCAL:
            if split(recipient)[0].lower() in self._always_known:
                return True
            tables = known.local
        elif address_class is AddressClass.RELAY:
            tables = known.relay
        elif address_class is AddressClass.VIRTUAL_MAILBOX:
            tables = known.virtual_mailbox
        else:
            return True
        return not tables or await self._has(tables, recipient)

    async def _has(self, tables: Sequence[ITable], address: str) -> bool:
        return bool(tables) and await self._ask(tables, address) is not None


def _classes(lists: DomainLists) -> _Classes:
    """
    @return: in the order in which they are asked.
    """
    found = [
        (lists.mydestination, AddressClass.LOCAL),
        (lists.virtual_mailbox_domains, AddressClass.VIRTUAL_MAILBOX),
        (lists.relay_domains, AddressClass.RELAY),
    ]
    if lists.virtual_alias_domains is not None:
        found.insert(1, (lists.virtual_alias_domains, AddressClass.VIRTUAL_ALIAS))
    return found


def _with_relayhost(
    found: Mapping[AddressClass, Transport], relayhost: str
) -> Mapping[AddressClass, Transport]:
    """
    @return: with relayhost where a class has no next hop of its own.
    """
    outward = (AddressClass.RELAY, AddressClass.DEFAULT)
    return {
        each: Transport(transport.name, transport.nexthop or relayhost)
        if each in outward
        else transport
        for each, transport in found.items()
    }


def _form(settings: Settings, origin: str, domain: str) -> Form:
    return Form(
        origin if settings.append_at_myorigin else "",
        domain if settings.append_dot_mydomain else "",
        settings.swap_bangpath,
        settings.allow_percent_hack,
    )
