"""
8-bit mail and long lines for a server without extensions: what Debian's
Postfix sends, and what we do.
"""

from __future__ import annotations

import random
import re

from twisted.trial.unittest import SynchronousTestCase

from tests.cleanup.doubles import Kitchen
from tests.interop.postfix_instance import Postfix
from tests.support import SLICE, require, require_root
from txmta.mime import MimeRules
from txmta.model import Client
from txmta.smtp.downgrade import Downgrade
from txmta.smtp.stuffing import Stuffer

CLIENT = Client("127.0.0.1", 1, "localhost")

_TRACE = re.compile(rb"Received: [^\n]*\n\t[^\n]*\n\t[^\n]*\n")
_STUFFED = re.compile(rb"^\.", re.MULTILINE)

#: What the messages are made of.
FRAGMENTS = (
    *(b"\r\n", b"\r\n\r\n", b" ", b"\t", b"=", b"--", b"-", b"--b", b"--b--"),
    *(b"--a\r\n", b"\r\n--b\r\n", b"\r\n--b--\r\n", b"text", b"\xc3\xa9", b"\xff"),
    *(b"x" * 70, b"x" * 1000 + b" ", b"x" * 2046 + b" ", b"\r\n.a."),
    *(b"\r\n" + b"q" * 998 + b"\r\n", b"\r\n" + b"q" * 999 + b"\r\n"),
    *(b"X: y\r\n", b"X : y\r\n", b"From x\r\n"),
    b"Content-Type: multipart/mixed; boundary=b\r\n",
    b'Content-Type: multipart/digest; boundary="a"\r\n',
    b"Content-Type: message/rfc822\r\n",
    b"Content-Type: message/global\r\n",
    b"Content-Type: message/delivery-status\r\n",
    b"Content-Type: message/partial\r\n",
    b"Content-Type: text/plain\r\n",
    b"Content-Transfer-Encoding: 8bit\r\n",
    b"content-transfer-encoding: binary\r\n",
    b"Content-Transfer-Encoding: base64\r\n",
)


def message(seed: int) -> bytes:
    """
    @return: always the same one.
    """
    chance = random.Random(seed)
    count = chance.randint(3, 40)
    return b"X: y\r\n" + b"".join(chance.choices(FRAGMENTS, k=count)) + b"\r\n"


def sent(content: bytes) -> bytes:
    """
    @return: what we send for it, without stuffed dots.
    """
    out, _ = Kitchen().run(content, client=CLIENT)
    downgrade = Downgrade(MimeRules(convert=True), Stuffer(998))
    octets = downgrade.feed(out) + downgrade.finish()
    return _STUFFED.sub(b"", octets.removesuffix(b".\r\n"))


def without_trace(content: bytes) -> bytes:
    trace = _TRACE.match(content)
    assert trace is not None
    return content[trace.end() :]


class DowngradeTests(SynchronousTestCase):
    def setUp(self) -> None:
        require("postfix", "postconf")
        require_root("starts a Postfix of its own")
        self.postfix = Postfix({"smtp_line_length_limit": "998"}, ())
        self.addCleanup(self.postfix.close)
        self.postfix.run("start")

    def test_random(self) -> None:
        """
        Structure of all kinds, half of it broken: the same octets.
        """
        for seed in range(50 if SLICE else 600):
            content = message(seed)
            reply = self.postfix.send(content, False, parameters=" BODY=8BITMIME")
            self.assertEqual(reply[:3], "250")
            theirs = without_trace(self.postfix.sink.take())
            self.assertEqual(without_trace(sent(content)), theirs, f"seed {seed}")
