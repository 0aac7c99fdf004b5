"""
Expansion of C{$name} and its kin in parameter values.

Owns: the grammar of macros, comparisons, bounds on depth and size.
Knows nothing of: where values come from.

Sources: Postfix's postconf(5); C{util/mac_expand.c}, C{util/mac_parse.c},
    C{global/compat_level.c}. Debian's C{postconf -x} is the oracle of the
    tests.

Errors: L{MacroError} with Postfix's words; what the text is not allowed to do
    here, C{ValueError}.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator

#: Nesting of conditions inside one value. Ours.
MAX_DEPTH = 50

#: Characters in one expanded value: each C{$a$a} level doubles it.
MAX_EXPANDED = 1 << 20

_NAME = re.compile(r"[A-Za-z0-9_]*")
_OPERATOR = re.compile(r"(==|!=|<=|>=|<|>)([A-Za-z0-9_]*)")

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


class MacroError(ValueError):
    """
    A text is no good.

    @ivar what: what is wrong, as Postfix says it.
    """

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what}: {remedy}" if remedy else what)
        self.what = what


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
        macro, end = _macro(text, dollar)
        if isinstance(macro, str):
            value = macro
        else:
            value = macro.value(lookup, test or lookup, depth)
        out += (text[at:dollar], value)
        size += dollar - at + len(value)
        if size > MAX_EXPANDED:
            raise ValueError(f"grows to more than {MAX_EXPANDED} characters")
        at = end
    out.append(text[at:])
    return "".join(out)


def scan(text: str, depth: int = 0) -> Iterator[str]:
    """
    @return: the parameters that a text mentions, in order, in branches not taken
        and in comparisons, too.
    @raise ValueError: the text is malformed, or too deep.
    """
    if depth > MAX_DEPTH:
        raise ValueError(f"nests conditions more than {MAX_DEPTH} deep")
    at = 0
    while (dollar := text.find("$", at)) >= 0:
        macro, at = _macro(text, dollar)
        if isinstance(macro, str):
            continue
        if not macro.operator:
            yield macro.name
        for part in (macro.left, macro.right, macro.yes, macro.no):
            yield from scan(part, depth + 1)


def references(text: str) -> Iterator[str]:
    """
    @return: as L{scan}, of a text that may be malformed.
    """
    for match in _REFERENCE.finditer(text):
        if match[1]:
            yield match[1]


class _Macro:
    """
    One macro.

    @ivar name: whose value it is, or who is asked.
    @ivar operator: C{"<="} and its kin: two texts are compared.
    @ivar level: they are compatibility levels.
    @ivar conditional: one of two texts is the value.
    """

    # No dataclass: commands that start anew for each message read main.cf.
    def __init__(
        self,
        name: str = "",
        operator: str = "",
        level: bool = False,
        left: str = "",
        right: str = "",
    ) -> None:
        self.name = name
        self.operator = operator
        self.level = level
        self.left = left
        self.right = right
        self.conditional = False
        self.yes = self.no = ""

    def value(
        self, lookup: Callable[[str], str], test: Callable[[str], str], depth: int
    ) -> str:
        if self.operator:
            a = expand(self.left, lookup, depth + 1, test)
            b = expand(self.right, lookup, depth + 1, test)
            pair = (level(a), level(b)) if self.level else _operands(a, b)
            truth = "true" if _OPERATORS[self.operator](*pair) else ""
        elif self.conditional:
            truth = test(self.name)
        else:
            return lookup(self.name)
        if not self.conditional:
            return truth
        return expand(self.yes if truth else self.no, lookup, depth + 1, test)

    def choose(self, rest: str) -> None:
        """
        @param rest: from C{?} or C{:} on. A text without braces goes up to the
            end, colons and all.
        """
        self.conditional = True
        mark, rest = rest[0], rest[1:]
        if not rest.lstrip().startswith("{"):
            self.yes, self.no = (rest, "") if mark == "?" else ("", rest)
            return
        first, after = _group(rest.lstrip())
        if mark == "?":
            self.yes = first
            if not after:
                return
            if after[0] != ":":
                raise _wrong('":" expected', f"{first}}}", after)
            rest = after[1:]
            if not rest.lstrip().startswith("{"):
                self.no = rest
                return
            first, after = _group(rest.lstrip())
        self.no = first
        if after:
            raise _wrong("unexpected input", f"{first}}}", after)


def _macro(text: str, dollar: int) -> tuple[_Macro | str, int]:
    """
    @return: what stands at C{$}, or its value; and where it ends.
    """
    at = dollar + 1
    if text.startswith("$", at):
        return "$", at + 1
    if text[at : at + 1] in _CLOSING:
        end = _closing(text, at)
        if end < 0:
            raise MacroError(f'truncated macro reference: "{text}"')
        if end == at + 1:
            raise MacroError(f'empty macro name: "{text}"')
        return _braced(text[at + 1 : end]), end + 1
    name = _name(text[at:])
    if not name:
        raise MacroError(f'empty macro name: "{text}"', 'write $$ for "$"')
    return _Macro(name), at + len(name)


def _name(text: str) -> str:
    match = _NAME.match(text)
    assert match is not None  # every text matches
    return match[0]


def _closing(text: str, at: int) -> int:
    """
    @return: where the brace that opens at C{at} is closed; -1: nowhere.
    """
    opening, closing = text[at], _CLOSING[text[at]]
    depth = 0
    for index in range(at, len(text)):
        depth += (text[index] == opening) - (text[index] == closing)
        if depth == 0:
            return index
    return -1


def _group(text: str) -> tuple[str, str]:
    """
    @param text: begins with a brace.
    @return: what is inside, and what follows, without white space before it.
    """
    end = _closing(text, 0)
    if end < 0:
        raise MacroError(f'truncated macro reference: "{text}"')
    return text[1:end], text[end + 1 :].lstrip()


def _braced(inside: str) -> _Macro:
    bare = inside.lstrip()
    if bare.startswith("{"):
        macro, rest = _comparison(bare)
        if rest and rest[0] not in "?:":
            raise _wrong('"?" or ":" expected', "}", rest)
    else:
        macro = _Macro(_name(bare))
        at = len(inside) - len(bare) + len(macro.name)
        rest = inside[at:].lstrip()
        if rest.startswith("{") and macro.name:
            # A function; no name of one is known here.
            argument, more = _group(rest)
            if more:
                raise _wrong("unexpected input", f"{argument}}}", more)
        if rest and rest[0] not in "?:":
            raise _wrong("attribute name syntax error", inside[:at], inside[at:])
    if rest:
        macro.choose(rest)
    return macro


def _comparison(text: str) -> tuple[_Macro, str]:
    """
    @param text: begins with a brace.
    @return: the macro, and what follows the comparison.
    """
    left, rest = _group(text)
    match = _OPERATOR.match(rest)
    if match is None:
        # Postfix has quotation marks there as they are here.
        what = '"==" or "!="" or "<"" or "<="" or ">="" or ">" expected'
        raise _wrong(what, f"{left}}}", rest)
    if match[2] not in ("", "level"):
        raise _wrong("bad operator suffix", match[1], match[2])
    rest = rest[match.end() :]
    if not rest.lstrip().startswith("{"):
        raise _wrong('"{expression}" expected', f"{{{left}}} {match[0]}", rest)
    right, rest = _group(rest.lstrip())
    return _Macro("", match[1], bool(match[2]), left, right), rest


def _operands(a: str, b: str) -> tuple[object, object]:
    """
    Numbers if both are all digits, else text.
    """
    if a.isascii() and a.isdigit() and b.isascii() and b.isdigit():
        return int(a[:4000]), int(b[:4000])
    return a, b


def level(text: str) -> tuple[int, int, int]:
    """
    @param text: a compatibility level: C{"3"}, C{"3.6"}, C{"3.6.1"}.
    """
    match = re.fullmatch(r"(\d{1,9})(?:\.(\d{1,4}))?(?:\.(\d{1,4}))?", text.strip())
    parts = [int(part or 0) for part in match.groups()] if match else [1 << 31]
    if max(parts[1:], default=0) > _MAX_PART or parts[0] > _MAX_MAJOR:
        raise MacroError(
            f'malformed compatibility level syntax: "{text}"', "write it as 3.6"
        )
    major, minor, patch = parts
    return major, minor, patch


#: Postfix has ten bits for each of the smaller parts of a level.
_MAX_PART = 1023
_MAX_MAJOR = (1 << 11) - 1


def _wrong(what: str, before: str, after: str) -> MacroError:
    return MacroError(f'{what} at: "...{before}>>>{after[:20]}"')
