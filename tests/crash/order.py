"""
In which order a server did things, and whether that keeps its promise.

Owns: the rules: content on disk before the row, the row before 250, a mailbox
    file and its directory, or what was appended to one, before the recipient
    is recorded.
Knows nothing of: how calls were recorded (L{tests.crash.trace}).

Sources: the architecture's "order of promises".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.crash.trace import Call


def _is(name: str, *parts: str) -> Callable[[Call], bool]:
    names = name.split("|")
    return lambda call: call.name in names and all(p in call.arguments for p in parts)


WAL = _is("pwrite64", "-wal>")
WAL_SYNC = _is("fdatasync|fsync", "-wal>")
QUEUED = _is("sendto|write", '"250 2.0.0 Ok: queued')
CONTENT_SYNC = _is("fsync|fdatasync", "/queue/content/")
CONTENT_DIRECTORY_SYNC = _is("fsync|fdatasync", "/queue/content>")
MAIL_FILE_SYNC = _is("fsync|fdatasync", "/me/tmp/")
VISIBLE = _is("rename|renameat|link|linkat", "new")
MAIL_DIRECTORY_SYNC = _is("fsync|fdatasync", "/me/new>")
MBOX_SYNC = _is("fsync|fdatasync", "/mail/box>")


def _first(
    calls: Sequence[Call], wanted: Callable[[Call], bool], after: int = -1
) -> Call | None:
    return next((c for c in calls if c.start > after and wanted(c)), None)


def accepting(calls: Sequence[Call], large: bool) -> list[str]:
    """
    @param calls: of a server that took one message.
    @return: which promises it broke.
    """
    broken: list[str] = []
    queued = _first(calls, QUEUED)
    if queued is None:
        return ["no 250 was sent"]
    row = _first(calls, WAL)
    synced = _first(calls, WAL_SYNC, row.end) if row else None
    if synced is None or synced.end >= queued.start:
        broken.append("250 was sent before the row was on disk")
    if large:
        for wanted, words in (
            (CONTENT_SYNC, "the content file"),
            (CONTENT_DIRECTORY_SYNC, "the directory of the content file"),
        ):
            call = _first(calls, wanted)
            if call is None or row is None or call.end >= row.start:
                broken.append(f"{words} was not on disk before the row")
    return broken


def delivering(calls: Sequence[Call]) -> list[str]:
    """
    @param calls: of a server that took one message and put it in a Maildir.
    @return: which promises it broke.
    """
    queued = _first(calls, QUEUED)
    if queued is None:
        return ["no 250 was sent"]
    recorded = _first(calls, WAL, queued.end)
    if recorded is None:
        return ["the delivery was not recorded"]
    broken: list[str] = []
    visible = _first(calls, VISIBLE)
    for wanted, words in (
        (MAIL_FILE_SYNC, "the file"),
        (VISIBLE, "the name in new"),
        (MAIL_DIRECTORY_SYNC, "the directory new"),
    ):
        call = _first(calls, wanted)
        if call is None or call.end >= recorded.start:
            broken.append(f"{words} was not on disk before the recipient was recorded")
    file = _first(calls, MAIL_FILE_SYNC)
    if visible and (file is None or file.end >= visible.start):
        broken.append("the file was visible before it was on disk")
    directory = _first(calls, MAIL_DIRECTORY_SYNC)
    if visible and directory and directory.start <= visible.end:
        broken.append("the directory was synced before the name was in it")
    return broken


def appending(calls: Sequence[Call]) -> list[str]:
    """
    @param calls: of a server that took one message and appended it to a
        mailbox file.
    @return: which promises it broke.
    """
    queued = _first(calls, QUEUED)
    if queued is None:
        return ["no 250 was sent"]
    recorded = _first(calls, WAL, queued.end)
    if recorded is None:
        return ["the delivery was not recorded"]
    synced = _first(calls, MBOX_SYNC)
    if synced is None or synced.end >= recorded.start:
        return ["the file was not on disk before the recipient was recorded"]
    return []
