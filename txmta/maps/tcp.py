"""
C{tcp:host:port}: a server that answers one line to one line.

Owns: the tcp_table(5) protocol.
Knows nothing of: connections.

Sources: Postfix's tcp_table(5); C{util/dict_tcp.c}. Keys are not folded, nor
parts of them asked for.

Errors: L{ConfigError<txmta.errors.ConfigError>}: not a host and port.
"""

from __future__ import annotations

import re
import socket
from typing import cast

from twisted.plugin import IPlugin
from zope.interface import implementer

from txmta.errors import ConfigError
from txmta.interfaces import ITable, ITableType
from txmta.maps.context import TableContext
from txmta.maps.server import Address, make_table, refuse_unsafe
from txmta.maps.wire import Answer, Reader

#: Octets of a question or an answer, with its end of line.
MAX_LINE = 4096

_PLAIN = re.compile(rb"[^!-$&-~]")
_ANSWER = re.compile(rb"([245]00)(?:[ \t]+(.*))?", re.DOTALL)
_CODED = re.compile(rb"%([0-9A-Fa-f]{2})?")
_ADDRESS = re.compile(r"(?:\[([^\]]+)\]|([^:\[\]]+)):(\w+)")


def inet_address(text: str) -> Address:
    """
    @param text: C{host:port}, C{[host]:port}.
    @raise ValueError: it is no such thing.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise ValueError(f'"{text}": write host:port')
    return Address(match[1] or match[2], _port(match[3]))


def _port(text: str) -> int:
    if text.isdigit() and text.isascii():
        if not 0 < int(text) < 65536:
            raise ValueError(f'"{text}": write a port from 1 to 65535')
        return int(text)
    try:
        return socket.getservbyname(text, "tcp")
    except (OSError, ValueError) as e:
        raise ValueError(f'"{text}": unknown service: write a port number') from e


class TcpReader:
    """
    One line.
    """

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> Answer | None:
        self._buffer += data
        line, end, rest = self._buffer.partition(b"\n")
        if len(line) >= MAX_LINE:
            raise ValueError(f"longer than {MAX_LINE} octets")
        if not end:
            return None
        if rest:
            raise ValueError("more than one line")
        match = _ANSWER.fullmatch(line.rstrip(b"\r"))
        if match is None:
            raise ValueError(f"not 200, 400 or 500: {line[:40]!r}")
        text = _decoded(match[2] or b"")
        if match[1] == b"200":
            return Answer(text)
        if match[1] == b"500":
            return Answer(None)
        return Answer(None, text or "the server cannot say")


def _decoded(text: bytes) -> str:
    def octet(match: re.Match[bytes]) -> bytes:
        if match[1] is None:
            raise ValueError('"%" without two hexadecimal digits')
        return bytes([int(match[1], 16)])

    return _CODED.sub(octet, text).decode("utf-8", "surrogateescape")


class TcpCodec:
    hello = b""

    def request(self, key: str) -> bytes | None:
        octets = key.encode("utf-8", "surrogateescape")
        coded = _PLAIN.sub(lambda m: b"%%%02X" % m[0][0], octets)
        if not coded:
            return None
        line = b"get %s\n" % coded
        if len(line) > MAX_LINE:
            raise ValueError("the key is too long to be asked for")
        return line

    def reader(self, first: bool) -> Reader:
        return TcpReader()


@implementer(IPlugin, ITableType)
class TcpType:
    prefix = "tcp"
    remote = True

    def open(self, name: str, context: object) -> ITable:
        context = cast(TableContext, context)
        refuse_unsafe(context)
        try:
            address = inet_address(name)
        except ValueError as e:
            raise ConfigError(
                [f"{context.parameter}: {context.spec}: {e}: need tcp:host:port"]
            ) from e
        return make_table(context.spec, TcpCodec(), address, context.ways.reactor)
