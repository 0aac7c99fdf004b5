"""
Fields of the records about deliveries: what they may hold.

Owns: the bounds and alphabets of texts, numbers, times and lists.
Knows nothing of: which records there are (L{txmta.master.wire},
    L{txmta.master.wire_reports}).

The same checks are made at both ends: what one end sends and the other would
not take would cost a link, again and again.

Errors: L{BadDelivery}.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from txmta.master.frames import Record as FrameRecord
from txmta.master.records import BadRecord, Schema

Record = dict[str, Any]

#: Recipients in one record.
PART = 500

#: Characters of texts that are checked together. A record has three such lots
#: at most, and a character up to 12 octets in JSON: a frame holds 1 MiB.
MAX_TEXTS = 25_000

#: Characters of all texts of a usual record together; no limit is lower.
SHORT = 1000

#: Recipient numbers, keys and sizes are below it.
MAX_NUMBER = 1 << 31
MAX_KEY = MAX_SIZE = 1 << 53

#: Seconds, and wall times either side of 1970, as in the queue.
MAX_SECONDS = 1e11

# What no line of text has, and surrogates that stand for no octet.
_BAD = re.compile("[\0\r\n\ud800-\udc7f\udd00-\udfff]")


class BadDelivery(BadRecord):
    """
    A record that is none of ours, or a request that does not fit into one.
    """


class CheckedByReader(Schema):
    """
    Of a record that whoever takes it checks, each field once: a message of one
    recipient has 30 of them.
    """

    def __init__(self) -> None:
        super().__init__({})

    def check(self, record: FrameRecord) -> None:
        """
        See L{Schema.check}.
        """


def check_texts(values: Iterable[Any]) -> None:
    """
    @param values: all texts of a record.
    @raise BadDelivery: not texts, too long together, or with line ends, NUL or
        surrogates that stand for no octet.
    """
    try:
        text = "".join(values)
    except TypeError:
        raise BadDelivery("not a text") from None
    if len(text) > MAX_TEXTS:
        raise BadDelivery("texts are too long")
    if not text.isprintable() and _BAD.search(text):
        raise BadDelivery("a text has characters that no text has")


def plain(values: Iterable[Any]) -> bool:
    """
    @param values: any texts of a record, or what should be texts.
    @return: they are so short, and so simple, that no check finds anything
        wrong with them as texts.
    """
    try:
        text = "".join(values)
    except TypeError:
        return False
    return len(text) <= SHORT and text.isprintable()


def clean(text: str, limit: int) -> str:
    """
    @return: the text, mended so that L{check_texts} takes it.
    """
    text = text[:limit]
    return text if text.isprintable() else _BAD.sub(" ", text)


def check_number(value: object, limit: int) -> int:
    """
    @return: C{value}, from 0 and below C{limit}.
    """
    if type(value) is not int or not 0 <= value < limit:
        raise BadDelivery("not a number within bounds")
    return value


def check_seconds(value: object, least: float = 0.0) -> float:
    """
    @return: C{value}, from C{least} to L{MAX_SECONDS}.
    """
    if type(value) is not float and type(value) is not int:
        raise BadDelivery("not a number of seconds")
    if not least <= value <= MAX_SECONDS:  # no NaN passes either
        raise BadDelivery("seconds out of bounds")
    return value


def seconds_within(value: float) -> float:
    """
    @return: the number of seconds that L{check_seconds} takes, nearest to
        C{value}; 0 for what is no number.
    """
    return min(value, MAX_SECONDS) if value >= 0 else 0.0


def check_list(value: object, least: int, most: int) -> list[Any]:
    """
    @return: C{value}, a list of this many.
    """
    if type(value) is not list or not least <= len(value) <= most:
        raise BadDelivery("not a list of the right length")
    return value


def check_fields(record: Record, count: int) -> None:
    """
    @param count: of fields, with the type; each is looked up by the caller.
    """
    if len(record) != count:
        raise BadDelivery("fields that nobody knows")


def field(record: Record, name: str) -> Any:
    """
    @return: a field that must be there.
    """
    try:
        return record[name]
    except KeyError:
        raise BadDelivery(f"no {name}") from None


def key_of(record: Record) -> int:
    """
    @return: which delivery a record is about.
    """
    return check_number(record.get("key"), MAX_KEY)


def check_queue_id(value: object) -> str:
    """
    @return: C{value}, letters and digits.
    """
    if (
        type(value) is not str
        or not (0 < len(value) <= 40)
        or not value.isascii()
        or not value.isalnum()
    ):
        raise BadDelivery("not a queue id")
    return value
