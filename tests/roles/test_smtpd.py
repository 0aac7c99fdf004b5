"""
The SMTP server of one process: when it accepts clients, how many, and how
long those that it has may stay.
"""

from __future__ import annotations

from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txmta.config.master_cf import parse_master_cf
from txmta.config.settings import Settings
from txmta.errors import ConfigError
from txmta.master.binding import Bound
from txmta.master.sockets import Listen
from txmta.roles.room import most_connections
from txmta.roles.shared import Shared
from txmta.roles.smtpd import HURRY, SESSIONS, SmtpdParts, SmtpdRole
from txmta.smtp.postscreen.gate import Gate

ROW = "127.0.0.1:2525 inet n - n - {maxproc} smtpd\n"


class Port:
    """
    A listening port that says whether it accepts.
    """

    numberAccepts = 100

    def __init__(self, factory: Any) -> None:
        self.factory = factory
        self.accepts = True

    def pauseProducing(self) -> None:
        self.accepts = False

    def resumeProducing(self) -> None:
        self.accepts = True

    def stopListening(self) -> None:
        self.accepts = False

    def doRead(self) -> None:
        raise AssertionError("nobody reads")


class Reactor(Clock):
    def __init__(self) -> None:
        super().__init__()
        self.ports: list[Port] = []

    def adoptStreamPort(self, _fd: int, _family: int, factory: Any) -> Port:
        self.ports.append(Port(factory))
        return self.ports[-1]


class SmtpdRoleTests(SynchronousTestCase):
    def made(self, maxproc: str = "-") -> SmtpdRole:
        settings = Settings.of(myhostname="mail.here.test", alias_maps="")
        (service,) = parse_master_cf("master.cf", ROW.format(maxproc=maxproc))
        self.service = service
        reactor: Any = Reactor()
        self.reactor = reactor
        shared = Shared(settings, [service], reactor, lambda: 0.0, mock.Mock())
        anything = mock.Mock()
        role = SmtpdRole(
            shared,
            SmtpdParts(shared.open_tables(), anything, anything, anything, anything),
        )
        role.adopt([Bound(Listen("127.0.0.1", 2525, service), mock.Mock())])
        (self.port,) = reactor.ports
        return role

    def drained(self, role: SmtpdRole, seconds: float) -> list[None]:
        """
        @return: has something when it is.
        """
        done: list[None] = []
        Deferred.fromCoroutine(role.drain(seconds)).addCallback(done.append)
        return done

    def test_accepts(self) -> None:
        """
        Nobody is accepted before the queue is open.
        """
        role = self.made()
        self.assertFalse(self.port.accepts)
        role.listen()
        self.assertTrue(self.port.accepts)

    def test_maxproc(self) -> None:
        """
        A service has so many seats, on all of its addresses together.
        """
        role = self.made("3")
        bound = Bound(Listen("127.0.0.2", 2525, self.service), mock.Mock())
        role.adopt([bound])
        first, second = (port.factory._crowd for port in self.reactor.ports)
        self.assertIs(first.seats, second.seats)
        self.assertEqual([first.seats.take() for _ in range(4)][2:], [0, None])
        for none in ("-", "0"):
            self.made(none)
            self.assertIs(self.port.factory._crowd.seats, None)

    def test_full(self) -> None:
        """
        When half of the descriptors are used by sessions, others wait.
        """
        role = self.made()
        role.listen()
        factory = self.port.factory
        limit = most_connections()
        self.assertGreaterEqual(limit, 10)
        factory.counted(limit)
        self.assertFalse(self.port.accepts)
        factory.counted(-limit)
        self.assertTrue(self.port.accepts)

    def test_replaced(self) -> None:
        """
        When others have taken over, a session goes on as long as it likes.
        """
        role = self.made()
        role.listen()
        session = mock.Mock()
        self.port.factory.connections.add(session)
        done = self.drained(role, 3600)
        self.assertFalse(self.port.accepts)
        self.reactor.pump([60] * 30)
        session.drain.assert_not_called()
        self.port.factory.connections.clear()
        self.reactor.advance(1)
        self.assertEqual(done, [None])

    def test_not_for_ever(self) -> None:
        """
        What is left before the time is up is told to end.
        """
        role = self.made()
        session = mock.Mock()
        self.port.factory.connections.add(session)
        self.drained(role, 3600)
        self.reactor.advance(3600 - SESSIONS - 1)
        session.drain.assert_not_called()
        self.reactor.advance(2)
        session.drain.assert_called()

    def test_stopped(self) -> None:
        """
        When all is to stop, sessions are told at once.
        """
        role = self.made()
        session = mock.Mock()
        self.port.factory.connections.add(session)
        self.drained(role, HURRY)
        session.drain.assert_called()


class ScreenTests(SynchronousTestCase):
    def made(self, rows: str) -> SmtpdRole:
        settings = Settings.of(myhostname="mail.here.test", alias_maps="")
        services = parse_master_cf("master.cf", rows)
        reactor: Any = Reactor()
        self.reactor = reactor
        shared = Shared(settings, services, reactor, lambda: 0.0, mock.Mock())
        anything = mock.Mock()
        role = SmtpdRole(
            shared,
            SmtpdParts(shared.open_tables(), anything, anything, anything, anything),
        )
        role.adopt([Bound(Listen("127.0.0.1", 2525, services[0]), mock.Mock())])
        return role

    def test_behind(self) -> None:
        """
        Clients that pass have smtpd with the settings and seats of its own service.
        """
        self.made(
            "2525 inet n - n - 1 postscreen\n"
            "smtpd pass - - n - 7 smtpd -o smtpd_banner=x\n"
        )
        (port,) = self.reactor.ports
        self.assertIsInstance(port.factory, Gate)
        smtpd = port.factory.smtpd
        self.assertEqual(smtpd._context.rules.banner, "x")
        seats = [smtpd._crowd.seats.take() for _ in range(8)]
        self.assertEqual(seats, [0] * 7 + [None])

    def test_nothing_behind(self) -> None:
        error = self.assertRaises(
            ConfigError, self.made, "2525 inet n - n - 1 postscreen\n"
        )
        self.assertIn("no service smtpd of type pass", error.problems[0])

    def test_drained(self) -> None:
        """
        Clients under test may finish, as sessions may, if there is time.
        """
        role = self.made("2525 inet n - n - - postscreen\nsmtpd pass - - n - - smtpd\n")
        (port,) = self.reactor.ports
        client = mock.Mock()
        port.factory.connections.add(client)
        done: list[None] = []
        Deferred.fromCoroutine(role.drain(3600)).addCallback(done.append)
        self.reactor.pump([60] * 5)
        client.stop.assert_not_called()
        self.assertEqual(done, [])
        port.factory.connections.clear()
        self.reactor.advance(1)
        self.assertEqual(done, [None])
