"""
Tests of reading master.cf.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txmta.config.master_cf import (
    Service,
    builtin_master_cf,
    enabled,
    parse_master_cf,
    service_settings,
)
from txmta.config.settings import Settings
from txmta.errors import ConfigError


def one(text: str) -> Service:
    (service,) = parse_master_cf("master.cf", text)
    return service


class ParseTests(SynchronousTestCase):
    def bad(self, text: str) -> tuple[str, ...]:
        error = self.assertRaises(ConfigError, parse_master_cf, "master.cf", text)
        assert isinstance(error, ConfigError)
        return error.problems

    def test_columns(self) -> None:
        """
        The eight columns of master(5), "-" being the default of each.
        """
        service = one("# c\n127.0.0.1:2525 inet n n y 60? 5 smtpd -v -v\n")
        self.assertEqual(
            service,
            Service(
                "127.0.0.1:2525",
                "inet",
                False,
                False,
                True,
                60.0,
                5,
                "smtpd",
                ("-v", "-v"),
                {},
                "master.cf, line 2",
            ),
        )
        service = one("x unix - - - - - y\n")
        self.assertEqual(
            (service.private, service.unprivileged, service.chroot), (True, True, False)
        )
        self.assertEqual((service.wakeup, service.maxproc), (0.0, None))

    def test_old_level(self) -> None:
        """
        Below compatibility level 1, "-" means a jail, and "n" still does not.
        """
        rows = "a unix - - - - - x\nb unix - - n - - x\n"
        for old in (False, True):
            one, other = parse_master_cf("m", rows, chroot=old)
            self.assertEqual((one.chroot, other.chroot), (old, False))

    def test_overrides(self) -> None:
        """
        C{-o name=value}, C{-o { name = value }} and C{-oname=value}, on lines
        of their own or not; the last of each name counts.
        """
        service = one(
            "smtp inet n - n - - smtpd\n -o a=b\n# c\n  -o { c = d e }\n"
            " -oe=f {-o g=h} -o { i = {j k} } -o a=z -o l=m=n -o o=\n"
        )
        self.assertEqual(
            service.overrides,
            {
                "a": "z",
                "c": "d e",
                "e": "f",
                "g": "h",
                "i": "{j k}",
                "l": "m=n",
                "o": "",
            },
        )
        self.assertEqual(service.arguments, ())

    def test_options_together(self) -> None:
        """
        C{-vo name=value} is C{-v -o name=value}; C{--} ends options.
        """
        service = one("x unix - - n - - y -vo a=b -vv -oc=d -- -o e=f\n")
        self.assertEqual(service.overrides, {"a": "b", "c": "d"})
        self.assertEqual(service.arguments, ("-v", "-vv", "--", "-o", "e=f"))

    def test_braces_inside(self) -> None:
        """
        White space in braces separates nothing, wherever they are.
        """
        service = one("x unix - n n - - pipe user=u argv=/c ${user?{a b}:{c}} {d e}\n")
        self.assertEqual(
            service.arguments, ("user=u", "argv=/c", "${user?{a b}:{c}}", "d e")
        )
        # Not in columns.
        service = one("{a unix - - n - - y {b {c d}}\n")
        self.assertEqual((service.name, service.arguments), ("{a", ("b {c d}",)))

    def test_command_of_pipe(self) -> None:
        """
        Options end at the first word without "-": what belongs to the command
        of a pipe service stays there.
        """
        service = one(
            "x unix - n n - - pipe -o a=b flags=R user=u argv=/bin/c -o d ${recipient}"
        )
        self.assertEqual(service.overrides, {"a": "b"})
        self.assertEqual(
            service.arguments,
            ("flags=R", "user=u", "argv=/bin/c", "-o", "d", "${recipient}"),
        )

    def test_all_problems(self) -> None:
        """
        Every bad line is told, with its number and what to do.
        """
        problems = self.bad(
            "smtp inet n - n -\n"
            "a tcp - - - - - x\n"
            "b unix x - - - - x\n"
            "c unix - - - 10m - x\n"
            "d unix - - - - -5 x\n"
            "e inet - - - - - smtpd\n"
            "f unix - - - - - x -o y\n"
            "g unix - - - - - x -o\n"
            "h unix - - - - - x -o {y=z\n"
            "i unix - - - - - x -o {y=z}q\n"
            "j - - - - - - x\n"
            "k unix - - - - - -\n"
            "l unix - - - - - x -o { = z }\n"
        )
        expected = (
            'line 1: missing "max_proc" field',
            "line 2: bad transport type: tcp: write one of inet",
            'line 3: field "private": bad value: "x"',
            'line 4: field "wakeup_time": bad value: "10m"',
            'line 5: field "max_proc": bad value: "-5"',
            "line 6: inet service cannot be private",
            "line 7: -o: missing '=' after attribute name: \"y\"",
            "line 8: -o: option requires an argument",
            "line 9: missing '}' in \"{y=z\"",
            "line 10: syntax error after '}' in \"{y=z}q\"",
            'line 11: field "transport type" has no default value',
            'line 12: field "command" has no default value',
            'line 13: -o: missing attribute name: "= z"',
        )
        self.assertEqual(len(problems), len(expected))
        for problem, words in zip(problems, expected, strict=True):
            self.assertIn(f"master.cf, {words}", problem)

    def test_twice(self) -> None:
        """
        The same name and type twice: the last counts, and Postfix's warning
        says so; smtp inet and unix are two.
        """
        rows = "smtp inet n - n - - smtpd\nsmtp unix - - n - - smtp\n"
        self.assertEqual(len(parse_master_cf("master.cf", rows)), 2)
        warnings: list[str] = []
        rows += "smtp unix - - n - 2 smtp\n"
        found = parse_master_cf("master.cf", rows, warnings.append)
        self.assertEqual([s.maxproc for s in found], [None, 2])
        self.assertEqual(
            warnings,
            [
                "master.cf, line 3: duplicate master.cf entry for service smtp unix "
                "-- using the last entry, not master.cf, line 2"
            ],
        )

    def test_continues_nothing(self) -> None:
        """
        As in Postfix, a warning, and nothing else.
        """
        warnings: list[str] = []
        rows = "  smtp inet n - n - - smtpd\nx unix - - n - - smtp\n"
        (found,) = parse_master_cf("master.cf", rows, warnings.append)
        self.assertEqual(found.name, "x")
        (warning,) = warnings
        self.assertIn("line 1: logical line must not start with whitespace", warning)

    def test_turned_off(self) -> None:
        """
        master_service_disable: by type, or name and type; "!" excepts.
        """
        rows = (
            "smtp inet n - n - - smtpd\n25 inet n - n - - smtpd\n"
            "smtp unix - - n - - smtp\n"
        )
        services = parse_master_cf("master.cf", rows)
        for off, left in (
            ("", ["smtp inet", "25 inet", "smtp unix"]),
            ("inet", ["smtp unix"]),
            ("smtp/inet", ["25 inet", "smtp unix"]),
            ("!25/inet inet", ["25 inet", "smtp unix"]),
            ("smtp", ["smtp inet", "25 inet", "smtp unix"]),
        ):
            found = [f"{s.name} {s.type}" for s in enabled(services, off.split())]
            self.assertEqual(found, left, off)

    def test_too_many(self) -> None:
        rows = "".join(f"s{n} unix - - - - - x\n" for n in range(2000))
        (problem,) = self.bad(rows)
        self.assertIn("more than", problem)


class BuiltinTests(SynchronousTestCase):
    def test_builtin(self) -> None:
        """
        Without a master.cf: port smtp, and a service for each agent.
        """
        found = {(s.name, s.type): s.program for s in builtin_master_cf()}
        self.assertEqual(found["smtp", "inet"], "smtpd")
        for name in ("smtp", "relay", "local", "virtual", "error", "discard"):
            self.assertIn((name, "unix"), found)


class ServiceSettingsTests(SynchronousTestCase):
    def test_override(self) -> None:
        """
        C{-o} counts for its service only, and may mention $service_name.
        """
        service = one(
            "submission inet n - n - - smtpd -o syslog_name=postfix/$service_name\n"
        )
        settings = Settings.of()
        self.assertEqual(
            service_settings(settings, service).syslog_name, "postfix/submission"
        )
        self.assertEqual(settings.syslog_name, "postfix")

    def test_wrong(self) -> None:
        """
        A bad value is told with the line of master.cf.
        """
        service = one("smtp inet n - n - - smtpd -o queue_run_delay=soon\n")
        error = self.assertRaises(ConfigError, service_settings, Settings.of(), service)
        self.assertIn("master.cf, line 1: queue_run_delay = soon", str(error))
