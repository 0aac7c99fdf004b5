"""
One declaration per main.cf parameter.

Owns: what a declaration is, the kinds of value, and how text becomes a value.
Knows nothing of: which parameters there are (L{txmta.config.parameters}),
    main.cf syntax, expansion of C{$name}.

A declaration is a class attribute of one of the groups in
L{txmta.config.parameters}, named as in Postfix::

    class SmtpdParameters:
        smtpd_timeout = time("300s", unit="s", low=1, doc="Time to send ...")

On the group it is the L{Parameter}; on a L{txmta.config.settings.Settings} it
is the typed value: C{settings.smtpd_timeout} is a C{float}.

Sources: Postfix's postconf(5); C{global/mail_conf_time.c} (units).

Errors: a C{convert} raises C{ValueError} with what is wrong and what to
write instead; L{txmta.config.settings} adds file, line and name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class Status(Enum):
    """
    What txmta does with a parameter.
    """

    HONOURED = "honoured"
    APPROXIMATED = "approximated"  # the note says how it differs
    NO_EFFECT = "no-effect"  # harmless here; the note says why
    REFUSED = "refused"
    NOT_YET = "not-yet"
    OBSOLETE = "obsolete"


@dataclass(frozen=True)
class Interface:
    """
    One address of one network interface.

    @ivar address: without scope or prefix length.
    @ivar network: the network with its real netmask, C{"192.168.1.0/24"}.
    """

    address: str
    network: str


@dataclass(frozen=True)
class System:
    """
    What some defaults are computed from.

    @ivar hostname: of gethostname(), perhaps without domain.
    @ivar interfaces: all addresses of this machine, IPv4 before IPv6.
    @ivar hosts: addresses by name in lower case, of /etc/hosts.
    @ivar root: root starts the server.
    """

    hostname: str = "localhost"
    interfaces: Sequence[Interface] = field(
        default=(Interface("127.0.0.1", "127.0.0.0/8"), Interface("::1", "::1/128"))
    )
    hosts: Mapping[str, Sequence[str]] = field(
        default_factory=lambda: {"localhost": ("127.0.0.1",)}
    )
    root: bool = False


class SelfReference(ValueError):
    """
    A parameter is defined by itself, perhaps by way of others.
    """


#: Expanded text of a parameter, by name; a default that depends on the machine.
Lookup = Callable[[str], str]
Computed = Callable[[Lookup, System], str]


class Parameter(Generic[T]):
    """
    The declaration of one parameter.

    @ivar name: as in main.cf.
    @ivar attribute: its name on the settings, which is C{name} but for names
        that are no identifier in Python (2bounce_notice_recipient).
    @ivar default: as an administrator would write it, or computed.
    @ivar kind: for the reference page: C{"time"}, C{"count"}, C{"list"} ...
    @ivar convert: expanded text to value; raises C{ValueError}.
    @ivar doc: one paragraph.
    @ivar note: how it is approximated, or why it has no effect.
    @ivar expand: C{$name} is expanded; not so for the parameters with macros
        of their own (forward_path, luser_relay, mailbox_command ...).
    """

    def __init__(
        self,
        default: str | Computed,
        convert: Callable[[str], T],
        *,
        kind: str,
        doc: str,
        status: Status = Status.HONOURED,
        note: str = "",
        expand: bool = True,
        name: str = "",
    ) -> None:
        self.name = name
        self.attribute = ""
        self.default = default
        self.convert = convert
        self.kind = kind
        self.doc = doc
        self.status = status
        self.note = note
        self.expand = expand

    def __set_name__(self, owner: type, name: str) -> None:
        self.attribute = name
        self.name = self.name or name

    @overload
    def __get__(self, instance: None, owner: type) -> Parameter[T]: ...

    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: object | None, owner: type) -> Parameter[T] | T:
        # A non-data descriptor: Settings puts the value into the instance's
        # dict, which then wins; this body runs for classes only.
        if instance is None:
            return self
        raise AttributeError(f"{self.name} has no value yet")


def declared(owner: type) -> Iterator[Parameter[Any]]:
    """
    @return: the parameters declared in a class and its bases.
    """
    for base in reversed(owner.__mro__):
        for value in vars(base).values():
            if isinstance(value, Parameter):
                yield value


_TIME = re.compile(r"(\d+)\s*([smhdw]?)", re.IGNORECASE)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def to_time(text: str, unit: str) -> float:
    """
    @param unit: what a bare number means.
    @return: seconds.
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise ValueError("is not a time: write a number and s, m, h, d or w")
    return float(int(match[1]) * _UNITS[(match[2] or unit).lower()])


