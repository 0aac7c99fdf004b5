"""
Tests for L{txmta.master.certificates}.
"""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txmta.config.master_cf import parse_master_cf
from txmta.config.settings import Settings
from txmta.config.snapshot import Configuration
from txmta.master.certificates import EVERY, watch


class WatchTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        self.one, self.two = folder / "one.pem", folder / "two.pem"
        for path in (self.one, self.two):
            path.write_text("old")
        settings = Settings.of(smtpd_tls_chain_files=f"{self.one}, /nonexistent")
        services = parse_master_cf(
            "master.cf",
            "465 inet n - n - - smtpd\n"
            f" -o smtpd_tls_wrappermode=yes -o smtpd_tls_cert_file={self.two}\n",
        )
        configuration = Configuration("main.cf", settings, services, ())
        self.clock = Clock()
        self.told: list[float] = []
        call = watch(
            self.clock,
            lambda: configuration,
            lambda: self.told.append(self.clock.seconds()),
        )
        self.addCleanup(call.stop)

    def change(self, path: Path, text: str) -> None:
        """
        As renewal does it: another file gets the name.
        """
        new = path.with_suffix(".new")
        new.write_text(text)
        os.replace(new, path)

    def test_changed(self) -> None:
        """
        A file of main.cf or of a service is told once, when it is at rest.
        """
        self.clock.pump([EVERY] * 3)
        self.assertEqual(self.told, [])
        for n, path in enumerate((self.one, self.two)):
            self.change(path, "new")
            self.clock.pump([EVERY] * 5)
            self.assertEqual(len(self.told), n + 1)

    def test_in_the_midst(self) -> None:
        """
        While files change nothing is told.
        """
        for n in range(4):
            self.change(self.one, "x" * n)
            self.clock.advance(EVERY)
        self.assertEqual(self.told, [])
        self.clock.advance(EVERY)
        self.assertEqual(len(self.told), 1)

    def test_gone(self) -> None:
        """
        A file that is not there for a while is no reason; what is there then is.
        """
        self.one.unlink()
        self.clock.advance(EVERY)
        self.one.write_text("new")
        self.clock.pump([EVERY] * 3)
        self.assertEqual(len(self.told), 1)
