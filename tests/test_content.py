"""
The closed list of what we do to content: each line of C{docs/content.md} has
a test here, and each test a line there.
"""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import txmta
from tests.cleanup.doubles import Kitchen
from tests.cleanup.mapping_doubles import MappingKitchen
from txmta.delivery.copy import Stamp, to_lines
from txmta.delivery.mbox import MboxLines
from txmta.mime import MimeRules
from txmta.smtp.data import ChunkReader, DataReader
from txmta.smtp.downgrade import Downgrade
from txmta.smtp.stuffing import Stuffer

DOCUMENT = Path(txmta.__file__).parents[1] / "docs" / "content.md"

_TRACE = re.compile(rb"Received: [^\n]*\n\t[^\n]*\n\t[^\n]*\n")
_ROW = re.compile(r"^\| ([a-z-]+) \|", re.MULTILINE)


def queued(content: bytes, local: bool = False, **parameters: str) -> bytes:
    """
    @param local: of a client of ours.
    @return: what is in the queue, below our Received: header.
    """
    out, reply = Kitchen(None, **parameters).run(content, local_origin=local)
    assert reply.code == 250, reply
    trace = _TRACE.match(out)
    assert trace is not None, out
    return out[trace.end() :]


def sent(content: bytes, limit: int = 998) -> bytes:
    stuffer = Stuffer(limit)
    return stuffer.feed(content) + stuffer.finish()


def chunk(content: bytes) -> bytes:
    """
    @return: what comes in, for what BDAT carries.
    """
    reader = ChunkReader()
    reader.left = len(content)
    text, _ = reader.feed(content)
    return text + reader.finish()


