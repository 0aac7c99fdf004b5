"""
What a screen wants done, and what it is told.

Owns: these values.
Knows nothing of: who does it, when.

Sources: Postfix C{postscreen/postscreen.h}.

Errors: none.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from txmta.smtp.postscreen.results import Stamps


@dataclass(frozen=True, slots=True)
class Log:
    text: str


@dataclass(frozen=True, slots=True)
class Say:
    octets: bytes


@dataclass(frozen=True, slots=True)
class Wait:
    """
    Call C{waited}, or C{late}, when so many seconds have passed.
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class Look:
    """
    Ask the DNS lists, and call C{scored} when all have answered.
    """


@dataclass(frozen=True, slots=True)
class Keep:
    """
    Keep results of the client.
    """

    stamps: Stamps


@dataclass(frozen=True, slots=True)
class Pass:
    """
    Let smtpd have it, with what it has said already.
    """

    said: bytes


@dataclass(frozen=True, slots=True)
class End:
    """
    Hang up.
    """


Effect = Log | Say | Wait | Look | Keep | Pass | End


class Phase(Enum):
    BEFORE = auto()
    EARLY = auto()
    DEEP = auto()
    OVER = auto()


@dataclass(frozen=True, slots=True)
class Score:
    """
    What DNS lists say.

    @ivar name: of the list that says most, as clients may know it.
    @ivar ttl: seconds.
    """

    score: int = 0
    name: str = ""
    ttl: float = 0.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """
    A client comes.

    @ivar listed: by postscreen_access_list: C{"permit"}, C{"reject"} or C{"dunno"}.
    @ivar together: connections that it has, with this one.
    @ivar tested: connections that are being tested, with this one.
    @ivar stamps: what is known of it, or L{None}.
    @ivar here: postscreen_allowlist_interfaces has our address.
    """

    address: str
    port: int
    server: tuple[str, int]
    listed: str = "dunno"
    together: int = 1
    tested: int = 1
    stamps: Stamps | None = None
    here: bool = True
