"""
L{txmta.lines}.
"""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txmta.lines import in_order

_STRAY = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_pieces = st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b"a", b".", b"\0"]))


class InOrderTests(SynchronousTestCase):
    @given(_pieces.map(b"".join))
    def test_as_defined(self, block: bytes) -> None:
        self.assertEqual(in_order(block), not _STRAY.search(block))
        self.assertEqual(in_order(block), not _STRAY.search(block))

    def test_a_good_block_does_not_vouch_for_the_next(self) -> None:
        self.assertTrue(in_order(b"good\r\n"))
        self.assertFalse(in_order(b"bad\r"))
        self.assertTrue(in_order(b"good\r\n"))
        self.assertFalse(in_order(b"bad\n"))
