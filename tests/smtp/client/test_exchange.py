"""
Tests of L{txmta.smtp.client_exchange}, through the engine.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from tests.smtp.client.driving import (
    LABEL,
    PIPELINING,
    PLAIN,
    Driven,
    ready,
    transaction,
)
from txmta.smtp.client_events import Stage

MAIL = b"MAIL FROM:<me@example.org>\r\n"
RCPT_A = b"RCPT TO:<a@example.com>\r\n"
RCPT_B = b"RCPT TO:<b@example.com>\r\n"
DATA = b"DATA\r\n"
OK = b"250 2.0.0 ok\r\n"
GO = b"354 go\r\n"
NO = b"550 5.1.1 no\r\n"
BYE = b"421 4.3.2 bye\r\n"

ACCEPTED = ("accepted", "250 2.0.0 ok")
AGAIN, HANG_UP = ("over", True), ("over", False)


def said(status: str, text: str, request: str) -> tuple[str, str]:
    return status, f"host {LABEL} said: {text} (in reply to {request} command)"


def two(offers: bytes) -> Driven:
    """
    A transaction for two recipients, begun.
    """
    driven = ready(offers)
    driven.begin(transaction("a@example.com", "b@example.com"))
    return driven


class OrderTests(SynchronousTestCase):
    """
    Which command follows which reply.
    """

    def test_pipelined(self) -> None:
        """
        MAIL, all RCPT and DATA in one write; the content after 354 only.
        """
        driven = two(PIPELINING)
        self.assertEqual(driven.take(), MAIL + RCPT_A + RCPT_B + DATA)
        driven.receive(OK * 3)
        self.assertEqual((driven.take(), driven.events), (b"", []))
        driven.receive(GO)
        self.assertEqual(driven.take(), b"<content>")
        driven.receive(OK)
        self.assertEqual(driven.events, [("go",), ACCEPTED, AGAIN])

    def test_one_by_one(self) -> None:
        """
        Without PIPELINING each command waits for a reply.
        """
        driven = two(PLAIN)
        for expected, reply in (
            (MAIL, OK),
            (RCPT_A, OK),
            (RCPT_B, OK),
            (DATA, GO),
            (b"<content>", OK),
        ):
            self.assertEqual(driven.take(), expected)
            driven.receive(reply)
        self.assertEqual(driven.events, [("go",), ACCEPTED, AGAIN])

    def test_some_refused(self) -> None:
        """
        A recipient that is refused is told at once; the others get the mail.
        """
        for offers in (PIPELINING, PLAIN):
            driven = two(offers)
            driven.receive(OK, NO)
            refused = ("refused", 0, *said("5.1.1", "550 5.1.1 no", "RCPT TO"))
            self.assertEqual(driven.new_events(), [refused])
            driven.receive(OK, GO, OK)
            self.assertEqual(driven.events, [("go",), ACCEPTED, AGAIN])

    def test_nobody_left(self) -> None:
        """
        All refused, and yet 354: a lone dot, as RFC 2920 section 3.1 says;
        the answer to it is of no interest.
        """
        for answer in (OK, b"554 no valid recipients\r\n"):
            driven = two(PIPELINING)
            driven.receive(OK, NO, NO)
            self.assertEqual(len(driven.new_events()), 2)
            driven.take()
            driven.receive(GO)
            self.assertEqual((driven.take(), driven.events), (b".\r\n", []))
            driven.receive(answer)
            self.assertEqual(driven.new_events(), [AGAIN])
            driven.begin(transaction("a@example.com"))
            self.assertEqual(driven.take(), MAIL + RCPT_A + DATA, "no RSET")

    def test_nobody_left_refused(self) -> None:
        """
        All refused, and DATA as well: the server still has our MAIL, so the
        next transaction starts with RSET, in the same write.
        """
        driven = two(PIPELINING)
        driven.receive(OK, NO, NO, b"554 no valid recipients\r\n")
        self.assertEqual(driven.new_events()[2:], [AGAIN])
        driven.take()
        driven.begin(transaction("a@example.com"))
        self.assertEqual(driven.take(), b"RSET\r\n" + MAIL + RCPT_A + DATA)
        driven.receive(OK * 3 + GO)
        driven.receive(OK)
        self.assertEqual(driven.events, [("go",), ACCEPTED, AGAIN])

    def test_nobody_left_one_by_one(self) -> None:
        """
        Without PIPELINING there is no DATA for nobody.
        """
        driven = two(PLAIN)
        driven.receive(OK, NO, NO)
        self.assertEqual(driven.new_events()[2:], [AGAIN])
        self.assertEqual(driven.take(), MAIL + RCPT_A + RCPT_B)
        driven.begin(transaction("a@example.com"))
        self.assertEqual(driven.take(), b"RSET\r\n")
        driven.receive(OK)
        self.assertEqual(driven.take(), MAIL)

    def test_sender_refused(self) -> None:
        """
        MAIL refused fails all; the other replies say nothing new.
        """
        failed = ("failed", *said("5.7.1", "550 5.7.1 bad", "MAIL FROM"))
        driven = two(PIPELINING)
        driven.receive(b"550 5.7.1 bad\r\n", b"503 x\r\n", b"503 x\r\n")
        self.assertEqual(driven.events, [failed])
        driven.receive(b"503 x\r\n")
        self.assertEqual(driven.events, [failed, AGAIN])
        driven = two(PLAIN)
        driven.receive(b"550 5.7.1 bad\r\n")
        self.assertEqual(driven.events, [failed, AGAIN])
        driven.take()
        driven.begin(transaction("a@example.com"))
        self.assertEqual(driven.take(), MAIL, "no RSET: MAIL was not accepted")

    def test_sender_refused_yet_354(self) -> None:
        """
        Even then only a dot may follow.
        """
        driven = two(PIPELINING)
        driven.receive(NO, OK, OK, GO)
        self.assertEqual(driven.take()[-9:], b"DATA\r\n.\r\n")
        driven.receive(OK)
        self.assertEqual([e[0] for e in driven.events], ["failed", "over"])

    def test_data_refused(self) -> None:
        """
        DATA refused fails those who were accepted.
        """
        for offers in (PIPELINING, PLAIN):
            driven = two(offers)
            driven.receive(OK, NO, OK, b"451 4.3.0 later\r\n")
            self.assertEqual(
                driven.events[1:],
                [("failed", *said("4.3.0", "451 4.3.0 later", "DATA")), AGAIN],
            )

    def test_content_refused(self) -> None:
        """
        So does a refusal after the dot; the connection is still good.
        """
        driven = two(PIPELINING)
        driven.receive(OK * 3 + GO, b"554-5.7.1 spam\r\n554 5.7.1 no\r\n")
        words = "554-5.7.1 spam 554 5.7.1 no"
        self.assertEqual(
            driven.events,
            [("go",), ("failed", *said("5.7.1", words, "end of DATA")), AGAIN],
        )

    def test_out_of_order(self) -> None:
        """
        A positive reply where none is due is an error, but no refusal: mail
        is not returned for it.
        """
        for replies, request in (
            ((GO, NO, NO, NO), "MAIL FROM"),
            ((OK, OK, OK, OK), "DATA"),
            ((OK * 3 + GO, GO), "end of DATA"),
        ):
            driven = two(PIPELINING)
            driven.receive(*replies)
            failed = [e for e in driven.events if e[0] == "failed"]
            self.assertEqual(len(failed), 1)
            self.assertEqual(failed[0][1], "4.5.0")
            self.assertIn(f"Protocol error: host {LABEL} said:", str(failed[0][2]))
            self.assertIn(f"(in reply to {request} command)", str(failed[0][2]))


class TroubleTests(SynchronousTestCase):
    """
    Servers that misbehave at each stage.
    """

    #: What was said before, what is lost, and who is then still undecided.
    STAGES: Sequence[tuple[Sequence[bytes], str, int]] = (
        ((), "sending MAIL FROM", 2),
        ((OK,), "sending RCPT TO", 2),
        ((OK, NO), "sending RCPT TO", 1),
        ((OK, OK, OK), "sending DATA command", 2),
        ((OK, NO, NO), "sending DATA command", 0),
        ((NO,), "sending RCPT TO", 0),
        (
            (OK, OK, OK, GO),
            "sending end of data -- message may be sent more than once",
            2,
        ),
        ((OK, NO, NO, GO), "sending end of data", 0),
    )

    def test_lost_and_silent(self) -> None:
        """
        In Postfix's words, with what we were doing; told for those who are
        undecided, and only if there are any.
        """
        for replies, doing, undecided in self.STAGES:
            for how, words in (
                ("lost", f"lost connection with {LABEL} while {doing}"),
                ("timed_out", f"conversation with {LABEL} timed out while {doing}"),
            ):
                driven = two(PIPELINING)
                driven.receive(*replies)
                driven.new_events()
                driven.heard(getattr(driven.engine, how)())
                expected: list[tuple[object, ...]] = [HANG_UP]
                if undecided:
                    expected.insert(0, ("failed", "4.4.2", words))
                self.assertEqual(driven.events, expected, (replies, how))
                self.assertIs(driven.engine.stage, Stage.CLOSED)
                driven.receive(OK)
                driven.heard(driven.engine.lost())
                self.assertEqual(driven.events, expected, "nothing comes after")

    def test_garbage(self) -> None:
        """
        While replies are counted, a line that is none ends it: one
        recipient's answer must not be taken for another's.
        """
        for replies, doing, undecided in self.STAGES:
            for garbage in (
                b"what?\r\n",
                b"999 x\r\n",
                b"x" * 40000,
                b"250-x\r\n" * 200,
            ):
                if "may be sent" in doing and garbage == b"what?\r\n":
                    continue  # see the next test
                driven = two(PIPELINING)
                driven.receive(*replies)
                driven.new_events()
                driven.receive(garbage)
                self.assertEqual(driven.events[-1], HANG_UP)
                self.assertEqual(len(driven.events), 2 if undecided else 1)
                if undecided:
                    kind, status, reason = driven.events[0]
                    self.assertEqual((kind, status), ("failed", "4.5.0"))
                    self.assertIn(f"from {LABEL} while {doing}: ", str(reason))

    def test_garbage_after_dot(self) -> None:
        """
        When a single reply is due it is skipped: who has taken the message
        must not get it again. The connection is not used again.
        """
        driven = two(PIPELINING)
        driven.receive(OK * 3 + GO, b"what?\r\n", OK)
        self.assertEqual([e[0] for e in driven.events], ["go", "accepted", "over"])
        self.assertEqual(driven.events[-1], HANG_UP)

    def test_garbage_tolerated(self) -> None:
        """
        Without PIPELINING it is skipped, as Postfix does; but such a
        connection is not used again.
        """
        driven = two(PLAIN)
        driven.receive(OK, b"hello\r\n250 ok\r\n", OK, GO, OK)
        self.assertEqual(driven.events, [("go",), ACCEPTED, HANG_UP])

    def test_goodbye(self) -> None:
        """
        421 ends the session at any stage but RCPT (RFC 5321 section 3.8); for
        all that are undecided, it is the reason.
        """
        for replies, request, events in (
            ((), "MAIL FROM", ["failed"]),
            ((OK, OK, OK), "DATA", ["failed"]),
            ((OK, NO, NO), "DATA", []),
            ((OK, OK, OK, GO), "end of DATA", ["failed"]),
            ((OK, NO, NO, GO), "end of DATA", []),
        ):
            driven = two(PIPELINING)
            driven.receive(*replies)
            driven.new_events()
            driven.receive(BYE)
            self.assertEqual(
                [e[0] for e in driven.events], [*events, "over"], (replies, request)
            )
            self.assertEqual(driven.events[-1], HANG_UP)
            words = said("4.3.2", "421 4.3.2 bye", request)
            for event in driven.events[:-1]:
                self.assertEqual(event[-2:], words)

    def test_goodbye_to_recipient(self) -> None:
        """
        421 to RCPT is about one recipient, as in Postfix; if the server hangs
        up it is lost for the others. No other transaction follows.
        """
        refused = ("refused", 0, *said("4.3.2", "421 4.3.2 bye", "RCPT TO"))
        for offer in (PIPELINING, PLAIN):
            driven = two(offer)
            driven.receive(OK, BYE, OK, GO, OK)
            kinds = [e[0] for e in driven.events]
            self.assertEqual(kinds, ["refused", "go", "accepted", "over"])
            self.assertEqual(driven.events[0], refused)
            self.assertEqual(driven.events[-1], HANG_UP)
            driven = two(offer)
            driven.receive(OK, BYE)
            driven.heard(driven.engine.lost())
            kinds = [e[0] for e in driven.events]
            self.assertEqual(kinds, ["refused", "failed", "over"])
            self.assertEqual(driven.events[1][1], "4.4.2")

    def test_early_reply(self) -> None:
        """
        A reply while content is on its way: no dot may follow, for half a
        message would be delivered.
        """
        driven = ready()
        driven.begin(transaction("a@example.com"))
        events = driven.engine.receive(OK * 2 + GO)
        self.assertEqual(len(events), 1)
        driven.receive(b"552 5.3.4 too big\r\n")
        words = said("5.3.4", "552 5.3.4 too big", "end of DATA")
        self.assertEqual(driven.events, [("failed", *words), HANG_UP])
        driven.engine.sent()
        self.assertIs(driven.engine.stage, Stage.CLOSED)

    def test_success_in_advance(self) -> None:
        """
        "250" before the content was sent, in one segment with 354 or not, is
        no success.
        """
        driven = two(PIPELINING)
        driven.receive(OK * 3 + GO + OK)
        self.assertNotIn(b"<content>", driven.take())
        self.assertEqual([e[0] for e in driven.events], ["go", "failed", "over"])
        self.assertEqual(driven.events[1][1], "4.5.0")
        self.assertEqual(driven.events[-1], HANG_UP)

    def test_replies_in_advance(self) -> None:
        """
        Without PIPELINING, more replies than commands: out of step, in the
        end nobody is taken for delivered.
        """
        driven = two(PLAIN)
        driven.receive(OK * 9)
        self.assertEqual(driven.events[-1], HANG_UP)
        self.assertNotIn("accepted", [e[0] for e in driven.events])

    def test_said_too_much(self) -> None:
        """
        A reply too many after success: the mail is delivered, and the
        connection not used again.
        """
        for more in (b"250 again\r\n", b"421 bye\r\n", b"2"):
            driven = two(PIPELINING)
            driven.receive(OK * 3 + GO, OK + more)
            self.assertEqual([e[0] for e in driven.events], ["go", "accepted", "over"])
            self.assertEqual(driven.events[-1], HANG_UP)

    def test_idle(self) -> None:
        """
        A server that speaks to an idle client is leaving, or mad.
        """
        for octets in (BYE, b"x", b"250 ok\r\n"):
            driven = ready()
            driven.receive(octets)
            self.assertEqual(driven.events, [HANG_UP])

    def test_quit(self) -> None:
        """
        The answer to QUIT ends it.
        """
        driven = ready()
        driven.engine.quit()
        driven.receive(b"221 bye\r\n")
        self.assertEqual(driven.take(), b"QUIT\r\n")
        self.assertEqual(driven.events, [HANG_UP])


class KeptTests(SynchronousTestCase):
    """
    A connection that has been kept may be dead.
    """

    def kept(self, must_reset: bool = False) -> Driven:
        driven = ready()
        driven.begin(transaction("a@example.com"))
        last = b"554 no\r\n" if must_reset else GO
        driven.receive(OK, NO if must_reset else OK, last)
        if not must_reset:
            driven.receive(OK)
        assert driven.new_events()[-1] == AGAIN
        driven.take()
        driven.begin(transaction("a@example.com"))
        return driven

    def test_dead(self) -> None:
        """
        Lost, silent or said goodbye to before any answer: nothing was tried.
        """
        for must_reset in (False, True):
            for how in ("lost", "timed_out"):
                driven = self.kept(must_reset)
                driven.heard(getattr(driven.engine, how)())
                self.assertEqual([e[0] for e in driven.events], ["unused", "over"])
            driven = self.kept(must_reset)
            driven.receive(BYE)
            self.assertEqual([e[0] for e in driven.events], ["unused", "over"])

    def test_reset_refused(self) -> None:
        """
        RSET refused is about the message before this one.
        """
        driven = self.kept(must_reset=True)
        driven.receive(b"500 what?\r\n")
        self.assertEqual([e[0] for e in driven.events], ["unused", "over"])

    def test_dead_later(self) -> None:
        """
        After the first answer it is trouble as any other.
        """
        driven = self.kept()
        driven.receive(OK)
        driven.heard(driven.engine.lost())
        self.assertEqual([e[0] for e in driven.events], ["failed", "over"])

    def test_new(self) -> None:
        """
        So it is on a connection that was made for this message.
        """
        driven = ready()
        driven.begin(transaction("a@example.com"))
        driven.heard(driven.engine.lost())
        self.assertEqual([e[0] for e in driven.events], ["failed", "over"])


class CutTests(SynchronousTestCase):
    """
    How the network cuts replies makes no difference.
    """

    SCRIPTS = (
        (OK * 3 + GO, OK),
        (OK + NO + OK + GO, b"554-a\r\n554 5.7.1 b\r\n"),
        (OK + NO + NO + GO, OK),
        (NO * 4,),
        (OK + BYE,),
        (OK + b"garbage\r\n" + OK,),
        (OK * 3 + GO, b"250-2.0.0 a\r\n250 2.0.0 b\r\n"),
    )

    def test_cut_anywhere(self) -> None:
        """
        Each position, and octet by octet.
        """
        for script in self.SCRIPTS:
            whole = two(PIPELINING)
            whole.receive(*script)
            expected = whole.events, whole.out
            for n, segment in enumerate(script):
                for cut in range(1, len(segment)):
                    driven = two(PIPELINING)
                    driven.receive(*script[:n], segment[:cut], segment[cut:])
                    driven.receive(*script[n + 1 :])
                    self.assertEqual((driven.events, driven.out), expected)
            driven = two(PIPELINING)
            for octet in b"".join(script):
                driven.receive(bytes([octet]))
            self.assertEqual((driven.events, driven.out), expected)
