"""
Tests of syslog_name of single services.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from txmta.config.master_cf import parse_master_cf
from txmta.config.settings import Settings
from txmta.events import Delivery, Event, Note
from txmta.interfaces import IEventSink
from txmta.roles.names import sink_of, sink_of_deliveries
from txmta.roles.shared import Shared

ROWS = """\
smtp inet n - n - - smtpd
587 inet n - n - - smtpd -o syslog_name=postfix/submission
smtp unix - - n - - smtp
relay unix - - n - - smtp -o syslog_name=${syslog}/$service_name
same unix - - n - - smtp -o syslog_name=postfix
"""


@implementer(IEventSink)
@dataclass
class Kept:
    events: list[Event] = field(default_factory=list)

    def emit(self, event: Event) -> None:
        self.events.append(event)


@dataclass
class Request:
    transport: str


class NameTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.kept = Kept()
        nothing = cast(Any, None)
        self.shared = Shared(
            Settings.of(syslog="postfix"),
            parse_master_cf("master.cf", ROWS),
            nothing,
            float,
            self.kept,
            nothing,
        )

    def test_service(self) -> None:
        """
        Only who has a name of its own has another sink.
        """
        plain, named, *_others, same = self.shared.services
        for service in (plain, same):
            settings = self.shared.of(service)
            self.assertIs(sink_of(self.shared, settings), self.kept)
        sink = sink_of(self.shared, self.shared.of(named))
        event = Note("smtpd", "connect")
        sink.emit(event)
        sink.emit(event)
        self.assertEqual(
            [each.program for each in self.kept.events],
            ["postfix/submission/smtpd"] * 2,
        )

    def test_deliveries(self) -> None:
        """
        A delivery has the name of its transport, and nothing else has.
        """
        sink = sink_of_deliveries(self.shared, self.shared.services)
        nothing = cast(Any, None)
        for transport in ("smtp", "relay", "local"):
            request = cast(Any, Request(transport))
            sink.emit(Delivery("smtp", request, nothing, nothing))
        sink.emit(Note("qmgr", "x"))
        self.assertEqual(
            [each.program for each in self.kept.events],
            ["smtp", "postfix/relay/smtp", "smtp", "qmgr"],
        )

    def test_no_names(self) -> None:
        services = self.shared.services[:1]
        self.assertIs(sink_of_deliveries(self.shared, services), self.kept)