class ContentTests(SynchronousTestCase):
    """
    C{test_NAME} is for the row of that name.
    """

    def test_list(self) -> None:
        """
        The list is closed: rows and tests are the same.
        """
        rows = _ROW.findall(DOCUMENT.read_text("utf-8"))
        rows = [row for row in rows if row not in ("name", "---")]
        self.assertGreater(len(rows), 10)
        tests = {
            name.removeprefix("test_").replace("_", "-")
            for name in dir(self)
            if name.startswith("test_")
        }
        self.assertEqual(sorted(rows), sorted(tests - {"list", "nothing-else"}))

    def test_nothing_else(self) -> None:
        """
        All octets, empty lines, white space, dots, MIME parts that are broken.
        """
        octets = bytes(range(256)).replace(b"\r", b"").replace(b"\n", b"")
        content = (
            b"a:\r\nX-Y: \xff\0 \t\r\n\t \r\n z\r\n"
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
            b"\r\n.\r\n..\r\nFrom x\r\n--b\r\nX : y\r\nno header\r\n--b--\r\n \t\r\n"
            + octets
            + b"\r\n\r\n\r\n"
        )
        self.assertEqual(queued(content), content)
        stuffed = content.replace(b"\r\n.", b"\r\n..")
        self.assertEqual(sent(content), stuffed + b".\r\n")

    # When mail comes in

    def test_trace(self) -> None:
        out, _ = Kitchen().run(b"A: b\r\n\r\n")
        self.assertTrue(out.startswith(b"Received: from client.test ("))
        self.assertEqual(out.count(b":"), 1 + 2 + 1)

    def test_missing_headers(self) -> None:
        self.assertEqual(queued(b"A: b\r\n\r\n"), b"A: b\r\n\r\n")
        for out in (
            queued(b"A: b\r\n\r\n", local=True),
            queued(b"A: b\r\n\r\n", always_add_missing_headers="yes"),
        ):
            names = re.findall(rb"^([\w-]+):", out, re.MULTILINE)
            self.assertEqual(names, [b"A", b"Message-Id", b"Date", b"From"])

    def test_addresses(self) -> None:
        header = b"To: a,\r\n  B (c) <d>\r\n\r\n"
        self.assertEqual(queued(header), header)
        completed = b"To: a@x.test,\r\n  B (c) <d@x.test>\r\nMessage-Id: "
        out = queued(header, remote_header_rewrite_domain="x.test")
        self.assertTrue(out.startswith(completed))
        self.assertIn(b"<d@mx.here.test>", queued(header, local=True))

    def test_mapped_addresses(self) -> None:
        kitchen = MappingKitchen(None, canonical_maps="inline:{a@x.test=b@y.test}")
        header = b"To: A (a@x.test)\r\n <a@x.test>,c@z.test\r\n"
        out, _ = kitchen.run(header + b"\r\na@x.test\r\n", local_origin=True)
        self.assertIn(header.replace(b"<a@x.test>", b"<b@y.test>"), out)
        self.assertTrue(out.endswith(b"\r\n\r\na@x.test\r\n"))
        self.assertIn(header, kitchen.run(header + b"\r\n")[0])

    def test_dropped_headers(self) -> None:
        headers = b"Bcc: a\r\n b\r\nContent-Length: 1\r\nReturn-Path: x\r\n"
        headers += b"Resent-BCC: c\r\n"
        self.assertEqual(queued(headers + b"A: b\r\n\r\n"), b"A: b\r\n\r\n")
        self.assertEqual(
            queued(headers + b"A: b\r\n\r\n", message_drop_headers="a"),
            headers + b"\r\n",
        )

    def test_long_headers(self) -> None:
        header = b"A: " + b"b" * 102397 + b"\r\n"
        self.assertEqual(queued(header + b"\r\n"), header + b"\r\n")
        self.assertEqual(queued(header[:-2] + b"c\r\n\r\n"), header + b"\r\n")
        self.assertEqual(queued(b"A: b\r\n\r\n", header_size_limit="3"), b"A: \r\n\r\n")

    def test_colon(self) -> None:
        self.assertEqual(queued(b"A \t: b\r\n\r\n"), b"A: b\r\n\r\n")

    def test_empty_line(self) -> None:
        self.assertEqual(queued(b"A: b\r\ntext\r\n"), b"A: b\r\n\r\ntext\r\n")

    def test_from_line(self) -> None:
        self.assertEqual(
            queued(b"From x\r\n>From y\r\nA: b\r\n\r\nFrom z\r\n"),
            b"X-Mailbox-Line: From x\r\nX-Mailbox-Line: >From y\r\nA: b\r\n\r\n"
            b"From z\r\n",
        )

    def test_bare_lf(self) -> None:
        """
        By DATA and by BDAT, the same.
        """
        data = DataReader()
        text, _ = data.feed(b"A: b\n\na\n..b\r\n.\r\n")
        self.assertEqual(text, b"A: b\r\n\r\na\r\n.b\r\n")
        self.assertEqual(chunk(b"a\nb\r\n"), b"a\r\nb\r\n")

    def test_stray_cr(self) -> None:
        content = b"A: b\rc\r\n\r\n\rd\r\r\n"
        self.assertEqual(queued(content), b"A: b c\r\n\r\n d \r\n")
        self.assertEqual(queued(content, cleanup_replace_stray_cr_lf="no"), content)

    def test_characters(self) -> None:
        content = b"A: b\0\r\n\r\nc\0\r\n"
        self.assertEqual(queued(content), content)
        self.assertEqual(
            queued(content, message_strip_characters="\\0"), b"A: b\r\n\r\nc\r\n"
        )
        _, reply = Kitchen(None, message_reject_characters="\\0").run(content)
        self.assertEqual(reply.code, 550)

    # When mail leaves to another server

    def test_long_lines(self) -> None:
        fits, long = b"x" * 998 + b"\r\n", b"x" * 1996 + b"\r\n"
        self.assertEqual(sent(fits), fits + b".\r\n")
        self.assertEqual(
            sent(long),
            b"x" * 998 + b"\r\n " + b"x" * 997 + b"\r\n x\r\n.\r\n",
        )
        self.assertEqual(sent(long, 0), long + b".\r\n")

    def test_conversion(self) -> None:
        content = b"Content-Transfer-Encoding: 8bit\r\n\r\n\xc3\xa9\r\n"
        downgrade = Downgrade(MimeRules(convert=True), Stuffer(998))
        self.assertEqual(
            downgrade.feed(content) + downgrade.finish(),
            b"Content-Transfer-Encoding: quoted-printable\r\n\r\n=C3=A9\r\n.\r\n",
        )

    def test_last_line(self) -> None:
        self.assertEqual(chunk(b"a"), b"a\r\n")
        self.assertEqual(sent(b"A: b\r\n\r\nx"), b"A: b\r\n\r\nx\r\n.\r\n")

    # When mail is delivered here

    def test_delivery_headers(self) -> None:
        self.assertEqual(
            Stamp("s@x.test", "o@y.test", "d@y.test").encode(),
            b"Return-Path: <s@x.test>\nX-Original-To: o@y.test\n"
            b"Delivered-To: d@y.test\n",
        )

    def test_line_ends(self) -> None:
        self.assertEqual(to_lines(b"a\r\n\r\nb\r\0\r\n.\r\nc"), b"a\n\nb\r\0\n.\nc\n")

    def test_mbox_quoting(self) -> None:
        lines = MboxLines()
        self.assertEqual(
            lines.feed(b"From x\r\n\r\nFrom y\r\n>From z\r\n From") + lines.finish(),
            b">From x\n\n>From y\n>From z\n From\n\n",
        )
