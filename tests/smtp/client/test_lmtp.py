"""
Tests of L{txmta.smtp.client_lmtp}, and of LHLO, through the engine.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.smtp.client.driving import (
    GREETING,
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
    DATA,
    GO,
    HANG_UP,
    MAIL,
    NO,
    OK,
    RCPT_A,
    RCPT_B,
    said,
)
from txmta.smtp.client_events import ClientRules

LMTP = ClientRules("me.example.org", lmtp=True)
RCPT_C = b"RCPT TO:<c@example.com>\r\n"
FULL = b"452 4.2.2 full\r\n"

LOST = (
    "failed",
    "4.4.2",
    f"lost connection with {LABEL} while sending end of data"
    " -- message may be sent more than once",
)


def delivered(index: int) -> tuple[object, ...]:
    return ("delivered", index, "250 2.0.0 ok")


def refused(index: int, status: str, text: str, what: str) -> tuple[object, ...]:
    return ("refused", index, *said(status, text, what))


def three(offers: bytes = PIPELINING) -> Driven:
    """
    A transaction for three recipients, begun.
    """
    driven = ready(offers, LMTP)
    driven.begin(transaction("a@example.com", "b@example.com", "c@example.com"))
    return driven


def sent() -> Driven:
    """
    All three accepted, and the content on its way.
    """
    driven = three()
    driven.receive(OK * 4 + GO)
    assert driven.new_events() == [("go",)]
    driven.take()
    return driven


class HandshakeTests(SynchronousTestCase):
    """
    RFC 2033 section 4.1.
    """

    def test_lhlo(self) -> None:
        """
        Whatever the greeting says, LHLO is what follows.
        """
        for greeting in (GREETING, b"220 hello\r\n"):
            driven = Driven(ClientRules("me", always_ehlo=False, lmtp=True))
            driven.receive(greeting)
            self.assertEqual(driven.take(), b"LHLO me\r\n")
            driven.receive(PIPELINING)
            self.assertEqual(driven.events, [("ready",)])
            self.assertTrue(driven.engine.offered.pipelining)

    def test_refused(self) -> None:
        """
        There is nothing else to try: HELO is not LMTP.
        """
        for reply, status in (
            (b"500 5.5.1 what\r\n", "5.5.1"),
            (b"421 4.3.2 busy\r\n", "4.3.2"),
        ):
            driven = Driven(LMTP)
            driven.receive(GREETING, reply)
            self.assertEqual(driven.take(), b"LHLO me.example.org\r\nQUIT\r\n")
            text = reply.decode().strip()
            words = f"host {LABEL} refused to talk to me: {text}"
            self.assertEqual(driven.events, [("failed", status, words), HANG_UP])

    def test_lost(self) -> None:
        driven = Driven(LMTP)
        driven.receive(GREETING)
        driven.heard(driven.engine.lost())
        words = f"lost connection with {LABEL} while performing the LHLO handshake"
        self.assertEqual(driven.events[0], ("failed", "4.4.2", words))


class AnswersTests(SynchronousTestCase):
    """
    RFC 2033 section 4.2: an answer for each recipient, in order.
    """

    def test_pipelined(self) -> None:
        """
        The commands are those of SMTP; each answer is told when it is there.
        """
        driven = three()
        self.assertEqual(driven.take(), MAIL + RCPT_A + RCPT_B + RCPT_C + DATA)
        driven.receive(OK * 4 + GO)
        self.assertEqual(driven.take(), b"<content>")
        driven.new_events()
        driven.receive(OK)
        self.assertEqual(driven.new_events(), [delivered(0)])
        driven.receive(NO)
        answer = refused(1, "5.1.1", "550 5.1.1 no", "end of DATA")
        self.assertEqual(driven.new_events(), [answer])
        driven.receive(FULL)
        answer = refused(2, "4.2.2", "452 4.2.2 full", "end of DATA")
        self.assertEqual(driven.new_events(), [answer, AGAIN])

    def test_one_by_one(self) -> None:
        """
        Without PIPELINING too.
        """
        driven = three(PLAIN)
        driven.receive(OK, OK, OK, OK, GO, OK, OK, OK)
        expected = [("go",), delivered(0), delivered(1), delivered(2), AGAIN]
        self.assertEqual(driven.events, expected)

    def test_some_refused(self) -> None:
        """
        Who was refused before is not answered for after.
        """
        driven = three()
        driven.receive(OK, OK, NO, OK, GO)
        answer = refused(1, "5.1.1", "550 5.1.1 no", "RCPT TO")
        self.assertEqual(driven.new_events(), [answer, ("go",)])
        driven.receive(OK * 2)
        self.assertEqual(driven.new_events(), [delivered(0), delivered(2), AGAIN])

    def test_nobody_left(self) -> None:
        """
        All refused, and yet 354: a lone dot, and one answer to it.
        """
        driven = three()
        driven.receive(OK, NO * 3, GO)
        self.assertTrue(driven.take().endswith(b".\r\n"))
        driven.new_events()
        driven.receive(b"503 5.5.1 nobody\r\n")
        self.assertEqual(driven.new_events(), [AGAIN])

    def test_data_refused(self) -> None:
        """
        Before the dot, one answer is for all.
        """
        driven = three()
        driven.receive(OK * 4, FULL)
        words = said("4.2.2", "452 4.2.2 full", "DATA")
        self.assertEqual(driven.events, [("failed", *words), AGAIN])

    def test_next(self) -> None:
        """
        Another transaction may follow, and begins from nothing.
        """
        driven = sent()
        driven.receive(OK * 3)
        driven.new_events()
        driven.begin(transaction("a@example.com"))
        self.assertEqual(driven.take(), MAIL + RCPT_A + DATA)
        driven.receive(OK * 2 + GO, OK)
        self.assertEqual(driven.events, [("go",), delivered(0), AGAIN])


class BrokenTests(SynchronousTestCase):
    """
    What was said is final, what was not said is not.
    """

    def test_lost(self) -> None:
        """
        In the middle of the answers.
        """
        driven = sent()
        driven.receive(OK, NO)
        self.assertEqual(len(driven.new_events()), 2)
        driven.heard(driven.engine.lost())
        self.assertEqual(driven.events, [LOST, HANG_UP])

    def test_timed_out(self) -> None:
        driven = sent()
        driven.receive(OK)
        driven.new_events()
        driven.heard(driven.engine.timed_out())
        (failed, over) = driven.events
        self.assertEqual((failed[:2], over), (("failed", "4.4.2"), HANG_UP))
        self.assertIn("timed out while sending end of data", str(failed[2]))

    def test_goodbye(self) -> None:
        """
        421 is about one recipient, as in Postfix; the others' answers may
        still come, and count. The connection is not used again.
        """
        answer = refused(1, "4.3.2", "421 4.3.2 bye", "end of DATA")
        driven = sent()
        driven.receive(OK, BYE)
        self.assertEqual(driven.new_events(), [delivered(0), answer])
        driven.receive(OK)
        self.assertEqual(driven.new_events(), [delivered(2), HANG_UP])
        driven = sent()
        driven.receive(OK, BYE)
        driven.new_events()
        driven.heard(driven.engine.lost())
        self.assertEqual(driven.events, [LOST, HANG_UP])

    def test_goodbye_last(self) -> None:
        driven = sent()
        driven.receive(OK, OK, BYE)
        answer = refused(2, "4.3.2", "421 4.3.2 bye", "end of DATA")
        self.assertEqual(driven.events[2:], [answer, HANG_UP])

    def test_goodbye_before(self) -> None:
        """
        Before the dot it is about all, but for RCPT.
        """
        driven = three()
        driven.receive(OK, BYE)
        self.assertEqual(
            driven.new_events(), [refused(0, "4.3.2", "421 4.3.2 bye", "RCPT TO")]
        )
        driven.receive(OK, OK, BYE)
        failed, over = driven.new_events()
        self.assertEqual((failed[:2], over), (("failed", "4.3.2"), HANG_UP))

    def test_too_many(self) -> None:
        """
        More answers than recipients: they could be taken for those of the
        next message, so there is none on this connection.
        """
        driven = sent()
        driven.receive(OK * 4)
        expected = [delivered(0), delivered(1), delivered(2), HANG_UP]
        self.assertEqual(driven.events, expected)
        driven = sent()
        driven.receive(OK * 3)
        self.assertEqual(driven.new_events()[-1], AGAIN)
        driven.receive(OK)
        self.assertEqual(driven.events, [HANG_UP], "later, on an idle connection")

    def test_garbage(self) -> None:
        """
        What is no reply ends it; what was said before counts.
        """
        driven = sent()
        driven.receive(OK + b"hello\r\n" + OK * 2)
        first, failed, over = driven.events
        self.assertEqual((first, over), (delivered(0), HANG_UP))
        self.assertEqual(failed[:2], ("failed", "4.5.0"))

    @given(
        st.lists(st.sampled_from([OK, NO, FULL, BYE, GO]), max_size=9),
        st.integers(1, 40),
    )
    def test_any(self, replies: list[bytes], cut: int) -> None:
        """
        Whatever is answered, cut anywhere: each recipient is told exactly
        once, and the end is told once and last.
        """
        driven = three()
        octets = b"".join(replies)
        for at in range(0, len(octets), cut):
            driven.receive(octets[at : at + cut])
        driven.heard(driven.engine.lost())
        named = [e[1] for e in driven.events if e[0] in ("delivered", "refused")]
        self.assertEqual(len(named), len(set(named)))
        rest = [e for e in driven.events if e[0] in ("failed", "unused")]
        self.assertEqual(len(rest), int(len(named) < 3))
        overs = [e for e in driven.events if e[0] == "over"]
        self.assertEqual(driven.events[-1], overs[-1])
        self.assertNotIn("accepted", [e[0] for e in driven.events])
