"""
Tests of L{txmta.smtp.client_probe}, through the engine.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from tests.smtp.client.driving import (
    LABEL,
    PIPELINING,
    PLAIN,
    Driven,
    ready,
    transaction,
)
from tests.smtp.client.test_exchange import (
    AGAIN,
    BYE,
    HANG_UP,
    MAIL,
    NO,
    OK,
    RCPT_A,
    RCPT_B,
    said,
)
from txmta.smtp.client_events import ClientRules

RSET = b"RSET\r\n"
RULES = (ClientRules("me"), ClientRules("me", lmtp=True))


def asked(offers: bytes, rules: ClientRules = RULES[0]) -> Driven:
    """
    Two recipients of a probe, begun.
    """
    driven = ready(offers, rules)
    work = transaction("a@example.com", "b@example.com")
    driven.begin(replace(work, probe=True))
    return driven


def yes(index: int) -> tuple[object, ...]:
    return ("delivered", index, "250 2.0.0 ok")


def no(index: int) -> tuple[object, ...]:
    return ("refused", index, *said("5.1.1", "550 5.1.1 no", "RCPT TO"))


class ProbeTests(SynchronousTestCase):
    def test_pipelined(self) -> None:
        """
        DATA is never said; what was said of recipients is told at once, and the
        connection can be used again.
        """
        for rules in RULES:
            driven = asked(PIPELINING, rules)
            self.assertEqual(driven.take(), MAIL + RCPT_A + RCPT_B + RSET)
            driven.receive(OK + OK)
            self.assertEqual(driven.new_events(), [yes(0)])
            driven.receive(NO)
            self.assertEqual(driven.new_events(), [no(1)])
            driven.receive(OK)
            self.assertEqual(driven.new_events(), [AGAIN])
            driven.begin(transaction("c@example.com"))
            self.assertTrue(driven.take().startswith(MAIL))

    def test_one_by_one(self) -> None:
        for rules in RULES:
            driven = asked(PLAIN, rules)
            for command in (MAIL, RCPT_A, RCPT_B, RSET):
                self.assertEqual(driven.take(), command)
                driven.receive(OK)
            self.assertEqual(driven.take(), b"")
            self.assertEqual(driven.events, [yes(0), yes(1), AGAIN])

    def test_nobody(self) -> None:
        driven = asked(PLAIN)
        driven.receive(OK, NO, NO)
        self.assertTrue(driven.take().endswith(RSET))
        driven.receive(OK)
        self.assertEqual(driven.events, [no(0), no(1), AGAIN])

    def test_sender_refused(self) -> None:
        """
        It is for all recipients, whatever is said of them.
        """
        for offers, replies in ((PIPELINING, (NO, NO, OK, OK)), (PLAIN, (NO,))):
            driven = asked(offers)
            driven.receive(*replies)
            words = said("5.1.1", "550 5.1.1 no", "MAIL FROM")
            self.assertEqual(driven.events, [("failed", *words), AGAIN])

    def test_lost(self) -> None:
        """
        Only those of whom nothing was said are without an answer.
        """
        driven = asked(PIPELINING)
        driven.receive(OK + OK)
        driven.heard(driven.engine.lost())
        words = f"lost connection with {LABEL} while sending RCPT TO"
        self.assertEqual(driven.events, [yes(0), ("failed", "4.4.2", words), HANG_UP])
        driven = asked(PIPELINING)
        driven.receive(OK * 3)
        driven.heard(driven.engine.lost())
        self.assertEqual(driven.events, [yes(0), yes(1), HANG_UP])

    def test_reset_refused(self) -> None:
        """
        What was said stays said; nothing more is sent over this connection.
        """
        for reply in (NO, BYE):
            driven = asked(PIPELINING)
            driven.receive(OK * 3 + reply)
            self.assertEqual(driven.events, [yes(0), yes(1), HANG_UP])
