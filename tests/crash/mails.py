"""
What is sent, and what arrived.

Owns: messages that can be told apart, and whether octets are one of them.
Knows nothing of: servers, clients.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

_MESSAGE_ID = re.compile(rb"^Message-ID: <([^>]*)>", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True)
class Mail:
    """
    One message of a scenario.

    @ivar name: its Message-ID.
    @ivar recipients: relayed if not at example.com.
    """

    name: str
    recipients: tuple[str, ...]
    size: int

    @property
    def content(self) -> bytes:
        line = hashlib.sha256(self.name.encode()).hexdigest().encode() + b"\r\n"
        body = line * (self.size // len(line) + 1)
        return (
            b"Message-ID: <" + self.name.encode() + b">\r\nFrom: <a@example.net>\r\n"
            b"Date: Tue, 24 Nov 2026 00:00:00 +0000\r\n\r\n" + body
        )


def body_hash(octets: bytes) -> str:
    """
    @param octets: a message with either line end.
    """
    body = octets.replace(b"\r\n", b"\n").partition(b"\n\n")[2]
    return hashlib.sha256(body).hexdigest()


def name_of(octets: bytes) -> str:
    """
    @return: the Message-ID, or C{""}.
    """
    match = _MESSAGE_ID.search(octets)
    return match[1].decode("ascii", "replace") if match else ""


@dataclass
class Arrivals:
    """
    What has arrived where: (Message-ID, recipient) to the hash of each copy.
    """

    copies: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def add(self, recipient: str, octets: bytes) -> None:
        key = name_of(octets), recipient
        self.copies.setdefault(key, []).append(body_hash(octets))


#: Small and relayed; small to a Maildir; large, with a content file, to both.
THREE = (
    Mail("relayed", ("r@example.org",), 2000),
    Mail("delivered", ("me@example.com",), 2000),
    Mail("large", ("r@example.org", "me@example.com"), 100_000),
)
