"""
A real server in a folder of its own, a sink behind it, and a client.

Owns: configuration, processes, what the client was promised, what arrived.
Knows nothing of: faults (L{tests.crash.faults}), verdicts
    (L{tests.crash.verdict}).

All on 127.0.0.1. Everything started here is ended by its process id.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import re
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

#: Seconds for anything to happen.
PATIENCE = 20.0

_MESSAGE_ID = re.compile(rb"^Message-ID: <([^>]*)>", re.MULTILINE | re.IGNORECASE)

MAIN_CF = """\
compatibility_level = 3.9
myhostname = crash.example.com
mydestination =
alias_maps =
local_recipient_maps =
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:{sink}
virtual_mailbox_domains = example.com
virtual_mailbox_base = {mail}
virtual_mailbox_maps = static:me/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
queue_directory = {queue}
maillog_file = {folder}/mail.log
minimal_backoff_time = 1s
maximal_backoff_time = 1s
queue_run_delay = 1s
smtp_connect_timeout = 5s
"""

MASTER_CF = """\
127.0.0.1:{port} inet n - n - - smtpd
smtp unix - - n - - smtp
relay unix - - n - - smtp
local unix - n n - - local
virtual unix - n n - - virtual
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
"""


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


@dataclass(frozen=True)
class Mail:
    """
    One message of a scenario.

    @ivar name: its Message-ID.
    @ivar recipients: relayed if not at example.com.
    """

    name: str
    recipients: tuple[str, ...]
    size: int

    @property
    def content(self) -> bytes:
        line = hashlib.sha256(self.name.encode()).hexdigest().encode() + b"\r\n"
        body = line * (self.size // len(line) + 1)
        return (
            b"Message-ID: <" + self.name.encode() + b">\r\nFrom: <a@example.net>\r\n"
            b"Date: Tue, 24 Nov 2026 00:00:00 +0000\r\n\r\n" + body
        )


def body_hash(octets: bytes) -> str:
    """
    @param octets: a message with either line end.
    """
    body = octets.replace(b"\r\n", b"\n").partition(b"\n\n")[2]
    return hashlib.sha256(body).hexdigest()


def name_of(octets: bytes) -> str:
    """
    @return: the Message-ID, or C{""}.
    """
    match = _MESSAGE_ID.search(octets)
    return match[1].decode("ascii", "replace") if match else ""


@dataclass
class Arrivals:
    """
    What has arrived where: (Message-ID, recipient) to the hash of each copy.
    """

    copies: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def add(self, recipient: str, octets: bytes) -> None:
        key = name_of(octets), recipient
        self.copies.setdefault(key, []).append(body_hash(octets))


class _SinkSession(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        server = self.server
        assert isinstance(server, Sink)
        recipients: list[str] = []
        self._say(b"220 sink")
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb == b"RCPT":
                recipients.append(line.decode().partition("<")[2].partition(">")[0])
                self._say(b"250 ok")
            elif verb == b"DATA":
                self._say(b"354 go on")
                octets = self._content()
                if octets is None:
                    return
                for recipient in recipients:
                    server.arrivals.add(recipient, octets)
                recipients = []
                self._say(b"250 taken")
            elif verb == b"QUIT":
                self._say(b"221 bye")
                return
            else:
                self._say(b"250 ok")

    def _content(self) -> bytes | None:
        lines: list[bytes] = []
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                return None
            lines.append(line[1:] if line.startswith(b".") else line)
        return b"".join(lines)

    def _say(self, reply: bytes) -> None:
        self.wfile.write(reply + b"\r\n")


class Sink(socketserver.ThreadingTCPServer):
    """
    The next hop: what it has acknowledged is delivered.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _SinkSession)
        self.arrivals = Arrivals()
        self.port: int = self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request: object, client_address: object) -> None:
        """
        Peers that are killed are what this is for.
        """

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


