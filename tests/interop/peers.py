"""
Other servers, as next hops and as clients of txmta: Debian's Postfix and
smtp-sink, aiosmtpd, and whatever a test plays itself.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.interop.listening import serve_each
from tests.interop.tools import (
    ENVIRONMENT,
    FAMILIES,
    OWNER,
    PATIENCE,
    answers,
    combined,
    free_port,
    literal,
    wait_for,
)

POSTFIX_MASTER_CF = """\
{listeners}cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
lmtp unix - - n - - lmtp
virtual unix - n n - - virtual
discard unix - - n - - discard
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

_POSTFIX_MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
myhostname = postfix.there.test
mydestination =
mynetworks = 127.0.0.0/8 [::1]/128
inet_protocols = all
alias_maps =
smtp_tls_security_level =
smtpd_tls_security_level =
virtual_mailbox_domains = there.test
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = static:box/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
"""


class Postfix:
    """
    Debian's Postfix, in a folder of its own, on a port of both families.

    Mail for there.test goes to the Maildir C{box}.
    """

    def __init__(self, main_cf: str = "") -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="txmta-postfix-"))
        self.folder.chmod(0o755)
        self.port = free_port()
        owner = pwd.getpwnam(OWNER)
        for name in ("queue", "data", "mail"):
            (self.folder / name).mkdir()
        shutil.chown(self.folder / "data", "postfix")
        shutil.chown(self.folder / "mail", OWNER)
        self.box = self.folder / "mail" / "box"
        text = _POSTFIX_MAIN_CF.format(
            folder=self.folder, uid=owner.pw_uid, gid=owner.pw_gid
        )
        (self.folder / "main.cf").write_text(combined(text, main_cf))
        listeners = "".join(
            f"{literal(a)}:{self.port} inet n - n - - smtpd\n" for a in FAMILIES
        )
        (self.folder / "master.cf").write_text(
            POSTFIX_MASTER_CF.format(listeners=listeners)
        )

    def start(self) -> None:
        self.run("postfix", "start")
        wait_for(lambda: answers(self.port), "Postfix does not listen")

    def run(self, program: str, *arguments: str) -> str:
        """
        @return: what one of Postfix's commands says.
        """
        done = subprocess.run(
            [program, "-c", str(self.folder), *arguments],
            env=ENVIRONMENT,
            check=True,
            capture_output=True,
            text=True,
            timeout=PATIENCE * 2,
        )
        return done.stdout

    def close(self) -> None:
        if (self.folder / "queue" / "pid" / "master.pid").exists():
            self.run("postfix", "stop")
        shutil.rmtree(self.folder)

    def log(self) -> str:
        path = self.folder / "mail.log"
        return path.read_text() if path.exists() else ""

    def wait_for_log(self, words: str, count: int = 1) -> None:
        wait_for(lambda: self.log().count(words) >= count, self.log)


class SmtpSink:
    """
    smtp-sink, which counts.
    """

    def __init__(self, address: str = "127.0.0.1", *options: str) -> None:
        self.port = free_port()
        self._output = ""
        # It insists on an unprivileged account when root starts it.
        user = ["-u", OWNER] if os.getuid() == 0 else []
        where = f"inet:{literal(address)}:{self.port}"
        self._process = subprocess.Popen(
            ["smtp-sink", "-c", *user, *options, where, "100"],
            stdout=subprocess.PIPE,
            env=ENVIRONMENT,
        )
        threading.Thread(target=self._read, daemon=True).start()
        wait_for(lambda: answers(self.port, address), "smtp-sink does not listen")

    @property
    def count(self) -> int:
        """
        @return: messages so far.
        """
        found = re.findall(r"mesg=\s*(\d+)", self._output)
        return int(found[-1]) if found else 0

    def wait(self, count: int) -> None:
        wait_for(lambda: self.count >= count, lambda: f"{self.count} of {count} came")

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)

    def _read(self) -> None:
        out = self._process.stdout
        assert out is not None
        with out:
            while data := os.read(out.fileno(), 65536):
                self._output = (self._output + data.decode())[-400:]


@dataclass(frozen=True)
class Message:
    """
    What an L{AioSmtpd} got.
    """

    sender: str
    recipients: Sequence[str]
    options: Sequence[str]
    content: bytes


@dataclass
class AioSmtpd:
    """
    aiosmtpd, in a thread of its own; offers SMTPUTF8.

    @ivar refuses: recipients that contain one of these are refused with 550.
    """

    address: str = "127.0.0.1"
    refuses: Iterable[str] = ()
    port: int = field(default_factory=free_port)
    messages: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._controller = _Controller(
            self,
            hostname=self.address,
            port=self.port,
            enable_SMTPUTF8=True,
            data_size_limit=0,
        )
        self._controller.start()

    def close(self) -> None:
        self._controller.stop()

    async def handle_RCPT(
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        to: str,
        options: list[str],
    ) -> str:
        if any(word in to for word in self.refuses):
            return "550 5.1.1 no such user here"
        envelope.rcpt_tos.append(to)
        return "250 2.1.5 OK"

    async def handle_DATA(
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        content = envelope.original_content
        assert content is not None
        message = Message(
            envelope.mail_from or "",
            tuple(envelope.rcpt_tos),
            tuple(envelope.mail_options),
            content,
        )
        self.messages.append(message)
        return "250 2.0.0 OK"

    def take(self, count: int = 1) -> Sequence[Message]:
        """
        @return: all messages, C{count} of them or more.
        """
        return wait_for(
            lambda: self.messages if len(self.messages) >= count else [],
            lambda: f"{len(self.messages)} of {count} messages have come",
        )


class _Controller(Controller):
    """
    With lines as long as they come.
    """

    def factory(self) -> SMTP:
        server: SMTP = super().factory()
        server.line_length_limit = 2**20
        return server


class Rogue:
    """
    A next hop that plays a part: C{play} gets each connection, in a thread.
    """

    def __init__(
        self, play: Callable[[socket.socket], None], address: str = "127.0.0.1"
    ) -> None:
        self._play = play
        self.port = free_port()
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.create_server((address, self.port), family=family)
        self.connections = 0
        serve_each(self._listener, self._counted)

    def close(self) -> None:
        # close() alone does not wake up accept()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _counted(self, connection: socket.socket) -> None:
        self.connections += 1
        self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE)
        with connection, contextlib.suppress(OSError):
            self._play(connection)
