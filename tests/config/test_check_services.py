"""
Tests of what is told of the services of master.cf.
"""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from txmta.config.check_services import ServiceChecks
from txmta.config.check_values import ValueChecks
from txmta.config.declare import Status
from txmta.config.master_cf import parse_master_cf
from txmta.config.programs import FATES, fate
from txmta.config.settings import Settings

AGENTS = ("discard", "error", "lmtp", "local", "pipe", "smtp", "virtual")

#: What every file needs for its transports.
ROWS = """\
25 inet n - n - - smtpd
smtp unix - - n - - smtp
relay unix - - n - - smtp
local unix - n n - - local
virtual unix - n n - - virtual
"""

#: A service of each program that Postfix's master.cf has or suggests.
POSTFIX = (
    *("anvil", "bounce", "cleanup", "dnsblog", "flush", "nqmgr", "oqmgr", "pickup"),
    *("postlogd", "postscreen", "proxymap", "qmgr", "qmqpd", "scache", "showq"),
    *("smtpd", "spawn", "tlsmgr", "tlsproxy", "trivial-rewrite", "verify"),
)


def found(rows: str, **values: str) -> ServiceChecks:
    services = parse_master_cf("master.cf", ROWS + rows)
    return ServiceChecks(Settings.of(**values), services, AGENTS)


class FateTests(SynchronousTestCase):
    def test_every_program(self) -> None:
        """
        Each daemon of Postfix has a fate, and it says something.
        """
        for program in (*POSTFIX, *AGENTS):
            text = f"x unix - - n - - {program}\n"
            (service,) = parse_master_cf("master.cf", text)
            self.assertGreater(len(fate(service, AGENTS).note), 10, program)
        for program in POSTFIX:
            self.assertIn(program, FATES)

    def test_what_is_installed(self) -> None:
        """
        So has each that Debian installs.
        """
        folder = Path("/usr/lib/postfix/sbin")
        if not folder.exists():
            return
        helpers = ("fsstone", "master", "post-", "postfix-", "postmulti-")
        for path in folder.iterdir():
            name = path.name
            if name.startswith(helpers):
                continue
            self.assertTrue(name in FATES or name in AGENTS, name)


