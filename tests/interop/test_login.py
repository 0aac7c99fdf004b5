"""
Clients of others log in, to accounts of ours; readers of our log see who fails.
"""

from __future__ import annotations

import os
import pwd
import re
import smtplib
import subprocess
import sys
from pathlib import Path

from tests.interop.running import MODEL, QUEUE_OWNER, RunningTestCase, Txmta
from tests.interop.test_login_oracle import converse, plain
from tests.interop.tools import ENVIRONMENT, PATIENCE, wait_for
from tests.support import require, require_root

MAIN_CF = """\
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = txmta
smtpd_sasl_path = texthash:$config_directory/accounts
smtpd_sasl_authenticated_header = yes
smtpd_sasl_account_secrets = plain
smtpd_sasl_failure_delay = 0
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_sasl_authenticated, reject
mydestination =
local_recipient_maps =
"""

PASSWORDS = {"user": "wonderland", "two@here.test": "pass wörd", "cram": "secret"}


def txmta_passwd(path: Path, *arguments: str, stdin: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-m", "txmta.admin.passwd", "-f", str(path), *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        env={**ENVIRONMENT, "PYTHONPATH": ":".join(sys.path)},
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class LoginTests(RunningTestCase):
    def server(self, more: str = "", hidden: bool = False) -> Txmta:
        """
        @param hidden: only root can read the accounts.
        @return: a server with accounts, that nobody but root and itself reads.
        """
        self.hop = self.aiosmtpd()
        server = self.txmta(f"{MAIN_CF}relayhost = [127.0.0.1]:{self.hop.port}\n{more}")
        path = server.folder / "accounts"
        for name, password in PASSWORDS.items():
            scheme = "PLAIN" if name == "cram" else "SCRAM-SHA-256"
            arguments = ("-s", scheme, "--stdin", "add", name)
            txmta_passwd(path, *arguments, stdin=f"{password}\n")
        if os.getuid() == 0 and not hidden:
            single = MODEL == "single"
            owner = server.user if single else pwd.getpwnam(QUEUE_OWNER)
            os.chown(path, owner.pw_uid, -1)
        server.start()
        return server

    def program(self, *command: str, status: int = 0) -> str:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=ENVIRONMENT,
            timeout=PATIENCE,
        )
        said = (done.stdout + done.stderr).decode("utf-8", "replace")
        self.assertEqual(done.returncode, status, said)
        return said

    def test_smtplib(self) -> None:
        """
        Each of its mechanisms; Received: and the log say who it was.
        """
        server = self.server()
        for mechanism, name in (
            ("PLAIN", "two@here.test"),
            ("LOGIN", "user"),
            ("CRAM-MD5", "cram"),
        ):
            with smtplib.SMTP("127.0.0.1", server.port, timeout=PATIENCE) as client:
                client.ehlo()
                client.user, client.password = name, PASSWORDS[name]
                if mechanism == "PLAIN":
                    words = plain(name, PASSWORDS[name])
                    self.assertEqual(client.docmd("AUTH", f"PLAIN {words}")[0], 235)
                else:
                    method = mechanism.lower().replace("-", "_")
                    client.auth(mechanism, getattr(client, f"auth_{method}"))
                client.sendmail(
                    "a@b.test", ["c@there.test"], b"Subject: x\r\n\r\nx\r\n"
                )
            server.wait_for_log(
                r"client=unknown\[127.0.0.1\], "
                rf"sasl_method={mechanism}, sasl_username={name}$"
            )
        server.wait_until_idle()
        (content,) = {
            re.sub(rb"id \w+|sender: \S+|; .*|Message-Id.*", b"", m.content)
            for m in self.hop.messages
            if b"two@" in m.content
        }
        self.assertIn(
            b"\t(Authenticated \r\n\tby mail.here.test (Postfix) with ESMTPA ", content
        )

    def test_swaks(self) -> None:
        require("swaks")
        server = self.server()
        for mechanism, name, status in (
            ("PLAIN", "user", 0),
            ("LOGIN", "user", 0),
            ("CRAM-MD5", "cram", 0),
            ("PLAIN", "nobody", 28),
        ):
            command = (
                f"swaks --server 127.0.0.1:{server.port} --auth {mechanism} -au {name}"
            )
            self.program(
                *command.split(),
                *("-ap", PASSWORDS.get(name, "x")),
                *["--from", "a@b.test", "--to", "c@there.test"],
                status=status,
            )

    def test_curl(self) -> None:
        require("curl")
        server = self.server()
        path = server.write("message", "Subject: x\n\nx\n")
        for options in ("PLAIN", "LOGIN", "CRAM-MD5"):
            name = "cram" if options == "CRAM-MD5" else "user"
            self.program(
                *("curl", "-sS", f"smtp://127.0.0.1:{server.port}"),
                *("--mail-from", "a@b.test"),
                *f"--mail-rcpt c@there.test --login-options AUTH={options}".split(),
                *("-u", f"{name}:{PASSWORDS[name]}", "-T", str(path)),
            )

    def test_scram(self) -> None:
        """
        GNU SASL and we prove to each other that we know the password.
        """
        require("gsasl")
        server = self.server()
        for password, status in ((PASSWORDS["user"], 0), ("x", 1)):
            said = self.program(
                *("gsasl", "--smtp", "--connect", f"127.0.0.1:{server.port}"),
                *("--no-starttls", "--mechanism", "SCRAM-SHA-256", "--quiet"),
                *("--no-client-first", "-a", "user"),
                *("-p", password),
                status=status,
            )
            self.assertEqual("235 2.7.0" in said, not status, said)
        server.wait_for_log("SASL SCRAM-SHA-256 authentication failed: .*=user")

    def test_only_root_can_read_it(self) -> None:
        """
        In several processes, too, without the rights of root.
        """
        require_root("the file is to be of somebody else than the server")
        server = self.server("process_model = multi\n", hidden=True)
        path = server.folder / "accounts"
        self.assertEqual((path.stat().st_uid, path.stat().st_mode & 0o777), (0, 0o600))
        said = f"AUTH PLAIN {plain('user', 'wonderland')}"
        self.assertIn("235", list(converse(server.port, [said]))[1])

    def test_change_of_password(self) -> None:
        """
        It counts at once, without a reload.
        """
        server = self.server()
        path = server.folder / "accounts"
        said = f"AUTH PLAIN {plain('user', 'new one')}"
        self.assertIn("535", list(converse(server.port, [said]))[1])
        txmta_passwd(path, "--stdin", "change", "user", stdin="new one\n")

        def changed() -> bool:
            return "235" in list(converse(server.port, [said]))[1]

        wait_for(changed, lambda: server.log())

    def test_fail2ban(self) -> None:
        """
        Debian's filter finds each failure, and no success.
        """
        require("fail2ban-regex")
        server = self.server()
        for name, password in (
            ("user", "x"),
            ("no\nbody", "x"),
            ("user", "wonderland"),
        ):
            list(converse(server.port, [f"AUTH PLAIN {plain(name, password)}"]))
        server.wait_for_log("auth=1 quit=1")
        said = self.program(
            *("fail2ban-regex", "--usedns=no", "--print-all-matched"),
            *(str(server.folder / "mail.log"), "postfix[mode=auth]"),
        )
        self.assertRegex(said, r"Lines: \d+ lines, 0 ignored, 2 matched")
        self.assertNotIn("wonderland", server.log())

    def test_refused_start(self) -> None:
        """
        What cannot work is told before the start, with what to do.
        """
        for lines, words in (
            (
                "smtpd_sasl_type = cyrus",
                "smtpd_sasl_type = cyrus is not supported: write dov",
            ),
            ("smtpd_sasl_type = pam", "let Dovecot ask PAM"),
            ("smtpd_sasl_type = nosuch", "write one of"),
            ("smtpd_sasl_path = accounts", "write type:name of a table"),
            ("smtpd_sasl_path = nosuch:x", "nosuch"),
            (
                "smtpd_sasl_security_options = nosuch",
                "smtpd_sasl_security_options: nosuch",
            ),
            ("smtpd_sasl_certificate_maps = nosuch:x", "smtpd_sasl_certificate_maps"),
            ("smtpd_sasl_mechanism_filter = nosuch:x", "smtpd_sasl_mechanism_filter"),
        ):
            server = self.txmta(f"{MAIN_CF}{lines}\n")
            server.write("accounts", "")
            done = server.run()
            self.assertNotEqual(done.returncode, 0, lines)
            self.assertIn(words, done.stdout + done.stderr)
