"""
What the SMTP server engine asks for and tells, one value at a time.

A request with C{asks = True} stops the engine until it is answered; the others
only tell. L{Sender} and L{Rcpt} can stand in for the C{Address} and C{User} of
twisted.mail, so that its deliveries work unchanged.

Owns: these values.
Knows nothing of: who makes them, who answers them.

Sources: Postfix C{smtpd/smtpd.h} (SMTPD_STATE); twisted.mail.smtp (the
attributes that deliveries read).

Errors: none.

@note: not frozen, for speed; nobody changes one after it was handed out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from txmta.address import quote, split
from txmta.model import Reply
from txmta.smtp.session import Session


def octets(text: str) -> bytes:
    """
    @return: the octets that the text came from.
    """
    return text.encode("utf-8", "surrogateescape")


class Request:
    """
    @cvar asks: the engine waits for L{Engine.answer
        <txmta.smtp.engine.Engine.answer>}.
    """

    __slots__ = ()
    asks: ClassVar[bool] = False


@dataclass(slots=True)
class MailParameters:
    """
    The ESMTP parameters of MAIL, checked and decoded.

    @ivar size: octets, or L{None} if not said.
    @ivar body: C{"7BIT"}, C{"8BITMIME"} or C{""}.
    @ivar ret: C{"FULL"}, C{"HDRS"} or C{""}.
    @ivar envid: decoded, printable ASCII, or C{""}.
    @ivar auth: who it comes from, as the client says, in xtext; or C{""}.
    """

    size: int | None = None
    body: str = ""
    smtputf8: bool = False
    ret: str = ""
    envid: str = ""
    auth: str = ""


@dataclass(slots=True)
class RcptParameters:
    """
    The ESMTP parameters of RCPT, checked and decoded.

    @ivar notify: bits of L{txmta.model.Notify}.
    @ivar orcpt: C{"rfc822;user@host"}, without control characters, or C{""}.
    """

    notify: int = 0
    orcpt: str = ""


@dataclass(slots=True)
class Path(Request):
    """
    An address, looking like C{twisted.mail.smtp.Address}.

    @ivar address: in internal form, as L{txmta.model} describes it.
    """

    address: str

    @property
    def local(self) -> bytes:
        return octets(split(self.address)[0])

    @property
    def domain(self) -> bytes:
        return octets(split(self.address)[1])

    def __bytes__(self) -> bytes:
        return octets(quote(self.address))

    def __str__(self) -> str:
        return quote(self.address)


@dataclass(slots=True)
class Sender(Path):
    """
    MAIL: a transaction is to begin.

    @ivar session: that it is said in.
    """

    params: MailParameters
    session: Session

    asks: ClassVar[bool] = True


@dataclass(slots=True)
class Rcpt(Request):
    """
    RCPT, looking like C{twisted.mail.smtp.User}.

    @ivar address: in internal form, as the client wrote it.
    """

    address: str
    params: RcptParameters
    orig: Sender
    protocol: object = None

    asks: ClassVar[bool] = True

    @property
    def dest(self) -> Path:
        return Path(self.address)

    @property
    def helo(self) -> tuple[bytes, bytes]:
        session = self.orig.session
        return octets(session.helo), session.client.address.encode()

    def __bytes__(self) -> bytes:
        return bytes(self.dest)

    def __str__(self) -> str:
        return str(self.dest)


@dataclass(slots=True)
class Verify(Request):
    """
    VRFY.

    @ivar text: the argument as it was.
    """

    address: str
    text: str
    session: Session

    asks: ClassVar[bool] = True


class Hello(Request):
    """
    HELO or EHLO, where restrictions are asked at once. Answered with a reply: a
    code below 400 means "go on".
    """

    __slots__ = ()
    asks: ClassVar[bool] = True


class Open(Request):
    """
    DATA or the first BDAT: content is to come. Answered with a reply: a code
    below 400 means "go on", and is sent only for DATA.
    """

    __slots__ = ()
    asks: ClassVar[bool] = True


@dataclass(slots=True)
class Chunk(Request):
    """
    Content: wire form, not dot-stuffed, cut anywhere.
    """

    block: bytes


class End(Request):
    """
    The content is complete.
    """

    __slots__ = ()
    asks: ClassVar[bool] = True


class Forget(Request):
    """
    The transaction is over without a message: RSET, a new greeting, content
    that we refuse, the end of the session.
    """

    __slots__ = ()


@dataclass(slots=True)
class Warning_(Request):
    """
    C{warning: text} for the log.

    @ivar queued: put the queue id before it, if there is one.
    """

    text: str
    queued: bool = False


@dataclass(slots=True)
class Noted(Request):
    """
    A line for the log.
    """

    text: str


@dataclass(slots=True)
class Refused(Request):
    """
    The engine itself refused something that the log shows as a reject.

    @ivar stage: Postfix's name of the stage.
    @ivar verb: C{"reject"}, or C{"note"} for something only noted.
    """

    stage: str
    reason: str
    verb: str = "reject"


@dataclass(slots=True)
class Trouble(Request):
    """
    The session ends in a way worth a line: C{timeout after RCPT}.
    """

    trouble: str
    after: str


@dataclass(slots=True)
class Sleep(Request):
    """
    Replies made from now on are held back until L{Engine.wake
    <txmta.smtp.engine.Engine.wake>}.

    @ivar seconds: how long.
    """

    seconds: float


class Impersonated(Request):
    """
    XCLIENT: the session is that of another client from now on. Answered with
    what that one is greeted with.
    """

    __slots__ = ()
    asks: ClassVar[bool] = True


class Offer(Request):
    """
    EHLO, where mechanisms belong to the answer: the whole reply is asked for.
    """

    __slots__ = ()
    asks: ClassVar[bool] = True


@dataclass(slots=True)
class Authenticate(Request):
    """
    AUTH. Answered with 334 and a challenge, with 235, or with a refusal.

    @ivar mechanism: in upper case.
    @ivar response: as it came, in base64, or L{None} for none.
    """

    mechanism: str
    response: str | None

    asks: ClassVar[bool] = True


@dataclass(slots=True)
class Respond(Request):
    """
    What a client says to a challenge. Answered likewise.

    @ivar text: as it came, in base64.
    """

    text: str

    asks: ClassVar[bool] = True


class Abort(Request):
    """
    The client gives up logging in; or the session forgets who logged in.
    """

    __slots__ = ()


class StartTLS(Request):
    """
    C{220} to STARTTLS has been said: send it, start the handshake, and call
    L{Engine.secured <txmta.smtp.engine.Engine.secured>}.
    """

    __slots__ = ()


@dataclass(slots=True)
class Transaction:
    """
    What the engine knows of the mail transaction.

    @ivar recipients: how many were accepted.
    @ivar overshoot: how many came after the limit.
    @ivar size: octets of content so far, as the client sent them, less
        dot-stuffing.
    """

    sender: Sender
    recipients: int = 0
    overshoot: int = 0
    size: int = 0
    failure: Reply | None = field(default=None)
