"""
Records as octets between two processes of the server.

A frame is its length in 4 octets, big-endian, then so many octets of JSON: a
list of records, each an object with its type at C{"t"}.

Owns: the form of a frame, and the limits on what a peer may make us parse.
Knows nothing of: sockets, clocks, what a record says (L{txmta.master.records}).

Text that was not UTF-8 has surrogate escapes (PEP 383), which travel as they
are; no other lone surrogate is taken, for no codec could write it down.

Sources: RFC 8259.

Errors: L{BadFrame}, after which the reader must be thrown away.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Sequence
from typing import Any, NoReturn

#: One record: its type at C{"t"}, and fields.
Record = dict[str, object]

#: Octets in one frame, without the length.
MAX_FRAME = 1 << 20

#: Objects in one frame: records, and those within records. JSON has room for
#: 350,000 in a frame, and each costs us half a microsecond.
MAX_OBJECTS = 10_000

#: Lists and objects within each other, the frame's own list and the record
#: among them. What we send has 4.
MAX_DEPTH = 8

#: Digits in a number. 2**63 has 19.
_MAX_DIGITS = 20

_LENGTH = struct.Struct(">I")

#: Surrogates that are no escaped octet.
_FOREIGN = re.compile("[\ud800-\udc7f\udd00-\udfff]")


class BadFrame(ValueError):
    """
    The peer does not speak as we do.
    """


def encode(records: Sequence[Record]) -> bytes:
    """
    @return: as few frames as hold the records, in their order.
    @raise ValueError: a record is longer than a frame may be, or has something
        that JSON has not.
    """
    if not records:
        return b""
    payload = _dumps(records).encode("ascii")
    if len(payload) <= MAX_FRAME and len(records) <= MAX_OBJECTS // 10:
        return _LENGTH.pack(len(payload)) + payload
    if len(records) == 1:
        raise ValueError(
            f"record {str(records[0].get('t'))[:40]!r} has {len(payload)} octets"
        )
    half = len(records) // 2
    return encode(records[:half]) + encode(records[half:])


_dumps = json.JSONEncoder(
    separators=(",", ":"), allow_nan=False, check_circular=False
).encode


class FrameReader:
    """
    Turn octets, in any pieces, into records.

    Holds at most one frame and what was fed last.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def waiting(self) -> int:
        """
        Octets of a frame whose end has not come.
        """
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Record]:
        """
        @return: the records of every frame that is whole now.
        """
        buffer: bytes | bytearray = data
        if self._buffer:
            self._buffer += data
            buffer = self._buffer
        records: list[Record] = []
        start, end = 0, len(buffer)
        while end - start >= 4:
            (length,) = _LENGTH.unpack_from(buffer, start)
            if not 2 < length <= MAX_FRAME:
                raise BadFrame(f"a frame of {length} octets")
            stop = start + 4 + length
            if stop > end:
                break
            records += _records(bytes(buffer[start + 4 : stop]))
            start = stop
        if buffer is self._buffer:
            del self._buffer[:start]
        elif start < end:
            self._buffer += data[start:]
        return records


def _records(payload: bytes) -> list[Record]:
    parser = _Parser()
    try:
        value = parser.parse(payload.decode("utf-8"))
    except BadFrame:
        raise
    except RecursionError as e:
        raise BadFrame("a frame that is nested too deep") from e
    except ValueError as e:
        raise BadFrame("a frame that is not JSON") from e
    if type(value) is not list or not value:
        raise BadFrame("a frame that is no list of records")
    # Only where an escape is can a surrogate be: UTF-8 has none.
    strings = b"\\u" in payload
    for record in value:
        if type(record) is not dict or type(record.get("t")) is not str:
            raise BadFrame("a frame that is no list of records")
        for each in record.values():
            kind = type(each)
            if kind is dict or kind is list or (strings and kind is str):
                _look(each, MAX_DEPTH - 2, strings)
        if strings:
            for name in record:
                _look(name, 0, True)
    return value


def _look(value: Any, depth: int, strings: bool) -> None:
    """
    @param depth: how many levels may be in it.
    @param strings: look into strings as well.
    """
    kind = type(value)
    if kind is str:
        if strings and not value.isascii() and _FOREIGN.search(value):
            raise BadFrame("text with half a character")
        return
    if kind is dict:
        if strings:
            for name in value:
                _look(name, 0, True)
        value = value.values()
    elif kind is not list:
        return
    if not depth:
        raise BadFrame("a frame that is nested too deep")
    for each in value:
        kind = type(each)
        if kind is dict or kind is list or (strings and kind is str):
            _look(each, depth - 1, strings)


class _Parser:
    """
    JSON without what two readers could take differently, or that costs much.
    """

    def __init__(self) -> None:
        self._objects = 0
        self.parse = json.JSONDecoder(
            object_pairs_hook=self._object,
            parse_int=_whole,
            parse_constant=_no_constant,
        ).decode

    def _object(self, pairs: list[tuple[str, object]]) -> Record:
        self._objects += 1
        if self._objects > MAX_OBJECTS:
            raise BadFrame(f"a frame of more than {MAX_OBJECTS} objects")
        record = dict(pairs)
        if len(record) != len(pairs):
            raise BadFrame("a record with the same field twice")
        return record


def _whole(digits: str) -> int:
    # Python takes the square of the length to read one, if it is told to.
    if len(digits) > _MAX_DIGITS:
        raise BadFrame(f"a number of {len(digits)} digits")
    return int(digits)


def _no_constant(name: str) -> NoReturn:
    raise BadFrame(f"the number {name}")
