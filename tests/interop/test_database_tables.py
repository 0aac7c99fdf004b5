"""
Databases behind the real server in several confined processes.
"""

from __future__ import annotations

import sqlite3

from tests.interop.test_proxymap import MULTI, ProxyCase
from tests.support import require_root


class MultiTests(ProxyCase):
    def test_sqlite(self) -> None:
        """
        smtpd, which may not open databases, asks proxymap, which opened one
        that only root can read. What cannot be said is 451.
        """
        require_root("several accounts")
        server = self.server(
            f"{MULTI}relay_domains = r.test\nrelay_transport = discard:\n"
            "relay_recipient_maps = sqlite:$config_directory/users.cf\n"
            "smtpd_relay_restrictions = reject_unauth_destination\n"
        )
        database = server.folder / "users.db"
        connection = sqlite3.connect(database)
        connection.execute("CREATE TABLE u (a)")
        connection.execute("INSERT INTO u VALUES ('known@r.test')")
        connection.commit()
        connection.close()
        database.chmod(0o600)
        query = "SELECT a FROM u WHERE a = '%s'"
        server.write("users.cf", f"dbpath = {database}\nquery = {query}\n")
        self.started(server)
        found = self.codes(server, "known@r.test", "x'or'1'='1@r.test")
        self.assertEqual(found, [250, 550])
        connection = sqlite3.connect(database)
        connection.execute("DROP TABLE u")
        connection.commit()
        connection.close()
        self.assertEqual(self.codes(server, "known@r.test"), [451])
