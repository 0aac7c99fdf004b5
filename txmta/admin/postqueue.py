"""
C{postqueue}: list the queue, and have deferred mail tried at once.

Owns: the words and options of the command; where a listing comes from: the
    running server, or else the files of the queue, page by page.
Knows nothing of: sockets (L{txmta.admin.client}), files
    (L{txmta.admin.offline}), how a listing looks (L{txmta.admin.listing}).

Sources: Postfix's postqueue(1), C{postqueue/postqueue.c}.

Errors: one line on standard error; exit status as Postfix's.
"""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Iterator, Sequence
from typing import Protocol

from txmta.admin.client import Down, ask
from txmta.admin.common import (
    EX_SOFTWARE,
    EX_UNAVAILABLE,
    Fatal,
    Tool,
    main_cf,
    valid_queue_id,
    write,
)
from txmta.admin.listing import as_json, for_people
from txmta.queue.listed import Listed, entries
from txmta.queue.public_wire import MAX_SITE, QMGR, SHOWQ, BadAnswer, Request

USAGE = (
    "postqueue -f | postqueue -i queueid | postqueue -j | postqueue -p | "
    "postqueue -s site"
)

#: Listed in this order, as with Postfix; what is corrupt is not.
LISTED = ("maildrop", "incoming", "active", "deferred", "hold")

_DOWN = "mail system is down"
_CANNOT_FLUSH = "Cannot flush mail queue"

_HOST = re.compile(r"(?!-)[\w-]{1,63}(?<!-)(?:\.(?!-)[\w-]{1,63}(?<!-))*", re.ASCII)
_LITERAL = re.compile(r"\[(?:(ipv6):)?([0-9a-f:.]{2,45})\]", re.IGNORECASE)


class Source(Protocol):
    """
    Where a listing comes from.
    """

    def page(self, queue: str, after: str) -> tuple[Sequence[Listed], str]:
        """
        @param after: the last queue id of the page before.
        @return: a page, and C{after} of the next one, or C{""}.
        """


class Online:
    """
    The running server.
    """

    def __init__(self, queue_directory: str) -> None:
        self._directory = queue_directory

    def page(self, queue: str, after: str) -> tuple[Sequence[Listed], str]:
        """
        As L{Source.page}.

        @raise Down: there is none.
        """
        request = Request("list", queues=(queue,), after=after)
        *lines, end = ask(self._directory, SHOWQ, request)
        try:
            return list(entries(lines)), str(end.get("after", ""))
        except BadAnswer as e:
            raise Fatal("malformed showq server response", EX_SOFTWARE) from e


class Listing:
    """
    All that is in the queue.
    """

    def __init__(self, tool: Tool, folder: str) -> None:
        self._tool = tool
        self._folder = folder
        self._directory = main_cf(folder).text("queue_directory")
        self._source: Source = Online(self._directory)

    def entries(self) -> Iterator[Listed]:
        for queue in LISTED:
            after, more = "", True
            while more:
                page, after = self._page(queue, after)
                yield from page
                more = bool(after)

    def _page(self, queue: str, after: str) -> tuple[Sequence[Listed], str]:
        try:
            return self._source.page(queue, after)
        except Down as e:
            self._source = self._offline(str(e))
            return self._source.page(queue, after)

    def _offline(self, reason: str) -> Source:
        from txmta.admin.offline import OfflineListing, may_open

        if not may_open(self._directory):
            raise Fatal(
                f"Queue report unavailable - {_DOWN}: start it, or be root",
                EX_UNAVAILABLE,
            )
        self._tool.say(
            f"warning: Mail system is down -- accessing queue directly ({reason})"
        )
        return OfflineListing(self._folder, self._directory)


def flush(folder: str, request: Request) -> None:
    """
    @raise Fatal: there is no server, or it refuses.
    """
    try:
        ask(main_cf(folder).text("queue_directory"), QMGR, request)
    except Down as e:
        raise Fatal(
            f"{_CANNOT_FLUSH} - {_DOWN}: start it, and it tries what is due",
            EX_UNAVAILABLE,
        ) from e


def main(arguments: Sequence[str] | None = None, name: str = "postqueue") -> int:
    """
    @param name: of the command.
    @return: the exit status.
    """
    given = sys.argv[1:] if arguments is None else arguments
    tool = Tool(name, USAGE, EX_UNAVAILABLE)
    return tool.run(lambda: _run(tool, given))


def _run(tool: Tool, arguments: Sequence[str]) -> None:
    found, rest = tool.options(arguments, "c:fi:jps:v")
    folder = dict(found).get("c", "")
    modes = [(letter, value) for letter, value in found if letter not in "cv"]
    if len(modes) != 1 or rest:
        raise tool.misused()
    ((mode, value),) = modes
    if mode == "i" and not valid_queue_id(value):
        raise Fatal(f'Cannot flush queue ID - invalid name: "{value}"')
    if mode == "s" and not _valid_site(value):
        dots = "..." if len(value) > 100 else ""
        raise Fatal(f'{_CANNOT_FLUSH} - invalid destination: "{value[:100]}{dots}"')
    if mode in "pj":
        form = for_people if mode == "p" else as_json
        for text in form(Listing(tool, folder).entries()):
            write(text)
    elif mode == "f":
        flush(folder, Request("flush"))
    elif mode == "i":
        flush(folder, Request("flush", ids=(value,)))
    else:
        flush(folder, Request("flush", site=value))


def _valid_site(site: str) -> bool:
    if not site.startswith("["):
        return len(site) <= MAX_SITE and _HOST.fullmatch(site) is not None
    match = _LITERAL.fullmatch(site)
    if match is None:
        return False
    family = socket.AF_INET6 if match[1] else socket.AF_INET
    try:
        socket.inet_pton(family, match[2])
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
