"""
Tests of L{txmta.smtp.client_login}, through the engine.
"""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.smtp.client.driving import GREETING, LABEL, Driven, transaction
from tests.smtp.client.test_connection import SECONDS, Wire
from txmta.smtp.client import ClientConnection, Limits
from txmta.smtp.client_commands import Features, mail_from
from txmta.smtp.client_engine import ClientEngine
from txmta.smtp.client_events import ClientRules, Peer, Stage, Target
from txmta.smtp.client_login import MAX_REMEMBERED, Account, LoginRules, Refusals
from txmta.smtp.client_recording import Unrecorded
from txmta.smtp.client_sasl import Credentials
from txmta.smtp.replies import ServerReply

ME = Credentials("me", "pw")
OPEN = LoginRules(options=("noanonymous",))
FAILED = f"SASL authentication failed; server {LABEL} said: "
CANNOT = f"SASL authentication failed; cannot authenticate to server {LABEL}: "


def offer(mechanisms: str) -> bytes:
    return f"250-mail\r\n250-AUTH {mechanisms}\r\n250 PIPELINING\r\n".encode()


class LoginCase(SynchronousTestCase):
    def driven(self, mechanisms: str = "PLAIN", **account: Any) -> Driven:
        """
        An engine that has heard what the server offers.
        """
        account = {"rules": OPEN, "host": "mail.example.com", **account}
        driven = Driven()
        peer = Peer(LABEL, "example.com", True, Account(ME, **account))
        driven.engine = ClientEngine(ClientRules("me.example.org"), peer)
        driven.receive(GREETING)
        driven.take()
        driven.receive(offer(mechanisms))
        return driven

    def failed(self, driven: Driven) -> tuple[object, ...]:
        kind, status, reason = driven.events[0]
        self.assertEqual(kind, "failed")
        self.assertEqual(driven.take(), b"QUIT\r\n")
        self.assertIs(driven.engine.stage, Stage.CLOSED)
        return status, reason


