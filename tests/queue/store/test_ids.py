"""
Queue ids: the long form of Postfix, for people and their tools.
"""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from txmta.queue.store.ids import ALPHABET, IdMaker, decode, encode

#: Of Postfix's long ids, from the description of enable_long_queue_ids.
LONG = re.compile(
    r"[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{10}z[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-y]+"
)


class IdTests(SynchronousTestCase):
    def test_there_and_back(self) -> None:
        for seconds in (0, 1, 51, 52, 1_700_000_000, 4_102_444_800, (1 << 33) - 1):
            for microseconds in (0, 1, 2703, 2704, 999_999):
                for slot in (0, 1, 50, 51, 255):
                    number = (seconds * 1_000_000 + microseconds) << 8 | slot
                    text = encode(number)
                    self.assertEqual(decode(text), number)
                    self.assertRegex(text, LONG)
                    self.assertEqual(len(text), 13)

    def test_order(self) -> None:
        """
        Texts sort as numbers do, so that listings can go on by either.
        """
        numbers = [n * 123_456_789_012_345 for n in range(3000)]
        texts = [encode(n) for n in numbers]
        self.assertEqual(texts, sorted(texts))
        self.assertEqual(list(ALPHABET), sorted(ALPHABET))

    def test_nonsense(self) -> None:
        """
        Other text is no id of ours: short ids, wrong digits, bounds.
        """
        good = encode(1_700_000_000_000_000 << 8)
        for text in (
            "",
            "NOQUEUE",
            "3C4C0F2D1A",
            good[:-1],
            good + "0",
            good.replace("z", "y"),
            "a" + good[1:],
            good[:-1] + "z",
            good[:-2] + "yy",
            "000000zzzz" + "z00",
            "zzzzzz0000" + "z00",
            "../../etc/pas",
        ):
            self.assertIsNone(decode(text), text)

    def test_unique(self) -> None:
        """
        Ids grow while the clock stands still or goes back.
        """
        times = [1_700_000_000.0] * 500 + [1_600_000_000.0] * 500
        maker = IdMaker(iter(times).__next__, 7)
        made = [maker.make() for _ in times]
        self.assertEqual(made, sorted(set(made)))
        self.assertEqual({(decode(text) or 0) & 255 for text in made}, {7})

    def test_slots_differ(self) -> None:
        """
        Processes that make an id in the same microsecond make different ones.
        """
        made = {IdMaker(lambda: 1.7e9, slot).make() for slot in range(256)}
        self.assertEqual(len(made), 256)

    def test_after_what_is_there(self) -> None:
        """
        Nothing is made that may be in the queue already.
        """
        maker = IdMaker(lambda: 1000.0, 0)
        there = encode(2_000_000_000 << 8 | 3)
        maker.after(decode(there) or 0)
        self.assertGreater(maker.make(), there)
