"""
From a next hop to addresses: MX, A, AAAA, and the native name service.

Owns: which lookups are made, and what their failures mean for mail.
Knows nothing of: the DNS protocol, the order in which hosts are tried.

Sources: RFC 5321 section 5.1, RFC 7505 (null MX). Postfix:
C{smtp_domain_addr()}, C{smtp_host_addr()}, C{smtp_addr_one()} in
C{src/smtp/smtp_addr.c}; C{src/dns/dns_lookup.c} for the words.

Errors: none; what is not found is a L{Trouble} in L{Found}.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import idna
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from txmta.address import valid_domain
from txmta.delivery.smtp_filters import Filtered
from txmta.delivery.smtp_hosts import Destination, Found, OrderRules, arrange, numeric
from txmta.errors import ResolverUnavailable
from txmta.interfaces import IResolver
from txmta.model import Answer, Mx
from txmta.smtp.client_events import Target
from txmta.smtp.client_trouble import Trouble

#: Hosts looked up for one domain, the most preferred first. Our own choice:
#: no domain that wants mail has more; one that has wants us to ask for it.
MAX_MX = 20

#: Addresses of one destination that are looked at.
MAX_ADDRESSES = 100

#: What the native name service knows: addresses, or why there are none.
Native = Callable[[str], Deferred[Sequence[str] | Trouble]]


@dataclass(frozen=True)
class LookupRules:
    """
    @ivar order: what L{arrange} needs.
    @ivar kinds: of address records, C{"A"}, C{"AAAA"}: inet_protocols.
    @ivar mx: ask for MX records at all (smtp_dns_support_level).
    @ivar dns: ask DNS for hosts (smtp_host_lookup).
    @ivar native: then the native name service, if given.
    @ivar ignore_mx_error: ignore_mx_lookup_error.
    @ivar defer_no_address: smtp_defer_if_no_mx_address_found.
    """

    order: OrderRules
    kinds: Sequence[str] = ("A", "AAAA")
    mx: bool = True
    dns: bool = True
    native: Native | None = None
    ignore_mx_error: bool = False
    defer_no_address: bool = False


#: An answer, now or later, or that there is none; never a failure.
_Pending = Answer | ResolverUnavailable | Deferred[Answer | ResolverUnavailable]


class HostLookup:
    """
    Finds the hosts of a next hop.
    """

    def __init__(
        self, resolver: IResolver, rules: LookupRules, warn: Callable[[str], None]
    ) -> None:
        """
        @param warn: gets what an administrator should know.
        """
        self._resolver = resolver
        self._rules = rules
        self._warn = warn

    async def find(self, destination: Destination) -> Found:
        """
        @return: what to try, or why nothing can be tried.
        """
        host = _ascii(destination.host)
        if host is None or not (numeric(host) or valid_domain(host)):
            return Found(trouble=_malformed(destination.host))
        if destination.exact or not self._rules.mx or numeric(host):
            return await self._find_host(destination, host)
        answer = await _settled(self._ask(host, "MX"))
        if isinstance(answer, ResolverUnavailable):
            if self._rules.ignore_mx_error and not isinstance(answer, Filtered):
                return await self._find_host(destination, host)
            return Found(trouble=Trouble(answer.status, str(answer)))
        exchangers = sorted(
            (mx for mx in answer.records if isinstance(mx, Mx)),
            key=lambda mx: mx.preference,
        )
        if not exchangers:
            return await self._find_host(destination, host)
        return await self._find_exchangers(destination, exchangers)

    async def _find_exchangers(
        self, destination: Destination, exchangers: list[Mx]
    ) -> Found:
        real = [mx for mx in exchangers if mx.host][:MAX_MX]
        if not real:
            words = f"Domain {destination.host} does not accept mail (nullMX)"
            return Found(trouble=Trouble("5.1.0", words))
        # All questions at once: the slowest answer is what we wait for.
        pending = [(mx, self._ask_host(mx.host)) for mx in real]
        targets: list[Target] = []
        trouble: Trouble | None = None
        for mx, answers in pending:
            addresses, why = await self._addresses(mx.host, answers)
            targets += [
                Target(mx.host, address, destination.port, mx.preference)
                for address in addresses
            ]
            trouble = _worse(trouble, why)
        if not targets:
            self._warn(f"no MX host for {destination.host} has a valid address record")
            assert trouble is not None, "no address, and no reason"
            if self._rules.defer_no_address:
                trouble = Trouble("4" + trouble.status[1:], trouble.reason)
            return Found(trouble=trouble)
        order = self._rules.order
        return arrange(
            destination, targets[:MAX_ADDRESSES], order, exchangers[0].preference
        )

    async def _find_host(self, destination: Destination, host: str) -> Found:
        addresses, trouble = await self._addresses(host, self._ask_host(host))
        if not addresses:
            return Found(trouble=trouble)
        targets = [
            Target(destination.host, address, destination.port)
            for address in addresses[:MAX_ADDRESSES]
        ]
        return arrange(destination, targets, self._rules.order, 0)

    async def _addresses(
        self, host: str, pending: list[tuple[str, _Pending]]
    ) -> tuple[list[str], Trouble | None]:
        address = numeric(host)
        if address is not None:
            if ("AAAA" if ":" in address else "A") in self._rules.kinds:
                return [address], None
            return [], _not_found(host, self._rules.kinds[-1], True)
        found: list[str] = []
        trouble: Trouble | None = None
        for kind, question in pending:
            answer = await _settled(question)
            if isinstance(answer, ResolverUnavailable):
                trouble = _worse(trouble, Trouble(answer.status, str(answer)))
            else:
                found += [a for a in answer.records if isinstance(a, str)]
                trouble = _worse(trouble, _not_found(host, kind, answer.exists))
        if not found and self._rules.native is not None:
            native = await self._rules.native(host)
            if not isinstance(native, Trouble):
                return list(native), None
            trouble = _worse(trouble, native)
        return found, trouble

    def _ask_host(self, host: str) -> list[tuple[str, _Pending]]:
        if numeric(host) or not self._rules.dns:
            return []
        return [(kind, self._ask(host, kind)) for kind in self._rules.kinds]

    def _ask(self, name: str, kind: str) -> _Pending:
        try:
            answer = self._resolver.lookup(name, kind)
        except ResolverUnavailable as e:
            return e
        if isinstance(answer, Deferred):
            return answer.addErrback(_unavailable)
        return answer


async def _settled(pending: _Pending) -> Answer | ResolverUnavailable:
    return await pending if isinstance(pending, Deferred) else pending


def _unavailable(failure: Failure) -> ResolverUnavailable:
    failure.trap(ResolverUnavailable)
    assert isinstance(failure.value, ResolverUnavailable)
    return failure.value


def _worse(old: Trouble | None, new: Trouble | None) -> Trouble | None:
    """
    A soft trouble outweighs hard ones, before and after it: while anything is
    uncertain, nothing is final. Else the last one counts.
    """
    if old is not None and old.soft:
        return old
    return new or old


def _not_found(name: str, kind: str, exists: bool) -> Trouble:
    why = (
        "Host found but no data record of requested type"
        if exists
        else "Host not found"
    )
    return Trouble(
        "5.4.4",
        f"Host or domain name not found. Name service error for name={name}"
        f" type={kind}: {why}",
    )


def _malformed(name: str) -> Trouble:
    return Trouble(
        "5.4.4", f"Name service error for {name}: invalid host or domain name"
    )


def _ascii(host: str) -> str | None:
    if host.isascii():
        return host
    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError:
        return None
