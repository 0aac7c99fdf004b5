"""
What is sent, and what arrived.

Owns: messages that can be told apart, and whether octets are one of them, or
    the beginning of one; notices (DSNs) of them.
Knows nothing of: servers, clients.
"""

from __future__ import annotations

import email
import hashlib
import re
from dataclasses import dataclass, field
from email.message import Message

#: In the place of a hash: a notice that has all its parts, and returns no body.
NOTICE = "notice"

_HEADER = re.compile(rb"From .*|[!-9;-~]+:.*|[ \t].*|")
_MESSAGE_ID = re.compile(rb"^Message-ID: <([^>]*)>", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True)
class Mail:
    """
    One message of a scenario.

    @ivar name: its Message-ID.
    @ivar recipients: relayed if not at example.com.
    @ivar expected: where copies of it, or notices, are to arrive; C{()} for
        the recipients.
    @ivar notify: the NOTIFY parameter, or C{""}.
    """

    name: str
    recipients: tuple[str, ...]
    size: int
    expected: tuple[str, ...] = ()
    notify: str = ""

    @property
    def places(self) -> tuple[str, ...]:
        """
        Where it is to arrive.
        """
        return self.expected or self.recipients

    @property
    def content(self) -> bytes:
        line = _line(self.name).encode() + b"\r\n"
        body = line * (self.size // len(line) + 1)
        return (
            b"Message-ID: <" + self.name.encode() + b">\r\nFrom: <a@example.net>\r\n"
            b"Date: Tue, 24 Nov 2026 00:00:00 +0000\r\n\r\n" + body
        )


def _line(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def body_hash(octets: bytes) -> str:
    """
    @param octets: a message with either line end.
    """
    body = octets.replace(b"\r\n", b"\n").partition(b"\n\n")[2]
    return hashlib.sha256(body).hexdigest()


def begins_one(octets: bytes) -> bool:
    """
    @param octets: with LF.
    @return: whether it is the beginning of a message, and of no other than its
        Message-ID says.
    """
    # The last line end may be of whoever came next, after half a line.
    head, empty, body = octets.removesuffix(b"\n").partition(b"\n\n")
    lines = head.split(b"\n")
    if not empty:
        # The last line may have been cut anywhere.
        return all(_HEADER.fullmatch(line) for line in lines[:-1])
    name = name_of(head)
    if not name or not all(_HEADER.fullmatch(line) for line in lines):
        return False
    line = _line(name).encode() + b"\n"
    return (line * (len(body) // len(line) + 1)).startswith(body)


def name_of(octets: bytes) -> str:
    """
    @return: the Message-ID, or C{""}.
    """
    match = _MESSAGE_ID.search(octets)
    return match[1].decode("ascii", "replace") if match else ""


@dataclass
class Arrivals:
    """
    What has arrived where.

    @ivar copies: (Message-ID, place) to the hash of each copy. The place of a
        notice is what it says of whom, C{"failed x@example.org"}.
    @ivar begun: such hashes of copies that are the beginning of the message,
        in places where what was killed in the middle leaves such.
    """

    copies: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    begun: set[tuple[str, str, str]] = field(default_factory=set)

    def add(self, place: str, octets: bytes) -> None:
        if _REPORT in octets:
            self._add_notice(place, octets)
        else:
            self._add(name_of(octets), place, body_hash(octets))

    def add_begun(self, place: str, octets: bytes) -> None:
        """
        Add a copy that may be cut off.
        """
        self.add(place, octets)
        if begins_one(octets):
            self.begun.add((name_of(octets), place, body_hash(octets)))

    def update(self, other: Arrivals) -> None:
        for key, hashes in list(other.copies.items()):
            self.copies.setdefault(key, []).extend(hashes)
        self.begun |= other.begun

    def _add(self, name: str, place: str, what: str) -> None:
        self.copies.setdefault((name, place), []).append(what)

    def _add_notice(self, place: str, octets: bytes) -> None:
        read = _notice(octets)
        if read is None:
            self._add("", f"torn notice for {place}", "")
            return
        name, told, what = read
        for each in told:
            self._add(name, each, what)


_REPORT = b"Content-Type: multipart/report"


def _notice(octets: bytes) -> tuple[str, list[str], str] | None:
    """
    @return: which message it is of, what became of which recipient, and the
        hash of what is returned; L{None} if it is not whole.
    """
    report = email.message_from_bytes(octets)
    parts = report.get_payload()
    boundary = f"--{report.get_boundary()}--".encode()
    if not isinstance(parts, list) or len(parts) < 3 or boundary not in octets:
        return None
    status, original = parts[1], parts[2]
    assert isinstance(status, Message) and isinstance(original, Message), "parts"
    said = [str(block["Action"]) for block in status.walk() if block["Action"]]
    of_whom = [
        str(block["Final-Recipient"]).partition(";")[2].strip()
        for block in status.walk()
        if block["Final-Recipient"]
    ]
    told = [" ".join(pair) for pair in zip(said, of_whom, strict=True)]
    returned = original.get_payload()
    if isinstance(returned, list):
        assert isinstance(returned[0], Message), "the original"
        inner = returned[0].as_bytes()
        # The line end before the boundary is the boundary's.
        return name_of(inner), told, body_hash(inner)
    return name_of(str(returned).encode()), told, NOTICE


#: Small and relayed; small to a Maildir; large, with a content file, to both.
THREE = (
    Mail("relayed", ("r@example.org",), 2000),
    Mail("delivered", ("me@example.com",), 2000),
    Mail("large", ("r@example.org", "me@example.com"), 100_000),
)
