"""
What an import of a Sendmail configuration gathers: parameters, tables, and what
became of each line.

Owns: that of two entries the first counts, what may stand in a table, words that
    need no care in main.cf.
Knows nothing of: Sendmail's files, ours.

Errors: none; what cannot be taken is said of its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

#: Lines that are made at most, of all tables together. Ours.
MAX_ENTRIES = 1_000_000

_HOST = re.compile(r"[\w-]+(?:\.[\w-]+)*\.?", re.ASCII)
_HOP = re.compile(r"(?:\[[\w.:-]+\]|[\w.-]+)(?::[\w-]+)?", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")


class Result(Enum):
    """
    What became of a line.
    """

    CARRIED = "carried over"
    CHANGED = "changed"
    LOST = "not carried over"
    UNREAD = "not read"


@dataclass(frozen=True, slots=True)
class Source:
    """
    One line of a file of Sendmail's.

    @ivar text: to be shown; never a password.
    @ivar key: of a table, or the word of a list; as written.
    @ivar value: of a table.
    """

    file: str
    line: int
    text: str
    key: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """
    A line of the report.

    @ivar target: what it became: C{"transport"}, C{"mynetworks"} ...
    @ivar note: how it changed, or why it was not carried over and what to do.
    """

    source: Source
    result: Result
    target: str
    note: str


@dataclass
class Facts:
    """
    What the tables mean depends on.

    @ivar local: names of this machine (class w).
    @ivar virtual: domains of the virtusertable only (class VirtHost).
    @ivar generics: domains of the genericstable (class G).
    @ivar relayed: domains that are relayed to (class R).
    @ivar features: FEATUREs of sendmail.mc, with their arguments.
    @ivar has_mc: there is a sendmail.mc.
    @ivar subdomains: transport_maps has entries of all subdomains of a domain.
    """

    local: list[str] = field(default_factory=list)
    virtual: list[str] = field(default_factory=list)
    generics: list[str] = field(default_factory=list)
    relayed: list[str] = field(default_factory=list)
    features: dict[str, tuple[str, ...]] = field(default_factory=dict)
    has_mc: bool = False
    subdomains: bool = False


class Plan:
    """
    @ivar values: of main.cf, by name; a tuple is a list.
    @ivar lists: words that will be values, in order.
    @ivar origins: files that a value comes from.
    @ivar tables: entries by key, by file name.
    @ivar rules: lines of tables of patterns, by file name.
    @ivar aliases: values by name, both as aliases(5) has them.
    """

    def __init__(self) -> None:
        self.facts = Facts()
        self.lines: list[Line] = []
        self.values: dict[str, str | tuple[str, ...]] = {}
        self.lists: dict[str, dict[str, None]] = {}
        self.origins: dict[str, list[str]] = {}
        self.tables: dict[str, dict[str, str]] = {}
        self.rules: dict[str, list[str]] = {}
        self.aliases: dict[str, str] = {}
        self._entries = 0

    @property
    def full(self) -> bool:
        """
        Whether there is no room for another entry.
        """
        return self._entries >= MAX_ENTRIES

    def carried(self, source: Source, target: str, note: str = "") -> None:
        """
        @param note: a difference; the line counts as changed then.
        """
        result = Result.CHANGED if note else Result.CARRIED
        self.lines.append(Line(source, result, target, note))

    def lost(self, source: Source, why: str) -> None:
        self.lines.append(Line(source, Result.LOST, "", why))

    def unread(self, file: str, why: str) -> None:
        self.lines.append(Line(Source(file, 0, ""), Result.UNREAD, "", why))

    def set(self, source: Source, name: str, value: str, note: str = "") -> None:
        """
        A parameter, if none was set before.

        @param value: plain text: no C{$name} in it is expanded.
        """
        self.set_raw(source, name, value.replace("$", "$$"), note)

    def set_raw(self, source: Source, name: str, value: str, note: str = "") -> None:
        """
        A parameter, whose C{$names} are Postfix's.
        """
        value = value.strip()
        if _CONTROL.search(value):
            self.lost(source, "it has control characters, or octets that are no UTF-8")
        elif self.values.get(name, value) != value:
            self.lost(source, f"{name} is {self.values[name]} already")
        else:
            self.values[name] = value
            self._from(name, source)
            self.carried(source, name, note)

    def add(self, source: Source, name: str, words: Iterable[str]) -> None:
        """
        Words to a list; nothing is said of the line.
        """
        self.lists.setdefault(name, {}).update(dict.fromkeys(words))
        self._from(name, source)

    def entry(self, source: Source, table: str, key: str, value: str) -> str:
        """
        An entry of a table.

        @return: why not, or C{""}.
        """
        entries = self.tables.setdefault(table, {})
        folded = key.lower()
        if why := unfit(key) or unfit(value):
            return why
        if " " in key or "\t" in key or key.endswith(":") or key.startswith("#"):
            return f"{key}: a table cannot have this key"
        if entries.get(folded, value) != value:
            return f"{table} has {key} already, and the first one counts"
        if folded not in entries and self.full:
            return f"more than {MAX_ENTRIES} entries"
        self._entries += folded not in entries
        entries[folded] = value
        return ""

    def put(
        self, source: Source, table: str, key: str, value: str, note: str = ""
    ) -> bool:
        """
        As L{entry}, and say what became of the line.
        """
        why = self.entry(source, table, key, value)
        if why:
            self.lost(source, why)
        else:
            self.carried(source, f"{table}: {key} {value}", note)
        return not why

    def rule(self, table: str, lines: Iterable[str]) -> None:
        """
        Lines of a table of patterns.
        """
        self.rules.setdefault(table, []).extend(lines)

    def _from(self, name: str, source: Source) -> None:
        files = self.origins.setdefault(name, [])
        if source.file not in files:
            files.append(source.file)


def unfit(text: str) -> str:
    """
    @return: why a table cannot have it as key or value, or C{""}.
    """
    if _CONTROL.search(text):
        return "it has control characters, or octets that are no UTF-8"
    if '"' in text or "\\" in text:
        return "quotes and backslashes mean something else there: write it by hand"
    return ""


def is_host(text: str) -> bool:
    """
    Whether this is the name of a host or domain.
    """
    return len(text) <= 255 and _HOST.fullmatch(text) is not None


def hops(text: str) -> str:
    """
    Next hops as Postfix writes them.

    @param text: C{host}, C{[host]}, or several of these with colons between.
    @return: C{"[a], b"}, or C{""} if it is none.
    """
    found: list[str] = []
    for piece in re.findall(r"\[[^\]]*\]|[^:\[\]]+", text):
        if not _HOP.fullmatch(piece) or piece.isdigit():
            return ""
        found.append(piece)
    rebuilt = ":".join(found)
    return ", ".join(found) if found and rebuilt == text else ""
