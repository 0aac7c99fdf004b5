"""
The smtp agent and Debian's Postfix against the same servers, good and bad:
the same fate, status code, relay and words.
"""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from tests.interop.listening import serve_each
from tests.interop.postfix_instance import PATIENCE, Postfix
from tests.interop.test_smtp_client import AgentCase
from tests.support import require, require_root
from txmta.model import Action

EHLO = b"250-mail\r\n250-PIPELINING\r\n250-SIZE 5000\r\n250 8BITMIME\r\n"

#: A friendly server; C{None} hangs up.
FRIENDLY: Mapping[str, bytes | None] = {
    "": b"220 mail ESMTP\r\n",
    "EHLO": EHLO,
    "HELO": b"250 mail\r\n",
    "MAIL": b"250 2.1.0 ok\r\n",
    "RCPT": b"250 2.1.5 ok\r\n",
    "DATA": b"354 go\r\n",
    ".": b"250 2.0.0 Ok: queued as X\r\n",
    "RSET": b"250 2.0.0 ok\r\n",
    "QUIT": b"221 2.0.0 bye\r\n",
}

#: What differs from that.
CASES: Mapping[str, Mapping[str, bytes | None]] = {
    "sent": {},
    "sent, no status": {".": b"250 ok\r\n"},
    "sent, lines": {".": b"250-2.0.0 a\r\n250 2.0.0 b\r\n"},
    "sent, wrong class": {".": b"250 5.0.0 b\r\n"},
    "sent, no text": {".": b"250\r\n"},
    "sent, one by one": {"EHLO": b"250 mail\r\n"},
    "sent, HELO": {"EHLO": b"502 what\r\n"},
    "sent, odd octets": {".": b"250 2.0.0 a\x01\x7f b\tc\r\n"},
    "greeting 4xx": {"": b"421 4.3.2 busy\r\n"},
    "greeting 5xx": {"": b"554 5.7.1 go away\r\n"},
    "greeting 5xx, lines": {"": b"554-a\r\n554 b\r\n"},
    "greeting lost": {"": None},
    "EHLO lost": {"EHLO": None},
    "EHLO 421": {"EHLO": b"421 4.3.2 bye\r\n"},
    "HELO refused": {"EHLO": b"502 x\r\n", "HELO": b"550 5.7.1 no\r\n"},
    "HELO lost": {"EHLO": b"502 x\r\n", "HELO": None},
    "MAIL 4xx": {"MAIL": b"450 4.1.8 later\r\n"},
    "MAIL 5xx": {"MAIL": b"550 5.7.1 no\r\n"},
    "MAIL lost": {"MAIL": None},
    "MAIL 4xx, one by one": {"EHLO": b"250 mail\r\n", "MAIL": b"450 later\r\n"},
    "RCPT 4xx": {"RCPT": b"450 4.2.0 later\r\n", "DATA": b"554 5.5.1 no\r\n"},
    "RCPT 5xx": {"RCPT": b"550 5.1.1 no\r\n", "DATA": b"554 5.5.1 no\r\n"},
    "RCPT 5xx, 354": {"RCPT": b"550 5.1.1 no\r\n"},
    "RCPT 5xx, no text": {"RCPT": b"550\r\n"},
    "RCPT 5xx, status only": {"RCPT": b"550 5.7.2\r\n"},
    "RCPT 5xx, lines": {"RCPT": b"550-5.1.1 a\r\n550 5.7.1 b\r\n"},
    "RCPT 5xx, one by one": {"EHLO": b"250 mail\r\n", "RCPT": b"550 no\r\n"},
    "RCPT lost": {"RCPT": None},
    "DATA 4xx": {"DATA": b"451 4.3.0 later\r\n"},
    "DATA 5xx": {"DATA": b"554 5.3.0 no\r\n"},
    "DATA lost": {"DATA": None},
    "dot 4xx": {".": b"452 4.3.1 full\r\n"},
    "dot 5xx": {".": b"550-5.7.1 spam\r\n550 5.7.1 really\r\n"},
    "dot 5xx, UTF-8": {".": "550 5.7.1 n\xf6\r\n".encode()},
    "dot lost": {".": None},
    "too big": {"EHLO": b"250-mail\r\n250 SIZE 100\r\n"},
}

_LINE = re.compile(
    r"to=<r@y\.test>, relay=(?P<relay>\S+), .*dsn=(?P<status>\S+),"
    r" status=(?P<fate>\w+) \((?P<reason>.*)\)"
)
_FATES = {
    Action.RELAYED: "sent",
    Action.DELAYED: "deferred",
    Action.FAILED: "bounced",
}


class Script:
    """
    A server that does what the current case says.
    """

    def __init__(self) -> None:
        self.replies: Mapping[str, bytes | None] = FRIENDLY
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        serve_each(self._listener, self._serve)

    def close(self) -> None:
        self._listener.close()

    def _serve(self, connection: socket.socket) -> None:
        replies = self.replies
        with contextlib.suppress(OSError), connection:
            connection.settimeout(PATIENCE)
            with connection.makefile("rb") as lines:
                key = ""
                while (reply := replies[key]) is not None:
                    connection.sendall(reply)
                    if key == "DATA" and reply[:1] == b"3":
                        while lines.readline() not in (b".\r\n", b""):
                            pass
                        key = "."
                        continue
                    line = lines.readline()
                    if not line:
                        return
                    key = line[:4].decode().strip()


class WordsTests(AgentCase):
    """
    Each case in both.
    """

    timeout = 300

    async def test_words(self) -> None:
        """
        The agent says of each server what Postfix says.
        """
        require("postfix")
        require_root("to run a Postfix of its own")
        script = Script()
        self.addCleanup(script.close)
        postfix = Postfix(
            {
                "relayhost": f"[127.0.0.1]:{script.port}",
                "smtp_destination_concurrency_failed_cohort_limit": "1000",
                "relay_destination_concurrency_failed_cohort_limit": "1000",
                "smtp_line_length_limit": "998",
                "smtp_tls_security_level": "none",
            }
        )
        await deferToThread(postfix.run, "start")
        self.addCleanup(deferToThread, postfix.close)
        self.agent = self.make(smtp_connection_cache_on_demand="no")
        different = []
        for name, replies in CASES.items():
            script.replies = {**FRIENDLY, **replies}
            theirs = await deferToThread(self.theirs, postfix)
            ours = await Deferred.fromCoroutine(self.ours(script.port))
            if ours != theirs:
                different.append((name, theirs, ours))
        self.assertEqual(different, [])

    async def ours(self, port: int) -> dict[str, Any]:
        self.outcomes.clear()
        content = b"Subject: x\r\n\r\n" + b"body\r\n" * 100
        await self.deliver(f"[127.0.0.1]:{port}", content, "r@y.test")
        (outcome,) = self.outcomes
        return {
            "relay": outcome.relay,
            "status": outcome.status,
            "fate": _FATES[outcome.action],
            "reason": re.sub(r"message size \d+", "message size N", outcome.reason),
        }

    def theirs(self, postfix: Postfix) -> dict[str, Any]:
        final = postfix.send(b"Subject: x\r\n\r\n" + b"body\r\n" * 100)
        queue_id = final.split()[-1]
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            for line in postfix.log(queue_id, "smtp"):
                match = _LINE.fullmatch(line)
                if match is not None:
                    found = match.groupdict()
                    found["reason"] = re.sub(
                        r"message size \d+", "message size N", found["reason"]
                    )
                    return found
            time.sleep(0.02)
        raise AssertionError(f"Postfix says nothing of {queue_id}")
