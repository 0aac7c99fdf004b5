"""
C{pgsql:/file.cf}: a table in a PostgreSQL database.

Owns: connections to its servers.
Knows nothing of: what is asked.

What is looked up is bound by the server, so it is never SQL text.

Sources: Postfix's pgsql_table(5); C{global/dict_pgsql.c}: all columns count.
Needs the extra C{pgsql} (psycopg).

Errors: L{ConfigError<txmta.errors.ConfigError>}: wrong settings, no psycopg.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from twisted.plugin import IPlugin
from zope.interface import implementer

from txmta.interfaces import ITable, ITableType
from txmta.maps.client_file import ClientSettings
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
from txmta.maps.hosts import Hosts
from txmta.maps.statement import PGSQL, Statement
from txmta.maps.workers import MAX_VALUES, Broken, Refused, Session, error_words

if TYPE_CHECKING:
    import psycopg

#: Seconds to connect to a host, and for an answer.
CONNECT, LONGEST = 3, 5

#: Threads, each with a connection.
MOST = 4

_NAMES = (*SERVER, *COMMON, "select_function", "encoding")


def host_parameters(item: str) -> dict[str, str]:
    """
    @param item: one of C{hosts}.
    @return: parameters of libpq.
    """
    if "://" in item:
        return {"conninfo": item}
    kind, colon, rest = item.partition(":")
    if colon and kind in ("unix", "inet"):
        item = rest
    if item.startswith("/"):
        folder, mark, port = item.rpartition("/.s.PGSQL.")
        return {"host": folder, "port": port} if mark else {"host": item}
    if item.startswith("["):
        host, _, port = item[1:].partition("]")
        port = port.lstrip(":")
    else:
        host, _, port = item.partition(":")
    return {"host": host, "port": port} if port else {"host": host}


class PgsqlSession:
    """
    A connection to one server.
    """

    def __init__(
        self, statement: Statement, parameters: dict[str, str], encoding: str
    ) -> None:
        """
        @raise Broken: it cannot be made.
        """
        import psycopg

        # psycopg takes %s for a value, so that %% is a percent sign.
        texts = (text.replace("%", "%%") for text in statement.texts)
        self._sql = "%s".join(texts).encode()
        self._bound = bool(statement.values)
        if not self._bound:
            self._sql = statement.texts[0].encode()
        self._psycopg = psycopg
        try:
            given: dict[str, Any] = {"connect_timeout": str(CONNECT), **parameters}
            self._connection: psycopg.Connection[Any] = psycopg.connect(
                **given,
                client_encoding=encoding,
                autocommit=True,
                # A pool such as pgbouncer may give each question another one.
                prepare_threshold=None,
            )
            self._connection.execute(f"SET statement_timeout = {LONGEST * 1000}")
        except psycopg.Error as e:
            raise Broken(error_words(e)) from e

    def ask(self, values: Sequence[str]) -> Sequence[str | None]:
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(self._sql, list(values) if self._bound else None)
                result = cursor.pgresult
                if result is None or not result.nfields:
                    raise Refused("the query has no result set")
                if result.ntuples * result.nfields > MAX_VALUES:
                    raise Refused(f"more than {MAX_VALUES} values")
                found = [
                    result.get_value(row, column)
                    for row in range(result.ntuples)
                    for column in range(result.nfields)
                ]
        except self._psycopg.Error as e:
            if self._connection.closed or self._connection.broken:
                raise Broken(error_words(e)) from e
            raise Refused(error_words(e)) from e
        # As the server writes it: a number is not read and written again.
        return [
            None if each is None else bytes(each).decode("utf-8", "surrogateescape")
            for each in found
        ]

    def close(self) -> None:
        self._connection.close()


@implementer(IPlugin, ITableType)
class PgsqlType:
    prefix = "pgsql"
    remote = True

    def open(self, name: str, context: object) -> ITable:
        context = cast(TableContext, context)
        need(context, "psycopg", "psycopg", "pgsql")
        found = read_settings(name, context, _NAMES)
        function = found.text("select_function")
        query = f"SELECT {function}('%s')" if function else ""
        hosts = make_hosts(found, host_parameters)
        idle = idle_interval(found)
        plan = make_plan(found, context, PGSQL, query)
        connect = _connector(found, plan.statement, hosts)
        return make_table(context, plan, connect, MOST, idle=idle)


def _connector(
    found: ClientSettings, statement: Statement, hosts: Hosts
) -> Callable[[], Session]:
    login = {
        key: found.text(name)
        for key, name in (("user", "user"), ("password", "password"))
        if found.text(name)
    }
    if found.text("dbname"):
        login["dbname"] = found.text("dbname")
    encoding = found.text("encoding") or "UTF8"

    def connect() -> Session:
        return hosts.connect(
            lambda host: PgsqlSession(
                statement, {**login, **host_parameters(host)}, encoding
            )
        )

    return connect
