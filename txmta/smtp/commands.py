"""
The grammar of SMTP command lines, and what may come when.

Owns: verbs and their properties, the table of refusals by state, how a line is
    cut into words.
Knows nothing of: what commands do.

Sources: RFC 5321 section 4.1; RFC 2920 section 3.1 (what must be the last of a
pipelined group); RFC 3030 section 2. Postfix: C{smtpd/smtpd.c} (table of
commands, order of checks), C{smtpd/smtpd_token.c}.

Errors: none; any text is legal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from txmta.model import Reply


class State(Enum):
    """
    Where a session is. A greeting is not a state: Postfix does not insist on
    one (smtpd_helo_required), and any number may come.
    """

    IDLE = auto()  # no transaction
    SENDER = auto()  # MAIL accepted, no recipient yet
    RECIPIENTS = auto()  # at least one RCPT accepted
    DATA = auto()  # after 354, until the final dot
    CHUNK = auto()  # inside a BDAT chunk
    CHUNKS = auto()  # between two BDAT chunks
    CHUNKS_FAILED = auto()  # between them, after an error
    CHUNKS_STRAY = auto()  # after a BDAT without transaction
    AUTH = auto()  # after 334, until the response
    TLS = auto()  # after 220 to STARTTLS, until the handshake
    CLOSED = auto()

    # Each is its own object: no call is needed to find one in a table.
    __hash__ = object.__hash__


@dataclass(frozen=True, slots=True)
class Verb:
    """
    @ivar name: as log lines name the stage.
    @ivar key: as the line of a disconnect names it.
    @ivar last: nothing may be pipelined after it.
    @ivar junk: counts against smtpd_junk_command_limit.
    """

    name: str
    key: str
    last: bool
    junk: bool


def _verb(name: str, last: bool = False, junk: bool = False) -> tuple[bytes, Verb]:
    return name.encode(), Verb(name, name.lower(), last, junk)


#: The commands that we know, by name.
VERBS: Mapping[bytes, Verb] = dict(
    (
        _verb("HELO", last=True, junk=True),
        _verb("EHLO", last=True, junk=True),
        _verb("MAIL"),
        _verb("RCPT"),
        _verb("DATA", last=True),
        _verb("BDAT"),
        _verb("RSET", junk=True),
        _verb("NOOP", last=True, junk=True),
        _verb("VRFY", last=True, junk=True),
        _verb("HELP", junk=True),
        _verb("QUIT"),
        _verb("STARTTLS"),
        _verb("AUTH"),
        _verb("ETRN", junk=True),
        _verb("XCLIENT", junk=True),
        _verb("XFORWARD", junk=True),
    )
)


#: What is understood before TLS even if that is required.
PRE_TLS = frozenset((b"HELO", b"EHLO", b"STARTTLS", b"NOOP", b"QUIT", b"XCLIENT"))


def _sequence(text: str) -> Reply:
    return Reply(503, "5.5.1", f"Error: {text}")


_NESTED = _sequence("nested MAIL command")
_NEED_MAIL = _sequence("need MAIL command")
_NEED_RCPT = _sequence("need RCPT command")
_NO_VALID = Reply(554, "5.5.1", "Error: no valid recipients")
_CHUNKS = {
    b"MAIL": _NESTED,
    b"RCPT": _sequence("RCPT after BDAT"),
    b"DATA": _sequence("DATA after BDAT"),
}

#: What is out of order in each state, and what we say. What is not here is in
#: order: HELO, EHLO, RSET, NOOP, VRFY, HELP and QUIT always are (RFC 5321
#: section 4.1.4).
REFUSALS: Mapping[State, Mapping[bytes, Reply]] = {
    State.IDLE: {b"RCPT": _NEED_MAIL, b"DATA": _NEED_RCPT, b"BDAT": _NEED_RCPT},
    State.SENDER: {b"MAIL": _NESTED, b"DATA": _NO_VALID, b"BDAT": _NO_VALID},
    State.RECIPIENTS: {b"MAIL": _NESTED},
    State.CHUNKS: _CHUNKS,
    State.CHUNKS_FAILED: _CHUNKS,
    State.CHUNKS_STRAY: {
        b"MAIL": _sequence("MAIL after BDAT"),
        b"RCPT": _NEED_MAIL,
        b"DATA": _CHUNKS[b"DATA"],
    },
    State.DATA: {},
    State.CHUNK: {},
    State.AUTH: {},
    State.TLS: {},
    State.CLOSED: {},
}

# An argument runs to white space; quotes, angle brackets and square brackets
# keep white space inside, to the end of the line if they are not closed. It is
# linear since nothing is ever tried twice: the next character tells what comes,
# and whatever was opened ends at the end of the line.
_QUOTED = r'"[^"\\]*+(?:\\.[^"\\]*+)*(?:"|\\?\Z)'
_WORD = re.compile(
    rf"(?:{_QUOTED}"
    rf'|<(?:{_QUOTED}|\\.|[^">\\])*(?:>|\\?\Z)'
    r"|\[[^\]]*+(?:\]|\Z)"
    r"|\\.|\\\Z"
    r'|[^\s"<\[\\])+',
    re.DOTALL | re.ASCII,
)

# MAIL and RCPT as nearly every client writes them.
_PLAIN_PATH = re.compile(
    r"(?:FROM|TO):[ \t]*(<[^\s<>\"\\\[\]]*>)(?:[ \t]+([^\s<>\"\\\[\]]+))?\s*",
    re.IGNORECASE | re.ASCII,
)

# A chunk size, RFC 3030 section 2; more digits than 2**63 has are no size.
_CHUNK = re.compile(r"([0-9]{1,19})(?:\s+(LAST))?\s*", re.IGNORECASE | re.ASCII)

#: Largest size that Postfix can count.
MAX_SIZE = 2**63 - 1


def words(text: str) -> list[str]:
    """
    Cut arguments at white space, as L{_WORD} says.
    """
    return _WORD.findall(text)


def path_arguments(keyword: str, text: str) -> tuple[str, list[str]] | None:
    """
    Read the arguments of MAIL and RCPT.

    @param keyword: C{"FROM:"} or C{"TO:"}.
    @return: path and parameters; L{None}: the syntax is wrong.
    """
    if text[: len(keyword)].upper() != keyword:
        return None
    match = _PLAIN_PATH.fullmatch(text)
    if match is not None:
        return match[1], [match[2]] if match[2] else []
    path, *parameters = words(text[len(keyword) :]) or [""]
    return (path, parameters) if path else None


def chunk_arguments(text: str) -> tuple[int, bool] | None:
    """
    Read the arguments of BDAT.

    @return: size and whether it is the last; L{None}: the syntax is wrong.
    """
    match = _CHUNK.fullmatch(text)
    if match is None or int(match[1]) > MAX_SIZE:
        return None
    return int(match[1]), match[2] is not None
