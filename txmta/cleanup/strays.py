"""
Turn stray CR and LF into spaces.

A CR that is not followed by LF, or a LF that does not follow CR, looks like a
line end to some programs and not to others; that is how mail is smuggled.

Owns: the state between two blocks.
Knows nothing of: headers, limits.

Sources: RFC 5321 section 2.3.8. Postfix: cleanup_replace_stray_cr_lf,
C{src/cleanup/cleanup_message.c}.
"""

from __future__ import annotations

import re

from txmta.lines import in_order

_STRAY = re.compile(rb"\r(?!\n)|(?<!\r)\n")


class StrayFilter:
    """
    Content in any pieces; the octets given back do not depend on the pieces.
    """

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = False

    def feed(self, block: bytes) -> bytes:
        """
        @return: the block without strays; a CR at its end waits for the next.
        """
        if self._held:
            block = b"\r" + block
            self._held = False
        if in_order(block):
            return block
        if block.endswith(b"\r"):
            self._held = True
            block = block[:-1]
        return _STRAY.sub(b" ", block)

    def close(self) -> bytes:
        """
        @return: what waited for a next block that does not come.
        """
        held, self._held = self._held, False
        return b" " if held else b""
