"""
Programs that read Postfix's log, on a log that the running server wrote.
"""

from __future__ import annotations

import re
import smtplib
import subprocess

from tests.interop.running import RunningTestCase, Txmta
from tests.interop.tools import ENVIRONMENT, PATIENCE
from tests.support import require

MESSAGE = b"Subject: x\r\n\r\nx\r\n"


class LogReaderTests(RunningTestCase):
    def setUp(self) -> None:
        require("pflogsumm", "fail2ban-regex")

    def busy(self) -> Txmta:
        """
        @return: a server whose log tells of sent, bounced, deferred, refused.
        """
        hop = self.aiosmtpd(refuses=["nosuch"])
        server = self.running(
            "mynetworks = [::1]/128\n"
            "relay_domains = there.test\n"
            "local_recipient_maps = inline:{known=x}\n"
            f"relayhost = [127.0.0.1]:{hop.port}\n"
        )
        with smtplib.SMTP("::1", server.port, timeout=PATIENCE) as client:
            for name in ("one", "two", "nosuch"):
                client.sendmail("", [f"{name}@there.test"], MESSAGE)
        with smtplib.SMTP("127.0.0.1", server.port, timeout=PATIENCE) as client:
            client.ehlo()
            client.mail("a@b.test")
            self.assertEqual(client.rcpt("x@elsewhere.test")[0], 454)
            self.assertEqual(client.rcpt("unknown@here.test")[0], 550)
        server.wait_until_idle()
        server.wait_for_log("disconnect from localhost")
        return server

    def run_on_log(self, server: Txmta, *command: str) -> str:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env={**ENVIRONMENT, "LC_ALL": "C"},
            timeout=PATIENCE * 3,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_pflogsumm(self) -> None:
        """
        Its totals are ours.
        """
        server = self.busy()
        text = self.run_on_log(
            server, "pflogsumm", "--problems-first", str(server.folder / "mail.log")
        )
        totals = {
            name: int(count)
            for count, name in re.findall(r"^ +(\d+)  +(\w+)", text, re.MULTILINE)
        }
        self.assertEqual(totals["received"], 3, text)
        self.assertEqual(totals["delivered"], 2, text)
        self.assertEqual(totals["bounced"], 1, text)
        self.assertEqual(totals["rejected"], 2, text)

    def test_fail2ban(self) -> None:
        """
        Debian's filter finds the client that was refused, and nobody else.
        """
        server = self.busy()
        text = self.run_on_log(
            server,
            *("fail2ban-regex", "--usedns=no", "--print-all-matched"),
            *(str(server.folder / "mail.log"), "postfix[mode=more]"),
        )
        matched = [x for x in text.splitlines() if "NOQUEUE: reject" in x]
        self.assertEqual(len(matched), 2, text)
        self.assertRegex(text, r"Lines: \d+ lines, 0 ignored, 2 matched")
