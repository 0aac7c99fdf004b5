"""
What master.cf says after C{pipe}: flags, user, argv and their kin.

Owns: the attributes, their values, what is wrong with them.
Knows nothing of: accounts, deliveries.

Sources: pipe(8); Postfix C{pipe/pipe.c}, C{util/unescape.c}.

Errors: L{BadAttributes} with all that is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from txmta.delivery.command_copy import Style
from txmta.delivery.pipe_macros import Addresses, check

#: Letters of C{flags=}.
FLAGS = "BDFORXhqu.>"

_ESCAPE = re.compile(rb"\\([abfnrtv]|[0-7]{1,3}|.)", re.DOTALL)
_ESCAPES = dict(zip(b"abfnrtv", b"\a\b\f\n\r\t\v", strict=True))

_NAMES = ("flags", "user", "directory", "chroot", "eol", "null_sender", "size")


class BadAttributes(Exception):
    """
    @ivar problems: each with what to write instead.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class PipeAttributes:
    """
    Checked.

    @ivar argv: with macros.
    @ivar user: name of the account that the command runs as.
    @ivar group: name, or C{""} for that of the account.
    @ivar flags: letters.
    @ivar directory: C{""} for the queue directory.
    @ivar chroot: C{""} for none.
    @ivar size: octets of the largest message; 0 for any.
    """

    argv: tuple[str, ...]
    user: str
    group: str = ""
    flags: frozenset[str] = frozenset()
    directory: str = ""
    chroot: str = ""
    eol: bytes = b"\n"
    null_sender: str = "MAILER-DAEMON"
    size: int = 0

    @property
    def single(self) -> str:
        """
        The flag because of which only one recipient is possible, or C{""}.
        """
        return next((flag for flag in "DO" if flag in self.flags), "")

    def style(self) -> Style:
        """
        How the content is written.
        """
        flags = self.flags
        return Style(self.eol, "." in flags, ">" in flags, "B" in flags)

    def addresses(
        self, delimiters: str, owner_request_special: bool, originals: bool
    ) -> Addresses:
        """
        How addresses are written into arguments.
        """
        return Addresses(
            "q" in self.flags,
            "u" in self.flags,
            "h" in self.flags,
            self.null_sender,
            delimiters,
            owner_request_special,
            originals,
        )


def parse(arguments: Sequence[str]) -> PipeAttributes:
    """
    @param arguments: what follows C{pipe} in master.cf, C{{ ... }} already
        without braces.
    @raise BadAttributes: with all that is wrong.
    """
    values: dict[str, str] = {}
    problems: list[str] = []
    argv: tuple[str, ...] = ()
    rest = list(arguments)
    while rest and re.fullmatch("-v+", rest[0]):  # Postfix's daemons: more to log
        del rest[0]
    for at, word in enumerate(rest):
        name, equals, value = word.partition("=")
        name = name.strip().lower()
        if name == "argv" and equals:
            argv = (value.lstrip(), *rest[at + 1 :])
            break
        if not equals or name not in _NAMES:
            problems.append(
                f"unknown attribute name: {word}: write {', '.join(_NAMES)} or argv, "
                "each with = and a value, argv last"
            )
        elif name == "flags":  # may be given in several parts
            values[name] = values.get(name, "") + value.strip()
        else:
            values[name] = value.strip()
    problems += _problems(values, argv)
    if problems:
        raise BadAttributes(problems)
    user, _colon, group = values["user"].partition(":")
    return PipeAttributes(
        argv,
        user,
        group,
        frozenset(values.get("flags", "")),
        values.get("directory", ""),
        values.get("chroot", ""),
        unescape(values.get("eol", "\\n")),
        values.get("null_sender", "MAILER-DAEMON"),
        int(values.get("size", "0")),
    )


def _problems(values: dict[str, str], argv: Sequence[str]) -> list[str]:
    problems = [
        f"unknown flag: {flag}: flags= has letters of {FLAGS}"
        for flag in values.get("flags", "")
        if flag not in FLAGS
    ]
    if not values.get("user", "").partition(":")[0]:
        problems.append(
            "missing user= command-line attribute: write user=name, the account "
            "that the command is to run as"
        )
    if not argv or not argv[0]:
        problems.append(
            "missing argv= command-line attribute: write argv=/path/of/program and "
            "its arguments, after all other attributes"
        )
    if not re.fullmatch(r"\d{1,18}", values.get("size", "0")):
        problems.append(f"bad size= value: {values['size']}: write octets, digits only")
    for name in ("directory", "chroot"):
        if name in values and not values[name].startswith("/"):
            problems.append(f"{name}={values[name]}: write a path from / on")
    if "$" in "".join(argv[:1]):
        problems.append(
            f"argv={argv[0]}: the program would depend on the message: write its path"
        )
    for argument in argv[1:]:
        try:
            check(argument)
        except ValueError as e:
            problems.append(str(e))
    return problems


def unescape(text: str) -> bytes:
    """
    C-style backslashes to the octets that they stand for.
    """

    def octets(match: re.Match[bytes]) -> bytes:
        escaped = match[1]
        if escaped.isdigit():
            return bytes([int(escaped, 8) & 0xFF])
        return bytes([_ESCAPES.get(escaped[0], escaped[0])])

    return _ESCAPE.sub(octets, text.encode("utf-8", "surrogateescape"))
