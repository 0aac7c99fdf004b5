"""
Debian's C{postmap} and ours, side by side.

Postfix's commands wait for a second before they end with an error: many of them
run at a time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import txmta
from tests.support import PATH

T = TypeVar("T")
R = TypeVar("R")

#: Commands at a time. Most of them wait.
MANY = 24


@dataclass(frozen=True)
class Said:
    """
    What a command did.
    """

    status: int
    output: str
    errors: str


def examples(
    strategy: st.SearchStrategy[T], number: int, fixed: bool = True
) -> list[T]:
    """
    @param fixed: the same in each run.
    @return: so many of it.
    """
    found: list[T] = []

    @settings(
        max_examples=number,
        derandomize=fixed,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(one: T) -> None:
        found.append(one)

    collect()
    return found


def at_once(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """
    @return: what C{work} gives for each item, in their order.
    """
    with ThreadPoolExecutor(MANY) as pool:
        return list(pool.map(work, items))


def theirs(
    folder: Path, *arguments: str, name: str = "postmap", text: bytes = b""
) -> Said:
    """
    Run Debian's command.

    @param folder: where its main.cf is, and where it runs.
    """
    return _run([name, *arguments], folder, text)


class Ours:
    """
    Runs our commands, each in a process of its own, which begins where Python has
    imported them already.
    """

    def __init__(self, all_types: bool = False) -> None:
        """
        @param all_types: types that need Twisted are imported already, too.
        """
        self._process = subprocess.Popen(
            [sys.executable, "-c", _ALL_TYPES + _RUNNER if all_types else _RUNNER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(txmta.__file__).parents[1])},
        )
        self._turn = threading.Lock()

    def close(self) -> None:
        self._process.communicate(timeout=60)

    def __call__(
        self, folder: Path, *arguments: str, name: str = "postmap", text: bytes = b""
    ) -> Said:
        """
        As L{theirs}.
        """
        given = text.decode("utf-8", "surrogateescape")
        order = json.dumps([str(folder), name, arguments, given])
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        with self._turn:
            stdin.write(f"{order}\n".encode())
            stdin.flush()
            return Said(*json.loads(stdout.readline()))


_ALL_TYPES = """
from txmta.maps.registry import TableRegistry
TableRegistry(float, print)
"""

#: One order a line; each is done by a child, and its outcome is a line.
_RUNNER = """
import json, os, sys, tempfile
from txmta.admin import postalias, postmap, postmap_build, postmap_files
from txmta.maps import cidr, indexed, pcre, regexp

def child(folder, name, arguments, files):
    os.chdir(folder)
    os.environ["MAIL_CONFIG"] = folder
    for n, file in enumerate(files):
        os.dup2(file.fileno(), n)
    for stream, n, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        setattr(sys, stream, open(n, mode, errors="surrogateescape"))
    status = {"postmap": postmap, "postalias": postalias}[name].main(arguments)
    sys.stdout.flush()
    os._exit(status)

for line in sys.stdin:
    folder, name, arguments, given = json.loads(line)
    files = [tempfile.TemporaryFile() for _ in range(3)]
    files[0].write(given.encode("utf-8", "surrogateescape"))
    files[0].seek(0)
    pid = os.fork()
    if pid == 0:
        try:
            child(folder, name, arguments, files)
        finally:
            os._exit(99)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    texts = []
    for file in files[1:]:
        file.seek(0)
        texts.append(file.read().decode("utf-8", "surrogateescape"))
        file.close()
    print(json.dumps([status, *texts]), flush=True)
"""


def _run(command: Sequence[str], folder: Path, text: bytes) -> Said:
    done = subprocess.run(
        command,
        cwd=folder,
        input=text,
        capture_output=True,
        timeout=60,
        env={
            **os.environ,
            "PATH": PATH,
            "MAIL_CONFIG": str(folder),
        },
    )
    return Said(
        done.returncode,
        done.stdout.decode("utf-8", "surrogateescape"),
        done.stderr.decode("utf-8", "surrogateescape"),
    )
