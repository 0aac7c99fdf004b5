"""
The SMTP server that a client meets while it is tested: it takes no mail.

Owns: its commands and replies; what is wrong with how a client sends commands.
Knows nothing of: what follows from that (L{txmta.smtp.postscreen.screen}).

Sources: Postfix C{postscreen/postscreen_smtpd.c}.

Errors: none.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from txmta.smtp.dialogue import escape
from txmta.smtp.postscreen.rules import BARE_NEWLINE, NON_SMTP, PIPELINING

if TYPE_CHECKING:
    from txmta.smtp.postscreen.verdicts import Verdicts

_OK = "250 2.0.0 Ok"
_PROTOCOL = "5.5.1 Protocol error"
_HEADER = re.compile(rb"[!-9;-~]+[ \t]*:")
_NOT_IN_NAMES = re.compile(r"[^!-~]")


class Dummy:
    """
    @ivar where: the command before, as the log names it.
    """

    def __init__(self, screen: Verdicts) -> None:
        self._screen = screen
        self._buffer = b""
        self.where = "CONNECT"
        self._sender: str | None = None
        self._helo = ""
        self._protocol = "SMTP"
        self._commands = 0
        self._over = False

    def feed(self, data: bytes) -> None:
        self._buffer += data
        limit = self._screen.rules.line
        while not self._over:
            end = self._buffer.find(b"\n", 0, limit)
            if end < 0:
                if len(self._buffer) >= limit:
                    self._screen.log(
                        f"COMMAND LENGTH LIMIT from {self._screen.label} "
                        f"after {self.where}"
                    )
                    self._give_up()
                return
            line, self._buffer = self._buffer[:end], self._buffer[end + 1 :]
            self._line(line)

    def _give_up(self) -> None:
        hostname = self._screen.rules.hostname
        self._end(f"421 {hostname} Service unavailable - try again later")

    def _end(self, reply: str) -> None:
        self._over = True
        self._screen.drop(reply)

    def _line(self, line: bytes) -> None:
        screen = self._screen
        bare = not line.endswith(b"\r")
        line = line.rstrip(b"\r")
        if bare and screen.wants(BARE_NEWLINE):
            screen.log(f"BARE NEWLINE from {screen.label} after {escape(line[:100])}")
            if self._failed(BARE_NEWLINE, _PROTOCOL):
                return
        words = line.decode("utf-8", "surrogateescape").split()
        name = words[0].upper() if words else ""
        if screen.wants(NON_SMTP) and self._foreign(line, name):
            screen.log(
                f"NON-SMTP COMMAND from {screen.label} after {self.where}: "
                f"{escape(line)[:100]}"
            )
            goodbye = "521 5.7.0 Error: I can break rules, too. Goodbye."
            if self._failed(NON_SMTP, _PROTOCOL, goodbye):
                return
        if self._buffer and name != "" and screen.wants(PIPELINING):
            screen.log(
                f"COMMAND PIPELINING from {screen.label} after {name}: "
                f"{escape(self._buffer[:100])[:100]}"
            )
            if self._failed(PIPELINING, _PROTOCOL):
                return
        self._commands += 1
        if self._commands > screen.rules.commands:
            screen.log(f"COMMAND COUNT LIMIT from {screen.label} after {self.where}")
            self._give_up()
            return
        self.where = name if name in _COMMANDS else "UNIMPLEMENTED"
        command = _COMMANDS.get(name)
        if command is None:
            screen.say("502 5.5.2 Error: command not recognized")
        else:
            command(self, words[1:], line)
        if not self._over:
            screen.answered()

    def _failed(self, test: str, words: str, dropped: str = "") -> bool:
        if self._screen.fail(test, words, dropped):
            self._over = True
            return True
        return False

    def _foreign(self, line: bytes, name: str) -> bool:
        start = line.lstrip()
        return bool(
            self._screen.rules.forbidden.match(start)
            or (name not in _COMMANDS and _HEADER.match(start))
        )

    # Commands.

    def _greeted(self, words: list[str], name: str) -> bool:
        if not words:
            self._screen.say(f"501 Syntax: {name} hostname")
            return False
        self._helo = _NOT_IN_NAMES.sub("?", words[0])
        self._sender = None
        return True

    def _helo_command(self, words: list[str], line: bytes) -> None:
        if self._greeted(words, "HELO"):
            self._screen.say(f"250 {self._screen.rules.hostname}")

    def _ehlo(self, words: list[str], line: bytes) -> None:
        if self._greeted(words, "EHLO"):
            self._protocol = "ESMTP"
            *first, last = self._screen.rules.ehlo
            self._screen.say(*(f"250-{each}" for each in first), f"250 {last}")

    def _mail(self, words: list[str], line: bytes) -> None:
        screen = self._screen
        if screen.rules.helo_required and not self._helo:
            screen.say("503 5.5.1 Error: send HELO/EHLO first")
        elif self._sender is not None:
            screen.say("503 5.5.1 Error: nested MAIL command")
        elif (address := _path(line, "FROM")) is None:
            screen.say("501 5.5.4 Syntax: MAIL FROM:<address>")
        else:
            self._sender = address
            screen.say("250 2.1.0 Ok")

    def _rcpt(self, words: list[str], line: bytes) -> None:
        screen = self._screen
        for test in (BARE_NEWLINE, NON_SMTP, PIPELINING):
            if screen.wants(test):
                screen.passed(test)
        if self._sender is None:
            screen.say("503 5.5.1 Error: need MAIL command")
        elif (address := _path(line, "TO")) is None:
            screen.say("501 5.5.4 Syntax: RCPT TO:<address>")
        else:
            screen.log(
                f"NOQUEUE: reject: RCPT from {screen.label}: {screen.refusal}; "
                f"from=<{self._sender}>, to=<{address}>, proto={self._protocol}, "
                f"helo=<{self._helo}>"
            )
            screen.say(screen.refusal)

    def _data(self, words: list[str], line: bytes) -> None:
        if self._sender is None:
            self._no_message("DATA", "503 5.5.1 Error: need RCPT command")
        else:
            self._no_message("DATA", "554 5.5.1 Error: no valid recipients")

    def _bdat(self, words: list[str], line: bytes) -> None:
        if self._sender is None:
            self._no_message("BDAT", "554 5.5.1 Error: need MAIL command")
        else:
            self._no_message("BDAT", "554 5.5.1 Error: no valid recipients")

    def _no_message(self, name: str, reply: str) -> None:
        # What follows might be content.
        screen = self._screen
        screen.log(f"{name} without valid RCPT from {screen.label}")
        self._end(reply)

    def _rset(self, words: list[str], line: bytes) -> None:
        self._sender = None
        self._screen.say(_OK)

    def _noop(self, words: list[str], line: bytes) -> None:
        self._screen.say(_OK)

    def _vrfy(self, words: list[str], line: bytes) -> None:
        screen = self._screen
        if not screen.rules.vrfy:
            screen.say("502 5.5.1 VRFY command is disabled")
        elif not words:
            screen.say("501 5.5.4 Syntax: VRFY address")
        else:
            screen.say(screen.refusal)

    def _etrn(self, words: list[str], line: bytes) -> None:
        screen = self._screen
        screen.say("500 Syntax: ETRN domain" if not words else screen.refusal)

    def _starttls(self, words: list[str], line: bytes) -> None:
        self._screen.say("502 5.5.1 Error: command not implemented")

    def _quit(self, words: list[str], line: bytes) -> None:
        self._end("221 2.0.0 Bye")


_COMMANDS = {
    "HELO": Dummy._helo_command,
    "EHLO": Dummy._ehlo,
    "MAIL": Dummy._mail,
    "RCPT": Dummy._rcpt,
    "DATA": Dummy._data,
    "BDAT": Dummy._bdat,
    "RSET": Dummy._rset,
    "NOOP": Dummy._noop,
    "VRFY": Dummy._vrfy,
    "ETRN": Dummy._etrn,
    "STARTTLS": Dummy._starttls,
    "QUIT": Dummy._quit,
}

_ADDRESS = re.compile(r'\s*<?(?:@[^\s:"]*:)?((?:"(?:[^"\\]|\\.)*"|[^\s"<>])*)')


def _path(line: bytes, word: str) -> str | None:
    """
    @param word: C{FROM} or C{TO}.
    @return: the address as it was written, without route; L{None}: there is none.
    """
    text = line.decode("utf-8", "surrogateescape").strip()
    _verb, _space, rest = text.partition(" ")
    name, colon, path = rest.lstrip().partition(":")
    if not colon or name.strip().upper() != word or not path.strip():
        return None
    found = _ADDRESS.match(path)
    return found[1] if found else ""
