"""
The same faults where mail goes to mailbox files, commands, an LMTP server, or
goes on as forwards and bounces.

A kill in the middle may leave the beginning of a message in a mailbox file, or
give it to a command ("begun" in the tables): it is taken for no other message,
and comes once more, whole. An error leaves nothing.
"""

from __future__ import annotations

import re

from tests.crash.place_scenarios import PLACE_SCENARIOS, FailingPlaces, PlaceCuts
from tests.crash.test_errors import ErrorCase
from tests.crash.test_kill import KillCase
from tests.crash.test_power import PowerCase
from tests.support import SLICE

#: In a slice one of so many points is taken.
SLICED_KILLS = 30
SLICED_ERRORS = 7

#: Cuts of one server, and servers of each of the four kinds.
CUTS = 2 if SLICE else 10
SERVERS = 1 if SLICE else 2


class PlaceKillTests(KillCase):
    def test_every_call(self) -> None:
        """
        No acknowledged message or bounce is lost or torn, wherever the server
        dies.
        """
        self.kill_all(PLACE_SCENARIOS, SLICED_KILLS if SLICE else 1, 300)


class PlaceErrorTests(ErrorCase):
    scenario = FailingPlaces()
    files = re.compile(r"spool/nobody|mail/(box|file|spool)")

    def test_every_call(self) -> None:
        """
        Whatever call on a mailbox file fails, nothing half-written stays,
        nothing is lost and nothing bounces.
        """
        self.fail_all(SLICED_ERRORS if SLICE else 1)


class PlaceCutTests(PowerCase):
    make = PlaceCuts

    def test_cuts(self) -> None:
        """
        No acknowledged message or bounce is lost or torn, whenever the power
        goes.
        """
        self.cut_all(SERVERS, CUTS)
