"""
System calls that Python has no function for.

Owns: how they are called, and that a failure is an C{OSError}.
Knows nothing of: what they are for.

Sources: prctl(2), capabilities(7), capget(2), syscall(2).

Errors: C{OSError}; C{ENOSYS} where there is no such call.
"""

from __future__ import annotations

import ctypes
import errno
import os
from functools import cache
from typing import Any

#: Of linux/capability.h: two words for each of the three sets.
_CAPABILITY_VERSION_3 = 0x20080522

# prctl(2)
PR_SET_PDEATHSIG = 1
PR_GET_PDEATHSIG = 2
PR_GET_DUMPABLE = 3
PR_SET_DUMPABLE = 4
PR_GET_SECCOMP = 21
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_GET_NO_NEW_PRIVS = 39


def prctl(option: int, argument: int = 0) -> int:
    """
    @return: what the call returns; some C{PR_GET_} answer that way.
    """
    arguments = [ctypes.c_ulong(each) for each in (argument, 0, 0, 0)]
    return _checked(_function("prctl")(ctypes.c_int(option), *arguments))


def system_call(number: int, *arguments: object) -> int:
    """
    @param arguments: numbers, and what ctypes passes as pointers.
    """
    passed = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return _checked(_function("syscall")(ctypes.c_long(number), *passed))


def death_signal() -> int:
    """
    @return: the signal that we get when our parent dies; 0: none.
    """
    found = ctypes.c_int(0)
    rest = [ctypes.c_ulong(0)] * 3
    _checked(_function("prctl")(PR_GET_PDEATHSIG, ctypes.byref(found), *rest))
    return found.value


def capabilities() -> tuple[int, int, int]:
    """
    @return: the effective, permitted and inheritable set.
    """
    sets = (ctypes.c_uint32 * 6)()
    _checked(_function("capget")(ctypes.byref(_own_header()), ctypes.byref(sets)))
    low, high = sets[:3], sets[3:]
    effective, permitted, inheritable = (
        a | b << 32 for a, b in zip(low, high, strict=True)
    )
    return effective, permitted, inheritable


def give_up_capabilities() -> None:
    """
    Empty these three sets. Always allowed.
    """
    sets = (ctypes.c_uint32 * 6)()
    _checked(_function("capset")(ctypes.byref(_own_header()), ctypes.byref(sets)))


def bounding_set() -> int:
    """
    @return: what a program could still be given.
    """
    found = 0
    for number in range(64):
        try:
            found |= prctl(PR_CAPBSET_READ, number) << number
        except OSError as e:
            if e.errno == errno.EINVAL:  # the kernel has no more
                break
            raise
    return found


def drop_bounding_set() -> None:
    """
    No program can give us a capability again.

    @raise OSError: C{EPERM} without CAP_SETPCAP.
    """
    for number in range(64):
        try:
            prctl(PR_CAPBSET_DROP, number)
        except OSError as e:
            if e.errno == errno.EINVAL:
                break
            raise


def _own_header() -> Any:
    return (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)


# Loading the library costs as much as twenty calls.
@cache
def _function(name: str) -> Any:
    try:
        return getattr(ctypes.CDLL(None, use_errno=True), name)
    except (OSError, AttributeError) as e:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from e


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
