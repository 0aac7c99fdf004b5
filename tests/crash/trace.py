"""
Read the system calls of a server from strace.

Owns: starting strace on a running server, its lines, which thread of ours
    made a call.
Knows nothing of: what order is right (L{tests.crash.order}).
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.crash.site import PATIENCE

#: What can lose or tear a message, or promise it: every call that changes
#: what is on disk or what a peer knows.
CALLS = (
    *("write", "pwrite64", "fsync", "fdatasync", "rename", "renameat", "link"),
    *("unlink", "unlinkat", "sendto", "mkdir", "mkdirat", "ftruncate"),
)

#: There is no thread in it if only one is watched.
_LINE = re.compile(r"^(?:(?:\[pid +)?(\d+)\]? +)?(?:[\d.]+ )?(\w+)\((.*)$")
_RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>")


@dataclass(frozen=True)
class Call:
    """
    One system call.

    @ivar start: its place in the order of beginnings.
    @ivar end: its place in the order of ends; calls overlap.
    """

    thread: int
    name: str
    arguments: str
    start: int
    end: int


#: To find no thread that is just ending.
ATTEMPTS = 5


class Strace:
    """
    strace on a running process, all its threads.
    """

    def __init__(
        self,
        pid: int,
        output: Path,
        calls: Sequence[str],
        *options: str,
        threads: str = "-f",
    ) -> None:
        """
        @param options: for example an injection.
        @param threads: C{-f} for all of the process; empty if C{pid} is the
            one thread to watch.
        """
        arguments = (
            *("strace", "-y", "-s", "64", "-o", str(output)),
            *("-e", f"trace={','.join(calls)}", *options, "-p", str(pid)),
            *threads.split(),
        )
        self.output = output
        for _ in range(ATTEMPTS):
            self._process = subprocess.Popen(arguments, stderr=subprocess.PIPE)
            stderr = self._process.stderr
            assert stderr is not None
            line = stderr.readline()
            # A thread that ends just then cannot be watched, and strace gives up.
            if b"PTRACE_SEIZE" not in line:
                break
            self.stop()
        if b"attached" not in line:
            raise AssertionError(f"strace: {line!r}")
        time.sleep(0.02)

    def stop(self) -> None:
        """
        Let go of the process.
        """
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait(PATIENCE)
        if self._process.stderr is not None:
            self._process.stderr.close()


def calls(path: Path) -> list[Call]:
    """
    @return: finished calls, in the order of their ends.
    """
    return list(_calls(path.read_text(errors="replace").splitlines()))


def _calls(lines: Sequence[str]) -> Iterator[Call]:
    begun: dict[int, tuple[str, str, int]] = {}
    for place, line in enumerate(lines):
        if resumed := _RESUMED.match(line):
            thread = int(resumed[1])
            if thread in begun:
                name, arguments, start = begun.pop(thread)
                yield Call(thread, name, arguments, start, place)
            continue
        match = _LINE.match(line)
        if match is None:
            continue
        thread, name, arguments = int(match[1] or 0), match[2], match[3]
        if arguments.endswith("<unfinished ...>"):
            begun[thread] = name, arguments, place
        else:
            yield Call(thread, name, arguments, place, place)


def thread_roles(pid: int) -> dict[int, str]:
    """
    @return: what each thread of a running server is for.
    """
    roles: dict[int, str] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        roles[int(task.name)] = "reactor" if task.name == str(pid) else "helper"
    return roles
