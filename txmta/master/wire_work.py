"""
Work in hand, as records that pass over a link.

Owns: what the record C{working} holds.
Knows nothing of: links, frames, who sends.

Errors: L{BadDelivery<txmta.master.wire_fields.BadDelivery>}.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from txmta.master.wire_fields import (
    MAX_NUMBER,
    PART,
    Record,
    check_fields,
    check_list,
    check_number,
    check_queue_id,
    check_texts,
    field,
    key_of,
)

#: Keys from here on are of the agents' own choice; those below are the queue
#: manager's.
OWN_KEYS = 1 << 52


class InHandElsewhere(NamedTuple):
    """
    A part of a delivery that an agent has in hand for a queue manager that is
    gone, or whose outcomes it has kept.

    @ivar key: of the agent's own choice; names it from now on.
    @ivar numbers: of recipients, some.
    """

    key: int
    queue_id: str
    transport: str
    nexthop: str
    numbers: list[int]


def encode_working(each: InHandElsewhere) -> Iterator[Record]:
    """
    @param each: with any number of recipients.
    """
    for start in range(0, len(each.numbers), PART):
        yield {
            "t": "working",
            "key": each.key,
            "queue_id": each.queue_id,
            "transport": each.transport,
            "nexthop": each.nexthop,
            "numbers": each.numbers[start : start + PART],
        }


def decode_working(record: Record) -> InHandElsewhere:
    """
    @return: what L{encode_working} was given, or a part of it.
    """
    check_fields(record, 6)
    transport, nexthop = field(record, "transport"), field(record, "nexthop")
    check_texts((transport, nexthop))
    numbers = check_list(field(record, "numbers"), 1, PART)
    for n in numbers:
        check_number(n, MAX_NUMBER)
    return InHandElsewhere(
        key_of(record),
        check_queue_id(field(record, "queue_id")),
        transport,
        nexthop,
        numbers,
    )
