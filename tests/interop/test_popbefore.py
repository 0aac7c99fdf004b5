"""
Mail from where somebody has logged in: a real Dovecot, its log, the running server.
"""

from __future__ import annotations

import grp
import imaplib
import os
import pwd
import shutil
import smtplib
import socket
import subprocess
import tempfile
from pathlib import Path

from tests.interop.running import RunningTestCase, account
from tests.interop.tools import ENVIRONMENT, PATIENCE, answers, free_port, wait_for
from tests.support import require, require_root

_CONF = """\
base_dir = {home}/run
state_dir = {home}/state
log_path = {home}/log/dovecot.log
default_internal_user = {helper}
default_internal_group = {group}
default_login_user = {helper}
protocols = imap
ssl = no
disable_plaintext_auth = no
first_valid_uid = 1
auth_mechanisms = plain
mail_location = maildir:~/Maildir
passdb {{
  driver = passwd-file
  args = {home}/users
}}
userdb {{
  driver = passwd-file
  args = {home}/users
}}
service anvil {{
  chroot =
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    address = 127.0.0.1
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
"""

MAIN_CF = """\
process_model = multi
processes_per_role = 2
mynetworks =
smtpd_relay_restrictions = check_client_access popbefore:{feed}, reject
relayhost = [127.0.0.1]:1
"""


class Dovecot:
    """
    An IMAP server with one user, C{joe}.
    """

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="txmta-dovecot-"))
        self.home.chmod(0o755)
        self.port = free_port()
        self.log = self.home / "log/dovecot.log"
        self.log.parent.mkdir()
        self.log.parent.chmod(0o755)
        owner = account()
        mail = self.home / "joe"
        mail.mkdir()
        os.chown(mail, owner.pw_uid, owner.pw_gid)
        ids = f"{owner.pw_uid}:{owner.pw_gid}"
        (self.home / "users").write_text(f"joe:{{PLAIN}}pw:{ids}::{mail}::\n")
        helper = pwd.getpwnam("dovecot")
        conf = self.home / "dovecot.conf"
        conf.write_text(
            _CONF.format(
                home=self.home,
                helper=helper.pw_name,
                group=grp.getgrgid(helper.pw_gid).gr_name,
                port=self.port,
            )
        )
        self._process = subprocess.Popen(
            ["dovecot", "-F", "-c", str(conf)],
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(lambda: answers(self.port), "Dovecot does not listen")

    def login(self, password: str = "pw") -> None:
        imap = imaplib.IMAP4("127.0.0.1", self.port, PATIENCE)
        try:
            imap.login("joe", password)
        finally:
            imap.logout()

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)
        shutil.rmtree(self.home)


class PopBeforeTests(RunningTestCase):
    def code(self, port: int) -> int:
        """
        @return: of the reply to a recipient elsewhere.
        """
        with smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE) as smtp:
            smtp.ehlo()
            smtp.mail("a@b.test")
            return smtp.rcpt("x@elsewhere.test")[0]

    def test_log(self) -> None:
        """
        Relaying begins with a login, one that succeeds; with all processes.
        """
        require("dovecot")
        require_root("to run a Dovecot of its own")
        dovecot = Dovecot()
        self.addCleanup(dovecot.close)
        wait_for(dovecot.log.exists, "Dovecot has no log")
        dovecot.log.chmod(0o644)
        server = self.running(MAIN_CF.format(feed=dovecot.log))
        self.assertEqual(self.code(server.port), 554)
        self.assertRaises(imaplib.IMAP4.error, dovecot.login, "wrong")
        self.assertEqual(self.code(server.port), 554)
        dovecot.login()
        wait_for(lambda: self.code(server.port) == 250, "the login is not known")
        self.assertEqual([self.code(server.port) for _ in range(8)], [250] * 8)

    def test_socket(self) -> None:
        """
        The socket is there when the server listens, and its owner may write.
        """
        require_root("to run several processes")
        folder = Path(tempfile.mkdtemp(prefix="txmta-feed-"))
        self.addCleanup(shutil.rmtree, folder)
        folder.chmod(0o755)
        path = folder / "logins.sock"
        server = self.running(MAIN_CF.format(feed=path))
        self.assertEqual(self.code(server.port), 554)
        wait_for(path.exists, "no socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as feeder:
            feeder.sendto(b"127.0.0.1\n", str(path))
        wait_for(lambda: self.code(server.port) == 250, "the login is not known")
