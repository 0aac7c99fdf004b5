"""
Tests of the filter of system calls: what is in it, on each machine. What it
does in a process is in L{tests.master.test_confine}.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from txmta.master import seccomp
from txmta.master.seccomp import DENIED, Unavailable, compile_filter, restrict, rules
from txmta.master.seccomp_numbers import MACHINES, Machine

PID = 4711
ALLOW = "allow"


def run(code: bytes, machine: Machine, number: int, *arguments: int) -> str:
    """
    Do what the kernel does with a filter.

    @return: L{ALLOW}, or the name of the error.
    """
    data = struct.pack("=iIQ", number, machine.architecture, 0)
    data += struct.pack("=6Q", *(arguments + (0,) * 6)[:6])
    program = list(struct.iter_unpack("=HBBI", code))
    at = held = 0
    while True:
        operation, true, false, value = program[at]
        at += 1
        if operation == 0x20:
            held = struct.unpack_from("=I", data, value)[0]
        elif operation == 0x06:
            return ALLOW if value == 0x7FFF0000 else errno.errorcode[value & 0xFFFF]
        else:
            holds = {
                0x15: held == value,
                0x35: held >= value,
                0x45: bool(held & value),
            }[operation]
            at += true if holds else false


class FilterTests(SynchronousTestCase):
    def answers(self, internet: bool, call: str, *arguments: int) -> str:
        """
        @return: of all machines, which must agree.
        """
        found = {
            run(
                compile_filter(machine, rules(PID, internet)),
                machine,
                machine.numbers[call],
                *arguments,
            )
            for machine in MACHINES.values()
            if call in machine.numbers
        }
        self.assertEqual(len(found), 1, call)
        return found.pop()

    def test_denied(self) -> None:
        """
        Each call that is listed, whatever its arguments.
        """
        for call in DENIED:
            self.assertEqual(self.answers(True, call, PID), "EPERM", call)
        self.assertEqual(self.answers(True, "clone3"), "ENOSYS")

    def test_allowed(self) -> None:
        """
        A call that is not named, such as read(2) and write(2).
        """
        for machine in MACHINES.values():
            code = compile_filter(machine, rules(PID, False))
            named = set(machine.numbers.values()) - {machine.numbers["seccomp"]}
            for number in set(range(600)) - named:
                self.assertEqual(run(code, machine, number), ALLOW, str(number))

    def test_other_architecture(self) -> None:
        """
        Code for 32 bits has other numbers; the x32 ABI, others above a border.
        """
        intel, arm = MACHINES["x86_64"], MACHINES["aarch64"]
        code = compile_filter(intel, rules(PID, True))
        self.assertEqual(run(code, arm, 0), "EPERM")
        self.assertEqual(run(code, intel, 0x40000000), "EPERM")
        self.assertEqual(run(code, intel, 0x3FFFFFFF), ALLOW)

    def test_arguments(self) -> None:
        """
        Calls that are denied by an argument only.
        """
        for internet, call, arguments, wanted in (
            (True, "socket", (1, 1, 0), ALLOW),
            (True, "socket", (2, 1, 6), ALLOW),
            (True, "socket", (10, 2, 17), ALLOW),
            (True, "socket", (2, 1, 262), "EPERM"),
            (True, "socket", (16, 3, 0), "EPERM"),
            (False, "socket", (1, 0x80801, 0), ALLOW),
            (False, "socket", (2, 1, 0), "EPERM"),
            (False, "socket", (10, 1, 0), "EPERM"),
            (True, "kill", (PID, 9), ALLOW),
            (True, "kill", (0, 9), "EPERM"),
            (True, "kill", (2**64 - PID, 9), "EPERM"),
            (True, "kill", (PID + 1, 0), "EPERM"),
            (True, "tgkill", (PID, 5, 6), ALLOW),
            (True, "tgkill", (5, 5, 6), "EPERM"),
            (True, "prlimit64", (0, 7), ALLOW),
            (True, "prlimit64", (PID, 7), ALLOW),
            (True, "prlimit64", (PID - 1, 7), "EPERM"),
            (True, "clone", (0x3D0F00,), ALLOW),
            (True, "clone", (0x1200011,), "EPERM"),
            (True, "prctl", (4, 1), "EPERM"),
            (True, "prctl", (1, 0), "EPERM"),
            (True, "prctl", (0x59616D61, 1), "EPERM"),
            (True, "prctl", (15, 1), ALLOW),
            (True, "prctl", (3, 4), ALLOW),
            (True, "fcntl", (3, 8, PID), "EPERM"),
            (True, "fcntl", (3, 15, PID), "EPERM"),
            (True, "fcntl", (3, 10, PID), "EPERM"),
            (True, "fcntl", (8, 6, 0), ALLOW),
            (True, "ioctl", (0, 0x5412), "EPERM"),
            (True, "ioctl", (0, 0x541C), "EPERM"),
            (True, "ioctl", (0, 0x8901), "EPERM"),
            (True, "ioctl", (0, 0x8902), "EPERM"),
            (True, "ioctl", (0, 0x5421), ALLOW),
        ):
            found = self.answers(internet, call, *arguments)
            self.assertEqual(found, wanted, f"{call}{arguments}, {internet}")

    def test_half_an_argument(self) -> None:
        """
        The kernel takes 32 bits of these arguments: what is above hides
        nothing.
        """
        above = 1 << 32
        self.assertEqual(self.answers(True, "kill", above | 1), "EPERM")
        self.assertEqual(self.answers(True, "ioctl", 0, above | 0x5412), "EPERM")
        self.assertEqual(self.answers(True, "socket", above | 16), "EPERM")


#: What is refused for one reason or another; the reasons are in the module.
WANTED = """
execve execveat fork vfork listen ptrace process_vm_readv process_vm_writev
process_madvise process_mrelease pidfd_open pidfd_getfd pidfd_send_signal kcmp tkill
rt_sigqueueinfo rt_tgsigqueueinfo setpriority sched_setaffinity sched_setattr
sched_setparam sched_setscheduler ioprio_set migrate_pages move_pages mount umount2
mount_setattr move_mount open_tree fsopen fsconfig fsmount fspick pivot_root chroot
setns unshare swapon swapoff quotactl quotactl_fd open_by_handle_at fanotify_init
add_key request_key keyctl bpf perf_event_open userfaultfd io_uring_setup
io_uring_enter io_uring_register init_module finit_module delete_module kexec_load
kexec_file_load personality syslog acct reboot vhangup modify_ldt iopl ioperm
lookup_dcookie
"""


class NumbersTests(SynchronousTestCase):
    def test_none_is_missing(self) -> None:
        """
        A call that is taken out of the list by mistake is missed here.
        """
        self.assertEqual(sorted(DENIED), sorted(WANTED.split()))

    def test_known(self) -> None:
        """
        Every call that is denied has a number; on aarch64 those of old
        interfaces do not.
        """
        intel, arm = MACHINES["x86_64"].numbers, MACHINES["aarch64"].numbers
        self.assertEqual(set(DENIED) - set(intel), set())
        self.assertEqual(
            set(DENIED) - set(arm), {"fork", "vfork", "iopl", "ioperm", "modify_ldt"}
        )
        for machine in MACHINES.values():
            self.assertEqual(len(set(machine.numbers.values())), len(machine.numbers))

    def test_as_libseccomp(self) -> None:
        """
        The numbers are those of libseccomp.
        """
        try:
            library = ctypes.CDLL("libseccomp.so.2")
        except OSError as e:
            raise SkipTest("needs libseccomp") from e
        resolve = library.seccomp_syscall_resolve_name_arch
        resolve.argtypes = [ctypes.c_uint32, ctypes.c_char_p]
        for machine in MACHINES.values():
            for name, number in machine.numbers.items():
                found = resolve(machine.architecture, name.encode("ascii"))
                self.assertEqual(found, number, name)

    def test_unknown_machine(self) -> None:
        """
        Said, and not guessed.
        """
        self.patch(platform, "machine", lambda: "riscv64")
        error = self.assertRaises(Unavailable, restrict, True)
        self.assertEqual(str(error), "no filter of system calls for riscv64")

    def test_kernel_without(self) -> None:
        """
        Any other error is not taken for "there is none".
        """
        for number in (errno.ENOSYS, errno.EINVAL, errno.EPERM, errno.ENOMEM):

            def call(*arguments: object, number: int = number) -> int:
                raise OSError(number, "refused")

            self.patch(seccomp, "system_call", call)
            wanted = OSError if number == errno.ENOMEM else Unavailable
            self.assertRaises(wanted, restrict, True)
