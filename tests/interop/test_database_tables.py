"""
Databases behind the real server, in one process and in several confined ones.
"""

from __future__ import annotations

import smtplib
import sqlite3

from tests.interop import mariadb, openldap, test_pgsql
from tests.interop.openldap import BASE, OpenLdap
from tests.interop.running import Txmta
from tests.interop.test_proxymap import MULTI, ProxyCase
from tests.interop.tools import wait_for
from tests.support import require_root

LOCAL = "local unix - n n - - local\n"

#: Mail that waits is tried again soon.
SOON = """\
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
transport_retry_time = 1s
"""


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


class RecipientTests(ProxyCase):
    """
    Mailboxes in MariaDB, asked for in both ways; recipients to relay for in
    PostgreSQL.
    """

    if mariadb.missing() or test_pgsql.missing():
        skip = mariadb.missing() or test_pgsql.missing()

    def setUp(self) -> None:
        require_root("several accounts")
        self.mariadb = mariadb.MariaDb(self)
        self.mariadb.begin()
        self.mariadb.fill(
            "CREATE TABLE box (address varchar(200))",
            "INSERT INTO box VALUES ('known@v.test')",
        )
        self.postgres = test_pgsql.Postgres(self)
        self.postgres.folder.chmod(0o755)
        self.postgres.begin()
        self.postgres.fill(
            "CREATE TABLE r (address text); INSERT INTO r VALUES ('known@r.test')"
        )

    def check(self, model: str, virtual: str) -> None:
        server = self.server(
            f"{MULTI}process_model = {model}\n"
            "relay_domains = r.test\nrelay_transport = discard:\n"
            "virtual_mailbox_domains = v.test\n"
            f"virtual_mailbox_maps = {virtual}mysql:$config_directory/boxes.cf\n"
            "relay_recipient_maps = pgsql:$config_directory/relay.cf\n"
            "smtpd_relay_restrictions = reject_unauth_destination\n"
        )
        query = "query = SELECT address FROM {} WHERE address = '%s'\n"
        server.write("boxes.cf", self.mariadb.settings() + query.format("box"))
        server.write(
            "relay.cf",
            f"hosts = unix:{self.postgres.folder}\nuser = mail\ndbname = postgres\n"
            + query.format("r"),
        )
        self.started(server)
        names = ("known@v.test", "x'or'1'='1@v.test", "known@r.test", "no@r.test")
        self.assertEqual(self.codes(server, *names), [250, 550, 250, 550])
        self.mariadb.stop()
        self.assertEqual(self.codes(server, *names), [451, 451, 250, 550])
        self.mariadb.begin()
        wait_for(
            lambda: self.codes(server, *names) == [250, 550, 250, 550],
            lambda: f"it is not asked again: {server.log()}",
        )
        self.assertNotIn("Traceback", server.output())

    def test_recipients(self) -> None:
        """
        smtpd asks proxymap, or itself; without the database 451, for all; when
        it is back it is asked.
        """
        self.check("multi", "proxy:")
        self.check("single", "")


class AliasTests(ProxyCase):
    """
    Aliases in a directory.
    """

    if openldap.missing():
        skip = openldap.missing()

    def waiting(self, model: str) -> Txmta:
        directory = OpenLdap(self)
        directory.fill(
            {
                "cn=team": {
                    "objectClass": ["inetOrgPerson", "mailThing"],
                    "cn": ["team"],
                    "sn": ["x"],
                    "mailacceptinggeneralid": ["team"],
                    "maildrop": ["one@r.test", "two@r.test"],
                }
            }
        )
        server = self.server(
            f"{MULTI}{SOON}process_model = {model}\nlocal_transport = local:\n"
            "relay_domains = r.test\nrelay_transport = discard:\n"
            "alias_maps = ldap:$config_directory/aliases.cf\nlocal_recipient_maps =\n"
        )
        path = server.folder / "master.cf"
        path.write_text(path.read_text() + LOCAL)
        server.write(
            "aliases.cf", f"server_host = {directory.url}\nsearch_base = {BASE}\n"
        )
        self.started(server)
        with smtplib.SMTP("127.0.0.1", server.port, timeout=20) as client:
            client.sendmail("a@b.test", ["team@here.test"], "Subject: x\n\nbody\n")
        server.wait_for_log("to=<team@here.test>.*status=deferred")
        directory.begin()
        server.wait_until_idle()
        return server

    def check(self, model: str) -> None:
        """
        Mail whose aliases nobody knows waits, and nobody is told that it
        bounced; when the directory is there, it is delivered.
        """
        require_root("several accounts")
        server = self.waiting(model)
        for name in ("one", "two"):
            (line,) = server.wait_for_log(f"to=<{name}@r.test>.*status=sent")
            self.assertIn("orig_to=<team@here.test>", line)
        self.assertNotIn("status=bounced", server.log())
        self.assertNotIn("Traceback", server.output())

    def test_multi(self) -> None:
        """
        The process that delivers asks.
        """
        self.check("multi")

    def test_single(self) -> None:
        """
        In one process too.
        """
        self.check("single")
