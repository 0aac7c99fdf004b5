"""
Power cuts: what is on the disks at one instant, and what a new start makes
of it.

Two ext4 file systems in files hold queue and mailboxes. At a random instant of
a steady load the server is stopped, the files are copied, and the server goes
on; the copies are mounted, which replays their journals, and a second server
starts on them and delivers what is left. What the client and the next hop
knew before the copy is the truth to compare with.

Owns: the load, the instant, the second server.
Knows nothing of: how many cuts, and which verdict is expected.

The model keeps every write that the kernel has issued: a drive that drops its
cache in spite of a flush is not in it.
"""

from __future__ import annotations

import itertools
import random
import shutil
import signal
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from tests.crash.disks import Disk
from tests.crash.forked import ForkServer, wait_for_stop
from tests.crash.mails import THREE, Arrivals, Mail
from tests.crash.scenarios import queued, wait_while_running
from tests.crash.site import Site
from tests.crash.verdict import Verdict, judge

#: Octets of a disk: the reserve of the queue twice, and some mail.
SIZE = 128 << 20

#: To whom nothing can be delivered before the cut: such mail is in the queue
#: at any instant.
LATER = "later@example.org"

KINDS = (
    *THREE,
    Mail("kept", (LATER,), 2000),
    Mail("kept-large", (LATER, "me@example.com"), 100_000),
)

#: Hundredths of a second between rounds of writing back; 0 for never.
WRITEBACK = Path("/proc/sys/vm/dirty_writeback_centisecs")

#: Of copied disks; in memory, for speed.
COPIES = "/dev/shm"


@contextmanager
def writeback(centiseconds: str) -> Iterator[None]:
    """
    Let the kernel write back so often, for a while. C{"0"} is the harshest
    case: only what is synced reaches the disk.
    """
    before = WRITEBACK.read_text()
    WRITEBACK.write_text(centiseconds)
    try:
        yield
    finally:
        WRITEBACK.write_text(before)


class Load:
    """
    A client that sends messages of all kinds, with pauses.

    @ivar sent: all that it tried.
    """

    def __init__(self, site: Site, kinds: Sequence[Mail], seed: int) -> None:
        self._kinds = kinds
        self.sent: list[Mail] = []
        self._site = site
        self._random = random.Random(seed)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        kinds = itertools.cycle(self._kinds)
        for n, kind in enumerate(kinds):
            if self._end.wait(self._random.uniform(0, 0.03)):
                return
            mail = replace(kind, name=f"{kind.name}-{n}")
            self.sent.append(mail)
            self._site.send(mail)

    def stop(self) -> None:
        self._end.set()
        self._thread.join()


class PowerCuts:
    """
    One server under load, which may be cut off any number of times.

    @cvar kinds: what the client sends, again and again.
    @cvar place: makes what it happens in.
    """

    kinds: Sequence[Mail] = KINDS
    place: type[Site] = Site

    def __init__(self, folder: Path, forks: ForkServer, apart: bool, seed: int) -> None:
        """
        @param apart: mailboxes have a disk of their own.
        """
        self._folder = folder
        self._forks = forks
        self._random = random.Random(seed)
        self._stack = ExitStack()
        self._numbers = itertools.count(1)
        self._disks = [self._disk() for _ in range(1 + apart)]
        self._site = self.place(
            folder / "live",
            self._disks[0].root / "queue",
            self._disks[-1].root / "mail",
            forks,
        )
        self._stack.callback(self._site.close)

    def _disk(self) -> Disk:
        disk = Disk(SIZE, SIZE * 5 // 4)
        self._stack.callback(disk.remove)
        disk.root.parent.chmod(0o755)
        disk.mount()
        # Nothing but a sync is to write the journal.
        disk.remount("commit=300")
        return disk

    def close(self) -> None:
        self._stack.close()

    def run(self, cuts: int, mutation: str = "") -> Iterator[Verdict]:
        """
        @return: the verdict on each cut.
        """
        self._site.sink.refused = LATER
        self._site.start(mutation)
        load = Load(self._site, self.kinds, self._random.randrange(1 << 30))
        try:
            for _ in range(cuts):
                time.sleep(self._random.uniform(0.05, 0.3))
                yield self._cut(load)
        finally:
            load.stop()

    def _cut(self, load: Load) -> Verdict:
        site = self._site
        folder = Path(tempfile.mkdtemp(prefix="txmta-cut-", dir=COPIES))
        folder.chmod(0o755)
        try:
            with ExitStack() as mounted:
                site.signal(signal.SIGSTOP)
                wait_for_stop(site.pid)
                try:
                    promised = dict(site.promised)
                    relayed = site.elsewhere()
                    sent = list(load.sent)
                    roots = self._copy(folder, mounted)
                finally:
                    site.signal(signal.SIGCONT)
                return self._start_again(roots, sent, promised, relayed)
        finally:
            shutil.rmtree(folder)

    def _copy(self, folder: Path, mounted: ExitStack) -> list[Path]:
        roots: list[Path] = []
        for number, disk in enumerate(self._disks):
            place = folder / str(number)
            place.mkdir()
            roots.append(mounted.enter_context(disk.cut(place)))
        return roots

    def _start_again(
        self,
        roots: list[Path],
        sent: list[Mail],
        promised: dict[str, Mail],
        relayed: Arrivals,
    ) -> Verdict:
        site = self.place(
            self._folder / f"cut-{next(self._numbers)}",
            roots[0] / "queue",
            roots[-1] / "mail",
            self._forks,
        )
        site.sink.arrivals = relayed
        try:
            visible = judge(sent, {}, site.mailbox())
            site.start()
            empty = wait_while_running(site, lambda: not queued(site))
            site.stop()
            verdict = judge(sent, promised, site.arrived())
            if not empty:
                verdict.lost.append("the queue does not become empty")
            verdict.torn += visible.torn + _damage(site.queue)
            return verdict
        finally:
            site.close()


def _damage(queue: Path) -> list[str]:
    connection = sqlite3.connect(queue / "queue.db")
    try:
        [(said,)] = connection.execute("PRAGMA integrity_check(1)").fetchall()
        return [] if said == "ok" else [f"queue: {said}"]
    finally:
        connection.close()
