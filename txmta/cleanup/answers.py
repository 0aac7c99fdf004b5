"""
Run what maps addresses: ask tables, at once where they answer at once.

Owns: which keys an address stands for in a mapping table; waiting.
Knows nothing of: what is asked why, messages.

Sources: Postfix C{global/mail_addr_find.c}, C{global/resolve_local.c}.

Errors: L{NotMapped<txmta.cleanup.questions.NotMapped>} for a table that cannot
be asked; it comes out of L{Answers.run}, or of its Deferred.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from twisted.internet.defer import Deferred

from txmta.address import split
from txmta.cleanup.questions import (
    UNAVAILABLE,
    Asking,
    Found,
    NotMapped,
    Question,
    Remark,
)
from txmta.errors import TableUnavailable
from txmta.interfaces import IMatchList, ITable
from txmta.search import Bare, address_keys, find, split_extension
from txmta.search import Found as FoundKey

T = TypeVar("T")

_EXCEPTIONS = "masquerade_exceptions"


@dataclass(frozen=True)
class Answers:
    """
    @ivar tables: by parameter.
    @ivar exceptions: masquerade_exceptions.
    @ivar is_local: whether a domain is myorigin or one of mydestination.
    @ivar delimiters: recipient_delimiter.
    """

    tables: Mapping[str, Sequence[ITable]]
    is_local: Callable[[str], bool | Deferred[bool]]
    exceptions: IMatchList | None = None
    delimiters: str = ""

    def run(self, asking: Asking[T], warn: Callable[[str], None]) -> T | Deferred[T]:
        """
        @param warn: told what to log.
        @raise NotMapped: or the Deferred fails with it.
        """
        return self._go_on(asking, None, warn)

    def _go_on(
        self, asking: Asking[T], answer: Found | None, warn: Callable[[str], None]
    ) -> T | Deferred[T]:
        try:
            while True:
                step = asking.send(answer)
                answer = None
                if isinstance(step, Remark):
                    warn(step.warning)
                    continue
                found = self._ask(step)
                if found is not None and isinstance(found, Deferred):
                    return Deferred.fromCoroutine(
                        self._later(asking, step, found, warn)
                    )
                answer = found
        except StopIteration as e:
            value: T = e.value
            return value

    async def _later(
        self,
        asking: Asking[T],
        step: Question,
        found: Deferred[Found | None],
        warn: Callable[[str], None],
    ) -> T:
        try:
            answer = await found
        except TableUnavailable as e:
            raise _unavailable(step) from e
        rest = self._go_on(asking, answer, warn)
        return await rest if isinstance(rest, Deferred) else rest

    def _ask(self, question: Question) -> Found | Deferred[Found | None] | None:
        """
        @raise NotMapped: a table cannot be asked.
        """
        try:
            if question.maps == _EXCEPTIONS:
                return self._excepted(question.key)
            local = self.is_local(split(question.key)[1])
            if isinstance(local, Deferred):
                return local.addCallback(
                    lambda is_local: self._find(question, is_local)
                )
            return self._find(question, local)
        except TableUnavailable as e:
            raise _unavailable(question) from e

    def _excepted(self, name: str) -> Found | Deferred[Found | None] | None:
        if self.exceptions is None:
            return None
        matched = self.exceptions.match(name)
        if isinstance(matched, Deferred):
            return matched.addCallback(lambda yes: Found("") if yes else None)
        return Found("") if matched else None

    def _find(
        self, question: Question, local: bool
    ) -> Found | Deferred[Found | None] | None:
        maps, address = question
        keys = address_keys(address, delimiters=self.delimiters, local=local)
        found = find(self.tables[maps], keys)
        if found is None:
            return None
        if isinstance(found, Deferred):
            return found.addCallback(self._found, question)
        return self._found(found, question)

    def _found(self, found: FoundKey | None, question: Question) -> Found | None:
        if found is None:
            return None
        if not found.value:
            raise TableUnavailable(question.maps, "an empty result")
        if not isinstance(found.key, Bare):
            return Found(found.value)
        name, _domain = split(question.key)
        user = split_extension(name, self.delimiters)[0]
        return Found(found.value, name[len(user) :])


def _unavailable(question: Question) -> NotMapped:
    if question.maps == _EXCEPTIONS or question.maps.endswith("_bcc_maps"):
        return NotMapped(f"{question.maps} map lookup problem", UNAVAILABLE)
    trouble = f"{question.maps} map lookup problem for {question.key}"
    return NotMapped(trouble, UNAVAILABLE)
