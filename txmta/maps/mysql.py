"""
C{mysql:/file.cf}: a table in a MySQL or MariaDB database.

Owns: connections to its servers, how a value is written as an SQL string.
Knows nothing of: what is asked.

Sources: Postfix's mysql_table(5); C{global/dict_mysql.c}: all columns count.
Needs the extra C{mysql} (PyMySQL).

Errors: L{ConfigError<txmta.errors.ConfigError>}: wrong settings, no PyMySQL.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from twisted.plugin import IPlugin
from zope.interface import implementer

from txmta.interfaces import ITable, ITableType
from txmta.maps.client_file import ClientSettings
from txmta.maps.client_tls import SQL_TLS, tls_context
from txmta.maps.context import TableContext
from txmta.maps.database import (
    COMMON,
    SERVER,
    idle_interval,
    make_hosts,
    make_plan,
    make_table,
    need,
    read_settings,
)
from txmta.maps.hosts import host_address
from txmta.maps.statement import MYSQL, Statement
from txmta.maps.workers import MAX_VALUES, Broken, Refused, Session

if TYPE_CHECKING:
    import ssl

#: Seconds to connect to a host, and for an answer.
CONNECT, LONGEST = 3, 5

#: Threads, each with a connection.
MOST = 4

PORT = 3306

#: Where the server's own socket is: what C{localhost} means.
SOCKETS = (
    *("/run/mysqld/mysqld.sock", "/var/lib/mysql/mysql.sock"),
    *("/run/mysql/mysql.sock", "/tmp/mysql.sock"),
)

#: Octets of keys and values are sent and taken as they are, as Postfix does.
#: In other character sets a backslash may be half a character, so that what
#: quotes a value would depend on it.
CHARSETS = (
    *("utf8mb4", "utf8mb3", "utf8", "latin1", "latin2", "latin5", "latin7"),
    *("ascii", "binary", "cp1250", "cp1251", "cp1256", "cp1257", "koi8r", "koi8u"),
)

_NAMES = (
    *(*SERVER, *COMMON, *SQL_TLS.all, "charset", "require_result_set"),
    *("option_file", "option_group"),
)


@dataclass(frozen=True)
class Login:
    """
    @ivar context: L{None}: TLS if the server has it, and no certificate is
        looked at.
    @ivar result_set: a query must have one.
    """

    user: str
    password: str = field(repr=False)
    dbname: str
    charset: str
    context: ssl.SSLContext | None
    result_set: bool


def host_parameters(item: str) -> dict[str, Any]:
    """
    @param item: one of C{hosts}.
    @return: parameters of PyMySQL.
    @raise ValueError: not a host.
    """
    address = host_address(item, PORT)
    if isinstance(address, str):
        return {"unix_socket": address}
    host, port = address
    if host.lower() == "localhost":
        there = [path for path in SOCKETS if os.path.exists(path)]
        return {"unix_socket": (there or SOCKETS)[0]}
    return {"host": host, "port": port}


class MysqlSession:
    """
    A connection to one server.
    """

    def __init__(self, statement: Statement, login: Login, host: str) -> None:
        """
        @raise Broken: it cannot be made.
        """
        import pymysql.cursors

        self._errors = pymysql.err.Error
        self._statement = statement
        self._result_set = login.result_set
        given = host_parameters(host)
        if login.context is not None:
            given["ssl"] = login.context
        elif "unix_socket" in given:
            given["ssl_disabled"] = True
        try:
            self._connection: Any = pymysql.connect(
                **given,
                user=login.user or None,
                password=cast(str, login.password.encode()),
                database=login.dbname or None,
                charset=login.charset,
                use_unicode=False,
                conv={},
                autocommit=True,
                connect_timeout=CONNECT,
                read_timeout=LONGEST + 1,
                write_timeout=LONGEST + 1,
                cursorclass=pymysql.cursors.SSCursor,
            )
        except (self._errors, OSError, RuntimeError) as e:
            raise Broken(_words(e)) from e
        try:
            maria = "MariaDB" in self._connection.get_server_info()
            limit = "max_statement_time" if maria else "max_execution_time"
            most = LONGEST if maria else LONGEST * 1000
            self._connection.query(f"SET SESSION {limit} = {most}")
        except self._errors as e:
            # A server so old that it has no such thing.
            if not self._connection.open:
                raise Broken(_words(e)) from e

    def ask(self, values: Sequence[str]) -> Sequence[str | None]:
        begun = time.monotonic()
        if not self._connection.open:
            raise Broken("connection lost")
        try:
            found = self._rows(self._sql(values))
        except (self._errors, OSError) as e:
            late = time.monotonic() - begun > LONGEST
            if late or self._connection.open:
                raise Refused(f"mysql query failed: {_words(e)}") from e
            raise Broken(_words(e)) from e
        return [
            None if each is None else each.decode("utf-8", "surrogateescape")
            for each in found
        ]

    def _sql(self, values: Sequence[str]) -> bytes:
        parts = [self._statement.texts[0]]
        for value, text in zip(values, self._statement.texts[1:], strict=True):
            # By the server's mode a backslash quotes, or does not.
            parts += [self._connection.escape(value), text]
        return "".join(parts).encode()

    def _rows(self, sql: bytes) -> list[bytes | None]:
        cursor = self._connection.cursor()
        cursor.execute(sql)
        found: list[bytes | None] = []
        sets = 0
        more: object = True
        while more:
            if cursor.description is not None:
                sets += 1
                while rows := cursor.fetchmany(100):
                    found += [column for row in rows for column in row]
                    if len(found) > MAX_VALUES:
                        # What it would still send is not read.
                        self.close()
                        raise Refused(f"more than {MAX_VALUES} values")
            more = cursor.nextset()
        cursor.close()
        if sets > 1:
            raise Refused("the query has more than one result set")
        if not sets and self._result_set:
            raise Refused("the query has no result set (require_result_set = yes)")
        return found

    def close(self) -> None:
        # Without a word to the server: it may be what does not answer.
        self._connection._force_close()


def _words(error: Exception) -> str:
    text = str(error.args[-1]) if error.args else ""
    return " ".join(text.split()) or type(error).__name__


@implementer(IPlugin, ITableType)
class MysqlType:
    prefix = "mysql"
    remote = True

    def open(self, name: str, context: object) -> ITable:
        context = cast(TableContext, context)
        need(context, "pymysql", "PyMySQL", "mysql")
        found = read_settings(name, context, _NAMES)
        login = _login(found)
        hosts = make_hosts(found, host_parameters)
        idle = idle_interval(found)
        plan = make_plan(found, context, MYSQL)

        def connect() -> Session:
            return hosts.connect(lambda host: MysqlSession(plan.statement, login, host))

        return make_table(context, plan, connect, MOST, idle=idle)


def _login(found: ClientSettings) -> Login:
    if found.text("option_file"):
        found.wrong("option_file", "is not read: write its settings here")
    if found.text("option_group") not in ("", "client"):
        found.wrong("option_group", "is not read: write its settings here")
    charset = found.text("charset") or "utf8mb4"
    if charset not in CHARSETS:
        found.wrong("charset", f'"{charset}": write one of {", ".join(CHARSETS)}')
    return Login(
        found.text("user"),
        found.text("password"),
        found.required("dbname", "database"),
        charset,
        tls_context(found),
        found.flag("require_result_set", True),
    )
