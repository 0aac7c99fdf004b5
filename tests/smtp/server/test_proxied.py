"""
A proxy in front of the SMTP server.
"""

from __future__ import annotations

import socket
import struct
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.trial.unittest import SynchronousTestCase

from tests.smtp.server.support import Transport, World, world
from txmta.smtp.haproxy import (
    MAX_LINE,
    MAX_REST,
    BadHeader,
    Endpoints,
    Header,
    broken,
    read,
)
from txmta.smtp.proxied import listener

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_LINE = b"PROXY TCP4 192.0.2.7 192.0.2.8 1234 25\r\n"
_ENDS = Endpoints(("192.0.2.7", 1234), ("192.0.2.8", 25))
_FOUR = socket.inet_aton("192.0.2.7") + socket.inet_aton("192.0.2.8")
_PORTS = struct.pack("!HH", 1234, 25)


def binary(
    body: bytes, family: int = 0x11, command: int = 1, version: int = 2
) -> bytes:
    first = bytes([version << 4 | command, family])
    return _SIGNATURE + first + struct.pack("!H", len(body)) + body


class HeaderTests(SynchronousTestCase):
    def test_good(self) -> None:
        """
        Both versions and both families; in any pieces.
        """
        six = Endpoints(("2001:db8::1", 1), ("2001:db8::2", 2))
        packed = b"".join(
            socket.inet_pton(socket.AF_INET6, ends[0])
            for ends in (six.client, six.server)
        )
        mapped = socket.inet_pton(socket.AF_INET6, "::ffff:192.0.2.7")
        for octets, ends in (
            (_LINE, _ENDS),
            (b"PROXY TCP6 2001:DB8::1 2001:db8::2 1 2\r\n", six),
            (binary(_FOUR + _PORTS), _ENDS),
            (binary(_FOUR + _PORTS + b"\4\0\3abc"), _ENDS),
            (binary(packed + struct.pack("!HH", 1, 2), 0x21), six),
            (
                binary(mapped * 2 + _PORTS, 0x21),
                Endpoints(("192.0.2.7", 1234), ("192.0.2.7", 25)),
            ),
            (binary(b"", 0, 0), None),
            (binary(b"what ever", 0, 0), None),
        ):
            self.assertEqual(read(octets + b"EHLO x"), Header(ends, b"EHLO x"))
            for end in range(len(octets)):
                self.assertIsNone(read(octets[:end]))

    def test_bad(self) -> None:
        for octets, words in (
            (b"EHLO foo\r\n", "short protocol header"),
            (b"proxy tcp4 1.1.1.1 1.1.1.1 1 1\r\n", "unrecognized protocol header"),
            (b"PROXY UNKNOWN\r\n", "bad or missing protocol type"),
            (b"PROXY TCP4 foo 1.1.1.1 1 25\r\n", "bad or missing client address"),
            (b"PROXY TCP4 ::1 ::1 1 25\r\n", "bad or missing client address"),
            (b"PROXY TCP4 1.1.1.1\r\n", "bad or missing server address"),
            (b"PROXY TCP4 1.1.1.1 1.1.1.1 99999 1\r\n", "bad or missing client port"),
            (b"PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n", "bad or missing server port"),
            (b"PROXY TCP6 fe80::1%1 ::1 1 1\r\n", "bad or missing client address"),
            (b"PROXY " + b"x" * MAX_LINE, "missing protocol header terminator"),
            (binary(b"", 0), "unsupported network protocol"),
            (binary(b"x" * 216, 0x31), "unsupported network protocol"),
            (binary(b"abc"), "short address field"),
            (binary(b"", version=3), "unrecognized protocol version"),
            (binary(b"", command=5), "bad command in proxy header"),
            (binary(bytes(MAX_REST + 1)), "short version 2 protocol header"),
        ):
            with self.assertRaises(BadHeader) as caught:
                read(octets)
            self.assertEqual(str(caught.exception), words)

    def test_broken(self) -> None:
        for octets, words in (
            (b"PROXY TCP4 10.1", "missing protocol header terminator"),
            (_SIGNATURE, "short protocol header"),
            (binary(bytes(12))[:-1], "short version 2 protocol header"),
        ):
            self.assertEqual(broken(octets), words)


class FrontTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world: World = world(smtpd_upstream_proxy_protocol="haproxy")
        self.counted = 0
        self.world.factory.counted = self._count
        w = self.world
        self.listener = listener(w.factory, w.clock, w.settings, w.sink)

    def _count(self, more: int) -> None:
        self.counted += more

    def _connect(self, *pieces: bytes) -> tuple[Any, Any]:
        front: Any = self.listener.buildProtocol(IPv4Address("TCP", "198.51.100.1", 5))
        transport: Any = Transport()
        transport.protocol = front
        front.makeConnection(transport)
        for piece in pieces:
            transport.protocol.dataReceived(piece)
        return front, transport

    def test_handed_over(self) -> None:
        _front, transport = self._connect(_LINE[:10], _LINE[10:])
        self.assertTrue(transport.value().startswith(b"220 "))
        session = transport.protocol.session
        self.assertEqual(session.client.label, "unknown[192.0.2.7]")
        self.assertEqual(session.client.port, 1234)
        self.assertEqual(session.server_address, "192.0.2.8")
        self.assertEqual(self.world.sink.lines, ["connect from unknown[192.0.2.7]"])
        self.assertEqual(self.counted, 1)
        self.world.clock.advance(10)
        self.assertFalse(transport.disconnecting)

    def test_commands_after_it(self) -> None:
        """
        What comes with the header is the client's.
        """
        _front, transport = self._connect(_LINE + b"QUIT\r\n")
        self.assertIn(b"221 2.0.0 Bye", transport.value())

    def test_proxy_speaks_for_itself(self) -> None:
        _front, transport = self._connect(binary(b"", 0, 0))
        label = transport.protocol.session.client.label
        self.assertEqual(label, "unknown[198.51.100.1]")

    def test_nonsense(self) -> None:
        _front, transport = self._connect(b"EHLO foo\r\n")
        self.assertEqual(
            transport.value(), b"421 4.3.0 mx.example.org Server local error\r\n"
        )
        self.assertTrue(transport.disconnecting)
        self.assertEqual(
            self.world.sink.lines,
            [
                "warning: haproxy read: short protocol header: EHLO foo\\r\\n",
                "connect from unknown[198.51.100.1]",
            ],
        )

    def test_silence(self) -> None:
        """
        It has smtpd_upstream_proxy_timeout, however slowly it speaks.
        """
        for pieces, words in (
            ((), "timeout error"),
            ((b"PRO", b"XY "), "missing protocol header terminator: PROXY "),
        ):
            _front, transport = self._connect(*pieces)
            self.world.clock.advance(4.9)
            self.assertEqual(transport.value(), b"")
            self.world.clock.advance(0.2)
            self.assertIn(b"421 4.3.0", transport.value())
            line = f"warning: haproxy read: {words}"
            self.assertIn(line, self.world.sink.lines)

    def test_gone(self) -> None:
        front, _transport = self._connect()
        front.connectionLost()
        self.assertEqual(self.world.sink.lines, ["warning: haproxy read: EOF"])
        self.assertEqual(self.counted, 0)
        self.assertEqual(self.world.clock.getDelayedCalls(), [])

    def test_without(self) -> None:
        """
        Nobody who merely says so is believed.
        """
        plain = world()
        made = listener(plain.factory, plain.clock, plain.settings, plain.sink)
        self.assertIs(made, plain.factory)
