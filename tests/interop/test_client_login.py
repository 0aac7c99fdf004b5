"""
We log in to servers: Debian's Postfix with a real Dovecot, and our own.
"""

from __future__ import annotations

import os
import pwd
import re
import smtplib
from collections.abc import Callable

from tests.interop.dovecot_auth import USERS, DovecotAuth
from tests.interop.postfix_instance import Postfix
from tests.interop.running import MODEL, QUEUE_OWNER, RunningTestCase, Txmta
from tests.interop.test_login import MAIN_CF as ACCOUNTS
from tests.interop.test_login import txmta_passwd
from tests.interop.tools import PATIENCE, wait_for
from tests.support import require, require_root

CLIENT = """\
relayhost = [127.0.0.1]:{port}
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = texthash:$config_directory/passwords
smtp_sasl_security_options = noanonymous
mydestination =
"""

#: Logins as a server logs them: method and name.
_LOGIN = re.compile(r": client=.*, sasl_method=([\w-]+), sasl_username=(\S+)")

PEER = {
    "smtpd_sasl_auth_enable": "yes",
    "smtpd_sasl_type": "dovecot",
    "smtpd_sasl_security_options": "noanonymous",
    "smtpd_relay_restrictions": "permit_sasl_authenticated, reject",
}


class ClientLoginTests(RunningTestCase):
    def client(self, port: int, passwords: str, more: str = "") -> Txmta:
        client = self.txmta(CLIENT.format(port=port) + more)
        path = client.write("passwords", passwords.format(port=port))
        if os.getuid() == 0:
            single = MODEL == "single"
            owner = client.user if single else pwd.getpwnam(QUEUE_OWNER)
            os.chown(path, owner.pw_uid, -1)
            path.chmod(0o600)
        client.start()
        return client

    def send(self, client: Txmta, *senders: str) -> None:
        for sender in senders:
            with smtplib.SMTP("127.0.0.1", client.port, timeout=PATIENCE) as smtp:
                smtp.sendmail(sender, ["x@far.test"], b"Subject: x\r\n\r\nx\r\n")

    def logins(self, log: Callable[[], str], count: int) -> list[tuple[str, str]]:
        def found() -> list[tuple[str, str]]:
            logins = _LOGIN.findall(log())
            return logins if len(logins) >= count else []

        return wait_for(found, lambda: f"not {count} logins:\n{log()[-3000:]}")

    def test_postfix_and_dovecot(self) -> None:
        """
        Each mechanism that both have; a wrong password waits, in Postfix's
        words.
        """
        require("postfix")
        require("dovecot")
        require_root("to run a Postfix of its own")
        dovecot = DovecotAuth()
        self.addCleanup(dovecot.close)
        dovecot.start()
        peer = Postfix({**PEER, "smtpd_sasl_path": str(dovecot.socket)})
        self.addCleanup(peer.close)
        peer.run("start")
        port = peer.ports[True]
        passwords = f"[127.0.0.1]:{port} user:{USERS['user']}\n"

        def log() -> str:
            return (peer.home / "mail.log").read_text()

        seen = []
        for wanted in ("scram-sha-256", "cram-md5", "plain", "login"):
            limits = f"smtp_sasl_mechanism_filter = {wanted}\n"
            client = self.client(port, passwords, limits)
            self.send(client, "a@here.test")
            client.wait_for_log(r"status=sent \(250 2.0.0 Ok: queued as")
            client.stop()
            seen.append((wanted.upper(), "user"))
            self.assertEqual(self.logins(log, len(seen)), seen)
        client = self.client(port, f"[127.0.0.1]:{port} user:wrong\n")
        self.send(client, "a@here.test")
        (line,) = client.wait_for_log("status=deferred")[:1]
        self.assertRegex(
            line,
            r"dsn=4\.7\.8, status=deferred \(SASL authentication failed; server "
            r"127\.0\.0\.1\[127\.0\.0\.1\] said: 535 5\.7\.8 Error: authentication "
            r"failed",
        )
        self.assertNotIn("wrong", client.log())

    def test_sender_dependent(self) -> None:
        """
        Each sender's own name, over connections that are kept: one is never
        used for another's mail. Our own server, SCRAM.
        """
        hop = self.aiosmtpd()
        server = self.txmta(f"{ACCOUNTS}relayhost = [127.0.0.1]:{hop.port}\n")
        path = server.folder / "accounts"
        for name in ("alice", "bob"):
            arguments = ("-s", "SCRAM-SHA-256", "--stdin", "add", name)
            txmta_passwd(path, *arguments, stdin=f"{name}-pw\n")
        if os.getuid() == 0:
            single = MODEL == "single"
            owner = server.user if single else pwd.getpwnam(QUEUE_OWNER)
            os.chown(path, owner.pw_uid, -1)
        server.start()
        client = self.client(
            server.port,
            "alice@here.test alice:alice-pw\nbob@here.test bob:bob-pw\n",
            "smtp_sender_dependent_authentication = yes\n"
            "smtp_connection_cache_time_limit = 30s\n",
        )
        senders = ["alice@here.test", "bob@here.test"] * 4
        self.send(client, *senders)
        client.wait_for_log("status=sent", 8)
        logins = self.logins(server.log, 8)
        self.assertEqual({method for method, _name in logins}, {"SCRAM-SHA-256"})
        ids = re.findall(
            r"smtpd\[\d+\]: (\w+): client=.*sasl_username=(\w+)", server.log()
        )
        for queue_id, name in ids:
            server.wait_for_log(rf"{queue_id}: from=<{name}@here.test>")
        # Kept ones were used again, and there was one for each name.
        sessions = re.findall(r"disconnect from .* auth=1", server.log())
        self.assertLess(len(sessions), 8)
        # Who has no name there is a stranger.
        self.send(client, "carol@here.test")
        client.wait_for_log("status=bounced .*554 5.7.1")
