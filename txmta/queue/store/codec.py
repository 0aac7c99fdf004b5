"""
Messages as rows, and back.

Owns: what the columns C{attributes} and C{info} hold, the checksum, and the
    judgement of rows that cannot be right.
Knows nothing of: SQL, files, queues.

What comes back from a row is untrusted: it is bounded, and each field is
checked. The same bounds hold on the way in, so that nothing is accepted now
and found damaged later.

Sources: RFC 8259 (JSON).

Errors: C{ValueError} for a message that cannot be stored, and for a row that
cannot be a message.
"""

# Over budget: what a row holds is written and read in one place.

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from txmta.model import Client, Envelope, Login, Recipient, Trace

#: Octets of the attributes of one message. HELO, ENVID and the names of a
#: client are all far below; a larger row is not ours.
MAX_ATTRIBUTES = 65536

#: Octets of what is known about one recipient.
MAX_INFO = 16384

#: Characters of a deferral's reason that are kept.
MAX_REASON = 2000

_VERSION = 1

#: Of messages that are only asked about. Who knows only C{_VERSION}, after a
#: downgrade, must not deliver them: to him they are damaged.
_PROBE = 2

#: Texts of a message that are there if they say something.
_OPTIONAL = ("helo", "protocol", "body", "ret", "envid")

_json = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode

Text = str | bytes


def to_text(value: str) -> Text:
    """
    @return: what SQLite takes: a string, or octets if it is not UTF-8.
    """
    if value.isascii():
        return value
    octets = value.encode("utf-8", "surrogateescape")
    try:
        octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets
    return value


