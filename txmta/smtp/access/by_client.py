"""
Restrictions on the client, its name, its certificate, and on HELO, without DNS.

Owns: what each restriction says.
Knows nothing of: lists, their order.

Sources: Postfix C{smtpd/smtpd_check.c}, C{util/valid_hostname.c}.

Errors: L{TableUnavailable<txmta.errors.TableUnavailable>} goes through.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred

from txmta.address import literal_address, valid_domain
from txmta.search import search
from txmta.smtp.access.check import HELO, Answer, Check, Restriction
from txmta.smtp.access.kinds import NEXT, PERMIT, Kind, Tools, chain, permit_if, plain


def permit_mynetworks(check: Check) -> Answer | Deferred[Answer]:
    client = check.session.client
    listed = check.world.mynetworks.match_client(client.name, client.address)
    if listed is True:
        return PERMIT
    return NEXT if listed is False else listed.addCallback(permit_if)


def permit_inet_interfaces(check: Check) -> Answer:
    return permit_if(check.session.client.address in check.world.own)


def permit_sasl_authenticated(check: Check) -> Answer:
    return permit_if(check.session.login is not None)


def permit_tls_all_clientcerts(check: Check) -> Answer:
    tls = check.session.tls
    return permit_if(tls is not None and tls.trusted)


def permit_tls_clientcerts(tools: Tools, argument: str) -> Restriction:
    items = tools.settings.relay_clientcerts
    tables = [tools.open_table(item) for item in items]

    def ask(check: Check) -> Answer | Deferred[Answer]:
        tls = check.session.tls
        if tls is None or not tables:
            return NEXT
        prints = [p for p in (tls.fingerprint, tls.key_fingerprint) if p]
        found = search(tables, prints)
        return chain(found, lambda value: permit_if(value is not None))

    return ask


def _undotted(name: str) -> str:
    """
    @return: without the dot at the end; of more dots they stay.
    """
    return name[:-1] if name[-1:] == "." and name[-2:] != ".." else name


def _on_helo(judge: Callable[[str], str], code: int, literal: int) -> Restriction:
    """
    @param judge: says of a name what is wrong, or C{""}.
    @param code: for a name; C{literal} for an address.
    """

    def ask(check: Check) -> Answer:
        helo = check.session.helo
        if not helo:
            return NEXT
        if helo[0] == "[":
            wrong = "" if literal_address(helo) else "invalid ip address"
        else:
            wrong = judge(_undotted(helo))
        if not wrong:
            return NEXT
        which = literal if helo[0] == "[" else code
        return check.refuse(which, "5.5.2", wrong, helo, HELO)

    return ask


def _is_name(name: str) -> bool:
    return name.isascii() and valid_domain(name)


def reject_invalid_helo_hostname(tools: Tools, argument: str) -> Restriction:
    def judge(name: str) -> str:
        valid = _is_name(name) or literal_address(f"[{name}]") is not None
        return "" if valid else "Invalid name"

    code = tools.settings.invalid_hostname_reject_code
    return _on_helo(judge, code, code)


def reject_non_fqdn_helo_hostname(tools: Tools, argument: str) -> Restriction:
    def judge(name: str) -> str:
        good = "." in name and _is_name(name)
        return "" if good else "need fully-qualified hostname"

    settings = tools.settings
    return _on_helo(
        judge, settings.non_fqdn_reject_code, settings.invalid_hostname_reject_code
    )


KINDS: Sequence[Kind] = (
    plain(permit_mynetworks),
    plain(permit_inet_interfaces),
    plain(permit_sasl_authenticated),
    plain(permit_tls_all_clientcerts),
    Kind("permit_tls_clientcerts", "", permit_tls_clientcerts),
    Kind("reject_invalid_helo_hostname", "", reject_invalid_helo_hostname),
    Kind("reject_non_fqdn_helo_hostname", "", reject_non_fqdn_helo_hostname),
)
