"""
The documents: links lead somewhere, names exist, quotations are true.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import txmta
from txmta.config.postfix import defaults
from txmta.config.settings import FAMILIES, Settings

ROOT = Path(txmta.__file__).parents[1]
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
QUOTE = re.compile(
    r"^<!-- from (\S+) -->\n```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
#: C{name = value} at the start of a line or of a code span.
PARAMETER = re.compile(r"(?:^|`)([a-z][a-z0-9_]*) =(?: |$)", re.MULTILINE)
SPAN = re.compile(r"`[^`\n]+`")


def below_docs() -> Iterator[Path]:
    yield from (ROOT / "docs").glob("*.md")
    yield from (ROOT / "docs" / "reference").glob("*.md")


def documents() -> Iterator[tuple[Path, str]]:
    for path in (ROOT / "README.md", *sorted(below_docs())):
        yield path, path.read_text("utf-8")


def code(text: str, language: str) -> Iterator[str]:
    """
    @return: the code spans of a document, and its blocks of one language.
    """
    yield from SPAN.findall(FENCE.sub("", text))
    for block in FENCE.findall(text):
        if block.partition("\n")[0] == f"```{language}":
            yield block


@cache
def anchors(path: Path) -> set[str]:
    """
    @return: what GitHub makes of headings.
    """
    text = path.read_text("utf-8")
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in HEADING.findall(FENCE.sub("", text))
    }


class DocumentTests(SynchronousTestCase):
    def test_links(self) -> None:
        """
        Each link to a file, or to a heading in it, leads somewhere.
        """
        for path, text in documents():
            for link in LINK.findall(FENCE.sub("", text)):
                if re.match(r"https?://", link):
                    continue
                name, _, anchor = link.partition("#")
                target = path.parent / name if name else path
                self.assertTrue(target.exists(), f"{path.name}: {link}")
                if anchor:
                    self.assertIn(anchor, anchors(target), f"{path.name}: {link}")

    def test_index(self) -> None:
        """
        docs/README.md names each document.
        """
        named = set(LINK.findall((ROOT / "docs" / "README.md").read_text("utf-8")))
        there = {path.name for path in (ROOT / "docs").glob("*.md")}
        self.assertEqual(there - named, {"README.md"})

    def test_targets(self) -> None:
        """
        Each C{make} target that is named exists.
        """
        makefile = (ROOT / "Makefile").read_text()
        targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
        named: set[str] = set()
        for _path, text in documents():
            for piece in code(text, "sh"):
                for line in piece.splitlines():
                    command = line.strip("`").partition("#")[0].strip()
                    if command.startswith("make "):
                        named |= set(command.split()[1:])
        named = {n for n in named if "=" not in n}
        self.assertTrue(named)
        self.assertEqual(named - targets, set())

    def test_parameters(self) -> None:
        """
        Each main.cf parameter that is given a value is one of ours or of
        Postfix's, or of one of its families.
        """
        known = {*Settings.names(), *defaults()}
        count = 0
        for path, text in documents():
            if path.name == "tables-databases.md":
                continue  # settings of tables, which are not main.cf's
            for piece in code(text, ""):
                for name in PARAMETER.findall(piece):
                    count += 1
                    if any(name.endswith(f"_{suffix}") for suffix in FAMILIES):
                        continue
                    self.assertIn(name, known, path.name)
        self.assertGreater(count, 20)

    def test_quotations(self) -> None:
        """
        Code that a document quotes from a file stands in it like that.
        """
        count = 0
        for path, text in documents():
            for name, quoted in QUOTE.findall(text):
                count += 1
                source = (path.parent / name).read_text("utf-8")
                self.assertIn(quoted, source, f"{path.name}: {name}")
        self.assertGreater(count, 3)
