"""
Access tables: check_client_access and its kin.

Owns: what a table is asked for, in which order.
Knows nothing of: what values mean (L{txmta.smtp.access.access_result}).

Sources: Postfix C{smtpd/smtpd_check.c} (check_namadr_access, check_domain_access,
check_addr_access, check_mail_access); access(5).

Errors: none: a table that cannot be asked is 451, and warn_if_reject applies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from txmta.address import split
from txmta.errors import TableUnavailable
from txmta.interfaces import ITable
from txmta.model import Route
from txmta.search import Found, Order, Partial, address_keys, find
from txmta.smtp.access.access_result import LOST, Asked, Results
from txmta.smtp.access.check import (
    CLIENT,
    HELO,
    RECIPIENT,
    SENDER,
    Answer,
    Check,
    Into,
    Restriction,
    Verdict,
)
from txmta.smtp.access.kinds import NEXT, Kind, Tools, chain, server_error

_ADDRESS = frozenset("0123456789.")

_DOT = Order(
    local=False, at_domain=False, domain=True, dot_parents=True, anywhere_at=True
)
_PARENTS = _DOT._replace(dot_parents=False, parents=True)


def domain_keys(domain: str, parents: bool) -> Iterator[str]:
    """
    @param parents: C{example.com} stands for its subdomains, and not
        C{.example.com}.
    @return: a name and its parents; of an address only itself.
    """
    name = domain
    while name:
        yield name if name is domain else Partial(name)
        dot = name.find(".", 1)
        if dot < 0 or (":" in domain or _ADDRESS.issuperset(domain)):
            return
        name = name[dot + 1 :] if parents else name[dot:]


def address_parents(address: str) -> Iterator[str]:
    """
    @return: an IP address and its networks at octet (IPv6: group) boundaries.
    """
    mark = ":" if ":" in address else "."
    yield address
    while True:
        address, found, _ = address.rpartition(mark)
        if not found:
            return
        yield Partial(address)


class _Traced:
    """
    Tells a tracer of each question.
    """

    def __init__(self, table: ITable, spec: str, check: Check) -> None:
        self._table = table
        self._spec = spec
        self._check = check
        self.by_pattern = getattr(table, "by_pattern", False)

    def lookup(self, key: str) -> str | Deferred[str | None] | None:
        def told(value: str | None) -> str | None:
            tracer = self._check.tracer
            if tracer is not None:
                tracer.asked(self._spec, key, value)
            return value

        value = self._table.lookup(key)
        return value.addCallback(told) if isinstance(value, Deferred) else told(value)


class AccessTable:
    """
    One table, as restrictions ask it. Those of other modules do, too.
    """

    def __init__(self, tools: Tools, spec: str) -> None:
        """
        @param spec: C{type:name}.
        """
        settings = tools.settings
        self._spec = spec
        self._tables = (tools.open_table(spec),)
        self._results = Results(tools)
        self.parents = "smtpd_access_maps" in settings.parent_domain_matches_subdomains
        self._order = _PARENTS if self.parents else _DOT
        self._delimiters = settings.recipient_delimiter
        self._null = settings.smtpd_null_access_lookup_key

    def ask(
        self,
        check: Check,
        keys: Iterable[str],
        about: str,
        subject: str,
        key: str | None = None,
    ) -> Answer | Deferred[Answer]:
        """
        @param keys: the first that the table has counts.
        @param about: what the result is about, as replies name it.
        @param key: what the log says was asked for, if not C{about}.
        """
        tables = self._tables
        if check.tracer is not None:
            tables = (_Traced(tables[0], self._spec, check),)  # type: ignore[assignment]
        asked = about if key is None else key
        try:
            found = find(tables, keys)
        except TableUnavailable:
            return self._lost(check, asked, about, subject)
        if found is None:
            return NEXT
        if isinstance(found, Deferred):
            return found.addCallbacks(
                lambda found: self._found(found, check, asked, about, subject),
                lambda failure: self._failed(failure, check, asked, about, subject),
            )
        return self._found(found, check, asked, about, subject)

    def _found(
        self, found: Found | None, check: Check, key: str, about: str, subject: str
    ) -> Answer:
        if found is None:
            return NEXT
        asked = Asked(check, self._spec, key, about, subject)
        answer = self._results.answer(found.value, asked)
        # A value that has no opinion is one: nobody asks on.
        return answer

    def _failed(
        self, failure: Failure, check: Check, key: str, about: str, subject: str
    ) -> Answer:
        failure.trap(TableUnavailable)
        return self._lost(check, key, about, subject)

    def _lost(self, check: Check, key: str, about: str, subject: str) -> Answer:
        check.note("warning", f'{self._spec} lookup error for "{key}"')
        asked = Asked(check, self._spec, key, about, subject)
        return self._results.answer(LOST, asked)

    def ask_host(
        self, check: Check, name: str, address: str, about: str, subject: str
    ) -> Answer | Deferred[Answer]:
        """
        A name and its parents, then an address and its networks.
        """
        keys = (*domain_keys(name, self.parents), *address_parents(address))
        return self.ask(check, keys, about, subject, name)

    def ask_mail(
        self, check: Check, route: Route, about: str, subject: str
    ) -> Answer | Deferred[Answer]:
        """
        A mail address, its domain and the parents of that, its local part.
        """
        address = route.recipient
        if not split(address)[1]:
            return NEXT
        keys = address_keys(address, delimiters=self._delimiters, order=self._order)
        answer = self.ask(check, keys, about, subject, address)
        if subject != RECIPIENT or not route.routed:
            return answer
        # Who knows where that ends: nobody vouches for it.
        return _then(answer, lambda answer: _permitted(answer, _next, check))

    def ask_sender(self, check: Check) -> Answer | Deferred[Answer]:
        said = check.said
        if said is None:
            return NEXT
        if not said:
            return self.ask(check, (self._null,), said, SENDER, self._null)

        def then(route: Route) -> Answer | Deferred[Answer]:
            return self.ask_mail(check, route, said, SENDER)

        return chain(check.resolve_sender(), then)


def _then(
    answer: Answer | Deferred[Answer], change: Callable[[Answer], Answer]
) -> Answer | Deferred[Answer]:
    if isinstance(answer, Deferred):
        return answer.addCallback(change)
    return change(answer)


def _permitted(
    answer: Answer, instead: Callable[[Check], Answer], check: Check
) -> Answer:
    if answer is Verdict.PERMIT:
        return instead(check)
    if isinstance(answer, Into):
        return replace(answer, instead=instead)
    return answer


def _next(check: Check) -> Answer:
    return NEXT


def never_permit(
    answer: Answer | Deferred[Answer], name: str, target: str, check: Check
) -> Answer | Deferred[Answer]:
    """
    Of what anybody may claim to be, no table may permit anything.

    @param name: of the restriction.
    @param target: what the table had.
    """

    def refuse(check: Check) -> Answer:
        check.note("warning", f"restriction {name} returns OK for {target}")
        check.note("warning", "this is not allowed for security reasons")
        words = "use DUNNO instead of OK if you want to make an exception"
        return server_error(check, words)

    return _then(answer, lambda answer: _permitted(answer, refuse, check))


Ask = Callable[[AccessTable, Check], Answer | Deferred[Answer]]


def _kind(name: str, ask: Ask) -> Kind:
    def make(tools: Tools, spec: str) -> Restriction:
        table = AccessTable(tools, spec)
        return lambda check: ask(table, check)

    return Kind(name, "table", make)


def _client(table: AccessTable, check: Check) -> Answer | Deferred[Answer]:
    client = check.session.client
    return table.ask_host(check, client.name, client.address, client.label, CLIENT)


def _reverse(table: AccessTable, check: Check) -> Answer | Deferred[Answer]:
    client = check.session.client
    name = client.reverse_name
    answer = table.ask_host(check, name, client.address, name, f"Unverified {CLIENT}")

    return never_permit(answer, "check_reverse_client_hostname_access", name, check)


def _helo(table: AccessTable, check: Check) -> Answer | Deferred[Answer]:
    helo = check.session.helo
    if not helo:
        return NEXT
    return table.ask(check, domain_keys(helo, table.parents), helo, HELO)


def _recipient(table: AccessTable, check: Check) -> Answer | Deferred[Answer]:
    recipient = check.recipient
    if not recipient:
        return NEXT
    return chain(
        check.resolve(),
        lambda route: table.ask_mail(check, route, recipient, RECIPIENT),
    )


def _etrn(table: AccessTable, check: Check) -> Answer | Deferred[Answer]:
    if not check.etrn:
        return NEXT
    keys = domain_keys(check.etrn, table.parents)
    return table.ask(check, keys, check.etrn, "Etrn command")


def _sasl(table: AccessTable, check: Check) -> Answer | Deferred[Answer]:
    login = check.session.login
    if login is None or not login.username:
        return NEXT
    return table.ask(check, (login.username,), login.username, "SASL login name")


def _ccert(table: AccessTable, check: Check) -> Answer | Deferred[Answer]:
    tls = check.session.tls
    if tls is None:
        return NEXT
    prints = [p for p in (tls.fingerprint, tls.key_fingerprint) if p]
    if not prints:
        return NEXT
    label = check.session.client.label
    return table.ask(check, prints, label, "Client certificate", prints[0])


KINDS: Sequence[Kind] = (
    _kind("check_client_access", _client),
    _kind("check_reverse_client_hostname_access", _reverse),
    _kind("check_helo_access", _helo),
    _kind("check_sender_access", AccessTable.ask_sender),
    _kind("check_recipient_access", _recipient),
    _kind("check_etrn_access", _etrn),
    _kind("check_sasl_access", _sasl),
    _kind("check_ccert_access", _ccert),
)
