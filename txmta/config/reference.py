"""
The reference of all parameters, from their declarations: a page for each topic,
an index of all names, and one page to search in.

C{make docs}, or C{python -m txmta.config.reference docs}, writes all of it. Without
a folder it writes the pages beside the package, and the index, which is
docs/parameters.md, to standard output.

Owns: which topics there are, the form of the pages in Markdown.
Knows nothing of: any parameter; the page to search in
    (L{txmta.config.reference_html}).
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from txmta.config.declare import Parameter, Status
from txmta.config.later import Later
from txmta.config.parameters.every import GROUPS
from txmta.config.postfix import DANGEROUS
from txmta.config.reference_html import Entry, Section, searchable
from txmta.config.settings import Settings

#: The longest title, in characters.
_TITLE = 80

INDEX, SEARCH, FOLDER = "parameters.md", "reference.html", "reference"

_MADE = """\
Made by `make docs` from the declarations in `txmta/config/parameters/`; do not edit.
"""

_INTRODUCTION = f"""\
# Parameters of main.cf

{_MADE}
Names, values and defaults are those of Postfix. All on one page, to search in: open
[{SEARCH}]({SEARCH}) in a browser.

- [Topics](#topics) · [Status](#status) · [All names](#all-names)
"""

_STATUS = """\
## Status

What txmta does with a parameter:

| status | meaning |
| --- | --- |
| honoured | as in Postfix |
| approximated | honoured, with the difference that the note says |
| no-effect | accepted; nothing here depends on it, the note says why |
| not-yet | not there yet. Set to another value than its default, it is ignored \
with a warning, or refuses the start if ignoring it could admit, expose, lose or \
misroute mail; where the latter, "stops the start" stands beside the status |
| refused | refuses the start when set to another value than its default |
| obsolete | ignored |

A name that is neither a parameter nor used by another value is a warning with the
nearest known name.
"""


@dataclass(frozen=True)
class Topic:
    """
    What is declared in one module.

    @ivar slug: the name of its page.
    """

    slug: str
    title: str
    parameters: Sequence[Parameter[Any]]


def topics() -> Sequence[Topic]:
    """
    @return: all of them, in the order of the settings.
    """
    found: dict[str, list[Parameter[Any]]] = {}
    for group in _groups():
        own = [p for p in vars(group).values() if isinstance(p, Parameter)]
        if own:
            found.setdefault(group.__module__, []).extend(own)
    return [
        Topic(
            module.rpartition(".")[2].replace("_", "-"),
            _title(module),
            sorted(parameters, key=lambda p: p.name),
        )
        for module, parameters in found.items()
    ]


def documents() -> Mapping[str, str]:
    """
    @return: text of every file, by its path below docs/.
    """
    every = topics()
    return {
        INDEX: "\n".join(_index(every)),
        SEARCH: searchable([_section(topic) for topic in every]),
        **{f"{FOLDER}/{t.slug}.md": "\n".join(_page(t)) for t in every},
    }


def entries() -> Iterator[Entry]:
    """
    @return: what is said of each parameter.
    """
    for topic in topics():
        yield from map(_entry, topic.parameters)


def status_of(parameter: Parameter[Any]) -> str:
    """
    @return: its status in words.
    """
    stops = parameter.name in DANGEROUS or (
        isinstance(parameter, Later) and parameter.effect.stops
    )
    if stops and parameter.status is Status.NOT_YET:
        return f"{parameter.status.value}, stops the start"
    return parameter.status.value


def write(folder: Path, but: str = "") -> None:
    """
    Write all files that are not as they should be, and remove pages of topics
    that are no more.

    @param but: not this one.
    """
    made = documents()
    (folder / FOLDER).mkdir(exist_ok=True)
    for path in (folder / FOLDER).glob("*.md"):
        if f"{FOLDER}/{path.name}" not in made:
            path.unlink()
    for name, text in made.items():
        path = folder / name
        if name != but and (not path.exists() or path.read_text("utf-8") != text):
            path.write_text(text, "utf-8")


def _groups() -> Iterator[type]:
    """
    @return: the classes that declare, in the order of the settings.
    """
    seen: set[type] = set()
    for base in Settings.__bases__:
        for group in reversed(base.__mro__):
            if group not in seen:
                seen.add(group)
                yield group
    yield from GROUPS


def _title(module: str) -> str:
    """
    @return: the first sentence of a module, without what is said of its status.
    """
    first = (inspect.getdoc(sys.modules[module]) or "").partition("\n\n")[0]
    first = " ".join(first.split()).rstrip(".")
    first = re.sub(
        r"(?:: what|,? (?:which|that) (?:is|are))\b.* not there yet$", "", first
    )
    return first if len(first) <= _TITLE else first.partition(":")[0]


def _index(every: Sequence[Topic]) -> Iterator[str]:
    yield _INTRODUCTION
    yield "## Topics\n"
    for topic in every:
        count = len(topic.parameters)
        yield f"- [{topic.title}]({FOLDER}/{topic.slug}.md) ({count})"
    yield f"\n{_STATUS}"
    yield "## All names\n"
    yield "| parameter | status |"
    yield "| --- | --- |"
    for name, slug, status in sorted(
        (p.name, topic.slug, status_of(p)) for topic in every for p in topic.parameters
    ):
        yield f"| [{name}]({FOLDER}/{slug}.md#{name.lower()}) | {status} |"
    yield ""


def _page(topic: Topic) -> Iterator[str]:
    yield f"# {topic.title}\n"
    yield _MADE
    yield f"[All parameters](../{INDEX}) · [what a status means](../{INDEX}#status)\n"
    for parameter in topic.parameters:
        entry = _entry(parameter)
        default = f"`{entry.default}`" if entry.literal else entry.default
        yield f"## {entry.name}\n"
        yield f"{entry.kind}, {entry.status}; default: {default}\n"
        yield f"{_escaped(entry.doc)}\n"
        if entry.note:
            yield f"{entry.label}: {_escaped(entry.note)}\n"


def _escaped(text: str) -> str:
    r"""
    @return: Markdown that shows what C{text} says, were it C{<a>} or C{\n}.
    """
    return re.sub(r"[\\<*`\[]", r"\\\g<0>", text)


def _section(topic: Topic) -> Section:
    return Section(topic.slug, topic.title, [_entry(p) for p in topic.parameters])


def _entry(parameter: Parameter[Any]) -> Entry:
    default = parameter.default
    literal = isinstance(default, str) and bool(default)
    computed = "empty" if isinstance(default, str) else "computed from the machine"
    return Entry(
        parameter.name,
        parameter.kind,
        status_of(parameter),
        str(default) if literal else computed,
        literal,
        parameter.doc,
        "Difference" if parameter.status is Status.APPROXIMATED else "Note",
        parameter.note,
    )


def main(arguments: Sequence[str]) -> None:
    """
    @param arguments: the folder to write to, or none.
    """
    if arguments:
        write(Path(arguments[0]))
        return
    folder = Path(__file__).parents[2] / "docs"
    sys.stdout.write(documents()[INDEX])
    if not folder.is_dir():
        return  # installed, and not a checkout
    write(folder, INDEX)
    print(
        f"also written: {folder / FOLDER}/ and {folder / SEARCH}: commit them, too",
        file=sys.stderr,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
