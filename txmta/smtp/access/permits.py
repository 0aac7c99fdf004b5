"""
Which permissions are in the log (smtpd_log_access_permit_actions).

Owns: the words of the line.
Knows nothing of: who permits.

Sources: Postfix C{smtpd/smtpd_check.c} (smtpd_acl_permit).

Errors: none.
"""

from __future__ import annotations

from collections.abc import Sequence

from txmta.smtp.access.check import CLIENT, RECIPIENT, Check

_OF_RECIPIENTS = frozenset({"permit_auth_destination", "permit_mx_backup"})


def lists(names: Sequence[str], action: str) -> bool:
    """
    @param names: in lower case, in order; C{!name} leaves one out.
    """
    for name in names:
        if name.lstrip("!") in (action.lower(), "static:all"):
            return name[0] != "!"
    return False


def wrong(name: str) -> bool:
    """
    @return: it is no name of an action.
    """
    return "/" in name or (":" in name and name.lower() != "static:all")


def note(check: Check, action: str) -> None:
    """
    A restriction permits, if not for long.
    """
    if check.if_permit is not None or not lists(check.world.logged, action):
        return
    if action.startswith("check_"):
        return  # the table has said more
    about, subject = check.session.client.label, CLIENT
    if action in _OF_RECIPIENTS:
        about, subject = check.recipient, RECIPIENT
    elif action == "permit":
        about, subject = check.about, check.subject
    check.note("permit", f"action={action} for {subject}={about} ")


def note_table(check: Check, action: str, subject: str, about: str, table: str) -> None:
    """
    A table permits.
    """
    if check.if_permit is None and lists(check.world.logged, action):
        check.note("permit", f"action={action} for {subject}={about} from {table}")
