"""
What is asked of the next hop, BODY and SMTPUTF8: Debian's Postfix and we, for
the same messages.
"""

from __future__ import annotations

import itertools
import re
import socket
from collections.abc import Mapping

from tests.interop.postfix_instance import PATIENCE, Postfix, Sink
from tests.interop.running import RunningTestCase
from tests.interop.tools import wait_for
from tests.support import require, require_root

_PARTS = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
CONTENTS: Mapping[str, bytes] = {
    "ascii": b"A: b\r\n\r\nx\r\n",
    "utf-8 header": b"A: \xc3\xa9\r\n\r\nx\r\n",
    "latin header": b"A: \xe9\r\n\r\nx\r\n",
    "utf-8 body": b"A: b\r\n\r\n\xc3\xa9\r\n",
    "8bit": b"Content-Transfer-Encoding: 8bit\r\n\r\n\xc3\xa9\r\n",
    "8bit part": _PARTS + b"Content-Transfer-Encoding: 8bit\r\n\r\n\xff\r\n",
    "utf-8 part": _PARTS + b"X: \xc3\xa9\r\n\r\n",
}
SENDERS = ("s@x.test", "\xe9@x.test")
PARAMETERS = ("", " BODY=7BIT", " BODY=8BITMIME", " SMTPUTF8")

_SIZE = re.compile(r" SIZE=\d+")
_BODY = re.compile(r" BODY=\w+")


def submit(port: int, sender: str, to: str, content: bytes) -> None:
    """
    @param sender: with brackets and parameters.
    """
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as s:
        replies = s.makefile("rb")
        mail = f"MAIL FROM:{sender}\r\n"
        commands = ("EHLO client.test\r\n", mail, f"RCPT TO:<{to}>\r\n", "DATA\r\n")
        for octets in (*(c.encode() for c in commands), content + b".\r\n"):
            line = replies.readline()
            while line[3:4] == b"-":
                line = replies.readline()
            assert line[:1] in b"23", line
            s.sendall(octets)
        assert replies.readline()[:3] == b"250"


class NeedsTests(RunningTestCase):
    def setUp(self) -> None:
        require("postfix", "postconf")
        require_root("starts a Postfix of its own")

    def compare(self, classes: str) -> None:
        offers = ("8BITMIME", "SMTPUTF8")
        parameter = "smtputf8_autodetect_classes"
        postfix = Postfix({parameter: classes}, offers)
        self.addCleanup(postfix.close)
        postfix.run("start")
        sink = Sink(*offers)
        self.addCleanup(sink.close)
        lines = f"local_header_rewrite_clients =\n{parameter} = {classes}\n"
        server = self.relay(sink.port, main_cf=lines)
        wanted = itertools.product(CONTENTS, SENDERS, PARAMETERS)
        sent = {f"r{n}@there.test": case for n, case in enumerate(wanted)}
        for to, (name, sender, parameters) in sent.items():
            for port in (postfix.ports[False], server.port):
                submit(port, f"<{sender}>{parameters}", to, CONTENTS[name])
        kept = (postfix.sink.kept, sink.kept)
        wait_for(lambda: all(len(k) == len(sent) for k in kept), "not all were sent")
        for to, case in sent.items():
            theirs = _SIZE.sub("", postfix.sink.mail[to])
            ours = _SIZE.sub("", sink.mail[to])
            if not CONTENTS[case[0]].isascii():
                # Postfix believes what headers and clients say.
                self.assertIn(" BODY=8BITMIME", ours, case)
                ours, theirs = _BODY.sub("", ours), _BODY.sub("", theirs)
            self.assertEqual(ours, theirs, case)

    def test_default(self) -> None:
        self.compare("sendmail, verify")

    def test_all(self) -> None:
        self.compare("all")
