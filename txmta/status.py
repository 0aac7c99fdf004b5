"""
Enhanced status codes in texts of the configuration.

Owns: telling code and text apart; which codes can be about a recipient.
Knows nothing of: where the texts stand.

Sources: RFC 3463 sections 2 and 3.2; Postfix C{global/dsn_util.c},
C{smtpd/smtpd_dsn_fix.c}.

Errors: none.
"""

from __future__ import annotations

import re

_STATUS = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s+|$)")

#: Of an address, what is about senders only, and what that is of recipients.
_OF_RECIPIENT = {"7": "3", "8": "2"}

#: Details about addresses, and what they are about a sender's.
_DETAILS = frozenset("012345678")
_OF_SENDER = {"1": "7", "2": "8", "3": "7", "4": "7", "6": "7", "7": "7", "8": "8"}


def split_status(text: str, default: str) -> tuple[str, str]:
    """
    @param text: perhaps with an RFC 3463 code in front.
    @return: the code, and the text without it.
    """
    match = _STATUS.match(text)
    if match is None:
        return default, text
    return match[1], text[match.end() :]


def about_recipient(status: str) -> str:
    """
    @return: the code; if it is about an address, then about that of a
        recipient.
    """
    kind, subject, detail = status.split(".")
    if subject != "1":
        return status
    detail = _OF_RECIPIENT.get(detail, detail if detail in "123456" else "0")
    return f"{kind}.1.{detail}"


def about(status: str, subject: str) -> str:
    """
    @param subject: as replies of restrictions call it.
    @return: the code; if it is about an address, then about that of the
        subject; there is no address in other subjects.
    """
    if status[1:4] != ".1." or status[4:] not in _DETAILS:
        return status
    if subject == "Recipient address":
        return about_recipient(status)
    if subject == "Sender address":
        return f"{status[0]}.1.{_OF_SENDER.get(status[4:], '0')}"
    return f"{status[0]}.0.0"
