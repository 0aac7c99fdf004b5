"""
Debian's C{postmap} and ours, side by side.

Postfix's commands wait for a second before they end with an error: many of them
run at a time.
"""

from __future__ import annotations

import os
import subprocess
import sys
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


def ours(
    folder: Path, *arguments: str, name: str = "postmap", text: bytes = b""
) -> Said:
    """
    Run our command.
    """
    module = f"txmta.admin.{name}"
    return _run([sys.executable, "-m", module, *arguments], folder, text)


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
            "PYTHONPATH": str(Path(txmta.__file__).parents[1]),
        },
    )
    return Said(
        done.returncode,
        done.stdout.decode("utf-8", "surrogateescape"),
        done.stderr.decode("utf-8", "surrogateescape"),
    )