class LoginTests(LoginCase):
    def test_plain(self) -> None:
        driven = self.driven()
        self.assertEqual(driven.take(), b"AUTH PLAIN AG1lAHB3\r\n")
        self.assertEqual(driven.events, [])
        driven.receive(b"235 2.7.0 ok\r\n")
        self.assertEqual(driven.events, [("ready",)])
        self.assertTrue(driven.engine.offered.pipelining)
        driven.begin(transaction("a@example.com"))
        self.assertIn(b"MAIL FROM:<me@example.org>\r\n", driven.take())

    def test_challenges(self) -> None:
        driven = self.driven("LOGIN")
        self.assertEqual(driven.take(), b"AUTH LOGIN\r\n")
        driven.receive(b"334 VXNlcm5hbWU6\r\n")
        self.assertEqual(driven.take(), b"bWU=\r\n")
        driven.receive(b"334 UGFzc3dvcmQ6\r\n")
        self.assertEqual(driven.take(), b"cHc=\r\n")
        driven.receive(b"235 ok\r\n")
        self.assertEqual(driven.events, [("ready",)])

    def test_empty_answer(self) -> None:
        """
        An empty answer to a challenge is an empty line.
        """
        driven = self.driven("XOAUTH2")
        driven.take()
        driven.receive(b"334 e30=\r\n")
        self.assertEqual(driven.take(), b"\r\n")
        driven.receive(b"535 5.7.8 no\r\n")
        status, reason = self.failed(driven)
        self.assertEqual((status, reason), ("4.7.8", FAILED + "535 5.7.8 no"))

    def test_stranger(self) -> None:
        """
        A server that has no AUTH, or for which we have no name, gets mail as
        from a stranger.
        """
        driven = Driven()
        driven.receive(GREETING, offer("PLAIN"))
        self.assertEqual(driven.events, [("ready",)])
        peer = Peer(LABEL, "example.com", True, Account(ME, OPEN))
        for answer in (b"250 mail\r\n", b"250-mail\r\n250 DSN\r\n"):
            driven = Driven()
            driven.engine = ClientEngine(ClientRules("me"), peer)
            driven.receive(GREETING, answer)
            self.assertEqual(driven.events, [("ready",)])

    def test_refused(self) -> None:
        """
        smtp_sasl_auth_soft_bounce: mail is deferred, or not.
        """
        told: list[None] = []
        for soft, status in ((True, "4.7.8"), (False, "5.7.8")):
            rules = replace(OPEN, soft_bounce=soft)
            driven = self.driven(rules=rules, refused=lambda: told.append(None))
            driven.take()
            driven.receive(b"535 5.7.8 Error: no\r\n")
            expected = (status, FAILED + "535 5.7.8 Error: no")
            self.assertEqual(self.failed(driven), expected)
        self.assertEqual(len(told), 2)

    def test_nothing_usable(self) -> None:
        """
        No password is sent in the clear, unless that is allowed; nor by a
        mechanism that the filter leaves out.
        """
        driven = self.driven(rules=LoginRules())
        self.assertEqual(
            self.failed(driven), ("4.7.0", CANNOT + "no mechanism available")
        )
        for mechanisms in ("", "PLAIN"):
            rules = replace(OPEN, filter=lambda name: name != "PLAIN")
            status, reason = self.failed(self.driven(mechanisms, rules=rules))
            self.assertEqual(
                (status, reason),
                (
                    "4.7.0",
                    f"SASL authentication failed: server {LABEL} offered no compatible "
                    "authentication mechanisms for this type of connection security",
                ),
            )

    def test_tls_options(self) -> None:
        """
        Inside TLS its own options count, and only what is offered there.
        """
        rules = LoginRules(tls_options=("noanonymous",))
        peer = Peer(LABEL, "example.com", True, Account(ME, rules))
        driven = Driven()
        driven.engine = ClientEngine(ClientRules("me"), peer)
        driven.receive(GREETING, b"250-mail\r\n250 STARTTLS\r\n")
        driven.engine.start_tls()
        driven.receive(b"220 go\r\n")
        driven.engine.secured()
        driven.engine.take()
        driven.receive(offer("PLAIN"))
        self.assertIn(b"AUTH PLAIN", driven.take())

    def test_bad_challenges(self) -> None:
        for challenge, why in (
            (b"334 !\r\n", "malformed challenge"),
            (b"334 " + base64.b64encode(b"r=x") + b"\r\n", "malformed SCRAM challenge"),
            (b"334 " + b"QUJD" * 4000 + b"\r\n", ""),
        ):
            driven = self.driven("SCRAM-SHA-256")
            self.assertIn(b"AUTH SCRAM-SHA-256 biws", driven.take()[:24] + b"biws")
            driven.receive(challenge)
            self.assertEqual(driven.events[0][0], "failed")
            if why:
                self.assertEqual(self.failed(driven), ("4.7.0", CANNOT + why))

    def test_unproven(self) -> None:
        """
        A server that says yes without having proved that it knows the password
        gets no mail.
        """
        driven = self.driven("SCRAM-SHA-256")
        driven.take()
        driven.receive(b"235 2.7.0 ok\r\n")
        status, reason = self.failed(driven)
        self.assertEqual(status, "4.7.0")
        self.assertIn("has not proved", str(reason))

    def test_endless(self) -> None:
        driven = self.driven("XOAUTH2")
        for _ in range(20):
            driven.receive(b"334 e30=\r\n")
        self.assertEqual(driven.events[0][:2], ("failed", "4.7.0"))

    def test_lost(self) -> None:
        driven = self.driven()
        driven.heard(driven.engine.lost())
        self.assertEqual(
            driven.events[0],
            (
                "failed",
                "4.4.2",
                f"lost connection with {LABEL} while performing the EHLO handshake",
            ),
        )

    def test_dummy(self) -> None:
        """
        smtp_send_dummy_mail_auth.
        """
        driven = self.driven(rules=replace(OPEN, dummy=True))
        driven.receive(b"235 2.7.0 ok\r\n")
        driven.take()
        driven.begin(transaction("a@example.com"))
        self.assertIn(b"MAIL FROM:<me@example.org> AUTH=<>\r\n", driven.take())
        plain = mail_from(transaction("a@example.com"), Features(), True)
        self.assertEqual(plain, "MAIL FROM:<me@example.org>")

    def test_not_recorded(self) -> None:
        """
        What is kept for the postmaster has no passwords.
        """
        said: list[bytes] = []

        class Recording(Unrecorded):
            def said(self, octets: bytes) -> None:
                said.append(octets)

        peer = Peer(LABEL, "example.com", True, Account(ME, OPEN))
        connection = ClientConnection(
            ClientEngine(ClientRules("me"), peer),
            Target("mail", "192.0.2.1", 25),
            Clock(),
            Limits(SECONDS),
            lambda event: None,
        )
        connection.recording = Recording()
        connection.makeConnection(Wire())
        for each in (GREETING, offer("LOGIN"), b"334 VQ==\r\n", b"334 VQ==\r\n"):
            connection.dataReceived(each)
        self.assertEqual(said, [b"EHLO me\r\n", *[b"AUTH ...\r\n"] * 3])


class RefusalsTests(LoginCase):
    def test_remembered(self) -> None:
        """
        smtp_sasl_auth_cache_name: what was refused with 535 is not tried again,
        for a time.
        """
        clock = Clock()
        refusals = Refusals(clock.seconds, 100.0)
        driven = self.driven(refusals=refusals)
        driven.receive(b"535 5.7.8 no\r\n")
        again = self.driven(refusals=refusals)
        self.assertEqual(
            self.failed(again),
            (
                "4.7.8",
                "SASL [CACHED] authentication failed; server mail.example.com said: "
                "535 5.7.8 no",
            ),
        )
        clock.advance(101)
        self.assertIn(b"AUTH PLAIN", self.driven(refusals=refusals).take())

    def test_other_refusals(self) -> None:
        """
        Only 535 says that the password is wrong.
        """
        refusals = Refusals(lambda: 0.0, 100.0)
        self.driven(refusals=refusals).receive(b"454 4.7.0 later\r\n")
        self.assertIn(b"AUTH PLAIN", self.driven(refusals=refusals).take())

    def test_bounded(self) -> None:
        refusals = Refusals(lambda: 0.0, 100.0)
        for n in range(MAX_REMEMBERED + 10):
            refusals.add(f"h{n}", ME, ServerReply(535, (b"535 no",)))
        self.assertIsNone(refusals.find("h0", ME))
        self.assertIsNotNone(refusals.find(f"h{MAX_REMEMBERED + 9}", ME))
        other = Credentials("me", "other")
        self.assertIsNone(refusals.find(f"h{MAX_REMEMBERED + 9}", other))
