"""
Kills and power cuts notice a server that breaks its promise.

Each mutation of our code (L{tests.crash.launch}) breaks a rule of
L{tests.crash.order}, see L{tests.crash.test_mutations}. Most lose mail, too,
and here that is seen. No fault that we can make shows the one that is left,
the directory of large contents: ext4 writes the name of a new file together
with the file.
"""

from __future__ import annotations

from tests.crash.case import CrashCase
from tests.crash.faults import Point
from tests.crash.power import writeback
from tests.crash.scenarios import Apart
from tests.crash.test_power import PowerCase

#: Attempts until a mutation must have been noticed. Most are by the first cut
#: or kill, but instants are random.
ATTEMPTS = 12


class KillsTests(CrashCase):
    def test_early_250(self) -> None:
        """
        250 before the commit: the message is nowhere after a kill.
        """
        scenario = Apart("early_250")
        for n in range(1, ATTEMPTS):
            with self.site() as site:
                scenario.kill(site, Point("queue-writer", "fdatasync", n))
                if scenario.finish(site).lost:
                    return
        self.fail("not noticed")


class CutsTests(PowerCase):
    def noticed(self, mutation: str, seed: int) -> None:
        with writeback("0"), self.cuts(True, seed) as power:
            for verdict in power.run(ATTEMPTS, mutation):
                if not verdict.kept:
                    return
        self.fail("not noticed")

    def test_synchronous_off(self) -> None:
        """
        SQLite with synchronous = OFF: acknowledged mail is not on disk.
        """
        self.noticed("synchronous_off", 1)

    def test_no_fsync_of_maildir_file(self) -> None:
        """
        A Maildir file that is not synced: it is empty, and in no queue.
        """
        self.noticed("no_fsync_of_maildir_file", 2)

    def test_no_fsync_of_maildir_directory(self) -> None:
        """
        A Maildir whose directory is not synced: the last message is in no
        queue and has no name.
        """
        self.noticed("no_fsync_of_maildir_directory", 3)

    def test_recorded_before_fsync(self) -> None:
        """
        A recipient recorded before the file is written.
        """
        self.noticed("recorded_before_fsync", 4)
