"""
Servers under test: how to configure, start, measure and stop them.

Owns: temporary configurations on loopback ports, process trees, their CPU
    time and memory.
Knows nothing of: what is measured with them.

All traffic stays on 127.0.0.1; whatever is started here is ended by its
process id.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

#: Seconds for a server to accept its first connection, or to stop.
PATIENCE = 30.0

TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """
    @return: a TCP port of 127.0.0.1 that nobody listens on now.
    """
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


def wait_for_port(port: int) -> None:
    """
    Wait until somebody answers on a port of 127.0.0.1.
    """
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with socket.socket() as s:
            s.settimeout(PATIENCE)
            if s.connect_ex(("127.0.0.1", port)) == 0 and s.recv(3):
                return
        time.sleep(0.05)
    raise RuntimeError(f"nobody answers on port {port}")


def tree(pid: int) -> Iterator[int]:
    """
    @return: a process and all its descendants.
    """
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:
            continue
        for child in children:
            yield from tree(int(child))


def cpu(pid: int) -> float:
    """
    @return: seconds of CPU of a process tree, reaped children included.
    """
    total = 0
    for process in tree(pid):
        try:
            stat = Path(f"/proc/{process}/stat").read_text()
        except OSError:
            continue
        fields = stat[stat.rindex(")") + 2 :].split()
        total += sum(map(int, fields[11:15]))
    return total / TICKS


def thread_cpu(pid: int) -> float:
    """
    @return: seconds of CPU of the main thread alone: in txmta, the reactor.
    """
    stat = Path(f"/proc/{pid}/task/{pid}/stat").read_text()
    fields = stat[stat.rindex(")") + 2 :].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(pid: int) -> float:
    """
    @return: megabytes of a process tree, shared pages counted once (PSS).
    """
    total = 0
    for process in tree(pid):
        try:
            text = Path(f"/proc/{process}/smaps_rollup").read_text()
        except OSError:
            continue
        match = re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)
        total += int(match[1]) if match else 0
    return total / 1024


class Peak(threading.Thread):
    """
    The highest memory of a process tree while this runs.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid = pid
        self.megabytes = 0.0
        self._end = threading.Event()

    def run(self) -> None:
        while not self._end.wait(0.5):
            self.megabytes = max(self.megabytes, memory(self.pid))

    def stop(self) -> float:
        """
        @return: megabytes.
        """
        self._end.set()
        self.join()
        return max(self.megabytes, memory(self.pid))


