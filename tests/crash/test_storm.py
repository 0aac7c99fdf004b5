"""
Several processes under load: any child may die at any moment, and the
configuration be read again as often as somebody likes.

C{process_model = multi}, as root.
"""

from __future__ import annotations

import os
import random
import signal
import time
from unittest import SkipTest

from tests.crash.case import CrashCase
from tests.crash.storm import Clients, MultiSite
from tests.crash.verdict import Verdict, judge
from tests.support import SLICE

#: Seconds of the storm, and between two kills.
STORM = 16.0 if SLICE else 60.0
KILL_EVERY = 2.0

RELOADS = 5 if SLICE else 20

#: Reloads, and clients, of the quiet test: nobody is killed.
QUIET_RELOADS = 8 if SLICE else 30
CLIENTS = 20

#: Seconds in which all is as before.
RECOVERY = 5.0

#: Deliveries at once: what one death may repeat.
IN_FLIGHT = 2 * 20


class StormCase(CrashCase):
    def setUp(self) -> None:
        if os.getuid() != 0:
            raise SkipTest("several processes: needs root")
        super().setUp()

    def finish(self, site: MultiSite, *clients: Clients) -> Verdict:
        """
        Wait for all that was promised.
        """
        site.wait_until_delivered(60)
        sent = [mail for each in clients for mail in each.sent]
        return judge(sent, site.promised, site.arrived())


class KillTests(StormCase):
    def test_storm(self) -> None:
        """
        A random child is killed every two seconds, with reloads between:
        nothing acknowledged is lost, no connection is refused, and what comes
        twice is not more than was under way.
        """
        with self.site(MultiSite) as made:
            assert isinstance(made, MultiSite)
            made.start()
            clients = Clients(made, CLIENTS, "storm")
            killed = self._storm(made)
            time.sleep(RECOVERY)
            before = len(made.promised)
            time.sleep(3)
            steady = len(made.promised) - before
            clients.stop()
            verdict = self.finish(made, clients)
            print(
                f"\n  {len(clients.sent)} sent, {len(made.promised)} acknowledged, "
                f"{len(killed)} killed ({', '.join(sorted(set(killed)))}): "
                f"{len(verdict.lost)} lost, {verdict.doubled} doubled, "
                f"{steady} in the last 3 s, troubles {dict(clients.troubles)}"
            )
            self.assertEqual((verdict.lost, verdict.torn), ([], []))
            self.assertEqual(clients.troubles["refused"], 0)
            self.assertLessEqual(verdict.doubled, len(killed) * IN_FLIGHT)
            self.assertGreater(steady, 10)
            self.assertGreaterEqual(len(killed), STORM / KILL_EVERY / 2)

    def _storm(self, site: MultiSite) -> list[str]:
        """
        @return: names of those that were killed.
        """
        killed: list[str] = []
        start = time.monotonic()
        reloads = 0
        while (passed := time.monotonic() - start) < STORM:
            if reloads < RELOADS * passed / STORM:
                reloads += 1
                site.signal(signal.SIGHUP)
            if len(killed) < passed // KILL_EVERY:
                children = site.children()
                if children:
                    victim = random.choice(list(children))
                    os.kill(victim, signal.SIGKILL)
                    killed.append(children[victim])
            time.sleep(0.05)
        return killed


class ReloadTests(StormCase):
    def test_under_load(self) -> None:
        """
        No session is dropped, and nobody sees an error.
        """
        with self.site(MultiSite) as made:
            assert isinstance(made, MultiSite)
            made.start()
            quick = Clients(made, CLIENTS // 2, "quick")
            slow = Clients(made, CLIENTS // 2, "slow", 0.4)
            for n in range(QUIET_RELOADS):
                made.signal(signal.SIGHUP)
                self._wait_for(made, n + 1)
            quick.stop()
            slow.stop()
            verdict = self.finish(made, quick, slow)
            print(f"\n  {len(made.promised)} messages, {QUIET_RELOADS} reloads")
            self.assertEqual(quick.troubles + slow.troubles, {})
            self.assertEqual((verdict.lost, verdict.torn), ([], []))
            self.assertEqual(verdict.doubled, 0)

    def _wait_for(self, site: MultiSite, reloads: int) -> None:
        end = time.monotonic() + 20
        while site.said("reload: done") < reloads:
            self.assertLess(time.monotonic(), end, "the reload takes too long")
            time.sleep(0.05)
