"""
What a table that asks a server needs to know of its protocol.

Owns: what an answer can be; limits that all such tables have.
Knows nothing of: any protocol, connections.

Errors: C{ValueError} of a reader: this is no answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

#: Seconds for a question, all in all. Postfix gives tcp and socketmap 100; but
#: who asks through proxymap waits ten.
LIMIT = 8.0

#: Characters of a reason.
MAX_REASON = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """
    @ivar value: L{None}: not found.
    @ivar trouble: the server cannot say, and why.
    """

    value: str | None
    trouble: str = ""


class Reader(Protocol):
    """
    Reads one answer.
    """

    def feed(self, data: bytes) -> Answer | None:
        """
        @return: L{None}: there must be more.
        @raise ValueError: this is no answer.
        """


class Codec(Protocol):
    """
    What is said on a connection.
    """

    @property
    def hello(self) -> bytes:
        """
        Said before the first question; C{b""}: nothing.
        """

    def request(self, key: str) -> bytes | None:
        """
        @return: L{None}: the server can have no such key.
        @raise ValueError: this key cannot be asked for.
        """

    def reader(self, first: bool) -> Reader:
        """
        @param first: the answers to C{hello} come before.
        """
