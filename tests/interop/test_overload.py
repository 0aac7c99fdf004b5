"""
Slow clients in every state take all the room of a service; honest ones still send.
"""

from __future__ import annotations

import time

from benchmarks.overload import SlowClients, honest, percentile
from tests.interop.running import RunningTestCase
from tests.interop.tools import wait_for
from tests.support import require_root

MAIN_CF = """\
process_model = multi
processes_per_role = 2
mynetworks = 127.0.0.1
smtpd_timeout = ${stress?{2}:{300}}s
smtpd_client_connection_count_limit = 0
mydestination =
relayhost = [127.0.0.1]:1
"""


class OverloadTests(RunningTestCase):
    def test_slow_clients(self) -> None:
        """
        Room for 20 sessions, over all processes, and 40 strangers who want
        it: those that have it lose it soon, the last of it is for clients in
        mynetworks, and policy is back to normal when they are gone.
        """
        require_root("to run several processes")
        server = self.txmta(MAIN_CF)
        path = server.folder / "master.cf"
        rows = path.read_text().replace("n - n - - smtpd", "n - n - 20 smtpd")
        path.write_text(rows)
        server.start()
        slow = SlowClients(server.port, 40, pause=0.5)
        slow.start()
        try:
            wait_for(lambda: slow.refused, "nobody was refused")
            server.wait_for_log("new ones get what")
            took: list[float] = []
            honest(server.port, time.monotonic() + 4, took)
        finally:
            slow.stop()
        self.assertGreater(len(took), 10)
        self.assertLess(percentile(took, 99), 2.0)
        # They had 2 seconds for a command, not 300.
        self.assertGreater(slow.ended - slow.refused, 0)
        server.wait_for_log(r"smtpd.*timeout after ")
