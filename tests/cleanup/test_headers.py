"""
L{txmta.cleanup.headers}: what is edited, and that nothing else is.
"""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txmta.cleanup.headers import (
    MAX_MESSAGE_IDS,
    HeaderRules,
    HeaderSection,
    actions,
)

DROPPED = ("bcc", "Return-Path:", "content-length")


def shout(value: bytes) -> bytes:
    return value.upper()


def rules(size_limit: int = 102400, complete: bool = False) -> HeaderRules:
    return HeaderRules(
        actions(DROPPED, complete), size_limit, shout if complete else None
    )


def run(*blocks: bytes, rules: HeaderRules = rules()) -> tuple[bytes, bytes]:  # noqa: B008
    """
    @return: the edited headers, and what follows them.
    """
    section = HeaderSection(rules)
    head = rest = b""
    for block in blocks:
        if section.done:
            rest += block
        else:
            more, rest = section.feed(block)
            head += more
    if not section.done:
        more, rest = section.close()
        head += more
    assert section.done
    return head, rest


class SectionTests(SynchronousTestCase):
    """
    Where the header section ends, as Postfix sees it.
    """

    def check(self, content: bytes, head: bytes, rest: bytes) -> None:
        self.assertEqual(run(content), (head, rest))

    def test_ordinary(self) -> None:
        head = b"Subject: x\r\nTo: a\r\n b\r\n"
        self.check(head + b"\r\nbody\r\n", head, b"\r\nbody\r\n")

    def test_nothing(self) -> None:
        self.check(b"", b"", b"")

    def test_no_headers(self) -> None:
        self.check(b"\r\nbody\r\n", b"", b"\r\nbody\r\n")

    def test_no_body(self) -> None:
        self.check(b"Subject: x\r\n", b"Subject: x\r\n", b"")

    def test_no_line_end(self) -> None:
        """
        BDAT content may end anywhere; what we add needs a line of its own.
        """
        self.check(b"Subject: x", b"Subject: x\r\n", b"")
        self.check(b"Subject: x\r\n y", b"Subject: x\r\n y\r\n", b"")
        self.check(b"Subject: x\r\n\r", b"Subject: x\r\n", b"\r\n\r")

    def test_no_header_line(self) -> None:
        """
        A line that is no header starts the body; an empty line is put before.
        """
        for junk in (
            b"no header\r\n",
            b"no\r\n",
            b": x\r\n",
            b"S\xe9: x\r\n",
            b"a b: c",
        ):
            self.check(junk, b"", b"\r\n" + junk)
            self.check(b"A: b\r\n" + junk, b"A: b\r\n", b"\r\n" + junk)

    def test_continuation_of_nothing(self) -> None:
        self.check(b" x\r\nA: b\r\n", b"", b"\r\n x\r\nA: b\r\n")

    def test_white_line_is_a_continuation(self) -> None:
        head = b"A: b\r\n \r\n\t\r\nC: d\r\n"
        self.check(head + b"\r\n", head, b"\r\n")

    def test_endless_name(self) -> None:
        """
        What has no colon for long is no header: nothing is kept waiting.
        """
        junk = b"x" * 5000
        section = HeaderSection(rules())
        self.assertEqual(section.feed(junk), (b"", b"\r\n" + junk))
        self.assertTrue(section.done)

    def test_bare_line_ends(self) -> None:
        """
        With cleanup_replace_stray_cr_lf = no a bare LF is a line end.
        """
        self.check(b"A: b\nC: d\n\nbody\n", b"A: b\nC: d\n", b"\nbody\n")


