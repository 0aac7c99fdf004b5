"""
The engine, whatever octets come.
"""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.smtp.server.driver import LOOSE, STRICT, Driven, story
from txmta.model import Reply
from txmta.smtp.requests import Request

LINES = [
    b"EHLO x\r\n",
    b"HELO x\r\n",
    b"EHLO\r\n",
    b"MAIL FROM:<a@b.example>\r\n",
    b"MAIL FROM:<a@b.example> SIZE=5 RET=FULL\n",
    b"MAIL FROM:<\xff>\r\n",
    b"RCPT TO:<c@d.example>\r\n",
    b"RCPT TO:<c d>\r\n",
    b"DATA\r\n",
    b"DATA x\r\n",
    b"BDAT 3\r\n",
    b"BDAT 4 LAST\r\n",
    b"BDAT 0 LAST\r\n",
    b"BDAT 999999\r\n",
    b"BDAT -1\r\n",
    b"RSET\r\n",
    b"NOOP\r\n",
    b"VRFY x\r\n",
    b"HELP\r\n",
    b"STARTTLS\r\n",
    b"AUTH PLAIN AA==\r\n",
    b"QUIT\r\n",
    b"GET / HTTP/1.0\r\n",
    b"\r\n",
    b"\n",
    b".\r\n",
    b".\n",
    b"\r\n.\r\n",
    b"\r\r\n",
    b"\0\r\n",
    b"abc",
    b"x" * 3000,
]

STREAMS = st.lists(st.sampled_from(LINES) | st.binary(max_size=6), max_size=14)
ANSWERS = st.lists(st.sampled_from([250, 250, 250, 250, 451, 550, 421]), max_size=12)

_REPLY = re.compile(r"[2-5][0-9]{2}[ -][^\x00-\x1f\x7f]*\r\n")


class TotalTests(SynchronousTestCase):
    @settings(max_examples=400, deadline=None)
    @given(STREAMS, ANSWERS, st.sampled_from([LOOSE, STRICT]))
    def test_every_input_has_a_legal_reply(self, pieces, codes, rules):  # type: ignore[no-untyped-def]
        """
        Nothing raises; what is said is SMTP; nothing is said after hanging up.
        """
        left = list(codes)

        def answers(request: Request) -> Reply:
            code = left.pop() if left else 250
            return Reply(code, f"{code // 100}.0.0", "answer")

        driven = Driven(rules, answers)
        for piece in pieces:
            closed = driven.engine.closed
            said = driven.feed(piece)
            if closed:
                self.assertEqual(said, "")
            for line in said.splitlines(keepends=True):
                self.assertRegex(line, _REPLY)
        if not driven.engine.closed:
            driven.engine.time_out()
            self.assertIn("421 4.4.2", driven.run())
        self.assertTrue(driven.engine.closed)

    @settings(max_examples=300, deadline=None)
    @given(st.lists(st.sampled_from(LINES[:-2]), max_size=10))
    def test_each_command_is_answered_once(self, lines):  # type: ignore[no-untyped-def]
        """
        As many replies as commands, as long as no content and no end come.
        """
        ends = (b"DATA\r\n", b"QUIT\r\n", b"GET", b"\r\n.", b".\n", b".\r")
        lines = [x for x in lines if not x.startswith((*ends, b"BDAT"))]
        driven = Driven(LOOSE)
        for line in lines:
            if driven.engine.closed:
                break
            said = driven.feed(line)
            finals = [r for r in said.splitlines() if r[3] == " "]
            self.assertEqual(len(finals), line.count(b"\n"), line)


class CutTests(SynchronousTestCase):
    @settings(max_examples=150, deadline=None)
    @given(STREAMS)
    def test_reads_do_not_matter(self, pieces):  # type: ignore[no-untyped-def]
        """
        Where nobody minds pipelining, only the order of octets counts.
        """
        octets = b"".join(pieces)
        whole = story(LOOSE, [[octets]])
        step = max(1, len(octets) // 40)
        for cut in range(0, len(octets) + 1, step):
            self.assertEqual(story(LOOSE, [[octets[:cut]], [octets[cut:]]]), whole, cut)

    @settings(max_examples=150, deadline=None)
    @given(STREAMS, st.data())
    def test_pieces_of_one_read(self, pieces, data):  # type: ignore[no-untyped-def]
        """
        The same interleaving of reads and replies gives the same events,
        however the octets of one turn were cut.
        """
        turns = [pieces[i : i + 3] for i in range(0, len(pieces), 3)]
        joined = [[b"".join(turn)] for turn in turns]
        cut = []
        for (octets,) in joined:
            at = data.draw(st.integers(0, len(octets)))
            cut.append([octets[:at], octets[at:]])
        self.assertEqual(story(STRICT, cut), story(STRICT, joined))

    def test_every_position(self) -> None:
        """
        A long pipelined session, cut at every octet.
        """
        octets = (
            b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n"
            b"..a\r\n.b\r\nc\nd\re\r\n.\r\nMAIL FROM:<>\nRCPT TO:<c@d.example>\r\n"
            b"BDAT 6\r\na\r\nb\r\nBDAT 3 LAST\r\n.\r\nFOO\r\nRSET\r\nQUIT\r\n"
        )
        whole = story(LOOSE, [[octets]])
        self.assertIn("content b'.a\\r\\nb\\r\\nc\\r\\nd\\re\\r\\n'", whole)
        self.assertIn("content b'a\\r\\nb\\r\\n.\\r\\n'", whole)
        self.assertIn("221 2.0.0 Bye\r\n", whole)
        for cut in range(len(octets) + 1):
            self.assertEqual(story(LOOSE, [[octets[:cut]], [octets[cut:]]]), whole, cut)
        single = [[octets[i : i + 1]] for i in range(len(octets))]
        self.assertEqual(story(LOOSE, single), whole)
