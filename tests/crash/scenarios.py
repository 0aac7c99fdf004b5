"""
What the server does while faults strike: three ways to handle three messages.

Owns: the order of things in each scenario, how it is watched, and how it ends
    after a fault.
Knows nothing of: which fault is next, how many there are.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from tests.crash import faults
from tests.crash.faults import Point
from tests.crash.forked import IDLE
from tests.crash.mails import THREE, Mail
from tests.crash.site import PATIENCE, Site
from tests.crash.trace import Strace, calls
from tests.crash.verdict import Verdict, judge

AFTER = Mail("after", ("r@example.org", "me@example.com"), 2000)

#: Seconds in which an idle server has made its checkpoint, and a killed one
#: is dead.
SOON = IDLE * 3


#: Seconds in which what left the queue is seen where it arrives.
LATEST = 2.0


def warm(mails: Sequence[Mail]) -> Sequence[Mail]:
    """
    @return: what is sent before a server is watched, so that its threads and
        mailboxes are there.
    """
    return [replace(mail, name=f"warm-{mail.name}") for mail in mails]


def queued(site: Site) -> int:
    """
    @return: messages in the queue of a running server.
    """
    path = site.queue / "queue.db"
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
    try:
        row = connection.execute("SELECT count(*) FROM message").fetchone()
        return int(row[0])
    finally:
        connection.close()


def wait_while_running(
    site: Site, done: Callable[[], bool], seconds: float = PATIENCE
) -> bool:
    """
    @return: whether it was done, before the server ended or time was up.
    """
    end = time.monotonic() + seconds
    while site.running and time.monotonic() < end:
        with contextlib.suppress(sqlite3.OperationalError):
            if done():
                return True
        time.sleep(0.005)
    return False


class Scenario:
    """
    @cvar messages: all that its client sends.
    @cvar place: makes what it happens in.
    """

    name = ""
    messages: Sequence[Mail] = THREE
    place: type[Site] = Site

    def count(self, site: Site) -> list[Point]:
        """
        Run it without a fault.

        @return: where faults can strike.
        """
        raise NotImplementedError

    def kill(self, site: Site, point: Point) -> bool:
        """
        @return: whether the server reached the point, and died.
        """
        raise NotImplementedError

    def finish(self, site: Site) -> Verdict:
        """
        Start the server again, let it deliver all, and look.
        """
        seen = judge(self.messages, {}, site.mailbox())
        if not site.running:
            site.start()
        empty = wait_while_running(site, lambda: not queued(site))
        # What is in no queue any more has arrived, or never will.
        site.wait_until_delivered(LATEST)
        site.stop()
        verdict = judge(self.messages, site.promised, site.arrived())
        verdict.torn += seen.torn
        if not empty:
            verdict.lost.append("the queue does not become empty")
        if rest := os.listdir(site.queue / "content"):
            verdict.lost.append(f"content left behind: {rest}")
        return verdict


class Apart(Scenario):
    """
    One message after the other, in a server that is warm.

    @cvar mode: of L{tests.crash.launch}.
    @cvar watched: sent while faults strike.
    """

    name = "apart"
    mode = "one_thread"
    watched: Sequence[Mail] = THREE
    messages: Sequence[Mail] = (*warm(THREE), *THREE)

    def __init__(self, mutation: str = "") -> None:
        """
        @param mutation: of the server that is watched; the one that is
            started after it is sound.
        """
        self._mutation = mutation or self.mode

    def count(self, site: Site) -> list[Point]:
        self._warm_up(site)
        threads = faults.roles(site.pid)
        log = site.folder / "strace"
        strace = Strace(site.pid, log, faults.CALLS)
        self._send(site, self.watched)
        time.sleep(SOON)
        strace.stop()
        return faults.points_of_threads(calls(log), threads)

    def kill(self, site: Site, point: Point) -> bool:
        self._warm_up(site)
        threads = {role: thread for thread, role in faults.roles(site.pid).items()}
        thread = threads.get(point.role)
        if thread is None:
            return False
        strace = Strace(
            thread,
            site.folder / "strace",
            [point.call],
            *point.inject("signal=KILL"),
            threads="",
        )
        self._send(site, self.watched)
        died = site.wait_for_end(SOON)
        strace.stop()
        return died

    def _warm_up(self, site: Site) -> None:
        site.start(self._mutation)
        self._send(site, warm(self.watched))
        time.sleep(SOON)

    def _send(self, site: Site, mails: Sequence[Mail]) -> None:
        for mail in mails:
            if site.running:
                site.send(mail)
                wait_while_running(site, lambda: not queued(site))


class Failing(Apart):
    """
    As L{Apart}, with one call that fails instead of a kill.

    @cvar after: sent after a fault is over.
    """

    name = "failing"
    after = AFTER
    messages = (*Apart.messages, AFTER)

    def fail(self, site: Site, point: Point, error: str) -> tuple[str, list[bytes]]:
        """
        @param error: C{EIO}, C{ENOSPC}.
        @return: the call that did fail, or C{""}, and the replies to the
            messages.
        """
        self._warm_up(site)
        threads = {role: thread for thread, role in faults.roles(site.pid).items()}
        thread = threads.get(point.role)
        if thread is None:
            return "", []
        log = site.folder / "strace"
        strace = Strace(
            thread, log, [point.call], *point.inject(f"error={error}"), threads=""
        )
        replies: list[bytes] = []
        for mail in self.watched:
            replies += site.send(mail)
            # A deferred message is tried again after a second.
            wait_while_running(site, lambda: not queued(site), 2 * SOON)
        time.sleep(SOON)
        strace.stop()
        failed = [c for c in calls(log) if "(INJECTED)" in c.arguments]
        return (f"{failed[0].name} {faults.what(failed[0])}" if failed else ""), replies

    def mends(self, site: Site) -> bool:
        """
        @return: whether mail is taken again in time.
        """
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if any(reply.startswith(b"250") for reply in site.send(self.after)):
                return True
            time.sleep(0.1)
        return False


class Together(Apart):
    """
    All at once, over a connection each, in a server that is warm.
    """

    name = "together"
    mode = ""

    def _send(self, site: Site, mails: Sequence[Mail]) -> None:
        with ThreadPoolExecutor(len(mails)) as clients:
            list(clients.map(site.send, mails))
        wait_while_running(site, lambda: not queued(site))


class Deferred(Apart):
    """
    As L{Apart}, and the next hop refuses each message the first time.
    """

    name = "deferred"

    def _send(self, site: Site, mails: Sequence[Mail]) -> None:
        site.sink.refusals = 2 if mails is self.watched else 0
        for mail in mails:
            site.send(mail)
        wait_while_running(site, lambda: not queued(site))


class Cold(Scenario):
    """
    All at once, in a server that makes its queue.
    """

    name = "cold"

    def count(self, site: Site) -> list[Point]:
        return faults.points_of_all(calls(self._watched(site, faults.CALLS)))

    def kill(self, site: Site, point: Point) -> bool:
        self._watched(site, [point.call], *point.inject("signal=KILL"))
        return not site.running

    def _watched(self, site: Site, names: Sequence[str], *options: str) -> Path:
        site.hold()
        log = site.folder / "strace"
        strace = Strace(site.pid, log, names, *options)
        os.kill(site.pid, signal.SIGCONT)
        if site.wait_for_start_or_end():
            self._send(site)
            site.wait_for_end(SOON)
        strace.stop()
        return log

    def _send(self, site: Site) -> None:
        site.send(*THREE)
        wait_while_running(site, lambda: not queued(site))


class Backlog(Cold):
    """
    All are in the queue when the server starts.
    """

    name = "backlog"

    def _watched(self, site: Site, names: Sequence[str], *options: str) -> Path:
        site.start("delivers_nothing")
        site.send(*THREE)
        site.kill()
        return super()._watched(site, names, *options)

    def _send(self, site: Site) -> None:
        wait_while_running(site, lambda: not queued(site))


SCENARIOS: Sequence[Scenario] = (
    Apart(),
    Together(),
    Deferred(),
    Cold(),
    Backlog(),
)