def from_text(value: object) -> str:
    """
    The opposite of L{to_text}.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    raise ValueError("text is missing")


def encode_attributes(envelope: Envelope) -> bytes:
    """
    @return: everything about a message that has no column of its own.
    """
    client = envelope.client
    fields: dict[str, object] = {
        "v": _PROBE if envelope.is_probe else _VERSION,
        "arrival": envelope.arrival,
        "client": [
            client.address,
            client.port,
            client.name,
            client.reverse_name,
            client.label,
        ],
    }
    for name in _OPTIONAL:
        value = getattr(envelope, name)
        if value:
            fields[name] = value
    if envelope.smtputf8:
        fields["smtputf8"] = True
    if envelope.local_origin:
        fields["local_origin"] = True
    login = envelope.login
    if login is not None:
        fields["login"] = [login.username, login.method, login.sender]
    if envelope.trace:
        fields["trace"] = int(envelope.trace)
    if envelope.filter:
        fields["filter"] = envelope.filter
    if envelope.forwarded:
        fields["forwarded"] = envelope.forwarded
    text = _json(fields)
    if "\\" in text:
        _check_text(*(t for pair in envelope.forwarded for t in pair))
        _check_text(*(v for v in fields.values() if isinstance(v, str)))
        _check_text(client.address, client.name, client.reverse_name, client.label)
        if login is not None:
            _check_text(login.username, login.method, login.sender)
    if len(text) > MAX_ATTRIBUTES:
        raise ValueError("attributes are too large")
    return text.encode("ascii")


def _check_text(*values: str) -> None:
    for value in values:
        if "\n" in value or "\r" in value or "\0" in value:
            raise ValueError("line ends in an attribute")


class _Fields:
    """
    A JSON object of which nothing is known.
    """

    def __init__(self, octets: object, limit: int) -> None:
        if not isinstance(octets, (str, bytes)) or len(octets) > limit:
            raise ValueError("not an object of this size")
        try:
            values = json.loads(octets)
        except RecursionError:
            raise ValueError("nested too deeply") from None
        if not isinstance(values, dict):
            raise ValueError("not an object")
        self._values: dict[str, Any] = values

    def text(self, name: str, default: str = "") -> str:
        return _text(self._values.get(name, default))

    def flag(self, name: str) -> bool:
        return self._values.get(name) is True

    def number(self, name: str, high: int) -> int:
        return _number(self._values.get(name, 0), high)

    def time(self, name: str) -> float:
        value = self._values.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"{name} is not a time")
        if not math.isfinite(value) or abs(value) > 1e11:
            raise ValueError(f"{name} is not a time")
        return float(value)

    def optional(self, names: Iterable[str]) -> list[Any]:
        """
        @return: texts, C{""} where there is none; to be checked.
        """
        get = self._values.get
        return [get(name, "") for name in names]

    def pairs(self, name: str) -> tuple[tuple[str, str], ...]:
        value = self._values.get(name, ())
        if not isinstance(value, list | tuple) or len(value) > 16:
            raise ValueError(f"{name} is not a list")
        if any(not isinstance(each, list) or len(each) != 2 for each in value):
            raise ValueError(f"{name} is not a list of pairs")
        return tuple((_text(key), _text(text)) for key, text in value)

    def items(self, name: str, count: int, there: bool = True) -> list[Any]:
        value = self._values.get(name)
        if not there and name not in self._values:
            return []
        if not isinstance(value, list) or len(value) != count:
            raise ValueError(f"{name} is not a list of {count}")
        return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("not a text")
    _check_text(value)
    return value


def _check_together(values: Sequence[Any]) -> None:
    """
    As L{_text} of each; the usual ones are looked at once.
    """
    try:
        if "".join(values).isprintable():
            return
    except TypeError:
        raise ValueError("not a text") from None
    _check_text(*values)


def _number(value: object, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("not a number")
    if not 0 <= value <= high:
        raise ValueError("number out of bounds")
    return value


def decode_envelope(
    queue_id: str, sender: object, attributes: object, recipients: Sequence[Recipient]
) -> Envelope:
    """
    @raise ValueError: the row is damaged.
    """
    if not isinstance(attributes, bytes):
        raise ValueError("attributes are missing")
    fields = _Fields(attributes, MAX_ATTRIBUTES)
    version, trace = fields.number("v", 1000), fields.number("trace", 3)
    if version != (_PROBE if trace & Trace.VERIFY else _VERSION):
        raise ValueError("attributes of another version")
    address, port, name, reverse_name, label = fields.items("client", 5)
    kept = from_text(sender)
    helo, protocol, body, ret, envid = fields.optional(_OPTIONAL)
    (content_filter,) = fields.optional(("filter",))
    _check_together(
        [kept, address, name, reverse_name, label, helo, protocol, body, ret, envid]
    )
    return Envelope(
        queue_id,
        fields.time("arrival"),
        kept,
        tuple(recipients),
        Client(address, _number(port, 65535), name, reverse_name, label),
        helo,
        protocol,
        body,
        fields.flag("smtputf8"),
        ret,
        envid,
        fields.flag("local_origin"),
        trace,
        login=_login(fields),
        filter=content_filter,
        forwarded=fields.pairs("forwarded"),
    )


def _login(fields: _Fields) -> Login | None:
    items = fields.items("login", 3, there=False)
    return Login(*map(_text, items)) if items else None


@dataclass(frozen=True, slots=True)
class KnownRecipient:
    """
    One row of the table C{recipient}.

    @ivar state: number of a L{RecipientState<txmta.model.RecipientState>}.
    @ivar reason: why it was deferred last, or C{""}.
    @ivar warned: the sender has been told of the delay.
    """

    recipient: Recipient
    state: int
    reason: str
    warned: bool = False


def encode_info(
    recipient: Recipient, reason: str = "", warned: bool = False
) -> str | None:
    """
    @return: what C{info} holds; L{None}, the usual case, is nothing special.
    """
    if (
        recipient.original == recipient.address
        and not reason
        and not warned
        and not recipient.orcpt
        and not recipient.notify
    ):
        return None
    fields: dict[str, object] = {}
    if recipient.original != recipient.address:
        fields["original"] = recipient.original
    if recipient.orcpt:
        fields["orcpt"] = recipient.orcpt
    if recipient.notify:
        fields["notify"] = int(recipient.notify)
    if warned:
        fields["warned"] = True
    if reason:
        fields["reason"] = one_line(reason)
    text = _json(fields)
    if len(text) > MAX_INFO and fields.pop("reason", ""):
        text = _json(fields)
    if len(text) > MAX_INFO:
        raise ValueError("recipient is too large")
    return text


def one_line(reason: str) -> str:
    """
    @return: a reason as it can be kept.
    """
    short = reason[:MAX_REASON]
    for c in "\r\n\0":
        short = short.replace(c, " ")
    return short


def decode_recipient(
    n: object, address: object, state: object, info: object
) -> KnownRecipient:
    """
    @raise ValueError: the row is damaged.
    """
    number = _number(n, 1 << 31)
    to = _text(from_text(address))
    known = _number(state, 3)
    if info is None:
        return KnownRecipient(Recipient(number, to, to), known, "")
    fields = _Fields(info, MAX_INFO)
    recipient = Recipient(
        number,
        to,
        fields.text("original", to),
        fields.text("orcpt"),
        fields.number("notify", 255),
    )
    return KnownRecipient(
        recipient, known, fields.text("reason"), fields.flag("warned")
    )


def checksum(
    content: int, sender: str, attributes: bytes, recipients: Sequence[Recipient]
) -> int:
    """
    The crc32 of content, sender, attributes and recipients, in this order:
    content comes first because it is complete before the envelope is.

    @param content: crc32 of the content alone.
    @raise ValueError: line ends or NUL in an address.
    """
    fields = [sender]
    for r in recipients:
        fields.append(r.address)
        if r.original != r.address or r.orcpt or r.notify:
            fields.append(f"{r.original}\n{r.orcpt}\n{int(r.notify)}")
    envelope = "\0".join(fields)
    if "\n" in envelope or "\r" in envelope or envelope.count("\0") >= len(fields):
        for r in recipients:
            _check_text(r.address, r.original, r.orcpt)
        _check_text(sender)
    return crc32(
        attributes, crc32(envelope.encode("utf-8", "surrogateescape"), content)
    )
