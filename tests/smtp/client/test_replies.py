"""
Tests of L{txmta.smtp.replies}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txmta.errors import BadReply
from txmta.smtp.replies import (
    MAX_REPLY,
    MAX_REPLY_LINE,
    MAX_REPLY_LINES,
    ReplyReader,
    ServerReply,
)

STREAM = (
    b"220 mail.example.com ESMTP\r\n"
    b"250-mail.example.com\r\n250-PIPELINING\r\n250 SIZE 1000\r\n"
    b"354\r\n"
    b"550 5.1.1 no\r\n"
)


def read(reader: ReplyReader, *pieces: bytes) -> list[tuple[int, tuple[bytes, ...]]]:
    got = []
    for piece in pieces:
        reader.add(piece)
        while (reply := reader.next()) is not None:
            got.append((reply.code, reply.lines))
    return got


class ReaderTests(SynchronousTestCase):
    """
    L{ReplyReader}
    """

    def setUp(self) -> None:
        self.expected = read(ReplyReader(), STREAM)
        self.assertEqual([code for code, _ in self.expected], [220, 250, 354, 550])

    def test_cut_anywhere(self) -> None:
        """
        The replies do not depend on how the network cut the stream.
        """
        for cut in range(len(STREAM) + 1):
            got = read(ReplyReader(), STREAM[:cut], STREAM[cut:])
            self.assertEqual(got, self.expected, f"cut at {cut}")

    def test_octet_by_octet(self) -> None:
        """
        Not even if each octet comes alone.
        """
        pieces = [STREAM[i : i + 1] for i in range(len(STREAM))]
        self.assertEqual(read(ReplyReader(), *pieces), self.expected)

    def test_trailing(self) -> None:
        """
        What follows a reply stays for later, and is known to be there.
        """
        reader = ReplyReader()
        self.assertEqual(read(reader, STREAM + b"25"), self.expected)
        self.assertFalse(reader.empty)
        self.assertEqual(read(reader, b"0 ok\r\n"), [(250, (b"250 ok",))])
        self.assertTrue(reader.empty)

    def test_bare_newline(self) -> None:
        """
        A server that ends lines with LF is understood, as by Postfix.
        """
        self.assertEqual(read(ReplyReader(), b"250 ok\n"), [(250, (b"250 ok",))])

    def test_last_line_counts(self) -> None:
        """
        Codes that differ within a reply: the last one counts, as in Postfix.
        """
        ((code, _),) = read(ReplyReader(), b"250-yes\r\n550 no\r\n")
        self.assertEqual(code, 550)

    def test_garbage_is_tolerated(self) -> None:
        """
        A line that is no reply is skipped, and remembered.
        """
        reader = ReplyReader()
        got = read(reader, b"hello\r\n25 x\r\n220 mail\r\n")
        self.assertEqual([code for code, _ in got], [220])
        self.assertTrue(reader.garbage)

    def test_garbage_when_strict(self) -> None:
        """
        Where replies are counted, it is an error.
        """
        for garbage in (b"hello\r\n", b"25 x\r\n", b"\r\n", b"250x\r\n", b"2500 x\r\n"):
            reader = ReplyReader()
            reader.strict = True
            reader.add(garbage)
            self.assertRaises(BadReply, reader.next)

    def test_codes(self) -> None:
        """
        Codes that SMTP does not have are an error.
        """
        for line in (b"999 x\r\n", b"100 x\r\n", b"000 \r\n", b"600\r\n"):
            reader = ReplyReader()
            reader.add(line)
            self.assertRaises(BadReply, reader.next)

    def test_endless_line(self) -> None:
        """
        A line without end is given up.
        """
        reader = ReplyReader()
        for _ in range(MAX_REPLY // 100):
            reader.add(b"x" * 100)
            self.assertIs(reader.next(), None)
        reader.add(b"x" * (MAX_REPLY_LINE + 100))
        self.assertRaises(BadReply, reader.next)
        whole = ReplyReader()
        whole.add(b"250 " + b"x" * (MAX_REPLY_LINE + MAX_REPLY) + b"\r\n")
        self.assertRaises(BadReply, whole.next)
        many = ReplyReader()
        many.add((b"250-" + b"x" * 10000 + b"\r\n") * 5)
        self.assertRaises(BadReply, many.next)

    def test_long_line(self) -> None:
        """
        What is too much in a line is skipped, as Postfix does, however the
        line is cut; and each reply may have such a line.
        """
        line = b"250 " + b"x" * (MAX_REPLY_LINE - 4)
        octets = (line + b"y" * 20000 + b"\r\n") * 3
        for size in (1000, MAX_REPLY_LINE, MAX_REPLY_LINE + 1, len(octets)):
            pieces = [octets[i : i + size] for i in range(0, len(octets), size)]
            self.assertEqual(read(ReplyReader(), *pieces), [(250, (line,))] * 3)

    def test_longest_line(self) -> None:
        """
        The longest line allowed is read, however it is cut.
        """
        line = b"250 " + b"x" * (MAX_REPLY_LINE - 4)
        self.assertEqual(read(ReplyReader(), line, b"\r", b"\n"), [(250, (line,))])

    def test_endless_reply(self) -> None:
        """
        So is a reply of too many lines.
        """
        reader = ReplyReader()
        reader.add(b"250-x\r\n" * (MAX_REPLY_LINES + 1))
        self.assertRaises(BadReply, reader.next)

    def test_heavy_reply(self) -> None:
        """
        And one whose lines are few but long.
        """
        reader = ReplyReader()
        reader.add((b"250-" + b"x" * 2000 + b"\r\n") * 20)
        self.assertRaises(BadReply, reader.next)


class StatusTests(SynchronousTestCase):
    """
    L{ServerReply.status} and L{ServerReply.text}
    """

    def status(self, *lines: bytes) -> str:
        return ServerReply(int(lines[-1][:3]), lines).status

    def test_status(self) -> None:
        """
        The enhanced code is taken if its class agrees (RFC 2034 section 4);
        from the last line, as in Postfix.
        """
        self.assertEqual(self.status(b"550 5.1.1 no"), "5.1.1")
        self.assertEqual(self.status(b"550 5.1.1"), "5.1.1")
        self.assertEqual(self.status(b"550  5.7.25 no"), "5.7.25")
        self.assertEqual(self.status(b"550-5.1.1 a", b"550 5.2.2 b"), "5.2.2")

    def test_default(self) -> None:
        """
        None, or one that makes no sense: the class and zeros.
        """
        for line in (
            b"550 no",
            b"550",
            b"550 ",
            b"550 4.1.1 no",
            b"550 5.1 no",
            b"550 5.1.1x no",
            b"550 5.1.1.1 no",
            b"550 5.1234.1 no",
            b"550 5.\xb2.1 no",
        ):
            self.assertEqual(self.status(line), "5.0.0", line)
        self.assertEqual(self.status(b"250 ok"), "2.0.0")

    def test_one_line(self) -> None:
        """
        For log and bounce, a reply is one line of printable text.
        """
        reply = ServerReply(
            550, (b"550-a\x1b[2Jb\r", b"550 \xff\x00 \xc3\xa9\xe2\x80\xa8")
        )
        self.assertEqual(reply.text, "550-a?[2Jb? 550 ?? \xe9?")
        self.assertEqual(ServerReply(550, (b"550 n\xf6",)).text, "550 n?")
