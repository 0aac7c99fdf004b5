"""
The page to search all parameters in: one file, which needs nothing else.

Owns: the form of the page; its style and its script are in reference.html.
Knows nothing of: declarations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files


@dataclass(frozen=True)
class Entry:
    """
    What is said of one parameter.

    @ivar literal: the default is a value, and not words about it.
    @ivar label: of the note.
    """

    name: str
    kind: str
    status: str
    default: str
    literal: bool
    doc: str
    label: str
    note: str


@dataclass(frozen=True)
class Section:
    """
    A topic.
    """

    slug: str
    title: str
    entries: Sequence[Entry]


def searchable(sections: Sequence[Section]) -> str:
    """
    @return: the page.
    """
    names = {entry.name for section in sections for entry in section.entries}
    linked = _linker(names)
    statuses = sorted({e.status for section in sections for e in section.entries})
    parts = {
        "@COUNT@": str(len(names)),
        "@STATUSES@": "\n".join(_option(s, s) for s in statuses),
        "@TOPICS@": "\n".join(_option(s.slug, s.title) for s in sections),
        "@ENTRIES@": "\n".join(
            line for section in sections for line in _section(section, linked)
        ),
    }
    template = files(__package__).joinpath("reference.html").read_text("utf-8")
    return re.sub("|".join(parts), lambda m: parts[m[0]], template)


def _option(value: str, text: str) -> str:
    return f'<option value="{escape(value)}">{escape(text)}</option>'


def _linker(names: set[str]) -> Callable[[str, str], str]:
    """
    @return: makes HTML of a text, in which names of other parameters are links;
        its second argument is the name that the text belongs to.
    """

    def linked(text: str, own: str) -> str:
        def link(match: re.Match[str]) -> str:
            name = match[0]
            if name == own or name not in names:
                return name
            return f'<a href="#{name}">{name}</a>'

        # Words with an underscore: "setgid_group", not "relayhost" in a sentence.
        return re.sub(r"(?<![\w&#-])\w+_\w+(?![\w-])", link, escape(text, quote=False))

    return linked


def _section(section: Section, linked: Callable[[str, str], str]) -> Iterator[str]:
    title = escape(section.title)
    yield f'<section data-topic="{section.slug}"><h2>{title}</h2>'
    # One line each: a changed parameter is a changed line.
    for entry in section.entries:
        yield _article(entry, linked)
    yield "</section>"


def _article(entry: Entry, linked: Callable[[str, str], str]) -> str:
    name, status = entry.name, escape(entry.status)
    default = linked(entry.default, name)
    if entry.literal:
        default = f"<code>{default}</code>"
    note = ""
    if entry.note:
        note = f'<p class="note">{entry.label}: {linked(entry.note, name)}</p>'
    return (
        f'<article id="{name}" data-status="{status}">'
        f'<h3><a href="#{name}">{name}</a> '
        f'<span class="status {status.partition(",")[0]}">{status}</span></h3>'
        f'<p class="default">{escape(entry.kind)}; default: {default}</p>'
        f"<p>{linked(entry.doc, name)}</p>{note}</article>"
    )
