"""
Read the files of users: .forward, and C{:include:}. Blocks; run in a thread.

A file is looked at before it is opened, for opening a device or a FIFO may do
things; and once more when it is open, for somebody may have changed it between.
What cannot be read just now (a server of home directories that does not
answer) defers mail; it is never taken for a file that is not there.

Owns: which files are trusted, how much of them is read.
Knows nothing of: what they mean; whose rights we need.

Sources: Postfix C{local/dotforward.c}, C{local/include.c}.

Errors: none; see L{Listed} and L{Trouble}.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Sequence

from txmta.delivery.expansion_state import MISCONFIGURED
from txmta.delivery.questions import Account, Listed, Trouble

#: Octets of a .forward file. Our own choice; Postfix has none.
MAX_FORWARD = 1 << 20

#: Octets of an C{:include:} file, one of a mailing list. Our own choice, for a
#: hundred thousand addresses.
MAX_INCLUDE = 4 << 20

# Errors that say something about the file, not about the system.
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)
_USELESS = (*_ABSENT, errno.EACCES, errno.EPERM)

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

_CHANGED = "file changed while it was opened"

#: Reads a file: path, flags, limit, fault; see L{_read}.
Read = Callable[[str, int, int, Callable[[os.stat_result], str]], str]


class _TooLarge(Exception):
    pass


def read_forward(
    account: Account, paths: Sequence[str], refusal: str
) -> Listed | Trouble | None:
    """
    Read the first of C{paths} that exists.

    @param refusal: C{""}: we have the user's rights. Else why not; we can
        then only say that there is none.
    @return: L{None} if there is none.
    """
    ours = not refusal
    for path in paths:
        try:
            status = os.lstat(path)
        except ValueError:
            continue  # NUL
        except OSError as e:
            if e.errno in _ABSENT or (ours and e.errno in _USELESS):
                continue
            if ours:
                return _cannot_say(path, e)
        if not ours:
            return _not_ours(account, refusal)
        return _read_forward(account, path, status)
    return None


def _not_ours(account: Account, refusal: str) -> Trouble:
    return Trouble(
        "4.3.5",
        f".forward file of {account.name} belongs to uid {account.uid}, {refusal}, "
        "or set forward_path to nothing",
    )


def _read_forward(
    account: Account, path: str, status: os.stat_result
) -> Listed | Trouble:
    owners = (0, account.uid)

    def fault(status: os.stat_result) -> str:
        if not stat.S_ISREG(status.st_mode):
            return f"file {path} is not a regular file"
        if status.st_uid not in owners:
            return f"file {path} has bad owner uid {status.st_uid}"
        if status.st_mode & stat.S_IWOTH:
            return f"file {path} is world writable"
        return ""

    warning = fault(status)
    if warning:
        return Listed(path, "", warning=warning)
    try:
        text = _read(path, _FLAGS | os.O_NOFOLLOW, MAX_FORWARD, fault)
    except _TooLarge:
        return _too_large(path, MAX_FORWARD)
    except OSError as e:
        if e.errno not in _USELESS:
            return _cannot_say(path, e)
        why = e.strerror or str(e)
        return Listed(path, "", warning=f"cannot open file {path}: {why}")
    return Listed(path, text)


def _as_we_are(owner: Account | None, read: Read) -> Read:
    return read


def read_include(
    path: str,
    superuser: bool,
    find: Callable[[int], Account | None],
    reading: Callable[[Account | None, Read], Read] = _as_we_are,
    stand_in: str = "",
) -> Listed | Trouble:
    # Over budget: one look, and another one, at the same file.
    """
    @param path: absolute; it may go through symbolic links.
    @param superuser: an alias of the superuser names it; what is in it then
        has the rights of its owner.
    @param find: the user database, by uid.
    @param reading: how it is read as its owner, if that is not the superuser.
    @param stand_in: who reads the superuser's own files; C{""}: nobody else.
    """

    def fault(status: os.stat_result) -> str:
        if not stat.S_ISREG(status.st_mode):
            return f":include: file {path} is not a regular file"
        if status.st_mode & stat.S_IWOTH:
            return f":include: file {path} is world writable"
        return ""

    try:
        status = os.stat(path)
    except OSError as e:
        if e.errno not in _USELESS:
            return _cannot_say(path, e)
        why = e.strerror or str(e)
        return _bounced(f"unable to lookup :include: file {path}: {why}")
    warning = fault(status)
    if warning:
        return _bounced(warning)
    account = None
    if superuser and status.st_uid != 0:
        account = find(status.st_uid)
        if account is None:
            warning = f"{path}: cannot find :include: file owner username"
            return Trouble("4.3.5", MISCONFIGURED, warning)

    def changed(now: os.stat_result) -> str:
        return fault(now) or (_CHANGED if now.st_uid != status.st_uid else "")

    try:
        text = reading(account, _read)(path, _FLAGS, MAX_INCLUDE, changed)
    except _TooLarge:
        return _too_large(path, MAX_INCLUDE)
    except OSError as e:
        if e.errno not in _USELESS:
            return _cannot_say(path, e)
        why = e.strerror or str(e)
        if stand_in and account is None:
            reason = f":include: file {path}: not to be read by {stand_in}: {why}"
            return Trouble("4.3.5", reason)
        return _bounced(f"cannot open include file {path}: {why}")
    return Listed(path, text, account)


def check_home(account: Account) -> Trouble | None:
    """
    require_home_directory.
    """
    try:
        os.stat(account.home)
    except OSError as e:
        why = e.strerror or str(e)
        return Trouble("4.3.0", f"cannot access home directory {account.home}: {why}")
    return None


def table_owner(item: str) -> int:
    """
    @param item: C{type:name} of alias_maps.
    @return: uid of the owner of its file; 0 for a table that is no file, which
        only main.cf can have named.
    @raise OSError: we cannot say.
    """
    name = item.removeprefix("proxy:").partition(":")[2]
    return os.stat(name).st_uid if name.startswith("/") else 0


def _read(
    path: str, flags: int, limit: int, fault: Callable[[os.stat_result], str]
) -> str:
    """
    @param fault: what is wrong with the file, once it is open.
    @raise _TooLarge: it has more than C{limit} octets.
    @raise OSError: it cannot be read.
    """
    descriptor = os.open(path, flags)
    try:
        if fault(os.fstat(descriptor)):
            raise OSError(errno.EACCES, _CHANGED)
        octets = b""
        while block := os.read(descriptor, limit + 1 - len(octets)):
            octets += block
            if len(octets) > limit:
                raise _TooLarge
    finally:
        os.close(descriptor)
    return octets.decode("utf-8", "surrogateescape")


def _bounced(warning: str) -> Trouble:
    return Trouble("5.3.5", MISCONFIGURED, warning)


def _cannot_say(path: str, error: OSError) -> Trouble:
    why = error.strerror or str(error)
    return Trouble("4.3.0", f"cannot read {path} now: {why}")


def _too_large(path: str, limit: int) -> Trouble:
    return Trouble("4.3.0", f"{path} has more than {limit} octets")
