"""
What starting, waiting and looking need: ports, patience, Maildirs.
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tests.support import PATH

_T = TypeVar("_T")

#: Seconds for anything that takes milliseconds.
PATIENCE = 10.0

FAMILIES = ("127.0.0.1", "::1")

#: With the path of an administrator.
ENVIRONMENT = {**os.environ, "PATH": PATH, "PYTHONDONTWRITEBYTECODE": "1"}

#: Whose rights a server has that root starts.
OWNER = "nobody"

_TRACE = re.compile(
    rb"(?:Return-Path|Delivered-To|X-Original-To|Received):.*\n(?:[ \t].*\n)*"
)


def free_port() -> int:
    """
    @return: a TCP port that nobody listens on now, in either family.
    """
    while True:
        with socket.socket() as s, socket.socket(socket.AF_INET6) as t:
            s.bind(("127.0.0.1", 0))
            port: int = s.getsockname()[1]
            try:
                t.bind(("::1", port))
            except OSError:
                continue
            return port


def literal(address: str) -> str:
    """
    @return: as master.cf, relayhost, and command lines write it.
    """
    return f"[{address}]" if ":" in address else address


def wait_for(found: Callable[[], _T], what: str | Callable[[], str]) -> _T:
    """
    @return: the first result that counts as true.
    """
    end = time.monotonic() + PATIENCE
    while not (result := found()):
        if time.monotonic() > end:
            raise AssertionError(what if isinstance(what, str) else what())
        time.sleep(0.02)
    return result


def answers(port: int, address: str = "127.0.0.1") -> bool:
    """
    Whether somebody says something there.
    """
    try:
        with socket.create_connection((address, port), PATIENCE) as s:
            return bool(s.recv(3))
    except OSError:
        return False


def combined(defaults: str, lines: str) -> str:
    """
    @return: lines, and before them the defaults that they do not mention.
    """
    names = {line.partition("=")[0].strip() for line in lines.splitlines()}
    kept = [
        line
        for line in defaults.splitlines(keepends=True)
        if line.partition("=")[0].strip() not in names
    ]
    return "".join(kept) + lines


def read_maildir(
    path: Path, count: int = 1, log: Callable[[], str] = str
) -> list[bytes]:
    """
    @return: all messages of a Maildir, C{count} of them or more, oldest first.
    """

    def complete() -> list[Path]:
        files = list((path / "new").glob("*"))
        return files if len(files) >= count else []

    files = wait_for(
        complete, lambda: f"{count} messages have not come to {path}\n{log()[-5000:]}"
    )
    return [f.read_bytes() for f in sorted(files, key=lambda f: f.stat().st_mtime_ns)]


def without_trace(content: bytes) -> bytes:
    """
    @return: content without what servers write above the sender's first field:
        Return-Path, Delivered-To, X-Original-To, Received.
    """
    while (match := _TRACE.match(content)) is not None:
        content = content[match.end() :]
    return content
