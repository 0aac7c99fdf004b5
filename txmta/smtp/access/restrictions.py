"""
Restrictions that stand for themselves, and those on recipients.

Each is a function from a L{Check} to an answer, named in L{KINDS}.

Owns: what each restriction says.
Knows nothing of: lists, their order.

Sources: Postfix C{smtpd/smtpd_check.c}, postconf(5).

Errors: L{TableUnavailable<txmta.errors.TableUnavailable>} goes through.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred

from txmta.address import split, valid_domain
from txmta.model import AddressClass, Reply, Route
from txmta.smtp.access.check import (
    RECIPIENT,
    SENDER,
    Answer,
    Check,
    Restriction,
)
from txmta.smtp.access.kinds import (
    NEXT,
    PERMIT,
    Kind,
    Tools,
    chain,
    permit_if,
    plain,
    server_error,
)
from txmta.status import about, split_status

#: Stages at which all recipients are known.
_WHOLE = frozenset({"DATA", "BDAT", "END-OF-MESSAGE"})

#: Classes of domains that we are the destination of, or relay for.
_AUTHORIZED = frozenset(
    {
        AddressClass.LOCAL,
        AddressClass.VIRTUAL_ALIAS,
        AddressClass.VIRTUAL_MAILBOX,
        AddressClass.RELAY,
    }
)


def permit(check: Check) -> Answer:
    return PERMIT


def reject(check: Check) -> Answer:
    return check.refuse(check.world.codes.reject, "5.7.1", "Access denied")


def defer(check: Check) -> Answer:
    return check.refuse(check.world.codes.defer, "4.3.2", "Try again later")


def reject_unauth_pipelining(check: Check) -> Answer:
    if not check.session.ahead:
        return NEXT
    return check.refuse(503, "5.5.0", "Improper use of SMTP command pipelining")


def reject_plaintext_session(tools: Tools, argument: str) -> Restriction:
    code = tools.settings.plaintext_reject_code

    def ask(check: Check) -> Answer:
        if check.session.tls is not None:
            return NEXT
        words = "Session encryption is required"
        return Reply(code, f"{code // 100}.7.1", words)

    return ask


def sleep(tools: Tools, argument: str) -> Restriction:
    def ask(check: Check) -> Answer | Deferred[Answer]:
        later = check.world.later
        if not argument.isdecimal():
            return server_error(check, "restriction sleep must be followed by number")
        # A day at most: it is a lock on the session.
        seconds = min(int(argument[:9]), 86400)
        if later is None or not seconds:
            return NEXT
        return later(seconds).addCallback(lambda _: NEXT)

    return ask


def reject_multi_recipient_bounce(tools: Tools, argument: str) -> Restriction:
    code = tools.settings.multi_recipient_bounce_reject_code

    def ask(check: Check) -> Answer:
        allowed = 1 if check.stage in _WHOLE else 0
        if check.said != "" or check.recipients <= allowed:
            return NEXT
        return check.refuse(code, "5.5.3", "Multi-recipient bounce")

    return ask


def authorized(route: Route) -> bool:
    """
    Whether mail for there may come from anywhere. Where mail goes that was
    routed through a domain of ours is not for us to vouch for
    (allow_untrusted_routing).
    """
    return route.address_class in _AUTHORIZED and not route.routed


def permit_auth_destination(check: Check) -> Answer | Deferred[Answer]:
    if not check.recipient:
        return NEXT
    return chain(check.resolve(), lambda route: permit_if(authorized(route)))


def _unauthorized(check: Check, code: int) -> Answer | Deferred[Answer]:
    def judge(route: Route) -> Answer:
        if authorized(route):
            return NEXT
        return check.reply(code, "5.7.1", "Relay access denied")

    if not check.recipient:
        return NEXT
    return chain(check.resolve(), judge)


def reject_unauth_destination(check: Check) -> Answer | Deferred[Answer]:
    return _unauthorized(check, check.world.codes.relay)


def defer_unauth_destination(check: Check) -> Answer | Deferred[Answer]:
    code = check.world.codes.relay
    return _unauthorized(check, code - 100 if code >= 500 else code)


def reject_unlisted_recipient(check: Check) -> Answer | Deferred[Answer]:
    if check.listed or not check.recipient:
        return NEXT
    # With warn_if_reject it is asked again at the end.
    check.listed = not check.warn
    route = check.resolve()
    if type(route) is Route:
        return _listed(check, route)
    return chain(route, lambda route: _listed(check, route))


def _listed(check: Check, route: Route) -> Answer | Deferred[Answer]:
    known: bool | Deferred[bool] = check.world.addresses.validate(
        route.recipient, route
    )
    # isinstance() is slow to deny.
    if known is True:
        return NEXT

    def judge(known: bool) -> Answer:
        return NEXT if known else _unlisted(check, route, check.recipient, RECIPIENT)

    return judge(False) if known is False else known.addCallback(judge)


def reject_unlisted_sender(check: Check) -> Answer | Deferred[Answer]:
    if check.listed_sender or not check.said:
        return NEXT
    check.listed_sender = not check.warn
    sender = check.said

    def ask(route: Route) -> Answer | Deferred[Answer]:
        known = check.world.addresses.validate(route.recipient, route, as_sender=True)

        def judge(known: bool) -> Answer:
            return NEXT if known else _unlisted(check, route, sender, SENDER)

        return chain(known, judge)

    return chain(check.resolve_sender(), ask)


def _unlisted(check: Check, route: Route, whose: str, subject: str) -> Reply:
    status = "5.1.0" if subject is SENDER else "5.1.1"
    if route.transport not in ("error", "retry"):
        return _user_unknown(check, route.address_class, status, whose, subject)
    # The next hop says why (transport_maps, relocated_maps).
    code = 450 if route.transport == "retry" else 550
    if route.address_class is AddressClass.VIRTUAL_ALIAS and code == 550:
        code = check.world.codes.virtual_alias
    status, text = split_status(route.nexthop, status)
    return check.refuse(code, about(status, subject), text, whose, subject)


def _user_unknown(
    check: Check, address_class: AddressClass, status: str, whose: str, subject: str
) -> Reply:
    codes = check.world.codes
    code, table = {
        AddressClass.VIRTUAL_ALIAS: (codes.virtual_alias, "virtual alias"),
        AddressClass.VIRTUAL_MAILBOX: (codes.virtual_mailbox, "virtual mailbox"),
        AddressClass.RELAY: (codes.relay_recipient, "relay recipient"),
    }.get(address_class, (codes.local, "local recipient"))
    where = f" in {table} table" if codes.show_table else ""
    return check.refuse(code, status, f"User unknown{where}", whose, subject)


def _non_fqdn(code: int, sender: bool) -> Restriction:
    def ask(check: Check) -> Answer:
        whose = check.said if sender else check.recipient
        if not whose:
            return NEXT
        domain = split(whose)[1]
        if domain[:1] == "#" or (domain[:1] == "[" and domain[-1:] == "]"):
            return NEXT
        if domain[-1:] == "." and domain[-2:] != "..":
            domain = domain[:-1]
        if "." in domain and valid_domain(domain):
            return NEXT
        subject = SENDER if sender else RECIPIENT
        words = "need fully-qualified address"
        return check.refuse(code, "5.5.2", words, whose, subject)

    return ask


def reject_non_fqdn_recipient(tools: Tools, argument: str) -> Restriction:
    return _non_fqdn(tools.settings.non_fqdn_reject_code, False)


def reject_non_fqdn_sender(tools: Tools, argument: str) -> Restriction:
    return _non_fqdn(tools.settings.non_fqdn_reject_code, True)


def if_permit(check: Check, reply: Reply) -> Answer:
    """
    Refuse like this unless something else refuses; with warn_if_reject it is
    only a warning.
    """
    if check.warn:
        return reply
    if check.if_permit is None:
        check.if_permit = reply
    return NEXT


def if_reject(check: Check, reply: Reply) -> Answer:
    """
    Refuse like this where something else refuses for good.
    """
    if check.if_reject is None:
        check.if_reject = reply
    return NEXT


def defer_if_permit(check: Check) -> Answer:
    return if_permit(check, check.refuse(450, "4.7.0", "defer_if_permit requested"))


def defer_if_reject(check: Check) -> Answer:
    return if_reject(check, check.refuse(450, "4.7.0", "defer_if_reject requested"))


KINDS: Sequence[Kind] = (
    *map(
        plain,
        (
            *(permit, reject, defer, defer_if_permit, defer_if_reject),
            *(permit_auth_destination, reject_unauth_destination),
            *(defer_unauth_destination, reject_unlisted_recipient),
            *(reject_unlisted_sender, reject_unauth_pipelining),
        ),
    ),
    plain(reject_unlisted_recipient, "check_recipient_maps"),
    Kind("sleep", "number", sleep),
    Kind("reject_plaintext_session", "", reject_plaintext_session),
    Kind("reject_multi_recipient_bounce", "", reject_multi_recipient_bounce),
    Kind("reject_non_fqdn_recipient", "", reject_non_fqdn_recipient),
    Kind("reject_non_fqdn_sender", "", reject_non_fqdn_sender),
)

#: A list must hold one of these, or anybody could relay through us.
CLOSING = frozenset(
    {
        "reject",
        "defer",
        "defer_if_permit",
        "reject_unauth_destination",
        "defer_unauth_destination",
    }
)
