"""
Tests of L{txmta.maps.resp}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txmta.maps.resp import MAX_REPLY, Reply, RespReader, command

ANSWERS = (
    (b"+OK\r\n", Reply((b"OK",))),
    (b":-12\r\n", Reply((b"-12",), is_number=True)),
    (b"$5\r\na\r\nb\n\r\n", Reply((b"a\r\nb\n",))),
    (b"$0\r\n\r\n", Reply((b"",))),
    (b"$-1\r\n", Reply((None,))),
    (b"*-1\r\n", Reply(())),
    (b"*0\r\n", Reply(())),
    (b"*3\r\n$1\r\na\r\n$-1\r\n:5\r\n", Reply((b"a", None, b"5"))),
    (b"-ERR no\r\n", Reply((), "ERR no")),
)


class ReaderTests(SynchronousTestCase):
    def test_whole(self) -> None:
        """
        All kinds of answers.
        """
        for data, wanted in ANSWERS:
            self.assertEqual(RespReader(5).feed(data), wanted)

    def test_cut(self) -> None:
        """
        In any two pieces, and octet by octet.
        """
        for data, wanted in ANSWERS:
            for n in range(1, len(data)):
                reader = RespReader(5)
                self.assertIsNone(reader.feed(data[:n]), data[:n])
                self.assertEqual(reader.feed(data[n:]), wanted)
            reader = RespReader(5)
            for n in range(len(data) - 1):
                self.assertIsNone(reader.feed(data[n : n + 1]))
            self.assertEqual(reader.feed(data[-1:]), wanted)

    def test_bad(self) -> None:
        """
        What is no answer, too long, too many, or more than one.
        """
        for data in (
            *(b"hello\r\n", b"$x\r\n", b"$--1\r\n", b":\r\n", b"$1\r\nabc"),
            *(b"*6\r\n", b"*1\r\n*1\r\n$1\r\na\r\n", b"+OK\r\n+OK\r\n"),
            *(b"$%d\r\n" % (MAX_REPLY + 1), b"x" * 5000, b"*1\r\n-ERR\r\n"),
            *(b"$" + b"9" * 30 + b"\r\n", b"+" + b"x" * (MAX_REPLY + 1)),
        ):
            self.assertRaises(ValueError, RespReader(5).feed, data)

    def test_command(self) -> None:
        """
        A word is a word, whatever is in it.
        """
        self.assertEqual(
            command([b"GET", b"a b\r\nDEL x"]),
            b"*2\r\n$3\r\nGET\r\n$10\r\na b\r\nDEL x\r\n",
        )
