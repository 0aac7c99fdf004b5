"""
Tests of C{txmta reference}.
"""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr

from twisted.trial.unittest import SynchronousTestCase

from txmta.admin.reference import main
from txmta.config.parameters.every import later
from txmta.config.reference import documents
from txmta.config.settings import Settings


class Out(io.TextIOWrapper):
    def __init__(self) -> None:
        self.octets = io.BytesIO()
        super().__init__(self.octets, "utf-8")


class ReferenceTests(SynchronousTestCase):
    def run_it(self, *arguments: str) -> tuple[int, str]:
        """
        @return: exit status, and what was written.
        """
        out = Out()
        self.patch(sys, "stdout", out)
        with redirect_stderr(io.StringIO()):
            try:
                status = main(arguments)
            except SystemExit as e:
                status = int(e.code or 0)
        out.flush()
        return status, out.octets.getvalue().decode("utf-8")

    def test_one(self) -> None:
        """
        A parameter: kind, status, default, what it is for.
        """
        status, out = self.run_it("smtpd_recipient_limit")
        self.assertEqual(status, 0)
        self.assertEqual(
            out,
            "smtpd_recipient_limit (count, honoured)\n"
            "    Default: 1000\n"
            f"    {Settings.smtpd_recipient_limit.doc}\n",
        )

    def test_all(self) -> None:
        """
        Without a name, all of them.
        """
        status, out = self.run_it()
        told = [ln.split()[0] for ln in out.splitlines() if ln and ln[0] != " "]
        self.assertEqual(status, 0)
        self.assertEqual(told, sorted([*Settings.names(), *later()]))

    def test_unknown(self) -> None:
        """
        A slip of the pen is status 1; others are told all the same.
        """
        status, out = self.run_it("smtpd_baner", "myhostname")
        self.assertEqual(status, 1)
        self.assertTrue(out.startswith("myhostname ("))

    def test_html(self) -> None:
        """
        The page to search in, which needs nothing but itself.
        """
        self.assertEqual(self.run_it("--html"), (0, documents()["reference.html"]))
        self.assertEqual(self.run_it("--html", "myhostname")[0], 64)
