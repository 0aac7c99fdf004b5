"""
Read the content of a message block by block.

Owns: that content which ends too early is never taken for all of it.
Knows nothing of: where the blocks go.

Errors: L{StoreUnavailable<txmta.errors.StoreUnavailable>}.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

from txmta.errors import StoreUnavailable
from txmta.interfaces import IContent


async def read_block(content: IContent, offset: int, length: int) -> bytes:
    """
    @return: C{length} octets, fewer only at the end of the content.
    """
    block = content.read(offset, length)
    if isinstance(block, Deferred):
        block = await block
    if len(block) < min(length, content.size - offset):
        raise StoreUnavailable("content is shorter than it should be")
    return block
