"""
Tests of the verdicts on services.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txmta.config.master_cf import parse_master_cf
from txmta.report.items import Item, Kind, Verdict
from txmta.report.services import service_items

AGENTS = ("smtp", "lmtp", "pipe")


def items(text: str) -> list[Item]:
    return list(service_items(parse_master_cf("master.cf", text), AGENTS))


class ServiceItemTests(SynchronousTestCase):
    def test_services(self) -> None:
        found = items(
            "smtp inet n - n - 1 postscreen\nsmtp unix - - n - - smtp -v\n"
            "anvil unix - - n - 1 anvil\n"
        )
        self.assertEqual(
            [(item.name, item.value, item.verdict, item.stops) for item in found],
            [
                ("smtp inet", "postscreen", Verdict.HONOURED, False),
                ("smtp unix", "smtp", Verdict.HONOURED, False),
                ("anvil unix", "anvil", Verdict.NO_EFFECT, False),
            ],
        )
        self.assertEqual(found[1].places, ("master.cf, line 2",))

    def test_pipe(self) -> None:
        """
        Each flag and attribute; not the words of the command.
        """
        found = items(
            "dove unix - n n - - pipe -v flags=DZ user=vmail argv=/bin/d -f flags=x\n"
        )
        self.assertEqual(
            [(item.value, item.verdict) for item in found[1:]],
            [
                ("flags=D", Verdict.HONOURED),
                ("flags=Z", Verdict.UNKNOWN),
                ("user=vmail", Verdict.HONOURED),
                ("argv=/bin/d", Verdict.HONOURED),
            ],
        )
        self.assertTrue(all(item.kind is Kind.ARGUMENT for item in found[1:]))

    def test_arguments(self) -> None:
        _service, argument = items("lmtp unix - - n - - lmtp flags=O\n")
        self.assertEqual(argument.value, "flags=O")
        self.assertIs(argument.verdict, Verdict.NOT_YET)
