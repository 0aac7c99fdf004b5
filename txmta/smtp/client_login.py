"""
Logging in to a server: AUTH, challenges and answers, what a refusal means.

Owns: which of the server's mechanisms count, the order of what is said, the
    words for each way to fail, the memory of logins that were refused.
Knows nothing of: what mechanisms say (L{txmta.smtp.client_sasl}), sockets, when
    the handshake has come so far (L{txmta.smtp.client_handshake}).

Sources: RFC 4954; Postfix C{src/smtp/smtp_sasl_proto.c}, C{smtp_sasl_glue.c},
C{smtp_sasl_auth_cache.c}.

Errors: L{Broken}: with this server there will be no transaction.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection
from dataclasses import dataclass
from hashlib import sha256
from typing import NoReturn

from txmta.smtp.client_events import Broken
from txmta.smtp.client_sasl import BadChallenge, Credentials, Mechanism, choose
from txmta.smtp.client_trouble import Trouble
from txmta.smtp.replies import ServerReply

#: Octets of a line that answers a challenge (RFC 4954 section 4), and so of what
#: a challenge may be.
MAX_LINE = 12288

#: Challenges in one login: the longest mechanism has two.
MAX_CHALLENGES = 5

#: Refused logins that are remembered.
MAX_REMEMBERED = 1000


@dataclass(frozen=True)
class LoginRules:
    """
    @ivar filter: whether a mechanism may be used (smtp_sasl_mechanism_filter).
    @ivar options: smtp_sasl_security_options.
    @ivar tls_options: the same in TLS; C{verified_options}: with a server whose
        certificate was verified.
    @ivar soft_bounce: smtp_sasl_auth_soft_bounce.
    @ivar dummy: smtp_send_dummy_mail_auth.
    """

    filter: Callable[[str], bool] = lambda name: True
    options: Collection[str] = ("noplaintext", "noanonymous")
    tls_options: Collection[str] = ("noplaintext", "noanonymous")
    verified_options: Collection[str] = ("noplaintext", "noanonymous")
    soft_bounce: bool = True
    dummy: bool = False

    def options_for(self, tls: bool, verified: bool) -> Collection[str]:
        if verified:
            return self.verified_options
        return self.tls_options if tls else self.options


class Refusals:
    """
    Logins that a server refused with 535: it need not be asked again
    (smtp_sasl_auth_cache_name).
    """

    def __init__(self, seconds: Callable[[], float], lifetime: float) -> None:
        """
        @param seconds: a clock.
        @param lifetime: smtp_sasl_auth_cache_time, in seconds.
        """
        self._seconds = seconds
        self._lifetime = lifetime
        self._known: dict[bytes, tuple[float, ServerReply]] = {}

    def find(self, host: str, who: Credentials) -> ServerReply | None:
        found = self._known.get(_key(host, who))
        if found is None or self._seconds() > found[0] + self._lifetime:
            return None
        return found[1]

    def add(self, host: str, who: Credentials, reply: ServerReply) -> None:
        if len(self._known) >= MAX_REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[_key(host, who)] = self._seconds(), reply


def _key(host: str, who: Credentials) -> bytes:
    text = "\0".join((host.lower(), who.username, who.secret))
    return sha256(text.encode("utf-8", "surrogateescape")).digest()


@dataclass(frozen=True)
class Account:
    """
    Who we are at one server.

    @ivar host: of the server, by name.
    @ivar refusals: L{None}: nothing is remembered.
    @ivar refused: told when the server does not want these credentials.
    """

    who: Credentials
    rules: LoginRules
    host: str = ""
    refusals: Refusals | None = None
    refused: Callable[[], object] = lambda: None


class LoginDialogue:
    """
    One login, from the server's offer to its last word.
    """

    def __init__(self, account: Account, label: str) -> None:
        """
        @param label: of the server, C{host[address]}.
        """
        self._account = account
        self._label = label
        self._mechanism: Mechanism | None = None
        self._challenges = 0

    def start(self, offered: Collection[str], tls: bool, verified: bool) -> str:
        """
        @param offered: the mechanisms of the server.
        @return: the AUTH command.
        @raise Broken: it offers none that we may use.
        """
        account, rules = self._account, self._account.rules
        wanted = {name.upper() for name in offered if rules.filter(name)}
        if not wanted:
            words = f"server {self._label} offered no compatible authentication "
            words += "mechanisms for this type of connection security"
            self._fail("4.7.0", f"SASL authentication failed: {words}")
        refusals = account.refusals
        known = refusals.find(account.host, account.who) if refusals else None
        if known is not None:
            status, words = self._soft(known.status), "SASL [CACHED] authentication"
            said = f"{words} failed; server {account.host} said: {known.text}"
            self._fail(status, said, known.text)
        options = rules.options_for(tls, verified)
        chosen = choose(wanted, account.who, options)
        if chosen is None:
            self._cannot("no mechanism available")
        name, self._mechanism = chosen
        try:
            first = self._mechanism.first()
        except BadChallenge as e:
            self._cannot(str(e))
        return f"AUTH {name}" if first is None else f"AUTH {name} {_encoded(first)}"

    def reply(self, reply: ServerReply) -> str:
        """
        @return: the answer to a challenge; C{""}: we are logged in.
        @raise Broken: we are not.
        """
        if reply.code // 100 == 3:
            return self._answer(reply)
        if reply.code // 100 != 2:
            self._refused(reply)
        if self._mechanism is None or not self._mechanism.proven:
            self._cannot("the server has not proved that it knows the password")
        return ""

    def _answer(self, reply: ServerReply) -> str:
        self._challenges += 1
        text = reply.lines[-1][4:].strip()
        if self._challenges > MAX_CHALLENGES or len(text) > MAX_LINE:
            self._cannot("too many challenges")
        assert self._mechanism is not None, "asked first"
        try:
            # Whatever is before the challenge of LOGIN, it is not needed.
            challenge = base64.b64decode(text, validate=True)
            return _encoded(self._mechanism.next(challenge))
        except ValueError:
            self._cannot("malformed challenge")
        except BadChallenge as e:
            self._cannot(str(e))

    def _refused(self, reply: ServerReply) -> NoReturn:
        account = self._account
        account.refused()
        if account.refusals is not None and reply.code == 535:
            account.refusals.add(account.host, account.who, reply)
        # Postfix forgets here to make spaces of line ends.
        text = "?".join(ServerReply(reply.code, (line,)).text for line in reply.lines)
        words = f"SASL authentication failed; server {self._label} said: {text}"
        status = self._soft(reply.status) if reply.code >= 400 else "4.5.0"
        self._fail(status, words, reply.text)

    def _soft(self, status: str) -> str:
        if self._account.rules.soft_bounce and status[0] == "5":
            return "4" + status[1:]
        return status

    def _cannot(self, why: str) -> NoReturn:
        self._fail(
            "4.7.0",
            f"SASL authentication failed; cannot authenticate to server {self._label}: "
            f"{why}",
        )

    def _fail(self, status: str, words: str, reply: str = "") -> NoReturn:
        raise Broken(Trouble(status, words, reply), polite=True)


def _encoded(octets: bytes) -> str:
    # Nothing is said as "=" with the command, and as an empty line after.
    return base64.b64encode(octets).decode()
