"""
The report for people, and for programs.

Owns: the form of both.
Knows nothing of: how anything is judged.

Errors: none.
"""

from __future__ import annotations

import json
import posixpath
import re
import textwrap
from collections.abc import Iterator, Sequence

from txmta.report.items import DIFFERS, SAME, STOPS, Item, Kind, Report, Verdict

_TITLES = {
    Verdict.WRONG: "Cannot be used as it is",
    Verdict.REFUSED: "Refused",
    Verdict.NOT_YET: "Not there yet",
    Verdict.UNKNOWN: "Unknown",
    Verdict.APPROXIMATED: "Approximated: as in Postfix, but for what is said",
    Verdict.NO_EFFECT: "No effect: nothing here depends on it",
    Verdict.OBSOLETE: "Obsolete",
    Verdict.HONOURED: "Honoured",
}

_KINDS = {
    Kind.PARAMETER: ("parameter", "parameters"),
    Kind.OVERRIDE: ("-o override", "-o overrides"),
    Kind.TABLE: ("table", "tables"),
    Kind.RESTRICTION: ("restriction", "restrictions"),
    Kind.SERVICE: ("service", "services"),
    Kind.ARGUMENT: ("argument of a service", "arguments of services"),
}

_ENDS = {
    SAME: "txmta would start, and treat mail as Postfix does with these files.",
    STOPS: 'txmta would not start: mend what is marked with "!".',
    DIFFERS: "txmta would start, but what is not there yet or unknown is ignored.",
}

#: Columns of a line, and of its parts.
_WIDTH, _PLACE, _NAME = 100, 16, 44


def table(report: Report, everything: bool = True) -> str:
    """
    @param everything: also what is honoured.
    """
    return "\n".join([*_table(report, everything), ""])


def _table(report: Report, everything: bool) -> Iterator[str]:
    yield f"{report.path}: what becomes of it under txmta"
    folder = f"{posixpath.dirname(report.path)}/"
    problems = [text.replace(folder, "") for text in report.problems]
    yield from _texts("Stops the start", "!", problems)
    for verdict, title in _TITLES.items():
        if verdict is Verdict.HONOURED and not everything:
            continue
        items = [item for item in report.items if item.verdict is verdict]
        if items:
            yield f"\n{title} ({len(items)})"
            for item in items:
                yield from _entry(item)
    warnings = [text.replace(folder, "") for text in report.warnings]
    yield from _texts("The log would say", " ", warnings)
    yield ""
    yield from _summary(report)


def _texts(title: str, mark: str, texts: Sequence[str]) -> Iterator[str]:
    if texts:
        yield f"\n{title} ({len(texts)})"
        for text in texts:
            yield from textwrap.wrap(
                text, _WIDTH, initial_indent=f"{mark} ", subsequent_indent="    "
            )


def _entry(item: Item) -> Iterator[str]:
    mark = "!" if item.stops else " "
    place = ", ".join(short(place) for place in item.places[:1])
    if len(item.places) > 1:
        place += f" +{len(item.places) - 1}"
    what = _what(item)
    line = f"{mark} {place:<{_PLACE}} {what:<{_NAME}}"
    room = _WIDTH - len(line) - 1
    if not item.why:
        yield line.rstrip()
    elif len(what) <= _NAME and len(item.why) <= room:
        yield f"{line} {item.why}"
    else:
        yield line.rstrip()
        indent = " " * (_PLACE + 7)
        yield from textwrap.wrap(
            item.why,
            _WIDTH,
            initial_indent=indent,
            subsequent_indent=indent,
            break_on_hyphens=False,
        )


def _what(item: Item) -> str:
    value = textwrap.shorten(item.value, 60, placeholder=" ...")
    if item.kind in (Kind.PARAMETER, Kind.OVERRIDE):
        return f"{item.name} = {value}".rstrip()
    if item.kind in (Kind.SERVICE, Kind.ARGUMENT):
        return f"{item.name}: {value}"
    return textwrap.shorten(item.name, 70, placeholder=" ...")


def short(place: str) -> str:
    """
    @param place: C{"/etc/postfix/main.cf, line 12"}.
    @return: C{"main.cf 12"}.
    """
    match = re.fullmatch(r"(?:.*/)?([^/]+), line (\d+)", place)
    return f"{match[1]} {match[2]}" if match else place


def _summary(report: Report) -> Iterator[str]:
    kinds = []
    for kind, (one, many) in _KINDS.items():
        number = sum(item.kind is kind for item in report.items)
        if number:
            kinds.append(f"{number} {one if number == 1 else many}")
    verdicts = [
        f"{number} {_word(verdict)}" for verdict, number in report.counts().items()
    ]
    stops = len(report.problems) + sum(item.stops for item in report.items)
    yield ", ".join(kinds) + ":"
    yield f"{', '.join(verdicts)}; {stops or 'none'} would stop the start."
    yield _ENDS[report.status]


def _word(verdict: Verdict) -> str:
    return {Verdict.NO_EFFECT: "without effect", Verdict.NOT_YET: "not yet"}.get(
        verdict, verdict.value
    )


def as_json(report: Report) -> str:
    """
    @return: the same for programs; C{docs/migration.md} has the fields.
    """
    value = {
        "main_cf": report.path,
        "status": report.status,
        "counts": {verdict.value: n for verdict, n in report.counts().items()},
        "items": [_plain(item) for item in report.items],
        "problems": list(report.problems),
        "warnings": list(report.warnings),
    }
    return json.dumps(value, indent=1) + "\n"


def _plain(item: Item) -> dict[str, object]:
    return {
        "kind": item.kind.value,
        "name": item.name,
        "value": item.value,
        "places": list(item.places),
        "status": item.verdict.value,
        "stops": item.stops,
        "why": item.why,
    }
