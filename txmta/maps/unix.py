"""
C{unix:passwd.byname} and C{unix:group.byname}: the accounts of this machine.

Owns: asking the system, and remembering answers for a few seconds.
Knows nothing of: what a line means to whom.

A look-up blocks the process while the name service switch answers, which is
quick for files and slow for a directory server that hangs. The answers are
remembered, "no such user" too, so that a storm of recipients asks once each.

Names are folded to lower case, as in Postfix.

Sources: Postfix's DATABASE_README; C{util/dict_unix.c}; getpwnam(3).

Errors: L{TableUnavailable<txmta.errors.TableUnavailable>} when the system
cannot say.
"""

from __future__ import annotations

import ctypes
import errno
import grp
import pwd
from collections.abc import Callable
from typing import cast

from twisted.plugin import IPlugin
from zope.interface import implementer

from txmta.errors import ConfigError, TableUnavailable
from txmta.interfaces import ITable, ITableType
from txmta.maps.context import TableContext

#: Seconds for which an answer is kept: a new account works soon.
REMEMBER = 5.0

#: Answers kept; all are forgotten when there are more.
MAX_REMEMBERED = 10_000

#: What getpwnam(3) allows for "no such name", besides 0.
_NO_SUCH_NAME = frozenset({0, errno.ENOENT, errno.ESRCH, errno.EBADF, errno.EPERM})


@implementer(ITable)
class UnixTable:
    """
    @ivar ask: gives the line of a name, or L{None}; raises C{OSError} when
        it cannot say.
    """

    def __init__(
        self, spec: str, ask: Callable[[str], str | None], seconds: Callable[[], float]
    ) -> None:
        self._spec = spec
        self._ask = ask
        self._seconds = seconds
        self._known: dict[str, tuple[float, str | None]] = {}

    def lookup(self, key: str) -> str | None:
        key = key.casefold()
        now = self._seconds()
        known = self._known.get(key)
        if known is not None and now < known[0]:
            return known[1]
        try:
            line = self._ask(key)
        except OSError as e:
            raise TableUnavailable(self._spec, e.strerror or str(e)) from e
        if len(self._known) >= MAX_REMEMBERED:
            self._known.clear()
        self._known[key] = (now + REMEMBER, line)
        return line


def passwd_line(name: str) -> str | None:
    """
    @return: as in passwd(5).
    """
    try:
        p = pwd.getpwnam(name)
    except ValueError:  # a NUL in the name
        return None
    except KeyError:
        _check("getpwnam_r", name)
        return None
    return (
        f"{p.pw_name}:{p.pw_passwd}:{p.pw_uid}:{p.pw_gid}:"
        f"{p.pw_gecos}:{p.pw_dir}:{p.pw_shell}"
    )


def group_line(name: str) -> str | None:
    """
    @return: as in group(5).
    """
    try:
        g = grp.getgrnam(name)
    except ValueError:
        return None
    except KeyError:
        _check("getgrnam_r", name)
        return None
    return f"{g.gr_name}:{g.gr_passwd}:{g.gr_gid}:{','.join(g.gr_mem)}"


def _check(function: str, name: str) -> None:
    """
    Python tells "no such name" and "cannot say" alike; ask again below it.

    @raise OSError: the system cannot say.
    """
    record = ctypes.create_string_buffer(256)
    buffer = ctypes.create_string_buffer(65536)
    found = ctypes.c_void_p()
    code = getattr(ctypes.CDLL(None), function)(
        name.encode("utf-8", "surrogateescape"),
        record,
        buffer,
        ctypes.c_size_t(len(buffer)),
        ctypes.byref(found),
    )
    if code not in _NO_SUCH_NAME:
        raise OSError(code, errno.errorcode.get(code, str(code)))


_MAPS = {"passwd.byname": passwd_line, "group.byname": group_line}


@implementer(IPlugin, ITableType)
class UnixType:
    prefix = "unix"

    def open(self, name: str, context: object) -> UnixTable:
        context = cast(TableContext, context)
        if name not in _MAPS:
            raise ConfigError(
                [
                    f"{context.parameter}: {context.spec}: unknown table: "
                    f"write one of {', '.join(sorted(_MAPS))}"
                ]
            )
        return UnixTable(context.spec, _MAPS[name], context.seconds)
