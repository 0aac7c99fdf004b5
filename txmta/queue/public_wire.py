"""
What the queue tools and the server say to each other.

A connection to a socket in C{public/} carries one request and its answer.
Both are lines of JSON: one for the request, several for the answer, the last
of which is C{end} or C{error}. So nobody who is slow, or stops in the middle,
holds more than his own connection, and only as long as the server wants.

Owns: the form of requests and answers, and their bounds.
Knows nothing of: sockets, who may ask what, the queue.

Sources: RFC 8259 (JSON). Postfix says the same by attributes over C{showq}
and C{flush}, and by single letters over C{qmgr}.

Errors: L{BadRequest}, L{BadAnswer}.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: Sockets in C{public/}; the names are Postfix's.
SHOWQ, QMGR = "showq", "qmgr"
SOCKETS = (SHOWQ, QMGR)

#: Octets of a request, with its line end.
MAX_REQUEST = 32768

#: Octets of one line of an answer.
MAX_LINE = 4 << 20

#: Queue ids in one request.
MAX_IDS = 500

#: Characters of a queue id, and of a domain.
MAX_ID, MAX_SITE = 64, 255

#: Queues that can be named, in the order in which they are listed.
QUEUES = ("maildrop", "incoming", "active", "deferred", "hold", "corrupt")

#: What is done to messages (C{postsuper}).
CHANGES = ("delete", "expire", "expire_release", "hold", "release", "requeue")

#: Which socket takes which request.
OPERATIONS: Mapping[str, Sequence[str]] = {
    SHOWQ: ("list",),
    QMGR: ("flush", *CHANGES),
}


class BadRequest(ValueError):
    """
    This is no request of ours.
    """


class BadAnswer(ValueError):
    """
    This is no answer of ours.
    """


@dataclass(frozen=True)
class Request:
    """
    @ivar operation: one of L{OPERATIONS}.
    @ivar ids: queue ids; L{None} is all.
    @ivar queues: names, of L{QUEUES}; empty is what is usual for the operation.
    @ivar site: a domain whose mail is flushed, or C{""}.
    @ivar after: list what comes after this queue id.
    """

    operation: str
    ids: tuple[str, ...] | None = None
    queues: tuple[str, ...] = ()
    site: str = ""
    after: str = ""

    def encode(self) -> bytes:
        """
        @return: as sent.
        """
        fields: dict[str, object] = {"operation": self.operation}
        if self.ids is not None:
            fields["ids"] = self.ids
        if self.queues:
            fields["queues"] = self.queues
        for name in ("site", "after"):
            if value := getattr(self, name):
                fields[name] = value
        return encode(fields)

    @classmethod
    def decode(cls, line: bytes, socket: str) -> Request:
        """
        @param socket: by which it came, one of L{SOCKETS}.
        @raise BadRequest: it is none, or none for this socket.
        """
        try:
            fields = decode(line)
        except BadAnswer as e:
            raise BadRequest(str(e)) from e
        operation = fields.pop("operation", None)
        if operation not in OPERATIONS[socket]:
            raise BadRequest("unknown operation")
        ids = fields.pop("ids", None)
        request = cls(
            operation,
            None if ids is None else _words(ids, MAX_IDS, MAX_ID),
            _words(fields.pop("queues", []), len(QUEUES), MAX_ID),
            _word(fields.pop("site", ""), MAX_SITE),
            _word(fields.pop("after", ""), MAX_ID),
        )
        if fields:
            raise BadRequest("unknown field")
        if not set(request.queues) <= set(QUEUES):
            raise BadRequest("unknown queue")
        if operation == "list" and len(request.queues) != 1:
            raise BadRequest("one queue is listed at a time")
        return request


def encode(fields: Mapping[str, object]) -> bytes:
    """
    @return: a line; lone surrogates, which stand for octets that are no
        UTF-8, survive as escapes.
    """
    return json.dumps(fields, separators=(",", ":")).encode("ascii") + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """
    @raise BadAnswer: this is no line of ours.
    """
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as e:
        raise BadAnswer("not a line of JSON") from e
    if not isinstance(fields, dict):
        raise BadAnswer("not an object")
    return fields


def _word(value: object, most: int) -> str:
    if not isinstance(value, str) or len(value) > most:
        raise BadRequest("not a text of this size")
    return value


def _words(value: object, count: int, most: int) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > count:
        raise BadRequest("not a list of this size")
    return tuple(_word(each, most) for each in value)
