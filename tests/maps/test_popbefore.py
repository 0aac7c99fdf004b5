"""
Tests of L{txmta.maps.popbefore} and L{txmta.maps.login_lines}.
"""

from __future__ import annotations

import os
import socket
import time
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txmta.errors import ConfigError
from txmta.maps import login_lines
from txmta.maps.context import Ways
from txmta.maps.login_lines import Lines, Seen, login
from txmta.maps.popbefore import LOOK, LoginTable
from txmta.maps.registry import TableRegistry

NOW = time.mktime((2026, 11, 25, 12, 0, 0, 0, 0, -1))

TAIL = "lip=192.0.2.1, mpid=4242, secured, session=<1r5DOTs6rIx/AAAB>"
OWN = (
    "Nov 25 11:59:00 imap-login: Info: Login: user=<joe>, method=PLAIN, "
    f"rip=192.0.2.7, {TAIL}"
)
SYSLOG = (
    "Nov 25 11:59:00 mx dovecot: pop3-login: Login: user=<joe@x.test>, "
    f"method=CRAM-MD5, rip=2001:db8::7, {TAIL}"
)


class LineTests(SynchronousTestCase):
    def address(self, line: str) -> str | None:
        found = login(line, NOW)
        return found[1] if found else None

    def test_logins(self) -> None:
        """
        Of Dovecot's own log, of syslog in its old and its new form.
        """
        self.assertEqual(login(OWN, NOW), (NOW - 60, "192.0.2.7"))
        self.assertEqual(login(SYSLOG, NOW), (NOW - 60, "2001:db8::7"))
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(NOW - 60))
        for zone in ("Z", "+00:00", ".123456+00:00"):
            line = SYSLOG.replace("Nov 25 11:59:00", stamp + zone)
            self.assertEqual(login(line, NOW), (NOW - 60, "2001:db8::7"), zone)
        east = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(NOW - 60 + 7200))
        line = SYSLOG.replace("Nov 25 11:59:00", f"{east}+02:00")
        self.assertEqual(login(line, NOW), (NOW - 60, "2001:db8::7"))
        mapped = OWN.replace("192.0.2.7", "::ffff:192.0.2.7")
        self.assertEqual(self.address(mapped), "192.0.2.7")

    def test_others(self) -> None:
        """
        Logins that failed, other programs, and what somebody made up.
        """
        for line in (
            "",
            "Nov 25 11:59:00 imap-login: Info: Aborted login (auth failed): "
            f"user=<joe>, method=PLAIN, rip=192.0.2.7, {TAIL}",
            OWN.replace("user=<joe>", "user=<x>, method=PLAIN, rip=198.51.100.1, y>"),
            "Nov 25 11:59:00 imap-login: Info: Disconnected: user=<"
            f"{OWN}>, method=PLAIN, rip=192.0.2.7, {TAIL}",
            f"Nov 25 11:59:00 mx smtpd[1]: {OWN}",
            OWN.replace("imap-login", "submission-login"),
            OWN.replace("192.0.2.7", "192.0.2.700"),
            OWN.replace("Nov 25", "Xyz 25"),
            " " + OWN,
        ):
            self.assertIsNone(login(line, NOW), line)

    def test_year(self) -> None:
        """
        A log of last year's end is no log of this year's.
        """
        found = login(OWN.replace("Nov 25", "Dec 31"), NOW)
        assert found is not None
        self.assertLess(found[0], NOW - 300 * 86400)


class SeenTests(SynchronousTestCase):
    def test_lifetime(self) -> None:
        seen = Seen(60.0)
        seen.add("192.0.2.7", 1000.0)
        self.assertTrue(seen.has("192.0.2.7", 1060.0))
        self.assertFalse(seen.has("192.0.2.7", 1061.0))
        self.assertFalse(seen.has("192.0.2.8", 1000.0))
        seen.add("192.0.2.7", 900.0)
        self.assertTrue(seen.has("192.0.2.7", 1060.0))

    def test_bounded(self) -> None:
        self.patch(login_lines, "MOST", 3)
        seen = Seen(60.0)
        for n, address in enumerate("abcade"):
            seen.add(address, float(n))
        found = [each for each in "abcde" if seen.has(each, 6.0)]
        self.assertEqual(found, ["a", "d", "e"])

    def test_lines(self) -> None:
        """
        Cut anywhere; what is too long is no line.
        """
        whole = b"one\n" + b"x" * 5000 + b"\ntwo\n" + b"y" * 9000 + b"\nthree\n"
        for size in (1, 7, 4096, 20000):
            lines = Lines()
            found = [
                line
                for at in range(0, len(whole), size)
                for line in lines.feed(whole[at : at + size])
            ]
            self.assertEqual(found, ["one", "two", "three"], size)


class TableTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.warnings: list[str] = []
        self.folder = os.path.abspath(self.mktemp())
        os.mkdir(self.folder)
        self.path = os.path.join(self.folder, "dovecot.log")
        self.clock = Clock()
        self.limit: str | None = None

    def table(self, name: str = "", reactor: Any = None) -> LoginTable:
        ways = Ways(reactor=reactor, defined=lambda name: self.limit)
        registry = TableRegistry(float, self.warnings.append, (), ways=ways)
        table = registry.table(f"popbefore:{name or self.path}", "mynetworks")
        assert isinstance(table, LoginTable)
        table._now = lambda: NOW
        return table

    def write(self, *addresses: str, end: str = "\n") -> None:
        with open(self.path, "a") as file:
            for address in addresses:
                file.write(OWN.replace("192.0.2.7", address) + end)

    def test_log(self) -> None:
        """
        Who was there before counts, and who comes; a line may be cut.
        """
        self.write("192.0.2.7")
        table = self.table()
        self.assertEqual(table.lookup("192.0.2.7"), "OK")
        for key in ("192.0.2.8", "192.0.2", "mail.x.test", ""):
            self.assertIsNone(table.lookup(key))
        self.write("192.0.2.8", end="")
        self.assertIsNone(table.lookup("192.0.2.8"))
        with open(self.path, "a") as file:
            file.write("\n")
        self.assertEqual(table.lookup("192.0.2.8"), "OK")
        self.write("192.0.2.9")
        self.assertEqual(table.lookup("192.0.2.9"), "OK")

    def test_rotation(self) -> None:
        """
        The last lines of the old file count, and those of the new one; also
        when it is copied and emptied.
        """
        self.write("192.0.2.7")
        table = self.table()
        table.lookup("x")
        self.write("192.0.2.8")
        os.rename(self.path, self.path + ".1")
        self.write("192.0.2.9")
        for n in (7, 8, 9):
            self.assertEqual(table.lookup(f"192.0.2.{n}"), "OK", n)
        os.truncate(self.path, 0)
        table.look()
        self.write("192.0.2.10")
        self.assertEqual(table.lookup("192.0.2.10"), "OK")

    def test_gone(self) -> None:
        """
        While there is none, what is known counts; one line says so.
        """
        self.write("192.0.2.7")
        table = self.table()
        os.unlink(self.path)
        for _ in range(3):
            self.assertEqual(table.lookup("192.0.2.7"), "OK")
        self.assertEqual(len(self.warnings), 1)
        self.write("192.0.2.8")
        self.assertEqual(table.lookup("192.0.2.8"), "OK")

    def test_time_limit(self) -> None:
        self.write("192.0.2.7")
        self.limit = "30s"
        self.assertIsNone(self.table().lookup("192.0.2.7"))
        self.limit = "2m"
        self.assertEqual(self.table().lookup("192.0.2.7"), "OK")
        self.limit = "soon"
        self.assertRaises(ConfigError, self.table)

    def test_socket(self) -> None:
        """
        A datagram has an address; the socket takes the place of an old one.
        """
        path = os.path.relpath(os.path.join(self.folder, "s.sock"))
        self.folder = os.path.dirname(path)
        name = os.path.abspath(path)
        if len(name) > 100:
            name = os.path.join("/tmp", f"txmta-{os.getpid()}.sock")
        self.addCleanup(os.unlink, name)
        self.table(name, self.clock)
        table = self.table(name, self.clock)
        self.assertEqual(os.stat(name).st_mode & 0o777, 0o660)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as feeder:
            feeder.connect(name)
            for octets in (b"192.0.2.7\n", b"::ffff:192.0.2.8", b"\xff", b"x" * 900):
                feeder.send(octets)
        self.clock.advance(LOOK)
        self.assertEqual(table.lookup("192.0.2.7"), "OK")
        self.assertEqual(table.lookup("192.0.2.8"), "OK")
        self.assertIsNone(table.lookup("x"))

    def test_only_looked_at(self) -> None:
        """
        Who checks the configuration takes no socket from the server.
        """
        name = os.path.join(self.folder, "s.sock")
        self.table(name)
        self.assertFalse(os.path.exists(name))

    def test_followed(self) -> None:
        """
        As long as somebody has the table.
        """
        self.write("192.0.2.7")
        table = self.table(reactor=self.clock)
        self.clock.advance(LOOK)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        del table
        self.clock.advance(LOOK)
        self.clock.advance(LOOK)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_wrong(self) -> None:
        for name in ("relative", self.path, f"{self.folder}/no/x.sock", self.folder):
            self.assertRaises(ConfigError, self.table, name)
