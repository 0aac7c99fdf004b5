"""
What the server does while faults strike, with every place that mail can go to.

Owns: as L{tests.crash.scenarios}.
Knows nothing of: likewise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tests.crash.faults import Point
from tests.crash.mails import Mail
from tests.crash.places import PLACES, PlacesSite
from tests.crash.power import LATER, PowerCuts
from tests.crash.scenarios import (
    AFTER,
    Apart,
    Failing,
    Scenario,
    queued,
    wait_while_running,
    warm,
)
from tests.crash.site import Site

#: Mailbox files, as points name them.
FILES = ("mail/box", "mail/file", "spool/nobody")

#: Of so many points of the mixed scenario one is taken: most are in the log of
#: the database, and come again and again.
MIXED = 6

#: Sent after a fault is over.
AFTER_PLACES = replace(
    AFTER,
    recipients=("r@example.org", "box@example.com", "nobody@local.test"),
    expected=("r@example.org", "box", "spool"),
)


class Places(Apart):
    """
    One message to each place after the other, each thread followed alone.
    """

    name = "places"
    place: type[Site] = PlacesSite
    watched: Sequence[Mail] = PLACES

    def __init__(self, mutation: str = "", watched: Sequence[Mail] = ()) -> None:
        """
        @param watched: what is sent, if not everything.
        """
        super().__init__(mutation)
        self.watched = watched or self.watched
        self.messages = (*warm(self.watched), *self.watched)


class ShortWrites(Places):
    """
    Mailbox files written a few octets at a time, so that a kill leaves a
    message cut off anywhere: in the From_ line, in the header.
    """

    name = "short"
    mode = "short_writes"

    def __init__(self) -> None:
        super().__init__(watched=[m for m in PLACES if m.name in ("box", "several")])

    def count(self, site: Site) -> list[Point]:
        return [
            point
            for point in super().count(site)
            if point.call == "write" and point.what in FILES
        ]


class Mixed(Places):
    """
    All at once; next hop and LMTP server put off some recipients, and take
    the others.
    """

    name = "mixed"
    mode = ""

    def count(self, site: Site) -> list[Point]:
        return super().count(site)[::MIXED]

    def _send(self, site: Site, mails: Sequence[Mail]) -> None:
        assert isinstance(site, PlacesSite)
        if mails is self.watched:
            site.sink.refusals = 2
            site.lmtp.refusals = 1
        site.send(*mails)
        wait_while_running(site, lambda: not queued(site))


class FailingPlaces(Failing):
    """
    As L{Places}, with one call that fails instead of a kill.
    """

    name = "failing"
    place = PlacesSite
    watched = [m for m in PLACES if m.name in ("box", "boxes", "several", "forward")]
    after = AFTER_PLACES
    messages = (*warm(watched), *watched, AFTER_PLACES)


PLACE_SCENARIOS: Sequence[Scenario] = (Places(), Mixed(), ShortWrites())


class PlaceCuts(PowerCuts):
    """
    Cuts the power of such a server.
    """

    place = PlacesSite
    kinds = (*PLACES, Mail("kept", (LATER, "box@example.com"), 2000, (LATER, "box")))
