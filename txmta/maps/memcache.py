"""
C{memcache:/file.cf}: what a memcached keeps, and a table behind it.

What the table behind has is put into the memcached. A memcached that is gone
or says nonsense is only "cannot say" if there is no table behind it.

Owns: the text protocol; which keys it can have; who is asked first.
Knows nothing of: connections.

Sources: Postfix's memcache_table(5), C{global/dict_memcache.c}; memcached's
protocol.txt.

Errors: L{ConfigError<txmta.errors.ConfigError>}: wrong settings.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn, cast

from twisted.internet.defer import Deferred
from twisted.plugin import IPlugin
from zope.interface import implementer

from txmta.errors import TableUnavailable
from txmta.interfaces import ITable, ITableType
from txmta.maps.client_file import ClientSettings
from txmta.maps.context import TableContext
from txmta.maps.database import DatabaseTable, Plan, plan_of, read_settings
from txmta.maps.server import Address, make_table, refuse_unsafe
from txmta.maps.statement import Statement
from txmta.maps.tcp import inet_address
from txmta.maps.templates import Parts, parse
from txmta.maps.wire import LIMIT, Answer, Reader

#: Octets of a key; a server takes none that is longer.
MAX_KEY = 250

_NAMES = (
    *("memcache", "backup", "flags", "ttl", "key_format", "domain"),
    *("data_size_limit", "line_size_limit", "max_try", "retry_pause", "timeout"),
)

_WHITE = re.compile(r"[\t-\r ]")
_VALUE = re.compile(rb"VALUE [^ ]+ [0-9]+ ([0-9]{1,9})(?: [0-9]+)?")


@dataclass(frozen=True)
class Limits:
    """
    @ivar flags: kept with what is put in.
    @ivar ttl: seconds for which it is kept.
    @ivar line: octets of a line.
    @ivar data: octets of a value.
    """

    flags: int = 0
    ttl: int = 3600
    line: int = 1024
    data: int = 10240


class MemcacheReader:
    """
    The answer to one C{get} or C{set}.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._buffer = b""

    def feed(self, data: bytes) -> Answer | None:
        self._buffer += data
        line, end, rest = self._buffer.partition(b"\r\n")
        if len(line) > self._limits.line:
            raise ValueError(f"a line is longer than {self._limits.line} octets")
        if not end:
            return None
        if (match := _VALUE.fullmatch(line)) is not None:
            return self._value(int(match[1]), rest)
        if rest:
            raise ValueError("more than one answer")
        if line in (b"END", b"STORED"):
            return Answer(None)
        if line.startswith((b"ERROR", b"SERVER_ERROR", b"CLIENT_ERROR")):
            return Answer(None, line.decode("utf-8", "replace"))
        raise ValueError(f"not an answer: {line[:40]!r}")

    def _value(self, size: int, rest: bytes) -> Answer | None:
        if size > self._limits.data:
            raise ValueError(f"a value is longer than {self._limits.data} octets")
        value, tail = rest[:size], rest[size:]
        end = b"\r\nEND\r\n"
        if not end.startswith(tail[: len(end)]) or len(tail) > len(end):
            raise ValueError("a value has no end")
        if len(tail) < len(end):
            return None
        if b"\0" in value:
            raise ValueError("a value has a NUL")
        return Answer(value.decode("utf-8", "surrogateescape"))


class MemcacheCodec:
    """
    A question is a key; to put something in, a key, a blank and the value.
    """

    hello = b""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def request(self, key: str) -> bytes | None:
        name, blank, value = key.partition(" ")
        octets = name.encode("utf-8", "surrogateescape")
        if not octets or len(octets) > MAX_KEY or _WHITE.search(name):
            return None
        if not blank:
            return b"get %s\r\n" % octets
        data = value.encode("utf-8", "surrogateescape")
        if len(data) > self._limits.data:
            raise ValueError("the value is too long to be kept")
        head = octets, self._limits.flags, self._limits.ttl, len(data), data
        return b"set %s %d %d %d\r\n%s\r\n" % head

    def reader(self, first: bool) -> Reader:
        return MemcacheReader(self._limits)


