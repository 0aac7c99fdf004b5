"""
A real server in a folder of its own, a sink behind it, and a client.

Owns: configuration, processes, what the client was promised, what arrived.
Knows nothing of: faults (L{tests.crash.faults}), verdicts
    (L{tests.crash.verdict}).

All on 127.0.0.1. Everything started here is ended by its process id.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.crash.forked import Forked, ForkServer, wait_for_stop
from tests.crash.mails import Arrivals, Mail
from tests.crash.sink import Sink

#: Seconds for anything to happen.
PATIENCE = 20.0

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
notify_classes =
process_model = single
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


class Site:
    """
    One server and its folder.

    @cvar as_owner: the server is started as mail_owner; else as we are, and
        becomes mail_owner if that is root.
    @ivar owner: uid and gid of mail_owner.
    @ivar promised: messages answered with 250, by Message-ID.
    """

    as_owner = False

    def __init__(
        self,
        folder: Path,
        queue: Path | None = None,
        mail: Path | None = None,
        forks: ForkServer | None = None,
    ) -> None:
        """
        @param queue: where the queue is, if it is elsewhere; mail likewise.
        @param forks: starts the server, in a fifth of the time.
        """
        self._forks = forks
        self.folder = folder
        self.queue = queue or folder / "queue"
        self.mail = mail or folder / "mail"
        self.port = free_port()
        self.promised: dict[str, Mail] = {}
        self.sink = Sink()
        self._process: subprocess.Popen[bytes] | Forked | None = None
        owner = pwd.getpwnam("nobody") if os.getuid() == 0 else None
        uid, gid = (owner.pw_uid, owner.pw_gid) if owner else (os.getuid(), os.getgid())
        folder.mkdir(parents=True, exist_ok=True)
        if owner:
            for path in {folder, self.queue.parent, self.mail.parent}:
                path.chmod(0o755)
                os.chown(path, uid, gid)
        self.owner = uid, gid
        text = self.main_cf()
        if owner:
            text += "mail_owner = nobody\n"
        (folder / "main.cf").write_text(text)
        (folder / "master.cf").write_text(self.master_cf())

    def main_cf(self) -> str:
        uid, gid = self.owner
        return MAIN_CF.format(
            sink=self.sink.port,
            mail=self.mail,
            queue=self.queue,
            folder=self.folder,
            uid=uid,
            gid=gid,
        )

    def master_cf(self) -> str:
        return MASTER_CF.format(port=self.port)

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
        self._launch(mutation, False)
        self.wait_for_start()

    def hold(self) -> None:
        """
        Start a server that stops before it does anything; SIGCONT lets it go.
        """
        self._launch("", True)
        wait_for_stop(self.pid)

    def wait_for_start(self) -> None:
        self._wait(self._answers, "the server does not start")

    def wait_for_start_or_end(self) -> bool:
        """
        @return: whether it has started.
        """
        self._wait(
            lambda: not self.running or self._listens(), "the server does not start"
        )
        return self.running

    def _launch(self, mutation: str, held: bool) -> None:
        log = self.folder / "twistd.log"
        arguments = (
            *("--nodaemon", "--pidfile=", "txmta"),
            f"--config={self.folder}/main.cf",
        )
        if self._forks is not None:
            owner = self.owner if self.as_owner else None
            self._process = self._forks.fork(mutation, arguments, log, held, owner)
            return
        with open(log, "ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.crash.launch", mutation, *arguments],
                stdout=output,
                stderr=output,
                cwd=Path(__file__).parents[2],
                user=self.owner[0] if self.as_owner else None,
                group=self.owner[1] if self.as_owner else None,
                extra_groups=[] if self.as_owner and os.getuid() == 0 else None,
            )

    def _answers(self) -> bool:
        if not self.running:
            text = (self.folder / "twistd.log").read_text(errors="replace")
            raise AssertionError(f"the server ended: {text[-2000:]}")
        return self._listens()

    def _listens(self) -> bool:
        with socket.socket() as s:
            s.settimeout(PATIENCE)
            with contextlib.suppress(OSError):
                s.connect(("127.0.0.1", self.port))
                return bool(s.recv(3))
            return False

    def stop(self) -> None:
        """
        Let it end in peace.
        """
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def signal(self, number: int) -> None:
        """
        Send a signal, and do not wait for what comes of it.
        """
        assert self._process is not None, "started"
        self._process.send_signal(number)

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

        @return: the reply to each, as far as the server lived.
        """
        replies: list[bytes] = []
        with contextlib.suppress(OSError), self.session() as (put, get):
            for mail in mails:
                replies.append(self.transfer(mail, put, get))
        return replies

    def transfer(
        self,
        mail: Mail,
        put: Callable[[bytes], object],
        get: Callable[[], bytes],
    ) -> bytes:
        """
        @return: the reply to the content, or the one that ended it before.
        """
        commands = [b"MAIL FROM:<a@example.net>\r\n"]
        notify = f" NOTIFY={mail.notify}" if mail.notify else ""
        commands += [
            f"RCPT TO:<{each}>{notify}\r\n".encode() for each in mail.recipients
        ]
        for command in (*commands, b"DATA\r\n"):
            put(command)
            reply = get()
            if reply[:1] not in b"23":
                put(b"RSET\r\n")
                get()
                return reply
        put(mail.content + b".\r\n")
        reply = get()
        if reply.startswith(b"250"):
            self.promised[mail.name] = mail
        return reply

    @contextlib.contextmanager
    def session(
        self,
    ) -> Iterator[tuple[Callable[[bytes], object], Callable[[], bytes]]]:
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
            s.sendall(b"EHLO client.example.net\r\n")
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
        found.update(self.elsewhere())
        return found

    def elsewhere(self) -> Arrivals:
        """
        @return: what was delivered, but for mailboxes: no power cut of ours
            takes it away.
        """
        found = Arrivals()
        found.update(self.sink.arrivals)
        return found

    def wait_until_delivered(self, seconds: float = PATIENCE) -> bool:
        """
        @return: whether all that was promised has arrived in time.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            copies = self.arrived().copies
            if all(
                (mail.name, place) in copies
                for mail in self.promised.values()
                for place in mail.places
            ):
                return True
            time.sleep(0.01)
        return False

    @staticmethod
    def _wait(done: object, trouble: str) -> None:
        assert callable(done)
        end = time.monotonic() + PATIENCE
        while not done():
            if time.monotonic() > end:
                raise AssertionError(trouble)
            time.sleep(0.01)
