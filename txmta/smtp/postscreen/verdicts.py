"""
What is held against a client, and the end of its tests.

Owns: what each failure does, when a client passes, what is kept of it.
Knows nothing of: the order of tests (L{txmta.smtp.postscreen.screen}).

Sources: Postfix C{postscreen/postscreen_misc.c} (psc_conclude),
C{postscreen/postscreen_state.c}.

Errors: none.
"""

from __future__ import annotations

from collections.abc import Sequence

from txmta.smtp.postscreen import results
from txmta.smtp.postscreen.effects import (
    Arrival,
    Effect,
    End,
    Keep,
    Log,
    Pass,
    Phase,
    Say,
    Wait,
)
from txmta.smtp.postscreen.results import NEW
from txmta.smtp.postscreen.rules import EARLY, TESTS, ScreenRules

UNAVAILABLE = "Service currently unavailable"


class Verdicts:
    """
    @ivar phase: where we are.
    @ivar refusal: what RCPT is told.
    """

    def __init__(self, rules: ScreenRules, arrival: Arrival) -> None:
        self.rules = rules
        self.phase = Phase.BEFORE
        self.label = f"[{arrival.address}]:{arrival.port}"
        self.refusal = f"450 4.3.2 {UNAVAILABLE}"
        self._arrival = arrival
        self._stamps = dict(arrival.stamps or NEW)
        self._todo: frozenset[str] = frozenset()
        self._passed: set[str] = set()
        self._failed: set[str] = set()
        self._done: set[str] = set()
        self._forward = True
        self._new = False
        self._final = ""
        self._hung_up = False
        self._said = b""
        self._begun = 0.0
        self._now = 0.0
        self._wall = 0.0
        self._effects: list[Effect] = []

    def take(self) -> Sequence[Effect]:
        """
        @return: what is to be done, in this order; once.
        """
        effects, self._effects = self._effects, []
        return effects

    def wants(self, test: str) -> bool:
        """
        Whether the client is to pass a test after the greeting.
        """
        return test in self._todo and test not in self._done

    def passed(self, test: str) -> None:
        if test in self._failed or test in self._done:
            return
        self._done.add(test)
        self._passed.add(test)
        self._stamps[test] = int(self._wall + self.rules.ttl[test])

    def fail(self, test: str, words: str, dropped: str = "") -> bool:
        """
        @param words: of the refusal, without its code.
        @param dropped: the same when we hang up.
        @return: we do.
        """
        action = self.rules.action(test)
        self._done.add(test)
        if action == "ignore":
            if test in self._todo and test not in EARLY:
                # Until something expires, it counts as passed.
                self._passed.add(test)
                self._stamps[test] = int(self._wall + self.rules.least_ttl)
            return False
        self._failed.add(test)
        if action == "drop":
            self.drop(dropped or f"521 {words}")
            return True
        self.refusal = f"550 {words}"
        self._forward = False
        return False

    def drop(self, reply: str) -> None:
        """
        @param reply: the last one.
        """
        self._forward = False
        self._final = reply
        self._conclude()

    def log(self, text: str) -> None:
        self._effects.append(Log(text))

    def say(self, *lines: str) -> None:
        text = "".join(f"{line}\r\n" for line in lines)
        self._effects.append(Say(text.encode("utf-8", "surrogateescape")))

    def answered(self) -> None:
        """
        The client has its time for the next command.
        """
        self._effects.append(Wait(self.rules.command_time))

    def elapsed(self) -> str:
        return _delta(self._now - self._begun)

    def _conclude(self) -> None:
        deep = self.phase is Phase.DEEP
        self.phase = Phase.OVER
        if self._failed:
            self._passed.clear()
        if self._passed and self._todo <= self._passed:
            self.log(f"PASS {'NEW' if self._new else 'OLD'} {self.label}")
        if self._passed:
            stamps = dict(self._stamps)
            for test in TESTS:
                if test not in self.rules.tests:
                    stamps[test] = results.OFF
            self._effects.append(Keep(stamps))
        if self._forward and not deep:
            self._effects.append(Pass(self._said))
            return
        if self._final and not self._hung_up:
            self.say(self._final)
        self.log(f"DISCONNECT {self.label}")
        self._effects.append(End())


def _delta(seconds: float) -> str:
    """
    @return: two digits, and none finer than 0.01.
    """
    if seconds >= 9.95:
        return str(int(seconds + 0.5))
    digits = 2 if seconds < 0.995 else 1
    text = f"{max(seconds, 0):.{digits}f}"
    return text.rstrip("0").rstrip(".") or "0"
