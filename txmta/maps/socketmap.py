"""
C{socketmap:inet:host:port:name} and C{socketmap:unix:/path:name}: a server
that answers netstrings, as Sendmail's socket maps.

Owns: the socketmap_table(5) protocol.
Knows nothing of: connections.

Sources: Postfix's socketmap_table(5); C{util/dict_sockmap.c},
C{util/netstring.c}. Keys are not folded, nor parts of them asked for.

Errors: L{ConfigError<txmta.errors.ConfigError>}: not an address and a name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import cast

from twisted.plugin import IPlugin
from zope.interface import implementer

from txmta.errors import ConfigError
from txmta.interfaces import ITable, ITableType
from txmta.maps.context import TableContext
from txmta.maps.server import Address, make_table
from txmta.maps.tcp import inet_address
from txmta.maps.wire import Answer, Reader

#: Octets of an answer.
MAX_ANSWER = 100_000

#: Octets of a question.
MAX_QUESTION = 8192

_LENGTH = re.compile(rb"(?:0|[1-9][0-9]{0,5})")


class SocketmapReader:
    """
    One netstring.
    """

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> Answer | None:
        self._buffer += data
        head, colon, rest = self._buffer.partition(b":")
        if not colon:
            if head and not _LENGTH.fullmatch(head):
                raise ValueError("no netstring")
            return None
        if not _LENGTH.fullmatch(head):
            raise ValueError("no netstring")
        size = int(head)
        if size > MAX_ANSWER:
            raise ValueError(f"longer than {MAX_ANSWER} octets")
        if len(rest) <= size:
            return None
        if rest[size:] != b",":
            raise ValueError("a netstring does not end with a comma")
        return _answer(rest[:size].decode("utf-8", "surrogateescape"))


def _answer(text: str) -> Answer:
    word, _space, data = text.partition(" ")
    if word == "OK":
        return Answer(data)
    if word == "NOTFOUND":
        return Answer(None)
    if word in ("TEMP", "TIMEOUT", "PERM"):
        return Answer(None, f"{word} {data}".rstrip())
    raise ValueError(f"unknown word: {word[:40]!r}")


@dataclass(frozen=True)
class SocketmapCodec:
    """
    @ivar name: of the map.
    """

    name: str
    hello = b""

    def request(self, key: str) -> bytes | None:
        octets = f"{self.name} {key}".encode("utf-8", "surrogateescape")
        if not key:
            return None
        if len(octets) > MAX_QUESTION:
            raise ValueError("the key is too long to be asked for")
        return b"%d:%s," % (len(octets), octets)

    def reader(self, first: bool) -> Reader:
        return SocketmapReader()


def read_name(text: str) -> tuple[Address, str]:
    """
    @return: the server, and the name of the map.
    @raise ValueError: it is no such thing.
    """
    kind, _colon, rest = text.partition(":")
    where, colon, name = rest.rpartition(":")
    if not colon or not where or not name or re.search(r"\s", name):
        raise ValueError("no address and name")
    if kind == "unix":
        return Address(where), name
    if kind == "inet":
        return inet_address(where), name
    raise ValueError(f'"{kind}": neither inet nor unix')


@implementer(IPlugin, ITableType)
class SocketmapType:
    prefix = "socketmap"
    remote = True

    def open(self, name: str, context: object) -> ITable:
        context = cast(TableContext, context)
        try:
            address, mapped = read_name(name)
        except ValueError as e:
            raise ConfigError(
                [
                    f"{context.parameter}: {context.spec}: {e}: need "
                    "socketmap:inet:host:port:name or socketmap:unix:/path:name"
                ]
            ) from e
        codec = SocketmapCodec(mapped)
        return make_table(context.spec, codec, address, context.ways.reactor)
