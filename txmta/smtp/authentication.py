"""
The login part of an SMTP server session: AUTH and the lines that follow it.

Owns: what may come when, which lines are responses, base64.
Knows nothing of: mechanisms, passwords (L{txmta.smtp.login} asks).

Sources: RFC 4954; Postfix C{smtpd/smtpd_sasl_proto.c}, C{smtpd/smtpd_sasl_glue.c},
whose words the replies are.

Errors: none.

@note: what comes after AUTH or a response before it is answered is refused and
    ends the session, as with STARTTLS: nothing that was sent by somebody who was
    nobody is obeyed as said by a user. Postfix reads it.
"""

from __future__ import annotations

import binascii
import re

from txmta.model import Reply
from txmta.smtp.commands import State
from txmta.smtp.envelopes import Envelopes
from txmta.smtp.requests import Abort, Authenticate, Respond

_HELO_FIRST = Reply(503, "5.5.1", "Error: send HELO/EHLO first")
_DISABLED = Reply(503, "5.5.1", "Error: authentication not enabled")
_BUSY = Reply(503, "5.5.1", "Error: MAIL transaction in progress")
_ENCRYPT = Reply(
    504, "5.5.4", "Encryption required for requested authentication mechanism"
)
_TWICE = Reply(503, "5.5.1", "Error: already authenticated")
_SYNTAX = Reply(501, "5.5.4", "Syntax: AUTH mechanism")
_ABORTED = Reply(501, "5.7.0", "Authentication aborted")
_TOO_LONG = Reply(500, "5.5.6", "SASL response limit exceeded")

_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}", re.ASCII)


def from_base64(text: str) -> bytes | None:
    """
    @return: L{None}: it is no base64.
    """
    if len(text) % 4 or not _BASE64.fullmatch(text):
        return None
    try:
        return binascii.a2b_base64(text)
    except binascii.Error:
        return None


class Authentication(Envelopes):
    """
    AUTH.
    """

    _mechanism = ""

    def _auth(self, rest: str) -> None:
        refusal = self._auth_refusal()
        words = rest.split()
        if refusal is not None:
            self._fail(refusal)
        elif not 1 <= len(words) <= 2:
            self._fail(_SYNTAX)
        elif self.stream.pending:
            self._out_of_step()
        else:
            self._mechanism = words[0].upper()
            initial = words[1] if words[1:] else None
            self._ask(Authenticate(self._mechanism, initial), self._auth_answered)

    def _auth_refusal(self) -> Reply | None:
        rules, session = self.rules, self.session
        if rules.helo_required and not session.helo:
            return _HELO_FIRST
        if not rules.auth or "AUTH" in rules.off:
            return _DISABLED
        if self.state is not State.IDLE:
            return _BUSY
        if rules.auth_tls_only and session.tls is None:
            return _ENCRYPT
        if session.login is not None:
            return _TWICE
        return None

    def _auth_answered(self, reply: Reply) -> None:
        if reply.code == 334:
            self.state = State.AUTH
            self.stream.limit = self.rules.auth_line
            self._say(reply)
        elif reply.code < 400:
            self._auth_over()
            self._accept(reply)
        else:
            self._auth_over()
            self._fail(reply)

    def _auth_over(self) -> None:
        self.state = State.IDLE
        self.stream.limit = self.rules.limits.line

    def _auth_response(self, line: bytes) -> None:
        """
        A line that is no command.
        """
        if self.stream.overlong:
            self._give_up(_TOO_LONG)
        elif line == b"*":
            text = f"SASL {self._mechanism[:100]} authentication aborted"
            self._warn(f"{self.label}: {text}")
            self._give_up(_ABORTED)
        elif self.stream.pending:
            self._out_of_step()
        else:
            text = line.decode("ascii", "replace")
            self._ask(Respond(text), self._auth_answered)

    def _give_up(self, reply: Reply) -> None:
        self._requests.append(Abort())
        self._auth_over()
        self._fail(reply)
