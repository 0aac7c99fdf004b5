"""
The golden sessions of the SMTP server, held against Debian's Postfix.

Each session runs on a port of its own, with its settings as C{-o} options. What
Postfix says must be what the transcript says; where we differ, the transcript has
what Postfix says, and why (C{P:} lines).
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.smtp.server.golden import Golden, Step, sessions
from tests.support import PATH, require, require_root

MAIN_CF = """
compatibility_level = 3.6
queue_directory = {top}/spool
data_directory = {top}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
maillog_file = {top}/log
maillog_file_prefixes = {top}
myhostname = mx.example.org
mydomain = example.org
mydestination = example.org, mx.example.org
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 192.0.2.128/25
alias_maps =
alias_database =
local_recipient_maps = inline:{{user=x,other=x,postmaster=x,a.b=x}}
relay_domains = relay.example
relay_recipient_maps = inline:{{r@relay.example=x}}
virtual_mailbox_domains = virt.example
virtual_mailbox_maps = inline:{{v@virt.example=x}}
default_transport = discard:
local_transport = discard:
virtual_transport = discard:
relay_transport = discard:
smtpd_error_sleep_time = 0
smtpd_forbid_bare_newline = normalize
smtpd_forbid_unauth_pipelining = yes
smtpd_client_connection_count_limit = 0
"""

MASTER_CF = """
postlog   unix-dgram n  -       n       -       1       postlogd
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
trace     unix  -       -       n       -       0       bounce
proxymap  unix  -       -       n       -       -       proxymap
flush     unix  n       -       n       1000?   0       flush
anvil     unix  -       -       n       -       1       anvil
discard   unix  -       -       n       -       -       discard
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
"""

_QUEUED = re.compile(rb"queued as \w+")


def free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    for s in held:
        s.bind(("127.0.0.1", 0))
    ports = [int(s.getsockname()[1]) for s in held]
    for s in held:
        s.close()
    return ports


class Postfix:
    """
    An instance under a folder of its own.
    """

    def __init__(self, goldens: list[Golden]) -> None:
        self.top = Path(tempfile.mkdtemp(prefix="txmta-pf-"))
        ports = free_ports(len(goldens))
        self.ports = {g.name: port for g, port in zip(goldens, ports, strict=True)}
        self.conf = self.top / "conf"
        for folder in ("conf", "spool", "data"):
            (self.top / folder).mkdir()
        self.top.chmod(0o755)
        shutil.chown(self.top / "data", "postfix")
        (self.conf / "main.cf").write_text(MAIN_CF.format(top=self.top))
        services = [self.service(g) for g in goldens]
        (self.conf / "master.cf").write_text("\n".join([*services, MASTER_CF]))
        self.run("start")
        self.wait(ports[0])

    def service(self, golden: Golden) -> str:
        settings = dict(golden.settings)
        if golden.friend:
            settings["mynetworks"] = "127.0.0.0/8"
        options = "".join(f"\n  -o {{ {k} = {v} }}" for k, v in settings.items())
        port = self.ports[golden.name]
        return f"127.0.0.1:{port} inet n - n - - smtpd{options}"

    def run(self, command: str) -> None:
        subprocess.run(
            ["postfix", "-c", str(self.conf), command],
            env={**os.environ, "PATH": PATH},
            check=True,
            capture_output=True,
            timeout=60,
        )

    def wait(self, port: int) -> None:
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise AssertionError((self.top / "log").read_text())

    def stop(self) -> None:
        self.run("stop")
        shutil.rmtree(self.top, ignore_errors=True)


def replies(connection: socket.socket, wanted: bytes, closes: bool) -> bytes:
    """
    @return: what arrives until it is as long as what is wanted; a little longer
        if nothing more should come.
    """
    heard = b""
    connection.settimeout(5)
    try:
        while len(heard) < len(wanted) or closes:
            data = connection.recv(65536)
            if not data:
                return heard if closes else heard + b"<closed>"
            heard = _QUEUED.sub(b"queued as ID", heard + data)
    except TimeoutError:
        heard += b"<time-out>"
    except ConnectionResetError:
        heard += b"" if closes else b"<reset>"
    return heard


class DifferentialTests(SynchronousTestCase):
    postfix: Postfix | None = None

    def setUp(self) -> None:
        require("postfix")
        require_root("Postfix wants to be started by root")

    def play(self, golden: Golden, port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), 5) as connection:
            for step in golden.steps:
                if step.sent:
                    connection.sendall(step.sent)
                wanted = self.wanted(step)
                heard = replies(connection, wanted, step.closed)
                self.assertEqual(heard, wanted, step.sent[:80])

    def wanted(self, step: Step) -> bytes:
        lines = step.replies if step.postfix is None else step.postfix
        if step.postfix is None and "250-VRFY" in lines:
            at = lines.index("250-VRFY") + 1
            lines = [*lines[:at], "250-ETRN", *lines[at:]]
        return "".join(f"{line}\r\n" for line in lines).encode("latin-1")

    def test_sessions(self) -> None:
        """
        Postfix says the same, session by session.
        """
        goldens = list(sessions())
        postfix = Postfix(goldens)
        self.addCleanup(postfix.stop)
        failures: list[str] = []
        for golden in goldens:
            try:
                self.play(golden, postfix.ports[golden.name])
            except AssertionError as e:
                failures.append(f"{golden.name}: {e}")
        self.assertEqual(failures, [], "\n".join(failures))
