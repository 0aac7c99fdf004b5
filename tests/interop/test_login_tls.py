"""
Logging in inside TLS: on 587 and 465, as mail programs do; bound to the session.
"""

from __future__ import annotations

import datetime
import os
import smtplib
import ssl
import subprocess

from tests.interop.running import RunningTestCase, Txmta
from tests.interop.test_login import MAIN_CF, PASSWORDS, txmta_passwd
from tests.interop.test_login_oracle import plain
from tests.interop.tools import ENVIRONMENT, PATIENCE, free_port
from tests.support import require
from txmta.admin.self_signed import make_self_signed

TLS = """\
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_tls_cert_file = $config_directory/cert.pem
smtpd_tls_key_file = $config_directory/key.pem
smtpd_tls_loglevel = 0
"""


def context(newest: ssl.TLSVersion) -> ssl.SSLContext:
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    found.check_hostname = False
    found.verify_mode = ssl.CERT_NONE
    found.maximum_version = newest
    return found


class LoginTLSTests(RunningTestCase):
    def server(self) -> Txmta:
        self.wrapped = free_port()
        main_cf = MAIN_CF.replace("secrets = plain", "secrets = scram")
        server = self.txmta(
            f"{main_cf}{TLS}default_transport = discard:\n",
            master_cf=f"127.0.0.1:{self.wrapped} inet n - n - - smtpd\n"
            "  -o smtpd_tls_wrappermode=yes\n"
            "discard unix - - n - - discard\n",
        )
        certificate, key = server.folder / "cert.pem", server.folder / "key.pem"
        now = datetime.datetime.now(datetime.UTC)
        make_self_signed("mail.here.test", certificate, key, now)
        accounts = server.folder / "accounts"
        txmta_passwd(accounts, "--stdin", "add", "user", stdin=PASSWORDS["user"])
        if os.getuid() == 0:
            for path in (accounts, key):
                os.chown(path, server.user.pw_uid, -1)
        server.start()
        return server

    def test_mail_programs(self) -> None:
        """
        smtplib by STARTTLS and at once; in plaintext nobody is asked for anything.
        """
        server = self.server()
        anything = context(ssl.TLSVersion.MAXIMUM_SUPPORTED)
        with smtplib.SMTP("127.0.0.1", server.port, timeout=PATIENCE) as client:
            client.ehlo()
            self.assertFalse(client.has_extn("auth"))
            words = plain("user", PASSWORDS["user"])
            code, text = client.docmd("AUTH", f"PLAIN {words}")
            self.assertEqual((code, text[:19]), (504, b"5.5.4 Encryption re"))
            client.starttls(context=anything)
            client.login("user", PASSWORDS["user"])
            client.sendmail("a@b.test", ["c@there.test"], "Subject: x\r\n\r\nx\r\n")
        with smtplib.SMTP_SSL(
            "127.0.0.1", self.wrapped, timeout=PATIENCE, context=anything
        ) as client:
            client.login("user", PASSWORDS["user"])
            client.sendmail("a@b.test", ["c@there.test"], "Subject: x\r\n\r\nx\r\n")
        server.wait_for_log("sasl_method=.*, sasl_username=user", 2)
        # Nothing was offered that the account is not good for.
        self.assertNotIn("authentication failed", server.log())

    def test_bound_to_the_session(self) -> None:
        """
        GNU SASL and we agree on what the session is bound by.
        """
        require("gsasl")
        server = self.server()
        for priority in ("NORMAL", "NORMAL:-VERS-ALL:+VERS-TLS1.2"):
            done = subprocess.run(
                [
                    *("gsasl", "--smtp", "--connect", f"127.0.0.1:{server.port}"),
                    *("--starttls", "--priority", priority, "--x509-ca-file="),
                    *("--mechanism", "SCRAM-SHA-256-PLUS", "--no-client-first"),
                    *("-a", "user", "-p", PASSWORDS["user"]),
                ],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                env=ENVIRONMENT,
                timeout=PATIENCE,
            )
            self.assertIn("235 2.7.0", done.stdout, f"{priority} {done}")
