"""
A Postfix of the test's own, and a sink behind it that keeps what it relays.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.interop.listening import serve_each
from tests.support import PATH

_MASTER_CF = """\
{smtpd} inet n - n - - smtpd
{strangers} inet n - n - - smtpd -o local_header_rewrite_clients=
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

_MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {home}/spool
data_directory = {home}/lib
maillog_file = {home}/mail.log
maillog_file_prefixes = {home}
myhostname = mx.here.test
mydomain = here.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
relayhost = [127.0.0.1]:{sink}
alias_maps =
smtp_line_length_limit = 0
"""

#: Seconds for anything that takes milliseconds.
PATIENCE = 20.0


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


def last_definitions(main_cf: str) -> str:
    """
    Drop what a later line overrides.

    Every daemon warns of such a line as it starts, postlogd too, and to the
    socket that it does not read yet: with some more of them that is full, and
    then the whole instance waits for it for ever.
    """
    entries: dict[str, str] = {}
    name = ""
    for line in main_cf.splitlines(keepends=True):
        if line[:1].isspace():
            entries[name] += line
        else:
            name = line.partition("=")[0].strip()
            entries[name] = line
    return "".join(entries.values())


class Sink:
    """
    An SMTP or LMTP server that keeps every message.

    @ivar kept: content by recipient; of several, the last one's.
    @ivar mail: the MAIL command by recipient.
    """

    def __init__(self, *offers: str) -> None:
        """
        @param offers: EHLO keywords.
        """
        lines = ["sink", *offers]
        self._ehlo = "".join(
            f"250{' ' if n == len(lines) - 1 else '-'}{line}\r\n"
            for n, line in enumerate(lines)
        ).encode()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._arrived = threading.Condition()
        self._messages: list[bytes] = []
        self.kept: dict[str, bytes] = {}
        self.mail: dict[str, str] = {}
        serve_each(self._listener, self._serve)

    def close(self) -> None:
        self._listener.close()

    def take(self) -> bytes:
        """
        @return: the content of the next message.
        """
        with self._arrived:
            if not self._arrived.wait_for(lambda: self._messages, PATIENCE):
                raise AssertionError("Postfix has not relayed the message")
            return self._messages.pop(0)

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            connection.sendall(b"220 sink\r\n")
            recipient = mail = ""
            for line in lines:
                verb = line[:4].upper()
                if verb in (b"EHLO", b"LHLO"):
                    # LMTP is for single recipients here.
                    reply = self._ehlo
                elif verb == b"MAIL":
                    mail = line.decode().rstrip()
                    reply = b"250 ok\r\n"
                elif verb == b"RCPT":
                    recipient = line.partition(b"<")[2].partition(b">")[0].decode()
                    self.mail[recipient] = mail
                    reply = b"250 ok\r\n"
                elif verb == b"DATA":
                    connection.sendall(b"354 go on\r\n")
                    content = b""
                    while (line := lines.readline()) not in (b".\r\n", b""):
                        content += line.removeprefix(b".")
                    with self._arrived:
                        self._messages.append(content)
                        self.kept[recipient] = content
                        self._arrived.notify()
                    reply = b"250 ok\r\n"
                else:
                    reply = b"250 ok\r\n"
                connection.sendall(reply)


class Postfix:
    """
    @ivar ports: of the server for our clients, and for strangers.
    """

    def __init__(
        self,
        parameters: Mapping[str, str] | None = None,
        offers: Sequence[str] = ("8BITMIME", "SMTPUTF8"),
    ) -> None:
        """
        @param offers: EHLO keywords of the sink.
        """
        self.home = Path(tempfile.mkdtemp(prefix="txmta-postfix-"))
        self.sink = Sink(*offers)
        self.ports = {True: free_port(), False: free_port()}
        self.home.chmod(0o755)
        for name in ("etc", "spool", "lib"):
            (self.home / name).mkdir()
        shutil.chown(self.home / "lib", "postfix")
        main_cf = _MAIN_CF.format(home=self.home, sink=self.sink.port)
        for name, value in (parameters or {}).items():
            main_cf += f"{name} = {value}\n"
        (self.home / "etc/main.cf").write_text(main_cf)
        master_cf = _MASTER_CF.format(
            smtpd=f"127.0.0.1:{self.ports[True]}",
            strangers=f"127.0.0.1:{self.ports[False]}",
        )
        (self.home / "etc/master.cf").write_text(master_cf)

    def run(self, command: str) -> None:
        if command == "start":
            main_cf = self.home / "etc/main.cf"
            main_cf.write_text(last_definitions(main_cf.read_text()))
        subprocess.run(
            ["postfix", "-c", str(self.home / "etc"), command],
            env={**os.environ, "PATH": PATH, "TZ": "UTC"},
            check=True,
            capture_output=True,
            timeout=60,
        )

    def close(self) -> None:
        self.run("stop")
        self.sink.close()
        shutil.rmtree(self.home)

    def submit(
        self, arguments: Sequence[str], content: bytes
    ) -> subprocess.CompletedProcess[bytes]:
        """
        Hand in a message with Postfix's sendmail command.
        """
        return subprocess.run(
            ["/usr/sbin/sendmail", "-C", str(self.home / "etc"), *arguments],
            input=content,
            capture_output=True,
            timeout=PATIENCE,
            env={**os.environ, "PATH": PATH, "TZ": "UTC"},
        )

    def log(self, queue_id: str, program: str) -> list[str]:
        """
        @return: what a daemon logged about a message, after the queue id.
        """
        lines = (self.home / "mail.log").read_text("utf-8", "replace").splitlines()
        mark = f": {queue_id}: "
        return [
            line.partition(mark)[2]
            for line in lines
            if mark in line and f"/{program}[" in line
        ]

    def wait(self, queue_id: str) -> None:
        """
        Wait until the message is gone, and all that was logged of it is in the
        file: postlogd writes later than others log, but in their order.
        """
        deadline = time.monotonic() + PATIENCE
        while not self.over(queue_id):
            if time.monotonic() > deadline:
                raise AssertionError(f"{queue_id} is still there")
            time.sleep(0.02)

    def over(self, queue_id: str) -> bool:
        """
        @return: there is nothing more to wait for.
        """
        return "removed" in self.log(queue_id, "qmgr")

    def send(
        self,
        content: bytes,
        local: bool = True,
        helo: str = "EHLO client.test",
        parameters: str = "",
    ) -> str:
        """
        @param parameters: of MAIL, with a space before each.
        @return: the final reply.
        """
        with (
            socket.create_connection(("127.0.0.1", self.ports[local]), PATIENCE) as s,
            s.makefile("rb") as replies,
        ):

            def reply() -> bytes:
                line = replies.readline()
                while line[3:4] == b"-":
                    line = replies.readline()
                return line

            reply()
            mail = f"MAIL FROM:<s@x.test>{parameters}"
            for command in (helo, mail, "RCPT TO:<r@y.test>", "DATA"):
                s.sendall(command.encode() + b"\r\n")
                reply()
            lines = content.split(b"\r\n")
            stuffed = b"\r\n".join(
                b"." + line if line.startswith(b".") else line for line in lines
            )
            s.sendall(stuffed + b".\r\n")
            final = reply().decode()
            s.sendall(b"QUIT\r\n")
            return final
