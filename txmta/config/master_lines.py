"""
The lines of master.cf as they are written.

Owns: logical lines with their white space, columns, C{{ }}, both forms of
    C{-o}, and the one form to which C{postconf -M} brings them.
Knows nothing of: what a service is, or is good for
    (L{txmta.config.master_cf}); files.

Sources: Postfix's master(5), postconf(1). Debian's C{postconf -M} is the
    oracle of the tests.

Errors: C{ValueError} with Postfix's text; what does no harm is told by C{warn}.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

#: In front of the arguments.
COLUMNS = (
    "service",
    "type",
    "private",
    "unprivileged",
    "chroot",
    "wakeup",
    "process_limit",
    "command",
)
COMMAND = COLUMNS.index("command")

TYPES = ("unix", "fifo", "inet", "pass", "unix-dgram")

#: C's isspace(); and what stands between columns.
SPACE = " \t\n\v\f\r"
BLANKS = " \t\r\n"

_DIGITS = frozenset("0123456789")


class BadFieldCount(ValueError):
    """
    The caller knows the line, and says where it is.
    """

    def __init__(self) -> None:
        super().__init__("bad field count")


def logical_lines(text: str, warn: Callable[[str], None]) -> Iterator[tuple[int, str]]:
    """
    @param warn: told of a first line that continues nothing; it is skipped.
    @return: number of the first line, and the text with all of its white space
        but line ends.
    """
    parts: list[str] = []
    start = 0
    for number, line in enumerate([*text.split("\n"), None], 1):
        if line is not None:
            bare = line.strip(SPACE)
            if not bare or bare[0] == "#":
                # only a comment in the first column, or white space, goes on
                continue
            if parts and line[0] in SPACE:
                parts.append(line)
                continue
        if parts:
            yield from _checked(start, "".join(parts), warn)
        parts, start = [line or ""], number


def _checked(
    start: int, text: str, warn: Callable[[str], None]
) -> Iterator[tuple[int, str]]:
    if text[0] in SPACE:
        more = "..." if len(text) > 30 else ""
        warn(f'logical line must not start with whitespace: "{text[:30]}{more}"')
    else:
        yield start, text


def split_name_value(text: str) -> tuple[str, str]:
    """
    @param text: C{name = value}.
    @raise ValueError: with Postfix's text.
    """
    name, equals, value = text.partition("=")
    name = name.strip(SPACE)
    if not name and equals:
        raise ValueError("missing attribute name")
    if not equals or any(c in SPACE for c in name):
        raise ValueError("missing '=' after attribute name")
    return name, value.strip(SPACE)


def words(text: str) -> Iterator[str]:
    """
    @return: what white space separates; none separates inside C{{ }}.
    """
    depth = start = 0
    for at, c in enumerate(text):
        if depth == 0 and c in BLANKS:
            if start < at:
                yield text[start:at]
            start = at + 1
        elif c == "{":
            depth += 1
        elif c == "}" and depth:
            depth -= 1
    if start < len(text):
        yield text[start:]


def unbraced(word: str, warn: Callable[[str], None]) -> str:
    """
    @param word: begins with C{{}.
    @return: what is inside, without white space around it.
    """
    depth = 0
    for at, c in enumerate(word):
        depth += (c == "{") - (c == "}")
        if depth == 0:
            if word[at + 1 :].strip(SPACE):
                warn(f"syntax error after '}}' in \"{word}\"")
            return word[1:at].strip(SPACE)
    warn(f"missing '}}' in \"{word}\"")
    return word[1:].strip(SPACE)


@dataclass(slots=True)
class MasterLine:
    """
    One entry.

    @ivar words: the eight columns, then the arguments: C{-v}, C{-o},
        C{name=value}, anything. Nothing has braces around it.
    """

    words: list[str]

    @property
    def name(self) -> str:
        return self.words[0]

    @property
    def kind(self) -> str:
        return self.words[1]

    @property
    def program(self) -> str:
        return self.words[COMMAND]

    @property
    def space(self) -> str:
        """
        C{"smtp/inet"}.
        """
        return f"{self.name}/{self.kind}"

    def overrides(self) -> Iterator[tuple[int, str, str]]:
        """
        @return: where the value of each C{-o} is, name and value; one without
            C{=} is none.
        """
        at = COMMAND + 1
        while at < len(self.words) and is_option(self.words[at]):
            if self.words[at] == "-o" and at + 1 < len(self.words):
                at += 1
                with contextlib.suppress(ValueError):
                    yield at, *split_name_value(self.words[at])
            at += 1

    def parameters(self) -> dict[str, str]:
        """
        @return: values of C{-o}, the last of each name.
        """
        return {name: value for _at, name, value in self.overrides()}

    def end_of_options(self) -> int:
        """
        @return: where one more option could be.
        """
        at = COMMAND + 1
        while at < len(self.words) and is_option(self.words[at]):
            at += 2 if takes_value(self.words[at]) else 1
        return min(at, len(self.words))


def is_option(word: str) -> bool:
    return word.startswith("-") and word != "--"


def takes_value(option: str) -> bool:
    return option[1:2] == "o"


def parse(text: str, warn: Callable[[str], None]) -> MasterLine:
    """
    @param text: one logical line.
    @param warn: told of braces and C{-o} options that are wrong.
    @raise ValueError: a column is wrong.
    """
    columns = list(words(text))
    if len(columns) < len(COLUMNS):
        raise BadFieldCount
    check(columns, text)
    return MasterLine([*columns[: COMMAND + 1], *normal(columns[COMMAND + 1 :], warn)])


def check(columns: Sequence[str], text: str) -> None:
    """
    @param text: to be quoted.
    @raise ValueError: a column is wrong.
    """
    text = text.replace("\n", " ")
    if columns[1] not in TYPES:
        raise ValueError(f'invalid type field "{columns[1]}" in "{text}"')
    for column, value in zip(COLUMNS[2:5], columns[2:5], strict=True):
        if value not in ("y", "n", "-"):
            raise ValueError(f'invalid {column} field "{value}" in "{text}"')
    wakeup, limit = columns[5:7]
    time = wakeup.removesuffix("?")
    if time != "-" and not _DIGITS.issuperset(time):
        raise ValueError(f'invalid wakeup field "{wakeup}" in "{text}"')
    if limit != "-" and not _DIGITS.issuperset(limit):
        raise ValueError(f'invalid process_limit field "{limit}" in "{text}"')


def normal(arguments: Sequence[str], warn: Callable[[str], None]) -> list[str]:
    """
    @param arguments: as L{words} gives them.
    @return: C{-o} and its value apart, as are options that were written
        together; nothing with braces around it.
    """
    done: list[str] = []
    rest = list(arguments)
    while rest and is_option(rest[0]):
        option = rest.pop(0)
        at = option.find("o", 2)
        if at > 0 and not takes_value(option):
            # "-stuffoname=value"
            rest.insert(0, "-" + option[at:])
            done.append(option[:at])
            continue
        done.append(option[:2] if takes_value(option) else option)
        if not takes_value(option):
            continue
        value = option[2:] or (rest.pop(0) if rest else "")
        if value:
            done.append(_override(value, warn) if value[0] == "{" else value)
    done += (unbraced(each, warn) if each[0] == "{" else each for each in rest)
    return done


def _override(word: str, warn: Callable[[str], None]) -> str:
    inside = unbraced(word, warn)
    try:
        name, value = split_name_value(inside)
    except ValueError as e:
        warn(f'{e}: "{inside}"')
        return inside
    return f"{name}={value}"
