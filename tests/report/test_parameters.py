"""
Tests of the verdicts on parameters.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txmta.config.declare import Status
from txmta.config.main_cf import parse_main_cf
from txmta.config.master_cf import parse_master_cf
from txmta.config.parameters.every import later
from txmta.config.settings import Settings
from txmta.report.items import Item, Kind, Verdict
from txmta.report.parameters import DIFFERENT_DEFAULTS, Parameters

AGENTS = ("smtp", "local", "virtual", "error", "pipe")


def judged(main: str, master: str = "") -> dict[str, Item]:
    definitions = parse_main_cf("main.cf", main).definitions
    services = parse_master_cf("master.cf", master)
    settings, _ = Settings.collect(definitions, Settings().system)
    found = Parameters(definitions, settings, services, AGENTS)
    return {item.name: item for item in found.items()}


class ParameterTests(SynchronousTestCase):
    def test_honoured(self) -> None:
        item = judged("# c\nmessage_size_limit = 1000\n  000\n")["message_size_limit"]
        self.assertEqual(
            item,
            Item(
                Kind.PARAMETER,
                "message_size_limit",
                "1000 000",
                ("main.cf, line 2",),
                Verdict.HONOURED,
            ),
        )

    def test_each_status(self) -> None:
        """
        The verdict is the declared status, with its note.
        """
        found = judged(
            "queue_directory = /x\nbiff = yes\nsun_mailtool_compatibility = yes\n"
        )
        for name, verdict in (
            ("queue_directory", Verdict.APPROXIMATED),
            ("biff", Verdict.NO_EFFECT),
            ("sun_mailtool_compatibility", Verdict.OBSOLETE),
        ):
            self.assertIs(found[name].verdict, verdict, name)
            self.assertTrue(found[name].why, name)
            self.assertFalse(found[name].stops, name)

    def test_different_defaults(self) -> None:
        """
        Where only the default differs, what is set is honoured.
        """
        self.assertEqual(DIFFERENT_DEFAULTS - {*Settings.names()}, set())
        found = judged("alias_maps = hash:/etc/aliases\nsmtpd_timeout = 5s\n")
        for item in found.values():
            self.assertEqual((item.verdict, item.why), (Verdict.HONOURED, ""))

    def test_later(self) -> None:
        """
        What no code reads: it stops the start where its declaration says so,
        and not when it says what counts anyway.
        """
        for parameter in later().values():
            if parameter.status not in (Status.NOT_YET, Status.REFUSED):
                continue
            default = parameter.default
            assert isinstance(default, str)
            item = judged(f"{parameter.name} = {default}\n")[parameter.name]
            self.assertIs(item.verdict, Verdict.NO_EFFECT, parameter.name)
            item = judged(f"{parameter.name} = nothing-usual\n")[parameter.name]
            self.assertIs(item.verdict, Verdict(parameter.status.value))
            self.assertEqual(item.stops, parameter.effect.stops, parameter.name)
            self.assertEqual(item.why, parameter.note)

    def test_names_of_ones_own(self) -> None:
        """
        What a value mentions, classes of restrictions, settings of a table in
        main.cf and parameters of a transport are no unknown names.
        """
        main = (
            "mine = a.example\nmydestination = $mine\nslow_time_limit = 5\n"
            "smtpd_restriction_classes = one, two\none = reject\ntwo = permit\n"
            "virtual_mailbox_maps = proxy:ldap:people\npeople_server_host = x\n"
            "people_bind_pw = sesame\nslow_destination_rate_delay = 1s\n"
            "other = y\nfast_destination_rate_delay = 1s\n"
        )
        master = "slow unix - - n - - smtp -o smtp_helo_name=$other\n"
        found = judged(main, master)
        for name, item in found.items():
            if name == "smtpd_restriction_classes":
                continue
            expected = Verdict.UNKNOWN if name.startswith("fast_") else Verdict.HONOURED
            self.assertIs(item.verdict, expected, name)
        self.assertEqual(found["people_bind_pw"].value, "(not shown)")
        self.assertIn("your own", found["one"].why)

    def test_unknown(self) -> None:
        item = judged("mydestinations = x\n")["mydestinations"]
        self.assertIs(item.verdict, Verdict.UNKNOWN)
        self.assertIn("did you mean mydestination?", item.why)


class OverrideTests(SynchronousTestCase):
    def test_overrides(self) -> None:
        found = judged(
            "",
            "587 inet n - n - - smtpd -o hopcount_limit=3 -o fault_injection_code=1\n"
            "slow unix - - n - - smtp -o slow_destination_rate_delay=1s\n"
            "verify unix - - n - 1 verify -o hopcount_limit=4 -o syslog_name=v\n",
        )
        for name, verdict, words in (
            ("587 inet: hopcount_limit", Verdict.HONOURED, ""),
            ("587 inet: fault_injection_code", Verdict.NOT_YET, "lost"),
            ("slow unix: slow_destination_rate_delay", Verdict.NO_EFFECT, "main.cf"),
            ("verify unix: hopcount_limit", Verdict.NO_EFFECT, "nobody reads it"),
            ("verify unix: syslog_name", Verdict.NO_EFFECT, "another process"),
        ):
            self.assertIs(found[name].verdict, verdict, name)
            self.assertIn(words, found[name].why)
            self.assertIs(found[name].kind, Kind.OVERRIDE)