class MailboxLineTests(SynchronousTestCase):
    """
    What mbox tools leave in front of a message.
    """

    def test_made_a_header(self) -> None:
        for line in (b"From a@b Tue Nov 24\r\n", b">From a\r\n", b"From : a\r\n"):
            head, rest = run(line + line + b"A: b\r\n\r\n")
            self.assertEqual(head, (b"X-Mailbox-Line: " + line) * 2 + b"A: b\r\n")
            self.assertEqual(rest, b"\r\n")

    def test_only_in_front(self) -> None:
        self.assertEqual(
            run(b"A: b\r\nFrom a\r\n\r\n"), (b"A: b\r\n", b"\r\nFrom a\r\n\r\n")
        )

    def test_not_quite(self) -> None:
        for line in (
            b"From\r\n",
            b"from a\r\n",
            b"Frommage a\r\n",
            b">\r\n",
            b">>From a\r\n",
        ):
            self.assertEqual(run(line), (b"", b"\r\n" + line))
        self.assertEqual(run(b"From: a\r\n"), (b"From: a\r\n", b""))

    def test_no_continuation(self) -> None:
        head, rest = run(b"From a\r\n b\r\n")
        self.assertEqual((head, rest), (b"X-Mailbox-Line: From a\r\n", b"\r\n b\r\n"))

    def test_too_long(self) -> None:
        line = b"From " + b"x" * 300
        for blocks in ((line + b"\r\nA: b\r\n",), (line, b"\r\nA: b\r\n")):
            head, _ = run(*blocks, rules=rules(100))
            self.assertEqual(head, (b"X-Mailbox-Line: " + line)[:100] + b"\r\nA: b\r\n")


class EditTests(SynchronousTestCase):
    def test_dropped(self) -> None:
        """
        message_drop_headers, in any case, with continuation lines.
        """
        head, _ = run(b"A: b\r\nBCC : x\r\n y\r\nReturn-path: z\r\nbccx: c\r\n\r\n")
        self.assertEqual(head, b"A: b\r\nbccx: c\r\n")

    def test_not_in_the_body(self) -> None:
        self.assertEqual(run(b"\r\nBcc: x\r\n"), (b"", b"\r\nBcc: x\r\n"))

    def test_space_before_the_colon(self) -> None:
        head, _ = run(b"Subject \t: x : y\r\n\r\n")
        self.assertEqual(head, b"Subject: x : y\r\n")

    def test_completed(self) -> None:
        content = b"To: a\r\n b\r\nSubject: c\r\nreply-to : d\r\nX-To: e\r\n\r\n"
        head, _ = run(content, rules=rules(complete=True))
        self.assertEqual(
            head, b"To: A\r\n B\r\nSubject: c\r\nreply-to: D\r\nX-To: e\r\n"
        )
        self.assertEqual(run(content)[0].replace(b"to:", b"to :"), content[:-2])

    def test_noted(self) -> None:
        section = HeaderSection(rules())
        section.feed(
            b"Received: 1\r\nRECEIVED : 2\r\nFrom: x\r\nResent-Bcc: x\r\nX: y\r\n\r\n"
        )
        self.assertEqual(section.hops, 2)
        self.assertEqual(section.seen, {b"from", b"resent-bcc"})

    def test_message_ids(self) -> None:
        """
        The value as it stands, without what folds it; not too many of them.
        """
        section = HeaderSection(rules())
        section.feed(b"Message-Id:\r\n <1@x> \r\nRESENT-message-ID:<2@x>\r\n\r\n")
        self.assertEqual(
            section.message_ids,
            [(b"message-id", b"<1@x> "), (b"resent-message-id", b"<2@x>")],
        )
        section = HeaderSection(rules())
        section.feed(b"Message-Id: <x>\r\n" * 1000 + b"\r\n")
        self.assertEqual(len(section.message_ids), MAX_MESSAGE_IDS)


