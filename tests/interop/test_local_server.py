"""
A running server that delivers to aliases, .forward files, commands and files
of its own account.
"""

from __future__ import annotations

import os
import re
import smtplib

from tests.interop.running import RunningTestCase, Txmta
from tests.interop.tools import PATIENCE, read_maildir

MESSAGE = b"From: a@b.test\r\nSubject: x\r\n\r\nbody\r\nFrom here\r\n"

MAIN_CF = """\
alias_maps = texthash:$config_directory/aliases
mail_spool_directory = $config_directory/mail/
default_transport = discard
recipient_delimiter = +
myorigin = here.test
"""

ALIASES = """\
command: "|cat > MAIL/command"
file: MAIL/file
list: :include:MAIL/../list
fails: "|echo 5.2.3 too much; exit 1"
mixed: fails, ME, far@else.test
"""


class LocalServerTests(RunningTestCase):
    def server(self, main_cf: str = "", forward: str = "") -> Txmta:
        server = self.txmta(MAIN_CF + main_cf)
        self.mail = server.maildir("")
        self.me = server.user.pw_name
        text = f"forward_path = {server.folder}/forward-$user\n"
        server.add(f"{text}default_privs = {self.me}\n")
        for name, content in (
            ("aliases", ALIASES),
            ("list", "ME\nfar@else.test\n"),
            (f"forward-{self.me}", forward),
        ):
            content = content.replace("MAIL", str(self.mail)).replace("ME", self.me)
            server.write(name, content)
        server.start()
        return server

    def deliver(self, server: Txmta, name: str) -> list[str]:
        """
        @return: what the log says of recipients, without times and ids.
        """
        start = len(server.log())
        with smtplib.SMTP("127.0.0.1", server.port, timeout=PATIENCE) as client:
            client.ehlo()
            client.mail("sender@else.test")
            client.docmd("RCPT", f'TO:<"{name}"@here.test>')
            code, text = client.data(MESSAGE)
        self.assertEqual(code, 250, text)
        queue_id = text.decode().rpartition(" ")[2]
        server.wait_for_log(f"{queue_id}: removed")
        server.wait_until_idle()
        lines = re.findall(
            r"(\w+)\[\d+\]: \w+: (to=<.*?>).*(dsn=[0-9.]+), status=(\w+ .*)",
            server.log()[start:],
        )
        return [
            re.sub(r"forwarded as \w+", "forwarded as ID", " ".join(line))
            for line in lines
            if "sender@else.test" not in line[1]
        ]

    def boxes(self) -> list[bytes]:
        return read_maildir(self.mail / self.me)

    def test_command(self) -> None:
        server = self.server()
        path = self.mail / "command"
        self.assertEqual(
            self.deliver(server, "command"),
            [
                "local to=<command@here.test> dsn=2.0.0 sent "
                f"(delivered to command: cat > {path})"
            ],
        )
        lines = path.read_bytes().split(b"\n")
        self.assertTrue(lines[0].startswith(b"From sender@else.test  "))
        self.assertEqual(lines[1], b"Return-Path: <sender@else.test>")
        self.assertEqual(lines[-3:], [b"body", b"From here", b""])
        if os.getuid() == 0:
            self.assertEqual(path.stat().st_uid, server.user.pw_uid)

    def test_file(self) -> None:
        server = self.server()
        self.deliver(server, "file")
        self.deliver(server, "file")
        octets = (self.mail / "file").read_bytes()
        self.assertEqual(octets.count(b"\n\nFrom sender@else.test  "), 1)
        self.assertTrue(octets.endswith(b"body\n>From here\n\n"))

    def test_list(self) -> None:
        """
        A list makes a message of its own, for users too.
        """
        server = self.server()
        self.assertEqual(
            sorted(self.deliver(server, "list")),
            [
                "discard to=<far@else.test> dsn=2.0.0 sent (else.test)",
                "local to=<list@here.test> dsn=2.0.0 sent (forwarded as ID)",
                f"local to=<{self.me}@here.test> dsn=2.0.0 sent (delivered to maildir)",
            ],
        )
        (octets,) = self.boxes()
        self.assertIn(b"Delivered-To: list@here.test\n", octets)

    def test_forward(self) -> None:
        """
        A .forward file: mailbox, command and elsewhere.
        """
        server = self.server(forward='\\ME, far@else.test\n"|cat > MAIL/out"\n')
        self.assertEqual(
            sorted(self.deliver(server, self.me)),
            [
                "discard to=<far@else.test> dsn=2.0.0 sent (else.test)",
                f"local to=<{self.me}@here.test> dsn=2.0.0 sent (delivered to command: "
                f"cat > {self.mail}/out, delivered to maildir, forwarded as ID)",
            ],
        )
        self.assertEqual(len(self.boxes()), 1)
        self.assertTrue((self.mail / "out").exists())

    def test_failure_of_one(self) -> None:
        """
        A command of an alias fails: the sender hears what it said, the others
        have their mail, each once.
        """
        server = self.server()
        self.assertEqual(
            sorted(self.deliver(server, "mixed")),
            [
                "discard to=<far@else.test> dsn=2.0.0 sent (else.test)",
                "local to=<mixed@here.test> dsn=5.2.3 bounced (too much )",
            ],
        )
        self.assertEqual(len(self.boxes()), 1)

    def test_mailbox_transport(self) -> None:
        """
        Another transport delivers; what a .forward file has besides goes on.
        """
        server = self.server("mailbox_transport = discard:gone\n", "ME, far@else.test")
        self.assertEqual(
            sorted(self.deliver(server, self.me)),
            [
                "discard to=<far@else.test> dsn=2.0.0 sent (else.test)",
                f"discard to=<{self.me}@here.test> dsn=2.0.0 sent (gone)",
            ],
        )

    def test_fallback_transport(self) -> None:
        server = self.server("fallback_transport = discard:unknown\n")
        self.assertEqual(
            self.deliver(server, "nobody-knows"),
            ["discard to=<nobody-knows@here.test> dsn=2.0.0 sent (unknown)"],
        )

    def test_luser_relay(self) -> None:
        server = self.server("luser_relay = $user.${extension?x}@else.test\n")
        self.assertEqual(
            sorted(self.deliver(server, "who+a")),
            [
                "discard to=<who.x@else.test> dsn=2.0.0 sent (else.test)",
                "local to=<who+a@here.test> dsn=2.0.0 sent (forwarded as ID)",
            ],
        )

    def test_mailbox_command(self) -> None:
        """
        In the environment, as the user, in the directory that is configured.
        """
        server = self.server(
            'mailbox_command = echo "$USER $EXTENSION $PWD" > said.$EXTENSION\n'
            "command_execution_directory = /tmp/..$home\n"
        )
        server.stop()
        server.add(f"command_execution_directory = {self.mail}\n")
        server.start()
        (line,) = self.deliver(server, f"{self.me}+a;b")
        self.assertIn("delivered to command: echo", line)
        said = (self.mail / "said.a_b").read_text()
        self.assertEqual(said, f"{self.me} a_b {self.mail}\n")

    def test_unknown_transport(self) -> None:
        """
        A transport that master.cf does not have: the start is refused.
        """
        server = self.txmta("mailbox_transport = cyrus\n")
        result = server.run()
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("mailbox_transport = cyrus", server.log() + result.stderr)
