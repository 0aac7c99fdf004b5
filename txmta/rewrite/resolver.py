"""
Standard form, class, transport and next hop of addresses: trivial-rewrite.

Owns: asking lists and tables in the right order, at once where they can
    answer at once.
Knows nothing of: transport_maps and other tables that redirect mail; whether
    a transport exists.

Sources: Postfix's trivial-rewrite(8), ADDRESS_CLASS_README;
C{trivial-rewrite/resolve.c}; C{smtpd/smtpd_check.c} (check_rcpt_maps).

Errors: L{TableUnavailable<txmta.errors.TableUnavailable>} of a list or table.
"""

from __future__ import annotations

from collections.abc import Generator

from twisted.internet.defer import Deferred
from zope.interface import implementer

from txmta.address import split, valid_domain
from txmta.config.settings import Settings
from txmta.interfaces import IAddressResolver
from txmta.model import AddressClass, Route
from txmta.rewrite.classes import DomainLists, RecipientTables, transports
from txmta.rewrite.standard import SIMPLE, Form, Peeling, Unwrapped, rewrite, unwrap
from txmta.search import address_keys, search

#: What the error agent says of an address that cannot be; in Postfix's words.
BAD_ADDRESS = "5.1.3 bad address syntax"

#: Mail that the system itself makes and absorbs; always accepted.
_ALWAYS_KNOWN = ("postmaster", "mailer-daemon")

_Question = Generator[str, bool, Unwrapped]


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
    ) -> None:
        """
        @raise ConfigError: a transport is not one.
        """
        self._lists = lists
        tables = tables or RecipientTables()
        self._tables = {
            AddressClass.LOCAL: tables.local,
            AddressClass.VIRTUAL_MAILBOX: tables.virtual_mailbox,
            AddressClass.RELAY: tables.relay,
        }
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

    def resolve(self, address: str) -> Route | Deferred[Route]:
        match = SIMPLE.fullmatch(address)
        if match is None or not valid_domain(match[2]):
            return self._unwrap(address)
        domain = match[2]
        local = self._lists.mydestination.match(domain)
        # isinstance() is slow to deny.
        if type(local) is not bool and isinstance(local, Deferred):
            return Deferred.fromCoroutine(self._simple_later(local, address, domain))
        return self._simple(local, address, domain)

    def _simple(
        self, local: bool, address: str, domain: str
    ) -> Route | Deferred[Route]:
        if local:
            return self._route(AddressClass.LOCAL, address, domain, False)
        return self._classify(address, domain, False)

    async def _simple_later(
        self, local: Deferred[bool], address: str, domain: str
    ) -> Route:
        route = self._simple(await local, address, domain)
        return await route if isinstance(route, Deferred) else route

    def _unwrap(self, address: str) -> Route | Deferred[Route]:
        return self._ask(unwrap(address, self._peeling), None)

    def _ask(self, question: _Question, ours: bool | None) -> Route | Deferred[Route]:
        """
        Answer one question after the other, until the address is taken apart.

        @param ours: the answer to the last one; L{None} to start.
        """
        try:
            while True:
                domain = next(question) if ours is None else question.send(ours)
                answer = self._is_ours(domain)
                if isinstance(answer, Deferred):
                    return Deferred.fromCoroutine(self._ask_later(question, answer))
                ours = answer
        except StopIteration as e:
            return self._unwrapped(e.value)

    async def _ask_later(self, question: _Question, ours: Deferred[bool]) -> Route:
        route = self._ask(question, await ours)
        return await route if isinstance(route, Deferred) else route

    def _is_ours(self, domain: str) -> bool | Deferred[bool]:
        if domain.endswith(".") and not domain.endswith(".."):
            domain = domain[:-1]
        if self._lists.is_own_literal(domain):
            return True
        return bool(domain) and self._lists.mydestination.match(domain)

    def _unwrapped(self, found: Unwrapped) -> Route | Deferred[Route]:
        recipient = found.recipient
        if found.bad or (recipient.startswith("-") and not self._allow_min_user):
            return Route(AddressClass.DEFAULT, "error", BAD_ADDRESS, recipient)
        if found.local:
            return self._route(
                AddressClass.LOCAL, recipient, found.domain, found.routed
            )
        return self._classify(recipient, found.domain, found.routed)

    def _classify(
        self, recipient: str, domain: str, routed: bool
    ) -> Route | Deferred[Route]:
        virtual = self._lists.virtual_mailbox_domains.match(domain)
        if virtual is True:
            return self._route(AddressClass.VIRTUAL_MAILBOX, recipient, domain, routed)
        if virtual is False:
            relay = self._lists.relay_domains.match(domain)
            if type(relay) is bool or not isinstance(relay, Deferred):
                relayed = AddressClass.RELAY if relay else AddressClass.DEFAULT
                return self._route(relayed, recipient, domain, routed)
        return Deferred.fromCoroutine(
            self._classify_later(virtual, recipient, domain, routed)
        )

    async def _classify_later(
        self,
        virtual: bool | Deferred[bool],
        recipient: str,
        domain: str,
        routed: bool,
    ) -> Route:
        if isinstance(virtual, Deferred):
            virtual = await virtual
        if virtual:
            found = AddressClass.VIRTUAL_MAILBOX
        else:
            relay = self._lists.relay_domains.match(domain)
            if isinstance(relay, Deferred):
                relay = await relay
            found = AddressClass.RELAY if relay else AddressClass.DEFAULT
        return self._route(found, recipient, domain, routed)

    def _route(
        self, address_class: AddressClass, recipient: str, domain: str, routed: bool
    ) -> Route:
        transport = self._transports[address_class]
        nexthop = transport.nexthop or domain.lower()
        return Route(address_class, transport.name, nexthop, recipient, routed)

    def validate(self, address: str, route: Route) -> bool | Deferred[bool]:
        if route.transport == "error":
            return False
        tables = self._tables.get(route.address_class)
        if not tables:
            return True
        recipient = route.recipient.lower()
        name, domain = split(recipient)
        local = route.address_class is AddressClass.LOCAL
        if local and name in self._always_known:
            return True
        found = search(
            tables,
            address_keys(
                recipient,
                delimiters=self._delimiters,
                local=local or domain == self._origin,
            ),
        )
        if isinstance(found, Deferred):
            return found.addCallback(lambda value: value is not None)
        return found is not None


def _form(settings: Settings, origin: str, domain: str) -> Form:
    return Form(
        origin if settings.append_at_myorigin else "",
        domain if settings.append_dot_mydomain else "",
        settings.swap_bangpath,
        settings.allow_percent_hack,
    )
