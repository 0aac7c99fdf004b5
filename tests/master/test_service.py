"""
The master and its children: start, ends, stop.
"""

from __future__ import annotations

import signal

from tests.master.running_master import MasterTestCase, lives


class StartStopTests(MasterTestCase):
    def test_start_and_stop(self) -> None:
        """
        All children work before the service manager is told so; all are gone
        after a stop.
        """
        self.start()
        client = self.talk()
        self.assertIn(client.pid, self.pids("smtpd"))
        self.assertEqual(client.say("hello"), "hello")
        client.close()
        names = sorted(self.processes().values())
        self.assertEqual(
            names,
            ["txmta-fork", "txmta-local", "txmta-log", "txmta-qmgr"]
            + 2 * ["txmta-smtpd"],
        )
        pids = [*self.processes()]
        self.assertEqual(self.stop(), -signal.SIGTERM)
        self.assertIn("STOPPING=1", self.told())
        self.wait(lambda: not any(map(lives, pids)))
        self.assertNotIn("warning", self.log())
        for line in ("daemon started -- configuration", "local is confined", "stopped"):
            self.assertIn(line, self.log())
