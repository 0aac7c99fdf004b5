"""
postscreen, compared with Debian's: replies, log lines, who is remembered.

Each client has an address of its own in 127.0.0.0/8, and all come at a time.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.interop import postfix_instance
from tests.interop.postfix_instance import Postfix
from tests.interop.running import RunningTestCase
from tests.interop.tools import wait_for
from tests.support import require

SETTINGS = {
    "myhostname": "mx.here.test",
    "smtpd_peername_lookup": "no",
    "mydestination": "y.test",
    "local_recipient_maps": "",
    "postscreen_access_list": "cidr:{ {127.0.0.3 permit}, {127.0.0.4 reject}, "
    "{127.0.0.5 dunno}}",
    "postscreen_greet_wait": "2s",
    "postscreen_pipelining_enable": "yes",
    "postscreen_non_smtp_command_enable": "yes",
    "postscreen_bare_newline_enable": "yes",
    "postscreen_client_connection_count_limit": "3",
    "postscreen_command_count_limit": "12",
    "smtpd_discard_ehlo_keywords": "etrn",
}

ENFORCE = {
    f"postscreen_{name}_action": "enforce"
    for name in ("denylist", "greet", "bare_newline", "pipelining")
}
DROP = {name: "drop" for name in ENFORCE}

MAIL = ("EHLO me.test", "MAIL FROM:<a@x.test>", "RCPT TO:<r@y.test>")
#: What clients say, one address each, session after session: what comes too early,
#: and what comes in its turn.
Session = tuple[str, Sequence[str]]
CLIENTS: Sequence[Sequence[Session]] = (
    [("", ("EHLO me.test", "QUIT"))],
    [("", (*MAIL, "QUIT")), ("", (*MAIL, "DATA"))],
    [("", (*MAIL, "QUIT"))],
    [("", (*MAIL, "QUIT")), ("", ("EHLO me.test", "QUIT"))],
    [("EHLO early.test\r\n", (*MAIL[1:], "QUIT")), ("", ("NOOP", "QUIT"))],
    [("", ("EHLO a\r\nMAIL FROM:<a@x.test>", "", "RCPT TO:<r@y.test>", "QUIT"))],
    [("", ("GET / HTTP/1.0",))],
    [("", ("NOOP", "Subject: abc"))],
    [("", ("EHLO a\n", *MAIL[1:], "QUIT"))],
    [("", ("EHLO a",))],
    [("", ("DATA",))],
    [("", ("BDAT 3",))],
    [("", ("MAIL FROM:<>", "BDAT 3"))],
    [("", ("MAIL FROM:<a@b>", "DATA"))],
    [("", ("RCPT TO:<a>", "VRFY", "VRFY a", "ETRN", "FOO", "HELP", "RSET x"))],
    [("", ("HELO", "EHLO", "HELO a b", *MAIL[1:], "EHLO b", "HELO c", "MAIL", "QUIT"))],
    [("", ("MAIL FROM:<@a:b@c> SIZE=x", 'RCPT TO:<"a b"@c> NOTIFY=x', "QUIT x"))],
    [("", ("MAIL FROM: a b c", "RCPT TO: b@c", "RCPT", "MAIL FROM:<a>", "QUIT"))],
    [("", ("NOOP",) * 13)],
    [("", ("x" * 3000,))],
    [("", ("STARTTLS", "AUTH PLAIN", "EXPN a", "NOOP x", "QUIT"))],
)


def master_cf() -> str:
    text = postfix_instance._MASTER_CF
    first = "{smtpd} inet n - n - - smtpd\n"
    assert first in text
    return text.replace(
        first, first.replace("- smtpd", "1 postscreen") + "smtpd pass - - n - - smtpd\n"
    )


def talk(port: int, number: int, sessions: Sequence[Session]) -> list[str]:
    found = []
    for early, commands in sessions:
        with socket.socket() as s:
            s.settimeout(20)
            s.bind((f"127.0.0.{number}", 0))
            s.connect(("127.0.0.1", port))
            with s.makefile("rb") as lines:
                s.sendall(early.encode())
                found += replies(s, lines, commands)
        time.sleep(0.2)
    return found


def replies(s: socket.socket, lines: object, commands: Sequence[str]) -> list[str]:
    def reply() -> str:
        whole = line = lines.readline()  # type: ignore[attr-defined]
        while line[3:4] == b"-":
            line = lines.readline()  # type: ignore[attr-defined]
            whole += line
        return str(whole.decode())

    found = [reply()]
    for command in commands:
        try:
            if command:
                s.sendall(command.encode() + b"\r\n" * (command[-1] != "\n"))
            found.append(reply())
        except ConnectionError:
            found.append("")
    return found


def lines_of(log: str, number: int) -> list[str]:
    """
    @return: what postscreen said about a client.
    """
    mark = f"[127.0.0.{number}]:"
    found = [
        line.partition("]: ")[2]
        for line in log.splitlines()
        if "postscreen[" in line and mark in line
    ]
    found = [re.sub(r"(\]):\d+", r"\1:N", line) for line in found]
    return [re.sub(r"(HANGUP after )[\d.]+", r"\1T", line) for line in found]


class PostscreenOracleTests(RunningTestCase):
    def compare(self, actions: Mapping[str, str]) -> None:
        require("postfix")
        values = {**SETTINGS, **actions}
        self.patch(postfix_instance, "_MASTER_CF", master_cf())
        theirs = Postfix({**values, "postscreen_cache_map": "internal:x"})
        self.addCleanup(theirs.close)
        theirs.run("start")
        ours = self.txmta("".join(f"{n} = {v}\n" for n, v in values.items()))
        services = (ours.folder / "master.cf").read_text()
        here = f"127.0.0.1:{ours.port} inet n - n - - smtpd\n"
        self.assertIn(here, services)
        screened = here.replace("- smtpd", "1 postscreen")
        services = services.replace(here, f"{screened}smtpd pass - - n - - smtpd\n")
        ours.write("master.cf", services)
        ours.start()
        wait_for(lambda: self.answers(theirs.ports[True]), "Postfix does not listen")
        with ThreadPoolExecutor(2 * len(CLIENTS)) as pool:
            both = [
                [
                    pool.submit(talk, port, number, sessions)
                    for number, sessions in enumerate(CLIENTS, 3)
                ]
                for port in (theirs.ports[True], ours.port)
            ]
            expected, found = ([each.result() for each in all_] for all_ in both)
        log = theirs.home / "mail.log"
        for number, (want, have) in enumerate(zip(expected, found, strict=True), 3):
            if not actions and CLIENTS[number - 3][0][0]:
                # Whether its next command comes together with the first is chance.
                continue
            self.assertEqual(have, want, CLIENTS[number - 3])
            told = wait_for(
                lambda number=number: self.end(log.read_text(), number),  # type: ignore[misc]
                f"Postfix says nothing of {number}",
            )
            said = wait_for(
                lambda number=number: self.end(ours.log(), number),  # type: ignore[misc]
                f"nothing is said of {number}",
            )
            self.assertEqual(said, told)

    def end(self, log: str, number: int) -> list[str]:
        found = lines_of(log, number)
        ends = ("DISCONNECT", "PASS", "ALLOWLISTED")
        over = sum(line.startswith(ends) for line in found)
        return found if over >= len(CLIENTS[number - 3]) else []

    def answers(self, port: int) -> bool:
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0

    def test_enforced(self) -> None:
        self.compare(ENFORCE)

    def test_dropped(self) -> None:
        self.compare(DROP)

    def test_ignored(self) -> None:
        """
        What Postfix does by default.
        """
        self.compare({})
