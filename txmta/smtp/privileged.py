"""
The part of an SMTP server session for clients that speak for others: XCLIENT and
XFORWARD; and what EHLO says to which client.

Owns: when they may come, what they change in the session.
Knows nothing of: their attributes (L{txmta.smtp.attributes}), who may use them
    (L{txmta.smtp.privileges}).

Sources: Postfix C{XCLIENT_README}, C{XFORWARD_README}, C{smtpd/smtpd.c}.

Errors: none.
"""

from __future__ import annotations

from txmta.errors import TableUnavailable
from txmta.model import Reply
from txmta.smtp.attributes import (
    XCLIENT,
    XFORWARD,
    BadAttribute,
    forwarded,
    impersonate,
)
from txmta.smtp.commands import State
from txmta.smtp.content import Content
from txmta.smtp.dialogue import escape
from txmta.smtp.requests import Impersonated, Noted, Warning_
from txmta.smtp.transcript import Transcript

_OK = Reply(250, "2.0.0", "Ok")
_BUSY = Reply(503, "5.5.1", "Error: MAIL transaction in progress")
_NOT_YOU = Reply(550, "5.7.0", "Error: insufficient authorization")

_ANNOUNCED = {"XCLIENT": XCLIENT, "XFORWARD": XFORWARD}


class Privileged(Content):
    """
    @ivar may: which of C{"XCLIENT"} and C{"XFORWARD"} the client may use;
        C{"DEBUG"}: what is said goes to the log; C{"-"}, C{"-SIZE"}: what
        EHLO does not offer, instead of what nobody is offered.
    """

    _may: tuple[str, ...] = ()

    @property
    def may(self) -> tuple[str, ...]:
        return self._may

    @may.setter
    def may(self, words: tuple[str, ...]) -> None:
        self._may = words
        off = [word[1:] for word in words if word[0] == "-"]
        if off:
            self.rules = self.rules.without(frozenset(off))
        listening = isinstance(self.recording, Transcript)
        if "DEBUG" in words and not listening:
            self.recording = Transcript(
                self.recording,
                lambda text: self._requests.append(Noted(text)),
                lambda: self.label,
            )

    def _greet_extended(self, reply: Reply) -> None:
        """
        @param reply: to EHLO, as all clients hear it.
        """
        if self.rules.discarded:
            words = f"discarding EHLO keywords: {self.rules.discarded}"
            self._requests.append(Noted(words))
        more = [
            line
            for verb, line in _ANNOUNCED.items()
            if verb in self.may and verb not in self.rules.off
        ]
        if more:
            lines = reply.text.split("\n")
            codes = "ENHANCEDSTATUSCODES"
            at = lines.index(codes) if codes in lines else len(lines)
            lines[at:at] = more
            reply = Reply(reply.code, reply.status, "\n".join(lines))
        self._accept(reply)

    def _filtered(self, line: bytes) -> bytes | None:
        """
        @return: what smtpd_command_filter makes of a command; L{None}: nothing,
            and it is all over.
        """
        command = line.lstrip(b" \t")
        assert self.rules.command_filter is not None, "asked before"
        try:
            instead = self.rules.command_filter(command)
        except TableUnavailable as e:
            self._requests.append(Warning_(f"smtpd_command_filter: {e}"))
            words = f"{self.rules.hostname} Server local data error"
            self._close(Reply(421, "4.3.0", words))
            return None
        if instead is None:
            return line
        shown = [escape(each[:100]) for each in (command, instead)]
        words = f'replacing command "{shown[0]}" with "{shown[1]}"'
        self._requests.append(Noted(f"{self.label}: {words}"))
        return instead

    def _may_not(self, verb: str, rest: str) -> Reply | None:
        if self.state is not State.IDLE:
            return _BUSY
        if not rest:
            return Reply(501, "5.5.4", f"Syntax: {verb} attribute=value...")
        return None if verb in self.may else _NOT_YOU

    def _xclient(self, rest: str) -> None:
        refusal = self._may_not("XCLIENT", rest)
        if refusal is None:
            try:
                impersonate(self.session, rest, self.rules.ipv6)
            except BadAttribute as e:
                refusal = e.reply
        if refusal is not None:
            self._fail(refusal)
            return
        # As if it had just connected. Like Postfix we count no success.
        self.session.forwarded = {}
        self._ask(Impersonated(), self._impersonated)

    def _impersonated(self, reply: Reply) -> None:
        if reply.code >= 400:
            self._fail(reply)
        else:
            self._say(reply)

    def _xforward(self, rest: str) -> None:
        refusal = self._may_not("XFORWARD", rest)
        session = self.session
        if refusal is None:
            try:
                session.forwarded = forwarded(session.forwarded, rest, self.rules.ipv6)
            except BadAttribute as e:
                refusal = e.reply
        if refusal is not None:
            self._fail(refusal)
        else:
            self._accept(_OK)

    def _over(self) -> None:
        super()._over()
        if self.session.forwarded:
            # Replaced, not changed: the message that is over keeps it.
            self.session.forwarded = {}
