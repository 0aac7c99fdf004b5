"""
Look at a process from outside: is it as it should be?

Owns: reading /proc, and saying in words what differs.
Knows nothing of: how a process came to be so (L{txmta.master.confine}).

For root: of a process that cannot be traced, others see nothing. Landlock rules
cannot be seen from outside at all.

Sources: proc(5).

Errors: none; a process that has ended is a finding.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

#: Sets of capabilities, as in /proc/pid/status.
_SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")

_SECCOMP_FILTER = "2"

#: What the reactor of any child has open, as patterns; pickup watches maildrop.
REACTOR_FILES = (
    *("/dev/null", "anon_inode:[[]event*]", "anon_inode:inotify", "pipe:[[]*]"),
)

#: Tables of Internet sockets, with the column of the inode.
_TABLES = {
    **dict.fromkeys(("tcp", "tcp6", "udp", "udp6", "udplite", "udplite6"), 9),
    **dict.fromkeys(("icmp", "icmp6", "raw", "raw6"), 9),
    "packet": 8,
}


@dataclass(frozen=True)
class Expected:
    """
    @ivar uid: all four.
    @ivar groups: that it may be in, besides C{gid}.
    @ivar confined: it has no capabilities, no new rights, a filter of system
        calls. Else it is root, may act as others, and only the real and
        saved ids count.
    @ivar bounding: the bounding set is empty, too; only root can see to that.
    @ivar filtered: there is a filter here.
    @ivar root: its root directory.
    @ivar internet: may it have Internet sockets?
    @ivar files: patterns of what its descriptors may be, as /proc shows them.
    @ivar sockets: inodes of those that it was given; any other is a finding.
        L{None}: any.
    """

    uid: int
    gid: int
    groups: Collection[int] = ()
    confined: bool = True
    bounding: bool = True
    filtered: bool = True
    root: str = "/"
    internet: bool = False
    files: Sequence[str] = ()
    sockets: Collection[int] | None = None


def audit(pid: int, expected: Expected, proc: str = "/proc") -> Sequence[str]:
    """
    @return: what is wrong, one line each; empty if all is well.
    """
    base = os.path.join(proc, str(pid))
    try:
        with open(os.path.join(base, "status"), encoding="utf-8") as file:
            status = _fields(file.read())
        if status.get("State", "").startswith(("Z", "X")):
            return ("it has ended",)
        found = [
            *_ids(status, expected),
            *(_rights(status, expected) if expected.confined else ()),
            *_place(base, expected),
            *_descriptors(base, expected),
        ]
    except (FileNotFoundError, ProcessLookupError):
        return ("it has ended",)
    except PermissionError as e:
        return (f"cannot be looked at: {e}",)
    return tuple(found)


def socket_inode(fd: int) -> int:
    """
    @return: by which L{Expected.sockets} knows one of ours.
    """
    return os.fstat(fd).st_ino


def _fields(text: str) -> Mapping[str, str]:
    pairs = (line.partition(":") for line in text.splitlines())
    return {name: value.strip() for name, _, value in pairs}


def _ids(status: Mapping[str, str], expected: Expected) -> Iterator[str]:
    for name, wanted in (("Uid", expected.uid), ("Gid", expected.gid)):
        ids = status.get(name, "").split()
        # real, effective, saved, file system
        counted = ids if expected.confined else ids[::2]
        if len(ids) != 4 or set(counted) != {str(wanted)}:
            yield f"{name} is {' '.join(ids)}, not {wanted}"
    groups = status.get("Groups", "").split()
    allowed = {str(gid) for gid in (expected.gid, *expected.groups)}
    if expected.confined and not allowed.issuperset(groups):
        yield f"has groups: {' '.join(groups)}"


def _rights(status: Mapping[str, str], expected: Expected) -> Iterator[str]:
    for name in _SETS:
        if name == "CapBnd" and not expected.bounding:
            continue
        value = status.get(name, "0")
        if int(value, 16):
            yield f"has capabilities: {name} is {value}"
    if status.get("NoNewPrivs") != "1":
        yield "set-uid programs would give it rights: NoNewPrivs is not 1"
    if expected.filtered and status.get("Seccomp") != _SECCOMP_FILTER:
        yield "has no filter of system calls: Seccomp is not 2"


def _place(base: str, expected: Expected) -> Iterator[str]:
    root = os.readlink(os.path.join(base, "root"))
    if root != expected.root:
        yield f"its root is {root}, not {expected.root}"
    # What can be traced belongs to its user there, what cannot, to root.
    owner = os.stat(os.path.join(base, "environ")).st_uid
    if expected.uid != 0 and owner == expected.uid:
        yield "other processes of its account can trace it"


def _descriptors(base: str, expected: Expected) -> Iterator[str]:
    folder = os.path.join(base, "fd")
    internet = _internet_sockets(base)
    for fd in sorted(os.listdir(folder), key=int):
        try:
            target = os.readlink(os.path.join(folder, fd))
        except FileNotFoundError:
            continue  # closed meanwhile
        if match := re.fullmatch(r"socket:\[(\d+)\]", target):
            inode = int(match[1])
            if inode in internet and not expected.internet:
                yield f"descriptor {fd} is an Internet socket: {internet[inode]}"
            if expected.sockets is not None and inode not in expected.sockets:
                yield f"descriptor {fd} is a socket that it was not given"
        elif not any(fnmatch.fnmatchcase(target, p) for p in expected.files):
            yield f"descriptor {fd} is not its own: {target}"


def _internet_sockets(base: str) -> Mapping[int, str]:
    """
    @return: kind by inode, of all that it can see.
    """
    found: dict[int, str] = {}
    for name, column in _TABLES.items():
        try:
            with open(os.path.join(base, "net", name), encoding="ascii") as file:
                rows = [line.split() for line in file][1:]
        except FileNotFoundError:
            continue  # no IPv6
        found |= {int(row[column]): name for row in rows if len(row) > column}
    return found
