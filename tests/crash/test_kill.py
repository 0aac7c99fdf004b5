"""
Kill the server at every system call that matters, and look for the mail.

For each call of the scenario: a server is started, strace attached, the three
messages are sent, and the server is killed when it makes its n-th such call.
It is started again and left to finish. Then each message answered with 250 has
arrived whole, and nothing torn is visible.

C{TXMTA_SLICE} takes every tenth point; without it all are taken.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.crash.site import THREE, Site, body_hash
from tests.crash.trace import CALLS, Strace, calls
from tests.support import SLICE, require


@dataclass(frozen=True)
class Point:
    """
    The n-th call of a name in any one thread.
    """

    call: str
    n: int


class KillTests(SynchronousTestCase):
    timeout = 3600

    def setUp(self) -> None:
        require("strace")
        self.folder = Path(tempfile.mkdtemp(prefix="txmta-kill-"))
        # mail_owner must be able to read the configuration.
        self.folder.chmod(0o755)
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def test_every_call(self) -> None:
        """
        No acknowledged message is lost or torn, wherever the server dies.
        """
        points = self.points()[:: 10 if SLICE else 1]
        doubled = reached = 0
        table: Counter[str] = Counter()
        for number, point in enumerate(points):
            died, more = self.killed_at(number, point)
            reached += died
            doubled += more
            table[point.call] += died
        lines = [f"{call:<12}{count:>5}" for call, count in sorted(table.items())]
        print("\nkilled at:", *lines, f"doubled: {doubled}", sep="\n", file=sys.stderr)
        self.assertGreater(reached, len(points) // 2)

    def points(self) -> list[Point]:
        """
        @return: the calls of a run in which nobody dies.
        """
        site = Site(self.folder / "count")
        try:
            site.start()
            strace = Strace(site.pid, self.folder / "count.log", CALLS)
            site.send(*THREE)
            self.assertTrue(site.wait_until_delivered())
            site.wait_for_end(0.3)
            strace.stop()
        finally:
            site.close()
        made = Counter((c.thread, c.name) for c in calls(self.folder / "count.log"))
        most: dict[str, int] = {}
        for (_thread, name), count in made.items():
            most[name] = max(most.get(name, 0), count)
        return [Point(n, i + 1) for n in sorted(most) for i in range(most[n])]

    def killed_at(self, number: int, point: Point) -> tuple[bool, int]:
        """
        @return: whether it died there, and how many copies were too many.
        """
        site = Site(self.folder / str(number))
        try:
            site.start()
            inject = f"inject={point.call}:signal=KILL:when={point.n}"
            log = self.folder / "kill.log"
            strace = Strace(site.pid, log, [point.call], "-e", inject)
            site.send(*THREE)
            died = site.wait_for_end(0.6)
            strace.stop()
            if not died:
                site.stop()
            site.start()
            self.assertTrue(site.wait_until_delivered(), f"lost, killed at {point}")
            return died, self.check(site, point)
        finally:
            site.close()
            shutil.rmtree(self.folder / str(number), ignore_errors=True)

    def check(self, site: Site, point: Point) -> int:
        whole = {m.name: body_hash(m.content) for m in THREE}
        extra = 0
        for (name, recipient), copies in site.arrived().copies.items():
            for copy in copies:
                self.assertEqual(copy, whole.get(name), f"torn {recipient}: {point}")
            self.assertLessEqual(len(copies), 2, f"{name} to {recipient}: {point}")
            extra += len(copies) - 1
        return extra
