"""
C{postsuper}: delete, hold, release, requeue and expire messages.

Owns: the words and options of the command, and in which order things are done;
    who does them: the running server, or else we ourselves.
Knows nothing of: what a change is (L{txmta.queue.changes}).

Sources: Postfix's postsuper(1), C{postsuper/postsuper.c}.

Errors: one line on standard error, exit status 1.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Protocol

from txmta.admin.client import Busy, Down, stream
from txmta.admin.common import (
    EX_SOFTWARE,
    EX_TEMPFAIL,
    Fatal,
    Tool,
    main_cf,
    valid_queue_id,
)
from txmta.queue.public_wire import MAX_IDS, QMGR, QUEUES, Request

USAGE = (
    "postsuper [-c config_dir] [-d queue_id (delete)] [-e queue_id (expire)] "
    "[-f queue_id (expire and/or un-hold)] [-h queue_id (hold)] "
    "[-H queue_id (un-hold)] [-p (purge temporary files)] [-r queue_id (requeue)] "
    "[-s (structure fix)] [-S (redundant structure fix)][-v (verbose)] [queue...]"
)

#: By option; in the order in which they are done to all messages.
OPERATIONS = {
    "d": "delete",
    "r": "requeue",
    "h": "hold",
    "H": "release",
    "e": "expire",
    "f": "expire_release",
}

#: What is said of each message, and of their number, in this order.
REPORTS = {
    "requeue": ("requeued", "Requeued"),
    "delete": ("removed", "Deleted"),
    "expire": ("expired", "Force-expired"),
    "hold": ("placed on hold", "Placed on hold"),
    "release": ("released from hold", "Released from hold"),
}

#: Directories of Postfix's that hold no messages.
_LOGS = ("bounce", "defer", "flush", "trace")

_STEPS = {"expire_release": ("expire", "release")}


class Doer(Protocol):
    """
    Who changes the queue.
    """

    def change_all(
        self, operation: str, named: Sequence[str]
    ) -> Iterator[tuple[str, int]]:
        """
        @param named: names of queues; empty is the usual ones.
        @return: steps, and how many messages each has changed.
        """

    def change_some(
        self, operation: str, queue_ids: Sequence[str], named: Sequence[str]
    ) -> Iterator[tuple[str, str]]:
        """
        @return: steps, and which message each has changed.
        """

    def close(self) -> None:
        """
        No more is to be changed.
        """


class Online:
    """
    The running server.
    """

    def __init__(self, queue_directory: str) -> None:
        self._directory = queue_directory

    def change_all(
        self, operation: str, named: Sequence[str]
    ) -> Iterator[tuple[str, int]]:
        """
        As L{Doer.change_all}.
        """
        for line in self._ask(Request(operation, None, tuple(named))):
            if line.get("t") == "count":
                yield str(line["step"]), int(str(line["count"]))

    def change_some(
        self, operation: str, queue_ids: Sequence[str], named: Sequence[str]
    ) -> Iterator[tuple[str, str]]:
        """
        As L{Doer.change_some}.
        """
        for line in self._ask(Request(operation, tuple(queue_ids), tuple(named))):
            if line.get("t") == "done":
                yield str(line["step"]), str(line["id"])

    def close(self) -> None:
        """
        As L{Doer.close}.
        """

    def _ask(self, request: Request) -> Iterator[dict[str, object]]:
        try:
            yield from stream(self._directory, QMGR, request)
        except (KeyError, TypeError, ValueError) as e:
            raise Fatal("malformed qmgr server response", EX_SOFTWARE) from e
        except Busy as e:
            raise Fatal(f"the qmgr service: {e}: try again", EX_TEMPFAIL) from e


class Superintendent:
    """
    One run of the command.
    """

    def __init__(self, tool: Tool, folder: str, named: Sequence[str]) -> None:
        self._tool = tool
        self._folder = folder
        self._directory = main_cf(folder).text("queue_directory")
        self._named = named
        self._doer: Doer = Online(self._directory)
        self._counts: Counter[str] = Counter()
        self._asked: set[str] = set()

    def all(self, operation: str) -> None:
        """
        For C{ALL}.
        """
        self._expect(operation)
        try:
            for step, count in self._doer.change_all(operation, self._named):
                self._counts[step] += count
        except Down:
            self._go_offline()
            self.all(operation)

    def some(self, operation: str, queue_ids: Iterator[str]) -> None:
        """
        For messages that are named one by one.
        """
        self._expect(operation)
        part: list[str] = []
        for queue_id in queue_ids:
            if valid_queue_id(queue_id):
                part.append(queue_id)
                if len(part) < MAX_IDS:
                    continue
            # What is said comes in the order of what was asked.
            self._some(operation, part)
            part.clear()
            if not valid_queue_id(queue_id):
                self._tool.say(f"warning: invalid mail queue id: {queue_id}")
        self._some(operation, part)

    def close(self) -> None:
        self._doer.close()

    def report(self) -> None:
        for step, (_each, words) in REPORTS.items():
            if step in self._asked:
                count = self._counts[step]
                plural = "" if count == 1 else "s"
                self._tool.say(f"{words}: {count} message{plural}")

    def _some(self, operation: str, queue_ids: Sequence[str]) -> None:
        if not queue_ids:
            return
        try:
            changed = self._doer.change_some(operation, queue_ids, self._named)
            for step, queue_id in changed:
                self._counts[step] += 1
                self._tool.say(f"{queue_id}: {REPORTS[step][0]}")
        except Down:
            self._go_offline()
            self._some(operation, queue_ids)

    def _expect(self, operation: str) -> None:
        self._asked.update(_STEPS.get(operation, (operation,)))

    def _go_offline(self) -> None:
        from txmta.admin.offline import OfflineQueue

        self._doer = OfflineQueue(self._folder, self._directory)


def main(arguments: Sequence[str] | None = None) -> int:
    """
    @return: the exit status.
    """
    given = sys.argv[1:] if arguments is None else arguments
    tool = Tool("postsuper", USAGE, 1)
    return tool.run(lambda: _run(tool, given))


def _run(tool: Tool, arguments: Sequence[str]) -> None:
    found, named = tool.options(arguments, "c:d:e:f:h:H:pr:sSv")
    folder = dict(found).get("c", "")
    if folder and not folder.startswith("/"):
        raise Fatal("-c requires absolute pathname")
    for name in named:
        if name not in QUEUES and name not in _LOGS:
            raise Fatal(f"invalid directory name: {name}")
    wanted = [(letter, value) for letter, value in found if letter in OPERATIONS]
    _check_rights(folder)
    queues = [name for name in named if name in QUEUES]
    if "maildrop" in queues:
        raise Fatal("maildrop: its files are no messages yet: remove them by hand")
    work = Superintendent(tool, folder, queues)
    if named and not queues:
        return
    try:
        _work(work, wanted)
    finally:
        work.close()
    work.report()


def _work(work: Superintendent, wanted: Sequence[tuple[str, str]]) -> None:
    every = {letter for letter, value in wanted if value == "ALL"}
    for letter, operation in OPERATIONS.items():
        if letter in every:
            work.all(operation)
    # One by one in the order of the command line.
    for letter, those in groupby(wanted, lambda each: each[0]):
        if letter not in every:
            work.some(OPERATIONS[letter], _named(value for _, value in those))


def _check_rights(folder: str) -> None:
    try:
        owner = os.stat(main_cf(folder).text("queue_directory")).st_uid
    except OSError:
        owner = 0
    if os.getuid() not in (0, owner):
        raise Fatal("use of this command is reserved for the superuser")


def _named(ids: Iterable[str]) -> Iterator[str]:
    for each in ids:
        if each == "-":
            for line in sys.stdin.buffer:
                yield line.rstrip(b"\n").decode("utf-8", "surrogateescape")
        else:
            yield each


if __name__ == "__main__":
    sys.exit(main())
