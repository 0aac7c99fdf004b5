"""
L{txmta.delivery.blocks}
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from txmta.delivery.blocks import read_block
from txmta.errors import StoreUnavailable
from txmta.interfaces import IContent


@implementer(IContent)
class _Content:
    def __init__(self, data: bytes, size: int, later: bool) -> None:
        self.data = data
        self.size = size
        self.later = later

    def read(self, offset: int, length: int) -> bytes | Deferred[bytes]:
        block = self.data[offset : offset + length]
        return succeed(block) if self.later else block

    def close(self) -> None:
        pass


class ReadBlockTests(SynchronousTestCase):
    def read(self, content: _Content, offset: int) -> Deferred[bytes]:
        return Deferred.fromCoroutine(read_block(content, offset, 4))

    def test_blocks(self) -> None:
        for later in (False, True):
            content = _Content(b"123456", 6, later)
            self.assertEqual(self.successResultOf(self.read(content, 0)), b"1234")
            self.assertEqual(self.successResultOf(self.read(content, 4)), b"56")

    def test_too_short(self) -> None:
        """
        What ends too early is not taken for all of it.
        """
        for later in (False, True):
            content = _Content(b"12345", 6, later)
            self.failureResultOf(self.read(content, 4), StoreUnavailable)
