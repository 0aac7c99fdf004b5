"""
DANE: is a host found by signed records, and which TLSA records has it?

Owns: which questions are asked, and what the answers make of a policy.
Knows nothing of: tables, certificates, the order in which hosts are tried.

What a resolver says is secure only if it is trusted
(L{txmta.dns.resolver}). The questions for the host were asked a moment ago, so
that the answers are known; what they said is compared with the host that is
tried.

Sources: RFC 7672 sections 2.1, 2.2; Postfix C{smtp/smtp_tls_policy.c}
(dane_init), C{tls/tls_dane.c} (tls_dane_resolve).

Errors: none; a L{Trouble} where mail must wait.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from twisted.internet.defer import Deferred

from txmta.config.settings import Settings
from txmta.delivery.smtp_hosts import Destination, numeric
from txmta.errors import ResolverUnavailable
from txmta.interfaces import IResolver
from txmta.model import Answer, Mx
from txmta.smtp.client_dane import usable
from txmta.smtp.client_events import Target
from txmta.smtp.client_tls_level import Level
from txmta.smtp.client_tls_policy import Policy
from txmta.smtp.client_trouble import Trouble

#: Aliases of one host that are followed.
MAX_ALIASES = 10

#: What smtp_tls_dane_insecure_mx_policy may say.
INSECURE_MX = ("may", "encrypt", "dane")


class Dane:
    """
    For the levels dane and dane-only.
    """

    def __init__(
        self, settings: Settings, resolver: IResolver, warn: Callable[[str], None]
    ) -> None:
        self._resolver = resolver
        self._warn = warn
        self._digests = settings.tls_dane_digests
        self._anyway = settings.smtp_tls_force_insecure_host_tlsa_lookup
        self._insecure_mx = settings.smtp_tls_dane_insecure_mx_policy.lower()
        self._impossible = impossible(settings)

    async def apply(
        self, policy: Policy, destination: Destination, target: Target
    ) -> Policy | Trouble:
        """
        @param policy: of level dane or dane-only.
        @return: what DNS makes of it; or why mail must wait.
        """
        if self._impossible or not target.port:
            why = self._impossible or "configured for a socket"
            self._warn(f"{destination.text}: {policy.level.word} {why}")
            return self._without(
                policy, Trouble("4.7.5", "client TLS configuration problem")
            )
        try:
            return await self._find(policy, destination, target)
        except ResolverUnavailable:
            words = f"TLSA lookup error for {target.host}:{target.port}"
            return Trouble("4.7.5", words)

    async def _find(
        self, policy: Policy, destination: Destination, target: Target
    ) -> Policy | Trouble:
        exchanger, secure = await self._exchanger(destination, target)
        must = policy.level is Level.DANE_ONLY or self._insecure_mx == "may"
        if exchanger and not secure and must:
            return self._without(policy, _why("non DNSSEC destination"))
        base, rows = await self._records(target)
        if not rows:
            return self._without(policy, _why("no TLSA records found"))
        records = usable(rows, self._digests)
        if not records:
            # There is TLS, they say, but not with whom (RFC 7672 section 2.2).
            if policy.level is Level.DANE_ONLY:
                return _why("TLSA records unusable")
            return replace(policy, level=Level.ENCRYPT)
        if exchanger and not secure:
            if self._insecure_mx == "encrypt":
                return replace(policy, level=Level.ENCRYPT)
            policy = replace(policy, level=Level.HALF_DANE)
        match = [base]
        if exchanger:
            match += [destination.host]
        return replace(
            policy,
            tlsa=records,
            match=tuple(dict.fromkeys(match)),
            servername=base,
        )

    def _without(self, policy: Policy, trouble: Trouble) -> Policy | Trouble:
        if policy.level is Level.DANE_ONLY:
            return trouble
        return replace(policy, level=Level.MAY)

    async def _exchanger(
        self, destination: Destination, target: Target
    ) -> tuple[bool, bool]:
        """
        @return: whether the host is one of an MX record, and whether that is
            signed.
        """
        if destination.exact or numeric(destination.host):
            return False, False
        answer = await self._ask(destination.host, "MX")
        hosts = {each.host for each in answer.records if isinstance(each, Mx)}
        if not hosts:
            return False, False
        return True, answer.authentic and target.host in hosts

    async def _records(self, target: Target) -> tuple[str, tuple[str, ...]]:
        """
        @return: the name that has them, and those that are signed.
        """
        if numeric(target.host):
            return target.host, ()
        kind = "AAAA" if ":" in target.address else "A"
        answer = await self._ask(target.host, kind)
        secure = answer.authentic and target.address in answer.records
        aliases = await self._aliases(target.host)
        if secure or self._anyway:
            names = [aliases[-1][0], target.host] if aliases else [target.host]
        elif aliases and aliases[0][1]:
            # The alias is signed, what it leads to is not.
            names = [target.host]
        else:
            return target.host, ()
        for name in names:
            found = await self._ask(f"_{target.port}._tcp.{name}", "TLSA")
            if found.authentic and found.records:
                return name, tuple(str(each) for each in found.records)
        return target.host, ()

    async def _aliases(self, host: str) -> list[tuple[str, bool]]:
        """
        @return: to which names it leads, and whether that is signed.
        """
        found: list[tuple[str, bool]] = []
        name = host
        for _ in range(MAX_ALIASES):
            answer = await self._ask(name, "CNAME")
            if not answer.records:
                return found
            name = str(answer.records[0])
            found.append((name, answer.authentic))
        return found

    async def _ask(self, name: str, kind: str) -> Answer:
        answer = self._resolver.lookup(name, kind)
        return await answer if isinstance(answer, Deferred) else answer


def _why(words: str) -> Trouble:
    return Trouble("4.7.5", words)


def impossible(settings: Settings) -> str:
    """
    @return: why nothing is known to be signed, C{""} if all is well.
    """
    lookup = settings.smtp_host_lookup
    if settings.smtp_dns_support_level != "dnssec" or "dns" not in lookup:
        return "configured with dnssec lookups disabled"
    if settings.ignore_mx_lookup_error:
        return "configured while ignoring MX lookup errors"
    return ""
