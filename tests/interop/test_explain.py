"""
C{txmta explain} says what the running server says, to the same questions.
"""

from __future__ import annotations

import smtplib
import socket
import subprocess
import sys
from dataclasses import replace

from tests.interop.running import RunningTestCase, Txmta
from tests.interop.tools import ENVIRONMENT, PATIENCE
from txmta.explain.ask import explain_all
from txmta.explain.question import Question

_MAIN_CF = """
mydestination = here.test
local_recipient_maps = inline:{joe=x}
mynetworks = 10.0.0.0/8
smtpd_peername_lookup = no
smtpd_authorized_xclient_hosts = 127.0.0.1 [::1]
smtpd_error_sleep_time = 0
smtpd_restriction_classes = strict
strict = check_helo_access inline:{bad.test=REJECT}, permit
smtpd_client_restrictions = check_client_access inline:{{192.0.2.9=REJECT go away}}
smtpd_helo_restrictions = reject_invalid_helo_hostname
smtpd_sender_restrictions = reject_non_fqdn_sender,
 check_sender_access inline:{{x.test=strict},{y.test=DEFER later}}
smtpd_data_restrictions = check_client_access inline:{{192.0.2.8=REJECT not you}}
virtual_alias_maps = inline:{{info@here.test=joe@here.test}}
"""

_CLIENTS = ("192.0.2.1", "192.0.2.8", "192.0.2.9", "10.1.1.1")
_HELOS = ("client.test", "bad.test", "-bad-")
_SENDERS = ("", "a", "a@x.test", "a@y.test")
_RECIPIENTS = ("joe@here.test", "nobody@here.test", "b@else.test", "info@here.test")


def said(server: Txmta, question: Question) -> str:
    """
    @return: the last word of the server: a refusal, or C{250}.
    """
    with (
        socket.create_connection(("127.0.0.1", server.port), PATIENCE) as s,
        s.makefile("rb") as replies,
    ):

        def say(line: str) -> str:
            s.sendall(line.encode() + b"\r\n")
            return reply()

        def reply() -> str:
            line = replies.readline()
            while line[3:4] == b"-":
                line = replies.readline()
            return line.decode().rstrip()

        reply()
        address = question.peer()[0]
        last = say(f"XCLIENT NAME=[UNAVAILABLE] ADDR={address}")
        for command in (
            f"EHLO {question.helo}",
            f"MAIL FROM:<{question.sender}>",
            f"RCPT TO:<{question.recipient}>",
            "DATA",
            ".",
        ):
            last = say(command)
            if last[0] in "45":
                break
        say("QUIT")
    return "250" if last[0] == "2" else last


class StoredTests(RunningTestCase):
    def test_stored(self) -> None:
        """
        A message in the queue is asked about as if it came now.
        """
        server = self.relay(1)
        with smtplib.SMTP("127.0.0.1", server.port, timeout=PATIENCE) as client:
            client.sendmail("a@x.test", ["b@else.test"], b"Subject: x\r\n\r\nx\r\n")
        (line,) = server.wait_for_log("status=deferred")
        queue_id = line.split("]: ")[1].partition(":")[0]
        command = [sys.executable, "-m", "txmta.admin.main", "explain"]
        command += ["-c", str(server.folder), "--queue-id"]
        done = subprocess.run(
            [*command, queue_id],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env=ENVIRONMENT,
            cwd=server.folder,
        )
        self.assertEqual(done.stderr, "")
        self.assertIn("  sender     <a@x.test>\n", done.stdout)
        self.assertIn("<b@else.test>  class default, transport smtp", done.stdout)
        self.assertIn("next hop [127.0.0.1]:1, TLS none\n", done.stdout)
        done = subprocess.run(
            [*command, "4jYZc24DxFz00"],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env=ENVIRONMENT,
            cwd=server.folder,
        )
        self.assertEqual(done.returncode, 2)
        self.assertIn("there is no such message", done.stderr)


class ExplainTests(RunningTestCase):
    def test_same(self) -> None:
        server = self.running(_MAIN_CF)
        questions = tuple(
            Question(f"unknown[{client}]", helo, "", sender, recipient)
            for client in _CLIENTS
            for helo in _HELOS
            for sender in _SENDERS
            for recipient in _RECIPIENTS
        )
        found = explain_all(str(server.folder / "main.cf"), questions)
        replies = set()
        for question, explained in zip(questions, found, strict=True):
            expected = said(server, question)
            reply = explained.reply if explained.refused_at else "250"
            self.assertEqual(reply, expected, replace(question, size=0))
            replies.add(expected)
        self.assertGreater(len(replies), 8)
