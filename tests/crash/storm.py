"""
A server of several processes, clients that never rest, and trouble meanwhile.

Owns: the children of a master and their names; clients that send one message
    after the other, and what went wrong for them.
Knows nothing of: what the trouble is (L{tests.crash.test_storm}).
"""

from __future__ import annotations

import itertools
import os
import pwd
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.crash.mails import Mail
from tests.crash.site import Site

#: Octets of the messages; each third one is large, with a content file.
SIZES = (2000, 2000, 100_000)

#: Where they go: relayed, and to a Maildir.
PLACES = ("r@example.org", "me@example.com")


class MultiSite(Site):
    """
    A master with children.
    """

    def main_cf(self) -> str:
        # The account that has the queue is nobody's mailbox.
        user = pwd.getpwnam("mail")
        self.mail.mkdir()
        os.chown(self.mail, user.pw_uid, user.pw_gid)
        return (
            f"{super().main_cf()}process_model = multi\n"
            f"virtual_uid_maps = static:{user.pw_uid}\n"
            f"virtual_gid_maps = static:{user.pw_gid}\n"
        )

    def children(self) -> dict[int, str]:
        """
        @return: names of the roles, by process id.
        """
        found: dict[int, str] = {}
        for fork_server in _children(self.pid):
            for pid in _children(fork_server):
                try:
                    found[pid] = Path(f"/proc/{pid}/comm").read_text().strip()
                except OSError:
                    continue
        return found

    def said(self, words: str) -> int:
        """
        @return: how often the mail log says so.
        """
        return (self.folder / "mail.log").read_text(errors="replace").count(words)


def _children(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            yield from map(int, task.read_text().split())
        except OSError:
            continue


class Clients:
    """
    Threads that send.

    @ivar sent: all messages that were tried.
    @ivar troubles: what went wrong, and how often; a message that got no
        answer, or another than 250, is not promised.
    """

    def __init__(self, site: Site, count: int, prefix: str, pause: float = 0) -> None:
        """
        @param pause: seconds between two messages of one session; 0: each has
            a session of its own.
        """
        self.sent: list[Mail] = []
        self.troubles: Counter[str] = Counter()
        self._site = site
        self._pause = pause
        self._prefix = prefix
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, daemon=True) for _ in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """
        Let each finish what it has begun.
        """
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _mail(self) -> Mail:
        with self._lock:
            number = next(self._numbers)
            place = PLACES[number % len(PLACES)]
            mail = Mail(f"{self._prefix}{number}", (place,), SIZES[number % len(SIZES)])
            self.sent.append(mail)
        return mail

    def _run(self) -> None:
        while not self._end.is_set():
            try:
                self._session()
            except ConnectionRefusedError:
                self._trouble("refused")
            except OSError as e:
                self._trouble(f"broken: {type(e).__name__}")

    def _session(self) -> None:
        with self._site.session() as (put, get):
            for _ in range(3 if self._pause else 1):
                reply = self._site.transfer(self._mail(), put, get)
                if not reply.startswith(b"250"):
                    self._trouble(f"answer {reply[:9].decode('ascii', 'replace')}")
                    return
                if self._pause:
                    time.sleep(self._pause)
            put(b"QUIT\r\n")
            get()

    def _trouble(self, what: str) -> None:
        with self._lock:
            self.troubles[what] += 1
        time.sleep(0.01)
