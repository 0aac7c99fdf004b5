"""
Faults at one system call: which calls there are, and strace to break one.

Owns: kill points and error points, of which thread; strace's options.
Knows nothing of: scenarios, verdicts.

strace counts calls for each thread. Where a thread is there already, strace
follows that thread alone, and every call of every thread can be hit; where
threads are still to come it follows all, and the first thread that makes its
n-th such call is hit.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.crash.trace import Call

#: What can lose, tear or promise mail: every call that changes what is on
#: disk or what a peer knows, and those that make files.
CALLS = (
    *("write", "pwrite64", "sendto", "sendmsg", "fsync", "fdatasync"),
    *("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat"),
    *("unlink", "unlinkat", "openat", "mkdir", "mkdirat", "ftruncate", "fallocate"),
    *("fcntl", "vfork"),
)

#: The locks of mailbox files; those of SQLite are others.
LOCKS = "OFD_SETLK"

#: Calls that are broken by an error, not by a kill.
ERRORS = ("write", "pwrite64", "fsync", "fdatasync", "rename", "renameat", "fcntl")

#: Any thread, see above.
ANY = "any"


@dataclass(frozen=True)
class Point:
    """
    The n-th call of a name in one thread.

    @ivar role: what the thread does.
    @ivar what: the file, or whatever else, that it is about.
    """

    role: str
    call: str
    n: int
    what: str = ""

    def __str__(self) -> str:
        return f"{self.role}: {self.call} {self.n} ({self.what})"

    def inject(self, fault: str) -> Sequence[str]:
        """
        @param fault: as strace says it: C{signal=KILL}, C{error=EIO}.
        @return: options of strace.
        """
        return "-e", f"inject={self.call}:{fault}:when={self.n}"


def roles(pid: int) -> dict[int, str]:
    """
    @return: what each thread of a forked server does, by thread id.
    """
    found: dict[int, str] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        name = (task / "comm").read_text().strip()
        found[int(task.name)] = "reactor" if task.name == str(pid) else name
    return found


def points_of_threads(calls: Iterable[Call], threads: Mapping[int, str]) -> list[Point]:
    """
    @return: every call of every thread.
    """
    made: Counter[tuple[int, str]] = Counter()
    found: list[Point] = []
    for call in sorted(calls, key=lambda c: c.start):
        if call.name in CALLS and call.thread in threads:
            made[call.thread, call.name] += 1
            n = made[call.thread, call.name]
            if not _changes(call):
                continue
            found.append(Point(threads[call.thread], call.name, n, what(call)))
    return found


def points_of_all(calls: Iterable[Call]) -> list[Point]:
    """
    @return: every n that the busiest thread reaches.
    """
    made: Counter[tuple[int, str]] = Counter()
    found: dict[tuple[str, int], Point] = {}
    for call in sorted(calls, key=lambda c: c.start):
        if call.name in CALLS:
            made[call.thread, call.name] += 1
            n = made[call.thread, call.name]
            if _changes(call):
                point = Point(ANY, call.name, n, what(call))
                found.setdefault((call.name, n), point)
    return list(found.values())


def _changes(call: Call) -> bool:
    # What changes nothing is counted by strace, but is no point.
    if call.name == "fcntl":
        return LOCKS in call.arguments
    return call.name != "openat" or "O_CREAT" in call.arguments


def what(call: Call) -> str:
    """
    @return: the last part of the path that a call is about, or what is sent.
    """
    quoted = re.findall(r'"([^"]*)"', call.arguments)
    if call.name in ("sendto", "sendmsg"):
        return quoted[0][:20] if quoted else ""
    if call.name in ("openat", "mkdir", "mkdirat", "unlink", "unlinkat") and quoted:
        return _short(quoted[0])
    if call.name.startswith(("rename", "link", "symlink")) and quoted:
        return _short(quoted[-1])
    match = re.match(r"\d+<([^>]*)>", call.arguments)
    return _short(match[1]) if match else ""


def _short(path: str) -> str:
    """
    @return: the end of a path, without what changes from run to run.
    """
    if re.fullmatch(r"\w+:.*", path):  # a socket, a pipe
        return path.partition(":")[0]
    parts = path.rstrip("/").split("/")[-2:]
    if re.fullmatch(r"\d+\.[PV].*|[0-9A-Za-z]{10}z.*", parts[-1]):
        parts[-1] = "*"
    return "/".join(parts)
