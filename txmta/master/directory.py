"""
The queue directory: made right, or refused.

Owns: owner, mode and kind of queue_directory and what is below.
Knows nothing of: what is kept in them.

Sources: Postfix's C{conf/postfix-files} (owners and modes),
    C{conf/post-install}, C{postfix check}.

Errors: L{ConfigError<txmta.errors.ConfigError>} with all problems.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from txmta.errors import ConfigError
from txmta.master.privileges import Account

#: Below queue_directory; sockets of others are put into private, as with Postfix,
#: and what was handed in and is no message into bad.
SUBDIRECTORIES: Sequence[str] = ("content", "private", "public", "bad")

#: Of maildrop, when everybody hands in mail there: all may make files, which get
#: its group; nobody else may list it, nor touch what is not his own.
MAILDROP_MODE = 0o3733

#: Of public, when its group may ask the server about the queue.
PUBLIC_MODE = 0o710


def prepare_queue(path: str, owner: Account, maildrop_gid: int | None = None) -> None:
    """
    @param path: queue_directory; its parent must exist.
    @param owner: who the server will be.
    @param maildrop_gid: the group of maildrop, when all users of the machine may
        hand in mail, and of public; L{None}: only C{owner} does.
    @raise ConfigError: something is there that is not as it must be.
    """
    problems: list[str] = []
    if trouble := _directory(path, owner):
        problems.append(f"queue_directory = {path}: {trouble}")
    else:
        for name in (*SUBDIRECTORIES, "maildrop"):
            below = os.path.join(path, name)
            open_to_all = name == "maildrop" and maildrop_gid is not None
            allowed = 0o022 if open_to_all else 0
            if trouble := _directory(below, owner, allowed):
                problems.append(f"queue_directory: {below}: {trouble}")
    if not problems and maildrop_gid is not None:
        problems += _open_maildrop(path, owner, maildrop_gid)
    if problems:
        raise ConfigError(problems)


def _open_maildrop(path: str, owner: Account, gid: int) -> list[str]:
    """
    Let everybody in, who knows the names, and nobody look around.

    @return: what went wrong.
    """
    below = os.path.join(path, "maildrop")
    try:
        fd = os.open(below, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            os.fchown(fd, owner.uid, gid)
            os.fchmod(fd, MAILDROP_MODE)
        finally:
            os.close(fd)
        below = os.path.join(path, "public")
        fd = os.open(below, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            os.fchown(fd, owner.uid, gid)
            os.fchmod(fd, PUBLIC_MODE)
        finally:
            os.close(fd)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            os.fchmod(fd, stat.S_IMODE(os.fstat(fd).st_mode) | 0o011)
        finally:
            os.close(fd)
    except OSError as e:
        return [f"queue_directory: {below}: cannot be opened to all: {e.strerror}"]
    return []


def _directory(path: str, owner: Account, allowed: int = 0) -> str:
    """
    @param allowed: bits of the mode that are right, though others may write.
    @return: what is wrong, or C{""}.
    """
    # The mode goes through the umask, which may take our own rights away.
    before = os.umask(0o077)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return _existing(path, owner, allowed)
    except FileNotFoundError:
        parent = os.path.dirname(path)
        return f"{parent} does not exist: make it (mkdir -p {parent})"
    except OSError as e:
        return (
            f"cannot be made: {e.strerror}: make it (install -d -m 700 -o "
            f"{owner.name} {path}), or set another queue_directory"
        )
    finally:
        os.umask(before)
    return _made(path, owner)


def _made(path: str, owner: Account) -> str:
    """
    Ours since a moment; nobody else could put anything into it.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            if os.listdir(fd) or os.fstat(fd).st_uid not in (os.geteuid(), owner.uid):
                return "has changed while it was looked at: look at what is in it"
            os.fchmod(fd, 0o700)
            if os.geteuid() == 0:
                os.fchown(fd, owner.uid, owner.gid)
        finally:
            os.close(fd)
    except OSError as e:
        return f"cannot be given to {owner.name}: {e.strerror}"
    return ""


def _existing(path: str, owner: Account, allowed: int) -> str:
    status = os.lstat(path)
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISLNK(status.st_mode):
        return "is a symbolic link: write the directory that it points to"
    if not stat.S_ISDIR(status.st_mode):
        return "is not a directory: move it away, or set another queue_directory"
    if status.st_uid != owner.uid:
        if status.st_uid == os.geteuid() == 0 and _unfinished(path):
            return _made(path, owner)
        return (
            f"belongs to {_name(status.st_uid)}, not to {owner.name}: change it "
            f"(chown -R {owner.name} {path}), or start as its owner"
        )
    if mode & 0o022 & ~allowed:
        return (
            f"can be written by others (mode {mode:o}): change it (chmod 700 {path}) "
            "and look at what is in it"
        )
    return ""


def _unfinished(path: str) -> bool:
    """
    Whether an earlier start was killed before it gave away what it had made.
    """
    try:
        return not os.listdir(path)
    except OSError:
        return False


def _name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
