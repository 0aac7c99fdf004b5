"""
Open the mail log for a server that is about to shed root's rights.

Whoever starts the server, the file is mail_owner's: a later start as that
account can go on with it, and can open it again after logrotate.

Owns: with whose rights the file is opened, and when root may help.
Knows nothing of: what is written (L{txmta.log.sinks}).

Sources: path_resolution(7), symlink(7). Postfix opens it as its mail_owner
too, and has C{maillog_file_prefixes} against mistakes.

Errors: C{OSError} with what is wrong and what to do.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

from txmta.master.privileges import Account, acting_as


class _Refused(PermissionError):
    def __init__(self, why: str) -> None:
        super().__init__(errno.EACCES, why)


#: Links on the way to one file. As Linux.
_MAX_LINKS = 40


def open_for(path: str, account: Account, open_log: Callable[[str], int]) -> int:
    """
    @param account: who the server will be.
    @param open_log: opens it with the rights that we have, and follows no
        link in its last part.
    @return: a descriptor for appending.
    """
    if os.geteuid() != 0 or path == "/dev/stdout":
        return open_log(path)
    try:
        # With no more rights than it will have: whatever others have put in
        # its way, it could as well have opened itself.
        with acting_as(account):
            return open_log(path)
    except PermissionError:
        pass
    # Perhaps a directory of root's, such as /var/log.
    if obstacle := _not_roots(os.path.dirname(path)):
        raise _Refused(
            f"{account.name} may not write there, and {obstacle} is not root's "
            f"alone, so that root does not do it either: make the file "
            f"{account.name}'s (chown {account.name} {path})"
        )
    descriptor = open_log(path)
    try:
        _give(descriptor, path, account)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _give(descriptor: int, path: str, account: Account) -> None:
    status = os.fstat(descriptor)
    if status.st_size or status.st_nlink != 1 or not stat.S_ISREG(status.st_mode):
        # Perhaps a mistake, and the file something else of root's.
        raise _Refused(
            f"{account.name} may not write to it: if it is an earlier mail log, "
            f"chown {account.name} {path}"
        )
    os.fchown(descriptor, account.uid, account.gid)


def _not_roots(directory: str) -> str:
    """
    @return: the first directory on the way, links followed, that somebody
        besides root can change; C{""} if there is none.
    """
    todo = directory.split("/")[::-1]
    here = "/"
    links = 0
    shared = ""
    while True:
        status = os.lstat(here)
        if stat.S_ISLNK(status.st_mode):
            links += 1
            if shared or links > _MAX_LINKS:
                return shared or here
            target = os.readlink(here)
            todo += target.split("/")[::-1]
            here = "/" if target.startswith("/") else os.path.dirname(here)
            continue
        if status.st_uid != 0:
            return shared or here
        shared = here if status.st_mode & 0o022 else ""
        # In a sticky one such as /tmp, others cannot replace what is root's.
        if shared and not status.st_mode & stat.S_ISVTX:
            return shared
        while todo and not todo[-1]:
            todo.pop()
        if not todo:
            return shared
        here = os.path.join(here, todo.pop())
