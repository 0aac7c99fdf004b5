"""
Expansion of C{$name} and its kin in parameter values.

Owns: the grammar of macros, comparisons, bounds on depth and size.
Knows nothing of: where values come from.

Sources: Postfix's postconf(5); C{util/mac_expand.c}, C{util/mac_parse.c},
    C{global/compat_level.c}. Debian's C{postconf -x} is the oracle of the
    tests.

Errors: C{ValueError} with what is wrong and where in the text.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator

#: Nesting of conditions inside one value. Ours.
MAX_DEPTH = 50

#: Characters in one expanded value: each C{$a$a} level doubles it.
MAX_EXPANDED = 1 << 20

_NAME = re.compile(r"[A-Za-z0-9_]+")
_RELATION = re.compile(r"(==|!=|<=|>=|<|>)(level\b)?")

_OPERATORS: dict[str, Callable[[object, object], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,  # type: ignore[dict-item]
    "<=": operator.le,  # type: ignore[dict-item]
    ">": operator.gt,  # type: ignore[dict-item]
    ">=": operator.ge,  # type: ignore[dict-item]
}

#: Names that a text mentions; good enough for warnings.
_REFERENCE = re.compile(r"\$(?:\$|[({]?\s*([A-Za-z0-9_]+))")

_CLOSING = {"{": "}", "(": ")"}


def expand(
    text: str,
    lookup: Callable[[str], str],
    depth: int = 0,
    test: Callable[[str], str] | None = None,
) -> str:
    """
    @param lookup: gives the expanded text of a parameter.
    @param test: the same, where a name is only a condition.
    @raise ValueError: the text is malformed, too deep, or grows too large.
    """
    if "$" not in text:
        return text
    if depth > MAX_DEPTH:
        raise ValueError(f"nests conditions more than {MAX_DEPTH} deep")
    out: list[str] = []
    size = at = 0
    while (dollar := text.find("$", at)) >= 0:
        value, end = _macro(text, dollar, lookup, depth, test or lookup)
        out += (text[at:dollar], value)
        size += dollar - at + len(value)
        if size > MAX_EXPANDED:
            raise ValueError(f"grows to more than {MAX_EXPANDED} characters")
        at = end
    out.append(text[at:])
    return "".join(out)


def references(text: str) -> Iterator[str]:
    """
    @return: the parameters that a text mentions, also in branches not taken.
    """
    for match in _REFERENCE.finditer(text):
        if match[1]:
            yield match[1]


def _macro(
    text: str,
    dollar: int,
    lookup: Callable[[str], str],
    depth: int,
    test: Callable[[str], str],
) -> tuple[str, int]:
    """
    @return: the value of the macro that starts here, and where it ends.
    """
    at = dollar + 1
    if text.startswith("$", at):
        return "$", at + 1
    if text[at : at + 1] in _CLOSING:
        end = _closing(text, at)
        return _braced(text[at + 1 : end], lookup, depth, test), end + 1
    match = _NAME.match(text, at)
    if match is None:
        raise ValueError(
            f'has a $ without a name: write $$ for "$" at {_near(text, dollar)}'
        )
    return lookup(match[0]), match.end()


def _closing(text: str, at: int) -> int:
    """
    @return: where the brace that opens at C{at} is closed.
    """
    opening, closing = text[at], _CLOSING[text[at]]
    level = 0
    for index in range(at, len(text)):
        level += (text[index] == opening) - (text[index] == closing)
        if level == 0:
            return index
    raise ValueError(f"has a '{opening}' without '{closing}' at {_near(text, at)}")


def _braced(
    inside: str,
    lookup: Callable[[str], str],
    depth: int,
    test: Callable[[str], str],
) -> str:
    inside = inside.lstrip()
    if inside.startswith("{"):
        truth, rest = _comparison(inside, lookup, depth, test)
    else:
        match = _NAME.match(inside)
        if match is None:
            raise ValueError(f"has no name in ${{...}} at {_near(inside, 0)}")
        rest = inside[match.end() :].lstrip()
        truth = test(match[0]) if rest else lookup(match[0])
    if not rest:
        return truth
    if rest[0] not in "?:":
        raise ValueError(f"has no ? or : after the condition at {_near(rest, 0)}")
    yes, no = _alternatives(rest)
    return expand(yes if truth else no, lookup, depth + 1, test)


def _comparison(
    text: str,
    lookup: Callable[[str], str],
    depth: int,
    test: Callable[[str], str],
) -> tuple[str, str]:
    """
    @return: C{"true"} or C{""}, and the text behind the comparison.
    """
    end = _closing(text, 0)
    left, rest = text[1:end], text[end + 1 :].lstrip()
    match = _RELATION.match(rest)
    if match is None:
        raise ValueError(f"has no ==, !=, <, <=, > or >= at {_near(rest, 0)}")
    rest = rest[match.end() :].lstrip()
    if not rest.startswith("{"):
        raise ValueError(f"has no {{...}} to compare with at {_near(rest, 0)}")
    end = _closing(rest, 0)
    a = expand(left, lookup, depth + 1, test)
    b = expand(rest[1:end], lookup, depth + 1, test)
    compare = _OPERATORS[match[1]]
    truth = compare(*(_levels(a, b) if match[2] else _operands(a, b)))
    return ("true" if truth else ""), rest[end + 1 :].lstrip()


def _operands(a: str, b: str) -> tuple[object, object]:
    """
    Numbers if both are all digits, else text.
    """
    if a.isascii() and a.isdigit() and b.isascii() and b.isdigit():
        return int(a[:4000]), int(b[:4000])
    return a, b


def _levels(a: str, b: str) -> tuple[object, object]:
    return level(a), level(b)


def level(text: str) -> tuple[int, int, int]:
    """
    @param text: a compatibility level: C{"3"}, C{"3.6"}, C{"3.6.1"}.
    """
    match = re.fullmatch(r"(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?", text.strip())
    if match is None:
        raise ValueError(f"is not a compatibility level, such as 3.6: {text[:40]!r}")
    return int(match[1]), int(match[2] or 0), int(match[3] or 0)


def _alternatives(rest: str) -> tuple[str, str]:
    """
    @param rest: from C{?} or C{:} on.

    @return: what stands for true and for false, unexpanded. Text without
        braces goes up to the end, colons and all.
    """
    mark, rest = rest[0], rest[1:]
    if not rest.lstrip().startswith("{"):
        return (rest, "") if mark == "?" else ("", rest)
    rest = rest.lstrip()
    end = _closing(rest, 0)
    first, rest = rest[1:end], rest[end + 1 :].lstrip()
    if mark == ":" or not rest:
        if rest:
            raise ValueError(f"has unexpected text at {_near(rest, 0)}")
        return (first, "") if mark == "?" else ("", first)
    if rest[0] != ":":
        raise ValueError(f"has no : between its alternatives at {_near(rest, 0)}")
    rest = rest[1:]
    if rest.lstrip().startswith("{"):
        rest = rest.strip()
        end = _closing(rest, 0)
        if rest[end + 1 :]:
            raise ValueError(f"has unexpected text at {_near(rest, end + 1)}")
        rest = rest[1:end]
    return first, rest


def _near(text: str, at: int) -> str:
    return f'"{text[at : at + 30]}"'
