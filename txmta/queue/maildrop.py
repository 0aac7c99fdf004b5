"""
The form of a file in maildrop: what C{sendmail} writes and pickup reads.

Owns: the octets of such a file, and what makes one well formed.
Knows nothing of: directories, modes, who wrote it, message headers.

A file is a first line that says where everything is, fields, an empty line,
the content, and fields again: recipients that stand in the message are known
only when it has been read::

    txmta-maildrop 1 lf 0000000000000012 0000000000000020
    from alice
    name Alice L.
    to bob@example.com

    Subject: x

    hello
    to carol@example.com
    end

Until it is complete the first line says C{00..00}, and no file of this length
is well formed; the mode bit C{u+x}, set last, says that it is. Fields are
octets in internal form (L{txmta.model}), without control characters.

What pickup reads was written by any user of the machine: everything is bounded,
and what is not exactly as above is refused.

No module that takes long to import is imported here: C{sendmail} starts anew for
each message.

Sources: Postfix C{postdrop/postdrop.c}, C{global/rec_type.h}, for what a message
is accompanied by.

Errors: L{Malformed}; L{OtherVersion} for what a later version may have written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

MAGIC = b"txmta-maildrop "
VERSION = b"1"

#: Octets of the first line.
FIRST = len(MAGIC) + len(VERSION) + len(b" crlf ") + 16 + 1 + 16 + 1

#: Octets of one field; Postfix's line_length_limit.
MAX_FIELD = 2048

#: Octets of fields before the content, or after it: 50,000 long addresses.
MAX_FIELDS = 4 << 20

#: The same as a number, for the lists that users pass on.
MAX_RECIPIENTS = 50_000

#: The bits of L{txmta.model.Notify} by name, as C{-N} has them.
NOTIFY = {"never": 1, "success": 2, "failure": 4, "delay": 8}

_FIRST_LINE = re.compile(
    re.escape(MAGIC) + rb"(\d{1,3}) (lf  |crlf) ([0-9]{16}) ([0-9]{16})\n"
)
_FIELD = re.compile(rb"([a-z]{1,16}) ?([^\x00-\x1f\x7f]*)")
_CONTROL = re.compile("[\x00-\x1f\x7f]")

#: Fields that may stand once, and what they may say.
_ONCE = {
    "from": re.compile(r".*"),
    "name": re.compile(r".+"),
    "body": re.compile(r"7BIT|8BITMIME"),
    "ret": re.compile(r"FULL|HDRS"),
    "envid": re.compile(r".{1,100}"),
    "notify": re.compile(r"1|[2468]|1[024]"),
    "context": re.compile(r"local|remote"),
    "trace": re.compile(r"verify|record"),
}


class Malformed(ValueError):
    """
    This is no file of ours.
    """


class OtherVersion(Malformed):
    """
    It says that it is one, of another version of txmta.
    """


class Submitted:
    """
    What accompanies the content of one message.

    @ivar sender: envelope sender; C{""} is the null sender.
    @ivar recipients: never empty.
    @ivar full_name: of the sender, for a message without C{From:}; or C{""}.
    @ivar fields: C{body}, C{ret}, C{envid}, C{notify}, C{context} and C{trace}
        that are given.
    @ivar crlf: lines of the content end in CRLF, not LF.
    @ivar start: where the content begins.
    @ivar size: its octets.
    """

    __slots__ = (
        *("crlf", "fields", "full_name", "recipients", "sender", "size", "start"),
    )

    def __init__(
        self, fields: dict[str, str], recipients: list[str], crlf: bool
    ) -> None:
        self.sender = fields.pop("from", "")
        self.full_name = fields.pop("name", "")
        self.fields = fields
        self.recipients = recipients
        self.crlf = crlf
        self.start = self.size = 0

    @property
    def notify(self) -> int:
        return int(self.fields.get("notify", "0"))


class Layout:
    """
    What the first line says.

    @ivar crlf: as in L{Submitted}.
    @ivar size: octets of content.
    @ivar rest: octets of fields after it.
    """

    __slots__ = ("crlf", "rest", "size")

    def __init__(self, crlf: bool, size: int, rest: int) -> None:
        self.crlf = crlf
        self.size = size
        self.rest = rest


def first_line(crlf: bool = False, size: int = 0, rest: int = 0) -> bytes:
    """
    @return: L{FIRST} octets; without sizes, those of a file that is not
        complete.
    """
    form = b"crlf" if crlf else b"lf  "
    return b"%s%s %s %016d %016d\n" % (MAGIC, VERSION, form, size, rest)


def head(fields: Iterable[tuple[str, str]]) -> bytes:
    """
    @return: what stands between the first line and the content.
    """
    return b"".join(map(_field, fields)) + b"\n"


def tail(recipients: Iterable[str]) -> bytes:
    """
    @return: what follows the content.
    """
    return b"".join(_field(("to", each)) for each in recipients) + b"end\n"


def clean(text: str) -> str:
    """
    @return: a value as a field can hold it.
    """
    return _CONTROL.sub(" ", text)


def _field(field: tuple[str, str]) -> bytes:
    name, value = field
    octets = f"{name} {clean(value)}\n".encode("utf-8", "surrogateescape")
    if len(octets) > MAX_FIELD:
        raise ValueError(f"{name}: longer than {MAX_FIELD} octets")
    return octets


def read_first(octets: bytes) -> Layout:
    """
    @param octets: the first L{FIRST} of a file.
    @raise Malformed: they are not that.
    """
    match = _FIRST_LINE.fullmatch(octets)
    if match is None:
        raise Malformed("does not begin as a file of sendmail does")
    version, form, size, rest = match.groups()
    if version != VERSION:
        raise OtherVersion(f"is of version {version.decode()}, this is {VERSION!r}")
    if not int(rest):
        raise Malformed("is not complete")
    if int(rest) > MAX_FIELDS:
        raise Malformed("has too many fields")
    return Layout(form == b"crlf", int(size), int(rest))


def read_message(layout: Layout, total: int, start: bytes, end: bytes) -> Submitted:
    """
    @param total: octets of the file.
    @param start: what follows the first line, as much as there is, or at
        least L{head_room}.
    @param end: the last C{layout.rest} octets.
    @raise Malformed: the parts do not make a message.
    """
    room = head_room(layout, total)
    if not 0 < room <= MAX_FIELDS or room > len(start):
        raise Malformed("is not as long as it says, or has too many fields")
    if len(end) != layout.rest:
        raise Malformed("has changed")
    fields: dict[str, str] = {}
    recipients: list[str] = []
    before = start[: room - 1]
    if start[room - 1 : room] != b"\n":
        raise Malformed("has no empty line before the content")
    _read_fields(before, fields, recipients)
    if not end.endswith(b"end\n"):
        raise Malformed("has no end")
    _read_fields(end[: -len(b"end\n")], {}, recipients, only="to")
    if not recipients:
        raise Malformed("has no recipients")
    submitted = Submitted(fields, recipients, layout.crlf)
    submitted.start, submitted.size = FIRST + room, layout.size
    return submitted


def head_room(layout: Layout, total: int) -> int:
    """
    @return: octets between the first line and the content, the empty line
        included; anything if the file is not well formed.
    """
    return total - FIRST - layout.size - layout.rest


def _read_fields(
    octets: bytes, fields: dict[str, str], recipients: list[str], only: str = ""
) -> None:
    if not octets:
        return
    if not octets.endswith(b"\n"):
        raise Malformed("has half a field")
    for line in octets[:-1].split(b"\n"):
        match = _FIELD.fullmatch(line) if len(line) < MAX_FIELD else None
        if match is None:
            raise Malformed("has a field that is none")
        name = match[1].decode()
        value = match[2].decode("utf-8", "surrogateescape")
        if name == "to":
            if len(recipients) == MAX_RECIPIENTS:
                raise Malformed("has too many recipients")
            recipients.append(value)
            continue
        form = _ONCE.get(name)
        if only or form is None or name in fields or not form.fullmatch(value):
            raise Malformed(f"has a bad field: {name}")
        fields[name] = value
