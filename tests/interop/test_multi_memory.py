"""
What the processes of the real server share, and what each has of its own.

The bounds leave room for other versions of Python. Where each child reads the
configuration, or looks for plug-ins, the server is beyond them.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from pathlib import Path

from tests.interop.running import RunningTestCase
from tests.interop.test_confined_server import children
from tests.interop.tools import wait_for
from tests.support import require_root

MAIN_CF = """\
process_model = multi
processes_per_role = 1
alias_maps = hash:/etc/aliases
local_recipient_maps = proxy:unix:passwd.byname
setgid_group = mail
"""

MASTER_CF = """\
pickup unix n - n 60 1 pickup
qmgr unix n - n 300 1 qmgr
smtp unix - - n - - smtp
relay unix - - n - - smtp
local unix - n n - - local
virtual unix - n n - - virtual
error unix - - n - - error
"""

#: Megabytes: of all processes, shared pages once, and of each child alone.
ALL, OWN = 170.0, 15.0

#: The log's child does next to nothing.
LOG_OWN = 6.5


def megabytes(pid: int, *names: str) -> float:
    """
    @param names: of lines of smaps_rollup.
    """
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.findall(rf"^(?:{'|'.join(names)}):\s+(\d+)", text, re.MULTILINE)
    return sum(map(int, found)) / 1024


class MultiMemoryTests(RunningTestCase):
    def setUp(self) -> None:
        require_root("for children with rights of their own")
        self.server = self.running(MAIN_CF, master_cf=MASTER_CF)
        self.server.wait_for_log("daemon started")

    def check(self) -> None:
        found = children(self.server.pid)
        roles = {"log", "proxymap", "qmgr", "pickup", "smtp", "smtpd", "local"}
        self.assertEqual(set(found.values()), roles)
        own: Mapping[str, float] = {
            f"{role} {pid}": megabytes(pid, "Private_Dirty", "Private_Clean")
            for pid, role in found.items()
        }
        for name, size in own.items():
            limit = LOG_OWN if name.startswith("log ") else OWN
            self.assertLess(size, limit, own)
        (fork_server,) = {parent_of(pid) for pid in found}
        everybody = (self.server.pid, fork_server, *found)
        total = sum(megabytes(pid, "Pss") for pid in everybody)
        self.assertLess(total, ALL, own)

    def test_idle(self) -> None:
        """
        From the start, and after a reload: the new fork server shares as much.
        """
        self.check()
        self.server.kill(signal.SIGHUP)
        self.server.wait_for_log("reload: done")
        wait_for(self.one_generation, "the old processes stay")
        self.check()

    def one_generation(self) -> bool:
        return len({parent_of(pid) for pid in children(self.server.pid)}) == 1


def parent_of(pid: int) -> int:
    try:
        after = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(after[1])
