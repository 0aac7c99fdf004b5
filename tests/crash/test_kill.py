"""
Kill the server at every system call that matters, and look for the mail.

Three scenarios of three messages: C{apart}, one message after the other in a
server that is warm, where each thread is followed alone and each of its calls
is hit; C{cold}, all at once in a server that makes its queue; C{backlog}, a
start with all three in the queue. After each kill the server is started again
and left to finish: each message answered with 250 has arrived whole, and
nothing torn was ever visible.

With C{TXMTA_SLICE} every fifteenth point is taken.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.crash.case import CrashCase
from tests.crash.faults import Point
from tests.crash.scenarios import SCENARIOS, Scenario
from tests.support import SLICE

#: Of so many points a slice takes one.
SLICES = 15


@dataclass
class Tally:
    """
    What came of the points of one call in one kind of thread.
    """

    killed: int = 0
    missed: int = 0
    lost: int = 0
    torn: int = 0
    doubled: int = 0
    begun: int = 0
    broken: list[str] = field(default_factory=list)


class KillCase(CrashCase):
    """
    Kills.
    """

    def kill_all(self, scenarios: Sequence[Scenario], slices: int, least: int) -> None:
        """
        @param slices: of so many points one is taken.
        @param least: so many must be reached.
        """
        tallies: dict[tuple[str, str, str], Tally] = {}
        points = [
            (scenario, point)
            for scenario in scenarios
            for point in self.points(scenario)
        ][::slices]
        for (scenario, point), tally in self.in_parallel(self.kill, points):
            key = scenario.name, point.role, point.call
            _add(tallies.setdefault(key, Tally()), tally)
        _print(tallies)
        broken = [line for tally in tallies.values() for line in tally.broken]
        self.assertEqual(broken, [])
        killed = sum(tally.killed for tally in tallies.values())
        self.assertGreater(killed, len(points) * 8 // 10)
        self.assertGreater(killed, least // slices)

    def points(self, scenario: Scenario) -> list[Point]:
        """
        @return: the calls of a run in which nobody dies.
        """
        with self.site(scenario.place) as site:
            points = scenario.count(site)
        print(f"\n{scenario.name}:", file=sys.stderr)
        for (role, call, what), n in sorted(
            Counter((p.role, p.call, p.what) for p in points).items()
        ):
            print(f"  {role:<13} {call:<10} {n:>3}  {what}", file=sys.stderr)
        return points

    def kill(self, scenario: Scenario, point: Point) -> Tally:
        try:
            with self.site(scenario.place) as site:
                died = scenario.kill(site, point)
                verdict = scenario.finish(site)
        except AssertionError as e:
            return Tally(broken=[f"{scenario.name}: killed at {point}: {e}"])
        tally = Tally(
            int(died),
            int(not died),
            len(verdict.lost),
            len(verdict.torn),
            verdict.doubled,
            verdict.begun,
        )
        if not verdict.kept:
            tally.broken.append(f"{scenario.name}: killed at {point}: {verdict}")
        return tally


class KillTests(KillCase):
    def test_every_call(self) -> None:
        """
        No acknowledged message is lost or torn, wherever the server dies.
        """
        self.kill_all(SCENARIOS, SLICES if SLICE else 1, 500)


def _add(total: Tally, tally: Tally) -> None:
    total.killed += tally.killed
    total.missed += tally.missed
    total.lost += tally.lost
    total.torn += tally.torn
    total.doubled += tally.doubled
    total.begun += tally.begun
    total.broken += tally.broken


def _print(tallies: dict[tuple[str, str, str], Tally]) -> None:
    out = sys.stderr
    names = ("killed", "missed", "lost", "torn", "doubled", "begun")
    head = "".join(f"{name:>9}" for name in names)
    print(f"\n{'scenario':<9}{'thread':<14}{'call':<11}{head}", file=out)
    total = Tally()
    for (scenario, role, call), tally in sorted(tallies.items()):
        _add(total, tally)
        figures = "".join(f"{getattr(tally, name):>9}" for name in names)
        print(f"{scenario:<9}{role:<14}{call:<11}{figures}", file=out)
    figures = "".join(f"{getattr(total, name):>9}" for name in names)
    print(f"{'total':<34}{figures}", file=out)
