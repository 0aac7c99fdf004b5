"""
Restrictions on who may use which sender address (smtpd_sender_login_maps).

Owns: what each restriction says.
Knows nothing of: how clients log in.

Sources: Postfix C{smtpd/smtpd_check.c} (reject_auth_sender_login_mismatch).

Errors: L{TableUnavailable<txmta.errors.TableUnavailable>} goes through.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred

from txmta.model import AddressClass, Reply, Route
from txmta.search import address_keys, search
from txmta.smtp.access.check import SENDER, Answer, Check, Restriction
from txmta.smtp.access.kinds import NEXT, Kind, Tools, chain

_SPACE = re.compile(r"[,\s]+")

Judge = Callable[[Check, str | None], Answer]


def _owners(tools: Tools, wanted: Callable[[Check], bool], judge: Judge) -> Restriction:
    """
    @param wanted: there is anything to ask.
    @param judge: given the owners of the sender address, if it has any.
    """
    settings = tools.settings
    tables = [tools.open_table(item) for item in settings.smtpd_sender_login_maps]
    delimiters = settings.recipient_delimiter

    def find(check: Check, route: Route) -> Answer | Deferred[Answer]:
        local = route.address_class is AddressClass.LOCAL
        keys = address_keys(route.recipient, delimiters=delimiters, local=local)
        return chain(search(tables, keys), lambda owners: judge(check, owners))

    def ask(check: Check) -> Answer | Deferred[Answer]:
        if not tables or not check.said or not wanted(check):
            return NEXT
        return chain(check.resolve_sender(), lambda route: find(check, route))

    return ask


def _refused(check: Check, words: str) -> Reply:
    return check.refuse(553, "5.7.1", words, check.said or "", SENDER)


def _logged_in(check: Check) -> bool:
    return check.session.login is not None


def _not_logged_in(check: Check) -> bool:
    return check.session.login is None


def _owned(check: Check, owners: str | None) -> Answer:
    login = check.session.login
    if login is None:
        return NEXT
    names = _SPACE.split(owners or "")
    if login.username.casefold() in map(str.casefold, names):
        return NEXT
    return _refused(check, f"not owned by user {login.username}")


def _owned_if_known(check: Check, owners: str | None) -> Answer:
    return NEXT if owners is None else _owned(check, owners)


def _nobodys(check: Check, owners: str | None) -> Answer:
    return NEXT if owners is None else _refused(check, "not logged in")


def _either(check: Check, owners: str | None) -> Answer:
    return (_owned if _logged_in(check) else _nobodys)(check, owners)


def reject_authenticated_sender_login_mismatch(
    tools: Tools, argument: str
) -> Restriction:
    return _owners(tools, _logged_in, _owned)


def reject_known_sender_login_mismatch(tools: Tools, argument: str) -> Restriction:
    return _owners(tools, _logged_in, _owned_if_known)


def reject_unauthenticated_sender_login_mismatch(
    tools: Tools, argument: str
) -> Restriction:
    return _owners(tools, _not_logged_in, _nobodys)


def reject_sender_login_mismatch(tools: Tools, argument: str) -> Restriction:
    return _owners(tools, lambda check: True, _either)


KINDS: Sequence[Kind] = tuple(
    Kind(make.__name__, "", make)
    for make in (
        reject_authenticated_sender_login_mismatch,
        reject_known_sender_login_mismatch,
        reject_unauthenticated_sender_login_mismatch,
        reject_sender_login_mismatch,
    )
)
