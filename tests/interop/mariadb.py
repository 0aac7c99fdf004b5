"""
A MariaDB of the tests' own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from unittest import TestCase

from tests.interop.database_servers import Server, program


def missing() -> str:
    try:
        import pymysql  # noqa: F401
    except ImportError:
        return "not installed: PyMySQL"
    return ""


class MariaDb(Server):
    """
    @ivar socket: its socket. There is a user C{mail} with the password
        C{it's}, and a database C{mail}.
    """

    def __init__(self, test: TestCase, *options: str) -> None:
        self._server = program("mariadbd")
        install = program("mariadb-install-db")
        super().__init__(test)
        self.socket = self.folder / "s.sock"
        self._options = options
        data = self.folder / "data"
        self._data = ("--no-defaults", f"--datadir={data}")
        self.run(
            *(install, *self._data, "--skip-test-db", "--skip-name-resolve"),
            *("--auth-root-authentication-method=normal",),
        )
        self.folder.chmod(0o755)

    def begin(self) -> None:
        first = self.folder / "first.sql"
        first.write_text(
            "CREATE DATABASE IF NOT EXISTS mail CHARACTER SET utf8mb4;\n"
            "CREATE USER IF NOT EXISTS mail IDENTIFIED BY 'it\\'s';\n"
            "GRANT ALL ON mail.* TO mail;\n"
        )
        first.chmod(0o644)
        self.socket.unlink(missing_ok=True)
        command = (
            *(self._server, *self._data, f"--socket={self.socket}"),
            *(f"--pid-file={self.folder}/pid", f"--init-file={first}"),
            *("--innodb-flush-log-at-trx-commit=0", "--skip-log-bin"),
            *("--innodb-buffer-pool-size=8M", "--key-buffer-size=1M"),
            *(self._options or ("--skip-networking",)),
        )
        self.start(command, self.socket)

    def fill(self, *statements: str) -> None:
        """
        @param statements: SQL.
        """
        self._execute(statements, user="mail", password="it's", database="mail")

    def fill_as_root(self, *statements: str) -> None:
        self._execute(statements, user="root")

    def fill_rows(self, table: str, rows: Sequence[tuple[str, object]]) -> None:
        """
        @param table: has the columns k and v.
        """
        import pymysql.converters

        values = ",".join(
            "({}, {})".format(*map(pymysql.converters.escape_item, row, ("utf8",) * 2))
            for row in rows
        )
        self.fill(f"INSERT INTO {table} (k, v) VALUES {values}")

    def _execute(self, statements: Sequence[str], **login: str) -> None:
        import pymysql

        connect: Any = pymysql.connect
        connection = connect(
            unix_socket=str(self.socket),
            autocommit=True,
            charset="utf8mb4",
            **login,
        )
        with connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def settings(self, hosts: str = "") -> str:
        """
        @return: of a table, without a query.
        """
        hosts = hosts or f"unix:{self.socket}"
        return f"hosts = {hosts}\nuser = mail\npassword = it's\ndbname = mail\n"
