"""
Restrictions on names that the DNS does not know.

Owns: what each restriction says.
Knows nothing of: lists, their order.

Sources: Postfix C{smtpd/smtpd_check.c} (reject_unknown_client,
reject_unknown_hostname, reject_unknown_mailhost), C{smtpd/smtpd_peer.c}.

Errors: L{TableUnavailable<txmta.errors.TableUnavailable>} goes through.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred

from txmta.address import split
from txmta.model import AddressClass, Reply
from txmta.smtp.access.by_client import reject_invalid_helo_hostname
from txmta.smtp.access.check import HELO, RECIPIENT, SENDER, Answer, Check, Restriction
from txmta.smtp.access.dns_asking import Outcome, ascii_domain, ask_any, begin, soon
from txmta.smtp.access.kinds import NEXT, Kind, Tools
from txmta.smtp.access.restrictions import if_permit

#: Classes of domains that mail ends in.
_FINAL = frozenset(
    {
        AddressClass.LOCAL,
        AddressClass.VIRTUAL_ALIAS,
        AddressClass.VIRTUAL_MAILBOX,
    }
)

#: L{Client.name_status<txmta.model.Client>}
_OK, _TEMPORARY = 2, 4


def temporary(action: str, check: Check, reply: Reply) -> Answer:
    """
    Nobody can say.

    @param action: C{"defer"} or C{"defer_if_permit"}.
    """
    return reply if action == "defer" else if_permit(check, reply)


def reject_unknown_client_hostname(tools: Tools, argument: str) -> Restriction:
    code = tools.settings.unknown_client_reject_code

    def ask(check: Check) -> Answer:
        client = check.session.client
        words = f"Client host rejected: cannot find your hostname, [{client.address}]"
        # RFC 7372 section 3.2.
        return _unnamed(code, client.name_status, "7.25", words)

    return ask


def reject_unknown_reverse_client_hostname(tools: Tools, argument: str) -> Restriction:
    code = tools.settings.unknown_client_reject_code

    def ask(check: Check) -> Answer:
        client = check.session.client
        words = (
            "Client host rejected: cannot find your reverse hostname, "
            f"[{client.address}]"
        )
        return _unnamed(code, client.reverse_status, "7.1", words)

    return ask


def _unnamed(code: int, status: int, detail: str, words: str) -> Answer:
    if status == _OK:
        return NEXT
    if status == _TEMPORARY:
        code = 450
    return Reply(code, f"{code // 100}.{detail}", words)


def reject_unknown_helo_hostname(tools: Tools, argument: str) -> Restriction:
    code = tools.settings.unknown_hostname_reject_code
    action = tools.settings.unknown_helo_hostname_tempfail_action
    of_literals = reject_invalid_helo_hostname(tools, "")

    def ask(check: Check) -> Answer | Deferred[Answer]:
        helo = check.session.helo
        if not helo:
            return NEXT
        if helo[0] == "[":
            return of_literals(check)
        return begin(look_up(check, helo))

    async def look_up(check: Check, helo: str) -> Answer:
        found = await ask_any(check, helo, ("A", "AAAA", "MX"))
        if found.outcome in (Outcome.FOUND, Outcome.NULL_MX):
            return NEXT
        words = "Host not found"
        if found.outcome is Outcome.POLICY:
            check.note("warning", f"{helo}: address or MX lookup error: {found.why}")
            return NEXT
        if found.outcome is not Outcome.AGAIN:
            return check.refuse(code, "4.7.1", words, helo, HELO)
        reply = check.refuse(450, "4.7.1", words, helo, HELO)
        return temporary(action, check, reply)

    return ask


def _unknown_domain(tools: Tools, subject: str) -> Restriction:
    settings = tools.settings
    code = settings.unknown_address_reject_code
    action = settings.unknown_address_tempfail_action
    of_sender = subject is SENDER
    status = "4.1.8" if of_sender else "4.1.2"

    def ask(check: Check) -> Answer | Deferred[Answer]:
        whose = check.said if of_sender else check.recipient
        return begin(resolve(check, whose)) if whose else NEXT

    async def resolve(check: Check, whose: str) -> Answer:
        route = await soon(check.resolve_sender() if of_sender else check.resolve())
        domain = split(route.recipient)[1]
        if not domain or route.address_class in _FINAL:
            return NEXT
        if domain[0] == "[" and domain[-1] == "]":
            return NEXT
        return await look_up(check, whose, ascii_domain(domain))

    async def look_up(check: Check, whose: str, domain: str) -> Answer:
        found = await ask_any(check, domain, ("MX", "A", "AAAA"))
        outcome = found.outcome
        if outcome is Outcome.FOUND:
            return NEXT
        if outcome is Outcome.POLICY:
            check.note("warning", f"{domain}: MX or address lookup error: {found.why}")
            return NEXT
        if outcome is Outcome.NULL_MX:
            words = f"Domain {domain} does not accept mail (nullMX)"
            if of_sender:
                return check.refuse(550, "5.7.27", words, whose, subject)
            return check.refuse(556, "5.1.10", words, whose, subject)
        words = "Domain not found"
        if outcome is not Outcome.AGAIN:
            return check.refuse(code, status, words, whose, subject)
        reply = check.refuse(450, status, words, whose, subject)
        return temporary(action, check, reply)

    return ask


def reject_unknown_sender_domain(tools: Tools, argument: str) -> Restriction:
    return _unknown_domain(tools, SENDER)


def reject_unknown_recipient_domain(tools: Tools, argument: str) -> Restriction:
    return _unknown_domain(tools, RECIPIENT)


KINDS: Sequence[Kind] = tuple(
    Kind(make.__name__, "", make)
    for make in (
        reject_unknown_client_hostname,
        reject_unknown_reverse_client_hostname,
        reject_unknown_helo_hostname,
        reject_unknown_sender_domain,
        reject_unknown_recipient_domain,
    )
)
