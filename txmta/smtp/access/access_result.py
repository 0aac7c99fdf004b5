"""
What the value of an access table means.

Owns: the results of access(5), their words in replies and in the log.
Knows nothing of: which table was asked for which key, what is done with messages.

Sources: Postfix C{smtpd/smtpd_check.c} (check_table_result, can_delegate_action);
access(5).

Errors: none; a value that means nothing is 451, and said in the log.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from txmta.model import Reply
from txmta.smtp.access import permits
from txmta.smtp.access.check import Answer, Check, Into
from txmta.smtp.access.kinds import NEXT, PERMIT, Tools, server_error
from txmta.smtp.access.restrictions import if_permit, if_reject
from txmta.status import about, split_status

#: What Postfix says where a table cannot be asked.
LOST = "451 4.3.5 Server configuration error"

_CODE = re.compile(r"[45][0-9][0-9]")
_HEADER = re.compile(r"[!-9;-~]+[ \t]*:")


@dataclass(frozen=True, slots=True)
class Asked:
    """
    What was asked.

    @ivar key: what was looked for, for the log.
    @ivar about: what the result is about, as replies name it, with C{subject}.
    """

    check: Check
    table: str
    key: str
    about: str
    subject: str

    def refuse(self, code: int, status: str, text: str, default: str) -> Reply:
        """
        @param text: perhaps with an enhanced status code in front.
        """
        found, words = split_status(text, status)
        fixed = about(found, self.subject)
        if fixed[1:] != found[1:]:
            self.check.note(
                "info:",
                f"mapping DSN status {found} into {self.subject} status {fixed}",
            )
        words = words or default
        return self.check.refuse(code, fixed, words, self.about, self.subject)

    def log(self, verb: str, text: str) -> None:
        self.check.note(verb, f"<{self.about}>: {self.subject} {text}")

    def warn(self, text: str) -> None:
        self.check.note("warning", f"access table {self.table}{text}")

    def useless(self, text: str) -> Answer:
        self.warn(f' entry "{self.key}" {text}')
        return NEXT


class Results:
    """
    Reads values.
    """

    def __init__(self, tools: Tools) -> None:
        settings = tools.settings
        self._read = tools.read
        self._reject = settings.access_map_reject_code
        self._defer = settings.access_map_defer_code

    def answer(self, value: str, asked: Asked) -> Answer:
        """
        @return: what it says.
        """
        word, _, text = value.replace("\t", " ").partition(" ")
        text = text.strip()
        upper = word.upper()
        if upper == "DUNNO":
            return NEXT
        if upper in ("OK", "RELAY") or (value.isdecimal() and value.isascii()):
            return self._permit(word, asked)
        if upper == "REJECT":
            return asked.refuse(self._reject, "5.7.1", text, "Access denied")
        if upper == "DEFER":
            return asked.refuse(self._defer, "4.7.1", text, "Access denied")
        if upper == "DEFER_IF_PERMIT":
            reply = asked.refuse(self._defer, "4.7.1", text, "Service unavailable")
            return if_permit(asked.check, reply)
        if upper == "DEFER_IF_REJECT":
            reply = asked.refuse(self._defer, "4.7.1", text, "Service unavailable")
            return if_reject(asked.check, reply)
        if text and _CODE.fullmatch(word):
            return asked.refuse(int(word), f"{word[0]}.7.1", text, "Access denied")
        act = _ACTIONS.get(upper)
        if act is not None:
            if upper not in ("INFO", "WARN") and not _can_act(upper, asked):
                return NEXT
            return act(asked, text)
        return self._list(value, asked)

    def _permit(self, word: str, asked: Asked) -> Answer:
        if asked.check.world.logged:
            permits.note_table(
                asked.check, word, asked.subject, asked.about, asked.table
            )
        return PERMIT

    def _list(self, value: str, asked: Asked) -> Answer:
        check = asked.check
        if not value.strip():
            words = f"access table {asked.table} entry {value} has empty value"
            return server_error(check, words)
        steps = self._read(value, check.default)
        if steps is None:
            asked.warn(f" has entry with lookup table: {value}")
            check.note(
                "warning", "do not specify lookup tables inside SMTPD access maps"
            )
            return server_error(
                check, "define a restriction class and specify its name instead."
            )
        return Into(value, steps, asked.about, asked.subject)


def _can_act(action: str, asked: Asked) -> bool:
    """
    @return: there is, or may be, a message to act on.
    """
    check = asked.check
    if check.stage == "ETRN":
        asked.warn(f": action {action} is unavailable in smtpd_etrn_restrictions")
        return False
    if check.said is None and check.stage in ("CONNECT", "HELO", "EHLO"):
        asked.warn(
            f": with smtpd_delay_reject=no, action {action} is always skipped in "
            "smtpd_client_restrictions or smtpd_helo_restrictions restrictions"
        )
        return False
    return True


def _info(asked: Asked, text: str) -> Answer:
    asked.check.note("info", text)
    return NEXT


def _warn(asked: Asked, text: str) -> Answer:
    asked.check.note("warn", text)
    return NEXT


def _hold(asked: Asked, text: str) -> Answer:
    asked.log("hold", text or "triggers HOLD action")
    asked.check.actions.hold = True
    return NEXT


def _discard(asked: Asked, text: str) -> Answer:
    asked.log("discard", text or "triggers DISCARD action")
    asked.check.actions.discard = True
    return PERMIT


def _filter(asked: Asked, text: str) -> Answer:
    if not text:
        return asked.useless("has FILTER entry without value")
    if ":" not in text:
        return asked.useless("requires transport:destination")
    asked.log("filter", f"triggers FILTER {text}")
    asked.check.actions.filter = text
    return NEXT


def _redirect(asked: Asked, text: str) -> Answer:
    if "@" not in text:
        return asked.useless("requires user@domain target")
    asked.log("redirect", f"triggers REDIRECT {text}")
    asked.check.actions.redirect = text
    return NEXT


def _bcc(asked: Asked, text: str) -> Answer:
    if "@" not in text:
        return asked.useless("requires user@domain target")
    asked.log("bcc", f"triggers BCC {text}")
    if text not in asked.check.actions.bcc:
        asked.check.actions.bcc.append(text)
    return NEXT


def _prepend(asked: Asked, text: str) -> Answer:
    if asked.check.stage == "END-OF-MESSAGE":
        asked.warn(
            ": action PREPEND must be used before smtpd_end_of_data_restrictions"
        )
        return NEXT
    if not _HEADER.match(text):
        return asked.useless("requires header: text")
    asked.check.actions.prepend.append(text)
    return NEXT


_ACTIONS: Mapping[str, Callable[[Asked, str], Answer]] = {
    "INFO": _info,
    "WARN": _warn,
    "HOLD": _hold,
    "DISCARD": _discard,
    "FILTER": _filter,
    "REDIRECT": _redirect,
    "BCC": _bcc,
    "PREPEND": _prepend,
}
