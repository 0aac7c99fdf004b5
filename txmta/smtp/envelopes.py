"""
The envelope part of an SMTP server session: MAIL, RCPT, VRFY.

Owns: their syntax, the limit on recipients, what follows from the answers.
Knows nothing of: whether an address is good (L{txmta.smtp.server} asks).

Sources: RFC 5321 sections 4.1.1.2, 4.1.1.3, 4.1.1.6, 4.5.3.1.8; Postfix
C{smtpd/smtpd.c} (mail_cmd, rcpt_cmd, vrfy_cmd, extract_addr).

Errors: none.
"""

from __future__ import annotations

import re
from dataclasses import replace

from txmta.address import parse_path
from txmta.model import Reply
from txmta.smtp.commands import State, path_arguments, words
from txmta.smtp.parameters import BadParameter, mail_parameters, rcpt_parameters
from txmta.smtp.privileged import Privileged
from txmta.smtp.requests import Rcpt, Sender, Transaction, Verify

# As log lines, policy servers and commands may show it.
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\xa0-\U0010ffff]|[\u2028\u2029\ud800-\udfff]")

_BAD_SENDER = Reply(501, "5.1.7", "Bad sender address syntax")
_BAD_RCPT = Reply(501, "5.1.3", "Bad recipient address syntax")
_NEEDS_UTF8 = Reply(553, "5.6.7", "Must declare SMTPUTF8 to send unicode address")
_TOO_MANY = Reply(452, "4.5.3", "Error: too many recipients")


class Envelopes(Privileged):
    """
    MAIL, RCPT and VRFY.
    """

    def _mail(self, rest: str) -> None:
        if self.rules.helo_required and not self.session.helo:
            self._fail(Reply(503, "5.5.1", "Error: send HELO/EHLO first"))
            return
        arguments = path_arguments("FROM:", rest)
        if arguments is None:
            self._fail(Reply(501, "5.5.4", "Syntax: MAIL FROM:<address>"))
            return
        utf8 = "SMTPUTF8" in map(str.upper, arguments[1])
        address = self._path(arguments[0], "MAIL", utf8, _BAD_SENDER)
        if address is None:
            return
        try:
            parameters = mail_parameters(arguments[1], self.rules.off)
        except BadParameter as e:
            self._fail(e.reply)
            return
        self._vouch(parameters.auth)
        sender = Sender(address, parameters, self.session)
        self._asked = sender
        self._ask(sender, self._mail_answered)

    def _vouch(self, sender: str) -> None:
        """
        @param sender: whom the client names as the author of a message. Who has
            not logged in names nobody (RFC 4954 section 5).
        """
        session = self.session
        if session.login is not None and session.login.sender != sender:
            shown = _UNPRINTABLE.sub("?", sender)
            session.login = replace(session.login, sender=shown)

    def _mail_answered(self, reply: Reply) -> None:
        if reply.code >= 400:
            self._fail(reply)
            return
        self.transaction = Transaction(self._asked)
        self.state = State.SENDER
        self._accept(reply)

    def _rcpt(self, rest: str) -> None:
        transaction = self.transaction
        assert transaction is not None, "the table of refusals"
        arguments = path_arguments("TO:", rest)
        if arguments is None:
            self._fail(Reply(501, "5.5.4", "Syntax: RCPT TO:<address>"))
            return
        utf8 = transaction.sender.params.smtputf8
        address = self._path(arguments[0], "RCPT", utf8, _BAD_RCPT)
        if address is None:
            return
        try:
            parameters = rcpt_parameters(arguments[1], self.rules.off)
        except BadParameter as e:
            self._fail(e.reply)
            return
        limits = self.rules.limits
        if transaction.recipients >= limits.recipients:
            # Not an error at first: RFC 5321 section 4.5.3.1.10 lets clients
            # find out the limit like this.
            transaction.overshoot += 1
            if transaction.overshoot > limits.overshoot:
                self._fail(_TOO_MANY)
            else:
                self._accept(_TOO_MANY)
            return
        rcpt = Rcpt(address, parameters, transaction.sender)
        self._ask(rcpt, self._rcpt_answered)

    def _rcpt_answered(self, reply: Reply) -> None:
        if reply.code >= 400:
            self._fail(reply)
            return
        assert self.transaction is not None, "asked for one"
        self.transaction.recipients += 1
        self.state = State.RECIPIENTS
        self._accept(reply)

    def _path(self, path: str, verb: str, utf8: bool, bad: Reply) -> str | None:
        """
        @param utf8: the client said SMTPUTF8, for this command or for the
            transaction.
        @param bad: what to say if it is no address.
        @return: L{None}: it was refused.
        """
        rules = self.rules
        utf8 = utf8 and "SMTPUTF8" not in rules.off
        strict = rules.strict and verb != "VRFY"
        try:
            address = parse_path(path, strict=strict, utf8=utf8)
        except ValueError:
            address = None
        if address is None or (address == "" and verb != "MAIL"):
            if path != "<>":
                self._warn(
                    f"Illegal address syntax from {self.label} in {verb} command: "
                    f"{path[:100]}"
                )
            self._fail(bad)
            return None
        if rules.strict_smtputf8 and not (utf8 or address.isascii()):
            self._fail(_NEEDS_UTF8)
            return None
        return address

    def _vrfy(self, rest: str) -> None:
        if not self.rules.vrfy:
            self._fail(Reply(502, "5.5.1", "VRFY command is disabled"))
            return
        offered = "SMTPUTF8" not in self.rules.off
        arguments = words(rest)
        utf8 = offered and bool(arguments) and arguments[-1].upper() == "SMTPUTF8"
        if utf8:
            rest = rest[: -len("SMTPUTF8")].rstrip()
        if not rest:
            more = " [SMTPUTF8]" if offered else ""
            self._fail(Reply(501, "5.5.4", f"Syntax: VRFY address{more}"))
            return
        address = self._path(rest, "VRFY", utf8, _BAD_RCPT)
        if address is None:
            return
        request = Verify(address, rest, self.session)
        self._ask(request, self._vrfy_answered)

    def _vrfy_answered(self, reply: Reply) -> None:
        if reply.code >= 400:
            self._fail(reply)
        else:
            self._accept(reply)
