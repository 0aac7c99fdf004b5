"""
C{postcat -q}: show messages in the queue.

Owns: the words and options of the command, reading one message.
Knows nothing of: how a message is shown (L{txmta.admin.records}).

The files of the queue are read beside a running server, or without one, with
the rights of the mail owner. There are no queue files of Postfix's form: messages
are named by their queue ids, with C{-q}.

Sources: Postfix's postcat(1), C{postcat/postcat.c}.

Errors: one line on standard error, exit status 1.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from txmta.admin.common import Fatal, Tool, main_cf
from txmta.admin.offline import become_owner, may_open, reading
from txmta.admin.records import Message, Shown, records
from txmta.queue.store import ids, queries
from txmta.queue.store.content import Spool

USAGE = (
    "postcat [-b (body text)] [-c config_dir] [-d (decimal record type)] "
    "[-e (envelope records)] [-h (header text)] [-q (access queue)] [-v] [file(s)...]"
)

#: Octets of content read at a time.
_BLOCK = 1 << 18


def main(arguments: Sequence[str] | None = None) -> int:
    """
    @return: the exit status.
    """
    given = sys.argv[1:] if arguments is None else arguments
    tool = Tool("postcat", USAGE, 1)
    return tool.run(lambda: _run(tool, given))


def _run(tool: Tool, arguments: Sequence[str]) -> None:
    found, names = tool.options(arguments, "bc:dehoqrs:v")
    letters = {letter for letter, _ in found}
    if "q" not in letters:
        raise Fatal("there are no queue files: name queue ids, with -q")
    if letters & {"o", "r", "s"}:
        raise Fatal("-o, -r, -s: messages of this queue have no offsets")
    every = not letters & {"b", "e", "h"}
    shown = Shown(
        envelope=every or "e" in letters,
        headers=every or "h" in letters,
        body=every or "b" in letters,
        types="d" in letters,
        verbose="v" in letters,
    )
    folder = dict(found).get("c", "")
    directory = main_cf(folder).text("queue_directory")
    if names and not may_open(directory):
        raise Fatal(f"open queue file {names[0]}: Permission denied: be root")
    become_owner(folder)
    for name in names:
        _show(directory, name, shown)


def _show(directory: str, queue_id: str, shown: Shown) -> None:
    found = reading(directory, lambda c: _found(c, directory, queue_id), None)
    if found is None:
        raise Fatal(f"open queue file {queue_id}: No such file or directory")
    message, data, fd = found
    try:
        for line in records(message, _lines(data, fd), shown):
            sys.stdout.buffer.write(line)
    finally:
        if fd >= 0:
            os.close(fd)


def _found(
    connection: sqlite3.Connection, directory: str, queue_id: str
) -> tuple[Message, bytes, int] | None:
    """
    @return: a message, and its content, or a descriptor of that.
    """
    number = ids.decode(queue_id)
    if number is None:
        return None
    for queued in queries.find(connection, None, number - 1, 1, frozenset()):
        if queued.envelope.queue_id != queue_id:
            break
        kept = queries.content(connection, number)
        spool = Spool(Path(directory) / "content")
        fd = queries.open_file(spool, number, kept, False) if kept.stored else -1
        name = f"{queued.queue.name.lower()}/{queue_id}"
        left = {r.n for r in queued.envelope.recipients}
        return Message(name, kept.envelope, left, kept.size), kept.data, fd
    return None


def _lines(data: bytes, fd: int) -> Iterator[bytes]:
    """
    @return: lines of content, without CR LF.
    """
    rest = data
    offset = 0
    while True:
        *lines, rest = rest.split(b"\r\n")
        yield from lines
        block = os.pread(fd, _BLOCK, offset) if fd >= 0 else b""
        if not block:
            break
        offset += len(block)
        rest += block
    if rest:
        yield rest


if __name__ == "__main__":
    sys.exit(main())
