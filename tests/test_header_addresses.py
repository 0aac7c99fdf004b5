"""
Tests of finding and replacing the addresses in a header.
"""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txmta.header_addresses import edit, find, replace

LIMIT = 10240

#: Any cut of what means something.
_VALUES = st.lists(
    st.sampled_from(
        (
            *(b"a", b"b.c", b"@", b'"x y"', b'"', b"\\", b"(c)", b"(", b")", b"<"),
            *(b">", b",", b";", b":", b" ", b"\r\n ", b"[1]", b"[", b"]", b"!"),
            *(b"%", b"\xff"),
        )
    ),
    max_size=14,
).map(b"".join)


def found(value: bytes, limit: int = LIMIT) -> list[str]:
    return [each.internal(value) for each in find(value, limit)]


def plain(value: bytes, limit: int = LIMIT) -> list[str]:
    return [each.internal(value) for each in find(value, limit) if each.plain]


class FindTests(SynchronousTestCase):
    def test_well_formed(self) -> None:
        for value, expected in (
            (b"", []),
            (b" a@b\r\n", ["a@b"]),
            (b" A B <a@b>, c", ["a@b", "c"]),
            (b'"A, B" <a@b> , "x y"@c', ["a@b", "x y@c"]),
            (b"(d@e) a (x (y@z)) @ b (,)", ["a@b"]),
            (b"list: a, B <b>;, c", ["a", "b", "c"]),
            (b"undisclosed-recipients:;", []),
            (b"<>, <a@[1.2.3.4]>", ["a@[1.2.3.4]"]),
            (b"h!u, u%d@e, a.b|c", ["h!u", "u%d@e", "a.b|c"]),
            (b"a@b,\r\n\tc@d\r\n", ["a@b", "c@d"]),
            (b"\xc3\xa9@b.test, \xff", ["\xe9@b.test", "\udcff"]),
        ):
            self.assertEqual(plain(value), expected, value)
            self.assertEqual(found(value), expected, value)

    def test_strange(self) -> None:
        """
        What Postfix takes for an address, and is no one to be edited: only the
        others are plain.
        """
        for value, expected, others in (
            (b"a b", ["a", "b"], []),
            (b"a b, c", ["a", "b", "c"], ["c"]),
            (b"A <a@b> c", ["a@b", "c"], ["a@b"]),
            (b"a > b", ["a", "b"], []),
            (b"a < b", ["a<b"], []),
            (b"g: a", ["g:a"], []),
            (b"<@r:a@b>", ["@r:a@b"], []),
            (b"a@, @b, a@b.", ["a@", "@b", "a@b."], ["a@b."]),
            (b"a@b.., ., a.", ["a@b..", ".", "a."], []),
            (b"[1.2.3.4]", ["[1.2.3.4]"], []),
            (b'"a', ["a"], []),
            (b"a@[b", ["a@[b]"], []),
            (b"a, bc\\", ["a", "bc"], ["a"]),
            (b"a (", ["a"], ["a"]),
        ):
            self.assertEqual(found(value), expected, value)
            self.assertEqual(plain(value), others, value)

    def test_limit(self) -> None:
        """
        After so many tokens nothing is found; what may have been cut is left.
        """
        self.assertEqual(plain(b"a, b, c, d", 5), ["a", "b"])
        self.assertEqual(plain(b"a, b, c", 5), ["a", "b", "c"])
        self.assertEqual(plain(b"a@b.c, d@e.f", 7), ["a@b.c"])
        self.assertEqual(plain(b"(1) (2) a, b", 3), [])

    def test_linear(self) -> None:
        """
        No value takes long.
        """
        begin = time.process_time()
        for piece in (b"<", b">", b"a,", b"(", b'"', b"\\", b"[", b"a ", b";:", b"a\\"):
            find(piece * (100_000 // len(piece)), 10**9)
        self.assertLess(time.process_time() - begin, 30)

    @given(
        st.lists(
            st.sampled_from(
                (
                    *(b"a", b"b.c", b"@", b'"x y"', b"<", b">", b" ", b",", b"."),
                    *(b"a@b.test", b"<a@b.test>", b"\r\n ", b"!", b"\xc3\xa9", b'"'),
                )
            ),
            max_size=6,
        ).map(b"".join)
    )
    @how(deadline=None)
    def test_short_cut(self, value: bytes) -> None:
        """
        Simple headers give the same as the same header in a list.
        """
        alone = [each for each in find(value, LIMIT) if each.plain]
        before = b"x, "
        listed = find(before + value, LIMIT)[1:]
        moved = [
            (each.start - len(before), each.end - len(before), each.whole)
            for each in listed
            if each.plain
        ]
        self.assertEqual([(a.start, a.end, a.whole) for a in alone], moved)
        for each in alone:
            text = value[each.start : each.end]
            if b'"' not in text:
                self.assertEqual("@" in each.kinds, b"@" in text)


class EditTests(SynchronousTestCase):
    def test_in_place(self) -> None:
        """
        All but the octets of the changed addresses stays.
        """
        self.assertEqual(
            edit(
                b' "A, B" (x@y) <a@b.test>,\r\n\tc@d.test (C  D);\r\n',
                LIMIT,
                lambda address: "new name@n.test" if address == "a@b.test" else address,
            ),
            b' "A, B" (x@y) <"new name"@n.test>,\r\n\tc@d.test (C  D);\r\n',
        )

    def test_comments_inside(self) -> None:
        """
        They follow the new address.
        """
        self.assertEqual(
            edit(b" a (one) @ b (two) . c (three), d", LIMIT, lambda _: "x@y"),
            b" x@y (one) (two) (three), x@y",
        )

    def test_empty(self) -> None:
        self.assertEqual(edit(b"A <a@b>", LIMIT, lambda _: ""), b'A <"">')

    def test_same_object(self) -> None:
        value = b" A <a@b.test>\r\n"
        self.assertIs(edit(value, LIMIT, lambda address: address), value)

    @given(_VALUES)
    @how(deadline=None)
    def test_only_addresses_change(self, value: bytes) -> None:
        """
        Replacing each address by itself, as it stands, changes nothing but
        quotes and comments in it; what stands around is there octet for octet.
        """
        spots = find(value, LIMIT)
        self.assertEqual(sorted(spots), spots)
        last = 0
        around: list[bytes] = []
        for spot in spots:
            self.assertLessEqual(last, spot.start)
            self.assertLess(spot.start, spot.end)
            around.append(value[last : spot.start])
            last = spot.end
        around.append(value[last:])
        marked = replace(
            value, [(spot._replace(whole=True), "MARK@MARK") for spot in spots]
        )
        self.assertEqual(marked.split(b"MARK@MARK"), around)
