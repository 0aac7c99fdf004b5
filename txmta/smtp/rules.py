"""
What the SMTP server engine is told about this server, once for all sessions.

Owns: which settings the engine reads, and the multi-line reply to EHLO.
Knows nothing of: sessions, restrictions.

Sources: RFC 5321 section 4.1.1.1, 4.5.3; Postfix C{smtpd/smtpd.c} (ehlo_cmd),
C{global/ehlo_mask.c}.

Errors: C{ValueError} for a smtpd_forbidden_commands that cannot be understood.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

from txmta.config.settings import Settings
from txmta.model import Reply
from txmta.smtp.footer import Footer
from txmta.smtp.tls.level import level

#: EHLO keywords that can be discarded, in the order of Postfix's log line.
KEYWORDS = (
    *("8BITMIME", "AUTH", "ENHANCEDSTATUSCODES", "ETRN", "PIPELINING", "SIZE"),
    *("VERP", "VRFY", "XCLIENT", "XFORWARD", "STARTTLS", "DSN", "SMTPUTF8"),
    "CHUNKING",
)


@dataclass(frozen=True)
class Limits:
    """
    @ivar line: octets of a command line.
    @ivar size: octets of a message, 0 for no limit.
    @ivar sleep: seconds.
    """

    line: int = 2048
    size: int = 10240000
    recipients: int = 1000
    overshoot: int = 1000
    junk: int = 100
    soft_errors: int = 10
    hard_errors: int = 20
    sleep: float = 1.0


@dataclass(frozen=True)
class Rules:
    """
    @ivar hostname: myhostname.
    @ivar banner: what follows 220.
    @ivar off: EHLO keywords that are not offered, in upper case.
    @ivar bare_newline: smtpd_forbid_bare_newline: C{"normalize"},
        C{"note"}, C{"reject"} or C{"no"}.
    @ivar bare_newline_code: of the reply that refuses one.
    @ivar forbidden: says whether a command line ends the session with 221.
    @ivar footer: stands below each refusal.
    @ivar asks_connect: somebody must be asked before a client is greeted;
        C{asks_helo}: before he may call himself so.
    @ivar noop: upper-case commands of smtpd_noop_commands.
    @ivar tls: STARTTLS is offered; C{tls_required}: and must come first.
    @ivar auth: clients may log in; C{auth_tls_only}: inside TLS only.
    @ivar auth_line: octets of a response.
    @ivar command_filter: smtpd_command_filter: what to read instead of a command.
    @ivar ipv6: XCLIENT and XFORWARD may name such addresses.
    """

    hostname: str
    banner: str
    limits: Limits = Limits()
    off: frozenset[str] = frozenset()
    bare_newline: str = "normalize"
    bare_newline_code: int = 550
    forbid_unauth_pipelining: bool = True
    forbidden: re.Pattern[bytes] = re.compile(rb"(?:CONNECT|GET|POST)\b|[^A-Z]", re.I)
    noop: frozenset[bytes] = frozenset()
    helo_required: bool = False
    footer: Footer | None = None
    asks_connect: bool = False
    asks_helo: bool = False
    strict: bool = False
    vrfy: bool = True
    smtputf8: bool = True
    strict_smtputf8: bool = False
    tls: bool = False
    tls_required: bool = False
    auth: bool = False
    auth_tls_only: bool = False
    auth_line: int = 12288
    ipv6: bool = True
    command_filter: Callable[[bytes], bytes | None] | None = field(
        default=None, compare=False
    )

    @cached_property
    def discarded(self) -> str:
        """
        EHLO keywords that are not offered, for the log; C{""} if nobody is to
        know, or there are none.
        """
        off = self.off if self.smtputf8 else self.off - {"SMTPUTF8"}
        if "SILENT-DISCARD" in off:
            return ""
        return " ".join(word for word in KEYWORDS if word in off)

    def without(self, off: frozenset[str]) -> Rules:
        """
        @param off: EHLO keywords in upper case.
        @return: the same but for what EHLO does not offer.
        """
        return _without(self, off if self.smtputf8 else off | {"SMTPUTF8"})

    @cached_property
    def greeting(self) -> Reply:
        """
        What is said first.
        """
        return Reply(220, "", self.banner)

    @cached_property
    def helo(self) -> Reply:
        """
        The reply to HELO.
        """
        return Reply(250, "", self.hostname)

    @cached_property
    def ehlo(self) -> Reply:
        """
        The reply to EHLO in plaintext.
        """
        return self._ehlo(self.tls)

    @cached_property
    def ehlo_secure(self) -> Reply:
        """
        The same in an encrypted session, which cannot be encrypted again.
        """
        return self._ehlo(False)

    def _ehlo(self, starttls: bool) -> Reply:
        offered = [
            ("PIPELINING", True),
            (f"SIZE {self.limits.size}" if self.limits.size else "SIZE", True),
            ("VRFY", self.vrfy),
            ("STARTTLS", starttls),
            ("ENHANCEDSTATUSCODES", True),
            ("8BITMIME", True),
            ("DSN", True),
            ("SMTPUTF8", self.smtputf8),
            ("CHUNKING", True),
        ]
        lines = [
            line for line, on in offered if on and line.split(" ")[0] not in self.off
        ]
        return Reply(250, "", "\n".join([self.hostname, *lines]))

    @classmethod
    def of(cls, settings: Settings) -> Rules:
        """
        @raise ValueError: smtpd_forbidden_commands cannot be understood.
        """
        off = {word.upper() for word in settings.smtpd_discard_ehlo_keywords}
        if not settings.smtputf8_enable:
            off.add("SMTPUTF8")
        newline = settings.smtpd_forbid_bare_newline
        tls = level(settings)
        return cls(
            hostname=settings.myhostname,
            banner=settings.smtpd_banner,
            limits=Limits(
                line=settings.line_length_limit,
                size=settings.message_size_limit,
                recipients=settings.smtpd_recipient_limit,
                overshoot=settings.smtpd_recipient_overshoot_limit,
                junk=settings.smtpd_junk_command_limit,
                soft_errors=settings.smtpd_soft_error_limit,
                hard_errors=settings.smtpd_hard_error_limit,
                sleep=settings.smtpd_error_sleep_time,
            ),
            off=frozenset(off),
            bare_newline="normalize" if newline == "yes" else newline,
            bare_newline_code=settings.smtpd_forbid_bare_newline_reject_code,
            forbid_unauth_pipelining=settings.smtpd_forbid_unauth_pipelining,
            forbidden=forbidden(settings.smtpd_forbidden_commands),
            noop=frozenset(w.upper().encode() for w in settings.smtpd_noop_commands),
            helo_required=settings.smtpd_helo_required,
            footer=Footer.of(settings),
            asks_connect=not settings.smtpd_delay_reject
            and bool(settings.smtpd_client_restrictions),
            asks_helo=not settings.smtpd_delay_reject
            and bool(settings.smtpd_helo_restrictions),
            strict=settings.strict_rfc821_envelopes,
            vrfy=not settings.disable_vrfy_command,
            smtputf8=settings.smtputf8_enable,
            strict_smtputf8=settings.strict_smtputf8,
            tls=tls != "none" and not settings.smtpd_tls_wrappermode,
            tls_required=tls == "encrypt",
            auth=settings.smtpd_sasl_auth_enable,
            auth_tls_only=_encrypts_first(settings),
            auth_line=settings.smtpd_sasl_response_limit,
            ipv6="ipv6" in settings.inet_protocols,
        )


@lru_cache(maxsize=64)
def _without(rules: Rules, off: frozenset[str]) -> Rules:
    return replace(rules, off=off)


def _encrypts_first(settings: Settings) -> bool:
    """
    @return: nobody may log in in plaintext: who insists on TLS for all else, does
        so for passwords.
    """
    level = settings.text("smtpd_tls_security_level").lower()
    return level not in ("", "none", "may") or any(
        settings.text(name).lower() == "yes"
        for name in ("smtpd_tls_auth_only", "smtpd_enforce_tls")
    )


_RULE = re.compile(r"\{\s*/((?:[^/\\]|\\.)*)/\s+[^{}]*\}", re.DOTALL)
_NEVER = re.compile(rb"(?!)")


def forbidden(items: Sequence[str]) -> re.Pattern[bytes]:
    """
    Compile smtpd_forbidden_commands.

    @return: to be matched with the start of a command line; white space at
        its start is gone.
    @raise ValueError: what is wrong, and what to do.
    """
    parts: list[str] = []
    for item in items:
        kind, colon, rest = item.partition(":")
        if not colon:
            parts.append(rf"{re.escape(item)}(?!\S)")
        elif kind == "regexp" and rest[:1] == "{" and rest[-1:] == "}":
            parts += [_expression(item, rule) for rule in _RULE.findall(rest[1:-1])]
        else:
            raise ValueError(
                f"{item}: only words and regexp:{{{{/.../ text}}}} are understood here"
            )
    if not parts:
        return _NEVER
    return re.compile("|".join(f"(?:{part})" for part in parts).encode(), re.IGNORECASE)


def _expression(item: str, expression: str) -> str:
    # The table is asked for the command word, anchored or not.
    source = expression if expression.startswith("^") else rf"\S*?{expression}"
    try:
        re.compile(source.encode())
    except re.error as e:
        raise ValueError(f"{item}: {e}") from e
    return source
