"""
Odd messages of other projects: no crash, and the octets unchanged but for the
closed list of what cleanup changes.

The data are not part of the project; see C{tests.support.cases}.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.cleanup.doubles import Kitchen
from tests.support import cases

_LINE_END = re.compile(rb"\r\n|\r|\n")
_HEADER = re.compile(rb"([!-9;-~]+)([ \t]*):")
_DROPPED = (b"bcc", b"content-length", b"resent-bcc", b"return-path")


def messages() -> Iterator[Path]:
    for path in sorted(cases("messages-malformed").rglob("*")):
        if path.is_file() and path.name != "README.md":
            yield path


def expected(content: bytes) -> bytes:
    """
    What a stranger's message becomes, line by line, without regard to cost.

    @param content: its lines end in CRLF.
    """
    out: list[bytes] = []
    lines = content.split(b"\r\n")
    last = lines.pop()  # b"" after a last CRLF
    dropping = started = False
    while lines:
        line = lines[0]
        header = _HEADER.match(line)
        if not started and re.match(rb">?From ", line):
            out.append(b"X-Mailbox-Line: " + line)
        elif started and line[:1] in (b" ", b"\t"):
            if not dropping:
                out.append(line)
        elif header:
            started = True
            dropping = header[1].lower() in _DROPPED
            if not dropping:
                out.append(header[1] + line[header.end() - 1 :])
        else:
            if line:
                out.append(b"")
            break
        lines.pop(0)
    return b"\r\n".join([*out, *lines, last])


class MessageTests(SynchronousTestCase):
    def test_unchanged(self) -> None:
        """
        With good line ends, whole and in pieces of all sizes.
        """
        count = 0
        for path in messages():
            content = _LINE_END.sub(b"\r\n", path.read_bytes())
            if not content.endswith(b"\r\n"):
                content += b"\r\n"
            for size in (len(content), 1000, 7, 1):
                pieces = [content[i : i + size] for i in range(0, len(content), size)]
                if len(pieces) > 50_000:
                    continue
                kitchen = Kitchen(None, header_size_limit="1000000")
                out, reply = kitchen.run(*pieces)
                self.assertEqual(reply.code, 250, path.name)
                trace = re.match(rb"Received: [^\n]*\n\t[^\n]*\n\t[^\n]*\n", out)
                assert trace is not None
                got = out[trace.end() :]
                self.assertEqual(got, expected(content), f"{path} by {size}")
            count += 1
        self.assertGreater(count, 10)

    def test_as_they_are(self) -> None:
        """
        With whatever line ends are in them, from a client of ours.
        """
        for path in messages():
            content = path.read_bytes()
            out, reply = Kitchen().run(content, local_origin=True)
            self.assertEqual(reply.code, 250, path.name)
            self.assertEqual(out.count(b"\r"), out.count(b"\r\n"), path.name)
            self.assertEqual(out.count(b"\n"), out.count(b"\r\n"), path.name)
