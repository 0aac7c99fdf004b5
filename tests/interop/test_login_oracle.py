"""
Logging in by Dovecot's auth service: what we say and log, compared with Postfix.
"""

from __future__ import annotations

import base64
import hmac
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.interop.dovecot_auth import DovecotAuth
from tests.interop.postfix_instance import Postfix
from tests.interop.running import RunningTestCase, Txmta
from tests.interop.tools import wait_for
from tests.support import asked, require

SETTINGS = {
    "smtpd_sasl_auth_enable": "yes",
    "smtpd_sasl_type": "dovecot",
    "broken_sasl_auth_clients": "yes",
    "smtpd_error_sleep_time": "0",
    "smtpd_soft_error_limit": "100",
    "smtpd_hard_error_limit": "100",
    "smtpd_peername_lookup": "no",
    "smtpd_relay_restrictions": "permit_sasl_authenticated, reject",
    "smtpd_recipient_restrictions": "",
    "local_recipient_maps": "",
    "mydestination": "",
    "myhostname": "mx.here.test",
}

Line = str | Callable[[str], str]


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def plain(name: str, password: str, other: str = "") -> str:
    return b64(f"{other}\0{name}\0{password}")


def cram(name: str, password: str) -> Callable[[str], str]:
    def answer(reply: str) -> str:
        challenge = base64.b64decode(reply.split(" ")[1])
        digest = hmac.new(password.encode(), challenge, "md5").hexdigest()
        return b64(f"{name} {digest}")

    return answer


RIGHT = f"AUTH PLAIN {plain('user', 'wonderland')}"
DIALOGUES: Sequence[Sequence[Line]] = (
    [RIGHT, RIGHT, "MAIL FROM:<a@b.test>", "RCPT TO:<c@d.test>", RIGHT],
    [f"AUTH plain {plain('user', 'wonderland')}", "EHLO again", RIGHT],
    ["AUTH PLAIN", plain("user", "wonderland"), "RSET", RIGHT],
    ["AUTH PLAIN", plain("user", "wrong"), RIGHT],
    [f"AUTH PLAIN {plain('nobody', 'x')}"],
    [f"AUTH PLAIN {plain('user', 'wonderland', 'user')}"],
    [f"AUTH PLAIN {plain('user', 'wonderland', 'two@here.test')}"],
    [f"AUTH PLAIN {plain('two@here.test', 'pass word')}"],
    ["AUTH LOGIN", b64("user"), b64("wonderland"), "NOOP"],
    ["AUTH LOGIN", b64("user"), b64("x"), "NOOP"],
    [f"AUTH LOGIN {b64('user')}", b64("wonderland")],
    ["AUTH LOGIN", "*", "NOOP"],
    ["AUTH LOGIN", b64("user"), "*", RIGHT],
    ["AUTH LOGIN", "!!!", "NOOP"],
    ["AUTH LOGIN", "", "", "NOOP"],
    ["AUTH CRAM-MD5", cram("user", "wonderland"), "NOOP"],
    ["AUTH CRAM-MD5", cram("user", "x"), "NOOP"],
    ["AUTH CRAM-MD5", "*"],
    ["AUTH PLAIN !!!!", "AUTH PLAIN AAA", "AUTH PLAIN ="],
    ["AUTH", "AUTH PLAIN a b", "AUTH NOSUCH", "AUTH NOSUCH AAAA"],
    ["MAIL FROM:<a@b.test>", RIGHT, "RSET", RIGHT],
    ["AUTH PLAIN", "A" * 12292, "NOOP"],
    ["AUTH PLAIN", "A" * 12288, "NOOP"],
    ["MAIL FROM:<a@b.test>", "RCPT TO:<c@d.test>"],
    [RIGHT, "MAIL FROM:<a@b.test> AUTH=<>", "RCPT TO:<c@d.test>"],
    [RIGHT, "MAIL FROM:<a@b.test> AUTH=x+40y AUTH=z", "RSET"],
    [RIGHT, "MAIL FROM:<a@b.test> AUTH=x+40y", "RCPT TO:<c@d.test>"],
    ["MAIL FROM:<a@b.test> AUTH=x+40y"],
    ["MAIL FROM:<a@b.test> AUTH="],
)


def converse(port: int, lines: Sequence[Line]) -> Iterator[str]:
    """
    @return: what is said to each.
    """
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        stream = connection.makefile("rb")

        def reply() -> str:
            found = []
            while True:
                line = stream.readline().decode().rstrip()
                found.append(line)
                if line[3:4] != "-":
                    return "\n".join(found)

        reply()
        last = ""
        for line in ["EHLO client.test", *lines, "QUIT"]:
            text = line if isinstance(line, str) else line(last)
            connection.sendall(text.encode() + b"\r\n")
            last = reply()
            # Challenges are random, and name the host that makes them.
            shown = last.replace("250-ETRN\n", "")  # not login's
            yield re.sub(r"334 [A-Za-z0-9+/]{24,}=*", "334 challenge", shown)


_LINES = re.compile(
    r"smtpd\[\d+\]: (warning: .*SASL.*|(?:NOQUEUE|\w+): client=.*|disconnect .*auth.*)"
)


def logged(path: Path, port: int) -> list[str]:
    """
    @return: lines about logins, without what differs by chance.
    """
    found = _LINES.findall(path.read_text())
    return [
        re.sub(r"\A\w+: client", "ID: client", re.sub(rf"\[127.0.0.1\]:{port}", "", x))
        for x in found
    ]


class LoginOracleTests(RunningTestCase):
    def dovecot(self) -> DovecotAuth:
        require("dovecot")
        dovecot = DovecotAuth()
        self.addCleanup(dovecot.close)
        dovecot.start()
        return dovecot

    def ours(self, path: str, more: str = "") -> Txmta:
        lines = "".join(f"{name} = {value}\n" for name, value in SETTINGS.items())
        return self.running(
            f"{lines}smtpd_sasl_path = {path}\nsmtpd_sasl_failure_delay = 0\n"
            f"relayhost = [127.0.0.1]:1\n{more}"
        )

    def test_words(self) -> None:
        """
        Replies, challenges and log lines are Postfix's.
        """
        require("postfix")
        dovecot = self.dovecot()
        postfix = Postfix({**SETTINGS, "smtpd_sasl_path": str(dovecot.socket)})
        self.addCleanup(postfix.close)
        postfix.run("start")
        ours = self.ours(str(dovecot.socket))
        different = []
        for lines in DIALOGUES:
            theirs = list(converse(postfix.ports[True], lines))
            found = list(converse(ours.port, lines))
            if found != theirs:
                different.append((lines, found[1:], theirs[1:]))
        self.assertEqual(different, [])
        asked(sum(map(len, DIALOGUES)))
        theirs_log = postfix.home / "mail.log"
        port = postfix.ports[True]
        expected = logged(theirs_log, port)
        ours_log = ours.folder / "mail.log"
        wait_for(
            lambda: len(logged(ours_log, ours.port)) >= len(expected),
            lambda: "\n".join(logged(ours_log, ours.port)),
        )
        self.assertEqual(logged(ours_log, ours.port), expected)
