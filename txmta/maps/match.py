"""
Match lists: mydestination, relay_domains, mynetworks and their like.

Owns: order, negation, C{/file} and C{type:table} items, remembered answers.
Knows nothing of: what a pattern matches (L{txmta.maps.patterns}), which
    parameters there are.

Sources: Postfix: C{util/match_list.c}, C{global/namadr_list.c},
C{global/match_parent_style.c}.

Errors: L{ConfigError<txmta.errors.ConfigError>} at start for what Postfix
finds out only when a client connects, in the same words.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from twisted.internet.defer import Deferred
from zope.interface import implementer

from txmta.errors import ConfigError
from txmta.interfaces import IClientList, IMatchList, ITable
from txmta.maps.context import PLAIN, TableContext, Ways
from txmta.maps.patterns import CLIENTS, Kind, Patterns, is_address, keys
from txmta.maps.source import Source

#: Files that name files.
MAX_DEPTH = 8

#: Answers remembered by one list.
MAX_REMEMBERED = 4096

_BARE_IPV6 = re.compile(r"[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(?:/\d+)?")

#: True: matches; False: matches a C{!pattern}; None: goes on to the next.
Decision = bool | None

_Items = tuple[str, ...]


class _Names:
    """
    A run of plain patterns.
    """

    fixed = True

    def __init__(self, patterns: Patterns) -> None:
        self._patterns = patterns

    def decide(self, items: _Items) -> Decision:
        return any(self._patterns.match(item) for item in items) or None


class _Table:
    fixed = False

    def __init__(self, table: ITable, kind: Kind) -> None:
        self._table = table
        self._kind = kind

    def decide(self, items: _Items) -> Decision | Deferred[Decision]:
        if getattr(self._table, "by_pattern", False):
            return self._search(iter(items))
        wanted = (key for item in items for key in keys(item, self._kind))
        return self._search(wanted)

    def _search(self, wanted: Iterator[str]) -> Decision | Deferred[Decision]:
        for key in wanted:
            found = self._table.lookup(key)
            if isinstance(found, Deferred):
                return Deferred.fromCoroutine(self._later(found, wanted))
            if found is not None:
                return True
        return None

    async def _later(
        self, found: Deferred[str | None], wanted: Iterator[str]
    ) -> Decision:
        if await found is not None:
            return True
        answer = self._search(wanted)
        return await answer if isinstance(answer, Deferred) else answer


class _File:
    fixed = True

    def __init__(self, source: Source[_Sequence]) -> None:
        self._source = source

    @property
    def current(self) -> _Sequence:
        return self._source.value()

    def decide(self, items: _Items) -> Decision | Deferred[Decision]:
        return self._source.value().decide(items)


_Part = _Names | _Table | _File


class _Sequence:
    """
    Parts in the order of the list, each perhaps negated.
    """

    def __init__(self, parts: Sequence[tuple[bool, _Part]]) -> None:
        self._parts = parts

    @property
    def fixed(self) -> bool:
        """
        Whether an answer changes only when a file does.
        """
        return all(
            part.current.fixed if isinstance(part, _File) else part.fixed
            for _positive, part in self._parts
        )

    def files(self) -> Iterator[_Sequence]:
        """
        @return: what the files hold now.
        """
        for _positive, part in self._parts:
            if isinstance(part, _File):
                yield part.current
                yield from part.current.files()

    def decide(self, items: _Items) -> Decision | Deferred[Decision]:
        return self._decide(iter(self._parts), items)

    def _decide(
        self, parts: Iterator[tuple[bool, _Part]], items: _Items
    ) -> Decision | Deferred[Decision]:
        for positive, part in parts:
            answer = part.decide(items)
            if isinstance(answer, Deferred):
                return Deferred.fromCoroutine(
                    self._later(answer, positive, parts, items)
                )
            if answer is not None:
                return answer is positive
        return None

    async def _later(
        self,
        answer: Deferred[Decision],
        positive: bool,
        parts: Iterator[tuple[bool, _Part]],
        items: _Items,
    ) -> Decision:
        decision = await answer
        if decision is not None:
            return decision is positive
        rest = self._decide(parts, items)
        return await rest if isinstance(rest, Deferred) else rest


@implementer(IMatchList, IClientList)
class MatchList:
    """
    One list. Answers are remembered, unless a table has a part in it.

    @ivar fixed: no table is in the list: an answer costs nothing and never
        comes later.
    """

    def __init__(self, sequence: _Sequence) -> None:
        self._sequence = sequence
        self.fixed = sequence.fixed
        self._files = tuple(sequence.files())
        self._known: dict[str | _Items, bool] = {}

    def match(self, item: str) -> bool | Deferred[bool]:
        if self._files:
            self._notice_changes()
        known = self._known.get(item)
        if known is not None:
            return known
        return self._decide(item, (item.casefold(),))

    def match_client(self, name: str, address: str) -> bool | Deferred[bool]:
        """
        As C{match}, for a host whose verified name counts as well.
        """
        # "unknown" is no name: in Postfix a list that has it trusts whoever
        # has none. Nor may a name pass for an address.
        if name == "unknown" or is_address(name):
            return self.match(address)
        if self._files:
            self._notice_changes()
        known = self._known.get((name, address))
        if known is not None:
            return known
        return self._decide((name, address), (name.casefold(), address.casefold()))

    def _decide(self, key: str | _Items, items: _Items) -> bool | Deferred[bool]:
        answer = self._sequence.decide(items)
        if isinstance(answer, Deferred):
            return answer.addCallback(lambda decision: decision is True)
        matched = answer is True
        if self.fixed:
            if len(self._known) >= MAX_REMEMBERED:
                self._known.clear()
            self._known[key] = matched
        return matched

    def _notice_changes(self) -> None:
        files = tuple(self._sequence.files())
        if files != self._files:
            self._files = files
            self._known.clear()
            self.fixed = self._sequence.fixed


@dataclass(frozen=True)
class MatchLists:
    """
    Makes match lists.

    @ivar table: opens C{type:name}; arguments: the item, and the parameter
        that it stands in.
    @ivar parents: parent_domain_matches_subdomains.
    @ivar seconds: a monotonic clock.
    @ivar warn: puts a warning into the mail log.
    @ivar ways: how this process comes by what is in files.
    """

    table: Callable[[str, str], ITable]
    parents: Sequence[str]
    seconds: Callable[[], float]
    warn: Callable[[str], None]
    ways: Ways = PLAIN

    def strings(self, parameter: str, items: Sequence[str]) -> MatchList:
        """
        A list of whole names, such as mydestination.

        @raise ConfigError: with all that is wrong in it.
        """
        return self._open(parameter, items, Kind.STRING)

    def domains(self, parameter: str, items: Sequence[str]) -> MatchList:
        """
        A list of domains, such as relay_domains.

        @raise ConfigError: with all that is wrong in it.
        """
        kind = Kind.PARENT if parameter in self.parents else Kind.DOMAIN
        return self._open(parameter, items, kind)

    def addresses(self, parameter: str, items: Sequence[str]) -> MatchList:
        """
        A list of networks and hosts, such as mynetworks.

        @raise ConfigError: with all that is wrong in it.
        """
        kind = Kind.CLIENT_PARENT if parameter in self.parents else Kind.CLIENT
        return self._open(parameter, items, kind)

    def _open(self, parameter: str, items: Sequence[str], kind: Kind) -> MatchList:
        return MatchList(self._sequence(parameter, items, kind, 0))

    def _sequence(
        self, parameter: str, items: Sequence[str], kind: Kind, depth: int
    ) -> _Sequence:
        parts: list[tuple[bool, _Part]] = []
        problems: list[str] = []
        signed = (_sign(item) for item in items)
        for (positive, special), run in itertools.groupby(
            signed, lambda s: (s[0], _is_special(s[1]))
        ):
            patterns = [pattern for _positive, pattern in run]
            groups = [[p] for p in patterns] if special else [patterns]
            for group in groups:
                try:
                    part = self._part(parameter, group, kind, depth)
                    parts.append((positive, part))
                except ConfigError as e:
                    problems.extend(e.problems)
                except ValueError as e:
                    problems.append(f"{parameter}: {e}")
        if problems:
            raise ConfigError(problems)
        return _Sequence(parts)

    def _part(
        self, parameter: str, patterns: list[str], kind: Kind, depth: int
    ) -> _Part:
        pattern = patterns[0]
        if not _is_special(pattern):
            return _Names(Patterns(patterns, kind))
        if pattern[0] == "/":
            return self._file(parameter, pattern, kind, depth)
        if kind in CLIENTS and _BARE_IPV6.fullmatch(pattern):
            raise ValueError(
                f'"{pattern}": an IPv6 address needs brackets: '
                f"write [{pattern.partition('/')[0]}]"
            )
        return _Table(self.table(pattern, parameter), kind)

    def _file(self, parameter: str, path: str, kind: Kind, depth: int) -> _File:
        if depth >= MAX_DEPTH:
            raise ValueError(f"{path}: too many files inside each other")

        def parse(text: str) -> _Sequence:
            return self._sequence(parameter, _file_items(text), kind, depth + 1)

        context = TableContext(
            spec=path,
            parameter=parameter,
            aliases=False,
            open_table=lambda item: self.table(item, parameter),
            seconds=self.seconds,
            warn=self.warn,
            ways=self.ways,
        )
        return _File(Source(path, parse, context))


def _sign(item: str) -> tuple[bool, str]:
    bare = item.lstrip("!")
    if not bare:
        raise ConfigError([f'"{item}": no pattern after "!"'])
    return (len(item) - len(bare)) % 2 == 0, bare


def _is_special(pattern: str) -> bool:
    return pattern[0] == "/" or (pattern[0] != "[" and ":" in pattern)


def _file_items(text: str) -> list[str]:
    items: list[str] = []
    for line in text.split("\n"):
        items.extend(
            itertools.takewhile(
                lambda word: word[0] != "#", line.replace(",", " ").split()
            )
        )
    return items
