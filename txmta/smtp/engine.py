"""
An SMTP server session: octets in, replies and requests out.

The caller feeds octets (L{Engine.receive}), takes requests (L{Engine.next}) until
there is none, answers those that ask (L{Engine.answer}, at once or later), and
sends what L{Engine.output} gives. While a question is open, no further command is
looked at, so that pipelined commands are answered in order.

Owns: what each command means, transactions, limits on content.
Knows nothing of: sockets, clocks, who decides (L{txmta.smtp.server}).

Sources: RFC 5321; RFC 1870, 2920, 3030, 3207, 3461, 6152, 6531; Postfix
C{smtpd/smtpd.c}, whose words the replies are.

Errors: none: every input has a legal reply.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from txmta.model import Reply, TLSInfo
from txmta.smtp.authentication import Authentication
from txmta.smtp.commands import PRE_TLS, REFUSALS, VERBS, State, chunk_arguments
from txmta.smtp.dialogue import escape
from txmta.smtp.requests import Abort, Hello, Offer, Open, StartTLS

_OK = Reply(250, "2.0.0", "Ok")
_SYNTAX = Reply(500, "5.5.2", "Error: bad syntax")
_UTF8 = Reply(500, "5.5.2", "Error: bad UTF-8 syntax")
_UNKNOWN = Reply(500, "5.5.2", "Error: command not recognized")
_NOT_HERE = Reply(502, "5.5.1", "Error: command not implemented")
_HELP = Reply(
    214, "2.0.0", "Commands: BDAT DATA EHLO HELO HELP MAIL NOOP QUIT RCPT RSET VRFY"
)
_TLS_FIRST = Reply(530, "5.7.0", "Must issue a STARTTLS command first")
_BYE = Reply(221, "2.0.0", "Bye", close=True)
_NO_BDAT = Reply(521, "5.5.1", "Error: command not implemented", close=True)
_BDAT_SYNTAX = Reply(521, "5.5.4", "Syntax: BDAT count [LAST]", close=True)

# Characters that could mean something in a Received: header.
_NEUTER = re.compile(r'[ <>()\\";@\x00-\x1f\x7f]')

# RFC 5322 section 2.2: somebody sends us a message instead of commands.
_HEADER = re.compile(rb"[!-9;-~]+[ \t]*:")


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


class Engine(Authentication):
    """
    One session.
    """

    _welcome = False
    #: Says why the client may not start TLS, if it may not.
    starting_tls: Callable[[], Reply | None] = staticmethod(lambda: None)

    def _step(self) -> bool:
        if self.state in (State.DATA, State.CHUNK):
            return self._content()
        if (
            self._draining
            and self.transaction is None
            and self.state is not State.TLS  # plaintext would spoil the handshake
        ):
            self._close(self._stopping())
            return True
        if self._errors >= self.rules.limits.hard_errors:
            self._too_many_errors()
            return True
        line = self.stream.line() if self.stream.pending else None
        if line is None:
            return False
        if self.state is State.TLS:
            self._out_of_step()
        elif self.state is State.AUTH:
            self._auth_response(line)
        else:
            self._line(line)
        return True

    def _line(self, line: bytes) -> None:
        stream = self.stream
        if self.recording is not None:
            self.recording.heard(line)
        if stream.bare and self._bare_newline():
            return
        if stream.overlong:
            self._warn(
                f"{self.label}: request longer than {self.rules.limits.line}: "
                f"{escape(line[:30])}..."
            )
        if self.rules.smtputf8 and not line.isascii() and not _is_utf8(line):
            self._fail(_UTF8)
            return
        if self.rules.command_filter is not None:
            filtered = self._filtered(line)
            if filtered is None:
                return
            line = filtered
        # Only what is white space in ASCII separates words.
        parts = line.split(None, 1)
        if not parts:
            self._fail(_SYNTAX)
            return
        rest = parts[1].rstrip().decode("utf-8", "surrogateescape") if parts[1:] else ""
        self._command(parts[0].upper(), rest, line)

    def _command(self, name: bytes, rest: str, line: bytes) -> None:
        verb = VERBS.get(name)
        if self.denied is not None and name != b"QUIT":
            words = f"Error: access denied for {self.label}"
            self._fail(Reply(503, "5.7.0", words))
            return
        if name in self.rules.noop:
            self._junked()
            self._say(_OK)
            return
        if verb is None:
            self._unknown(line)
            return
        if self.stream.pending and (verb.last or self.session.protocol != "ESMTP"):
            self.session.ahead = True
            if self.rules.forbid_unauth_pipelining:
                self.where = verb.name
                self._out_of_step()
                return
        self.where = verb.name
        counted = self._counted = self.counts.setdefault(verb.key, [0, 0])
        counted[1] += 1
        if verb.junk:
            self._junked()
        if self.rules.tls_required and not self.session.tls and name not in PRE_TLS:
            self._fail(_TLS_FIRST)
            return
        refusal = REFUSALS[self.state].get(name)
        if refusal is not None and name != b"BDAT":
            self._fail(refusal)
        else:
            _COMMANDS[name](self, rest)

    def _junked(self) -> None:
        self._junk += 1
        if self._junk > self.rules.limits.junk + 1:
            self._errors += 1

    def _unknown(self, line: bytes) -> None:
        self.where = "UNKNOWN"
        self.counts.setdefault("unknown", [0, 0])[1] += 1
        start = line.lstrip()
        if self.rules.forbidden.match(start) or _HEADER.match(start):
            self._warn(f"non-SMTP command from {self.label}: {escape(line[:100])}")
            words = "Error: I can break rules, too. Goodbye."
            self._close(Reply(221, "2.7.0", words))
            return
        self._fail(_UNKNOWN)

    # Greetings.

    def _helo(self, rest: str) -> None:
        if self._greeted(rest, "SMTP"):
            self._accept(self.rules.helo)

    def _ehlo(self, rest: str) -> None:
        if self._greeted(rest, "ESMTP"):
            rules = self.rules
            tls = self.session.tls
            if rules.auth:
                self._ask(Offer(), self._greet_extended)
            else:
                self._greet_extended(rules.ehlo_secure if tls else rules.ehlo)

    def _greeted(self, rest: str, protocol: str) -> bool:
        if not rest:
            self._fail(Reply(501, "", f"Syntax: {self.where} hostname"))
            return False
        if self.rules.asks_helo and not self._welcome:
            self._ask_helo(rest, protocol)
            return False
        self._welcome = False
        self._forget()
        self.session.helo = _NEUTER.sub("?", " ".join(rest.split()))
        self.session.protocol = protocol
        return True

    def _ask_helo(self, rest: str, protocol: str) -> None:
        """
        Whether a client may call himself so.
        """
        session = self.session
        before, session.helo = session.helo, " ".join(rest.split())

        def judged(reply: Reply) -> None:
            session.helo = before
            if reply.code >= 400:
                self._fail(reply)
                return
            self._welcome = True
            (self._helo if protocol == "SMTP" else self._ehlo)(rest)

        self._ask(Hello(), judged)

    # Content.

    def _data(self, rest: str) -> None:
        if rest:
            self._fail(Reply(501, "5.5.4", "Syntax: DATA"))
        else:
            self._ask(Open(), self._data_opened)

    def _bdat(self, rest: str) -> None:
        if "CHUNKING" in self.rules.off:
            # The chunk that follows must not be taken for commands.
            self._close(_NO_BDAT)
            return
        arguments = chunk_arguments(rest)
        if arguments is None:
            self._warn(
                f"malformed BDAT command syntax from {self.label}: BDAT {rest[:95]}",
                queued=True,
            )
            self._close(_BDAT_SYNTAX)
            return
        self._chunk(*arguments)

    # Without a transaction.

    def _rset(self, rest: str) -> None:
        if rest:
            self._fail(Reply(501, "5.5.4", "Syntax: RSET"))
            return
        self._forget()
        self._accept(_OK)

    def _noop(self, rest: str) -> None:
        self._accept(_OK)

    def _help(self, rest: str) -> None:
        self._accept(_HELP)

    def _quit(self, rest: str) -> None:
        self._accept(_BYE)

    def _starttls(self, rest: str) -> None:
        if not self.rules.tls:
            self._fail(_NOT_HERE)
        elif rest:
            self._fail(Reply(501, "5.5.4", "Syntax: STARTTLS"))
        elif self.session.tls:
            self._fail(Reply(554, "5.5.1", "Error: TLS already active"))
        elif self.stream.pending:
            # CVE-2011-0411: what came in plaintext is not obeyed later.
            self._out_of_step()
        elif (refusal := self.starting_tls()) is not None:
            self._fail(refusal)
        else:
            self._accept(Reply(220, "2.0.0", "Ready to start TLS"))
            self._forget()
            self.state = State.TLS
            self._requests.append(StartTLS())

    def secured(self, tls: TLSInfo) -> None:
        """
        The handshake is complete: forget what was said in plaintext (RFC 3207
        section 4.2).

        @param tls: what it gave.
        """
        if self.state is not State.TLS:
            return
        if self.stream.pending:
            self._out_of_step()
            return
        self.state = State.IDLE
        self.stream.clear()
        session = self.session
        session.helo, session.protocol, session.tls = "", "SMTP", tls
        session.login = None
        self._requests.append(Abort())

    def _etrn(self, rest: str) -> None:
        self._fail(_NOT_HERE)


_COMMANDS = {
    b"HELO": Engine._helo,
    b"EHLO": Engine._ehlo,
    b"MAIL": Engine._mail,
    b"RCPT": Engine._rcpt,
    b"DATA": Engine._data,
    b"BDAT": Engine._bdat,
    b"RSET": Engine._rset,
    b"NOOP": Engine._noop,
    b"VRFY": Engine._vrfy,
    b"HELP": Engine._help,
    b"QUIT": Engine._quit,
    b"STARTTLS": Engine._starttls,
    b"AUTH": Engine._auth,
    b"ETRN": Engine._etrn,
    b"XCLIENT": Engine._xclient,
    b"XFORWARD": Engine._xforward,
}
