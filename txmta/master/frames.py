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
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NoReturn, cast

#: One record: its type at C{"t"}, and fields.
Record = dict[str, object]

#: Octets in one frame, without the length.
MAX_FRAME = 1 << 20

#: Commas and brackets in one frame, those in texts among them: a bound on the
#: values in it, each of which costs us up to half a microsecond.
MAX_VALUES = 100_000

#: Octets in a frame of several records. A larger one holds a single record, so
#: that text full of commas does not add up.
_SHARED = 65536

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
    return b"".join(frames_of([encode_record(each) for each in records]))


def encode_record(record: Record) -> bytes:
    """
    @return: a part of a frame, for L{frames_of}.
    @raise ValueError: see L{encode}.
    """
    data = "".join(_encode(record, 0)).encode("ascii")
    size = len(data)
    if size > _SHARED and (size > MAX_FRAME - 2 or _values(data) > MAX_VALUES - 1):
        raise ValueError(f"a record of {size} octets: {data[:40]!r}")
    return data


def frames_of(encoded: Iterable[bytes]) -> Iterator[bytes]:
    """
    @param encoded: from L{encode_record}.
    @return: as few frames as hold them, in their order.
    """
    parts: list[bytes] = []
    size = 1
    for each in encoded:
        if parts and size + len(each) >= _SHARED:
            yield _frame(parts)
            parts, size = [], 1
        parts.append(each)
        size += len(each) + 1
    if parts:
        yield _frame(parts)


def _frame(parts: list[bytes]) -> bytes:
    payload = b"[%b]" % b",".join(parts)
    return _LENGTH.pack(len(payload)) + payload


def _values(payload: bytes) -> int:
    return payload.count(b",") + payload.count(b"[")


def _make_encoder() -> Callable[[Record, int], Iterable[str]]:
    """
    @return: what C{JSONEncoder.iterencode} makes anew for each call, which
        costs more than a record of usual size.
    """
    encoder = json.JSONEncoder(
        separators=(",", ":"), allow_nan=False, check_circular=False
    )
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return lambda record, _: encoder.iterencode(record)
    text = json.encoder.encode_basestring_ascii
    made: Callable[[Record, int], Iterable[str]] = make(
        None, encoder.default, text, None, ":", ",", False, False, False
    )
    return made


_encode = _make_encoder()


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
    if len(payload) > MAX_VALUES and _values(payload) > MAX_VALUES:
        raise BadFrame(f"a frame of more than {MAX_VALUES} values")
    try:
        text = payload.decode("utf-8")
        value, end = _scan(text, 0)
    except BadFrame:
        raise
    except RecursionError as e:
        raise BadFrame("a frame that is nested too deep") from e
    except (ValueError, StopIteration) as e:
        raise BadFrame("a frame that is not JSON") from e
    if end < len(text):
        raise BadFrame("a frame that goes on behind its list")
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
    return cast("list[Record]", value)


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


def _object(pairs: list[tuple[str, object]]) -> Record:
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


_decoder: Any = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_whole, parse_constant=_no_constant
)

#: JSON without what two readers could take differently, or that costs much;
#: white space around it is none of ours.
_scan: Callable[[str, int], tuple[Any, int]] = _decoder.scan_once
