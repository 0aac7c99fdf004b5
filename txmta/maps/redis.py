"""
C{redis:/file.cf}: values in a Redis or Valkey server.

Postfix has no such table: settings and their names are those of its SQL
tables, as far as they have a meaning here.

Owns: connections to the servers; which commands may be a query.
Knows nothing of: what is asked.

Sources: Redis' command reference.

Errors: L{ConfigError<txmta.errors.ConfigError>}: wrong settings.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from twisted.plugin import IPlugin
from zope.interface import implementer

from txmta.interfaces import ITable, ITableType
from txmta.maps.client_file import ClientSettings
from txmta.maps.client_tls import SQL_TLS, tls_context
from txmta.maps.context import TableContext
from txmta.maps.database import (
    RESULT,
    SERVER,
    idle_interval,
    make_hosts,
    make_table,
    plan_of,
    read_settings,
)
from txmta.maps.hosts import host_address
from txmta.maps.resp import Reply, RespReader, command
from txmta.maps.statement import Statement
from txmta.maps.templates import parse
from txmta.maps.workers import MAX_VALUES, Broken, Refused, Session, error_words

#: Seconds to connect to a host, and for an answer.
CONNECT, LONGEST = 3.0, 5.0

#: Threads, each with a connection.
MOST = 4

PORT = 6379

#: Commands that only read, and give values.
_VALUES = (
    *("GET", "MGET", "GETRANGE", "HGET", "HMGET", "HVALS", "HKEYS", "LINDEX"),
    *("LRANGE", "SMEMBERS", "SRANDMEMBER", "SINTER", "SUNION", "SDIFF"),
    *("ZRANGE", "ZREVRANGE", "ZRANGEBYSCORE", "ZRANGEBYLEX", "ZSCORE", "FCALL_RO"),
)
#: Those that give 1 or 0: found, or not found.
_TESTS = ("EXISTS", "HEXISTS", "SISMEMBER")

_NAMES = (*SERVER, *RESULT, *SQL_TLS.all, "query", "tls")


@dataclass(frozen=True)
class Login:
    """
    @ivar context: L{None}: no TLS.
    """

    user: str
    password: str = field(repr=False)
    dbname: int
    context: ssl.SSLContext | None


def _address(item: str) -> str | tuple[str, int]:
    return host_address(item, PORT)


def read_query(template: str) -> Statement:
    """
    @return: each word is one value, whatever it is made of.
    @raise ValueError: not a command that only reads.
    """
    words = template.split()
    name = words[0].upper() if words else ""
    if name not in (*_VALUES, *_TESTS):
        known = " ".join((*_VALUES, *_TESTS))
        raise ValueError(f'"{name}": write one of {known}')
    values = tuple(parse(word) for word in words)
    return Statement(("",) * (len(values) + 1), values)


class RedisSession:
    """
    A connection to one server.
    """

    def __init__(self, login: Login, host: str) -> None:
        """
        @raise Broken: it cannot be made.
        """
        self._closed = False
        try:
            self._socket = _connected(_address(host), login.context)
        except (OSError, ValueError) as e:
            raise Broken(error_words(e)) from e
        try:
            if login.password:
                words = ["AUTH", login.user, login.password]
                self._say([word for word in words if word])
            if login.dbname:
                self._say(["SELECT", str(login.dbname)])
        except (Refused, Broken) as e:
            self.close()
            raise Broken(str(e)) from e

    def ask(self, values: Sequence[str]) -> Sequence[str | None]:
        reply = self._say(values)
        if reply.is_number and values[0].upper() in _TESTS and reply.values == (b"0",):
            return []
        if any(value is not None and b"\0" in value for value in reply.values):
            raise Refused("a value has a NUL")
        return [
            None if each is None else each.decode("utf-8", "surrogateescape")
            for each in reply.values
        ]

    def _say(self, words: Sequence[str]) -> Reply:
        if self._closed:
            raise Broken("connection closed")
        deadline = time.monotonic() + LONGEST
        try:
            reply = self._exchange(command(w.encode() for w in words), deadline)
        except TimeoutError as e:
            self.close()
            raise Refused(f"no answer for {LONGEST:g} seconds") from e
        except OSError as e:
            self.close()
            raise Broken(error_words(e)) from e
        except ValueError as e:
            # Nobody knows what it would say next.
            self.close()
            raise Refused(f"bad answer: {e}") from e
        if reply.error:
            raise Refused(reply.error)
        return reply

    def _exchange(self, request: bytes, deadline: float) -> Reply:
        self._socket.settimeout(LONGEST)
        self._socket.sendall(request)
        reader = RespReader(MAX_VALUES)
        while True:
            if (left := deadline - time.monotonic()) <= 0:
                raise TimeoutError
            self._socket.settimeout(left)
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionError("connection closed")
            if (reply := reader.feed(data)) is not None:
                return reply

    def close(self) -> None:
        self._closed = True
        self._socket.close()


def _connected(
    address: str | tuple[str, int], context: ssl.SSLContext | None
) -> socket.socket:
    if isinstance(address, str):
        made = socket.socket(socket.AF_UNIX)
        try:
            made.settimeout(CONNECT)
            made.connect(address)
        except OSError:
            made.close()
            raise
        return made
    made = socket.create_connection(address, CONNECT)
    if context is None:
        return made
    try:
        return context.wrap_socket(made, server_hostname=address[0])
    except OSError:
        made.close()
        raise


@implementer(IPlugin, ITableType)
class RedisType:
    prefix = "redis"
    remote = True

    def open(self, name: str, context: object) -> ITable:
        context = cast(TableContext, context)
        found = read_settings(name, context, _NAMES)
        login = _login(found)
        hosts = make_hosts(found, _address)
        idle = idle_interval(found)
        statement = Statement(("",), ())
        try:
            if query := found.required("query", "GET %s"):
                statement = read_query(query)
        except ValueError as e:
            found.wrong("query", str(e))
        plan = plan_of(found, context, statement)

        def connect() -> Session:
            return hosts.connect(lambda host: RedisSession(login, host))

        return make_table(context, plan, connect, MOST, idle=idle)


def _login(found: ClientSettings) -> Login:
    if found.text("user") and not found.text("password"):
        found.required("password", "secret")
    return Login(
        found.text("user"),
        found.text("password"),
        found.count("dbname", 0, 0, 1_000_000),
        tls_context(found, found.flag("tls", False)),
    )
