"""
What a screen is told about this server, once for all clients.

Owns: the tests, which settings each has, what is wrong with them.
Knows nothing of: clients.

Sources: Postfix's postscreen(8), POSTSCREEN_README; C{postscreen/postscreen.c}.

Errors: C{ValueError}.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from txmta.config.settings import Settings
from txmta.smtp.access.dns_lists import Site, read_site
from txmta.smtp.rules import Rules, forbidden

#: The tests, in the order in which results are kept.
TESTS = PREGREET, DNSBL, PIPELINING, NON_SMTP, BARE_NEWLINE = (
    *("pregreet", "dnsbl", "pipelining", "non_smtp_command", "bare_newline"),
)

#: Those before the greeting.
EARLY = frozenset({PREGREET, DNSBL})

#: What may be done with a client that fails.
ACTIONS = ("ignore", "enforce", "drop")

#: EHLO keywords that are not offered while a client is tested.
_NOT_HERE = frozenset({"PIPELINING", "AUTH", "STARTTLS", "XCLIENT", "XFORWARD"})


@dataclass(frozen=True)
class ScreenRules:
    """
    @ivar teaser: what is said before it is the client's turn, or C{""}.
    @ivar ehlo: lines of the reply.
    @ivar tests: that are made.
    @ivar actions: by test; C{"denylist"} for clients that are not welcome.
    @ivar ttl: seconds for which a test counts as passed; C{dnsbl} is C{ttl_range}.
    @ivar greet_wait: seconds.
    @ivar threshold: the score from which a client is listed; C{allow} below which
        other tests are left out, if it is negative.
    @ivar forbidden: commands of other protocols.
    @ivar line: octets of a command.
    @ivar per_client: connections of a client; C{pre_queue} of all that are tested.
    """

    hostname: str
    banner: str
    teaser: str = ""
    ehlo: tuple[str, ...] = ()
    tests: frozenset[str] = frozenset({PREGREET})
    actions: Mapping[str, str] = field(default_factory=dict)
    ttl: Mapping[str, float] = field(default_factory=dict)
    ttl_range: tuple[float, float] = (60.0, 3600.0)
    greet_wait: float = 6.0
    sites: tuple[Site, ...] = ()
    threshold: int = 1
    allow: int = 0
    forbidden: re.Pattern[bytes] = re.compile(rb"(?!)")
    helo_required: bool = False
    vrfy: bool = True
    line: int = 2048
    commands: int = 20
    command_time: float = 300.0
    per_client: int = 50
    pre_queue: int = 100

    @property
    def least_ttl(self) -> float:
        return min(*self.ttl.values(), self.ttl_range[1])

    def action(self, test: str) -> str:
        return self.actions.get(test, "ignore")

    @classmethod
    def of(cls, settings: Settings) -> ScreenRules:
        """
        @raise ValueError: a setting cannot be understood.
        """
        offered = [
            line
            for line in Rules.of(settings).ehlo.text.split("\n")[1:]
            if line.split(" ")[0] not in _NOT_HERE | _off(settings)
        ]
        return cls(
            hostname=settings.myhostname,
            banner=settings.smtpd_banner,
            teaser=settings.postscreen_greet_banner,
            ehlo=(settings.myhostname, *offered),
            tests=_enabled(settings),
            actions=_actions(settings),
            ttl=_ttl(settings),
            ttl_range=(
                settings.postscreen_dnsbl_min_ttl,
                settings.postscreen_dnsbl_max_ttl,
            ),
            greet_wait=settings.postscreen_greet_wait,
            sites=tuple(
                read_site(each, weights=True)
                for each in settings.postscreen_dnsbl_sites
            ),
            threshold=settings.postscreen_dnsbl_threshold,
            allow=settings.postscreen_dnsbl_allowlist_threshold,
            forbidden=forbidden(settings.postscreen_forbidden_commands),
            helo_required=settings.postscreen_helo_required,
            vrfy=not settings.postscreen_disable_vrfy_command,
            line=settings.line_length_limit,
            commands=settings.postscreen_command_count_limit,
            command_time=settings.postscreen_command_time_limit,
            per_client=settings.postscreen_client_connection_count_limit,
            pre_queue=settings.postscreen_pre_queue_limit,
        )


def _enabled(settings: Settings) -> frozenset[str]:
    enabled = {
        PREGREET: bool(settings.postscreen_greet_banner),
        DNSBL: bool(settings.postscreen_dnsbl_sites),
        PIPELINING: settings.postscreen_pipelining_enable,
        NON_SMTP: settings.postscreen_non_smtp_command_enable,
        BARE_NEWLINE: settings.postscreen_bare_newline_enable,
    }
    return frozenset(name for name, on in enabled.items() if on)


def _actions(settings: Settings) -> Mapping[str, str]:
    return {
        "denylist": settings.postscreen_denylist_action,
        PREGREET: settings.postscreen_greet_action,
        DNSBL: settings.postscreen_dnsbl_action,
        PIPELINING: settings.postscreen_pipelining_action,
        NON_SMTP: settings.postscreen_non_smtp_command_action,
        BARE_NEWLINE: settings.postscreen_bare_newline_action,
    }


def _ttl(settings: Settings) -> Mapping[str, float]:
    return {
        PREGREET: settings.postscreen_greet_ttl,
        PIPELINING: settings.postscreen_pipelining_ttl,
        NON_SMTP: settings.postscreen_non_smtp_command_ttl,
        BARE_NEWLINE: settings.postscreen_bare_newline_ttl,
    }


def _off(settings: Settings) -> frozenset[str]:
    return frozenset(word.upper() for word in settings.postscreen_discard_ehlo_keywords)


#: What postscreen_access_list may say besides tables.
_WORDS = ("permit_mynetworks", "permit", "reject", "dunno")


def problems(settings: Settings) -> list[str]:
    """
    @return: why a screen with these settings must not start, one line each.
    """
    found = [
        f"postscreen_access_list: {item}: write permit_mynetworks, permit, reject, "
        "dunno or type:table"
        for item in settings.postscreen_access_list
        if ":" not in item and item.lower() not in _WORDS
    ]
    for each in settings.postscreen_dnsbl_sites:
        try:
            read_site(each, weights=True)
        except ValueError as e:
            found.append(f"postscreen_dnsbl_sites: {e}")
    try:
        forbidden(settings.postscreen_forbidden_commands)
    except ValueError as e:
        found.append(f"postscreen_forbidden_commands: {e}")
    return found
