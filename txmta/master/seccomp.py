"""
System calls that a confined process cannot make.

Owns: which, the filter made of them, and putting it in force.
Knows nothing of: files and ports (L{txmta.master.landlock}).

A list of what is denied, not of what is allowed: Python, SQLite and OpenSSL
may start to use any harmless call. Denied are: other programs and processes;
signals to, and changes of, other processes of the account; tracing; sockets of
other families and new listening ones; mounts, name spaces, keys, kernel
modules; io_uring, which would do all this unseen.

Sources: seccomp(2), bpf(4); linux/filter.h, linux/seccomp.h, asm/unistd.h.

Errors: L{Unavailable} where there is none; C{OSError}.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import socket
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from txmta.master import seccomp_numbers
from txmta.master.kernel import system_call

_SET_MODE_FILTER, _TSYNC = 1, 1

# The classic BPF that seccomp takes, and its results.
_LOAD, _EQUAL, _AT_LEAST, _BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000

# struct seccomp_data: int nr; __u32 arch; __u64 instruction_pointer; __u64 args[6]
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16

_CLONE_THREAD = 0x00010000

#: Denied whatever their arguments.
DENIED: Sequence[str] = (
    # programs, processes; connections come on sockets that master has opened
    *("execve", "execveat", "fork", "vfork", "listen"),
    # other processes
    *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise"),
    *("process_mrelease", "pidfd_open", "pidfd_getfd", "pidfd_send_signal"),
    *("kcmp", "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "setpriority"),
    *("sched_setaffinity", "sched_setattr", "sched_setparam"),
    *("sched_setscheduler", "ioprio_set", "migrate_pages", "move_pages"),
    # the file system and name spaces
    *("mount", "umount2", "mount_setattr", "move_mount", "open_tree", "fsopen"),
    *("fsconfig", "fsmount", "fspick", "pivot_root", "chroot", "setns", "unshare"),
    *("swapon", "swapoff", "quotactl", "quotactl_fd", "open_by_handle_at"),
    "fanotify_init",
    # the kernel
    *("add_key", "request_key", "keyctl", "bpf", "perf_event_open"),
    *("userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register"),
    *("init_module", "finit_module", "delete_module", "kexec_load"),
    *("kexec_file_load", "personality", "syslog", "acct", "reboot", "vhangup"),
    *("modify_ldt", "iopl", "ioperm", "lookup_dcookie"),
)


class Unavailable(Exception):
    """
    There is no filter here; the text says why, for the log.
    """


@dataclass(frozen=True)
class Rule:
    """
    A call that is denied by one argument, of which 32 bits count.

    @ivar only: these values are allowed; or
    @ivar never: these are denied; or
    @ivar bits: one of these must be set.
    """

    call: str
    argument: int
    only: Sequence[int] = ()
    never: Sequence[int] = ()
    bits: int = 0


def rules(pid: int, internet: bool) -> Sequence[Rule]:
    """
    @param pid: our own.
    @param internet: may we have Internet sockets?
    """
    families = [socket.AF_UNIX]
    if internet:
        families += [socket.AF_INET, socket.AF_INET6]
    # Others, as MPTCP, are TCP that Landlock does not see.
    protocols = [0, socket.IPPROTO_TCP, socket.IPPROTO_UDP]
    return (
        Rule("socket", 0, only=families),
        Rule("socket", 2, only=protocols),
        Rule("kill", 0, only=[pid]),
        Rule("tgkill", 0, only=[pid]),
        Rule("prlimit64", 0, only=[0, pid]),
        # threads, no processes
        Rule("clone", 0, bits=_CLONE_THREAD),
        # PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_PTRACER
        Rule("prctl", 0, never=[1, 4, 0x59616D61]),
        # F_SETOWN, F_SETSIG, F_SETOWN_EX: signals to others by way of I/O
        Rule("fcntl", 1, never=[8, 10, 15]),
        # FIOSETOWN, SIOCSPGRP: likewise; TIOCSTI, TIOCLINUX: typing for root
        Rule("ioctl", 1, never=[0x8901, 0x8902, 0x5412, 0x541C]),
    )


def compile_filter(machine: seccomp_numbers.Machine, checks: Sequence[Rule]) -> bytes:
    """
    @return: instructions of 8 octets each.
    """
    eperm = _instruction(_RETURN, _ERRNO | errno.EPERM)
    program = [
        _instruction(_LOAD, _ARCHITECTURE),
        _instruction(_EQUAL, machine.architecture, 1, 0),
        eperm,
        _instruction(_LOAD, _NUMBER),
    ]
    if machine.foreign:
        program += [_instruction(_AT_LEAST, machine.foreign, 0, 1), eperm]
    for name in DENIED:
        if name in machine.numbers:
            program += [_instruction(_EQUAL, machine.numbers[name], 0, 1), eperm]
    # Its flags are in memory, which a filter cannot read; the C library takes
    # clone then.
    program += [
        _instruction(_EQUAL, machine.numbers["clone3"], 0, 1),
        _instruction(_RETURN, _ERRNO | errno.ENOSYS),
    ]
    for rule in checks:
        block = _check(rule, eperm)
        number = machine.numbers[rule.call]
        program += [_instruction(_EQUAL, number, 0, len(block)), *block]
    program.append(_instruction(_RETURN, _ALLOW))
    return b"".join(program)


def _check(rule: Rule, eperm: bytes) -> list[bytes]:
    """
    @return: what is done for that call; goes on behind if all is well, with
        its number loaded again.
    """
    again = _instruction(_LOAD, _NUMBER)
    load = _instruction(_LOAD, _ARGUMENTS + 8 * rule.argument)
    if rule.bits:
        return [load, _instruction(_BITS, rule.bits, 1, 0), eperm, again]
    if rule.only:
        n = len(rule.only)
        tests = [_instruction(_EQUAL, v, n - i, 0) for i, v in enumerate(rule.only)]
        return [load, *tests, eperm, again]
    n = len(rule.never)
    tests = [
        _instruction(_EQUAL, v, n - i - 1, 1 if i == n - 1 else 0)
        for i, v in enumerate(rule.never)
    ]
    return [load, *tests, eperm, again]


def _instruction(code: int, value: int, true: int = 0, false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, true, false, value)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))


def restrict(internet: bool) -> None:
    """
    Put the filter in force, for all threads. Needs no_new_privs.

    @raise Unavailable: this machine or kernel has none.
    """
    machine = seccomp_numbers.MACHINES.get(platform.machine())
    if machine is None or sys.byteorder != "little" or sys.maxsize < 2**32:
        raise Unavailable(f"no filter of system calls for {platform.machine()}")
    code = compile_filter(machine, rules(os.getpid(), internet))
    held = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.addressof(held))
    try:
        system_call(
            machine.numbers["seccomp"], _SET_MODE_FILTER, _TSYNC, ctypes.byref(program)
        )
    except OSError as e:
        # An old kernel; one built without; a container that forbids it.
        if e.errno in (errno.ENOSYS, errno.EINVAL, errno.EPERM):
            raise Unavailable("no filters of system calls on this kernel") from e
        raise
