"""
Tests of saying again what is not supported yet.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txmta.config.settings import Settings
from txmta.config.snapshot import Configuration
from txmta.master.allowed import EVERY, repeat_allowed


class RepeatTests(SynchronousTestCase):
    def test_every_hour(self) -> None:
        """
        Of the configuration that counts by then; the end is the end.
        """
        settings = Settings.of()
        now = [Configuration("main.cf", settings, (), allowed=("a", "b"))]
        said: list[str] = []
        clock = Clock()
        call = repeat_allowed(clock, lambda: now[0], said.append)
        self.assertEqual(said, [])
        clock.advance(EVERY)
        self.assertEqual(said, ["a", "b"])
        now[0] = Configuration("main.cf", settings, (), allowed=("c",))
        clock.advance(EVERY)
        self.assertEqual(said, ["a", "b", "c"])
        call.stop()
        clock.advance(EVERY)
        self.assertEqual(len(said), 3)
        self.assertEqual(clock.getDelayedCalls(), [])
