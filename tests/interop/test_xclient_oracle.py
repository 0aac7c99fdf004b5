"""
Debian's Postfix as oracle for XCLIENT and XFORWARD: the same sessions are held
with both, replies and log lines are the same; and both tell the next hop the same.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Sequence

from tests.interop.listening import serve_each
from tests.interop.running import RunningTestCase
from tests.interop.tools import PATIENCE, wait_for
from tests.support import require, require_root

_MAIN_CF = """
compatibility_level = 3.6
myhostname = mx.here.test
smtpd_banner = $myhostname ESMTP
mydestination =
mynetworks = 127.0.0.0/8 [2001:db8::]/32 203.0.113.0/24
inet_protocols = all
smtpd_peername_lookup = no
smtpd_authorized_xclient_hosts = 127.0.0.0/8 203.0.113.9
smtpd_authorized_xforward_hosts = 127.0.0.1
smtpd_error_sleep_time = 0
smtpd_hard_error_limit = 1000
smtpd_client_event_limit_exceptions = static:all
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_noop_commands = FROB
smtp_send_xforward_command = yes
local_header_rewrite_clients =
"""

_DATA = ("DATA", ".")
_MESSAGE = ("MAIL FROM:<a@b.test>", "RCPT TO:<c@d.test>", *_DATA)

_BAD = tuple(
    f"{verb} {words}"
    for verb in ("XCLIENT", "XFORWARD")
    for words in (
        *("", "FOO", "FOO=", "FOO=bar", "=x", "NAME=+", "NAME=a+20b", "NAME=a b"),
        *("NAME=-x", "NAME=1.2.3.4", "NAME=a..b", "ADDR=foo", "ADDR=IPv6:zz"),
        *("ADDR=::1", "ADDR=1.2.3", "ADDR=[1.2.3.4]", "PORT=999999", "PORT=abc"),
        *("PORT=[TEMPUNAVAIL]", f"PROTO={'a' * 65}", "DESTADDR=zz", "DESTPORT=zz"),
        *("SOURCE=foo", f"NAME={'a' * 256}", f"HELO={'b' * 256}"),
    )
)

#: What each says in one connection.
SESSIONS: Sequence[Sequence[str]] = (
    ("EHLO x", *_BAD),
    ("XCLIENT NAME=a.test ADDR=203.0.113.9", "EHLO x", "XCLIENT PORT=1", "EHLO x"),
    ("XCLIENT NAME=a.test ADDR=192.0.2.1 HELO=h<x PROTO=ESMTP", *_MESSAGE, "EHLO y"),
    ("EHLO x", "XCLIENT ADDR=IPv6:2001:DB8::1 LOGIN=joe", "EHLO z", *_MESSAGE),
    ("XCLIENT LOGIN=j+20x", *_MESSAGE, "XCLIENT LOGIN=[UNAVAILABLE]", *_MESSAGE),
    ("XCLIENT NAME=[TEMPUNAVAIL] ADDR=[UNAVAILABLE] PORT=[UNAVAILABLE]", *_MESSAGE),
    ("MAIL FROM:<a@b.test>", "XCLIENT", "XCLIENT NAME=a", "XFORWARD", "XFORWARD A=B"),
    ("EHLO x", "XFORWARD IDENT=a+20b", "XFORWARD NAME=x.test ADDR=1.2.3.4", *_MESSAGE),
    ("EHLO x", "XFORWARD HELO=foo", *_MESSAGE, *_MESSAGE),
    ("EHLO x", "XFORWARD NAME=[UNAVAILABLE] IDENT=[UNAVAILABLE]", *_MESSAGE),
    ("EHLO x", "XFORWARD NAME=y.test HELO=[TEMPUNAVAIL] PORT=12345", *_MESSAGE),
    ("EHLO x", "XFORWARD ADDR=IPv6:2001:DB8::1 PROTO=x+20y SOURCE=local", *_MESSAGE),
    ("EHLO x", "XFORWARD NAME=old.test", "RSET", *_MESSAGE),
    ("EHLO x", "XFORWARD NAME=old.test", "EHLO y", *_MESSAGE),
    ("EHLO x", *["XFORWARD IDENT=A"] * 130, "FROB", "NOOP"),
    ("EHLO x", *["XCLIENT PORT=7"] * 110),
)


class Hop:
    """
    A next hop that keeps what it is told.

    @ivar told: the lines of all sessions that begin with X.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.told: list[str] = []
        self.messages = 0
        serve_each(self._listener, self._serve)

    def close(self) -> None:
        self._listener.close()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            connection.sendall(b"220 hop ESMTP\r\n")
            for line in lines:
                verb = line.split()[0].upper()
                reply = b"250 ok\r\n"
                if verb == b"EHLO":
                    reply = (
                        b"250-hop\r\n"
                        b"250 XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT\r\n"
                    )
                elif verb == b"XFORWARD":
                    self.told.append(line.decode().rstrip())
                elif verb == b"DATA":
                    connection.sendall(b"354 go on\r\n")
                    while lines.readline() not in (b".\r\n", b""):
                        pass
                    self.messages += 1
                connection.sendall(reply)


