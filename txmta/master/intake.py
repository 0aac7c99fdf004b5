"""
What comes over a link: octets and descriptors in, checked records out.

Owns: which types the peer may send, each with its schema; which of them come
with a descriptor, one each; descriptors that nobody has taken yet.
Knows nothing of: sockets, clocks, what is done with a record.

Errors: L{BadFrame<txmta.master.frames.BadFrame>} and
L{BadRecord<txmta.master.records.BadRecord>}, after which the link is of no
more use. Nothing of what came in the same piece is given out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from txmta.master.descriptors import close_all
from txmta.master.frames import FrameReader, Record
from txmta.master.records import BadRecord, Schema

#: A record, and the descriptor that came with it.
Received = tuple[Record, int | None]


class Intake:
    """
    Holds at most one frame that is not yet whole, and one descriptor.
    """

    def __init__(
        self, schemas: Mapping[str, Schema], carriers: Collection[str]
    ) -> None:
        """
        @param carriers: types of which each comes with one descriptor, sent
            with the first octet of the frame that it is in.
        """
        self._schemas = schemas
        self._carriers = frozenset(carriers)
        self._reader = FrameReader()
        self._descriptors: deque[int] = deque()

    @property
    def wanted(self) -> int:
        """
        How many descriptors may come in one reading.
        """
        return 1 if self._carriers else 0

    @property
    def waiting(self) -> int:
        """
        Octets of a frame whose end has not come.
        """
        return self._reader.waiting

    def feed(self, data: bytes, descriptors: Iterable[int] = ()) -> list[Received]:
        """
        @param descriptors: that came with the octets, or before; they are ours
            from here on.
        @return: what is whole; its descriptors are the caller's.
        """
        self._descriptors += descriptors
        got: list[Received] = []
        try:
            for record in self._reader.feed(data):
                got.append((record, self._checked(record)))
            # One may be there before its record, as it comes with the first
            # octet of a frame; two can not.
            if len(self._descriptors) > 1 or (
                self._descriptors and not self._reader.waiting
            ):
                raise BadRecord("descriptors that belong to no record")
        except ValueError:
            release(got)
            raise
        return got

    def close(self) -> None:
        """
        Close what nobody got.
        """
        close_all(self._descriptors)
        self._descriptors.clear()

    def _checked(self, record: Record) -> int | None:
        kind: Any = record["t"]  # a str: the reader has looked
        schema = self._schemas.get(kind)
        if schema is None:
            raise BadRecord(f"of a type that is not its: {kind[:40]!r}")
        try:
            schema.check(record)
        except BadRecord as e:
            raise BadRecord(f"{kind}: {e}") from e
        if kind not in self._carriers:
            return None
        if not self._descriptors:
            raise BadRecord(f"{kind}: without its descriptor")
        return self._descriptors.popleft()


def release(received: Iterable[Received]) -> None:
    """
    Close the descriptors of records that are not handled.
    """
    close_all(each for _, each in received if each is not None)
