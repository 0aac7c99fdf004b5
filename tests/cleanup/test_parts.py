"""
The small parts of cleanup: stray line ends, addresses, duplicates.
"""

from __future__ import annotations

import time

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.cleanup.doubles import make_envelope
from txmta.cleanup.addresses import AddressCompletion
from txmta.cleanup.duplicates import without_duplicates
from txmta.cleanup.strays import StrayFilter
from txmta.interfaces import IAddressResolver
from txmta.model import Notify, Recipient, Route

_CONTENT = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b".", b"\0"]), max_size=12
).map(b"".join)


class StrayTests(SynchronousTestCase):
    """
    cleanup_replace_stray_cr_lf
    """

    def run_filter(self, *blocks: bytes) -> bytes:
        strays = StrayFilter()
        return b"".join([strays.feed(block) for block in blocks]) + strays.close()

    def test_spaces(self) -> None:
        for content, expected in (
            (b"a\rb\r\n", b"a b\r\n"),
            (b"a\nb\r\n", b"a b\r\n"),
            (b"a\n\r\n", b"a \r\n"),
            (b"a\r\r\n", b"a \r\n"),
            (b"\n\r", b"  "),
            (b"\r\n.\n", b"\r\n. "),
            (b"\r.\r\n", b" .\r\n"),
        ):
            self.assertEqual(self.run_filter(content), expected)

    def test_untouched(self) -> None:
        """
        A block in order is given back as it is, not as a copy.
        """
        block = b"a\r\n\0b\r\n" * 1000
        self.assertIs(StrayFilter().feed(block), block)

    @given(_CONTENT)
    @settings(deadline=None)
    def test_nothing_stray_is_left(self, content: bytes) -> None:
        """
        However it is cut: no stray is left, no octet is added or lost, and
        nothing but CR and LF changes.
        """
        whole = self.run_filter(content)
        self.assertEqual(len(whole), len(content))
        self.assertEqual(whole.count(b"\r"), whole.count(b"\r\n"))
        self.assertEqual(whole.count(b"\n"), whole.count(b"\r\n"))
        self.assertEqual(whole.count(b"\r\n"), content.count(b"\r\n"))
        for cut in range(len(content) + 1):
            self.assertEqual(self.run_filter(content[:cut], content[cut:]), whole)
        octets = [content[i : i + 1] for i in range(len(content))]
        self.assertEqual(self.run_filter(*octets), whole)


@implementer(IAddressResolver)
class Rewriter:
    """
    Postfix's standard form, as far as the tests go.
    """

    def rewrite(self, address: str, local: bool) -> str:
        assert local
        if "!" in address:
            host, _, user = address.partition("!")
            return f"{user}@{host}"
        return address if "@" in address else f"{address}@mx.test"

    def resolve(self, address: str, sender: str = "") -> Route:
        raise NotImplementedError

    def validate(self, address: str, route: Route, as_sender: bool = False) -> bool:
        raise NotImplementedError


#: Value, and what it becomes; Postfix gives the same addresses, but writes
#: the header anew.
ADDRESSES = (
    (b"foo, bar", b"foo@mx.test, bar@mx.test"),
    (
        b'"Foo B" <foo>, bar (x), <baz>',
        b'"Foo B" <foo@mx.test>, bar@mx.test (x), <baz@mx.test>',
    ),
    (b'"a b"', b'"a b"@mx.test'),
    (b'"a b" <"c d">', b'"a b" <"c d"@mx.test>'),
    (b'"a\\" b" <c>', b'"a\\" b" <c@mx.test>'),
    (b"group: a, b;", b"group: a@mx.test, b@mx.test;"),
    (b"undisclosed-recipients:;", b"undisclosed-recipients:;"),
    (b"(x) a (y (z) \\) w)", b"(x) a@mx.test (y (z) \\) w)"),
    (b"a.b, c . d", b"a.b@mx.test, c . d@mx.test"),
    (b"a@b, c", b"a@b, c@mx.test"),
    (b"=?utf-8?q?x?= <a>", b"=?utf-8?q?x?= <a@mx.test>"),
    (b"\xc3\xa9 <\xc3\xa9>", b"\xc3\xa9 <\xc3\xa9@mx.test>"),
    (b"a,\r\n\td <e>", b"a@mx.test,\r\n\td <e@mx.test>"),
    (b"a;b", b"a@mx.test;b@mx.test"),
    (b",a,,b,", b",a@mx.test,,b@mx.test,"),
    (b"a@b.test (c, d) , e", b"a@b.test (c, d) , e@mx.test"),
)

#: What stays: complete, or no address at all.
UNTOUCHED = (
    *(b"a@b.test  ,   c@d.test", b"Foo <a@b.test>", b"a@[1.2.3.4]", b"a%b@c.test"),
    *(b"", b"<>", b"foo@", b"@foo", b"foo bar", b"a(x)b", b"a <b", b'"a', b"(a"),
    *(b"a\\", b"[1.2.3.4]", b"<@x.test:a@b.test>", b"a@b.test. ", b"<a b>", b"> a"),
    *(b"A <a@b.test> c", b"[a", b"a@b@c", b":", b";", b",", b"."),
)


class AddressTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.plain = AddressCompletion("mx.test", 10240)
        self.standard = AddressCompletion("mx.test", 10240, Rewriter())

    def both(self, value: bytes, expected: bytes) -> None:
        for completion in (self.plain, self.standard):
            got = completion.complete(b" " + value + b"\r\n")
            self.assertEqual(got, b" " + expected + b"\r\n")

    def test_completed(self) -> None:
        for value, expected in ADDRESSES:
            self.both(value, expected)

    def test_untouched(self) -> None:
        for value in UNTOUCHED:
            self.both(value, value)

    def test_standard_form(self) -> None:
        """
        With a resolver, what is not in standard form is replaced.
        """
        for value, expected in (
            (b"A <host!user>, c", b"A <user@host>, c@mx.test"),
            (b"A <a b!c>, d!e", b"A <a b!c>, e@d"),
        ):
            self.assertEqual(self.standard.complete(value), expected)

    def test_no_new_line_ends(self) -> None:
        """
        A folded address is not taken apart.
        """
        value = b' "a\r\n b"\r\n'
        self.assertEqual(self.standard.complete(value), b' "a\r\n b"@mx.test\r\n')

    def test_limit(self) -> None:
        """
        header_address_token_limit: what is beyond stays.
        """
        completion = AddressCompletion("mx.test", 4)
        self.assertEqual(
            completion.complete(b"a, b, c, d, e"), b"a@mx.test, b@mx.test, c, d, e"
        )
        self.assertEqual(
            completion.complete(b"a, b, <c>"), b"a@mx.test, b@mx.test, <c>"
        )

    def test_linear(self) -> None:
        """
        Nothing in a header of the greatest size takes more than linear time.
        """
        pieces = (b"a", b"a,", b'"', b"(", b"<", b"a@b.c,", b"a ", b"\\", b"[", b'"a"<')
        for piece in pieces:
            costs = []
            for size in (25_000, 100_000):
                value = piece * (size // len(piece))
                costs.append(min(self._cost(value) for _ in range(3)))
            # Four times the size; a square law would give 16. Small times
            # are noise.
            self.assertLess(costs[1], max(9 * costs[0], 0.2), piece)

    def _cost(self, value: bytes) -> float:
        """
        @return: seconds of CPU of this thread.
        """
        start = time.thread_time()
        self.plain.complete(value)
        return time.thread_time() - start

    @given(st.binary(max_size=60) | st.text('a@.,:;<>()"\\[] \r\n', max_size=40))
    @settings(max_examples=500, deadline=None)
    def test_total(self, value: bytes | str) -> None:
        """
        Octets are added, never taken away, and no line ends are among them.
        """
        octets = value if isinstance(value, bytes) else value.encode()
        got = self.plain.complete(octets)
        self.assertEqual(
            got.replace(b"@mx.test", b""), octets.replace(b"@mx.test", b"")
        )
        self.assertEqual(got.count(b"\r\n"), octets.count(b"\r\n"))


class DuplicateTests(SynchronousTestCase):
    def kept(self, *recipients: Recipient, limit: int = 1000) -> list[str] | None:
        envelope = without_duplicates(make_envelope(recipients=recipients), limit)
        if envelope is None:
            return None
        numbers = [recipient.n for recipient in envelope.recipients]
        self.assertEqual(numbers, list(range(len(numbers))))
        return [recipient.address for recipient in envelope.recipients]

    def test_dropped(self) -> None:
        """
        Case of letters does not count, as in Postfix.
        """
        a, b = Recipient(0, "a@x", "a@x"), Recipient(1, "b@x", "b@x")
        c, d = Recipient(2, "A@X", "A@x"), Recipient(3, "d@x", "d@x")
        self.assertEqual(self.kept(a, b, c, d), ["a@x", "b@x", "d@x"])

    def test_nothing_to_drop(self) -> None:
        a, b = Recipient(0, "a@x", "a@x"), Recipient(1, "b@x", "b@x")
        self.assertIsNone(self.kept(a))
        self.assertIsNone(self.kept(a, b))

    def test_different_wishes(self) -> None:
        """
        Who wants other notices, or has another original address, stays.
        """
        a = Recipient(0, "a@x", "a@x")
        others = (
            Recipient(1, "a@x", "b@x"),
            Recipient(2, "a@x", "a@x", "rfc822;z@x"),
            Recipient(3, "a@x", "a@x", notify=Notify.NEVER),
        )
        self.assertIsNone(self.kept(a, *others))

    def test_limit(self) -> None:
        """
        duplicate_filter_limit: only so many are remembered; 0 is no limit.
        """
        some = [Recipient(n, f"{n % 3}@x", f"{n % 3}@x") for n in range(6)]
        self.assertEqual(self.kept(*some, limit=2), ["0@x", "1@x", "2@x", "2@x"])
        self.assertEqual(self.kept(*some, limit=0), ["0@x", "1@x", "2@x"])
