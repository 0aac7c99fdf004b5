"""
Make a process that was just forked by root what its role needs, and no more.

Owns: the order of the steps, each one looked at afterwards.
Knows nothing of: which role gets what (L{txmta.master.profiles}).

For the only thread of a process: no_new_privs, the bounding set and Landlock
hold for a thread and those that it starts. Everything that cannot be had
afterwards is opened before: modules, certificates, sockets. The store is opened
afterwards.

Sources: credentials(7), capabilities(7), prctl(2), landlock(7), seccomp(2).
    Postfix: C{util/chroot_uid.c}, C{master/single_server.c}.

Errors: L{ConfigError<txmta.errors.ConfigError>}: the process must not go on.
"""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from txmta.errors import ConfigError
from txmta.master import kernel, landlock, seccomp
from txmta.master.privileges import (
    Account,
    change_ids,
    forbid_new_rights,
    forbid_tracing,
)

_SIGKILL = 9
_SECCOMP_FILTER = 2

#: As C{connect} of a L{Network}: to any port.
ANY_PORT = None


class NotConfined(ConfigError):
    """
    A step failed, or had no effect.
    """

    def __init__(self, what: str) -> None:
        super().__init__([f"cannot confine the process: {what}"])


@dataclass(frozen=True)
class Network:
    """
    What a process may have of the Internet, besides descriptors that it is
    given.

    @ivar internet: may it open sockets, for UDP to anywhere?
    @ivar connect: TCP ports that it may connect to; L{ANY_PORT}.
    """

    internet: bool = False
    connect: Sequence[int] | None = ()


@dataclass(frozen=True)
class Confinement:
    """
    @ivar account: whom to become; L{None}: keep root's rights, and those of
        programs that are run. Then there is no chroot, and nothing of
        C{read}, C{write}, C{network}, as programs would inherit these.
    @ivar chroot: the new root; C{""}: none.
    @ivar read: directories and files to read, by their names before chroot.
        What is not there is left out.
    @ivar write: to write, make and remove; these must be there.
    @ivar keep: descriptors to keep; L{None}: all.
    @ivar files: how many may be open; 0: as many as now.
    @ivar parent: the process whose death is ours; 0: none.
    """

    account: Account | None
    chroot: str = ""
    read: Sequence[str] = ()
    write: Sequence[str] = ()
    network: Network = Network()
    keep: Collection[int] | None = None
    files: int = 0
    parent: int = 0


def confine(wanted: Confinement) -> Sequence[str]:
    """
    @return: what this kernel lacks, for the log.
    @raise ConfigError: the process must end.
    """
    try:
        return _confine(wanted)
    except OSError as e:
        raise NotConfined(str(e)) from e


def _confine(wanted: Confinement) -> Sequence[str]:
    if wanted.keep is not None:
        close_others(wanted.keep)
    _limit(wanted.files)
    if wanted.account is None:
        forbid_tracing()
        if wanted.parent:
            die_with(wanted.parent)
        _check_traceable()
        return ()
    abi = landlock.kernel_abi()
    ruleset = _ruleset(abi, wanted) if abi else None
    _enter(wanted.chroot)
    if os.geteuid() == 0:
        change_ids(wanted.account, bounding=True)
    elif os.geteuid() == wanted.account.uid:
        kernel.give_up_capabilities()  # of an ambient one, to bind ports
    else:
        raise NotConfined(f"only root can become {wanted.account.name}")
    # After the ids: a change of these undoes two of them.
    forbid_new_rights()
    forbid_tracing()
    if wanted.parent:
        die_with(wanted.parent)
    if ruleset is not None:
        ruleset.restrict()
    notes = [*landlock.lacking(abi)]
    try:
        seccomp.restrict(wanted.network.internet)
    except seccomp.Unavailable as e:
        notes.append(f"no seccomp: {e}")
    else:
        if kernel.prctl(kernel.PR_GET_SECCOMP) != _SECCOMP_FILTER:
            raise NotConfined("the filter of system calls is not in force")
    _check_traceable()
    if kernel.prctl(kernel.PR_GET_NO_NEW_PRIVS) != 1:
        raise NotConfined("no_new_privs is not set")
    return tuple(notes)


def close_others(keep: Collection[int]) -> None:
    """
    Close all descriptors but these.
    """
    start = 0
    for fd in sorted(set(keep)):
        if start < fd:  # os.closerange(0, 0) closes everything
            os.closerange(start, fd)
        start = fd + 1
    highest = max(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 1 << 16)
    os.closerange(start, min(highest, 1 << 30))


def die_with(parent: int) -> None:
    """
    Be killed when that process dies. Whoever changes its effective ids has to
    say so again: the kernel forgets it.

    @param parent: who forked us; the thread that did so counts.
    @raise NotConfined: it is dead already.
    """
    kernel.prctl(kernel.PR_SET_PDEATHSIG, _SIGKILL)
    if kernel.death_signal() != _SIGKILL:
        raise NotConfined("would outlive its parent")
    if os.getppid() != parent:
        raise NotConfined(f"its parent, process {parent}, has ended")


def _limit(files: int) -> None:
    """
    Before root's rights are gone: only root may raise limits.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if files:
        if os.geteuid() != 0:
            files = min(files, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))


def _ruleset(abi: int, wanted: Confinement) -> landlock.Ruleset:
    network = wanted.network
    ruleset = landlock.Ruleset(abi, network.connect, network.internet)
    for path in wanted.read:
        if os.path.exists(path):
            ruleset.allow_read(path)
    for path in wanted.write:
        ruleset.allow_write(path)
    return ruleset


def _enter(jail: str) -> None:
    if not jail:
        return
    if os.geteuid() != 0:
        raise NotConfined("chroot needs root: write n for it in master.cf")
    for name in os.listdir("/proc/self/fd"):
        if _is_directory(int(name)):
            raise NotConfined(f"descriptor {name} would lead out of {jail}")
    before = os.stat(jail)
    os.chroot(jail)
    os.chdir("/")
    if not os.path.samestat(os.stat("/.."), before):
        raise NotConfined(f"chroot to {jail} is not in force")


def _is_directory(fd: int) -> bool:
    try:
        return stat.S_ISDIR(os.fstat(fd).st_mode)
    except OSError:  # that of the list itself, closed by now
        return False


def _check_traceable() -> None:
    if kernel.prctl(kernel.PR_GET_DUMPABLE) == 1:
        raise NotConfined("could still be traced")
