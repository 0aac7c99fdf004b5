"""
What master.cf says after C{plugin}: the agent, and what it is told.

Owns: how plug-ins declare attributes; reading them; what is wrong with them.
Knows nothing of: which plug-ins there are.

An attribute is written C{name=value}, or C{{ name = value }} if there is
white space in it, as for pipe(8).

Errors: L{BadAttributes} with all that is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from txmta.config.declare import to_count, to_time
from txmta.delivery.pipe_attributes import BadAttributes

#: The attribute that names the plug-in.
AGENT = "agent"

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True)
class AgentAttribute:
    """
    An attribute that an agent takes.

    @ivar name: of small letters, digits and C{_}.
    @ivar doc: what it is for, in a few words, for messages.
    @ivar default: as somebody would write it; L{None}: it must be given.
    @ivar parse: from the text to the value; raises C{ValueError} that goes on
        after the text: "is not a number: write digits only".
    @ivar many: may be given several times; the value is a tuple, and empty
        when it is not given and has no default.
    @ivar secret: its text is in no message.
    """

    name: str
    doc: str
    default: str | None = None
    parse: Callable[[str], Any] = str
    many: bool = False
    secret: bool = False

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name == AGENT:
            raise ValueError(f"{self.name!r} cannot be the name of an attribute")


def agent_of(words: Sequence[str]) -> tuple[str, list[tuple[str, str]]]:
    """
    @param words: what follows C{plugin} in master.cf, C{{ ... }} already
        without braces.
    @return: the name of the agent, and the other attributes as written.
    @raise BadAttributes: what is no attribute, or no agent.
    """
    agents: list[str] = []
    others: list[tuple[str, str]] = []
    problems: list[str] = []
    rest = list(words)
    while rest and re.fullmatch("-v+", rest[0]):  # as for pipe: more to log
        del rest[0]
    for at, word in enumerate(rest, 1):
        name, equals, value = word.partition("=")
        name, value = name.strip().lower(), value.strip()
        if not equals or not _NAME.fullmatch(name):
            # It may be the end of a secret in two words: not repeated.
            problems.append(
                f"word {at} after plugin is no attribute: write name=value, or "
                "{ name = value } if there is white space in the value"
            )
        elif name == AGENT:
            agents.append(value)
        else:
            others.append((name, value))
    if len(agents) != 1 or not agents[0]:
        problems.append(
            f"needs one {AGENT}= attribute and has {len(agents)}: "
            f"write plugin {AGENT}=name name=value ..."
        )
    if problems:
        raise BadAttributes(problems)
    return agents[0], others


def values_of(
    agent: str,
    written: Iterable[tuple[str, str]],
    declared: Iterable[AgentAttribute],
) -> Mapping[str, Any]:
    """
    @param agent: for messages.
    @return: the value of every attribute that is declared.
    @raise BadAttributes: with all that is wrong.
    """
    attributes = {attribute.name: attribute for attribute in declared}
    texts: dict[str, list[str]] = {}
    problems: list[str] = []
    for name, text in written:
        if name in attributes:
            texts.setdefault(name, []).append(text)
        else:
            names = ", ".join(sorted(attributes)) or "no attributes"
            problems.append(
                f"unknown attribute name: {name}=: agent {agent} takes {names}"
            )
    values: dict[str, Any] = {}
    for name, attribute in attributes.items():
        given = texts.get(name, [])
        if len(given) > 1 and not attribute.many:
            problems.append(f"{name}= is given {len(given)} times: write it once")
            continue
        if not given and attribute.default is not None:
            given = [attribute.default]
        if not given and not attribute.many:
            problems.append(
                f"missing {name}= attribute: write {name}=value: {attribute.doc}"
            )
            continue
        parsed = _parsed(attribute, given, problems)
        values[name] = tuple(parsed) if attribute.many else next(iter(parsed), None)
    if problems:
        raise BadAttributes(problems)
    return values


def _parsed(
    attribute: AgentAttribute, texts: Sequence[str], problems: list[str]
) -> list[Any]:
    parsed: list[Any] = []
    for text in texts:
        try:
            parsed.append(attribute.parse(text))
        except ValueError as e:
            if attribute.secret:
                wrong = "value (not shown) is not what it should be"
            else:
                wrong = f"{text:.100} {e}"
            problems.append(f"{attribute.name}={wrong} ({attribute.doc})")
    return parsed


def number(low: int, high: int) -> Callable[[str], int]:
    """
    @return: reads a whole number within bounds.
    """

    def parse(text: str) -> int:
        value = to_count(text)
        if not low <= value <= high:
            raise ValueError(f"is out of bounds: write {low} to {high}")
        return value

    return parse


def seconds(low: float, high: float) -> Callable[[str], float]:
    """
    @return: reads a time such as C{30s}, within bounds.
    """

    def parse(text: str) -> float:
        value = to_time(text, "s")
        if not low <= value <= high:
            raise ValueError(f"is out of bounds: write {low:g}s to {high:g}s")
        return value

    return parse
