"""
Tests of L{txmta.smtp.client_recording}, alone and in connections.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.smtp.server.test_recording import Postmaster
from txmta.model import Transcript
from txmta.smtp.client_recording import ClientRecording
from txmta.smtp.recording import MAX_LINES

PEER = "hop.test[192.0.2.9]:25"


class ClientRecordingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.postmaster = Postmaster("protocol")
        self.recording = ClientRecording(self.postmaster, PEER)

    def greet(self) -> None:
        recording = self.recording
        recording.heard(b"220 hop\r\n")
        recording.said(b"EHLO me\r\n")
        recording.heard(b"250-hop\r\n250 SI")
        recording.heard(b"ZE\r\n")

    def test_told(self) -> None:
        """
        A reply that says that we made a mistake is told, when all is over.
        """
        recording = self.recording
        self.greet()
        recording.begin("s@x.test")
        recording.said(b"MAIL FROM:<s@x.test>\r\n")
        recording.heard(b"501 5.5.4 what\r\n")
        self.assertEqual(self.postmaster.told, [])
        recording.tell()
        recording.tell()
        self.assertEqual(
            self.postmaster.told,
            [
                Transcript(
                    "client",
                    PEER,
                    frozenset(("protocol",)),
                    (
                        (False, "220 hop"),
                        (True, "EHLO me"),
                        (False, "250-hop"),
                        (False, "250 SIZE"),
                        (True, "MAIL FROM:<s@x.test>"),
                        (False, "501 5.5.4 what"),
                    ),
                )
            ],
        )

    def test_refusals(self) -> None:
        """
        What a server does not want is no mistake of ours.
        """
        self.greet()
        self.recording.begin("s@x.test")
        self.recording.said(b"MAIL FROM:<s@x.test>\r\nRCPT TO:<r@y.test>\r\n")
        self.recording.heard(b"250 ok\r\n550 5.1.1 no 501\r\n452 later\r\n")
        self.recording.tell()
        self.assertEqual(self.postmaster.told, [])

    def test_old_server(self) -> None:
        """
        Nor that it does not know EHLO; but what comes after.
        """
        self.recording.said(b"EHLO me\r\n")
        self.recording.heard(b"502 what\r\n")
        self.recording.tell()
        self.assertEqual(self.postmaster.told, [])
        self.recording.said(b"HELO me\r\n")
        self.recording.heard(b"502 what\r\n")
        self.recording.tell()
        self.assertEqual(len(self.postmaster.told), 1)

    def test_own_mail(self) -> None:
        """
        Trouble with mail to the postmaster makes no more of it.
        """
        self.greet()
        self.recording.begin("Double-Bounce@mx.example.org")
        self.recording.heard(b"500 what\r\n")
        self.recording.tell()
        self.assertEqual(self.postmaster.told, [])

    def test_bound(self) -> None:
        """
        A talkative server is not kept whole.
        """
        self.greet()
        self.recording.begin("s@x.test")
        for _ in range(1000):
            self.recording.said(b"RSET\r\n")
            self.recording.heard(b"500 " + b"x" * 100_000 + b"\r\n")
        self.recording.tell()
        lines = self.postmaster.told[0].lines
        self.assertEqual(len(lines), MAX_LINES)
        self.assertLess(sum(len(line) for _, line in lines), 5000 * MAX_LINES)
