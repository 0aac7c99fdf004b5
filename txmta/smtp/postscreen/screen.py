"""
One client before the screen: what it does in, what is done with it out.

The caller tells what happens (L{Screen.begin}, L{Screen.heard}, L{Screen.scored},
L{Screen.waited}, L{Screen.late}, L{Screen.hung_up}) and takes what is to be done
(L{Screen.take}).

Owns: the order of tests, what each failure does, log lines, when a client passes.
Knows nothing of: sockets, clocks, the DNS, where results are kept.

Sources: Postfix C{postscreen/postscreen.c}, C{postscreen_early.c},
C{postscreen_misc.c}; postscreen(8).

Errors: none.
"""

from __future__ import annotations

from txmta.smtp.dialogue import escape
from txmta.smtp.postscreen import results
from txmta.smtp.postscreen.dummy import Dummy
from txmta.smtp.postscreen.effects import (
    Arrival,
    Look,
    Phase,
    Score,
    Wait,
)
from txmta.smtp.postscreen.results import NEW
from txmta.smtp.postscreen.rules import DNSBL, EARLY, PREGREET, TESTS, ScreenRules
from txmta.smtp.postscreen.verdicts import UNAVAILABLE, Verdicts

_PROTOCOL = "5.5.1 Protocol error"


class Screen(Verdicts):
    """
    From its arrival on.
    """

    def __init__(self, rules: ScreenRules, arrival: Arrival) -> None:
        super().__init__(rules, arrival)
        self._score = Score()
        self._dummy = Dummy(self)

    # What happens.

    def begin(self, now: float, wall: float) -> None:
        """
        @param now: monotonic; all others are told it, too.
        @param wall: wall time.
        """
        rules, arrival = self.rules, self._arrival
        self._begun, self._now, self._wall = now, now, wall
        address, port = arrival.server
        self.log(f"CONNECT from {self.label} to [{address}]:{port}")
        if 0 < rules.per_client < arrival.together:
            self.log(
                f"NOQUEUE: reject: CONNECT from {self.label}: too many connections"
            )
            self.drop("421 4.7.0 Error: too many connections")
            return
        if arrival.listed == "permit":
            self.log(f"ALLOWLISTED {self.label}")
            self._conclude()
            return
        if arrival.listed == "reject":
            self.log(f"DENYLISTED {self.label}")
            if self.fail("denylist", f"5.3.2 {UNAVAILABLE}"):
                return
        self._plan()

    def _plan(self) -> None:
        rules, arrival = self.rules, self._arrival
        old = not self._failed and arrival.together == 1 and arrival.stamps is not None
        if not old:
            self._stamps = dict(NEW)
        if old or arrival.together == 1 or self._failed:
            self._todo = results.to_do(self._stamps, rules.tests, self._wall)
            self._new = results.is_new(self._stamps, self._todo)
        else:
            self._todo, self._new = rules.tests, True
        if old and not self._todo:
            self.log(f"PASS OLD {self.label}")
            self._conclude()
            return
        if not arrival.here:
            self.log(f"ALLOWLIST VETO {self.label}")
            self._forward = False
            self._failed.add("interface")
        if 0 < rules.pre_queue < arrival.tested:
            self.log(
                f"NOQUEUE: reject: CONNECT from {self.label}: all screening ports busy"
            )
            self.drop("421 4.3.2 All screening ports are busy")
        elif self._todo & EARLY:
            self._early()
        else:
            self._after()

    def _early(self) -> None:
        rules = self.rules
        self.phase = Phase.EARLY
        if PREGREET in self._todo:
            self.say(f"220-{rules.teaser}")
        if DNSBL in self._todo:
            self._effects.append(Look())
        self._effects.append(Wait(rules.greet_wait))

    def heard(self, data: bytes, now: float) -> None:
        """
        The client sent something.
        """
        self._now = now
        if self.phase is Phase.DEEP:
            self._dummy.feed(data)
        elif self.phase is Phase.EARLY:
            self._said += data
            if PREGREET in self._todo and PREGREET not in self._done:
                self._spoke()

    def _spoke(self) -> None:
        self._done.add(PREGREET)
        size, text = len(self._said), escape(self._said[:100])
        self.log(
            f"PREGREET {size} after {self.elapsed()} from {self.label}: {text[:100]}"
        )
        if not self.fail(PREGREET, _PROTOCOL):
            self._maybe_over()

    def scored(self, score: Score, now: float) -> None:
        """
        All DNS lists have answered.
        """
        self._now, self._score = now, score
        if self.phase is Phase.EARLY:
            self._done.add(DNSBL)
            self._maybe_over()

    def _maybe_over(self) -> None:
        """
        If all is known, nobody need wait.
        """
        if self._todo & EARLY <= self._done:
            self.waited(self._score, self._now)

    def waited(self, score: Score, now: float) -> None:
        """
        @param score: of what lists have answered by now.
        """
        self._now = now
        if self.phase is not Phase.EARLY:
            return
        if PREGREET in self._todo and PREGREET not in self._done:
            self.passed(PREGREET)
        if DNSBL in self._todo and self._judge(score):
            return
        self._after()

    def _judge(self, score: Score) -> bool:
        """
        @return: that was it.
        """
        rules = self.rules
        if score.score < rules.threshold:
            least, most = rules.ttl_range
            until = int(self._wall + min(max(score.ttl, least), most))
            self._stamps[DNSBL] = until
            self._passed.add(DNSBL)
            if rules.allow < 0 and score.score <= rules.allow:
                self._spare(until)
            return False
        self.log(f"DNSBL rank {score.score} for {self.label}")
        words = (
            f"5.7.1 Service unavailable; client [{self._arrival.address}] blocked "
            f"using {score.name}"
        )
        return self.fail(DNSBL, words)

    def _spare(self, until: int) -> None:
        """
        Who has so good a name need not pass the other tests.
        """
        for test in self._todo - {DNSBL}:
            self._failed.discard(test)
            self._stamps[test] = max(self._stamps[test], until)
            self._passed.add(test)
        if not self._failed:
            self._forward = True

    def _after(self) -> None:
        """
        The tests before the greeting are over.
        """
        if self._forward and not self._deep():
            self._conclude()
            return
        self.phase = Phase.DEEP
        self._begun = self._now
        if self._failed:
            # Nothing to lose: see what else such a client does.
            self._todo |= frozenset(TESTS) - EARLY
        if PREGREET not in self._failed:
            self.say(f"220 {self.rules.banner}")
        self._effects.append(Wait(self.rules.command_time))
        said, self._said = self._said, b""
        if said:
            self._dummy.feed(said)

    def _deep(self) -> frozenset[str]:
        return self._todo - EARLY - self._passed

    def late(self, now: float) -> None:
        """
        A command took too long.
        """
        self._now = now
        if self.phase is Phase.DEEP:
            self.log(f"COMMAND TIME LIMIT from {self.label} after {self._dummy.where}")
            self.drop(f"421 {self.rules.hostname} {self._busy()}")

    def hung_up(self, now: float) -> None:
        """
        The client has closed the connection.
        """
        self._now = now
        if self.phase is Phase.OVER:
            return
        when = "after" if self.phase is Phase.DEEP else "before"
        self.log(
            f"HANGUP after {self.elapsed()} from {self.label} in tests {when} "
            "SMTP handshake"
        )
        self._hung_up, self._forward = True, False
        self._conclude()

    def stop(self) -> None:
        """
        The server stops.
        """
        if self.phase is not Phase.OVER:
            self.drop(f"421 {self.rules.hostname} {self._busy()}")

    def _busy(self) -> str:
        return "Service unavailable - try again later"
