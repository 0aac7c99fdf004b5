"""
What idle sessions cost: memory of the server before, with, and after them.

    python -m benchmarks.idle [--sessions 2000] [--server multi]

Each session has said EHLO and then says nothing. Prints a table in MB (PSS:
pages that processes share count once), and what each session adds. Exit status
1 if they add more than the limit.
"""

from __future__ import annotations

import argparse
import re
import resource
import socket
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.servers import KINDS, PATIENCE, Server, Sink, memory

#: Megabytes that 2,000 sessions may add.
LIMIT = 60.0
FOR_SESSIONS = 2000

#: Postfix would need a process for each session.
OURS = ("txmta", "single", "multi")


@dataclass(frozen=True)
class Figures:
    """
    Megabytes.
    """

    before: float
    with_sessions: float
    after: float


def measure(server: Server, count: int) -> Figures:
    before = memory(server.pid)
    sessions = [greet(server.port) for _ in range(count)]
    try:
        time.sleep(1)
        during = memory(server.pid)
    finally:
        for session in sessions:
            session.close()
    time.sleep(2)
    return Figures(before, during, memory(server.pid))


def greet(port: int) -> socket.socket:
    """
    @return: a session that is past EHLO.
    """
    session = socket.create_connection(("127.0.0.1", port), PATIENCE)
    heard(session, rb"^220 .*\n")
    session.sendall(b"EHLO idle.example.com\r\n")
    heard(session, rb"^250 .*\n")
    return session


def heard(session: socket.socket, pattern: bytes) -> None:
    said = b""
    while not re.search(pattern, said, re.MULTILINE):
        data = session.recv(4096)
        if not data:
            raise RuntimeError(f"the server hung up: {said!r}")
        said += data


def report(figures: Figures, count: int) -> bool:
    """
    Print the table.

    @return: do they cost little enough?
    """
    added = figures.with_sessions - figures.before
    limit = LIMIT * count / FOR_SESSIONS
    print(f"{'':24}{'MB':>8}")
    print(f"{'before':24}{figures.before:8.1f}")
    print(f"{f'{count} idle sessions':24}{figures.with_sessions:8.1f}")
    print(f"{'after':24}{figures.after:8.1f}")
    print(f"{'added':24}{added:8.1f}   (limit {limit:.0f})")
    print(f"{'KB for each session':24}{added * 1024 / count:8.1f}")
    return added <= limit


def main() -> int:
    parser = argparse.ArgumentParser(description="Memory of idle sessions.")
    parser.add_argument("--sessions", type=int, default=FOR_SESSIONS)
    parser.add_argument("--server", choices=OURS, default="txmta")
    options = parser.parse_args()
    count, kind = options.sessions, KINDS[options.server]
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2 * count + 200:
        print(f"the hard limit of open files, {hard}, is too low", file=sys.stderr)
        return 2
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sink = Sink()
    try:
        with tempfile.TemporaryDirectory(prefix="txmta-idle-") as folder:
            Path(folder).chmod(0o755)
            server = kind(Path(folder) / "txmta", sink.port)
            try:
                figures = measure(server, count)
            finally:
                server.stop()
    finally:
        sink.stop()
    return 0 if report(figures, count) else 1


if __name__ == "__main__":
    sys.exit(main())
