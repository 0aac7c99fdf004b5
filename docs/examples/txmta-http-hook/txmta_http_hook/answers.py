"""
What an answer, or no answer, means for the mail.

Pure: no connections, no clock.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from OpenSSL.SSL import Error as TLSError
from service_identity import CertificateError, VerificationError
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.python.failure import Failure

from txmta.model import Action

#: Answers that may be different in a moment.
BUSY = {408: "4.4.2", 425: "4.3.2", 429: "4.3.2", 503: "4.3.2", 507: "4.3.1"}

#: Answers that are about our own credentials: the message cannot help it.
OUR_FAULT = (401, 407)

#: Why a message is refused.
REFUSED = {400: "5.6.0", 403: "5.7.1", 413: "5.3.4", 415: "5.6.0", 422: "5.6.0"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    @ivar again: worth another try soon.
    @ivar diagnostic: what the endpoint said, for the bounce; C{""} if nothing.
    """

    action: Action
    status: str
    reason: str
    again: bool = False
    diagnostic: str = ""

    @property
    def silent(self) -> bool:
        """
        The endpoint said nothing: nor will it to the next recipient.
        """
        return self.action is Action.DELAYED and not self.diagnostic


def of_answer(code: int, phrase: bytes, text: bytes) -> Verdict:
    """
    @param text: the start of the answer's body.
    """
    said = printable(f"{code} ".encode() + phrase)
    first = printable(text.strip().partition(b"\n")[0])[:200]
    reason = f"HTTP {said}: {first}" if first else f"HTTP {said}"
    diagnostic = f"x-http; {said}"
    if 200 <= code < 300:
        return Verdict(Action.DELIVERED, "2.0.0", reason, False, diagnostic)
    if code in BUSY or code >= 500:
        status = BUSY.get(code, "4.3.0")
        return Verdict(Action.DELAYED, status, reason, True, diagnostic)
    if code in OUR_FAULT:
        return Verdict(Action.DELAYED, "4.7.0", reason, False, diagnostic)
    if 400 <= code < 500:
        status = REFUSED.get(code, "5.3.0")
        return Verdict(Action.FAILED, status, reason, False, diagnostic)
    # Mail goes where the administrator says, and nowhere else.
    reason += " (redirects are not followed: change url= in master.cf)"
    return Verdict(Action.DELAYED, "4.3.5", reason, False, diagnostic)


def of_failure(host: str, failure: Failure) -> Verdict:
    """
    There was no answer.

    @param host: with port.
    """
    for cause in causes(failure):
        if isinstance(cause, TLSError | VerificationError | CertificateError):
            reason = f"certificate of {host} is not trusted: {words(cause)}"
            return Verdict(Action.DELAYED, "4.7.5", reason)
    error = next(causes(failure))
    if isinstance(error, DNSLookupError):
        reason, status = f"host {host} is not found", "4.4.3"
    elif isinstance(error, ConnectError):
        reason, status = f"connect to {host}: {words(error)}", "4.4.1"
    else:
        last = list(causes(failure))[-1]
        reason, status = f"lost connection with {host}: {words(last)}", "4.4.2"
    return Verdict(Action.DELAYED, status, reason, True)


def too_slow(host: str, seconds: float) -> Verdict:
    reason = f"{host} does not answer within {seconds:g} seconds"
    return Verdict(Action.DELAYED, "4.4.2", reason, True)


def causes(failure: Failure) -> Iterator[BaseException]:
    """
    @return: an error, and those that twisted.web put into it.
    """
    error = failure.value
    if error is not None:
        yield error
    for reason in getattr(error, "reasons", ()):
        if isinstance(reason, Failure):
            yield from causes(reason)


def words(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return printable(" ".join(text.split()).encode())[:200]


def printable(octets: bytes) -> str:
    """
    @return: text that may stand in logs and bounces.
    """
    return re.sub(rb"[^\x20-\x7e]", b"?", octets.strip()).decode("ascii")
