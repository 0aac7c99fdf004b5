"""
A Dovecot of the test's own, that only knows passwords.
"""

from __future__ import annotations

import os
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
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
protocols =
ssl = no
auth_mechanisms = {mechanisms}
auth_failure_delay = 0
auth_cache_size = 0
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
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
service auth {{
  unix_listener {home}/auth {{
    mode = 0666
  }}
  inet_listener {{
    address = 127.0.0.1
    port = {port}
  }}
}}
"""

#: user to password.
USERS = {"user": "wonderland", "two@here.test": "pass word"}


class DovecotAuth:
    """
    @ivar socket: of the auth service.
    @ivar port: of the same at 127.0.0.1.
    """

    def __init__(
        self, mechanisms: str = "plain login cram-md5 scram-sha-256 xoauth2"
    ) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="txmta-dovecot-"))
        self.home.chmod(0o755)
        self.socket = self.home / "auth"
        self.port = free_port()
        owner = account()
        users = "".join(
            f"{name}:{{PLAIN}}{password}:{owner.pw_uid}:{owner.pw_gid}::/tmp::\n"
            for name, password in USERS.items()
        )
        (self.home / "users").write_text(users)
        helper = "dovecot" if os.getuid() == 0 else owner.pw_name
        self._conf = self.home / "dovecot.conf"
        self._conf.write_text(
            _CONF.format(
                home=self.home,
                user=helper,
                group=helper,
                port=self.port,
                mechanisms=mechanisms,
            )
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.home / "output").open("wb") as output:
            self._process = subprocess.Popen(
                ["dovecot", "-F", "-c", str(self._conf)],
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=output,
            )
        wait_for(self.socket.exists, lambda: f"Dovecot does not listen:\n{self.log()}")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE)
            self._process = None

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.home)

    def log(self) -> str:
        paths = [self.home / name for name in ("output", "dovecot.log")]
        return "".join(path.read_text() for path in paths if path.exists())