class Site:
    """
    One server and its folder.

    @ivar promised: messages answered with 250, by Message-ID.
    """

    def __init__(
        self, folder: Path, queue: Path | None = None, mail: Path | None = None
    ) -> None:
        """
        @param queue: where the queue is, if it is elsewhere; mail likewise.
        """
        self.folder = folder
        self.queue = queue or folder / "queue"
        self.mail = mail or folder / "mail"
        self.port = free_port()
        self.promised: dict[str, Mail] = {}
        self.sink = Sink()
        self._process: subprocess.Popen[bytes] | None = None
        owner = pwd.getpwnam("nobody") if os.getuid() == 0 else None
        uid, gid = (owner.pw_uid, owner.pw_gid) if owner else (os.getuid(), os.getgid())
        folder.mkdir(parents=True, exist_ok=True)
        if owner:
            for path in {folder, self.queue.parent, self.mail.parent}:
                path.chmod(0o755)
                os.chown(path, uid, gid)
        text = MAIN_CF.format(
            sink=self.sink.port,
            mail=self.mail,
            queue=self.queue,
            folder=folder,
            uid=uid,
            gid=gid,
        )
        if owner:
            text += "mail_owner = nobody\n"
        (folder / "main.cf").write_text(text)
        (folder / "master.cf").write_text(MASTER_CF.format(port=self.port))

    @property
    def pid(self) -> int:
        assert self._process is not None, "started"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, mutation: str = "") -> None:
        """
        @param mutation: of L{tests.crash.launch}, applied to the server.
        """
        with open(self.folder / "twistd.log", "ab") as output:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "tests.crash.launch", mutation),
                    *("--nodaemon", "--pidfile=", "txmta"),
                    f"--config={self.folder}/main.cf",
                ],
                stdout=output,
                stderr=output,
                cwd=Path(__file__).parents[2],
            )
        self._wait(self._answers, "the server does not start")

    def _answers(self) -> bool:
        if not self.running:
            text = (self.folder / "twistd.log").read_text(errors="replace")
            raise AssertionError(f"the server ended: {text[-2000:]}")
        with socket.socket() as s:
            s.settimeout(PATIENCE)
            return s.connect_ex(("127.0.0.1", self.port)) == 0 and bool(s.recv(3))

    def stop(self) -> None:
        """
        Let it end in peace.
        """
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def wait_for_end(self, seconds: float) -> bool:
        """
        @return: whether it has ended.
        """
        assert self._process is not None, "started"
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return not self.running

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
                raise AssertionError("the server does not stop") from None

    def close(self) -> None:
        self.kill()
        self.sink.stop()

    # The client.

    def send(self, *mails: Mail) -> list[bytes]:
        """
        Send over one connection, and note what is promised.

        @return: the replies to each content, as far as the server lived.
        """
        replies: list[bytes] = []
        with contextlib.suppress(OSError), self._session() as (put, get):
            for mail in mails:
                put(b"MAIL FROM:<a@example.net>\r\n")
                get()
                for recipient in mail.recipients:
                    put(f"RCPT TO:<{recipient}>\r\n".encode())
                    get()
                put(b"DATA\r\n")
                reply = get()
                if reply.startswith(b"354"):
                    put(mail.content + b".\r\n")
                    reply = get()
                replies.append(reply)
                if reply.startswith(b"250"):
                    self.promised[mail.name] = mail
        return replies

    @contextlib.contextmanager
    def _session(self) -> Iterator[tuple]:  # type: ignore[type-arg]
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as s:
            file = s.makefile("rb")

            def get() -> bytes:
                line = file.readline()
                while line[3:4] == b"-":
                    line = file.readline()
                if not line:
                    raise ConnectionError("the server is gone")
                return line

            get()
            s.sendall(b"HELO client.example.net\r\n")
            get()
            yield s.sendall, get

    # What arrived.

    def mailbox(self, mail: Path | None = None) -> Arrivals:
        """
        @return: what a mail reader sees.
        """
        found = Arrivals()
        new = (mail or self.mail) / "me" / "new"
        for path in sorted(new.iterdir()) if new.is_dir() else ():
            found.add("me@example.com", path.read_bytes())
        return found

    def arrived(self) -> Arrivals:
        """
        @return: all that was delivered.
        """
        found = self.mailbox()
        found.copies.update(self.sink.arrivals.copies)
        return found

    def wait_until_delivered(self, seconds: float = PATIENCE) -> bool:
        """
        @return: whether all that was promised has arrived in time.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            copies = self.arrived().copies
            if all(
                (mail.name, recipient) in copies
                for mail in self.promised.values()
                for recipient in mail.recipients
            ):
                return True
            time.sleep(0.05)
        return False

    @staticmethod
    def _wait(done: object, trouble: str) -> None:
        assert callable(done)
        end = time.monotonic() + PATIENCE
        while not done():
            if time.monotonic() > end:
                raise AssertionError(trouble)
            time.sleep(0.02)


#: Small and relayed; small to a Maildir; large, with a content file, to both.
THREE = (
    Mail("relayed", ("r@example.org",), 2000),
    Mail("delivered", ("me@example.com",), 2000),
    Mail("large", ("r@example.org", "me@example.com"), 100_000),
)
