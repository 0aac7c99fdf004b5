"""
Sync several files and directories at once.

The kernel syncs them side by side, and those on one file system share one
commit of its journal: 16 new files in 16 directories took a tenth of the time
that they take one after the other, and half of the CPU (ext4). The process
needs no threads for it: one that changes its user ids must have none, for ids
are those of all threads.

Owns: how the kernel is asked; what is done when it cannot be.
Knows nothing of: mail; in what order files must be synced.

Sources: io_submit(2), io_getevents(2); linux/aio_abi.h; asm/unistd_64.h
(x86_64), asm-generic/unistd.h (aarch64, riscv64).

Errors: none; each descriptor has its C{OSError}.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
import threading
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

#: What became of each: L{None}, it is on disk.
Synced = list[OSError | None]

#: Syncs that the kernel has in hand for one caller; the limit for all of a
#: system is 65,536 (aio-max-nr).
MAX_AT_ONCE = 128

_IOCB_CMD_FSYNC = 2

#: C{struct iocb}: data, key, rw_flags, opcode, reqprio, fildes, buf, nbytes,
#: offset, reserved2, flags, resfd.
_ORDER = struct.Struct("<QIIHhIQQqQII")

#: C{struct io_event}: data, obj, res, res2.
_EVENT = struct.Struct("<QQqq")


class Numbers(NamedTuple):
    """
    Of the system calls.
    """

    setup: int
    submit: int
    getevents: int


_NUMBERS = {
    "x86_64": Numbers(206, 209, 208),
    "aarch64": Numbers(0, 2, 4),
    "riscv64": Numbers(0, 2, 4),
}


class Syncs:
    """
    Any number of threads may call at the same time.
    """

    def __init__(
        self,
        fsync: Callable[[int], None] = os.fsync,
        call: Callable[..., int] | None = None,
        numbers: Numbers | None = None,
    ) -> None:
        """
        @param fsync: for what the kernel does not take.
        @param call: of the system, in place of syscall(2); for tests.
        @param numbers: L{None}: of this machine.
        """
        self._fsync = fsync
        self._call = call or _system_call
        self._numbers = numbers or _numbers()
        self._lock = threading.Lock()
        # Queues that nobody uses at the moment. They live as long as the
        # process: to give one back takes milliseconds.
        self._free: list[int] = []

    def all(self, descriptors: Sequence[int]) -> Synced:
        """
        Wait until all are on disk.

        @return: in the order of C{descriptors}.
        """
        results: Synced = []
        for start in range(0, len(descriptors), MAX_AT_ONCE):
            results += self._some(descriptors[start : start + MAX_AT_ONCE])
        return results

    def _some(self, descriptors: Sequence[int]) -> Synced:
        queue = self._queue() if len(descriptors) > 1 else 0
        if not queue:
            return [sync(self._fsync, each) for each in descriptors]
        taken, results = self._together(queue, descriptors)
        return results + [sync(self._fsync, each) for each in descriptors[taken:]]

    def _queue(self) -> int:
        """
        @return: 0: there is none to be had.
        """
        with self._lock:
            if self._free:
                return self._free.pop()
        if self._numbers is None:
            return 0
        made = ctypes.c_ulong(0)
        try:
            self._call(self._numbers.setup, MAX_AT_ONCE, ctypes.byref(made))
        except OSError:  # not in this kernel, forbidden, or too many
            return 0
        return made.value

    def _together(self, queue: int, descriptors: Sequence[int]) -> tuple[int, Synced]:
        """
        @return: how many the kernel took, and what became of those.
        """
        assert self._numbers is not None
        count = len(descriptors)
        orders = ctypes.create_string_buffer(
            b"".join(
                _ORDER.pack(n, 0, 0, _IOCB_CMD_FSYNC, 0, each, 0, 0, 0, 0, 0, 0)
                for n, each in enumerate(descriptors)
            )
        )
        first = ctypes.addressof(orders)
        each = (ctypes.c_ulong * count)(
            *range(first, first + count * _ORDER.size, _ORDER.size)
        )
        try:
            taken = self._call(self._numbers.submit, queue, count, each)
        except OSError:
            taken = 0
        results: Synced = [
            OSError(errno.EIO, "the kernel does not say what became of a sync")
        ] * taken
        # A queue that was not emptied is not used again: what is in it would be
        # taken for the end of another sync.
        if self._wait(queue, results):
            with self._lock:
                self._free.append(queue)
        return taken, results

    def _wait(self, queue: int, results: Synced) -> bool:
        """
        @param results: filled in.
        @return: whether all have ended.
        """
        assert self._numbers is not None
        left = len(results)
        events = ctypes.create_string_buffer(max(1, left) * _EVENT.size)
        while left:
            try:
                got = self._call(
                    self._numbers.getevents, queue, left, left, events, None
                )
            except InterruptedError:
                continue
            except OSError:
                # Not synced again: an error of the disk is told only once, and
                # that may have been now.
                return False
            for n, _, result, _ in _EVENT.iter_unpack(events.raw[: got * _EVENT.size]):
                failed = OSError(-result, os.strerror(-result)) if result else None
                results[n] = failed
            left -= got
        return True


def sync(fsync: Callable[[int], None], descriptor: int) -> OSError | None:
    """
    @return: why it may not be on disk.
    """
    try:
        fsync(descriptor)
    except OSError as e:
        return e
    return None


def _numbers() -> Numbers | None:
    if sys.platform != "linux" or sys.byteorder != "little" or sys.maxsize < 2**32:
        return None
    return _NUMBERS.get(os.uname().machine)


@cache
def _syscall() -> Any:
    function = ctypes.CDLL(None, use_errno=True).syscall
    function.restype = ctypes.c_long
    return function


def _system_call(number: int, *arguments: object) -> int:
    passed = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result: int = _syscall()(ctypes.c_long(number), *passed)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
