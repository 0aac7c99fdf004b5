"""
What is asked of an LDAP directory, and what of its entries counts.

Owns: how a key is quoted in a filter and in a name; which attributes of an
    entry count; which names and URLs in it are asked for in turn.
Knows nothing of: connections, settings.

Sources: RFC 4514 (names), RFC 4515 (filters), RFC 4516 (URLs); Postfix's
ldap_table(5), C{global/dict_ldap.c}.

Errors: L{TooMuch}; C{ValueError}: a wrong URL, a value that is no text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import unquote

#: An entry: octets of its attributes, in the order of the answer.
Entry = Mapping[str, Sequence[bytes]]

#: Searches for one key.
MAX_SEARCHES = 5000

ALL = "(objectClass=*)"

_SCOPES = {
    **{"": "base", "base": "base", "one": "one", "onelevel": "one"},
    **{"sub": "sub", "subtree": "sub"},
}
_URL = re.compile(
    r"ldap[is]?://[^/?]*(?:/([^?]*)(?:\?([^?]*)(?:\?([^?]*)"
    r"(?:\?([^?]*)(?:\?(.*))?)?)?)?)?",
    re.IGNORECASE | re.DOTALL,
)
_IS_URL = re.compile(r"<?(?:URL:)?(?=ldap[is]?://)", re.IGNORECASE)


class TooMuch(Exception):
    """
    A limit is exceeded.
    """


@dataclass(frozen=True)
class Search:
    """
    @ivar scope: base, one or sub.
    @ivar attributes: what is wanted of the entries.
    @ivar may_miss: that there is no such base is no trouble.
    """

    base: str
    scope: str
    filter: str
    attributes: tuple[str, ...]
    may_miss: bool = True


def filter_quoted(text: str) -> str:
    """
    @return: a value in a filter (RFC 4515 section 3).
    """
    return re.sub(r"[*()\\\0]", lambda match: f"\\{ord(match[0]):02x}", text)


def name_quoted(text: str) -> str:
    """
    @return: a value in a distinguished name (RFC 4514 section 2.4). What need
        be quoted only at its ends is quoted everywhere, as Postfix does.
    """
    return re.sub(
        r"[ \t\"#+,;<>=\\\0\r\n]", lambda match: f"\\{ord(match[0]):02X}", text
    )


def is_url(text: str) -> bool:
    """
    @param text: a value of a special result attribute; else it is a name.
    """
    return _IS_URL.match(text) is not None


@dataclass(frozen=True)
class Wanted:
    """
    Attributes, by what becomes of their values.

    @ivar terminal: where there are some, nothing else of the entry counts.
    @ivar leaf: count if the entry has nothing special.
    @ivar ordinary: count.
    @ivar special: names and URLs of other entries.
    """

    terminal: tuple[str, ...] = ()
    leaf: tuple[str, ...] = ()
    ordinary: tuple[str, ...] = ()
    special: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        return self.terminal + self.leaf + self.ordinary + self.special

    def of_url(self, text: str) -> Search | None:
        """
        @return: L{None}: the URL selects nothing that is wanted.
        @raise ValueError: not an LDAP URL.
        """
        base, names, scope, query = _url_parts(text)
        attributes = self.all
        if asked := [name.strip() for name in names.split(",") if name.strip()]:
            attributes = tuple(self._shared(asked))
        if not attributes:
            return None
        return Search(base, _SCOPES[scope], query or ALL, attributes)

    def of_name(self, name: str) -> Search:
        return Search(name, "base", ALL, self.all)

    def _shared(self, asked: Sequence[str]) -> Iterator[str]:
        for theirs in asked:
            for ours in self.all:
                if is_subtype(ours, theirs):
                    yield ours
                elif is_subtype(theirs, ours):
                    yield theirs

    def items(self, entry: Entry) -> Iterator[tuple[str, bytes, bool]]:
        """
        @return: attribute, value, and whether it is special, of what counts.
        """
        there = {name.lower() for name, values in entry.items() if values}
        is_terminal = any(name.lower() in there for name in self.terminal)
        is_leaf = not any(name.lower() in there for name in self.special)
        for name, values in entry.items():
            kind = self._kind(name)
            if is_terminal:
                counts = kind == "terminal"
            else:
                counts = bool(kind) and (kind != "leaf" or is_leaf)
            if counts:
                for value in values:
                    yield name, value, kind == "special"

    def _kind(self, name: str) -> str:
        for kind in ("terminal", "leaf", "ordinary", "special"):
            if any(is_subtype(name, each) for each in getattr(self, kind)):
                return kind
        return ""


def _url_parts(text: str) -> tuple[str, str, str, str]:
    """
    @return: base, attributes, scope, filter.
    """
    bare = text[start.end() :] if (start := _IS_URL.match(text)) else text
    match = _URL.fullmatch(bare.removesuffix(">") if text[:1] == "<" else bare)
    if match is None:
        raise ValueError(f"malformed URL {text[:200]!r}")
    base, names, scope, query, extensions = (
        unquote(part or "", errors="strict") for part in match.groups()
    )
    if scope.lower() not in _SCOPES or extensions.startswith("!"):
        raise ValueError(f"malformed URL {text[:200]!r}")
    return base, names, scope.lower(), query


def referred(url: str, asked: Search) -> tuple[str, Search]:
    """
    @param url: of a referral (RFC 4511 section 4.1.10).
    @return: the server as a URL, and what is to be asked there; what the URL
        does not say is as before.
    @raise ValueError: not an LDAP URL, or none with a host.
    """
    base, _names, scope, query = _url_parts(url)
    kind, _, rest = url.partition("://")
    host = re.split(r"[/?]", rest, maxsplit=1)[0]
    if not host:
        raise ValueError(f"a referral to no host: {url[:200]!r}")
    there = replace(
        asked,
        base=base or asked.base,
        scope=_SCOPES[scope] if scope else asked.scope,
        filter=query or asked.filter,
    )
    return f"{kind}://{host}", there


def is_subtype(name: str, of: str) -> bool:
    """
    @return: the attribute is the other one, maybe with options
        (C{mail;lang-de}).
    """
    name, of = name.lower(), of.lower()
    return name == of or name.startswith(of + ";")


def collect(
    wanted: Wanted,
    search: Callable[[Search], Sequence[Entry]],
    first: Search,
    depth: int,
    most: int,
) -> list[str]:
    """
    @param search: does one.
    @param depth: of names in entries that names in entries name.
    @param most: values.
    @return: all values that count, in the order in which they are found.
    @raise TooMuch: or C{ValueError}.
    """
    found: list[str] = []
    searches = 1
    open_ones = [_items(wanted, search(first))]
    while open_ones:
        item = next(open_ones[-1], None)
        if item is None:
            open_ones.pop()
            continue
        name, value, special = item
        if not special:
            found.append(value)
            if len(found) > most:
                raise TooMuch(f"more than {most} values")
            continue
        if len(open_ones) >= depth:
            raise TooMuch(f"Recursion limit exceeded for special attribute {name}")
        asked = wanted.of_url(value) if is_url(value) else wanted.of_name(value)
        if asked is None:
            continue
        searches += 1
        if searches > MAX_SEARCHES:
            raise TooMuch(f"more than {MAX_SEARCHES} searches")
        open_ones.append(_items(wanted, search(asked)))
    return found


def _items(wanted: Wanted, entries: Sequence[Entry]) -> Iterator[tuple[str, str, bool]]:
    for entry in entries:
        for name, value, special in wanted.items(entry):
            if b"\0" in value:
                raise ValueError(f"a value of {name} has a NUL")
            yield name, value.decode("utf-8", "surrogateescape"), special
