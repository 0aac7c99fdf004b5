"""
What is shown of a message in the queue.

Owns: the list of it; its way through a socket.
Knows nothing of: where it was read, and the form of a listing.

Apart from L{txmta.queue.listing}, for the tools need no more than this.

Errors: L{BadAnswer<txmta.queue.public_wire.BadAnswer>}.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from txmta.queue.public_wire import BadAnswer

#: Recipients in one line: encoded in a millisecond.
RECIPIENTS = 500


@dataclass(frozen=True)
class Listed:
    """
    One message of a listing.

    @ivar queue: name of the queue.
    @ivar arrival: wall time, in whole seconds.
    @ivar size: octets of content.
    @ivar expire: the next attempt is its last.
    @ivar sender: as it is shown.
    @ivar recipients: as they are shown, each with the reason of its delay, or
        C{""}.
    """

    queue: str
    queue_id: str
    arrival: int
    size: int
    expire: bool
    sender: str
    recipients: Sequence[tuple[str, str]]

    def lines(self) -> Iterator[dict[str, object]]:
        """
        @return: as sent; many recipients are more than one line.
        """
        recipients = self.recipients
        yield {
            "t": "message",
            "queue": self.queue,
            "id": self.queue_id,
            "arrival": self.arrival,
            "size": self.size,
            "expire": self.expire,
            "sender": self.sender,
            "recipients": recipients[:RECIPIENTS],
        }
        for start in range(RECIPIENTS, len(recipients), RECIPIENTS):
            yield {"t": "more", "recipients": recipients[start : start + RECIPIENTS]}


def entries(lines: Iterable[Mapping[str, Any]]) -> Iterator[Listed]:
    """
    @param lines: those of whole messages.
    @raise BadAnswer: they are none.
    """
    head: Mapping[str, Any] = {}
    recipients: list[tuple[str, str]] = []
    try:
        for line in lines:
            if line["t"] == "message":
                if head:
                    yield _entry(head, recipients)
                head, recipients = line, []
            recipients += [(str(a), str(r)) for a, r in line["recipients"]]
        if head:
            yield _entry(head, recipients)
    except (KeyError, TypeError, ValueError) as e:
        raise BadAnswer(f"not a message: {e}") from e


def _entry(head: Mapping[str, Any], recipients: Sequence[tuple[str, str]]) -> Listed:
    return Listed(
        str(head["queue"]),
        str(head["id"]),
        int(head["arrival"]),
        int(head["size"]),
        head["expire"] is True,
        str(head["sender"]),
        recipients,
    )
