"""
SMTP smuggling, server direction: nothing but CR LF . CR LF ends a message.

The sequences of others, and every string of up to five of the octets that matter,
are put between a message and what would be a second one, and cut at every place.
With C{TXMTA_SMUGGLING=all} the cuts go through the whole stream, and every
setting of smtpd_forbid_bare_newline is tried with all of them.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.smtp.server.driver import LOOSE, Driven
from tests.support import cases
from txmta.smtp.requests import Chunk, End, Request, Sender

#: Longest made-up sequence; every cut of the stream, or those near it.
ALL = os.environ.get("TXMTA_SMUGGLING") == "all"
LENGTH = 5

#: Nothing of ours but the end of data may stop a second message: pipelining is
#: allowed, every address is welcome.
MODES = ("normalize", "reject", "note", "no")

FIRST = b"Subject: first\r\n\r\nfirst"
SECOND = (
    b"MAIL FROM:<smuggled@b.example>\r\nRCPT TO:<user@example.org>\r\nDATA\r\n"
    b"Subject: second\r\n\r\nsecond\r\n.\r\n"
)
END = b"\r\n.\r\n"


class Session(Driven):
    """
    @ivar senders: of the messages that came to an end.
    """

    def __init__(self, mode: str) -> None:
        self.senders: list[str] = []
        self.sender = ""
        super().__init__(replace(LOOSE, bare_newline=mode))

    def tell(self, request: Request) -> None:
        # Only what matters here: this runs a hundred thousand times.
        if isinstance(request, Chunk):
            self.content += request.block
        elif request.asks:
            if isinstance(request, Sender):
                self.sender = request.address
            elif isinstance(request, End):
                self.senders.append(self.sender)
            reply = self.answers(request)
            assert reply is not None
            self.engine.answer(reply)

    def begin(self) -> None:
        self.feed(b"EHLO x\r\nMAIL FROM:<honest@b.example>\r\n")
        self.feed(b"RCPT TO:<user@example.org>\r\n")


def made_up() -> Iterator[bytes]:
    for length in range(1, LENGTH + 1):
        for octets in itertools.product(b"\r\n.\0A", repeat=length):
            yield bytes(octets)


def cuts(stream: bytes, at: int, length: int) -> Iterator[int]:
    """
    @param at: where the sequence is.
    """
    if ALL:
        yield from range(len(stream) + 1)
    else:
        yield from range(at - 3, at + length + 4)


class DataTests(SynchronousTestCase):
    def smuggled(self, sequence: bytes, mode: str, before: bytes = FIRST) -> int:
        """
        @return: how many cuts were tried; the test fails at a second message.
        """
        stream = before + sequence + SECOND
        honest = END in before + sequence + SECOND[:1]
        tried = 0
        for cut in cuts(stream, len(before), len(sequence)):
            session = Session(mode)
            session.begin()
            session.feed(b"DATA\r\n")
            session.feed(stream[:cut])
            session.feed(stream[cut:])
            # A message refused for its line ends does not come to an end.
            self.assertLessEqual(len(session.senders), 1 + honest, (sequence, cut))
            if not honest:
                self.assertNotIn("smuggled@b.example", session.senders, (sequence, cut))
            tried += 1
        return tried

    def test_made_up(self) -> None:
        """
        Every string of one to five of CR, LF, dot, NUL and A.
        """
        sequences = list(made_up())
        self.assertEqual(len(sequences), 3905)
        for sequence in sequences:
            for mode in MODES if ALL else ("normalize",):
                self.smuggled(sequence, mode)

    def test_made_up_after_a_line(self) -> None:
        """
        The same at the start of a line, where a dot is enough; the shorter
        ones under each setting.
        """
        for sequence in made_up():
            if len(sequence) <= (LENGTH if ALL else 3):
                for mode in MODES:
                    self.smuggled(sequence, mode, FIRST + b"\r\n")

    def test_it_would_be_seen(self) -> None:
        """
        The end of data itself does begin a second message.
        """
        session = Session("normalize")
        session.begin()
        session.feed(b"DATA\r\n")
        session.feed(FIRST + END + SECOND)
        self.assertEqual(session.senders, ["honest@b.example", "smuggled@b.example"])


class ChunkTests(SynchronousTestCase):
    def test_chunk_then_data(self) -> None:
        """
        No sequence in a BDAT chunk ends it, and DATA after it is its own.
        """
        for sequence in made_up():
            content = FIRST + sequence + SECOND
            head = f"BDAT {len(content)} LAST\r\n".encode()
            stream = head + content
            for cut in cuts(stream, len(head) + len(FIRST), len(sequence)):
                session = Session("normalize")
                session.begin()
                session.feed(stream[:cut])
                session.feed(stream[cut:])
                self.assertEqual(session.senders, ["honest@b.example"], sequence)


class CaseTests(SynchronousTestCase):
    """
    The sequences of smtpsmug, SMTP-Smuggling-Tools and mox.
    """

    def setUp(self) -> None:
        path = cases("smuggling-starttls") / "eod-sequences.json"
        self.cases: dict[str, Any] = json.loads(path.read_text("utf-8"))

    def test_endings(self) -> None:
        """
        At every cut of the whole stream, under each setting.
        """
        endings = list(self.cases["hannob_smtpsmug_bad_endings"].values())
        for name in ("thelogin_inbound_eod", "thelogin_outbound_eod"):
            endings += self.cases[name]
        endings += self.cases["mox_server_smuggle"]
        endings += self.cases["mox_data_writer_must_refuse"]
        self.assertGreater(len(endings), 35)
        tester = DataTests()
        for ending, mode in itertools.product(endings, MODES):
            stream = ending.encode("latin-1")
            for before in (FIRST, FIRST + b"\r\n"):
                tester.smuggled(stream, mode, before)

    def test_mox_data_reader(self) -> None:
        """
        What mox reads we read, line ends in wire form; what it refuses for a
        bare LF, C{reject} refuses; what it refuses for a lone CR is content
        for us, and no end.
        """
        for case in self.cases["mox_data_reader"]:
            wire = case["wire"].encode("latin-1")
            session = Session("normalize")
            session.begin()
            session.feed(b"DATA\r\n")
            session.feed(wire)
            ended = END in b"\r\n" + wire
            self.assertEqual(len(session.senders), int(ended), case)
            if case["want_error"] == "nil":
                body = case["want_body"].encode("latin-1")
                body = body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
                self.assertEqual(session.content, body)
            strict = Session("reject")
            strict.begin()
            strict.feed(b"DATA\r\n")
            said = strict.feed(wire)
            bare = b"\n" in wire.replace(b"\r\n", b"")
            self.assertEqual(said.startswith("550 5.5.2"), ended and bare, case)