def hold(port: int, session: Iterable[str]) -> list[str]:
    """
    @return: each command, and what is said to it.
    """
    heard: list[str] = []
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE) as s,
        s.makefile("rb") as replies,
    ):

        def reply() -> str:
            line = replies.readline().decode()
            text = line
            while line[3:4] == "-":
                line = replies.readline().decode()
                text += line
            return text

        reply()
        for command in (*session, "QUIT"):
            s.sendall(command.encode() + b"\r\n")
            heard.append(f"{command} -> {reply()}")
            if "-> 221 " in heard[-1]:
                break
    return heard


def plain(text: str) -> str:
    """
    @return: without what differs by chance or is known to.
    """
    text = re.sub(r"queued as \w+", "queued as ID", text)
    # Postfix offers ETRN; that has tests of its own.
    text = text.replace("250-ETRN\r\n", "")
    return re.sub(r"\b[0-9A-F]{10,12}\b|\b[0-9A-Za-z]{10,20}(?=: client=)", "ID", text)


def lines(log: str) -> list[str]:
    """
    @return: what smtpd says of clients and refusals, in order.
    """
    found = re.findall(r"smtpd\[\d+\]: (.*)", log)
    wanted = re.compile(r"\bclient=|reject: |disconnect from ")
    return [plain(line) for line in found if wanted.search(line)]


def idents(told: Iterable[str]) -> list[str]:
    """
    @return: without queue ids and ports, which differ.
    """
    return sorted(
        re.sub(r"PORT=\d{4,5}\b", "PORT=n", re.sub(r"IDENT=\w{9,}", "IDENT=ID", line))
        for line in told
    )


class XclientOracle(RunningTestCase):
    def test_same(self) -> None:
        require("postfix")
        require_root("Postfix")
        hops = Hop(), Hop()
        for hop in hops:
            self.addCleanup(hop.close)
        theirs = self.postfix(f"{_MAIN_CF}relayhost = [127.0.0.1]:{hops[0].port}\n")
        ours = self.running(f"{_MAIN_CF}relayhost = [127.0.0.1]:{hops[1].port}\n")
        count = 0
        for session in SESSIONS:
            expected = [plain(each) for each in hold(theirs.port, session)]
            self.assertEqual(
                [plain(each) for each in hold(ours.port, session)], expected
            )
            count += sum("queued as" in each for each in expected)
        self.assertGreater(count, 8)
        for hop in hops:
            wait_for(lambda hop=hop: hop.messages >= count, "not all arrive")  # type: ignore[misc]
        wait_for(lambda: "xclient=0/110" in ours.log(), ours.log)
        wait_for(lambda: "xclient=0/110" in theirs.log(), theirs.log)
        self.assertEqual(_said(ours.log()), _said(theirs.log()))
        self.assertEqual(idents(hops[1].told), idents(hops[0].told))


def _said(log: str) -> list[str]:
    """
    @return: without the first connections, which only look who listens.
    """
    found = lines(log)
    start = next(n for n, line in enumerate(found) if "xclient=" in line)
    return found[start:]
