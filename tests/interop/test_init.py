"""
What C{txmta init} makes, running: mail comes encrypted, users log in.
"""

from __future__ import annotations

import contextlib
import io
import os
import smtplib
import ssl

from tests.interop.running import RunningTestCase
from tests.interop.tools import OWNER, PATIENCE, free_port
from txmta.admin.init import main

_MESSAGE = b"Subject: hello\r\n\r\nIt works.\r\n"


class InitTests(RunningTestCase):
    def test_running(self) -> None:
        server = self.txmta()
        for name in ("main.cf", "master.cf"):
            (server.folder / name).unlink()
        owner = ("--owner", OWNER) if os.getuid() == 0 else ()
        made = ("--unprivileged", "--hostname", "mail.here.test", *owner)
        with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())):
            self.assertEqual(main([*made, str(server.folder)]), 0)
        ports = {"2525": server.port, "2465": free_port(), "2587": free_port()}
        master_cf = (server.folder / "master.cf").read_text()
        for old, new in ports.items():
            master_cf = master_cf.replace(f":{old} ", f":{new} ")
        server.write("master.cf", master_cf)
        log = f"maillog_file = {server.folder}/mail.log\n"
        main_cf = (server.folder / "main.cf").read_text()
        server.write("main.cf", main_cf.replace("maillog_file = /dev/stdout\n", log))
        with (server.folder / "accounts").open("a") as file:
            file.write("me@here.test {PLAIN}secret\n")
        server.start()
        context = ssl.create_default_context(cafile=server.folder / "certificate.pem")
        context.check_hostname = False
        with smtplib.SMTP("127.0.0.1", ports["2525"], timeout=PATIENCE) as client:
            client.starttls(context=context)
            client.sendmail("a@there.test", ["me@here.test"], _MESSAGE)
        with smtplib.SMTP("127.0.0.1", ports["2587"], timeout=PATIENCE) as client:
            refused = client.docmd("MAIL FROM:<>")
            self.assertEqual(refused[0], 530)
            client.starttls(context=context)
            client.login("me@here.test", "secret")
            client.sendmail("me@here.test", ["you@here.test"], _MESSAGE)
        with smtplib.SMTP_SSL(
            "127.0.0.1", ports["2465"], timeout=PATIENCE, context=context
        ) as client:
            client.ehlo()
            refused = client.docmd("MAIL FROM:<>")
            self.assertEqual(client.docmd("RCPT TO:<me@here.test>")[0], 554)
            client.rset()
            client.login("me@here.test", "secret")
            client.sendmail("me@here.test", ["you@here.test"], _MESSAGE)
        server.wait_for_log(r"status=sent \(delivered to maildir\)", 3)
        server.wait_for_log(r"postfix/submission/smtpd\[\d+\]: \w+: client=.*sasl_", 1)
        self.assertEqual(len(os.listdir(server.folder / "mail/me/new")), 3)
