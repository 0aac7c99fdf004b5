"""
C{tcp:} and C{socketmap:} tables, with servers that others have written for
Postfix: postsrsd and postfix-mta-sts-resolver; asked by us and by Postfix's
C{postmap -q}.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

from tests.interop.database_oracle import DatabaseOracle
from tests.interop.database_servers import Server, listens, program
from tests.interop.tools import free_port
from tests.support import asked
from tests.table_contract import context
from txmta.errors import TableUnavailable
from txmta.interfaces import ITable, ITableType
from txmta.maps.socketmap import SocketmapType
from txmta.maps.tcp import TcpType


class ServerOracle(DatabaseOracle):
    """
    @ivar server: not running yet.
    """

    def setUp(self) -> None:
        super().setUp()
        self.server = Server(self)
        self.server.folder.chmod(0o755)

    def same(self, kind: ITableType, name: str, keys: Sequence[str]) -> ITable:
        """
        Both give the same answers.
        """
        spec = f"{self.prefix}:{name}"
        table = kind.open(name, context(spec))
        self.keys = keys
        ours = self.ours(table)
        said = self.run_postfix(
            *("postmap", "-c", str(self.folder), "-q", "-", spec),
            given="".join(f"{key}\n" for key in keys),
        )
        theirs = dict(line.split("\t", 1) for line in said.splitlines())
        self.assertEqual(ours, theirs, self.complaint)
        asked(len(keys))
        return table


class TcpTests(ServerOracle):
    """
    postsrsd: senders, and back.
    """

    prefix = "tcp"

    def begin(self, forward: int, back: int) -> None:
        self.server.run_until(
            (
                *(program("postsrsd"), "-s", str(self.secret), "-d", "here.test"),
                *("-f", str(forward), "-r", str(back), "-l", "127.0.0.1", "-t", "20"),
            ),
            lambda: listens(forward) and listens(back),
        )

    def test_postsrsd(self) -> None:
        """
        Rewritten, rewritten back, and left alone; gone is "cannot say".
        """
        self.secret = self.server.folder / "secret"
        self.secret.write_text("not a secret\n")
        self.secret.chmod(0o644)
        forward, back = free_port(), free_port()
        self.begin(forward, back)
        table = self.same(TcpType(), f"127.0.0.1:{forward}", self.keys)
        made = table.lookup("user@ex.com")
        assert isinstance(made, str)
        self.assertRegex(made, r"^SRS0=\S+=ex\.com=user@here\.test$")
        keys = [*self.keys, made, made.lower(), made.replace("=", "%"), "SRS0=x"]
        second = self.same(TcpType(), f"127.0.0.1:{back}", keys)
        self.assertEqual(second.lookup(made), "user@ex.com")
        self.assertIsNone(second.lookup("user@ex.com"))
        self.server.stop()
        # A connection that it has goes on, with a process of its own.
        gone = TcpType().open(f"127.0.0.1:{forward}", context("tcp:gone"))
        self.assertRaises(TableUnavailable, gone.lookup, "user@ex.com")


class SocketmapTests(ServerOracle):
    """
    postfix-mta-sts-resolver: policies of domains, here out of its cache.
    """

    prefix = "socketmap"

    def remember(self, path: Path) -> None:
        body = json.dumps(
            {
                "version": "STSv1",
                "mode": "enforce",
                "mx": ["*.ex.test"],
                "max_age": 86400,
            }
        )
        connection = sqlite3.connect(path)
        connection.execute(
            "CREATE TABLE sts_policy_cache"
            " (domain text, ts integer, pol_id text, pol_body text)"
        )
        connection.execute(
            "INSERT INTO sts_policy_cache VALUES ('ex.test', ?, '1', ?)",
            (int(time.time()) + 60, body),
        )
        connection.commit()
        connection.close()
        path.chmod(0o666)

    def test_mta_sts(self) -> None:
        """
        A policy, none, and a server that is gone.
        """
        daemon = program("mta-sts-daemon")
        self.remember(self.server.folder / "cache.db")
        port = free_port()
        config = self.server.folder / "sts.yml"
        config.write_text(
            f"host: 127.0.0.1\nport: {port}\ncache_grace: 3600\n"
            "shutdown_timeout: 1\ncache:\n"
            "  type: sqlite\n  options:\n"
            f"    filename: {self.server.folder}/cache.db\n"
            "default_zone:\n  strict_testing: false\n  timeout: 2\n"
        )
        config.chmod(0o644)
        self.server.run_until((daemon, "-c", str(config)), lambda: listens(port))
        # Nothing that it would ask a name server.
        keys = ("ex.test", "EX.TEST", ".ex.test", "[192.0.2.1]", "a b", "u@ex.test")
        name = f"inet:127.0.0.1:{port}:postfix"
        table = self.same(SocketmapType(), name, keys)
        policy = "secure match=.ex.test servername=hostname"
        self.assertEqual(table.lookup("ex.test"), policy)
        self.assertIsNone(table.lookup(".ex.test"))
        self.server.stop()
        self.assertRaises(TableUnavailable, table.lookup, "ex.test")