class ServiceTests(SynchronousTestCase):
    def test_nothing(self) -> None:
        checks = found("")
        self.assertEqual(checks.problems + checks.warnings + checks.notes, [])

    def test_functions(self) -> None:
        """
        Services that are parts of something else here are explained, once.
        """
        checks = found(
            "anvil unix - - n - 1 anvil\ntlsmgr unix - - n 1000? 1 tlsmgr\n"
            "bounce unix - - n - 0 bounce\ndefer unix - - n - 0 bounce\n"
        )
        self.assertEqual(checks.problems + checks.warnings, [])
        (note,) = checks.notes
        self.assertIn("not processes: anvil, tlsmgr, bounce, defer", note)

    def test_postscreen(self) -> None:
        """
        It listens, and what stands behind it in Debian's master.cf is known.
        """
        checks = found(
            "smtp inet n - n - 1 postscreen\nsmtpd pass - - n - - smtpd\n"
            "dnsblog unix - - n - 0 dnsblog\n"
        )
        self.assertEqual(checks.problems + checks.warnings, [])

    def test_not_started(self) -> None:
        """
        What is not there, and is missed by nobody who does not ask for it.
        """
        checks = found(
            "628 inet n - n - - qmqpd\npolicy unix - n n - 0 spawn user=x argv=/y\n"
            "a unix - - n - - nosuch\nb unix - - n - - /usr/bin/own\n"
            "c unix - - n - - smtpd\n26 inet n - n - - qmgr\n27 inet n - n - - anvil\n"
        )
        self.assertEqual(checks.problems, [])
        words = (
            *("QMQP", "such as systemd", "no such program", "of others", "inet only"),
            *("nobody listens there", "nobody listens there"),
        )
        self.assertEqual(len(checks.warnings), len(words))
        for warning, word in zip(checks.warnings, words, strict=True):
            self.assertIn("not started: ", warning)
            self.assertIn(word, warning)

    def test_wrong_type(self) -> None:
        """
        A delivery agent on the net is a slip of the pen.
        """
        checks = found("26 inet n - n - - smtp\n")
        (problem,) = checks.problems
        self.assertIn("write type unix, or program smtpd", problem)
        self.assertEqual(checks.not_yet, [])

    def test_unread_overrides(self) -> None:
        """
        C{-o} where nobody reads it; as for the queue manager's parameters at
        a transport, in Postfix too.
        """
        checks = found(
            "polite unix - - n - - smtp -o polite_destination_rate_delay=1s\n"
            " -o syslog_name=polite -o smtp_connect_timeout=5\n"
            "verify unix - - n - 1 verify -o syslog_name=x -o default_privs=y\n"
            "dove unix - n n - - pipe -o dove_time_limit=5\n"
        )
        self.assertEqual(len(checks.warnings), 2)
        first, second = checks.warnings
        self.assertIn("reads -o polite_destination_rate_delay of this", first)
        self.assertIn("nobody reads -o default_privs of this service", second)

    def test_cleanup_service_name(self) -> None:
        rows = (
            "cleanup unix n - n - 0 cleanup\nout unix n - n - 0 cleanup\n"
            "587 inet n - n - - smtpd -o cleanup_service_name="
        )
        self.assertEqual(found(f"{rows}out\n").problems, [])
        self.assertEqual(found(f"{rows}$mine\n", mine="out").problems, [])
        (problem,) = found(f"{rows}in\n").problems
        self.assertIn("no service in with the program cleanup: write one of", problem)

    def test_only_one(self) -> None:
        """
        There is one queue manager, and addresses are resolved in one way: a
        service that asks for another way is refused by name.
        """
        rows = (
            "rewrite unix - - n - - trivial-rewrite -o mydestination=a.example\n"
            "qmgr unix n - n 300 1 qmgr\n"
            "dog_cleanup unix n - n - 0 cleanup -o queue_service_name=dog_qmgr\n"
            "dog_qmgr fifo n - n 300 1 qmgr -o rewrite_service_name=dog_rewrite\n"
            " -o syslog_facility=local7\n"
            "dog_rewrite unix - - n - - trivial-rewrite -o local_transport=discard\n"
        )
        checks = found(rows)
        self.assertEqual(checks.problems, checks.not_yet)
        first, second = checks.problems
        self.assertIn("line 8: queue_service_name = dog_qmgr: there is one qmgr", first)
        self.assertIn("rewrite_service_name = dog_rewrite: there is one", second)
        self.assertEqual(len(checks.warnings), 2, checks.warnings)
        self.assertIn("reads -o rewrite_service_name of", checks.warnings[0])
        self.assertIn("reads -o local_transport of", checks.warnings[1])
        # Without -o the other is the same.
        same = "x unix n - n 300 1 qmgr\n587 inet n - n - - smtpd"
        self.assertEqual(found(f"{same} -o queue_service_name=x\n").problems, [])

    def test_jails(self) -> None:
        rows = "cleanup unix n - y - 0 cleanup\n"
        (warning,) = found(rows, process_model="single").warnings
        self.assertIn("chroot in master.cf has no effect in one process", warning)
        self.assertEqual(found(rows, process_model="multi").warnings, [])

    def test_transports(self) -> None:
        (problem,) = found("", default_transport="nosuch:x").problems
        self.assertIn("has no service nosuch of type unix: write one of", problem)

    def test_transports_of_nobody(self) -> None:
        """
        A service that is named by a default only is not missed if there is no
        domain for it; if there is, or main.cf names it, it is.
        """
        services = parse_master_cf("m", "smtp unix - - n - - smtp\n")
        for values, count in (
            ({"mydestination": ""}, 0),
            ({"mydestination": "", "virtual_mailbox_domains": "a.example"}, 1),
            ({"mydestination": "a.example", "relay_domains": "b.example"}, 2),
            ({"mydestination": "", "local_transport": "local:"}, 1),
        ):
            checks = ServiceChecks(Settings.of(**values), services, AGENTS)
            self.assertEqual(len(checks.problems), count, values)


class MailboxTests(SynchronousTestCase):
    def test_sizes(self) -> None:
        """
        A limit on mailboxes that nobody writes is no problem, as in Postfix,
        where the agent would refuse to work.
        """
        settings = Settings.of(message_size_limit="60000000")
        for programs, count in (
            (("smtpd", "lmtp"), 0),
            (("virtual",), 1),
            (("local", "virtual"), 2),
            (None, 2),
        ):
            problems = ValueChecks(settings, None, programs).problems
            self.assertEqual(len(problems), count, programs)


class StatusTests(SynchronousTestCase):
    def test_stops_are_not_yet_or_refused(self) -> None:
        for name, each in FATES.items():
            if each.stops:
                self.assertIn(each.status, (Status.NOT_YET, Status.REFUSED), name)
