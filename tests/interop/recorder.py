"""
A program that writes down how it was run, and a setting to run it in.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from tests.delivery.doubles import Setting, Table
from txmta.delivery.context import AgentContext

#: Whose rights commands get: our own, or nobody's.
UID, GID = (65534, 65534) if os.getuid() == 0 else (os.getuid(), os.getgid())

_PROGRAM = """\
#!{python} -IS
import json, os, sys
environ = {{k.decode("latin-1"): v.decode("latin-1") for k, v in os.environb.items()}}
with open("/proc/self/status") as f:
    status = dict(line.split(":", 1) for line in f if ":" in line)
found = dict(
    argv=[os.fsencode(a).decode("latin-1") for a in sys.argv[1:]],
    environ=environ,
    directory=os.getcwd(),
    umask=os.umask(0),
    leads=os.getpid() == os.getpgid(0) == os.getsid(0),
    ignored=int(status["SigIgn"], 16),
    blocked=int(status["SigBlk"], 16),
    ids=[status["Uid"].split(), status["Gid"].split(), status["Groups"].split()],
    files=sorted(map(int, os.listdir("/proc/self/fd"))),
    input=sys.stdin.buffer.read().decode("latin-1"),
)
with open({out!r}, "w") as f:
    json.dump(found, f)
"""

#: What the Python of the recorder puts there by itself.
_PYTHON_S_OWN = {"LC_CTYPE"}


@dataclass
class Record:
    """
    How the program was run.

    @ivar leads: its process leads a session and a group of its own.
    @ivar ignored: mask of signals.
    @ivar ids: Uid, Gid and Groups of /proc/PID/status.
    @ivar files: open descriptors; one is that of the listing itself.
    """

    argv: list[bytes]
    environ: dict[str, str]
    directory: str
    umask: int
    leads: bool
    ignored: int
    blocked: int
    ids: list[list[str]]
    files: list[int]
    input: bytes


class Recorder:
    """
    @ivar folder: anybody can read it, and write in C{folder/out}.
    @ivar path: of the program.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="txmta-rec-"))
        self.folder.chmod(0o755)
        (self.folder / "out").mkdir()
        (self.folder / "out").chmod(0o777)
        self.path = str(self.folder / "record")
        self._out = self.folder / "out" / "json"
        text = _PROGRAM.format(
            python=shutil.which("python3", path="/usr/bin:/bin") or sys.executable,
            out=str(self._out),
        )
        Path(self.path).write_text(text)
        Path(self.path).chmod(0o755)

    def close(self) -> None:
        shutil.rmtree(self.folder)

    def take(self) -> Record | None:
        """
        @return: how it was run, since the last time; L{None}: not at all.
        """
        if not self._out.exists():
            return None
        found = json.loads(self._out.read_text())
        self._out.unlink()
        found["argv"] = [a.encode("latin-1") for a in found["argv"]]
        found["input"] = found["input"].encode("latin-1")
        for name in _PYTHON_S_OWN:
            found["environ"].pop(name, None)
        return Record(**found)


def real_context(
    service: str = "pipe",
    words: tuple[str, ...] = (),
    settings: Mapping[str, str] | None = None,
    tables: Mapping[str, Table] | None = None,
) -> AgentContext:
    """
    @return: a context with the real reactor and threads, for real commands.
    """
    chosen = {"queue_directory": "/", **(settings or {})}
    return replace(
        Setting(tables, service, **chosen).context,
        clock=reactor,
        descriptors=reactor,
        in_thread=deferToThread,
        arguments=words,
        where="master.cf",
    )
