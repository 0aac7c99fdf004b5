"""
The restrictions that main.cf can name.

Each is a function from a L{Check} to an answer, with its name in L{RESTRICTIONS};
adding one is writing a function and a line there.

Owns: what each restriction says.
Knows nothing of: lists, their order.

Sources: Postfix C{smtpd/smtpd_check.c}, postconf(5).

Errors: L{TableUnavailable<txmta.errors.TableUnavailable>} goes through.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from twisted.internet.defer import Deferred

from txmta.model import AddressClass, Reply, Route
from txmta.smtp.access.check import Answer, Check, Restriction, Verdict
from txmta.status import about_recipient, split_status

T = TypeVar("T")
NEXT, PERMIT = Verdict.NEXT, Verdict.PERMIT

#: Classes of domains that we are the destination of, or relay for.
_AUTHORIZED = frozenset(
    {
        AddressClass.LOCAL,
        AddressClass.VIRTUAL_ALIAS,
        AddressClass.VIRTUAL_MAILBOX,
        AddressClass.RELAY,
    }
)


def _map(
    value: T | Deferred[T], then: Callable[[T], Answer]
) -> Answer | Deferred[Answer]:
    if isinstance(value, Deferred):
        return value.addCallback(then)
    return then(value)


def _permit_if(yes: bool) -> Answer:
    return PERMIT if yes else NEXT


def permit(check: Check) -> Answer:
    return PERMIT


def reject(check: Check) -> Answer:
    return check.reply(
        check.world.codes.reject, "5.7.1", "Recipient address rejected: Access denied"
    )


def defer(check: Check) -> Answer:
    return check.reply(
        check.world.codes.defer, "4.3.2", "Recipient address rejected: Try again later"
    )


def permit_mynetworks(check: Check) -> Answer | Deferred[Answer]:
    client = check.session.client
    listed = check.world.mynetworks.match_client(client.name, client.address)
    if listed is True:
        return PERMIT
    return NEXT if listed is False else listed.addCallback(_permit_if)


def permit_inet_interfaces(check: Check) -> Answer:
    return _permit_if(check.session.client.address in check.world.own)


def permit_sasl_authenticated(check: Check) -> Answer:
    # Nobody can authenticate yet.
    return NEXT


def authorized(route: Route) -> bool:
    """
    Whether mail for there may come from anywhere. Where mail goes that was
    routed through a domain of ours is not for us to vouch for
    (allow_untrusted_routing).
    """
    return route.address_class in _AUTHORIZED and not route.routed


def permit_auth_destination(check: Check) -> Answer | Deferred[Answer]:
    return _map(check.resolve(), lambda route: _permit_if(authorized(route)))


def _unauthorized(check: Check, code: int) -> Answer | Deferred[Answer]:
    def judge(route: Route) -> Answer:
        if authorized(route):
            return NEXT
        return check.reply(code, "5.7.1", "Relay access denied")

    return _map(check.resolve(), judge)


def reject_unauth_destination(check: Check) -> Answer | Deferred[Answer]:
    return _unauthorized(check, check.world.codes.relay)


def defer_unauth_destination(check: Check) -> Answer | Deferred[Answer]:
    code = check.world.codes.relay
    return _unauthorized(check, code - 100 if code >= 500 else code)


def reject_unlisted_recipient(check: Check) -> Answer | Deferred[Answer]:
    if check.listed:
        return NEXT
    route = check.resolve()
    if isinstance(route, Route):
        return _listed(check, route)
    return route.addCallback(lambda route: _listed(check, route))


def _listed(check: Check, route: Route) -> Answer | Deferred[Answer]:
    known = check.world.addresses.validate(route.recipient, route)

    def judge(known: bool) -> Answer:
        if not known:
            return _unlisted(check, route)
        check.listed = True
        return NEXT

    # _map() is slow to find that it need not wait.
    return judge(known) if type(known) is bool else _map(known, judge)


def _unlisted(check: Check, route: Route) -> Reply:
    if route.transport not in ("error", "retry"):
        return _user_unknown(check, route.address_class)
    # The next hop says why (transport_maps, relocated_maps).
    code = 450 if route.transport == "retry" else 550
    if route.address_class is AddressClass.VIRTUAL_ALIAS and code == 550:
        code = check.world.codes.virtual_alias
    status, text = split_status(route.nexthop, "5.1.1")
    status = about_recipient(status)
    return check.reply(code, status, f"Recipient address rejected: {text}")


def _user_unknown(check: Check, address_class: AddressClass) -> Reply:
    codes = check.world.codes
    code, table = {
        AddressClass.VIRTUAL_ALIAS: (codes.virtual_alias, "virtual alias"),
        AddressClass.VIRTUAL_MAILBOX: (codes.virtual_mailbox, "virtual mailbox"),
        AddressClass.RELAY: (codes.relay_recipient, "relay recipient"),
    }.get(address_class, (codes.local, "local recipient"))
    where = f" in {table} table" if codes.show_table else ""
    return check.reply(
        code, "5.1.1", f"Recipient address rejected: User unknown{where}"
    )


def _requested(check: Check, name: str) -> Reply:
    return check.reply(450, "4.7.0", f"Recipient address rejected: {name} requested")


def defer_if_permit(check: Check) -> Answer:
    if check.if_permit is None:
        check.if_permit = _requested(check, "defer_if_permit")
    return NEXT


def defer_if_reject(check: Check) -> Answer:
    if check.if_reject is None:
        check.if_reject = _requested(check, "defer_if_reject")
    return NEXT


#: By name, in lower case.
RESTRICTIONS: Mapping[str, Restriction] = {
    restriction.__name__: restriction
    for restriction in (
        permit,
        reject,
        defer,
        permit_mynetworks,
        permit_inet_interfaces,
        permit_sasl_authenticated,
        permit_auth_destination,
        reject_unauth_destination,
        defer_unauth_destination,
        reject_unlisted_recipient,
        defer_if_permit,
        defer_if_reject,
    )
}

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


def warned(restriction: Restriction) -> Restriction:
    """
    warn_if_reject: what would refuse is only logged.
    """

    def warn(check: Check) -> Answer | Deferred[Answer]:
        def judge(answer: Answer) -> Answer:
            if isinstance(answer, Reply):
                check.warnings.append(answer)
                return NEXT
            return answer

        answer = restriction(check)
        if isinstance(answer, Deferred):
            return answer.addCallback(judge)
        return judge(answer)

    return warn
