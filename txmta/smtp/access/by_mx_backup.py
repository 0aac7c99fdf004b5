"""
permit_mx_backup: mail for domains that name us as a mail exchanger, but not as the
best.

Owns: whether they do.
Knows nothing of: lists, their order.

Sources: Postfix C{smtpd/smtpd_check.c} (permit_mx_backup, i_am_mx,
permit_mx_primary).

Errors: L{TableUnavailable<txmta.errors.TableUnavailable>} goes through.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred

from txmta.address import split
from txmta.errors import TableUnavailable
from txmta.interfaces import IClientList
from txmta.model import AddressClass, Mx
from txmta.smtp.access.check import RECIPIENT, Answer, Check, Restriction
from txmta.smtp.access.dns_asking import (
    Found,
    Outcome,
    addresses,
    ascii_domain,
    ask,
    begin,
    soon,
)
from txmta.smtp.access.kinds import NEXT, PERMIT, Kind, Tools
from txmta.smtp.access.restrictions import authorized, if_reject

#: Mail exchangers of one domain that are looked at; one with more is not ours.
MAX_HOSTS = 20

#: Of those, whose addresses nobody can say: each may take the time of a whole lookup.
MAX_TROUBLE = 5


def permit_mx_backup(tools: Tools, argument: str) -> Restriction:
    name = "permit_mx_backup_networks"
    networks = tools.open_list(name) if getattr(tools.settings, name) else None

    def start(check: Check) -> Answer | Deferred[Answer]:
        if not check.recipient:
            return NEXT
        return begin(_Backup(check, networks).answer())

    return start


class _Backup:
    """
    One question.
    """

    def __init__(self, check: Check, networks: IClientList | None) -> None:
        """
        @param networks: where the best exchangers must be; L{None}: anywhere.
        """
        self._check = check
        self._networks = networks
        self._trouble = 0

    async def answer(self) -> Answer:
        check = self._check
        route = await soon(check.resolve())
        domain = split(route.recipient)[1]
        if not domain or authorized(route):
            return PERMIT
        if route.routed or (domain[0] == "[" and domain[-1] == "]"):
            return NEXT
        found = await ask(check, ascii_domain(domain), "MX")
        if found.outcome in (Outcome.AGAIN, Outcome.POLICY):
            why = _why(found)
            self._defer(f"Unable to look up mail exchanger information: {why}")
        if found.outcome is not Outcome.FOUND or len(found.records) > MAX_HOSTS:
            return NEXT
        if await self._is_backup(found.records):
            return PERMIT
        return NEXT

    async def _is_backup(self, exchangers: Sequence[Mx]) -> bool:
        best = min(mx.preference for mx in exchangers)
        first = [mx.host for mx in exchangers if mx.preference == best]
        rest = [mx.host for mx in exchangers if mx.preference != best]
        if await self._are_we(first) or not await self._are_we(rest):
            return False
        if self._networks is None:
            return True
        for host in first:
            if not await self._allowed(host, self._networks):
                return False
        return True

    async def _are_we(self, hosts: Sequence[str]) -> bool:
        """
        @return: one of them is this machine.
        """
        check = self._check
        for host in hosts:
            address = f"postmaster@{host}"
            route = await soon(check.world.addresses.resolve(address))
            if route.address_class is AddressClass.LOCAL:
                return True
        for host in hosts:
            found = await addresses(check, host)
            if found.outcome is not Outcome.FOUND:
                why = "Name or service not known"
                if found.outcome is Outcome.AGAIN:
                    why = "Temporary failure in name resolution"
                    self._trouble += 1
                self._defer(f"Unable to look up mail exchanger host {host}: {why}")
            if self._trouble >= MAX_TROUBLE:
                return False
            if any(each in check.world.own for each in found.records):
                return True
        return False

    async def _allowed(self, host: str, networks: IClientList) -> bool:
        """
        @return: all addresses of it are in those networks.
        """
        found = await addresses(self._check, host)
        if found.outcome is not Outcome.FOUND:
            why = _why(found)
            self._defer(f"Unable to look up host {host} as mail exchanger: {why}")
            return False
        for address in found.records:
            try:
                listed = await soon(networks.match_client(host, address))
            except TableUnavailable:
                self._defer(f"Unable to verify host {host} as mail exchanger")
                return False
            if not listed:
                return False
        return True

    def _defer(self, words: str) -> None:
        check = self._check
        reply = check.refuse(450, "4.4.4", words, check.recipient, RECIPIENT)
        if_reject(check, reply)


def _why(found: Found) -> str:
    if found.outcome is Outcome.POLICY:
        return "DNS reply filter policy"
    return found.why


KINDS: Sequence[Kind] = (Kind("permit_mx_backup", "", permit_mx_backup),)