class Sink:
    """
    smtp-sink, and how many messages it has taken.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.count = 0
        # smtp-sink insists on an unprivileged account when root starts it.
        user = ["-u", "nobody"] if os.getuid() == 0 else []
        self._process = subprocess.Popen(
            ["smtp-sink", "-c", *user, f"127.0.0.1:{self.port}", "1000"],
            stdout=subprocess.PIPE,
        )
        threading.Thread(target=self._read, daemon=True).start()
        wait_for_port(self.port)

    def _read(self) -> None:
        out = self._process.stdout
        assert out is not None
        tail = b""
        while data := os.read(out.fileno(), 65536):
            tail = (tail + data)[-200:]
            # "sess=  12 quit=  10 mesg=  4711\r"
            found = re.findall(rb"mesg=\s*(\d+)", tail)
            if found:
                self.count = int(found[-1])

    def wait(self, count: int, seconds: float) -> None:
        """
        Wait until C{count} messages have come.
        """
        end = time.monotonic() + seconds
        while self.count < count:
            if time.monotonic() > end:
                raise RuntimeError(f"{self.count} of {count} messages came")
            time.sleep(0.005)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


class Server:
    """
    A server that relays everything from 127.0.0.1 to a sink.
    """

    name: ClassVar[str]

    def __init__(self, folder: Path, sink: int, extra: str = "") -> None:
        """
        @param sink: port of 127.0.0.1.
        @param extra: lines of main.cf that come after the usual ones.
        """
        self.folder = folder
        self.extra = extra
        self.port = free_port()
        folder.mkdir(mode=0o755)
        self.pid = self._start(sink)
        wait_for_port(self.port)

    def _start(self, sink: int) -> int:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError

    def queue_is_empty(self) -> bool:
        """
        Whether all is delivered and recorded.
        """
        raise NotImplementedError


MAIN_CF = """\
compatibility_level = 3.6
myhostname = bench.example.com
mydestination =
mynetworks = 127.0.0.0/8
inet_protocols = ipv4
inet_interfaces = 127.0.0.1
relayhost = [127.0.0.1]:{sink}
queue_directory = {folder}/queue
maillog_file = {log}
"""


class Txmta(Server):
    """
    In whatever arrangement counts by default.

    @cvar process_model: of main.cf, or C{""} for the default.
    @cvar owner: whose is the queue.
    """

    name = "txmta"
    process_model: ClassVar[str] = ""
    owner: ClassVar[str] = "daemon"

    def _start(self, sink: int) -> int:
        log = self.folder / "mail.log"
        text = MAIN_CF.format(sink=sink, folder=self.folder, log=log)
        if os.getuid() == 0:
            owner = pwd.getpwnam(self.owner)
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
            text += f"mail_owner = {self.owner}\n"
        if self.process_model:
            text += f"process_model = {self.process_model}\n"
        text += self.extra
        (self.folder / "main.cf").write_text(text)
        (self.folder / "master.cf").write_text(
            f"127.0.0.1:{self.port} inet n - n - - smtpd\n"
            "smtp unix - - n - - smtp\nrelay unix - - n - - smtp\n"
            "local unix - - n - - local\nvirtual unix - - n - - virtual\n"
            "error unix - - n - - error\nretry unix - - n - - error\n"
            "discard unix - - n - - discard\n"
        )
        self._process = subprocess.Popen(
            [
                str(Path(sys.executable).parent / "twistd"),
                "--nodaemon",
                "--pidfile=",
                f"--logfile={self.folder}/twistd.log",
                "txmta",
                f"--config={self.folder}/main.cf",
            ],
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        return self._process.pid

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(PATIENCE)

    def queue_is_empty(self) -> bool:
        log = (self.folder / "mail.log").read_text()
        return log.count("]: ") > 0 and log.count(": removed") == log.count(" client=")


class Single(Txmta):
    """
    One process: it delivers to the mailboxes of its own account only.
    """

    name = "single"
    process_model = "single"
    owner = "nobody"


class Multi(Txmta):
    name = "multi"
    process_model = "multi"


class Postfix(Server):
    name = "Postfix"

    def _start(self, sink: int) -> int:
        if os.getuid() != 0:
            raise RuntimeError("Postfix starts as root only: run this as root")
        owner = pwd.getpwnam("postfix")
        data = self.folder / "data"
        data.mkdir()
        os.chown(data, owner.pw_uid, owner.pw_gid)
        (self.folder / "queue").mkdir()
        log = self.folder / "mail.log"
        (self.folder / "main.cf").write_text(
            MAIN_CF.format(sink=sink, folder=self.folder, log=log)
            + f"data_directory = {data}\nalias_maps =\nsmtp_tls_security_level =\n"
            f"maillog_file_prefixes = /\n{self.extra}"
        )
        lines = Path("/usr/share/postfix/master.cf.dist").read_text()
        lines = re.sub(
            r"^smtp( +inet +\S+ +\S+ +)\S+",
            rf"127.0.0.1:{self.port}\1n",
            lines,
            flags=re.MULTILINE,
        )
        lines = re.sub(r"^(\w+ +unix +\S+ +\S+ +)y", r"\1n", lines, flags=re.MULTILINE)
        (self.folder / "master.cf").write_text(lines)
        self._run("start")
        pid = (self.folder / "queue/pid/master.pid").read_text()
        return int(pid)

    def _run(self, command: str) -> None:
        subprocess.run(
            ["postfix", "-c", str(self.folder), command],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def stop(self) -> None:
        self._run("stop")

    def queue_is_empty(self) -> bool:
        for queue in ("incoming", "active", "deferred"):
            if any(p.is_file() for p in (self.folder / "queue" / queue).rglob("*")):
                return False
        return True


#: By the word that the benchmarks take.
KINDS: dict[str, type[Server]] = {
    kind.name.lower(): kind for kind in (Txmta, Single, Multi, Postfix)
}

#: The one that the others are compared with.
REFERENCE = Postfix.name


def missing_programs() -> list[str]:
    """
    @return: the Debian programs that a comparison needs and that are absent.
    """
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    wanted = ("postfix", "smtp-source", "smtp-sink")
    return [name for name in wanted if shutil.which(name, path=path) is None]
