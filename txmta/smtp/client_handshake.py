"""
From the greeting to the first transaction: EHLO, HELO or LHLO; STARTTLS; AUTH.

Owns: how a server and we introduce ourselves.
Knows nothing of: messages, sockets, how TLS is done.

Sources: RFC 5321 sections 3.1, 3.2, 4.1.1.1; RFC 3207 section 4.2 (TLS
forgets everything); RFC 2033 section 4.1 (LHLO). Postfix: C{smtp_helo()} in
C{src/smtp/smtp_proto.c}.

Errors: L{Broken}: with this server there will be no transaction.
"""

from __future__ import annotations

from dataclasses import replace

from txmta.smtp import client_trouble as trouble
from txmta.smtp.client_commands import Features, features
from txmta.smtp.client_events import Broken, ClientRules, Peer, Stage
from txmta.smtp.client_login import LoginDialogue
from txmta.smtp.replies import ServerReply


class Handshake:
    """
    @ivar stage: what is awaited; L{Stage.IDLE} when done.
    @ivar offered: what the server can do, then.
    """

    __slots__ = ("_login", "_peer", "_rules", "_tls", "_verified", "offered", "stage")

    def __init__(self, rules: ClientRules, peer: Peer) -> None:
        self._rules = rules
        self._peer = peer
        self.stage = Stage.GREETING
        self.offered = Features()
        self._login: LoginDialogue | None = None
        self._tls = False
        self._verified = False

    def reply(self, reply: ServerReply) -> str:
        """
        @return: the next command, or C{""}.
        """
        if self.stage is Stage.GREETING:
            return self._greeted(reply)
        if self.stage in (Stage.EHLO, Stage.LHLO):
            return self._ehlo_answered(reply)
        if self.stage is Stage.HELO:
            return self._helo_answered(reply)
        if self.stage is Stage.AUTH:
            return self._auth_answered(reply)
        return self._starttls_answered(reply)

    def start_tls(self) -> str:
        """
        @return: the command that asks for TLS.
        """
        self.stage = Stage.STARTTLS
        return "STARTTLS"

    def secured(self, verified: bool = False, greeting: bool = False) -> str:
        """
        TLS has begun; no greeting comes (RFC 3207 section 4.2).

        @param verified: the server is who it should be.
        @param greeting: it comes now: TLS was there from the first octet on.
        @return: the next command.
        """
        self.offered = Features()
        self._tls, self._verified = True, verified
        if greeting:
            self.stage = Stage.GREETING
            return ""
        return self._introduce(Stage.LHLO if self._rules.lmtp else Stage.EHLO)

    def _greeted(self, reply: ServerReply) -> str:
        rules = self._rules
        if reply.code >= 300:
            raise self._refused(reply, rules.soften_5xx_greeting)
        if rules.lmtp:
            return self._introduce(Stage.LHLO)
        words = reply.text[4:].split()
        ehlo = rules.always_ehlo or any(w.upper() == "ESMTP" for w in words[1:])
        return self._introduce(
            Stage.EHLO if ehlo and not rules.never_ehlo else Stage.HELO
        )

    def _introduce(self, stage: Stage) -> str:
        self.stage = stage
        return f"{stage.name} {self._rules.helo_name}"

    def _ehlo_answered(self, reply: ServerReply) -> str:
        if reply.code == 421 or (reply.code >= 300 and self.stage is Stage.LHLO):
            raise self._refused(reply)
        if reply.code >= 300:
            return self._introduce(Stage.HELO)
        self._check_loop(reply)
        self.offered = features(reply, self._rules.ignore)
        if not self._tls:
            if self._peer.tls and self.offered.starttls:
                return self.start_tls()
            self._check_tls()
        return self._log_in()

    def _helo_answered(self, reply: ServerReply) -> str:
        if reply.code >= 300:
            raise self._refused(reply)
        self._check_tls()
        self.stage = Stage.IDLE
        return ""

    def _check_tls(self) -> None:
        """
        The last step before anything of a message is said: where TLS is required
        there is no way around it.
        """
        if self._peer.tls_required and not self._tls:
            raise Broken(trouble.no_tls(self._peer.label), polite=True)

    def _log_in(self) -> str:
        """
        As Postfix, without credentials for the server, or where it has no AUTH,
        we go on as strangers.

        @return: the next command.
        """
        account, offered = self._peer.account, self.offered.auth
        if account is None or offered is None:
            self.stage = Stage.IDLE
            return ""
        self._login = LoginDialogue(account, self._peer.label)
        command = self._login.start(offered, self._tls, self._verified)
        self.stage = Stage.AUTH
        return command

    def _auth_answered(self, reply: ServerReply) -> str:
        assert self._login is not None and self._peer.account is not None, "asked"
        again = reply.code // 100 == 3
        answer = self._login.reply(reply)
        if not again:
            self.stage, self._login = Stage.IDLE, None
            if self._peer.account.rules.dummy:
                self.offered = replace(self.offered, dummy_auth=True)
        return answer

    def _starttls_answered(self, reply: ServerReply) -> str:
        if reply.code // 100 != 2:
            if self._peer.tls_required:
                words = trouble.tls_refused(self._peer.label, reply)
                raise Broken(words, polite=True)
            # As Postfix, we go on without.
            return self._log_in()
        self.stage = Stage.TLS
        return ""

    def _check_loop(self, reply: ServerReply) -> None:
        mine = self._rules.myhostname.lower()
        name = reply.lines[0][4:].split(b" ", 1)[0].decode("ascii", "replace")
        if mine and name.lower() == mine:
            peer = self._peer
            raise Broken(trouble.loops_back(peer.nexthop, peer.best), polite=True)

    def _refused(self, reply: ServerReply, soften: bool = False) -> Broken:
        return Broken(trouble.refused(self._peer.label, reply, soften), polite=True)
