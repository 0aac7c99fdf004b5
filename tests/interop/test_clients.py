"""
Clients of others at our door: swaks, smtplib, Postfix, smtp-source.
"""

from __future__ import annotations

import re
import smtplib
import subprocess

from tests.interop.running import RunningTestCase, Txmta
from tests.interop.tools import (
    ENVIRONMENT,
    FAMILIES,
    PATIENCE,
    literal,
    read_maildir,
    without_trace,
)
from tests.support import require, require_root

#: One Maildir for all of here.test; one user of local.test.
VIRTUAL = """\
mydestination = local.test
local_recipient_maps = inline:{known=x}
virtual_mailbox_domains = here.test
virtual_mailbox_base = $config_directory/mail
virtual_mailbox_maps = static:box/
virtual_uid_maps = static:@UID@
virtual_gid_maps = static:@GID@
virtual_minimum_uid = 1
"""

MESSAGE = (
    b"From: a@there.test\r\nTo: b@here.test\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n"
    b"Message-ID: <1@there.test>\r\nSubject: dots and octets\r\n\r\n"
    b".\r\n..\r\n.x\r\n\r\nFrom here\r\n8 bit \xe9\xff\tx \r\n\r\n"
)


class ClientTests(RunningTestCase):
    def setUp(self) -> None:
        self.server = self.txmta()
        self.box = self.server.maildir("box")
        self.server.add(VIRTUAL)
        self.server.start()

    def program(self, *command: str, stdin: bytes = b"") -> str:
        """
        @return: what it says; it must succeed.
        """
        done = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            env=ENVIRONMENT,
            timeout=PATIENCE * 2,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout.decode("utf-8", "replace")

    def arrived(self, content: bytes, count: int = 1) -> None:
        """
        Maildir holds the content, with the line ends of a file.
        """
        expected = content.replace(b"\r\n", b"\n")
        for got in read_maildir(self.box, count):
            self.assertEqual(without_trace(got), expected)

    def test_swaks(self) -> None:
        """
        Both families; the line that README.md has, and all that swaks can do
        with what EHLO offers.
        """
        require("swaks")
        path = self.server.folder / "message"
        path.write_bytes(MESSAGE)
        for address in FAMILIES:
            said = self.program(
                *("swaks", "--server", f"{literal(address)}:{self.server.port}"),
                *("--from", "a@there.test", "--to", "b@here.test"),
                *("--data", f"@{path}", "--pipeline"),
            )
            self.assertIn("250 2.0.0 Ok: queued as ", said)
        # swaks ends data without an empty line of its own
        for got in read_maildir(self.box, 2):
            self.assertEqual(
                without_trace(got).rstrip(b"\n"),
                MESSAGE.replace(b"\r\n", b"\n").rstrip(b"\n"),
            )
        self.server.wait_for_log(r": connect from localhost\[127\.0\.0\.1\]")
        self.server.wait_for_log(r": connect from \w+\[::1\]")

    def test_swaks_refused(self) -> None:
        """
        swaks shows the reply for a recipient that nobody wants.
        """
        require("swaks")
        done = subprocess.run(
            [
                *("swaks", "--server", f"127.0.0.1:{self.server.port}"),
                *("--from", "a@there.test", "--to", "unknown@local.test"),
            ],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        self.assertEqual(done.returncode, 24, done.stdout)
        self.assertRegex(done.stdout, r"<\*\* 550 5\.1\.1 <unknown@local\.test>: ")

    def test_smtplib(self) -> None:
        for address in FAMILIES:
            with smtplib.SMTP(address, self.server.port, timeout=PATIENCE) as client:
                client.ehlo()
                for feature in ("pipelining", "size", "8bitmime", "dsn", "smtputf8"):
                    self.assertTrue(client.has_extn(feature), feature)
                client.sendmail(
                    "a@there.test",
                    ["b@here.test", "c@here.test"],
                    MESSAGE,
                    ["BODY=8BITMIME"],
                )
        self.arrived(MESSAGE, 4)

    def test_smtplib_many(self) -> None:
        """
        Twenty recipients in one transaction, many transactions in a session.
        """
        recipients = [f"r{n}@here.test" for n in range(20)]
        with smtplib.SMTP("::1", self.server.port, timeout=PATIENCE) as client:
            for _ in range(3):
                client.sendmail("a@there.test", recipients, MESSAGE)
        self.arrived(MESSAGE, 60)
        (line,) = self.server.wait_for_log(r"disconnect from \w+\[::1\] ehlo")
        self.assertIn("ehlo=1 mail=3 rcpt=60 data=3 quit=1 commands=68", line)
        self.server.wait_until_idle()

    def test_large(self) -> None:
        """
        5 MB, with lines of all lengths that are legal.
        """
        lines = (b"%d " % n + b"x" * (n % 990) + b"\r\n" for n in range(10_000))
        content = MESSAGE + b"".join(lines)
        self.assertGreater(len(content), 4_900_000)
        with smtplib.SMTP("127.0.0.1", self.server.port, timeout=PATIENCE) as client:
            client.sendmail("a@there.test", ["b@here.test"], content)
        self.arrived(content)

    def test_smtp_source(self) -> None:
        """
        400 messages in 10 sessions at once.
        """
        require("smtp-source")
        for family in ("inet:127.0.0.1", "inet:[::1]"):
            self.program(
                *("smtp-source", "-s", "10", "-m", "200", "-l", "2000", "-d"),
                *("-f", "a@there.test", "-t", "b@here.test"),
                f"{family}:{self.server.port}",
            )
        self.assertEqual(len(read_maildir(self.box, 400)), 400)
        self.server.wait_until_idle()

    def test_postfix(self) -> None:
        """
        Debian's Postfix relays to us, with all that our EHLO lets it use.
        """
        require("postfix")
        require_root("starts a Postfix of its own")
        for address in FAMILIES:
            postfix = self.postfix(f"relayhost = [{address}]:{self.server.port}\n")
            with smtplib.SMTP("127.0.0.1", postfix.port, timeout=PATIENCE) as client:
                for _ in range(3):
                    client.sendmail("a@there.test", ["b@here.test"], MESSAGE)
            postfix.wait_for_log("status=sent", 3)
            self.assertNotIn("/smtp[%d]: warning", re.sub(r"\d+", "%d", postfix.log()))
        self.arrived(MESSAGE, 6)

    def test_postfix_many(self) -> None:
        """
        Twenty recipients, one of them refused: Postfix bounces this one only.
        """
        require("postfix")
        require_root("starts a Postfix of its own")
        postfix = self.postfix(f"relayhost = [127.0.0.1]:{self.server.port}\n")
        recipients = [f"r{n}@here.test" for n in range(19)]
        with smtplib.SMTP("127.0.0.1", postfix.port, timeout=PATIENCE) as client:
            client.ehlo()
            client.sendmail("s@there.test", [*recipients, "no@local.test"], MESSAGE)
        self.arrived(MESSAGE, 19)
        (bounce,) = read_maildir(postfix.box, 1, postfix.log)
        self.assertIn(b"Final-Recipient: rfc822; no@local.test", bounce)
        self.assertIn(b"Action: failed", bounce)


class OwnMailboxTests(RunningTestCase):
    """
    local(8): mail for the account that the server runs as.
    """

    def test_own_account(self) -> None:
        server: Txmta = self.txmta()
        server.add(
            "mail_spool_directory = $config_directory/mail/\n"
            "alias_maps = hash:$config_directory/aliases\n"
            "local_recipient_maps = unix:passwd.byname $alias_maps\n"
        )
        name = server.user.pw_name
        box = server.maildir(name)
        server.write("aliases", f"me: {name}\npostmaster: me\n")
        server.start()
        recipients = [f"{name}@here.test", "me@here.test", "postmaster"]
        with smtplib.SMTP("127.0.0.1", server.port, timeout=PATIENCE) as client:
            for recipient in recipients:
                client.sendmail("a@there.test", [recipient], MESSAGE)
            with self.assertRaises(smtplib.SMTPRecipientsRefused) as caught:
                client.sendmail("a@there.test", ["nosuchuser@here.test"], MESSAGE)
        (answer,) = caught.exception.recipients.values()
        self.assertEqual(answer[0], 550)
        self.assertIn(b"User unknown in local recipient table", answer[1])
        for got in read_maildir(box, 3, server.log):
            self.assertEqual(without_trace(got), MESSAGE.replace(b"\r\n", b"\n"))
        server.wait_for_log("status=sent \\(delivered to maildir\\)", 3)