class MemcacheTable(DatabaseTable):
    """
    @ivar kept: asks the server.
    @ivar behind: what is asked if that does not know.
    """

    def __init__(
        self, context: TableContext, plan: Plan, kept: ITable, behind: ITable | None
    ) -> None:
        super().__init__(context, plan, _not_asked)
        self._statement = plan.statement
        self._kept = kept
        self._behind = behind

    def found(self, parts: Parts) -> str | Deferred[str | None] | None:
        (key,) = self._statement.bind(parts)
        if not key or _WHITE.search(key):
            return None
        try:
            value = self._kept.lookup(key)
        except TableUnavailable:
            if self._behind is None:
                raise
            return self._ask_behind(key, parts.whole)
        if isinstance(value, Deferred):
            return Deferred.fromCoroutine(self._found_later(value, key, parts.whole))
        if value is None and self._behind is not None:
            return self._ask_behind(key, parts.whole)
        return value

    async def _found_later(
        self, asked: Deferred[str | None], key: str, whole: str
    ) -> str | None:
        try:
            value = await asked
        except TableUnavailable:
            if self._behind is None:
                raise
            value = None
        if value is not None or self._behind is None:
            return value
        found = self._ask_behind(key, whole)
        return await found if isinstance(found, Deferred) else found

    def _ask_behind(self, key: str, whole: str) -> str | Deferred[str | None] | None:
        assert self._behind is not None
        value = self._behind.lookup(whole)
        if isinstance(value, Deferred):
            return value.addCallback(self._keep, key)
        return self._keep(value, key)

    def _keep(self, value: str | None, key: str) -> str | None:
        """
        Nobody waits for that, and it need not succeed.
        """
        if value is not None:
            try:
                said = self._kept.lookup(f"{key} {value}")
            except TableUnavailable:
                return value
            if isinstance(said, Deferred):
                said.addErrback(lambda failure: failure.trap(TableUnavailable))
        return value


def _not_asked(values: Sequence[str]) -> NoReturn:
    raise AssertionError("the server is asked, not this")


@implementer(IPlugin, ITableType)
class MemcacheType:
    prefix = "memcache"
    remote = True

    def open(self, name: str, context: object) -> ITable:
        context = cast(TableContext, context)
        refuse_unsafe(context)
        found = read_settings(name, context, _NAMES)
        address = _address(found)
        limits = _limits(found)
        # Postfix asks again after a pause. Here a connection that the server
        # had closed is made again at once, and nothing else would help.
        found.count("max_try", 2, 1, 1000)
        found.seconds("retry_pause", 1, 0, 1000)
        limit = found.seconds("timeout", 2, 1, LIMIT)
        pieces = parse("%s")
        try:
            pieces = parse(found.text("key_format") or "%s")
        except ValueError as e:
            found.wrong("key_format", str(e))
        plan = plan_of(found, context, Statement(("", ""), (pieces,)))
        behind = found.text("backup")
        return MemcacheTable(
            context,
            plan,
            make_table(
                *(context.spec, MemcacheCodec(limits), address),
                *(context.ways.reactor, limit),
            ),
            context.open_table(behind) if behind else None,
        )


def _address(found: ClientSettings) -> Address:
    text = found.text("memcache") or "inet:localhost:11211"
    kind, colon, rest = text.partition(":")
    if kind == "unix" and rest:
        return Address(rest)
    try:
        return inet_address(rest if colon and kind == "inet" else text)
    except ValueError as e:
        found.wrong("memcache", f"{e}: need inet:host:port or unix:/path")
    return Address("/")


def _limits(found: ClientSettings) -> Limits:
    return Limits(
        found.count("flags", 0, 0, 2**32 - 1),
        int(found.seconds("ttl", 3600, 0, 2**31 - 1)),
        found.count("line_size_limit", 1024, 64, 65536),
        found.count("data_size_limit", 10240, 1, 1024 * 1024),
    )
