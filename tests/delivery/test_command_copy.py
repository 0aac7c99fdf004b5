"""
The octets that a command reads.
"""

from __future__ import annotations

from itertools import product

from twisted.trial.unittest import SynchronousTestCase

from txmta.delivery.command_copy import CommandCopy, Style

CONTENTS = (
    b"",
    b"\r\n",
    b"\r\n\r\n",
    b"x",
    b"no end",
    b"a\r\nb\r\n",
    b".\r\n..\r\n.a\r\n",
    b"From x\r\nFrom y\r\n>From z\r\nFro\r\nFrom\r\n From \r\nfrom \r\n",
    b"a\r\r\nb\nc\rFrom \n.d\r\n\r",
    b"From ",
    b"a\r\nFrom",
    b"\r\nFr\r\nFrom .\r\n",
)
STYLES = [
    Style(eol, *flags)
    for eol in (b"\n", b"\r\n", b"", b"END")
    for flags in product((False, True), repeat=3)
]


def by_lines(content: bytes, style: Style) -> bytes:
    """
    What mail_copy does, line by line.
    """
    out = b""
    lines = content.split(b"\r\n")
    if lines[-1] == b"":
        del lines[-1]
    for line in lines:
        if style.quote and line.startswith(b"From "):
            line = b">" + line
        if style.dot and line.startswith(b"."):
            line = b"." + line
        out += line + style.eol
    return out + (style.eol if style.blank else b"")


def copied(blocks: list[bytes], style: Style) -> bytes:
    copy = CommandCopy(style)
    return b"".join(copy.feed(block) for block in blocks) + copy.finish()


class CommandCopyTests(SynchronousTestCase):
    def test_whole(self) -> None:
        for content, style in product(CONTENTS, STYLES):
            self.assertEqual(
                copied([content], style), by_lines(content, style), (content, style)
            )

    def test_cut_anywhere(self) -> None:
        """
        Where blocks are cut makes no difference.
        """
        for content, style in product(CONTENTS, STYLES):
            whole = by_lines(content, style)
            for cut in range(len(content) + 1):
                blocks = [content[:cut], content[cut:]]
                self.assertEqual(copied(blocks, style), whole, (content, style, cut))

    def test_octet_by_octet(self) -> None:
        for content, style in product(CONTENTS, STYLES):
            blocks = [content[i : i + 1] for i in range(len(content))]
            self.assertEqual(copied(blocks, style), by_lines(content, style))

    def test_bounded(self) -> None:
        """
        At most six octets are kept back.
        """
        copy = CommandCopy(Style(eol=b"\r\n"))
        for _ in range(100):
            self.assertGreaterEqual(len(copy.feed(b"\r\nFrom" * 100)), 594)
