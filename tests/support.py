"""
What several test packages need.

A test that needs a missing program is skipped by name; in CI, where
C{TXMTA_REQUIRE_PROGRAMS} is set, it fails instead.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from unittest import SkipTest

#: Programs such as postfix are not on an ordinary user's path.
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"

#: Run a bounded part of the longest suites.
SLICE = bool(os.environ.get("TXMTA_SLICE"))


def require(*programs: str) -> None:
    """
    Skip the test if a program is not installed; in CI, fail.
    """
    missing = [p for p in programs if shutil.which(p, path=PATH) is None]
    if missing:
        _missing(f"not installed: {', '.join(missing)}")


def require_library(name: str) -> None:
    """
    Skip the test if an optional library is not installed; in CI, fail.
    """
    if find_spec(name) is None:
        _missing(f"not installed: the library {name}")


def require_table_types(folder: str, *types: str) -> None:
    """
    Skip the test if Debian's Postfix lacks a type of table; in CI, fail.

    @param folder: has a main.cf.
    """
    done = subprocess.run(
        ["postconf", "-c", folder, "-m"],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": PATH},
    )
    packages = sorted(f"postfix-{t}" for t in set(types) - set(done.stdout.split()))
    if packages:
        _missing(f"not installed: {', '.join(packages)}")


def require_root(why: str) -> None:
    """
    Skip the test if it is not run by root.
    """
    if os.getuid() != 0:
        raise SkipTest(f"needs root: {why}")


def cases(folder: str) -> Path:
    """
    A folder of third-party cases, which are not part of the project.

    @return: its path; the test is skipped if it is not there.
    """
    root = os.environ.get("TXMTA_CASES") or str(
        Path(__file__).resolve().parents[2] / "shared" / "cases"
    )
    path = Path(root) / folder
    if not path.is_dir():
        raise SkipTest(f"no third-party cases: {folder} (set TXMTA_CASES)")
    return path


def _missing(what: str) -> None:
    if os.environ.get("TXMTA_REQUIRE_PROGRAMS"):
        raise AssertionError(f"CI must install it: {what}")
    raise SkipTest(what)


def asked(questions: int) -> None:
    """
    Say how many generated questions Postfix and txmta have answered alike: CI
    adds them up.
    """
    print(f"\nasked {questions} generated questions", flush=True)
