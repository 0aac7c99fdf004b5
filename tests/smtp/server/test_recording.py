"""
Tests of L{txmta.smtp.recording}, and that sessions are recorded.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.smtp.server.support import World
from txmta.config.settings import Settings
from txmta.interfaces import IPostmaster
from txmta.model import Reply, Transcript
from txmta.smtp.recording import MAX_LINES, Recording, trouble_class


@implementer(IPostmaster)
class Postmaster:
    sender = "double-bounce@mx.example.org"

    def __init__(self, *classes: str) -> None:
        self.classes = frozenset(classes)
        self.told: list[Transcript] = []

    def transcript(self, transcript: Transcript) -> None:
        self.told.append(transcript)


class ClassTests(SynchronousTestCase):
    def test_classes(self) -> None:
        """
        Each reply is of the class that Postfix counts it for.
        """
        for code, status, expected in (
            (500, "5.5.2", "protocol"),
            (501, "5.1.7", "protocol"),
            (503, "5.5.1", "protocol"),
            (554, "5.5.1", "protocol"),
            (550, "5.1.1", "bounce"),
            (450, "4.1.1", "bounce"),
            (554, "5.7.1", "policy"),
            (450, "4.7.25", "policy"),
            (552, "5.3.4", "policy"),
            (452, "4.3.1", "resource"),
            (451, "4.3.0", "software"),
            (451, "4.3.5", "software"),
            (421, "4.4.2", ""),
        ):
            self.assertEqual(trouble_class(Reply(code, status, "x")), expected, status)


class RecordingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.postmaster = Postmaster("protocol")
        self.recording = Recording(self.postmaster)

    def test_told(self) -> None:
        """
        All that was said, line by line, and who said it.
        """
        recording = self.recording
        recording.said(Reply(220, "", "mx ESMTP"))
        recording.heard(b"EHLO c")
        recording.said(Reply(250, "", "mx\nSIZE"))
        recording.heard(b"F\xf6\xd6 \0")
        recording.said(Reply(500, "5.5.2", "Error: bad"))
        recording.reason = "timeout"
        recording.tell("c[192.0.2.1]")
        (told,) = self.postmaster.told
        self.assertEqual(
            told,
            Transcript(
                "server",
                "c[192.0.2.1]",
                frozenset(("protocol",)),
                (
                    (True, "220 mx ESMTP"),
                    (False, "EHLO c"),
                    (True, "250-mx"),
                    (True, "250 SIZE"),
                    (False, "F\udcf6\udcd6 \0"),
                    (True, "500 5.5.2 Error: bad"),
                ),
                "timeout",
            ),
        )

    def test_not_wanted(self) -> None:
        """
        Trouble of another class is nobody's business.
        """
        self.recording.said(Reply(554, "5.7.1", "no"))
        self.recording.said(Reply(421, "4.4.2", "bye"))
        self.recording.tell("c[192.0.2.1]")
        self.assertEqual(self.postmaster.told, [])

    def test_forgiven(self) -> None:
        """
        A message that is taken makes good what went before.
        """
        self.recording.said(Reply(500, "5.5.2", "what"))
        self.recording.forgive()
        self.recording.tell("c[192.0.2.1]")
        self.assertEqual(self.postmaster.told, [])

    def test_bound(self) -> None:
        """
        A session that never ends is not kept whole.
        """
        for n in range(1000):
            self.recording.heard(b"%d" % n)
            self.recording.said(Reply(500, "5.5.2", "what"))
        self.recording.tell("c[192.0.2.1]")
        lines = self.postmaster.told[0].lines
        self.assertEqual(len(lines), MAX_LINES)
        self.assertEqual(lines[-2], (False, "999"))

    def test_secrets(self) -> None:
        """
        The postmaster does not see passwords.
        """
        self.recording.heard(b"AUTH PLAIN AGpvZQBzZWNyZXQ=")
        self.recording.said(Reply(503, "5.5.1", "no"))
        self.recording.tell("c[192.0.2.1]")
        self.assertEqual(self.postmaster.told[0].lines[0], (False, "AUTH PLAIN ..."))


class SessionTests(SynchronousTestCase):
    def world(self, *classes: str) -> World:
        self.postmaster = Postmaster(*classes)
        return World(
            Settings.of(myhostname="mx.example.org"), postmaster=self.postmaster
        )

    def test_session(self) -> None:
        """
        A session with trouble is told when it is over, without content.
        """
        talk = self.world("protocol").connect()
        talk.say(b"EHLO c\r\n")
        talk.say(b"MAIL FROM:<a@b.test>\r\n")
        talk.say(b"RCPT TO:<user@example.org>\r\nDATA\r\n")
        talk.say(b"Subject: x\r\n\r\nbody\r\n.\r\n")
        talk.say(b"MIAL FROM:<a@b.test>\r\n")
        self.assertEqual(self.postmaster.told, [])
        talk.server.connectionLost()
        (told,) = self.postmaster.told
        self.assertEqual(told.peer, "unknown[192.0.2.1]")
        self.assertEqual(told.reason, "lost connection")
        said = [line for ours, line in told.lines if not ours]
        self.assertEqual(
            said,
            [
                "EHLO c",
                "MAIL FROM:<a@b.test>",
                "RCPT TO:<user@example.org>",
                "DATA",
                "MIAL FROM:<a@b.test>",
            ],
        )
        self.assertEqual(told.lines[0][1][:18], "220 mx.example.org")
        self.assertEqual(told.lines[-1][1][:9], "500 5.5.2")

    def test_policy(self) -> None:
        """
        Relaying is refused by policy.
        """
        talk = self.world("policy").connect()
        talk.say(b"EHLO c\r\n")
        talk.say(b"MAIL FROM:<a@b.test>\r\n")
        talk.say(b"RCPT TO:<user@elsewhere.test>\r\nQUIT\r\n")
        talk.server.connectionLost()
        (told,) = self.postmaster.told
        self.assertEqual(told.classes, {"policy"})
        self.assertEqual(told.reason, "")

    def test_taken(self) -> None:
        """
        A session that ends well is not told.
        """
        talk = self.world("policy", "protocol").connect()
        talk.say(b"WHAT\r\n")
        talk.say(b"EHLO c\r\n")
        talk.say(b"MAIL FROM:<a@b.test>\r\n")
        talk.say(b"RCPT TO:<user@example.org>\r\nDATA\r\n")
        talk.say(b"Subject: x\r\n\r\nbody\r\n.\r\nQUIT\r\n")
        talk.server.connectionLost()
        self.assertEqual(self.postmaster.told, [])

    def test_nobody_cares(self) -> None:
        """
        Nothing is kept when nobody wants to hear of sessions.
        """
        talk = self.world().connect()
        self.assertIsNone(talk.server._engine.recording)
