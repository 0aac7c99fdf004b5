"""
Access tables that are asked for the servers of a name: its mail exchangers, its name
servers, its own addresses (check_sender_mx_access and its kin).

Owns: which servers a name has, that such a table cannot permit.
Knows nothing of: how tables are asked (L{txmta.smtp.access.access_table}).

Sources: Postfix C{smtpd/smtpd_check.c} (check_server_access, forbid_allowlist).

Errors: none: a table that cannot be asked is 451; a server that is not found is
passed over, and said in the log.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred

from txmta.address import literal_address
from txmta.model import Mx
from txmta.search import Found as Entry
from txmta.smtp.access.access_table import (
    AccessTable,
    address_parents,
    domain_keys,
    never_permit,
)
from txmta.smtp.access.check import (
    CLIENT,
    HELO,
    RECIPIENT,
    SENDER,
    Answer,
    Check,
    Into,
    Restriction,
)
from txmta.smtp.access.dns_asking import (
    Found,
    Outcome,
    addresses,
    ascii_domain,
    ask,
    begin,
    soon,
)
from txmta.smtp.access.kinds import NEXT, Kind, Tools
from txmta.smtp.access.restrictions import if_permit

#: Servers of one name whose addresses nobody can say: each may take the time of a
#: whole lookup, and who sends mail chooses how many there are.
MAX_TROUBLE = 5


async def _servers(check: Check, domain: str, kind: str) -> tuple[str, Found]:
    """
    @return: what was asked for at last, and the answer.
    """
    found = await ask(check, domain, kind)
    if found.outcome is not Outcome.NONE:
        return domain, found
    if kind == "MX":
        # It is its own.
        return domain, Found(Outcome.FOUND, (Mx(0, domain),))
    parent = domain
    while found.outcome is Outcome.NONE and "." in parent:
        parent = parent.partition(".")[2]
        if not parent:
            break
        found = await ask(check, parent, kind)
    return parent or domain, found


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


#: The table has an entry, and that has no opinion: nobody asks on.
_DUNNO = Into("", ())

#: Nobody can say now.
_TROUBLE = Into("trouble", ())


class _Table(AccessTable):
    """
    Tells no entry from one without an opinion.
    """

    def _found(
        self, found: Entry | None, check: Check, key: str, about: str, subject: str
    ) -> Answer:
        answer = super()._found(found, check, key, about, subject)
        return _DUNNO if answer is NEXT and found is not None else answer


class _Servers:
    """
    One such restriction.
    """

    def __init__(self, name: str, kind: str, table: _Table) -> None:
        """
        @param kind: C{"A"}: its addresses; C{"MX"}, C{"NS"}: also their names.
        """
        self._name = name
        self._kind = kind
        self._table = table

    async def answer(self, check: Check, whose: str, subject: str) -> Answer:
        """
        @param whose: a name, or a mail address.
        """
        about = check.session.client.label if subject is CLIENT else whose
        found = await self._find(check, whose, about, subject)
        if found is _DUNNO:
            return NEXT
        return await soon(never_permit(found, self._name, whose, check))

    async def _find(self, check: Check, whose: str, about: str, subject: str) -> Answer:
        domain = whose.rpartition("@")[2]
        kind = self._kind
        if domain[:1] == "[" or _is_address(domain):
            if kind == "NS":
                return NEXT
            literal = domain if domain[:1] == "[" else f"[{domain}]"
            address = literal_address(literal)
            if address is None:
                return NEXT
            keys = address_parents(address)
            return await soon(self._table.ask(check, keys, about, subject))
        domain = ascii_domain(domain)
        if kind == "A":
            hosts: Sequence[str] = (domain,)
        else:
            last, found = await _servers(check, domain, kind)
            if found.outcome is not Outcome.FOUND:
                check.note(
                    "warning", f"Unable to look up {kind} host for {last}: {found.why}"
                )
                return NEXT
            hosts = [r.host if isinstance(r, Mx) else r for r in found.records]
        trouble = 0
        for host in hosts:
            answer = await self._host(check, host, about, subject)
            if answer is _TROUBLE:
                trouble += 1
                if trouble >= MAX_TROUBLE:
                    words = "Service unavailable"
                    reply = check.refuse(450, "4.7.1", words, about, subject)
                    return if_permit(check, reply)
            elif answer is not NEXT:
                return answer
        return NEXT

    async def _host(self, check: Check, host: str, about: str, subject: str) -> Answer:
        table = self._table
        if self._kind != "A":
            keys = domain_keys(host, table.parents)
            answer: Answer = await soon(table.ask(check, keys, about, subject))
            if answer is not NEXT:
                return answer
        found = await addresses(check, host)
        if found.outcome is not Outcome.FOUND:
            check.note(
                "warning",
                f"Unable to look up {self._kind} host {host} for {subject} {about}: "
                f"{_why(found)}",
            )
            return _TROUBLE if found.outcome is Outcome.AGAIN else NEXT
        for address in found.records:
            keys = address_parents(address)
            answer = await soon(table.ask(check, keys, about, subject))
            if answer is not NEXT:
                return answer
        return NEXT


def _why(found: Found) -> str:
    if found.outcome is Outcome.AGAIN:
        return "Temporary failure in name resolution"
    if found.why.startswith("Host found"):
        return "No address associated with hostname"
    return "Name or service not known"


Whose = Callable[[Check], str | None]


def _kind(who: str, kind: str, whose: Whose, subject: str) -> Kind:
    name = f"check_{who}_{kind.lower()}_access"

    def make(tools: Tools, spec: str) -> Restriction:
        servers = _Servers(name, kind, _Table(tools, spec))

        def ask_for(check: Check) -> Answer | Deferred[Answer]:
            text = whose(check)
            return begin(servers.answer(check, text, subject)) if text else NEXT

        return ask_for

    return Kind(name, "table", make)


def _known(name: str) -> str | None:
    return None if name.lower() == "unknown" else name


_WHOSE: Sequence[tuple[str, Whose, str]] = (
    ("client", lambda check: _known(check.session.client.name), CLIENT),
    (
        "reverse_client_hostname",
        lambda check: _known(check.session.client.reverse_name),
        f"Unverified {CLIENT}",
    ),
    ("helo", lambda check: check.session.helo, HELO),
    ("sender", lambda check: check.said, SENDER),
    ("recipient", lambda check: check.recipient, RECIPIENT),
)

KINDS: Sequence[Kind] = tuple(
    _kind(who, kind, whose, subject)
    for who, whose, subject in _WHOSE
    for kind in ("A", "MX", "NS")
)
