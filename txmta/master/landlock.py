"""
What a process may open, and where it may connect to, whatever its account may.

Owns: rules for paths, TCP ports and signals, as far as the kernel has them.
Knows nothing of: which process gets which (L{txmta.master.profiles}).

A rule holds for what is below a directory, also for files that are made later
or renamed over others. It does not rule stat(2), UDP, sockets with a path in
the file system, or descriptors that are open.

Sources: landlock(7); linux/landlock.h. ABI 1 came with Linux 5.13, 2 with
    5.19 (rename and link between directories), 3 with 6.2 (truncate), 4 with
    6.7 (TCP), 5 with 6.10 (ioctl of devices), 6 with 6.12 (signals, abstract
    sockets).

Errors: C{OSError} when a kernel that has it refuses a rule.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Sequence

from txmta.master.kernel import system_call

# The same numbers on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_ABI = 1
_PATH_BENEATH, _NET_PORT = 1, 2

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_FILE, _MAKE_DIR, _MAKE_REG, _MAKE_SYM = 1 << 5, 1 << 7, 1 << 8, 1 << 12
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_IOCTL_DEV = 1 << 15

#: Rights that the kernel knows, by ABI; what is known and not granted is denied.
_FS_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_BIND_TCP, _CONNECT_TCP = 1, 2
_SCOPE_ABSTRACT_SOCKETS, _SCOPE_SIGNALS = 1, 2

#: All that a rule for a file, not a directory, may grant.
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV

_READ = _READ_FILE | _READ_DIR
#: No devices, sockets and pipes: the store makes none. No removed directories.
_WRITE = (
    *(_READ, _WRITE_FILE, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG, _MAKE_SYM),
    *(_REFER, _TRUNCATE),
)

#: The newest ABI that this module knows; a newer kernel does at least as much.
NEWEST = 6


def kernel_abi() -> int:
    """
    @return: 0 where there is none: an older kernel, one built or booted
        without, a container that forbids it.
    """
    try:
        return system_call(_CREATE_RULESET, None, 0, _ASK_ABI)
    except OSError as e:
        if e.errno in (errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM):
            return 0
        raise


def lacking(abi: int) -> Sequence[str]:
    """
    @return: what this kernel does not do, for the log.
    """
    if abi == 0:
        return ("no Landlock: what may be opened is up to owners and modes alone",)
    found = []
    if abi < 3:
        found.append(f"Landlock {abi}: files can be truncated wherever modes allow it")
    if abi < 4:
        found.append(f"Landlock {abi}: no rules for TCP ports")
    if abi < 6:
        found.append(f"Landlock {abi}: no rules for signals and abstract sockets")
    return tuple(found)


class Ruleset:
    """
    Rules, not in force until L{restrict}. Made before chroot, while every path
    can still be named.
    """

    def __init__(self, abi: int, connect: Sequence[int] | None, bind_any: bool) -> None:
        """
        @param abi: as L{kernel_abi} gives it, not 0.
        @param connect: to these TCP ports only; L{None}: to any.
        @param bind_any: TCP sockets may be bound, by leaving the choice of the
            port to the kernel.
        """
        self._rights = _FS_RIGHTS[max(n for n in _FS_RIGHTS if n <= abi)]
        attributes = struct.pack("=Q", self._rights)
        if abi >= 4:
            handled = _BIND_TCP | (0 if connect is None else _CONNECT_TCP)
            attributes += struct.pack("=Q", handled)
        if abi >= 6:
            attributes += struct.pack("=Q", _SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNALS)
        self._fd = system_call(_CREATE_RULESET, attributes, len(attributes), 0)
        if abi >= 4:
            for port in connect or ():
                self._add(_NET_PORT, struct.pack("=QQ", _CONNECT_TCP, port))
            if bind_any:
                self._add(_NET_PORT, struct.pack("=QQ", _BIND_TCP, 0))

    def allow_read(self, path: str) -> None:
        """
        @param path: a directory with all below, or a file.
        """
        self._allow(path, _READ)

    def allow_write(self, path: str) -> None:
        """
        Read, write, make and remove.
        """
        rights = 0
        for each in _WRITE:
            rights |= each
        self._allow(path, rights)

    def restrict(self) -> None:
        """
        From here on, for the calling thread and those that it starts. Needs
        no_new_privs.
        """
        system_call(_RESTRICT_SELF, self._fd, 0)
        self.close()

    def close(self) -> None:
        """
        Forget the rules, in force or not.
        """
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _allow(self, path: str, rights: int) -> None:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not stat.S_ISDIR(os.fstat(fd).st_mode):
                rights &= _OF_FILES
            self._add(_PATH_BENEATH, struct.pack("=Qi", rights & self._rights, fd))
        except OSError as e:
            raise OSError(e.errno, f"rule for {path}: {e.strerror}") from e
        finally:
            os.close(fd)

    def _add(self, kind: int, rule: bytes) -> None:
        system_call(_ADD_RULE, self._fd, kind, ctypes.c_char_p(rule), 0)
