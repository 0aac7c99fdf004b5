"""
The sockets in C{public/}, by which the queue tools ask the server.

Owns: their paths, modes, bind and listen.
Knows nothing of: who accepts, and what is said.

Who may connect is decided by the directory, as with Postfix: its group is
setgid_group, and the sockets themselves are open to all.

Sources: unix(7); Postfix C{util/unix_listen.c}, C{conf/postfix-files}.

Errors: L{ConfigError<txmta.errors.ConfigError>}.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Iterable

from txmta.errors import ConfigError

#: Below queue_directory.
DIRECTORY = "public"

#: Connections that wait to be accepted.
BACKLOG = 64


def bind_public(queue_directory: str, names: Iterable[str]) -> dict[str, socket.socket]:
    """
    Sockets of an earlier server are replaced: the caller holds the lock of the
    queue.

    @return: listening and not blocking, by name.
    @raise ConfigError: one cannot be made; nothing is open then.
    """
    made: dict[str, socket.socket] = {}
    try:
        for name in names:
            made[name] = _bind(os.path.join(queue_directory, DIRECTORY), name)
    except OSError as e:
        for each in made.values():
            each.close()
        raise ConfigError(
            [
                f"queue_directory: {queue_directory}/{DIRECTORY}: cannot make a "
                f"socket: {e.strerror or e}: remove what is in the way, or set a "
                "queue_directory with a shorter name"
            ]
        ) from e
    return made


def _bind(directory: str, name: str) -> socket.socket:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISSOCK(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
                os.unlink(name, dir_fd=fd)
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0)
        try:
            # By its descriptor: a long path does not fit into an address.
            made.bind(f"/proc/self/fd/{fd}/{name}")
            made.listen(BACKLOG)
            made.setblocking(False)
        except OSError:
            made.close()
            raise
        finally:
            os.umask(before)
    finally:
        os.close(fd)
    return made
