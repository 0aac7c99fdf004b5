"""
Tests of what each role may have.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from txmta.config.master_cf import Service, parse_master_cf
from txmta.config.settings import Settings
from txmta.master.confine import Confinement
from txmta.master.privileges import Account
from txmta.master.profiles import PROFILES, confinement, in_jail, table_files

OWNER = Account("postfix", 105, 106)


def port_of(name: str) -> int:
    if name == "milter":
        return 8891
    raise OSError("unknown")


def of(role: str, rows: str = "", **values: str) -> Confinement:
    settings = Settings.of(queue_directory="/q", config_directory="/c", **values)
    services: Sequence[Service] = parse_master_cf("master.cf", rows) if rows else ()
    return confinement(role, settings, services, OWNER, port_of)


class RoleTests(SynchronousTestCase):
    def test_accounts(self) -> None:
        """
        Everybody is the mail owner, but local.
        """
        for role in PROFILES:
            account = None if role == "local" else OWNER
            self.assertEqual(of(role).account, account, role)

    def test_local(self) -> None:
        """
        Commands would inherit what is forbidden to local: nothing is.
        """
        rows = "local unix - n y - - local\n"
        self.assertEqual(of("local", rows), Confinement(None))

    def test_network(self) -> None:
        """
        Who may have Internet sockets, and connect where.
        """
        found = {role: of(role).network for role in PROFILES if role != "local"}
        self.assertEqual(
            {role: (n.internet, n.connect) for role, n in found.items()},
            {
                "smtpd": (True, (53,)),
                "smtp": (True, None),
                "proxymap": (True, None),
                "qmgr": (False, ()),
                "pickup": (False, ()),
                "log": (False, ()),
            },
        )

    def test_endpoints(self) -> None:
        """
        smtpd may connect to what the configuration names, also that of -o.
        """
        rows = "smtp inet n - n - - smtpd -o smtpd_milters=inet:[::1]:milter\n"
        found = of("smtpd", rows, smtpd_milters="inet:localhost:8892, unix:/x")
        self.assertEqual(found.network.connect, (53, 8891, 8892))

    def test_write(self) -> None:
        """
        Those that have to do with the queue may write there; the log's writer
        may make the file anew after it was moved away.
        """
        found = {
            role: of(role, maillog_file="/var/log/mail.log").write for role in PROFILES
        }
        queue = ("/q",)
        self.assertEqual(
            found,
            {
                **dict.fromkeys(("smtpd", "smtp", "qmgr", "pickup"), queue),
                "proxymap": (),
                "local": (),
                "log": ("/var/log",),
            },
        )

    def test_plugins(self) -> None:
        """
        Agents of other packages may write where main.cf says, if that is
        there.
        """
        here = os.path.abspath(self.mktemp())
        os.mkdir(here)
        paths = f"{here}, /nonexistent/mail"
        self.assertEqual(of("smtp", plugin_directories=paths).write, ("/q", here))
        for role in ("smtpd", "qmgr", "pickup"):
            found = of(role, plugin_directories=paths)
            self.assertEqual(found.write, ("/q",), role)
            self.assertNotIn("/nonexistent", found.read)

    def test_chroot(self) -> None:
        """
        As master.cf says for any of the services that a process serves; never
        for those that would have nothing to do there.
        """
        rows = "smtp unix - - n - - smtp\nrelay unix - - {} - - smtp\n"
        self.assertEqual(of("smtp", rows.format("n")).chroot, "")
        self.assertEqual(of("smtp", rows.format("y")).chroot, "/q")
        for role in ("proxymap", "log"):
            self.assertEqual(of(role, f"{role} unix - - y - 1 {role}\n").chroot, "")


class ReadTests(SynchronousTestCase):
    def test_tables(self) -> None:
        """
        A table's directory can be read, as a new version is a new file; but
        not a whole directory in which others have theirs.
        """
        found = of(
            "smtpd",
            "smtp inet n - n - - smtpd -o mynetworks=/nets/list\n",
            relay_domains="proxy:hash:/tables/relay, !/lists/none",
            virtual_alias_maps="hash:/home/alice/aliases, inline:{x=y},"
            "unionmap:{cdb:/home/bob/one,proxy:lmdb:/home/bob/two}",
            smtpd_recipient_restrictions="check_access hash:/checks/access,"
            "reject_unauth_destination",
        ).read
        for path in ("/tables", "/lists", "/nets", "/checks", "/home/alice/aliases"):
            self.assertIn(path, found)
        for path in ("/home/bob/one.cdb", "/home/bob/two", "/home/bob/two.lmdb"):
            self.assertIn(path, found)
        self.assertFalse({"/", "/home", "/home/alice", "/var", "/q"} & set(found))

    def test_only_tables(self) -> None:
        """
        Other paths in the configuration are not opened by it: above all not
        where mailboxes are.
        """
        settings = Settings.of(
            virtual_mailbox_base="/vmail",
            mail_spool_directory="/spool",
            mailbox_command="/usr/bin/procmail",
            maillog_file_prefixes="/var/log/mail.log",
            relay_domains="/dev/stdin, /usr",
            alias_maps="hash:/a/aliases",
        )
        files = set(table_files(settings))
        self.assertIn("/a/aliases", files)
        self.assertFalse({"/vmail", "/spool", "/usr/bin/procmail", "/usr"} & files)
        self.assertFalse({"/var/log/mail.log", "/dev/stdin"} & files)

    def test_system(self) -> None:
        """
        The configuration, the interpreter, and where /etc/resolv.conf is.
        """
        found = of("smtpd").read
        resolv = os.path.dirname(os.path.realpath("/etc/resolv.conf"))
        package = str(Path(__file__).resolve().parents[2] / "txmta")
        for path in ("/etc", "/c", package, resolv):
            self.assertIn(path, found)


class JailTests(SynchronousTestCase):
    def test_names(self) -> None:
        self.assertEqual(in_jail("/q/content", "/q"), "/content")
        self.assertEqual(in_jail("/q", "/q/"), "/")
        self.assertEqual(in_jail("/q", ""), "/q")

    def test_outside(self) -> None:
        for path in ("/", "/queue", "/q/../x", "/etc/aliases"):
            self.assertRaises(ValueError, in_jail, path, "/q")
