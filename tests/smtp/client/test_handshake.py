"""
Tests of L{txmta.smtp.client_handshake}, through the engine.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.smtp.client.driving import GREETING, LABEL, PIPELINING, PLAIN, Driven, ready
from txmta.smtp.client_events import ClientRules, Peer, Stage

NAME = "me.example.org"


class GreetingTests(SynchronousTestCase):
    """
    The greeting and EHLO or HELO.
    """

    def test_ehlo(self) -> None:
        """
        EHLO follows the greeting, even one that does not say ESMTP.
        """
        driven = Driven()
        driven.receive(b"220 mail.example.com\r\n")
        self.assertEqual(driven.take(), b"EHLO me.example.org\r\n")
        driven.receive(PLAIN)
        self.assertEqual(driven.events, [("ready",)])

    def test_esmtp_only(self) -> None:
        """
        smtp_always_send_ehlo = no: EHLO only where the greeting says ESMTP.
        """
        for greeting, verb in (
            (b"220 mail.example.com SMTP\r\n", b"HELO"),
            (b"220 ESMTP.example.com\r\n", b"HELO"),
            (b"220 mail.example.com esmtp x\r\n", b"EHLO"),
        ):
            driven = Driven(ClientRules(NAME, always_ehlo=False))
            driven.receive(greeting)
            self.assertEqual(driven.take()[:4], verb)

    def test_never_ehlo(self) -> None:
        """
        smtp_never_send_ehlo = yes: HELO, and nothing is offered.
        """
        driven = Driven(ClientRules(NAME, never_ehlo=True))
        driven.receive(GREETING)
        self.assertEqual(driven.take(), b"HELO me.example.org\r\n")
        driven.receive(PIPELINING)
        self.assertEqual(driven.events, [("ready",)])
        self.assertFalse(driven.engine.offered.pipelining)

    def test_fall_back(self) -> None:
        """
        A server that refuses EHLO gets HELO (RFC 5321 section 3.2).
        """
        driven = Driven()
        driven.receive(GREETING, b"502 what?\r\n")
        self.assertEqual(
            driven.take(), b"EHLO me.example.org\r\nHELO me.example.org\r\n"
        )
        driven.receive(PLAIN)
        self.assertEqual(driven.events, [("ready",)])

    def refusal(self, rules: ClientRules | None, *said: bytes) -> tuple[object, ...]:
        driven = Driven(rules)
        driven.receive(*said)
        failed, over = driven.events
        self.assertEqual(over, ("over", False))
        self.assertEqual(driven.take()[-6:], b"QUIT\r\n")
        self.assertIs(driven.engine.stage, Stage.CLOSED)
        return failed

    def test_refused(self) -> None:
        """
        A server that does not want to talk: in Postfix's words.
        """
        words = f"host {LABEL} refused to talk to me: "
        self.assertEqual(
            self.refusal(None, b"421 4.3.2 busy\r\n"),
            ("failed", "4.3.2", words + "421 4.3.2 busy"),
        )
        self.assertEqual(
            self.refusal(None, GREETING, b"421 busy\r\n"),
            ("failed", "4.0.0", words + "421 busy"),
        )
        self.assertEqual(
            self.refusal(None, GREETING, b"502 no\r\n", b"550-a\r\n550 b\r\n"),
            ("failed", "5.0.0", words + "550-a 550 b"),
        )

    def test_5xx_greeting(self) -> None:
        """
        smtp_skip_5xx_greeting: yes, another host is tried; no, mail bounces.
        """
        words = f"host {LABEL} refused to talk to me: 554 5.7.1 go away"
        greeting = b"554 5.7.1 go away\r\n"
        self.assertEqual(self.refusal(None, greeting), ("failed", "4.7.1", words))
        strict = ClientRules(NAME, soften_5xx_greeting=False)
        self.assertEqual(self.refusal(strict, greeting), ("failed", "5.7.1", words))

    def test_unexpected_code(self) -> None:
        """
        A greeting that makes no sense is no reason to return mail.
        """
        failed = self.refusal(None, b"354 go ahead\r\n")
        self.assertEqual(failed[:2], ("failed", "4.5.0"))

    def test_myself(self) -> None:
        """
        A server that gives our own name is ourselves: mail loops.
        """
        rules = ClientRules(NAME, myhostname="me.Example.org")
        said = (GREETING, b"250-ME.example.org hello\r\n250 PIPELINING\r\n")
        reason = "mail for example.com loops back to myself"
        for best, status in ((True, "5.4.6"), (False, "4.4.6")):
            driven = Driven(rules, best)
            driven.receive(*said)
            self.assertEqual(
                driven.events, [("failed", status, reason), ("over", False)]
            )
        other = Driven()
        other.receive(*said)
        self.assertEqual(other.events, [("ready",)])

    def test_broken(self) -> None:
        """
        Lost, silent, garbage: with what we were doing.
        """
        stages = (
            ((), "receiving the initial server greeting"),
            ((GREETING,), "performing the EHLO handshake"),
            ((GREETING, b"500 no\r\n"), "performing the HELO handshake"),
        )
        for said, doing in stages:
            for how, words in (
                ("lost", f"lost connection with {LABEL} while {doing}"),
                ("timed_out", f"conversation with {LABEL} timed out while {doing}"),
            ):
                driven = Driven()
                driven.receive(*said)
                driven.heard(getattr(driven.engine, how)())
                self.assertEqual(
                    driven.events, [("failed", "4.4.2", words), ("over", False)]
                )
                driven.heard(driven.engine.lost())
                self.assertEqual(len(driven.events), 2, "told once")
            driven = Driven()
            driven.receive(*said, b"999 x\r\n")
            self.assertEqual(
                driven.events[0],
                (
                    "failed",
                    "4.5.0",
                    f"unknown reply code from {LABEL} while {doing}: 999 x",
                ),
            )

    def test_more_than_asked(self) -> None:
        """
        A server that answers what was not asked is out of step.
        """
        driven = Driven()
        driven.receive(GREETING, PLAIN + b"250 ok\r\n")
        self.assertEqual(driven.events[-1], ("over", False))
        self.assertEqual(driven.events[0][:2], ("failed", "4.5.0"))
        self.assertNotIn(("ready",), driven.events)

    def test_cut_anywhere(self) -> None:
        """
        However the network cuts it.
        """
        for said in (GREETING, PIPELINING):
            for cut in range(len(said)):
                driven = Driven()
                if said is PIPELINING:
                    driven.receive(GREETING)
                driven.receive(said[:cut], said[cut:])
                expected = [] if said is GREETING else [("ready",)]
                self.assertEqual(driven.events, expected)


class StartTlsTests(SynchronousTestCase):
    """
    The place of STARTTLS (RFC 3207).
    """

    OFFER_ALL = b"250-mail.example.com\r\n250 STARTTLS\r\n"
    OFFER = b"250-mail.example.com\r\n250-PIPELINING\r\n250 STARTTLS\r\n"

    def test_forgets(self) -> None:
        """
        What was offered in clear text is forgotten, and EHLO said again
        (section 4.2).
        """
        driven = ready(self.OFFER)
        driven.engine.start_tls()
        driven.receive(b"")
        self.assertEqual(driven.take(), b"STARTTLS\r\n")
        driven.receive(b"220 go\r\n")
        self.assertEqual(driven.new_events(), [("starttls",)])
        driven.engine.secured()
        self.assertFalse(driven.engine.offered.pipelining)
        driven.receive(b"")
        self.assertEqual(driven.take(), b"EHLO me.example.org\r\n")
        driven.receive(PLAIN)
        self.assertEqual(driven.events, [("ready",)])
        self.assertFalse(driven.engine.offered.pipelining)

    def test_injected(self) -> None:
        """
        What comes with or after the 220 in clear text is an attack: it would
        be believed under TLS.
        """
        for segments in (
            (b"220 go\r\n250-evil\r\n",),
            (b"220 go\r\n250 AUTH PLAIN\r\n",),
            (b"220 go\r\n2",),
            (b"220 go\r\n", b"250 evil\r\n"),
        ):
            driven = ready(self.OFFER)
            driven.engine.start_tls()
            driven.receive(*segments)
            self.assertEqual(driven.events[-1], ("over", False), segments)
            self.assertEqual(driven.events[-2][:2], ("failed", "4.5.0"), segments)
            self.assertIs(driven.engine.stage, Stage.CLOSED)

    def test_refused(self) -> None:
        """
        As Postfix: where TLS is not required, the session goes on without.
        """
        driven = ready(self.OFFER)
        driven.engine.start_tls()
        driven.receive(b"454 4.7.0 not now\r\n")
        self.assertEqual(driven.events, [("ready",)])

    def offered(self, peer: Peer, *replies: bytes) -> Driven:
        driven = Driven(peer=peer)
        driven.receive(GREETING)
        driven.take()
        driven.receive(*replies)
        return driven

    def test_asked_for(self) -> None:
        """
        Where it is offered and may be used; nothing else is said before.
        """
        driven = self.offered(Peer(LABEL, tls=True), self.OFFER_ALL)
        self.assertEqual(driven.take(), b"STARTTLS\r\n")
        self.assertEqual(driven.events, [])

    def test_required(self) -> None:
        """
        A server without it, or one that takes the offer back, gets no message,
        whatever way it says so.
        """
        peer = Peer(LABEL, tls=True, tls_required=True)
        missing = ("4.7.4", f"TLS is required, but was not offered by host {LABEL}")
        refused = (
            "4.7.0",
            f"TLS is required, but host {LABEL} refused to start TLS: 454 4.7.0 no",
        )
        for replies, expected in (
            ((PLAIN,), missing),
            ((b"502 what\r\n", b"250 hello\r\n"), missing),
            ((self.OFFER_ALL, b"454 4.7.0 no\r\n"), refused),
        ):
            driven = self.offered(peer, *replies)
            self.assertEqual(
                driven.events, [("failed", *expected), ("over", False)], replies
            )
            self.assertTrue(driven.take().endswith(b"QUIT\r\n"))
