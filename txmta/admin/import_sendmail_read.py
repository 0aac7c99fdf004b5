"""
Read the lines of Sendmail's files: tables, lists of words, aliases.

Owns: what a line of each is; what no table can have.
Knows nothing of: files, what any line means.

Sources: Sendmail's makemap(8), aliases(5), cf/README (classes from files).

Errors: none; each line that cannot be used is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from txmta.admin.import_sendmail_plan import Plan, Source
from txmta.maps.text import logical_lines, read_aliases

#: Characters of one line. Ours.
MAX_LINE = 65_536

#: What may be on the right of one: passwords are not shown.
_SECRET = re.compile(r"(AuthInfo:\S*)\s.*", re.IGNORECASE)

#: A command of an alias that is not a whole path.
_SHORT_COMMAND = re.compile(r'(?:^|,)\s*"?\|\s*"?(?!exec\b)[^/\s]')

_SHOWN = 200


def table(plan: Plan, file: str, text: str) -> Iterator[Source]:
    """
    @return: entries of the text that makemap is given.
    """
    for number, line in _lines(plan, file, text):
        if not line.strip() or line.startswith("#"):
            continue
        source = Source(file, number, _shown(line))
        key, _, value = re.sub(r"\s+", " ", line, count=1).partition(" ")
        if line[0].isspace():
            plan.lost(source, "it begins with white space, and makemap refuses it")
        elif not value.strip():
            plan.lost(source, "it has no value, and makemap refuses it")
        else:
            secret = _SECRET.match(line)
            value = "..." if secret else value.strip()
            yield Source(file, number, _shown(line), key, value)


def words(plan: Plan, file: str, text: str) -> Iterator[Source]:
    """
    @return: the first word of each line.
    """
    for number, line in _lines(plan, file, text):
        first, *rest = line.partition("#")[0].split() or [""]
        if not first:
            continue
        yield Source(file, number, _shown(line), first)
        if rest:
            source = Source(file, number, _shown(line))
            plan.lost(source, "only the first word of a line counts for Sendmail")


def aliases(plan: Plan, file: str, text: str) -> None:
    """
    To alias_maps: much the same.
    """
    clean = "\n".join(
        line if number in good else ""
        for good in [dict(_lines(plan, file, text))]
        for number, line in enumerate(text.split("\n"), 1)
    )
    for number, line in logical_lines(clean):
        source = Source(file, number, _shown(line))
        said: list[str] = []
        found = read_aliases(line, file, said.append)
        for name, value in found.items():
            _alias(plan, source, name, " ".join(value.split()))
        if said:
            plan.lost(source, said[0].partition(": ")[2])


def _alias(plan: Plan, source: Source, name: str, value: str) -> None:
    if "*" in name:
        plan.lost(source, "Postfix knows no wildcards there: see recipient_delimiter")
    elif name in plan.aliases:
        plan.lost(source, f"{name} is there already, and the first one counts")
    else:
        plan.aliases[name] = value
        short = _SHORT_COMMAND.search(value)
        note = "give the whole path of the command: there is no smrsh" if short else ""
        plan.carried(source, f"aliases: {name}", note)


def _lines(plan: Plan, file: str, text: str) -> Iterator[tuple[int, str]]:
    """
    @return: numbered lines, without those that nothing here can have.
    """
    for number, line in enumerate(text.split("\n"), 1):
        line = line.rstrip("\r")
        source = Source(file, number, _shown(line))
        strange = re.search(r"[\udc80-\udcff]", line)
        if line.startswith("#"):
            continue
        if strange:
            octet = ord(strange[0]) - 0xDC00
            column = strange.start() + 1
            plan.lost(source, f"octet 0x{octet:02x} at column {column} is not UTF-8")
        elif re.search(r"[\x00-\x08\x0b-\x1f\x7f]", line):
            plan.lost(source, "it has control characters")
        elif len(line) > MAX_LINE:
            plan.lost(source, f"it is longer than {MAX_LINE} characters")
        else:
            yield number, line


def _shown(line: str) -> str:
    line = _SECRET.sub(r"\1 ...", line)
    line = re.sub(r"[\x00-\x1f\x7f\udc80-\udcff]", "?", line.replace("\t", " "))
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
