"""
Explanations as text for people, and the differences between two.

Owns: how they look.
Knows nothing of: how they came about.

Errors: none.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence

from txmta.explain.answer import Explanation
from txmta.explain.trace import Row

#: What could move the cursor of a terminal.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def safe(text: str) -> str:
    return _CONTROL.sub("?", text.encode("utf-8", "replace").decode())


def _rows(rows: Sequence[Row]) -> Iterator[str]:
    """
    A table: what was asked, and the answers in a column.
    """
    left = [_left(row) for row in rows]
    width = min(max(map(len, left), default=0), 60)
    for what, row in zip(left, rows, strict=True):
        yield f"  {what:<{width}}  {row.answer}".rstrip()


def _left(row: Row) -> str:
    if row.kind == "list":
        return row.what
    if row.kind == "restriction":
        return f"  {row.what}"
    return f"    {row.what} {row.key or '<>'}"


def _sections(found: Explanation) -> Iterator[tuple[str, list[str]]]:
    question = found.question
    yield (
        "question",
        [
            f"  client     {found.client}",
            f"  helo       {question.helo}",
            *([f"  login      {question.login}"] if question.login else []),
            f"  sender     <{question.sender}>",
            f"  recipient  <{question.recipient}>",
            f"  service    {found.service}",
        ],
    )
    for stage in found.stages:
        lines = list(_rows(stage.rows))
        if stage.reply:
            lines.append(f"  -> {stage.reply}")
        yield f"at {stage.name}", lines
    if found.rewriting:
        yield "addresses", [f"  {step}: {value}" for step, value in found.rewriting]
    if found.destinations:
        places = [
            f"  <{each.address}>  class {each.address_class}, transport "
            f"{each.transport}, next hop {each.nexthop or 'none'}"
            + (f", TLS {each.tls}" if each.tls else "")
            for each in found.destinations
        ]
        yield "delivery", [*places, *_rows(found.routing)]
    if found.log:
        yield "log", [f"  {line}" for line in found.log]
    where = f"refused at {found.refused_at}" if found.refused_at else "accepted"
    yield "verdict", [f"  {where}: {found.reply}"]


def lines(found: Explanation) -> list[str]:
    """
    @return: what people read, without line ends.
    """
    out: list[str] = []
    for title, text in _sections(found):
        out += [title, *text, ""]
    return [safe(line) for line in out[:-1]]


def as_text(found: Explanation) -> str:
    return "\n".join(lines(found)) + "\n"


def differences(before: Explanation, after: Explanation) -> list[str]:
    """
    @return: nothing if both say the same; else a unified diff of what each says.
    """
    return list(
        difflib.unified_diff(
            lines(before), lines(after), "before", "after", lineterm="", n=2
        )
    )
