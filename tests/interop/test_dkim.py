"""
A signature of DKIM (RFC 6376) still verifies after we relayed the message,
whenever nothing of the closed list of C{docs/content.md} applies.
"""

from __future__ import annotations

import base64
import re

import dkim
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tests.conformance.test_malformed import Client
from tests.interop.postfix_instance import Sink
from tests.interop.running import RunningTestCase

_KEY = generate_private_key(65537, 2048)
PRIVATE = _KEY.private_bytes(
    Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
)
PUBLIC = b"v=DKIM1; k=rsa; p=" + base64.b64encode(
    _KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
)

HEADERS = (
    b"Received: from a (b [192.0.2.1])\r\n\tby c; Mon, 1 Jan 2024 00:00:00 +0000\r\n"
    b"From:  A  B <a@signed.test>\r\nTo: b@there.test,\r\n\t c@there.test\r\n"
    b"Subject: =?utf-8?q?caf=C3=A9?=\r\n  folded \t \r\nMESSAGE-ID: <1@signed.test>\r\n"
    b"Date: Mon, 1 Jan 2024 00:00:00 +0000\r\nReply-To: d\r\nX-Long: "
    + b"x" * 990
    + b"\r\n"
)
SIGNED = (
    b"From",
    *(
        b"To",
        b"Subject",
        b"Date",
        b"Message-ID",
        b"Reply-To",
        b"X-Long",
        b"Content-Length",
    ),
)

#: To which nothing of the list applies.
MESSAGES = {
    "plain": HEADERS + b"\r\nbody\r\n",
    "no body": HEADERS + b"\r\n",
    "dots": HEADERS + b"\r\n.\r\n..\r\n.x\r\nFrom here\r\n\r\n\r\n",
    "white space": HEADERS + b"\r\n a  b \t\r\n\t\r\n \r\n\r\n",
    "8-bit": HEADERS + b"Content-Transfer-Encoding: 8bit\r\n\r\n\xc3\xa9\xff\0\x01\r\n",
    "parts": HEADERS
    + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nX-Odd : in a part\r\n"
    b"no header\r\n--b--\r\n",
    "998 octets": HEADERS + b"\r\n" + b"y" * 998 + b"\r\n",
    "large": HEADERS + b"\r\n" + b"line of a large body\r\n" * 20_000,
}

#: To which something applies, so that the signature is not valid any more.
CHANGED = {
    "a line that is too long": HEADERS + b"\r\n" + b"y" * 999 + b"\r\n",
    "a header that is dropped": HEADERS + b"Content-Length: 5\r\n\r\n",
    "a stray CR": HEADERS + b"\r\na\rb\r\n",
}


def public_key(name: bytes, timeout: int = 5) -> bytes:
    """
    The one answer of DNS.
    """
    assert name == b"key._domainkey.signed.test.", name
    return PUBLIC


class DkimTests(RunningTestCase):
    def setUp(self) -> None:
        self.hop = Sink("8BITMIME")
        self.addCleanup(self.hop.close)
        server = self.relay(self.hop.port, main_cf="local_header_rewrite_clients =\n")
        self.client = Client(server.port)
        self.addCleanup(self.client.close)

    def relayed(self, content: bytes, canonical: bytes, chunked: bool) -> bytes:
        """
        @return: a signed message, as the next hop gets it.
        """
        algorithms = (canonical, canonical)
        signature = dkim.sign(
            content,
            *(b"key", b"signed.test", PRIVATE),
            canonicalize=algorithms,
            include_headers=SIGNED,
        )
        signed = signature + content
        self.assertTrue(dkim.verify(signed, dnsfunc=public_key), "before")
        reply = self.client.send(signed, ["b@there.test"], chunked)
        self.assertTrue(re.match(rb"250 2\.0\.0 ", reply), reply)
        return self.hop.take()

    def test_verifies(self) -> None:
        for name, content in MESSAGES.items():
            for canonical in (b"simple", b"relaxed"):
                for chunked in (False, True):
                    got = self.relayed(content, canonical, chunked)
                    self.assertTrue(
                        dkim.verify(got, dnsfunc=public_key),
                        f"{name}, {canonical.decode()}, BDAT {chunked}",
                    )

    def test_would_notice(self) -> None:
        """
        The list is what breaks signatures.
        """
        for name, content in CHANGED.items():
            got = self.relayed(content, b"simple", False)
            self.assertFalse(dkim.verify(got, dnsfunc=public_key), name)
