"""
Golden sessions: transcripts in C{tests/golden/smtpd}, one situation each.

A file is read line by line::

    # why this session is worth having
    @ smtpd_recipient_limit = 2     a setting
    @client friend                  in mynetworks; else a stranger
    C: EHLO client.example          sent with CR LF, in a segment of its own
    C+ MAIL FROM:<a@b.example>      the same, in one segment with the one before
    C| raw\\x00octets               the same, escapes decoded and no CR LF added
    C* 100 abc                      100 times these octets, in the same segment
    S: 250 2.1.0 Ok                 what comes back to all this, line by line
    E: 10240000                     the reply to EHLO, with this size
    X:                              the server hangs up
    M: Subject: x\\r\\n              content of a queued message, escapes decoded
    L: lost connection after ...    a line of the mail log

C{P:} instead of C{S:} lines is what Postfix says where we differ; the comment
above says why. C{ID} stands for a queue id.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

#: What we offer; Postfix has ETRN after VRFY.
EHLO = (
    "250-mx.example.org",
    "250-PIPELINING",
    "250-SIZE {}",
    "250-VRFY",
    "250-ENHANCEDSTATUSCODES",
    "250-8BITMIME",
    "250-DSN",
    "250-SMTPUTF8",
    "250 CHUNKING",
)

FOLDER = Path(__file__).parents[2] / "golden" / "smtpd"


@dataclass
class Step:
    """
    One segment, and what comes back.

    @ivar postfix: what Postfix says, if that is something else.
    """

    sent: bytes = b""
    replies: list[str] = field(default_factory=list)
    postfix: list[str] | None = None
    closed: bool = False

    @property
    def expected(self) -> bytes:
        return "".join(f"{r}\r\n" for r in self.replies).encode("latin-1")


@dataclass
class Golden:
    name: str
    settings: dict[str, str] = field(default_factory=dict)
    friend: bool = False
    steps: list[Step] = field(default_factory=lambda: [Step()])
    contents: list[bytes] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def add(self, octets: bytes) -> None:
        """
        Octets of the segment under way, or of a new one after replies.
        """
        step = self.steps[-1]
        if step.replies or step.closed or len(self.steps) == 1:
            self.steps.append(Step(octets))
        else:
            step.sent += octets

    def line(self, kind: str, text: str) -> None:
        step = self.steps[-1]
        if kind == "@client":
            self.friend = text == "friend"
        elif kind == "@":
            name, _, value = text.partition("=")
            self.settings[name.strip()] = value.strip()
        elif kind == "C:":
            self.steps.append(Step(text.encode() + b"\r\n"))
        elif kind == "C+":
            step.sent += text.encode() + b"\r\n"
        elif kind == "C|":
            self.add(decoded(text))
        elif kind == "C*":
            count, _, octets_ = text.partition(" ")
            self.add(int(count) * decoded(octets_))
        elif kind == "E:":
            step.replies += [line.format(text) for line in EHLO]
        elif kind == "S:":
            step.replies.append(text)
        elif kind == "P:":
            step.postfix = [*(step.postfix or ()), text]
        elif kind == "X:":
            step.closed = True
        elif kind == "M:":
            self.contents.append(decoded(text))
        elif kind == "L:":
            self.log.append(text)
        else:
            raise ValueError(f"{self.name}: {kind}")


def decoded(text: str) -> bytes:
    return (
        text.encode("latin-1", "backslashreplace")
        .decode("unicode_escape")
        .encode("latin-1")
    )


def sessions() -> Iterator[Golden]:
    for path in sorted(FOLDER.glob("*.txt")):
        golden = Golden(path.stem)
        for line in path.read_text("utf-8").splitlines():
            if line and not line.startswith("#"):
                kind, _, text = line.partition(" ")
                golden.line(kind, text)
        yield golden
