"""
The grammar of command lines.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txmta.smtp.commands import (
    REFUSALS,
    VERBS,
    State,
    chunk_arguments,
    path_arguments,
    words,
)
from txmta.smtp.counts import ORDER


class TableTests(SynchronousTestCase):
    def test_every_state(self) -> None:
        """
        Each state says what is out of order in it.
        """
        self.assertEqual(set(REFUSALS), set(State))

    def test_every_verb_is_told(self) -> None:
        """
        The line of a disconnect has a place for each.
        """
        verbs = {verb.key for verb in VERBS.values()}
        self.assertEqual(set(ORDER), {*verbs, "unknown"})

    def test_refusals_are_of_known_verbs(self) -> None:
        for refusals in REFUSALS.values():
            self.assertLessEqual(set(refusals), set(VERBS))

    def test_always_in_order(self) -> None:
        """
        RFC 5321 section 4.1.4: these may come at any time.
        """
        for refusals in REFUSALS.values():
            for verb in (b"HELO", b"EHLO", b"RSET", b"NOOP", b"VRFY", b"QUIT"):
                self.assertNotIn(verb, refusals)

    def test_last_of_a_group(self) -> None:
        """
        RFC 2920 section 3.1, as far as Postfix enforces it.
        """
        last = {name for name, verb in VERBS.items() if verb.last}
        self.assertEqual(last, {b"HELO", b"EHLO", b"DATA", b"NOOP", b"VRFY"})


class WordTests(SynchronousTestCase):
    def test_words(self) -> None:
        for text, expected in (
            ("", []),
            (" a\tb ", ["a", "b"]),
            ("<a b> c", ["<a b>", "c"]),
            ('<"a>b"@c> d', ['<"a>b"@c>', "d"]),
            ('"a b"@c d', ['"a b"@c', "d"]),
            ('"a\\" b"@c d', ['"a\\" b"@c', "d"]),
            ("<a b", ["<a b"]),
            ('"a b', ['"a b']),
            ("[a b]c d", ["[a b]c", "d"]),
            ("a\\ b c", ["a\\ b", "c"]),
            ("<a>x y", ["<a>x", "y"]),
            ("a\\", ["a\\"]),
            ('<"a\\', ['<"a\\']),
        ):
            self.assertEqual(words(text), expected, text)

    @given(st.text(alphabet='ab <>"\\[]\t', max_size=30))
    def test_total(self, text: str) -> None:
        """
        Nothing but white space between words is lost.
        """
        rest = text
        for word in words(text):
            at = rest.index(word)
            self.assertEqual(rest[:at].strip(), "")
            rest = rest[at + len(word) :]
        self.assertEqual(rest.strip(), "")

    def test_linear(self) -> None:
        """
        A hundred times the longest line comes to an end; with a square law it
        would not while anybody waits.
        """
        for piece in ('"', "<", '<"', "\\", "[", '"\\', '<"\\', "<\\", "[<", '<a"b'):
            text = piece * (200_000 // len(piece))
            self.assertEqual("".join(words(text)), text, piece)
            path_arguments("TO:", "TO:" + text)

    def test_path_arguments(self) -> None:
        for text, expected in (
            ("FROM:<a@b>", ("<a@b>", [])),
            ("from: <a@b> SIZE=3", ("<a@b>", ["SIZE=3"])),
            ("FROM:<a@b> SIZE=3 BODY=7BIT", ("<a@b>", ["SIZE=3", "BODY=7BIT"])),
            ("FROM:<a@b>SIZE=3", ("<a@b>SIZE=3", [])),
            ("FROM:<>", ("<>", [])),
            ("FROM:", None),
            ("FROM:  ", None),
            ("FROM", None),
            ("TO:<a@b>", None),
        ):
            self.assertEqual(path_arguments("FROM:", text), expected, text)

    def test_chunk_arguments(self) -> None:
        for text, expected in (
            ("0", (0, False)),
            ("5 LAST", (5, True)),
            ("05  last ", (5, True)),
            ("9223372036854775807", (2**63 - 1, False)),
            ("9223372036854775808", None),
            ("18446744073709551616", None),
            ("99999999999999999999999", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("0x5", None),
            ("\u0665", None),
            ("", None),
            ("5 FOO", None),
            ("5 LAST x", None),
            ("LAST", None),
        ):
            self.assertEqual(chunk_arguments(text), expected, text)
