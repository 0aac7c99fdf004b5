"""
Numbers of system calls.

Owns: those that the filter names, for the machines that it knows.
Knows nothing of: what is done with them (L{txmta.master.seccomp}).

Sources: asm/unistd_64.h (x86_64), asm-generic/unistd.h (aarch64);
    linux/audit.h.

Errors: none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: Name, number on x86_64, number on aarch64; C{-}: there is no such call.
_ROWS = """\
acct               163  89
add_key            248 217
bpf                321 280
chroot             161  51
clone               56 220
clone3             435 435
delete_module      176 106
execve              59 221
execveat           322 281
fanotify_init      300 262
fcntl               72  25
finit_module       313 273
fork                57   -
fsconfig           431 431
fsmount            432 432
fsopen             430 430
fspick             433 433
init_module        175 105
io_uring_enter     426 426
io_uring_register  427 427
io_uring_setup     425 425
ioctl               16  29
ioperm             173   -
iopl               172   -
ioprio_set         251  30
kcmp               312 272
kexec_file_load    320 294
kexec_load         246 104
keyctl             250 219
kill                62 129
listen              50 201
lookup_dcookie     212  18
migrate_pages      256 238
modify_ldt         154   -
mount              165  40
mount_setattr      442 442
move_mount         429 429
move_pages         279 239
open_by_handle_at  304 265
open_tree          428 428
perf_event_open    298 241
personality        135  92
pidfd_getfd        438 438
pidfd_open         434 434
pidfd_send_signal  424 424
pivot_root         155  41
prctl              157 167
prlimit64          302 261
process_madvise    440 440
process_mrelease   448 448
process_vm_readv   310 270
process_vm_writev  311 271
ptrace             101 117
quotactl           179  60
quotactl_fd        443 443
reboot             169 142
request_key        249 218
rt_sigqueueinfo    129 138
rt_tgsigqueueinfo  297 240
sched_setaffinity  203 122
sched_setattr      314 274
sched_setparam     142 118
sched_setscheduler 144 119
seccomp            317 277
setns              308 268
setpriority        141 140
socket              41 198
swapoff            168 225
swapon             167 224
syslog             103 116
tgkill             234 131
tkill              200 130
umount2            166  39
unshare            272  97
userfaultfd        323 282
vfork               58   -
vhangup            153  58
"""


@dataclass(frozen=True)
class Machine:
    """
    @ivar architecture: C{AUDIT_ARCH_} of the kernel; code for another, such as
        32-bit code, has other numbers.
    @ivar foreign: numbers from here on are of another ABI in the same
        architecture (x32); 0: there is none.
    """

    architecture: int
    foreign: int
    numbers: Mapping[str, int]


def _numbers(column: int) -> Mapping[str, int]:
    rows = [line.split() for line in _ROWS.splitlines()]
    return {row[0]: int(row[column]) for row in rows if row[column] != "-"}


#: By the name that uname(2) gives.
MACHINES: Mapping[str, Machine] = {
    "x86_64": Machine(0xC000003E, 0x40000000, _numbers(1)),
    "aarch64": Machine(0xC00000B7, 0, _numbers(2)),
}
