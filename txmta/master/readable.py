"""
Can the mail owner read what the server is made of?

As root all is readable; after privileges are shed an interpreter or checkout
under root's home is not, and the first late import would fail in the midst of
a session. So this is asked before.

Owns: the question, by owner, group and mode.
Knows nothing of: access control lists, which only ever make it stricter here.

Sources: path_resolution(7).

Errors: L{ConfigError<txmta.errors.ConfigError>} with the directory to open.
"""

from __future__ import annotations

import os
import stat
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from functools import cache

import twisted
import twisted.plugins
import txmta
from txmta.errors import ConfigError
from txmta.master.privileges import Account


def check_readable(paths: Sequence[str], account: Account) -> None:
    """
    @param paths: as L{needed} gives them.
    @param account: who must be able to read them.
    @raise ConfigError: with the first obstacle of each path.
    """
    if account.uid == os.geteuid():
        return  # what we have read so far, we can read
    problems: dict[str, str] = {}
    for path in paths:
        obstacle = find_obstacle(path, account)
        if obstacle:
            right = "rx" if obstacle == os.path.abspath(path) else "x"
            problems.setdefault(
                obstacle,
                f"{path}: cannot be read by {account.name}, because of the mode of "
                f"{obstacle}: move it (to /opt, for example), or open the directory "
                f"(chmod o+{right} {obstacle}), or start txmta as an ordinary user",
            )
    if problems:
        raise ConfigError(list(problems.values()))


def needed(main_cf: str) -> Sequence[str]:
    """
    @param main_cf: path of main.cf.
    @return: the interpreter, its library, what is installed, ours, where
        plug-ins are, and the configuration.
    """
    # Most of sys.path has no plug-ins; what is not there is not needed.
    optional = (
        _place("purelib"),
        _place("platlib"),
        *twisted.plugins.__path__,
    )
    paths = (
        sys.executable,
        _place("stdlib"),
        *twisted.__path__,
        *txmta.__path__,
        *filter(os.path.isdir, optional),
        os.path.dirname(os.path.abspath(main_cf)),
    )
    return tuple(dict.fromkeys(map(os.path.realpath, paths)))


# Each time it would work out all places there are.
@cache
def _place(name: str) -> str:
    return sysconfig.get_path(name)


def find_obstacle(path: str, account: Account) -> str:
    """
    @return: the first directory on the way, or the path itself, that the
        account may not use; C{""} if there is none.
    """
    for step in _steps(path):
        try:
            status = os.stat(step)
        except OSError:
            continue  # not there: others say so, in better words
        rights = _rights(status, account)
        wanted = 0o1 if stat.S_ISDIR(status.st_mode) else 0o4
        if step == os.path.abspath(path):
            wanted |= 0o4
        if rights & wanted != wanted:
            return step
    return ""


def _steps(path: str) -> Iterator[str]:
    step = "/"
    yield step
    for part in os.path.abspath(path).strip("/").split("/"):
        step = os.path.join(step, part)
        yield step


def _rights(status: os.stat_result, account: Account) -> int:
    if status.st_uid == account.uid:
        return (status.st_mode >> 6) & 7
    if status.st_gid == account.gid:
        return (status.st_mode >> 3) & 7
    return status.st_mode & 7
