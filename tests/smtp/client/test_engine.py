"""
Tests of L{txmta.smtp.client_engine}: what is sent, what is not begun, and
that it is total.
"""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.smtp.client.driving import (
    LABEL,
    PIPELINING,
    PLAIN,
    Driven,
    ready,
    transaction,
)
from txmta.smtp.client_events import ClientRules, Stage


class BeginTests(SynchronousTestCase):
    """
    Transactions that end before they begin.
    """

    def test_too_big(self) -> None:
        """
        A message over the server's SIZE is not tried (RFC 1870).
        """
        driven = ready(b"250-x\r\n250 SIZE 100\r\n")
        driven.begin(transaction("a@example.com", size=123))
        reason = f"message size 123 exceeds size limit 100 of server {LABEL}"
        self.assertEqual(driven.events, [("failed", "5.3.4", reason), ("over", True)])
        self.assertEqual(driven.take(), b"")
        driven.begin(transaction("a@example.com", size=100))
        self.assertIn(b" SIZE=100\r\n", driven.take())

    def test_no_smtputf8(self) -> None:
        """
        A message that needs SMTPUTF8 is not sent without; another server may
        have it (RFC 6531 section 3.2).
        """
        driven = ready(PIPELINING)
        work = transaction("\xe9@example.com", smtputf8=True, needs_smtputf8=True)
        driven.begin(work)
        (kind, status, reason), over = driven.events
        self.assertEqual((kind, status, over), ("failed", "5.6.7", ("over", True)))
        self.assertIn(
            f"SMTPUTF8 is required, but was not offered by host {LABEL}", str(reason)
        )

    def test_unsafe(self) -> None:
        """
        Control characters in an address never reach a command line.
        """
        for bad in ("a\r\nDATA@example.com", "a\n@example.com", "a\0@b", "a\x7f@b"):
            driven = ready(PIPELINING)
            driven.begin(transaction("a@example.com", sender=bad))
            self.assertEqual(
                driven.events,
                [("failed", "5.1.7", "bad address syntax"), ("over", True)],
            )
            driven = ready(PIPELINING)
            driven.begin(transaction(bad, "ok@example.com"))
            self.assertEqual(
                driven.events, [("refused", 0, "5.1.3", "bad address syntax")]
            )
            self.assertEqual(
                driven.take(),
                b"MAIL FROM:<me@example.org>\r\nRCPT TO:<ok@example.com>\r\nDATA\r\n",
            )
            driven.receive(b"250 ok\r\n250 ok\r\n354 go\r\n", b"250 ok\r\n")
            self.assertEqual(
                [e[0] for e in driven.events], ["refused", "go", "accepted", "over"]
            )
            driven = ready(PIPELINING)
            driven.begin(transaction(bad))
            self.assertEqual([e[0] for e in driven.events], ["refused", "over"])
            self.assertEqual(driven.take(), b"")

    def test_abandon(self) -> None:
        """
        If we cannot go on there is no dot.
        """
        driven = ready(PIPELINING)
        driven.begin(transaction("a@example.com"))
        driven.engine.receive(b"250 ok\r\n250 ok\r\n354 go\r\n")
        from txmta.smtp.client_trouble import Trouble

        driven.take()
        driven.heard(driven.engine.abandon(Trouble("4.3.0", "no disk")))
        self.assertEqual(
            driven.events, [("failed", "4.3.0", "no disk"), ("over", False)]
        )
        self.assertEqual(driven.take(), b"")


#: Pieces of what a server may say; some fit, most do not.
_PIECES = st.sampled_from(
    [
        b"220 mail ESMTP\r\n",
        b"250-mail\r\n250 PIPELINING\r\n",
        b"250 mail\r\n",
        b"250 2.1.0 ok\r\n",
        b"250-",
        b"354 go\r\n",
        b"354",
        b"550 5.1.1 no\r\n",
        b"450 4.2.0 later\r\n",
        b"421 4.3.2 bye\r\n",
        b"221 bye\r\n",
        b"999 what\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b"x",
        b"\0\xff",
        b"y" * 2100,
        b"250-z\r\n" * 101,
    ]
)
_SPEECH = st.lists(st.one_of(_PIECES, st.binary(max_size=8)), max_size=14)


class TotalityTests(SynchronousTestCase):
    """
    Whatever a server says, every recipient has exactly one end.
    """

    def check(self, driven: Driven, count: int) -> None:
        fates = [0] * count
        overs = 0
        for event in driven.events:
            self.assertEqual(overs, 0, "nothing comes after the end")
            if event[0] == "refused":
                assert isinstance(event[1], int)
                fates[event[1]] += 1
            elif event[0] in ("failed", "unused", "accepted"):
                self.assertIn(0, fates, "told for nobody")
                fates = [fate or 1 for fate in fates]
            elif event[0] == "over":
                overs += 1
        self.assertEqual((fates, overs), ([1] * count, 1), driven.events)
        self.assertLessEqual(driven.out.count(b"<content>"), 1)

    @settings(deadline=None)
    @given(
        _SPEECH,
        st.booleans(),
        st.integers(1, 3),
        st.sampled_from(["lost", "timed_out"]),
    )
    def test_transaction(
        self, speech: list[bytes], pipelining: bool, count: int, end: str
    ) -> None:
        """
        In a transaction.
        """
        driven = ready(PIPELINING if pipelining else PLAIN)
        driven.begin(transaction(*[f"{n}@example.com" for n in range(count)]))
        for octets in speech:
            if ("over", True) in driven.events:
                break
            driven.receive(octets)
        if driven.engine.stage is not Stage.IDLE:
            driven.heard(getattr(driven.engine, end)())
        self.check(driven, count)

    @settings(deadline=None)
    @given(_SPEECH, st.sampled_from(["lost", "timed_out"]))
    def test_handshake(self, speech: list[bytes], end: str) -> None:
        """
        Before one: ready or failed, once.
        """
        driven = Driven()
        for octets in speech:
            if driven.events:
                break
            driven.receive(octets)
        if not driven.events:
            driven.heard(getattr(driven.engine, end)())
        self.assertIn([e[0] for e in driven.events], (["ready"], ["failed", "over"]))

    @settings(deadline=None)
    @given(st.binary(max_size=60), st.integers(0, 60))
    def test_cutting(self, speech: bytes, cut: int) -> None:
        """
        The same octets in other pieces give the same events.
        """
        whole, pieces = ready(), ready()
        for driven in (whole, pieces):
            driven.begin(transaction("a@example.com"))
        whole.receive(speech)
        pieces.receive(speech[:cut], speech[cut:])
        self.assertEqual(pieces.events, whole.events)

    @settings(deadline=None)
    @given(
        st.text(max_size=12), st.text(max_size=12), st.text(max_size=12), st.booleans()
    )
    def test_commands(self, sender: str, one: str, original: str, quote: bool) -> None:
        """
        Whatever is in an envelope, we send MAIL, RCPT and DATA, each on one
        line.
        """
        offers = b"250-x\r\n250-PIPELINING\r\n250-DSN\r\n250 SMTPUTF8\r\n"
        driven = ready(offers, ClientRules("me", quote_envelope=quote))
        driven.begin(transaction(one, original, sender=sender))
        lines = driven.take().split(b"\r\n")
        self.assertIn(
            [line[:9] for line in lines],
            (
                [b""],
                [b"MAIL FROM", b"RCPT TO:<", b"DATA", b""],
                [b"MAIL FROM", b"RCPT TO:<", b"RCPT TO:<", b"DATA", b""],
            ),
        )
        for line in lines:
            self.assertIsNone(re.search(rb"[\x00-\x1f]", line), line)
