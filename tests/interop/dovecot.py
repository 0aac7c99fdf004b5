"""
A Dovecot of the test's own, that takes mail by LMTP.
"""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.interop.running import account
from tests.interop.tools import ENVIRONMENT, PATIENCE, free_port, wait_for

_CONF = """\
base_dir = {home}/run
state_dir = {home}/state
log_path = {home}/dovecot.log
default_internal_user = {account}
default_internal_group = {group}
default_login_user = {account}
protocols = lmtp
ssl = no
first_valid_uid = 1
auth_mechanisms = plain
mail_location = maildir:~/Maildir
postmaster_address = postmaster@here.test
recipient_delimiter = +
mail_plugins = quota
passdb {{
  driver = passwd-file
  args = {home}/users
}}
userdb {{
  driver = passwd-file
  args = {home}/users
}}
plugin {{
  quota = maildir:quota
}}
service anvil {{
  chroot =
}}
service lmtp {{
  unix_listener {socket} {{
    mode = 0666
  }}
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
}}
"""


class Dovecot:
    """
    @ivar port: of LMTP at 127.0.0.1.
    @ivar socket: of LMTP.
    """

    def __init__(self, socket: Path, *users: str, full: str = "") -> None:
        """
        @param socket: where to listen; its folder is there.
        @param users: addresses that have a mailbox.
        @param full: one of them, in whose mailbox there is no room.
        """
        self.home = Path(tempfile.mkdtemp(prefix="txmta-dovecot-"))
        self.home.chmod(0o755)
        self.port = free_port()
        self.socket = socket
        owner = account()
        lines: list[str] = []
        for user in users:
            home = self.home / "mail" / user
            home.mkdir(parents=True)
            os.chown(home, owner.pw_uid, owner.pw_gid)
            rule = "userdb_quota_rule=*:bytes=10" if user == full else ""
            ids = f"{owner.pw_uid}:{owner.pw_gid}"
            lines.append(f"{user}:{{PLAIN}}x:{ids}::{home}::{rule}\n")
        (self.home / "users").write_text("".join(lines))
        # Root must give its helpers an account of their own.
        helper = pwd.getpwnam("dovecot") if os.getuid() == 0 else owner
        self._conf = self.home / "dovecot.conf"
        self._conf.write_text(
            _CONF.format(
                home=self.home,
                account=helper.pw_name,
                group=grp.getgrgid(helper.pw_gid).gr_name,
                socket=socket,
                port=self.port,
            )
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            ["dovecot", "-F", "-c", str(self._conf)],
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(self.home / "output").open("wb"),
        )
        wait_for(self.socket.exists, lambda: f"Dovecot does not listen:\n{self.log()}")

    def close(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE)
        shutil.rmtree(self.home)

    def maildir(self, user: str) -> Path:
        return self.home / "mail" / user / "Maildir"

    def log(self) -> str:
        names = ("output", "dovecot.log")
        paths = [self.home / name for name in names]
        return "".join(path.read_text() for path in paths if path.exists())
