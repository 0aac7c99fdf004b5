"""
Tests of the parameters that are only declared.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from txmta.config.check import check
from txmta.config.declare import Status, System
from txmta.config.expansion import expand
from txmta.config.later import Later
from txmta.config.main_cf import parse_main_cf
from txmta.config.master_cf import parse_master_cf
from txmta.config.parameters.every import GROUPS, later
from txmta.config.postfix import DANGEROUS, defaults
from txmta.config.settings import Settings

MASTER = (
    "smtp inet n - n - - smtpd\n"
    "smtp unix - - n - - smtp\nrelay unix - - n - - smtp\n"
    "local unix - n n - - local\nvirtual unix - n n - - virtual\n"
)


def report(text: str) -> tuple[list[str], list[str]]:
    """
    @return: problems and warnings about the lines of C{text} only.
    """
    main_cf = parse_main_cf("main.cf", text)
    settings = Settings(main_cf.definitions, System())
    found = check(main_cf, settings, parse_master_cf("master.cf", MASTER))
    return (
        [each for each in found.problems if "main.cf, line" in each],
        [each for each in found.warnings if "main.cf, line" in each],
    )


class DeclarationTests(SynchronousTestCase):
    def test_complete(self) -> None:
        """
        Each of Postfix's parameters is declared once: here, or in a group of
        the settings when it works.
        """
        times = Counter(
            parameter.name
            for group in GROUPS
            for parameter in vars(group).values()
            if isinstance(parameter, Later)
        )
        times.update(name for name in Settings.names() if name in defaults())
        self.assertEqual([name for name, n in times.items() if n > 1], [])
        self.assertEqual(set(times), set(defaults()))

    def test_defaults(self) -> None:
        """
        The defaults are Postfix's, and keep their own bounds.
        """
        settings = Settings.of(compatibility_level="3.11")
        for name, parameter in later().items():
            self.assertEqual(parameter.default, defaults()[name], name)
            text = defaults()[name]
            if text:
                text = expand(text, settings.text) if parameter.expand else text
                parameter.convert(text)

    def test_described(self) -> None:
        """
        Each says what it is, and why it is not read.
        """
        for name, parameter in later().items():
            self.assertRegex(parameter.doc, r"[.)]\Z", name)
            self.assertRegex(parameter.note, r"\S", name)

    def test_one_place(self) -> None:
        """
        What is only declared says itself whether it stops the start.
        """
        self.assertEqual(set(DANGEROUS) & set(later()), set())


class EffectTests(SynchronousTestCase):
    def test_what_must_not_be_ignored(self) -> None:
        """
        Encryption and filters that are asked for, addresses, routes.
        """
        for line in (
            "content_filter = scan:[127.0.0.1]:10024",
            "non_smtpd_milters = inet:127.0.0.1:8891",
            "smtpd_milter_maps = inline:{a=b}",
            "fallback_relay = x.test",
            "local_login_sender_maps = inline:{a=b}",
            "use_srv_lookup = submission",
            "smtpd_hide_client_session = yes",
            "strict_8bitmime = yes",
        ):
            problems, _warnings = report(line + "\n")
            self.assertEqual(len(problems), 1, line)
            self.assertIn("is not supported yet: ", problems[0])

    def test_what_may_be_ignored(self) -> None:
        for line in (
            "smtpd_tls_enable_rpk = yes",
            "smtp_tls_trace_size_limit = 1",
            "postscreen_reject_footer = x",
            "address_verify_poll_count = 5",
            "transport_destination_rate_delay = 1s",
        ):
            problems, warnings = report(line + "\n")
            self.assertEqual(problems, [], line)
            self.assertEqual(len(warnings), 1, line)
            self.assertIn("not supported yet, ignored: ", warnings[0])

    def test_silent(self) -> None:
        """
        What has no effect here, and what says what is the default.
        """
        for line in (
            "ipc_timeout = 10s",
            "sendmail_path = /usr/sbin/sendmail.postfix",
            "debug_peer_level = 3",
            "address_verify_relayhost = $relayhost",
        ):
            self.assertEqual(report(line + "\n"), ([], []), line)

    def test_refused(self) -> None:
        problems, _warnings = report("process_id = 1\n")
        self.assertIn("is refused: It is computed", problems[0])

    def test_obsolete(self) -> None:
        _problems, warnings = report("postscreen_dnsbl_ttl = 2h\n")
        self.assertIn("obsolete, ignored", warnings[0])

    def test_bad_value(self) -> None:
        """
        Postfix would not run with it.
        """
        for line in ("ipc_timeout = soon", "strict_8bitmime = 1"):
            problems, _warnings = report(line + "\n")
            self.assertEqual(len(problems), 1, line)

    def test_default_in_another_value(self) -> None:
        """
        As in Postfix, C{$name} of a parameter that is not set is its default;
        an obsolete name has none.
        """
        settings = Settings.of(
            a="$smtp_tls_trace_size_limit",
            b="${postscreen_whitelist_interfaces?{x}:{y}}",
        )
        self.assertEqual((settings.text("a"), settings.text("b")), ("102400", "y"))

    def test_load(self) -> None:
        """
        Settings are made without the declarations that nobody reads.
        """
        code = (
            "import sys; from txmta.config.settings import Settings; Settings(); "
            "sys.exit('txmta.config.later' in sys.modules)"
        )
        self.assertEqual(subprocess.run([sys.executable, "-c", code]).returncode, 0)

    def test_every_status(self) -> None:
        found = {parameter.status for parameter in later().values()}
        self.assertEqual(found, set(Status) - {Status.HONOURED, Status.APPROXIMATED})