def to_count(text: str) -> int:
    """
    @return: a whole number.
    """
    if not re.fullmatch(r"-?\d{1,18}", text.strip()):
        raise ValueError("is not a number: write digits only")
    return int(text)


def to_words(text: str) -> tuple[str, ...]:
    """
    Split at commas and white space; C{{ ... }} keeps what is inside together.

    @return: the items; a group keeps its braces.
    """
    words: list[str] = []
    depth = 0
    word = ""
    for c in text:
        if depth == 0 and c in ", \t\r\n":
            if word:
                words.append(word)
            word = ""
            continue
        depth += (c == "{") - (c == "}")
        if depth < 0:
            raise ValueError("has a '}' without '{'")
        word += c
    if depth:
        raise ValueError("has a '{' without '}'")
    if word:
        words.append(word)
    return tuple(words)


def _bounded(value: float, low: float | None, high: float | None) -> None:
    if low is not None and value < low:
        raise ValueError(f"is too small: the least is {low:g}")
    if high is not None and value > high:
        raise ValueError(f"is too large: the most is {high:g}")


def time(
    default: str | Computed,
    *,
    doc: str,
    unit: str = "s",
    low: float | None = 0,
    high: float | None = None,
    status: Status = Status.HONOURED,
    note: str = "",
) -> Parameter[float]:
    """
    A time; the value is in seconds. Bounds are in seconds.
    """

    def convert(text: str) -> float:
        value = to_time(text, unit)
        _bounded(value, low, high)
        return value

    return Parameter(default, convert, kind="time", doc=doc, status=status, note=note)


def count(
    default: str | Computed,
    *,
    doc: str,
    low: int | None = 0,
    high: int | None = None,
    status: Status = Status.HONOURED,
    note: str = "",
) -> Parameter[int]:
    """
    A whole number: a count, or a size in octets.
    """

    def convert(text: str) -> int:
        value = to_count(text)
        _bounded(value, low, high)
        return value

    return Parameter(default, convert, kind="count", doc=doc, status=status, note=note)


def boolean(
    default: str, *, doc: str, status: Status = Status.HONOURED, note: str = ""
) -> Parameter[bool]:
    """
    C{yes} or C{no}.
    """

    def convert(text: str) -> bool:
        if text.lower() not in ("yes", "no"):
            raise ValueError("is neither: write yes or no")
        return text.lower() == "yes"

    return Parameter(
        default, convert, kind="boolean", doc=doc, status=status, note=note
    )


def string(
    default: str | Computed,
    *,
    doc: str,
    status: Status = Status.HONOURED,
    note: str = "",
    expand: bool = True,
    check: Callable[[str], str] = str,
    name: str = "",
) -> Parameter[str]:
    """
    Text.

    @param name: as in main.cf, if no attribute can be called so.
    @param check: gives the text back, perhaps in a better form, or raises
        C{ValueError}.
    """
    return Parameter(
        default,
        check,
        kind="text",
        doc=doc,
        status=status,
        note=note,
        expand=expand,
        name=name,
    )


def choice(
    default: str | Computed,
    choices: Sequence[str],
    *,
    doc: str,
    status: Status = Status.HONOURED,
    note: str = "",
) -> Parameter[str]:
    """
    One of a few words.
    """

    def convert(text: str) -> str:
        if text.lower() not in choices:
            raise ValueError(f"is none of {', '.join(choices)}")
        return text.lower()

    return Parameter(default, convert, kind="choice", doc=doc, status=status, note=note)


def words(
    default: str | Computed,
    *,
    doc: str,
    kind: str = "list",
    status: Status = Status.HONOURED,
    note: str = "",
    among: Sequence[str] = (),
) -> Parameter[tuple[str, ...]]:
    """
    A list of words, C{/file}, C{type:table}, C{!pattern}.

    @param kind: C{"list"}, C{"tables"} (only C{type:name} items) or
        C{"restrictions"}.
    @param among: the only words that there are; any case.
    """

    def convert(text: str) -> tuple[str, ...]:
        items = to_words(text)
        if not among:
            return items
        for item in items:
            if item.lower() not in among:
                raise ValueError(f"has {item}, which is none of {', '.join(among)}")
        return tuple(item.lower() for item in items)

    return Parameter(default, convert, kind=kind, doc=doc, status=status, note=note)
