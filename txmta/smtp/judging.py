"""
Restrictions asked, and what they say in the log.

Owns: the log lines of refusals and of what access tables note.
Knows nothing of: what restrictions say, transactions.

Sources: Postfix C{smtpd/smtpd_check.c} (log_whatsup).

Errors: none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import Deferred

from txmta.events import Note, Rejected, Warn
from txmta.interfaces import IEventSink
from txmta.model import Reply
from txmta.smtp.access.check import Check
from txmta.smtp.access.judgement import line
from txmta.smtp.access.policy import Policy

T = TypeVar("T")


def asked(
    policy: Policy, sink: IEventSink, check: Check, then: Callable[[Reply | None], T]
) -> T | Deferred[T]:
    """
    @param then: given why it is refused; all is in the log.
    """
    answer = policy.judge(check)
    if answer is not None and isinstance(answer, Deferred):
        return answer.addCallback(lambda reply: _told(sink, check, reply, then))
    if answer is None and not check.notes:
        return then(None)
    return _told(sink, check, answer, then)


def _told(
    sink: IEventSink,
    check: Check,
    reply: Reply | None,
    then: Callable[[Reply | None], T],
) -> T:
    for verb, text in check.notes:
        if verb == "warning":
            sink.emit(Warn("smtpd", text))
        elif verb == "info:":
            sink.emit(Note("smtpd", text))
        else:
            sink.emit(_event(check, verb, text))
    check.notes.clear()
    if reply is not None:
        sink.emit(_event(check, "reject", line(reply)))
    return then(reply)


def _event(check: Check, verb: str, text: str) -> Rejected:
    session = check.session
    return Rejected(
        "smtpd",
        check.queue_id,
        check.stage,
        session.client,
        text,
        check.said,
        check.recipient or None,
        session.protocol,
        session.helo,
        verb,
        session.login.username if session.login is not None else "",
    )
