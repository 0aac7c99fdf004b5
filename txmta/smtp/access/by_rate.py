"""
check_rate_limit: how much a sender, a user, a network or anything else may send.

The argument is C{{ KEY LIMIT UNIT/PERIOD ACTION }}, for example
C{{ sasl_username 200 recipients/1h defer }}. KEY is one attribute, or several with
C{+} between: each value, or combination of values, has a count of its own. UNIT is
recipients or messages; ACTION is reject, defer (the default) or hold.

Where it stands decides what counts: at RCPT what clients ask for and the
restrictions before it let pass, at DATA what was accepted.

Owns: the form of a limit, what counts for it, what follows.
Knows nothing of: where counts are kept.

Sources: none: Postfix has no such thing; anvil(8) for the window of time.

Errors: C{ValueError} for an argument that cannot be understood.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from txmta.address import split
from txmta.config.declare import to_time
from txmta.config.settings import Settings
from txmta.model import Reply
from txmta.smtp.access.arguments import problems_of
from txmta.smtp.access.check import Answer, Check, Restriction, Verdict
from txmta.smtp.access.kinds import Kind, Tools

#: Longest time that may be counted over: a file forgets who was not seen for long.
MAX_PERIOD = 31 * 86400.0

#: Attributes in one key.
MAX_PARTS = 4

_UNITS = ("recipients", "messages")
_ACTIONS = ("reject", "defer", "hold")


def _domain(address: str) -> str:
    return split(address)[1].lower()


#: What a count can be kept by; C{""} is nothing to be counted.
_ATTRIBUTES: Mapping[str, Callable[[Check], str]] = {
    "sasl_username": lambda c: c.session.login.username if c.session.login else "",
    "sender": lambda c: c.sender.lower(),
    "sender_domain": lambda c: _domain(c.sender),
    "recipient": lambda c: c.address.lower(),
    "recipient_domain": lambda c: _domain(c.address),
    "client_address": lambda c: c.session.client.address,
    "client_name": lambda c: c.session.client.name.lower(),
    "helo_name": lambda c: c.session.helo.lower(),
    "ccert_fingerprint": lambda c: c.session.tls.fingerprint if c.session.tls else "",
    "any": lambda c: "any",
}

_OF_RECIPIENT = ("recipient", "recipient_domain")


def _network(word: str) -> Callable[[Check], str]:
    """
    @param word: C{client_network/24} or C{client_network/24/56}.
    """
    parts = word.split("/")[1:] or ["24", "64"]
    bits = [int(part) if part.isdecimal() else -1 for part in parts]
    if len(bits) == 1:
        bits.append(64)
    if len(bits) > 2 or not 1 <= bits[0] <= 32 or not 1 <= bits[1] <= 128:
        raise ValueError(f"{word}: write client_network/24 or client_network/24/64")

    def network(check: Check) -> str:
        address = check.session.client.address
        width = bits[":" in address]
        try:
            return str(ipaddress.ip_network((address, width), strict=False))
        except ValueError:
            return address

    return network


@dataclass(frozen=True)
class RateLimit:
    """
    @ivar name: as it was written, which is part of what is counted.
    @ivar period: seconds.
    """

    name: str
    parts: Sequence[tuple[str, Callable[[Check], str]]]
    limit: int
    unit: str
    period: float
    action: str

    @classmethod
    def parse(cls, text: str) -> RateLimit:
        """
        @raise ValueError: what is wrong, and what to write.
        """
        if text[:1] != "{" or text[-1:] != "}":
            raise ValueError("write { KEY LIMIT UNIT/PERIOD ACTION }")
        words = text[1:-1].split()
        if len(words) == 3:
            words.append("defer")
        if len(words) != 4:
            raise ValueError(
                "write KEY LIMIT UNIT/PERIOD ACTION, for example sasl_username 200 "
                "recipients/1h defer"
            )
        key, limit, rate, action = words
        unit, _, period = rate.partition("/")
        if not limit.isascii() or not limit.isdecimal() or len(limit) > 9:
            raise ValueError(f"{limit}: is no number")
        if unit not in _UNITS:
            raise ValueError(f"{rate}: write recipients/TIME or messages/TIME")
        seconds = to_time(period, "s")
        if not 1 <= seconds <= MAX_PERIOD:
            raise ValueError(f"{period}: write a time from 1s to 31d")
        if action not in _ACTIONS:
            raise ValueError(f"{action}: write reject, defer or hold")
        name = f"{key} {limit} {rate}"
        return cls(name, _parts(key), int(limit), unit, seconds, action)

    def value(self, check: Check) -> str:
        """
        @return: what the count is kept by here; C{""}: it is not for this one.
        """
        values = [attribute(check) for _, attribute in self.parts]
        return "" if "" in values else " ".join(values)

    def more(self, check: Check) -> int:
        """
        @return: how much this is, of the unit.
        """
        whole = check.stage in ("DATA", "BDAT", "END-OF-MESSAGE")
        if self.unit == "recipients":
            return check.recipients if whole else 1
        if any(name in _OF_RECIPIENT for name, _ in self.parts):
            return 1  # one for each of those that it goes to
        return 1 if whole or check.recipients == 0 else 0


def _parts(key: str) -> list[tuple[str, Callable[[Check], str]]]:
    words = key.split("+")
    if len(words) > MAX_PARTS:
        raise ValueError(f"{key}: no more than {MAX_PARTS} attributes")
    parts = []
    for word in words:
        if word.partition("/")[0] == "client_network":
            parts.append((word, _network(word)))
        elif word in _ATTRIBUTES:
            parts.append((word, _ATTRIBUTES[word]))
        else:
            known = ", ".join((*_ATTRIBUTES, "client_network/24"))
            raise ValueError(f"{word}: no attribute: write one of {known}")
    return parts


def make(tools: Tools, argument: str) -> Restriction:
    """
    @param argument: of which L{problems} finds nothing.
    """
    rate = RateLimit.parse(argument)

    def check_rate_limit(check: Check) -> Answer:
        if check.stage not in ("RCPT", "DATA", "BDAT", "END-OF-MESSAGE"):
            return Verdict.NEXT
        counts = check.world.rates
        if counts is None:
            return Verdict.NEXT  # somebody only wants to know what would be
        value, more = rate.value(check), rate.more(check)
        if not value:
            return Verdict.NEXT
        count = counts.count(f"{rate.name} {value}", rate.period, more)
        if count <= rate.limit:
            return Verdict.NEXT
        if count - more <= rate.limit and not check.warn:
            # Exactly one of all processes sees it pass the limit.
            counts.tell(f"rate limit exceeded: {rate.name}: {value}: {rate.action}")
        return _act(check, rate, value)

    return check_rate_limit


def _act(check: Check, rate: RateLimit, value: str) -> Answer:
    if rate.action == "hold":
        if not check.warn and not check.actions.hold:
            check.actions.hold = True
            check.note("hold", f"rate limit exceeded: {rate.name}: {value}")
        return Verdict.NEXT
    code, status = (550, "5.7.1") if rate.action == "reject" else (450, "4.7.1")
    words = f"Rate limit exceeded: too many {rate.unit}"
    if check.stage == "RCPT":
        return check.reply(code, status, words)
    return Reply(code, status, f"Error: {words[0].lower()}{words[1:]}")


def problems(settings: Settings, lists: Sequence[str]) -> list[str]:
    """
    See L{problems_of}.
    """
    return problems_of("check_rate_limit", RateLimit.parse, settings, lists)


KINDS: Sequence[Kind] = (Kind("check_rate_limit", "name", make),)
