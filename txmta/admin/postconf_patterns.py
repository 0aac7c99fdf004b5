"""
C{service/type/what} on the command line of C{postconf}.

Owns: which entries of master.cf are meant.
Knows nothing of: what is done with them.

Sources: Postfix's postconf(1).

Errors: L{Fatal<txmta.admin.common.Fatal>}.
"""

from __future__ import annotations

from dataclasses import dataclass

from txmta.admin.common import Fatal
from txmta.config.master_lines import COLUMNS, MasterLine

ANY = "*"


@dataclass
class Pattern:
    """
    @ivar text: as given.
    @ivar parts: service, type, and a column or parameter if there can be one.
    @ivar matched: how many entries, or parts of these, it has matched.
    """

    text: str
    parts: tuple[str, ...]
    matched: int = 0

    def matches(self, name: str, kind: str) -> bool:
        return self.parts[0] in (ANY, name) and self.parts[1] in (ANY, kind)

    def is_of(self, entry: MasterLine) -> bool:
        return self.matches(entry.name, entry.kind)

    @property
    def last(self) -> str:
        return self.parts[-1]


def pattern(text: str, least: int, most: int, usage: str, given: str = "") -> Pattern:
    """
    @param text: C{name}, C{name/type} or C{name/type/what}.
    @param least: how many parts must be there.
    @param most: how many can be; those that are not are C{*}.
    @param given: what messages quote.
    @raise Fatal: with C{usage}, if it is no such pattern.
    """
    parts = [part for part in text.split("/") if part]
    if text.startswith("/") or not least <= len(parts) <= most:
        raise Fatal(usage)
    parts += [ANY] * (most - len(parts))
    return Pattern(given or text, tuple(parts))


def column(name: str) -> int | None:
    """
    @return: which column of master.cf; L{None} for all.
    @raise Fatal: there is no such column.
    """
    if name == ANY:
        return None
    if name not in COLUMNS:
        raise Fatal(f'invalid service attribute name: "{name}"')
    return COLUMNS.index(name)
