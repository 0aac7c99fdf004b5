"""
Calls that fail: EIO and ENOSPC at each write and sync of queue and mailboxes.

The client gets 250 or a 4xx, and 250 is kept; nothing bounces; when the fault
is over, mail is taken and delivered again, without a restart.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from dataclasses import dataclass, field

from tests.crash.case import CrashCase
from tests.crash.faults import ERRORS, Point
from tests.crash.scenarios import Failing
from tests.support import SLICE

#: Calls on these can fail; a pipe of ours does not.
FILES = re.compile(r"(queue|content|me|tmp)/|\*$")

#: Of the many writes to the log of the database one of so many is taken.
LOG_WRITES = 4

#: In a slice one of so many of all is taken; odd, so that both errors are.
SLICES = 7


@dataclass
class Result:
    """
    @ivar failed: the call that did, C{""} for none.
    @ivar broken: what was promised and not kept.
    """

    failed: str = ""
    deferred: int = 0
    broken: list[str] = field(default_factory=list)


class ErrorCase(CrashCase):
    """
    Has calls fail.

    @cvar scenario: in which they do.
    @cvar files: on which they do.
    """

    scenario: Failing = Failing()
    files = FILES

    def fail_all(self, slices: int) -> None:
        """
        @param slices: of so many points one is taken.
        """
        with self.site(self.scenario.place) as site:
            found = [p for p in self.scenario.count(site) if wanted(p, self.files)]
        points = [(p, error) for p in found for error in ("EIO", "ENOSPC")]
        points = points[::slices]
        seen: Counter[tuple[str, str]] = Counter()
        refused: Counter[tuple[str, str]] = Counter()
        broken: list[str] = []
        for (_point, error), result in self.in_parallel(self.fail_at, points):
            seen[result.failed, error] += 1
            refused[result.failed, error] += result.deferred
            broken += result.broken
        print(
            f"\n{'failed call':<38}{'error':<8}{'times':>6}{'4xx':>5}", file=sys.stderr
        )
        for (call, error), times in sorted(seen.items()):
            line = f"{call or 'none reached':<38}{error:<8}{times:>6}"
            print(f"{line}{refused[call, error]:>5}", file=sys.stderr)
        self.assertEqual(broken, [])
        reached = sum(times for (call, _), times in seen.items() if call)
        self.assertGreater(reached, len(points) * 2 // 3)

    def fail_at(self, point: Point, error: str) -> Result:
        where = f"{error} at {point}"
        try:
            with self.site(self.scenario.place) as site:
                failed, replies = self.scenario.fail(site, point, error)
                result = Result(failed)
                for reply in replies:
                    if reply.startswith(b"4"):
                        result.deferred += 1
                    elif not reply.startswith(b"250"):
                        result.broken.append(f"{where}: answered {reply!r}")
                if not self.scenario.mends(site):
                    result.broken.append(f"{where}: no mail is taken any more")
                verdict = self.scenario.finish(site)
        except AssertionError as e:
            return Result(broken=[f"{where}: {e}"])
        if not verdict.kept or verdict.begun:
            # A bounce would be among the torn: nobody sent such a message.
            result.broken.append(f"{where}: {verdict}")
        return result


class ErrorTests(ErrorCase):
    def test_every_call(self) -> None:
        """
        Whatever call fails, no 250 is false and nothing bounces.
        """
        self.fail_all(SLICES if SLICE else 1)


def wanted(point: Point, files: re.Pattern[str]) -> bool:
    if point.call not in ERRORS or not files.search(point.what):
        return False
    log = point.call == "pwrite64" and point.what.endswith("-wal")
    return not log or point.n % LOG_WRITES == 1
