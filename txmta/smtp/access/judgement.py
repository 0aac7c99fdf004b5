"""
One question on its way through restriction lists.

Owns: what permits, refusals and warn_if_reject do to lists and to lists in lists,
    what a table that cannot be asked means.
Knows nothing of: which lists there are, what single restrictions say.

Sources: Postfix C{smtpd/smtpd_check.c} (generic_checks, smtpd_check_reject).

Errors: none; a table that cannot be asked is 451.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from twisted.internet.defer import Deferred

from txmta.errors import TableUnavailable
from txmta.model import Reply
from txmta.smtp.access import permits
from txmta.smtp.access.check import (
    CLIENT,
    HELO,
    RECIPIENT,
    SENDER,
    Answer,
    Check,
    Into,
    Step,
    Trouble,
    Verdict,
)

#: How deep lists may stand in lists when they are asked.
MAX_DEPTH = 100

Steps = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """
    A list, as one of those that are asked at a stage.

    @ivar name: of the parameter.
    @ivar subject: what it is about, as replies call it; C{default} what a table
        alone in it stands for.
    @ivar fresh: what defer_if_reject said before does not count.
    @ivar last: whatever passes is permitted here, unless defer_if_permit spoke.
    """

    name: str
    steps: Steps
    subject: str
    default: str = ""
    fresh: bool = True
    last: bool = False

    def about(self, check: Check) -> str | None:
        """
        @return: what the list is about; L{None}: there is nothing yet.
        """
        subject = self.subject
        if subject is RECIPIENT:
            return check.recipient
        if subject is SENDER:
            return check.said
        if subject is HELO:
            return check.session.helo or None
        if subject is CLIENT:
            return check.session.client.label
        return check.etrn if self.default else check.stage.replace("BDAT", "DATA")


Instead = Callable[[Check], Answer] | None

_Frame = tuple[Steps, int, bool, str, str, Instead]


class Judgement:
    """
    One question on its way through the lists.
    """

    __slots__ = ("_at", "_check", "_instead", "_outer", "_parts", "_stack", "_steps")

    def __init__(self, check: Check, parts: Sequence[Part]) -> None:
        self._check = check
        self._parts = iter(parts)
        self._steps: Steps = ()
        self._at = 0
        self._outer = False
        self._instead: Instead = None
        self._stack: list[_Frame] = []

    def go(self) -> Reply | Deferred[Reply | None] | None:
        check = self._check
        actions, watched = check.actions, check.tracer is not None
        while True:
            steps, at = self._steps, self._at
            while at < len(steps) and not actions.discard:
                step = steps[at]
                at += 1
                check.warn = self._outer or step.warn
                try:
                    answer = step.ask(check)
                except TableUnavailable:
                    answer = check.unavailable()
                if answer is Verdict.NEXT and check.if_reject is None and not watched:
                    continue
                self._at = at
                # isinstance() is slow to deny.
                if type(answer) is not Verdict and isinstance(answer, Deferred):
                    return Deferred.fromCoroutine(self._later(step, answer))
                refusal = self._take(step, answer)
                if refusal is not None:
                    return refusal
                steps, at = self._steps, self._at
            if self._stack:
                self._pop()
            elif not self._next_part():
                return None
            elif not self._steps and check.if_permit is not None:
                return _plain(check.if_permit)

    async def _later(self, step: Step, answer: Deferred[Answer]) -> Reply | None:
        try:
            found = await answer
        except TableUnavailable:
            found = self._check.unavailable()
        refusal = self._take(step, found)
        if refusal is not None:
            return refusal
        rest = self.go()
        return await rest if isinstance(rest, Deferred) else rest

    def _next_part(self) -> bool:
        check = self._check
        for part in self._parts:
            if part.last and check.if_permit is None:
                continue
            about = part.about(check)
            if about is None:
                continue
            check.subject, check.about, check.default = (
                part.subject,
                about,
                part.default,
            )
            if part.fresh:
                check.if_reject = None
            self._steps, self._at = part.steps, 0
            self._outer, self._instead = False, None
            if check.tracer is not None and part.name:
                check.tracer.enter(part.name)
            return True
        return False

    def _take(self, step: Step, answer: Answer | Deferred[Answer]) -> Reply | None:
        """
        @return: why it is refused; L{None}: go on.
        """
        check = self._check
        if check.tracer is not None and not isinstance(answer, (Into, Deferred)):
            check.tracer.tried(step.name, step.argument, answer)
        if isinstance(answer, Into):
            if len(self._stack) >= MAX_DEPTH:
                check.note("warning", f"{answer.name} causes unreasonable recursion")
                return Reply(451, "4.3.5", "Server configuration error")
            self._push(answer)
            return None
        if answer is Verdict.PERMIT:
            if check.world.logged:
                permits.note(check, step.name)
            return self._permit(step)
        if isinstance(answer, Reply):
            if not check.warn or type(answer) is Trouble:
                return _refused(check, answer)
            check.note("reject_warning", line(answer))
        if check.if_permit is not None and check.if_reject is not None:
            # Whatever came now, the answer would be the same.
            self._stack.clear()
            self._steps = ()
        return None

    def _push(self, into: Into) -> None:
        check = self._check
        about, subject = check.about, check.subject
        self._stack.append(
            (self._steps, self._at, self._outer, about, subject, self._instead)
        )
        self._steps, self._at, self._outer = into.steps, 0, check.warn
        self._instead = into.instead
        if into.subject:
            check.about, check.subject = into.about, into.subject
        if check.tracer is not None:
            check.tracer.enter(into.name)

    def _pop(self) -> None:
        check = self._check
        (
            self._steps,
            self._at,
            self._outer,
            check.about,
            check.subject,
            self._instead,
        ) = self._stack.pop()

    def _permit(self, step: Step) -> Reply | None:
        """
        The list is over, and those that it stands in.
        """
        while self._stack:
            instead = self._instead
            self._pop()
            if instead is not None:
                return self._take(step, instead(self._check))
        self._steps = ()
        return None


def _plain(answer: Reply) -> Reply:
    return Reply(answer.code, answer.status, answer.text, answer.close)


def _refused(check: Check, answer: Reply) -> Reply:
    if check.if_reject is not None and answer.code >= 500:
        return check.if_reject
    return _plain(answer) if type(answer) is Trouble else answer


def line(reply: Reply) -> str:
    """
    @return: a reply as the log shows it.
    """
    status = f"{reply.status} " if reply.status else ""
    return f"{reply.code} {status}{reply.text}".replace("\n", " ")
