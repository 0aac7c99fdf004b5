"""
Tables that ask a server: where it is, and how it is asked in this process.

Owns: addresses; where no such table may stand; asking without a reactor.
Knows nothing of: what is said on a connection (L{Codec}).

Sources: Postfix's C{util/auto_clnt.c}.

Errors: L{TableUnavailable<txmta.errors.TableUnavailable>};
L{ConfigError<txmta.errors.ConfigError>}: not in this place.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint
from twisted.internet.interfaces import IProtocolFactory
from zope.interface import implementer

from txmta.errors import ConfigError, TableUnavailable
from txmta.interfaces import ITable
from txmta.maps.asking import NetworkTable
from txmta.maps.context import TableContext
from txmta.maps.wire import LIMIT, MAX_REASON, Answer, Codec

#: Where Postfix takes nothing from such a server, because whoever can put
#: himself in its place, or write to it, would say which commands are run and
#: who owns files.
FORBIDDEN = frozenset(
    {"alias_maps", "alias_database", "virtual_uid_maps", "virtual_gid_maps"}
)


def refuse_unsafe(context: TableContext) -> None:
    """
    @raise ConfigError: the table may not stand there.
    """
    if context.parameter in FORBIDDEN:
        kind = context.spec.partition(":")[0]
        raise ConfigError(
            [
                f"{context.parameter}: {context.spec}: {kind} map is not allowed "
                "for security-sensitive data"
            ]
        )


@dataclass(frozen=True)
class Address:
    """
    @ivar host: or a path, if there is no port.
    """

    host: str
    port: int = 0

    def connect(self, reactor: Any) -> Callable[[IProtocolFactory], Deferred[Any]]:
        if not self.port:
            return UNIXClientEndpoint(reactor, self.host, LIMIT).connect
        return HostnameEndpoint(reactor, self.host, self.port, LIMIT).connect

    def open(self) -> socket.socket:
        if self.port:
            return socket.create_connection((self.host, self.port), LIMIT)
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(LIMIT)
        try:
            made.connect(self.host)
        except OSError:
            made.close()
            raise
        return made

    def __str__(self) -> str:
        return f"{self.host}:{self.port}" if self.port else self.host


def make_table(
    spec: str, codec: Codec, address: Address, reactor: Any, limit: float = LIMIT
) -> ITable:
    """
    @param reactor: L{None}: the table blocks.
    @param limit: seconds for a question.
    """
    if reactor is None:
        return BlockingTable(spec, codec, address, limit)
    return NetworkTable(spec, codec, address.connect(reactor), reactor, limit)


@implementer(ITable)
class BlockingTable:
    """
    For a process that has nothing else to do while it waits.
    """

    def __init__(
        self, spec: str, codec: Codec, address: Address, limit: float = LIMIT
    ) -> None:
        self._limit = limit
        self._spec = spec
        self._codec = codec
        self._address = address
        self._socket: socket.socket | None = None

    def lookup(self, key: str) -> str | None:
        try:
            request = self._codec.request(key)
            if request is None:
                return None
            answer = self._ask(request)
        except (OSError, ValueError) as e:
            self._close()
            reason = f"{self._address}: {e}"[:MAX_REASON]
            raise TableUnavailable(self._spec, reason) from e
        if answer.trouble:
            raise TableUnavailable(self._spec, answer.trouble[:MAX_REASON])
        return answer.value

    def _ask(self, request: bytes) -> Answer:
        deadline = time.monotonic() + self._limit
        if self._socket is not None:
            try:
                return self._exchange(self._socket, request, deadline, first=False)
            except (ConnectionError, EOFError):
                self._close()
        self._socket = self._address.open()
        hello = self._codec.hello
        try:
            return self._exchange(self._socket, hello + request, deadline, first=True)
        except EOFError as e:
            raise OSError("connection closed") from e

    def _exchange(
        self, connected: socket.socket, request: bytes, deadline: float, first: bool
    ) -> Answer:
        connected.sendall(request)
        reader = self._codec.reader(first)
        while True:
            connected.settimeout(max(0.001, deadline - time.monotonic()))
            data = connected.recv(65536)
            if not data:
                raise EOFError
            if (answer := reader.feed(data)) is not None:
                return answer

    def _close(self) -> None:
        made, self._socket = self._socket, None
        if made is not None:
            made.close()
