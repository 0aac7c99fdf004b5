"""
What is said of a configuration that cannot be used.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from txmta.build import Configuration, load
from txmta.errors import ConfigError

MAIN_CF = """\
compatibility_level = 3.9
myhostname = mail.here.test
mydestination = here.test
mynetworks = 127.0.0.0/8
"""

NO_ALIASES = "alias_maps =\nlocal_recipient_maps =\n"

MASTER_CF = """\
127.0.0.1:2525 inet n - n - - smtpd
smtp unix - - n - - smtp
relay unix - - n - - smtp
local unix - n n - - local
virtual unix - n n - - virtual
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
"""

#: A line of main.cf, and what is said of it after "main.cf, line 7: ".
MAIN_MISTAKES = (
    ("this is no parameter", "missing '=' after parameter name.*write name ="),
    ("= value", "missing parameter name.*write name = value"),
    ("myhostname = mail\0.test", "contains a NUL octet: remove it"),
    ("queue_run_delay = soon", "queue_run_delay = soon: is not a time: write"),
    ("queue_run_delay = 5 minutes", "queue_run_delay = .*: is not a time: write"),
    ("smtpd_timeout = 0s", "smtpd_timeout = 0s: is too small: the least is 1"),
    ("message_size_limit = 10MB", "message_size_limit = 10MB: is not a number: write"),
    ("message_size_limit = -1", "message_size_limit = -1: is too small: the least"),
    ("mailbox_size_limit = 100", "mailbox_size_limit: 100 is smaller.*make it larger"),
    ("soft_bounce = maybe", "soft_bounce = maybe: is neither: write yes or no"),
    ("mynetworks_style = planet", "mynetworks_style = planet: is none of host, subnet"),
    ("smtpd_banner = ${myhostname", "smtpd_banner = .*: truncated macro reference"),
    ("smtpd_banner = $smtpd_banner", "smtpd_banner = .*: refers to itself: .*write"),
    ("queue_directory = queue", "queue_directory = queue: is not an absolute path: wr"),
    ("myorigin = /no/mailname", "myorigin: /no/mailname: cannot be read: .*check"),
    ("myhostname = -bad-", "myhostname = -bad-: has a misplaced dot or hyphen: write"),
    ("mail_owner = a b", "mail_owner = a b: is not the name of an account"),
    ("mynetworks = 192.168.1.5/24", "mynetworks: .* has host bits: write 192.168.1.0"),
    ("mynetworks = 300.1.1.1", "mynetworks: 300.1.1.1 is no network: write it as"),
    ("mynetworks = 10.0.0.0/33", "mynetworks: 10.0.0.0/33 is no network: write it as"),
    ("mynetworks = ::1/128", r"mynetworks: .*: write IPv6 in brackets: \[::1\]/128"),
    ("mynetworks = [::1", r"mynetworks: \[::1 has no '\]': write"),
    ("mynetworks = !", 'mynetworks: no pattern after "!": write one'),
    ("inet_interfaces = 203.0.113.77", "inet_interfaces: no local interface found for"),
    ("inet_interfaces = no.host", "inet_interfaces: host not found: no.host: write"),
    ("inet_protocols = ipv5", "inet_protocols = ipv5: .*: write all, ipv4 or ipv6"),
    ("proxy_interfaces = 1.2.3", "proxy_interfaces: host not found: 1.2.3: write"),
    ("smtp_bind_address = ::1", "smtp_bind_address: ::1 is no IPv4 address: write"),
    ("relayhost = [1.2.3.4", r"relayhost: \[1.2.3.4 is no next hop: write host, host:"),
    ("relayhost = 1.2.3.4]", r"relayhost: 1.2.3.4\] is no next hop: write host, host:"),
    ("relayhost = ::1", r"relayhost: ::1: write IPv6 in brackets: \[::1\]"),
    ("relayhost = a.test:99999", "relayhost: .*: 99999 is no port: write 1 to 65535"),
    (
        "default_transport = smtp:[::1",
        r"default_transport: \[::1 is no next hop: write",
    ),
    ("default_transport = pigeon", "default_transport = pigeon: .*: write one of disc"),
    ("local_transport =", "local_transport = : null transport is not allowed: write"),
    (
        "smtpd_recipient_restrictions = permit_everybody, reject",
        "smtpd_recipient_restrictions: permit_everybody: no such restriction",
    ),
    (
        "smtpd_relay_restrictions = permit_mynetwork, reject",
        "smtpd_relay_restrictions: permit_mynetwork: .*did you mean permit_mynetworks",
    ),
    ("smtpd_relay_restrictions =", "smtpd_relay_.*: anybody could relay: specify at"),
    ("alias_maps = oracle:/x", "alias_maps: oracle:/x: unsupported dictionary.*: use"),
    ("alias_maps = hash:/no/x", "alias_maps: hash:/no/x: open /no/x: No such.*: make"),
    ("alias_maps = hash:aliases", "alias_maps: hash:aliases: not a full path: write"),
    ("alias_maps = /etc/aliases", "alias_maps: /etc/aliases: not a table: write type"),
    ("relay_domains = oracle:x", "relay_domains: oracle:x: unsupported dict.*: use"),
    (
        "mydestination = /no/x",
        "mydestination: /no/x: open /no/x: No such .*: make this",
    ),
    ("virtual_mailbox_maps = hash:/no/x", "virtual_mailbox_maps: hash:/no/x: .*: make"),
)

#: A line of master.cf, and what is said of it after "master.cf, line 9: ".
MASTER_MISTAKES = (
    ("smtp unix - - n", 'missing "wakeup_time" field: write all 8'),
    ("x foo n - n - - smtpd", "bad transport type: foo: write one of inet"),
    ("2526 inet y - n - - smtpd", "inet service cannot be private: write n"),
    ("127.0.0.1:99999 inet n - n - - smtpd", "service 99999: is no port: write 1 to"),
    ("127.0.0.1:no-port inet n - n - - smtpd", "service no-port: unknown port: write"),
    ("x unix - - maybe - - smtp", 'field "chroot": bad value: "maybe": write y, n'),
    ("x unix - - n x - smtp", 'field "wakeup_time": bad value: "x": write sec'),
    ("x unix - - n - x smtp", 'field "max_proc": bad value: "x": write a number'),
    ("x unix - - n - - smtp -o a = b", "-o: missing '=' after attribute name"),
    ("x unix - - n - - smtp -o { a = b", "missing '}' in \"{ a = b"),
    (
        "2526 inet n - n - - smtpd -o smtpd_timeout=soon",
        "smtpd_timeout = soon: is not a time: write",
    ),
    (
        "2526 inet n - n - - smtpd -o smtpd_recipient_restrictions=permit_all,reject",
        "smtpd_recipient_restrictions: permit_all: no such restriction",
    ),
    (
        "2526 inet n - n - - smtpd -o smtpd_relay_restrictions=permit",
        "smtpd_relay_restrictions, .*: anybody could relay: specify",
    ),
    (
        "2526 inet n - n - - smtpd -o mynetworks=1.2.3.4.5",
        "mynetworks: 1.2.3.4.5 is no network: write",
    ),
    (
        "2526 inet n - n - - smtpd -o mynetworks=hash:/no/x",
        "mynetworks: hash:/no/x: open /no/x: .*: make this file",
    ),
    (
        "x unix - n n - - local -o alias_maps=hash:/no/x",
        "alias_maps: hash:/no/x: open /no/x: .*: make this file",
    ),
    (
        "x unix - - n - - smtp -o smtp_connect_timeout=soon",
        "smtp_connect_timeout = soon: is not a time: write",
    ),
)


class LoadCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def load(self, main_cf: str, master_cf: str = "") -> Configuration:
        path = self.folder / "main.cf"
        path.write_text(MAIN_CF + main_cf)
        (self.folder / "master.cf").write_text(MASTER_CF + master_cf)
        return load(str(path))

    def problems(self, main_cf: str, master_cf: str = "") -> list[str]:
        error = self.assertRaises(ConfigError, self.load, main_cf, master_cf)
        assert isinstance(error, ConfigError)
        return [p.removeprefix(f"{self.folder}/") for p in error.problems]


class MistakeTests(LoadCase):
    """
    One mistake, one line: file, line, parameter, what is wrong, what to do.
    """

    def test_main_cf(self) -> None:
        for text, pattern in MAIN_MISTAKES:
            with self.subTest(text):
                found = self.problems(f"{NO_ALIASES}{text}\n")
                self.assertEqual(len(found), 1, found)
                self.assertRegex(found[0], f"^main.cf, line 7: {pattern}")

    def test_master_cf(self) -> None:
        for text, pattern in MASTER_MISTAKES:
            with self.subTest(text):
                found = self.problems(NO_ALIASES, f"{text}\n")
                self.assertEqual(len(found), 1, found)
                self.assertRegex(found[0], f"^master.cf, line 9: {pattern}")

    def test_turned_off(self) -> None:
        """
        master_service_disable: what is turned off does not listen.
        """
        for off, left in (("inet", False), ("26/inet", True), ("!25/inet inet", True)):
            line = f"master_service_disable = {off}\n"
            row = "25 inet n - n - - smtpd\n26 inet n - n - - smtpd\n"
            found = {s.name for s in self.load(f"{NO_ALIASES}{line}", row).services}
            self.assertEqual(("25" in found, "26" in found), (left, False), off)

    def test_old_level(self) -> None:
        """
        compatibility_level = 0: "-" means a jail in master.cf; without a level
        the newest defaults count.
        """
        for level, jail in (("0", True), ("1", False), ("3.6", False), ("", False)):
            line = f"compatibility_level = {level}\n" if level else ""
            found = self.load(f"{NO_ALIASES}{line}", "x unix - - - - - discard\n")
            (service,) = (s for s in found.services if s.name == "x")
            self.assertEqual(service.chroot, jail, level)

    def test_all_at_once(self) -> None:
        """
        Whatever else is wrong.
        """
        texts = [
            "this is no parameter",
            "inet_interfaces = 203.0.113.77",
            "mynetworks = 300.1.1.1",
            "myorigin = /no/mailname",
            "relayhost = [1.2.3.4",
            "alias_maps = hash:/no/x",
            "relay_domains = oracle:x",
        ]
        found = self.problems("\n".join([*texts, ""]), "x y\n")
        self.assertEqual(
            sorted(each.partition(": ")[0] for each in found),
            sorted(
                [*(f"main.cf, line {n}" for n in range(5, 12)), "master.cf, line 9"]
            ),
        )

    def test_open_relay(self) -> None:
        """
        One rule that refuses is enough, in either list.
        """
        self.load(
            f"{NO_ALIASES}smtpd_relay_restrictions =\n"
            "smtpd_recipient_restrictions = reject\n"
        )

    def test_allow_not_yet(self) -> None:
        """
        A trial starts without what is not there yet, and hears of it; what is
        refused stays so.
        """
        main_cf = f"{NO_ALIASES}content_filter = x:[192.0.2.1]\n"
        (problem,) = self.problems(main_cf)
        path = str(self.folder / "main.cf")
        found = load(path, allow_not_yet=True)
        (allowed,) = found.allowed
        self.assertRegex(allowed, r"\A--allow-not-yet: ignored: /")
        self.assertIn(problem, allowed)
        self.assertIn(found.allowed[0], found.warnings)
        self.problems(f"{main_cf}process_id = 1\n")
        (refused,) = self.assertRaises(ConfigError, load, path, True).problems
        self.assertIn("process_id = 1: is refused", refused)

    def test_written_elsewhere(self) -> None:
        """
        What a default refers to is told where it is written; two sizes that
        do not fit, at the one that is.
        """
        self.assertEqual(
            [p.partition(": open")[0] for p in self.problems("alias_maps = hash:/x\n")],
            ["main.cf, line 5: alias_maps: hash:/x"],
        )
        found = self.problems(f"{NO_ALIASES}message_size_limit = 100000000\n")
        self.assertEqual(
            [p.partition(": 5")[0] for p in found],
            [
                "main.cf, line 7: mailbox_size_limit",
                "main.cf, line 7: virtual_mailbox_limit",
            ],
        )


class DefaultTableTests(LoadCase):
    """
    /etc/aliases, which a default names, need not be there.
    """

    def setUp(self) -> None:
        super().setUp()
        real = os.open

        def open_(path: str, *args: int) -> int:
            if path == "/etc/aliases":
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
            return real(path, *args)

        self.patch(os, "open", open_)

    def test_by_default(self) -> None:
        self.load("")

    def test_named(self) -> None:
        """
        A name that somebody wrote may be misspelt.
        """
        (problem,) = self.problems("alias_maps = hash:/etc/aliases\n")
        self.assertIn("main.cf, line 5: alias_maps: hash:/etc/aliases: open", problem)
