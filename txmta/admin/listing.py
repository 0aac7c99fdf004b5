"""
The two forms of a listing of the queue: for people, and JSON.

Owns: every octet of them.
Knows nothing of: where messages come from, and where the text goes.

Sources: Postfix C{postqueue/showq_compat.c}, C{postqueue/showq_json.c}.

Errors: none.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator

from txmta.queue.listed import Listed

#: Width of the line that ends with a reason.
_WIDTH = 76

_MARKS = {"active": "*", "hold": "!"}
_ESCAPES = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_QUOTED = re.compile('[\\\\"\0-\x1f\x7f]')


def for_people(entries: Iterable[Listed]) -> Iterator[str]:
    """
    @return: C{postqueue -p}, in pieces.
    """
    count = octets = 0
    for entry in entries:
        yield (
            "\n"
            if count
            else _row(
                "----Queue ID-----",
                "--Size--",
                "---Arrival Time----",
                "--Sender/Recipient------",
            )
        )
        yield from _message(entry)
        count += 1
        octets += entry.size
    if count:
        plural = "" if count == 1 else "s"
        yield f"\n-- {octets // 1024} Kbytes in {count} Request{plural}.\n"
    else:
        yield "Mail queue is empty\n"


def _row(queue_id: str, size: str, arrival: str, address: str) -> str:
    return f"{queue_id:<17} {size:>8} {arrival:<19} {address}\n"


def _message(entry: Listed) -> Iterator[str]:
    mark = _MARKS.get(entry.queue, "") + ("#" if entry.expire else "")
    arrival = time.asctime(time.localtime(entry.arrival))[:19]
    yield _row(entry.queue_id + mark, str(entry.size), arrival, entry.sender)
    said = ""
    for address, reason in entry.recipients:
        if reason != said:
            said = reason
            yield f"({reason or 'reason unavailable'})".rjust(_WIDTH + 2) + "\n"
        yield _row("", "", "", address)


def as_json(entries: Iterable[Listed]) -> Iterator[str]:
    """
    @return: C{postqueue -j}, a line for each message.
    """
    for entry in entries:
        recipients = ", ".join(
            f'{{"address": {_quote(address)}'
            + (f', "delay_reason": {_quote(reason)}' if reason else "")
            + "}"
            for address, reason in entry.recipients
        )
        yield (
            f'{{"queue_name": {_quote(entry.queue)}, '
            f'"queue_id": {_quote(entry.queue_id)}, '
            f'"arrival_time": {entry.arrival}, "message_size": {entry.size}, '
            f'"forced_expire": {str(entry.expire).lower()}, '
            f'"sender": {_quote(entry.sender)}, "recipients": [{recipients}]}}\n'
        )


def _quote(text: str) -> str:
    return f'"{_QUOTED.sub(_escape, text)}"'


def _escape(match: re.Match[str]) -> str:
    c = match[0]
    return _ESCAPES.get(c) or (f"\\u{ord(c):04X}" if c not in '\\"' else f"\\{c}")
