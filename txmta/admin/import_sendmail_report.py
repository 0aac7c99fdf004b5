"""
How the report of an import looks.

Owns: the table for people, and the JSON.
Knows nothing of: Sendmail.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from txmta.admin.import_sendmail_plan import Line, Result

_WIDTH = 44


def as_table(
    lines: Sequence[Line], output: str | None, files: Mapping[str, str]
) -> Iterator[str]:
    """
    One line for each of Sendmail's, in the order of its files; main.cf, if it
    is not written.
    """
    where = [_where(line) for line in lines]
    width = max(map(len, where), default=0)
    for line, place in zip(lines, where, strict=True):
        text = _plain(line.source.text)
        if len(text) > _WIDTH:
            text = f"{text[: _WIDTH - 3]}..."
        told = _plain(": ".join(filter(None, (line.target, line.note))))
        result = line.result.value
        yield (
            f"{place:<{width}}  {result:<16}  {text:<{_WIDTH}}  {told}".rstrip() + "\n"
        )
    count = Counter(line.result for line in lines)
    yield "\n" + ", ".join(f"{count[r]} {r.value}" for r in Result) + "\n"
    if output is None:
        yield f"Nothing was written: --output writes {', '.join(files)}\n"
        yield f"\n{files['main.cf']}"
    else:
        yield f"Written to {output}: {', '.join(files)}\n"


def as_json(
    lines: Sequence[Line], output: str | None, files: Mapping[str, str]
) -> Iterator[str]:
    """
    The same as one JSON object, with the text of each file.
    """
    count = Counter(line.result for line in lines)
    report = {
        "output": output,
        "files": dict(files),
        "count": {r.value: count[r] for r in Result},
        "lines": [
            {
                "file": line.source.file,
                "line": line.source.line,
                "text": line.source.text,
                "result": line.result.value,
                "target": line.target,
                "note": line.note,
            }
            for line in lines
        ],
    }
    yield json.dumps(report, indent=1) + "\n"


def _plain(text: str) -> str:
    """
    @return: what gives a terminal no orders.
    """
    return "".join(c if c.isprintable() else "?" for c in text.replace("\t", " "))


def _where(line: Line) -> str:
    source = line.source
    file = _plain(source.file)
    return f"{file}:{source.line}" if source.line else file