class SizeTests(SynchronousTestCase):
    """
    header_size_limit
    """

    def test_cut(self) -> None:
        fits = b"A: " + b"x" * 97 + b"\r\n"
        long = b"B: " + b"x" * 98 + b"\r\n" + b" y\r\n" * 100
        head, rest = run(fits + long + b"C: d\r\n\r\nz", rules=rules(100))
        self.assertEqual(head, fits + long[:100] + b"\r\nC: d\r\n")
        self.assertEqual(rest, b"\r\nz")

    def test_line_ends(self) -> None:
        """
        A line end counts as one octet; of a line of which little is left,
        nothing is left, as in Postfix 3.7.
        """
        for room, left in ((20, b"\r\n " + b"y" * 19), (10, b"\r\n " + b"y" * 9)):
            start = b"A: " + b"x" * (96 - room)
            head, _ = run(start + b"\r\n " + b"y" * 200 + b"\r\n\r\n", rules=rules(100))
            self.assertEqual(head, start + left + b"\r\n")
        start = b"A: " + b"x" * (96 - 9)
        head, _ = run(start + b"\r\n " + b"y" * 200 + b"\r\n\r\n", rules=rules(100))
        self.assertEqual(head, start + b"\r\n")

    def test_name_is_kept(self) -> None:
        head, _ = run(b"A-Long-Name: x\r\n\r\n", rules=rules(3))
        self.assertEqual(head, b"A-Long-Name:\r\n")

    def test_cut_in_a_line_end(self) -> None:
        """
        No half line end is left.
        """
        for limit in range(8, 14):
            head, _ = run(b"A: 12345\r\n 6789\r\nB: c\r\n\r\n", rules=rules(limit))
            self.assertNotIn(b"\r\n\r\n", head)
            self.assertEqual(head.count(b"\r"), head.count(b"\r\n"))

    def test_long_header_is_dropped_whole(self) -> None:
        head, _ = run(b"Bcc: " + b"x" * 500 + b"\r\n y\r\nA: b\r\n", rules=rules(100))
        self.assertEqual(head, b"A: b\r\n")

    def test_bounded_memory(self) -> None:
        """
        A header without end is let go of as it comes.
        """
        section = HeaderSection(rules(1000))
        section.feed(b"A: ")
        for _ in range(1000):
            section.feed(b"x" * 99 + b"\r\n ")
            self.assertLess(len(section._held), 4 * 1000)
        head, _ = section.feed(b"\r\nB: c\r\n\r\n")
        self.assertEqual(head, b"B: c\r\n")

    def test_linear(self) -> None:
        """
        Octet by octet costs no more than some copies of a header.
        """
        section = HeaderSection(rules(50_000))
        parsed = 0
        parse = HeaderSection._parse

        def count(self: HeaderSection, block: bytes) -> tuple[bytes, bytes]:
            nonlocal parsed
            parsed += len(block)
            return parse(self, block)

        self.patch(HeaderSection, "_parse", count)
        for octet in b"A: " + b"\n " * 20_000:
            section.feed(bytes([octet]))
        self.assertLess(parsed, 4 * 40_000)


_LINES = st.lists(
    st.sampled_from(
        [
            *(b"A: b", b" c", b"\td", b"Bcc: x", b"To : y", b"Received: z", b""),
            *(b"From x", b">From x", b"junk", b": x", b"Long: " + b"x" * 60, b"F"),
            *(b"Message-Id: <x>", b"Return-Path: " + b"y" * 60, b" ", b"\xff: y"),
        ]
    ),
    max_size=12,
)


class CutTests(SynchronousTestCase):
    """
    The network cuts where it likes.
    """

    @given(_LINES, st.sampled_from([20, 50, 1000]), st.booleans(), st.booleans())
    @example([b"From x", b" c", b"A: b"], 20, True, True)
    @settings(max_examples=300, deadline=None)
    def test_anywhere(
        self, lines: list[bytes], limit: int, end: bool, complete: bool
    ) -> None:
        content = b"\r\n".join(lines) + (b"\r\n" if end else b"")
        chosen = rules(limit, complete)
        whole = run(content, rules=chosen)
        for cut in range(len(content) + 1):
            pieces = (content[:cut], content[cut:])
            self.assertEqual(run(*pieces, rules=chosen), whole, f"cut at {cut}")
        octets = [content[i : i + 1] for i in range(len(content))]
        self.assertEqual(run(*octets, rules=chosen), whole)

    @given(st.binary(max_size=200))
    @settings(max_examples=300, deadline=None)
    def test_total(self, content: bytes) -> None:
        """
        Any octets end in some message; none vanish but those of the list.
        """
        head, rest = run(content)
        self.assertTrue(content.endswith(rest.removeprefix(b"\r\n")))
        self.assertTrue(not head or head.endswith(b"\n"))
