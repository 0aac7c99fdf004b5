"""
Change the text that a table is made of, as little as possible.

C{hash:} tables are their text: what C{postmap -i} adds and C{postmap -d} takes out
is a line there. All other lines, comments too, stay as they are.

Owns: which lines an entry has.
Knows nothing of: files.

Errors: none.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from txmta.maps.text import BLANK, Entry, Warn

#: L{txmta.maps.text.postmap_entries}, or that of aliases.
Reader = Callable[[Iterable[tuple[int, str]], str, Warn], Iterator[Entry]]


def without(
    text: str, keys: Collection[str], read: Reader, fold: Callable[[str], str]
) -> tuple[str, set[str]]:
    """
    @param keys: folded.
    @return: the text without their entries; and the keys that had one.
    """
    lines = text.split("\n")
    found: set[str] = set()
    gone: set[int] = set()
    for numbers in _logical(lines):
        line = "".join(lines[n].rstrip("\r") for n in numbers)
        for _, key, _ in read([(0, line)], "", _ignore):
            if fold(key) in keys:
                found.add(fold(key))
                gone.update(numbers)
    kept = (line for n, line in enumerate(lines) if n not in gone)
    return "\n".join(kept), found


def with_lines(text: str, lines: Iterable[str]) -> str:
    """
    @return: the text, and these lines behind it.
    """
    if text and not text.endswith("\n"):
        text += "\n"
    return text + "".join(f"{line}\n" for line in lines)


def _logical(lines: list[str]) -> Iterator[list[int]]:
    """
    @return: places of the physical lines of each logical one, comments and
        empty lines left out.
    """
    numbers: list[int] = []
    for n, line in enumerate(lines):
        bare = line.strip(BLANK)
        if not bare or bare[0] == "#":
            continue
        if line[0] in BLANK and numbers:
            numbers.append(n)
            continue
        if numbers:
            yield numbers
        numbers = [n]
    if numbers:
        yield numbers


def _ignore(_: str) -> None:
    """
    The server tells when it reads the text.
    """
