"""
What is known of a local recipient, as C{$name} in parameters and as environment
of commands.

Owns: which names there are, and the replacement of what is dangerous in their
    values.
Knows nothing of: what the result is for.

Sources: local(8); Postfix C{local/local_expand.c}, C{local/command.c}.

Errors: C{ValueError} for a parameter that is malformed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from txmta.config.expansion import expand
from txmta.delivery.destinations import ToCommand
from txmta.delivery.questions import Account, Names
from txmta.model import Envelope


@dataclass(frozen=True, slots=True)
class Expanded:
    """
    @ivar complete: every name that was used has a value.
    @ivar with_extension: C{$extension} was used.
    """

    text: str
    complete: bool
    with_extension: bool


# Users have few .forward paths, and get mail again and again.
@lru_cache(maxsize=2000)
def expand_names(
    text: str,
    names: Names,
    account: Account | None,
    delimiters: str = "",
    allowed: str | None = None,
) -> Expanded:
    """
    @param delimiters: recipient_delimiter; its first character is
        C{$recipient_delimiter} where the address has none.
    @param allowed: characters that a value may have, others become C{_};
        L{None} for any.
    @raise ValueError: the text is malformed.
    """
    values: dict[str, str | None] = {
        "user": names.user,
        "home": account.home if account else None,
        "shell": account.shell if account else None,
        "domain": names.domain,
        "local": names.local,
        "mailbox": names.local,
        "recipient": names.address,
        "extension": names.extension,
        "recipient_delimiter": (names.delimiter or delimiters)[:1] or None,
    }
    used: set[str] = set()

    def value(name: str) -> str:
        used.add(name)
        return test(name)

    def test(name: str) -> str:
        return censored(values.get(name) or "", allowed)

    result = expand(text, value, test=test)
    complete = all(values.get(name) is not None for name in used)
    return Expanded(result, complete, "extension" in used)


def censored(value: str, allowed: str | None) -> str:
    """
    @return: C{value}, with C{_} for each octet that is not allowed.
    """
    if allowed is None or set(value) <= set(allowed):
        return value
    # By octets, as Postfix: a character outside ASCII becomes several.
    octets = value.encode("utf-8", "surrogateescape").decode("latin-1")
    return "".join(c if c in allowed else "_" for c in octets)


def environment(
    to: ToCommand, envelope: Envelope, allowed: str
) -> tuple[tuple[bytes, bytes], ...]:
    """
    What a command is told of the message; names without value are left out.

    @param allowed: command_expansion_filter.
    """
    names, account, client = to.names, to.account, envelope.client
    values: dict[str, str | None] = {
        "HOME": account.home if account else None,
        "LOGNAME": names.user,
        "USER": names.user,
        "SENDER": to.sender,
        "RECIPIENT": names.address,
        "LOCAL": names.local,
        "SHELL": account.shell if account else None,
        "DOMAIN": names.domain,
        "EXTENSION": names.extension,
        "ORIGINAL_RECIPIENT": to.original or None,
        "CLIENT_HOSTNAME": client.name or None,
        "CLIENT_ADDRESS": client.address or None,
        "CLIENT_HELO": envelope.helo or None,
        "CLIENT_PROTOCOL": envelope.protocol or None,
    }
    return tuple(
        (name.encode(), censored(value, allowed).encode("utf-8", "surrogateescape"))
        for name, value in values.items()
        if value is not None
    )
