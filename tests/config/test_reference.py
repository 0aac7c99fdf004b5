"""
Tests of the reference of parameters.
"""

from __future__ import annotations

import re
import tempfile
from html.parser import HTMLParser
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import txmta
from txmta.config.declare import declared
from txmta.config.parameters.every import later
from txmta.config.reference import documents, status_of, topics, write
from txmta.config.reference_html import Entry, Section, searchable
from txmta.config.settings import FAMILIES, Settings

DOCS = Path(txmta.__file__).parents[1] / "docs"


class Tags(HTMLParser):
    """
    What a page is made of.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.articles: dict[str, str] = {}
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag in ("article", "section", "main", "p", "h3", "a", "code"):
            self.open.append(tag)
        if tag == "article":
            self.articles[found["id"]] = found["data-status"]
        self.links += [found[a] for a in ("href", "src") if a in found]

    def handle_endtag(self, tag: str) -> None:
        if self.open and tag in ("article", "section", "main", "p", "h3", "a", "code"):
            assert self.open.pop() == tag


class ReferenceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.made = documents()
        self.names = sorted([*Settings.names(), *later()])

    def test_complete(self) -> None:
        """
        Every parameter has its entry on one page, and a line in the index, with
        its status, that leads there.
        """
        entries: dict[str, str] = {}
        for path, text in self.made.items():
            if path.startswith("reference/"):
                for name in re.findall(r"^## (.+)$", text, re.MULTILINE):
                    self.assertNotIn(name, entries)
                    entries[name] = path
        self.assertEqual(sorted(entries), self.names)
        index = self.made["parameters.md"].splitlines()
        rows = [line for line in index if line.startswith("| [")]
        status = {p.name: status_of(p) for t in topics() for p in t.parameters}
        self.assertEqual(
            rows,
            [f"| [{n}]({entries[n]}#{n.lower()}) | {status[n]} |" for n in self.names],
        )
        self.assertEqual(len(rows), len(self.names))

    def test_status(self) -> None:
        """
        What stops the start says so.
        """
        self.assertEqual(
            {status_of(p).partition(",")[0] for p in declared(Settings)},
            {p.status.value for p in declared(Settings)},
        )
        for parameter in later().values():
            stops = parameter.effect.stops and parameter.status.value == "not-yet"
            if stops:
                self.assertEqual(status_of(parameter), "not-yet, stops the start")

    def test_families(self) -> None:
        """
        The page of each transport's parameters has every suffix and default.
        """
        page = self.made["reference/families.md"]
        for suffix, default in FAMILIES.items():
            self.assertIn(f"_{suffix}; without it, {default} counts", page)

    def test_titles(self) -> None:
        """
        No two topics have the same title.
        """
        titles = [topic.title for topic in topics()]
        self.assertEqual(len(titles), len(set(titles)))

    def test_size(self) -> None:
        """
        No page is longer than 1,000 lines, but for the index of as many names.
        """
        for path, text in self.made.items():
            if path.startswith("reference/"):
                self.assertLess(text.count("\n"), 1000, path)

    def test_current(self) -> None:
        """
        The files in docs/ say what the declarations say; if not: C{make docs}.
        """
        stale = [
            name
            for name, text in self.made.items()
            if not (DOCS / name).exists() or (DOCS / name).read_text("utf-8") != text
        ]
        there = {f"reference/{p.name}" for p in (DOCS / "reference").glob("*.md")}
        stale += sorted(there - set(self.made))
        self.assertEqual(stale, [], "out of date: run make docs, and commit all of it")


class WriteTests(SynchronousTestCase):
    def test_pages_of_no_topic(self) -> None:
        """
        Writing removes pages of topics that are no more, and leaves what is
        as it should be.
        """
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write(folder)
            old, kept = folder / "reference/old.md", folder / "reference/smtpd.md"
            old.write_text("# Gone\n")
            before = kept.stat().st_mtime_ns
            write(folder)
            self.assertFalse(old.exists())
            self.assertEqual(kept.stat().st_mtime_ns, before)
            found = {str(p.relative_to(folder)) for p in folder.rglob("*.*")}
        self.assertEqual(found, set(documents()))


class SearchPageTests(SynchronousTestCase):
    def test_complete(self) -> None:
        """
        The page has every parameter with its status, in well-formed HTML.
        """
        tags = Tags(documents()["reference.html"])
        self.assertEqual(tags.open, [])
        status = {p.name: status_of(p) for t in topics() for p in t.parameters}
        self.assertEqual(tags.articles, status)

    def test_self_contained(self) -> None:
        """
        It loads nothing, and its links lead to parameters of its own.
        """
        page = documents()["reference.html"]
        tags = Tags(page)
        for link in tags.links:
            self.assertIn(link.removeprefix("#"), tags.articles)
        self.assertNotRegex(page, r"@import|url\(|fetch\(|https?://")

    def test_escaped(self) -> None:
        """
        Nothing in a declaration is taken for HTML.
        """
        entry = Entry("a_b", "text", "honoured", "<&>", True, "a <b> & c_d", "Note", "")
        other = Entry("c_d", "text", "not-yet, stops the start", "", False, "", "", "x")
        page = searchable([Section("s", "A & B <C>", [entry, other])])
        self.assertIn("<code>&lt;&amp;&gt;</code>", page)
        self.assertIn('<p>a &lt;b&gt; &amp; <a href="#c_d">c_d</a></p>', page)
        self.assertIn("<h2>A &amp; B &lt;C&gt;</h2>", page)
        self.assertIn('class="status not-yet"', page)
