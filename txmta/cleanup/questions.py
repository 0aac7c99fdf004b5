"""
What mapping addresses asks, and how it ends when that cannot be answered.

Mapping is written as generators: they yield a L{Question} and are sent the
answer, or yield a L{Remark} for the log. Who runs them (L{txmta.cleanup.answers})
decides whether answers are there at once or come later.

Owns: these values.
Knows nothing of: tables.

Sources: Postfix C{global/mail_addr_find.c}, C{global/cleanup_strerror.c}.

Errors: L{NotMapped}.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias, TypeVar

from txmta.errors import MailError
from txmta.model import Reply

T = TypeVar("T")

#: The table could not be asked.
UNAVAILABLE = Reply(451, "4.3.0", "Error: queue file write error")

#: It was asked too often, or its answers are too large.
UNREASONABLE = Reply(451, "4.6.0", "Alias expansion error")

_LATER = "message not accepted, try again later"


class NotMapped(MailError):
    """
    An address cannot be mapped now; the message must not be taken as it is.

    @ivar warning: for the log.
    @ivar reply: for the client.
    """

    def __init__(self, trouble: str, reply: Reply = UNREASONABLE) -> None:
        super().__init__(trouble)
        self.warning = f"{trouble} -- {_LATER}"
        self.reply = reply


class Question(NamedTuple):
    """
    @ivar maps: the parameter that holds the tables, or the list.
    @ivar key: an address in internal form; for masquerade_exceptions a local
        part.
    """

    maps: str
    key: str


@dataclass(frozen=True, slots=True)
class Remark:
    """
    @ivar warning: for the log, after the queue id.
    """

    warning: str


class Found(NamedTuple):
    """
    @ivar value: what the table has.
    @ivar extension: of the address, with its delimiter, if it was found only
        without that; or C{""}.
    """

    value: str
    extension: str = ""


#: Something that asks. Sent L{Found} or L{None}; of masquerade_exceptions,
#: L{Found} says that it is in the list.
Asking: TypeAlias = Generator["Question | Remark", "Found | None", T]
