"""
Debian's Postfix as oracle for what proxies say first (smtpd_upstream_proxy_protocol);
and haproxy in front of the server.
"""

from __future__ import annotations

import re
import socket
import struct
import subprocess
from collections.abc import Mapping

from tests.interop.running import RunningTestCase
from tests.interop.tools import PATIENCE, answers, free_port, wait_for
from tests.support import PATH, require, require_root

_MAIN_CF = """
compatibility_level = 3.6
myhostname = mx.here.test
smtpd_banner = $myhostname ESMTP
mydestination =
mynetworks = 10.0.0.0/8
inet_protocols = all
smtpd_peername_lookup = no
smtpd_upstream_proxy_protocol = haproxy
smtpd_upstream_proxy_timeout = 1s
smtpd_client_event_limit_exceptions = static:all
smtpd_relay_restrictions = permit_mynetworks, reject
"""

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_ENDS = bytes([10, 1, 1, 1, 10, 2, 2, 2]) + struct.pack("!HH", 1234, 25)


def binary(body: bytes, family: int = 0x11, command: int = 0x21) -> bytes:
    return _SIGNATURE + bytes([command, family]) + struct.pack("!H", len(body)) + body


def _six(address: str) -> bytes:
    packed = socket.inet_pton(socket.AF_INET6, address)
    return binary(packed * 2 + struct.pack("!HH", 1, 25), 0x21)


HEADERS: Mapping[str, bytes] = {
    "IPv4": b"PROXY TCP4 10.1.1.1 10.2.2.2 1234 25\r\n",
    "IPv6": b"PROXY TCP6 2001:DB8::1 ::1 1234 25\r\n",
    "LF only": b"PROXY TCP4 10.1.1.1 10.2.2.2 1234 25\n",
    "two spaces": b"PROXY  TCP4 10.1.1.1 10.2.2.2 12 25\r\n",
    "more words": b"PROXY TCP4 10.1.1.1 10.2.2.2 1234 25 foo\r\n",
    "port 0": b"PROXY TCP4 10.1.1.1 10.2.2.2 0 25\r\n",
    "unknown": b"PROXY UNKNOWN 1 2 3\r\n",
    "SMTP": b"EHLO foo\r\n",
    "no address": b"PROXY TCP4 foo 10.2.2.2 1234 25\r\n",
    "huge port": b"PROXY TCP4 10.1.1.1 10.2.2.2 99999 25\r\n",
    "UDP": b"PROXY UDP4 10.1.1.1 10.2.2.2 1 25\r\n",
    "long": b"PROXY TCP4 " + b"1" * 200 + b"\r\n",
    "other family": b"PROXY TCP4 ::1 ::1 1 25\r\n",
    "short": b"PROXY TCP4 10.1.1.1\r\n",
    "lower case": b"proxy tcp4 10.1.1.1 10.2.2.2 12 25\r\n",
    "v2": binary(_ENDS),
    "v2 IPv6": _six("2001:db8::2"),
    "v2 mapped": _six("::ffff:10.1.1.9"),
    "v2 local": binary(b"", 0, 0x20),
    "v2 unspecified": binary(b"", 0),
    "v2 unix": binary(b"x" * 216, 0x31),
    "v2 more": binary(_ENDS + b"\4\0\3abc"),
    "v2 short": binary(b"abc"),
    "v2 version": binary(_ENDS, command=0x31),
    "v2 command": binary(_ENDS, command=0x25),
    "v2 UDP": binary(_ENDS, 0x12),
    "silence": b"",
}


def tried(port: int, header: bytes) -> str:
    """
    @return: the greeting, and if it is one, whether the client may relay.
    """
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE) as s,
        s.makefile("rb") as replies,
    ):
        s.sendall(header)
        heard = replies.readline()
        if heard.startswith(b"220"):
            for command in (b"HELO x", b"MAIL FROM:<>", b"RCPT TO:<a@b.test>", b"QUIT"):
                s.sendall(command + b"\r\n")
                heard += replies.readline()
        return heard.decode()


def _lines(log: str) -> list[str]:
    """
    @return: of smtpd: connections, and trouble with headers.
    """
    found = re.findall(r"smtpd\[\d+\]: (.*)", log)
    lines = [x for x in found if "haproxy read" in x or x.startswith("connect from")]
    start = next(n for n, line in enumerate(lines) if "10.1.1.1" in line)
    return lines[start:]


class ProxyOracle(RunningTestCase):
    def test_same(self) -> None:
        require("postfix")
        require_root("Postfix")
        theirs, ours = self.postfix(_MAIN_CF), self.running(_MAIN_CF)
        for name, header in HEADERS.items():
            expected = tried(theirs.port, header)
            self.assertEqual(tried(ours.port, header), expected, name)
        for server in (ours, theirs):
            wait_for(
                lambda: any("timeout" in x for x in _lines(server.log())[:-1]),  # noqa: B023
                server.log,
            )
        self.assertEqual(_lines(ours.log()), _lines(theirs.log()))


class HaproxyTests(RunningTestCase):
    def test_real(self) -> None:
        """
        The client is who haproxy says; it gets mail through.
        """
        require("haproxy")
        server = self.running(
            _MAIN_CF.replace("10.0.0.0/8", "127.0.0.9")
            + "default_transport = discard:\n"
        )
        ports = {"send-proxy": free_port(), "send-proxy-v2": free_port()}
        config = "defaults\n mode tcp\n timeout connect 5s\n timeout client 20s\n"
        config += " timeout server 20s\n"
        for version, port in ports.items():
            config += f"listen {version}\n bind 127.0.0.1:{port}\n"
            config += f" server s 127.0.0.1:{server.port} {version}\n"
        path = server.write("haproxy.cfg", config)
        process = subprocess.Popen(
            ["haproxy", "-q", "-db", "-f", str(path)], env={"PATH": PATH}
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        for port in ports.values():
            wait_for(lambda port=port: answers(port), "haproxy does not listen")  # type: ignore[misc]
            with (
                socket.create_connection(
                    ("127.0.0.1", port), PATIENCE, ("127.0.0.9", 0)
                ) as s,
                s.makefile("rb") as replies,
            ):
                self.assertEqual(replies.readline()[:3], b"220")
                for command in ("HELO x", "MAIL FROM:<>", "RCPT TO:<a@b.test>", "QUIT"):
                    s.sendall(command.encode() + b"\r\n")
                    self.assertEqual(replies.readline()[:1], b"2", command)
        server.wait_for_log(r"disconnect from unknown\[127\.0\.0\.9\]", 2)
