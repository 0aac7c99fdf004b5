"""
What C{postconf} prints, in lines.

Owns: white space, folding, columns of master.cf, JSON.
Knows nothing of: where it comes from.

Sources: Postfix's postconf(1). Debian's C{postconf} is the oracle of the tests.

Errors: none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from txmta.config.master_lines import (
    BLANKS,
    COLUMNS,
    COMMAND,
    MasterLine,
    is_option,
    takes_value,
)

#: Columns of a folded line, and of what continues it.
LIMIT = 80
INDENT = 4

#: Where the columns of master.cf begin.
_TABS = (0, 11, 17, 25, 33, 41, 49, 57)


def line(text: str, fold: bool) -> str:
    """
    @return: with one space between words, folded or not.
    """
    out: list[str] = []
    length = 0
    for word in text.translate(_ONE_SPACE).split(" "):
        if not word:
            continue
        if length:
            if not fold or length + len(word) < LIMIT:
                out.append(" ")
                length += 1
            else:
                out.append("\n" + " " * INDENT)
                length = INDENT
        out.append(word)
        length += len(word)
    return "".join((*out, "\n"))


_ONE_SPACE = str.maketrans(BLANKS, " " * len(BLANKS))


def json_line(name: str, text: str) -> str:
    """
    @return: an object of one member.
    """
    # Here, for it is seldom asked for.
    import json

    value = " ".join(text.translate(_ONE_SPACE).split())
    name, value = (json.dumps(each, ensure_ascii=False) for each in (name, value))
    return f"{{{name}: {value}}}\n"


def columns(fields: Sequence[str]) -> str:
    """
    @return: the eight columns of master.cf, each in its place.
    """
    out = ""
    for at, text in zip(_TABS, fields, strict=False):
        out = f"{out:<{at}}" if len(out) < at else out + " " * bool(out)
        out += text
    return out


def arguments(
    entry: MasterLine, length: int, fold: bool, value: Callable[[str], str]
) -> str:
    """
    @param length: of what stands before them on the line.
    @param value: changes the C{name=value} of C{-o}.
    @return: what follows the command, with the space before it.
    """
    out: list[str] = []
    for text, size, alone in _groups(entry, value):
        # an option with a value has a line of its own
        if fold and (alone or length + 1 + size >= LIMIT):
            out.append("\n" + " " * INDENT)
            length = INDENT
        else:
            out.append(" ")
            length += 1
        out.append(text)
        length = LIMIT if alone else length + len(text)
    return "".join(out)


def _groups(
    entry: MasterLine, value: Callable[[str], str]
) -> Iterator[tuple[str, int, bool]]:
    """
    @return: each argument, in braces if need be, or option with its value; its
        length, without braces; whether it is the latter.
    """
    words = entry.words[COMMAND + 1 :]
    at = 0
    while at < len(words) and is_option(words[at]):
        option = words[at]
        at += 1
        if takes_value(option) and at < len(words):
            given = value(words[at]) if option == "-o" else words[at]
            yield f"{option} {_braced(given)}", 0, True
            at += 1
        else:
            yield option, len(option), False
    for number, word in enumerate(words[at:]):
        # the first one that is no option has none
        yield (word if number == 0 else _braced(word)), len(word), False


def _braced(text: str) -> str:
    return f"{{{text}}}" if any(c in BLANKS for c in text) else text


def entry_line(entry: MasterLine, fold: bool, value: Callable[[str], str] = str) -> str:
    """
    @return: an entry of master.cf.
    """
    start = columns(entry.words[: COMMAND + 1])
    return f"{start}{arguments(entry, len(start), fold, value)}\n"


def field_text(entry: MasterLine, field: int, value: Callable[[str], str] = str) -> str:
    """
    @return: one column on one line; that of the command has the arguments.
    """
    text = entry.words[field]
    if field == COMMAND:
        text += arguments(entry, len(text), False, value)
    return text


def field_line(
    entry: MasterLine,
    field: int,
    named: bool,
    fold: bool,
    value: Callable[[str], str],
) -> str:
    """
    @param named: with C{service/type/column = } before it.
    @return: a column of master.cf.
    """
    text = entry.words[field]
    start = f"{entry.space}/{COLUMNS[field]} = " if named else ""
    length = len(start)
    if named and length + len(text) > LIMIT:
        start += "\n" + " " * INDENT
        length = INDENT
    if field != COMMAND:
        return f"{start}{text}\n"
    more = arguments(entry, length + len(text), fold, value)
    return f"{start}{text}{more}\n"
