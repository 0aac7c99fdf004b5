"""
Overload.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.smtp.server.support import FRIEND, STRANGER, Sink, World, world
from txmta.config.settings import Settings
from txmta.smtp.seats import CountedSeats
from txmta.smtp.service import server_factory
from txmta.smtp.stress import AFTER, Room, Stress

FULL = b"421 4.3.2 All server ports are busy\r\n"


class StressTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.used = 0
        self.clock, self.sink = Clock(), Sink()
        room = Room(10, lambda: self.used, by_maxproc=True)
        self.stress = Stress(room, "smtp", self.clock, self.sink)

    def look(self, used: int) -> tuple[bool, bool, bool]:
        self.used = used
        began = self.stress.look()
        return began, self.stress.on, self.stress.crowded

    def test_levels(self) -> None:
        """
        Eight of ten are stress, the last one is for friends.
        """
        self.assertEqual(self.look(7), (False, False, False))
        self.assertEqual(self.look(8), (True, True, False))
        self.assertEqual(self.look(9), (False, True, True))
        self.assertEqual(len(self.sink.lines), 1)

    def test_goes_back(self) -> None:
        """
        By itself, a while after it was that full for the last time.
        """
        self.look(8)
        self.clock.advance(AFTER)
        self.look(8)
        self.clock.advance(AFTER)
        self.assertEqual(self.look(3), (False, True, False))
        self.clock.advance(1)
        self.assertEqual(self.look(3), (False, False, False))
        self.assertIn("no stress", self.sink.lines[-1])
        self.assertEqual(self.look(8), (True, True, False))

    def test_full(self) -> None:
        """
        In the words of master(8), now and then.
        """
        for _ in range(3):
            self.stress.full()
        self.assertEqual(
            self.sink.lines,
            [
                'warning: service "smtp" (smtp) has reached its process limit "10": '
                "new clients may experience noticeable delays",
                "warning: to avoid this condition, increase the process count in "
                "master.cf or reduce the service time per client",
            ],
        )
        self.clock.advance(AFTER)
        self.stress.full()
        self.assertEqual(len(self.sink.lines), 4)


@dataclass
class Small:
    """
    A server with room for ten sessions.
    """

    w: World
    seats: CountedSeats = field(default_factory=lambda: CountedSeats(10))

    def __post_init__(self) -> None:
        room = Room(10, self.seats.used, by_maxproc=True)
        w = self.w
        w.factory = server_factory(
            w.settings, w.services(), seats=self.seats, room=room
        )


class ServerTests(SynchronousTestCase):
    def small(self, **settings: str) -> World:
        values = {"smtpd_client_connection_count_limit": "0", **settings}
        w = world(**values)
        Small(w)
        return w

    def test_time(self) -> None:
        """
        Strangers have 10 seconds for a command, not 300, however slowly they
        go on; those who were there before, too. Friends have their time.
        """
        w = self.small()
        friend = w.connect(FRIEND)
        early = [w.connect() for _ in range(7)]
        late = [w.connect()]
        for _ in range(9):
            w.clock.advance(1)
            for talk in (*early, *late):
                talk.say(b"E")
        w.clock.advance(1)
        for talk in (*early, *late):
            self.assertIn(b"421 4.4.2", talk.heard())
        w.clock.advance(100)
        self.assertIn(b"250", friend.say(b"HELO x\r\n"))

    def test_errors(self) -> None:
        """
        One error ends a session.
        """
        w = self.small()
        talks = [w.connect() for _ in range(9)]
        self.assertIn(b"250", talks[0].say(b"FOO\r\nFOO\r\nNOOP\r\n"))
        self.assertIn(b"too many errors", talks[8].say(b"FOO\r\n"))

    def test_strangers(self) -> None:
        """
        The last room is for clients in mynetworks; then nobody gets in.
        """
        w = self.small()
        for _ in range(9):
            self.assertIn(b"220", w.connect().heard())
        self.assertEqual(w.connect(STRANGER).heard(), FULL)
        self.assertIn(b"220", w.connect(FRIEND).heard())
        self.assertEqual(w.connect(FRIEND).heard(), FULL)
        self.assertIn("has reached its process limit", "\n".join(w.sink.lines))

    def test_goes_back(self) -> None:
        w = self.small()
        talks = [w.connect() for _ in range(9)]
        for talk in talks:
            talk.hang_up()
        w.clock.advance(AFTER + 1)
        talk = w.connect()
        w.clock.advance(100)
        self.assertIn(b"250", talk.say(b"HELO x\r\n"))

    def test_restrictions(self) -> None:
        """
        They may depend on stress.
        """
        lists = "${stress?{reject}:{permit_mynetworks, reject_unauth_destination}}"
        w = self.small(smtpd_recipient_restrictions=lists)

        def reply(address: str) -> bytes:
            talk = w.connect(address)
            talk.say(b"MAIL FROM:<>\r\n")
            return talk.say(b"RCPT TO:<a@elsewhere.test>\r\n")

        self.assertIn(b"250 2.1.5", reply(FRIEND))
        for _ in range(8):
            w.connect()
        self.assertIn(b"554 5.7.1", reply(FRIEND))

    def test_parameter(self) -> None:
        """
        stress is "yes" there, and nothing else.
        """
        settings = Settings.of()
        self.assertEqual((settings.stress, settings.smtpd_timeout), ("", 300.0))
        stressed = settings.override({"stress": "yes"})
        self.assertEqual(stressed.smtpd_timeout, 10.0)
        self.assertEqual(stressed.smtpd_junk_command_limit, 1)
        self.assertTrue(stressed.smtpd_per_request_deadline)
