"""
The same failure through Debian's Postfix and through us: the delivery status
that the sender gets is the same.
"""

from __future__ import annotations

import contextlib
import socket
from email import message_from_bytes
from email.message import Message
from typing import cast

from tests.interop.postfix_instance import Postfix, Sink
from tests.interop.running import RunningTestCase
from tests.support import require, require_root

CONTENT = b"Subject: hello\r\nMessage-ID: <1@x.test>\r\n\r\nWords.\r\n"

#: Differs from one message to the next.
VARYING = ("X-Postfix-Queue-ID", "Arrival-Date")

SAME = "myhostname = mx.here.test\nmydomain = here.test\nmydestination =\n"


class Refusing(Sink):
    """
    A next hop that has no user C{r@y.test}, and keeps everything else.
    """

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            connection.sendall(b"220 hop.test ESMTP\r\n")
            for line in lines:
                reply = b"250 2.0.0 ok\r\n"
                if line.upper().startswith(b"EHLO"):
                    reply = (
                        b"250-hop.test\r\n250-ENHANCEDSTATUSCODES\r\n250 8BITMIME\r\n"
                    )
                elif line.upper().startswith(b"RCPT TO:<R@Y.TEST>"):
                    reply = b"550 5.1.1 <r@y.test>: Recipient address rejected\r\n"
                elif line.upper().startswith(b"DATA"):
                    connection.sendall(b"354 go on\r\n")
                    content = b""
                    while (line := lines.readline()) not in (b".\r\n", b""):
                        content += line.removeprefix(b".")
                    with self._arrived:
                        self._messages.append(content)
                        self._arrived.notify()
                connection.sendall(reply)
                if line.upper().startswith(b"QUIT"):
                    return


def status(bounce: bytes) -> list[list[tuple[str, str]]]:
    """
    @return: the groups of fields, without what differs each time.
    """
    part = cast("list[Message]", message_from_bytes(bounce).get_payload())[1]
    assert part.get_content_type() == "message/delivery-status", bounce
    groups = cast("list[Message]", part.get_payload())
    return [
        [
            (name, " ".join(str(v).split()))
            for name, v in g.items()
            if name not in VARYING
        ]
        for g in groups
        if g.keys()
    ]


def frame(bounce: bytes) -> list[object]:
    """
    @return: types and descriptions of the parts, and the fixed fields.
    """
    message = message_from_bytes(bounce)
    parts = cast("list[Message]", message.get_payload())
    names = ("From", "To", "Subject", "Auto-Submitted", "MIME-Version")
    return [
        message.get_content_type(),
        message.get_param("report-type"),
        [message[name] for name in names],
        [(p.get_content_type(), p["Content-Description"]) for p in parts],
    ]


class BounceOracleTests(RunningTestCase):
    def setUp(self) -> None:
        require("postfix")
        require_root("Postfix wants to be started by root")
        self.hop = Refusing()
        self.addCleanup(self.hop.close)

    def by_postfix(self) -> bytes:
        postfix = Postfix({"relayhost": f"[127.0.0.1]:{self.hop.port}"})
        try:
            postfix.run("start")
            self.assertTrue(postfix.send(CONTENT).startswith("250"))
            return self.hop.take()
        finally:
            with contextlib.suppress(OSError):
                postfix.close()

    def by_us(self) -> bytes:
        server = self.relay(self.hop.port, main_cf=SAME)
        with (
            socket.create_connection(("127.0.0.1", server.port), 20) as s,
            s.makefile("rb") as replies,
        ):
            commands = (b"EHLO c.test", b"MAIL FROM:<s@x.test>", b"RCPT TO:<r@y.test>")
            replies.readline()
            for command in (*commands, b"DATA", CONTENT + b".", b"QUIT"):
                s.sendall(command + b"\r\n")
                while (line := replies.readline())[3:4] == b"-":
                    pass
                self.assertIn(line[:1], (b"2", b"3"), line)
        return self.hop.take()

    def test_same(self) -> None:
        """
        A recipient refused with 550 5.1.1 makes the same report, but for ids
        and dates.
        """
        theirs, ours = self.by_postfix(), self.by_us()
        self.assertEqual(status(ours), status(theirs))
        self.assertEqual(frame(ours), frame(theirs))
