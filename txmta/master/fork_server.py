"""
The fork server: one fresh interpreter that has imported everything, and forks
every child of the server.

It has one thread, no reactor, no database and no secret, so that a copy of it
is a clean start; and what it has imported is shared by all its copies.

Owns: being started (L{command}), preloading, forking, reaping; which
    descriptors a child has.
Knows nothing of: what any child does; what the configuration says: the memfd
    with it goes through unread.

Master asks by C{fork} records on descriptor 3; answered with C{started} and
a pidfd, later with C{ended}; and C{beat}, to see that we live. When master is
gone, or hangs up, this ends, and with it, by PR_SET_PDEATHSIG, all children.

Sources: fork(2), prctl(2), pidfd_open(2), unix(7).

Errors: exit status 70, with a traceback on standard error.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NoReturn

from txmta.master.channel import MAX_DESCRIPTORS, ChannelBroken, receive, send
from txmta.master.frames import Record
from txmta.master.promised_reactor import is_promised, promise

#: Where the fork server has its channel to master.
CHANNEL = 3

#: Exit status of what should not have happened (sysexits.h).
EX_SOFTWARE = 70

#: What runs in a child: role, number, descriptor of the configuration, other
#: descriptors by name. It does not return. It may have C{before(role,
#: descriptor)}, which runs here before each fork: what that makes, children
#: share.
Entry = Callable[[str, int, int, Mapping[str, int]], object]

_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15

# Isolated: neither PYTHONPATH nor the current directory count, only the path
# that master itself has.
_BEGIN = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
    "from txmta.master.fork_server import main; main(sys.argv[2])"
)


def command(entry: str, preload: Sequence[str]) -> list[str]:
    """
    @param entry: C{"package.module:callable"}, an L{Entry}.
    @param preload: modules to import, none of which may use a reactor.
    @return: the command line that starts a fork server, as a child of ours.
    """
    path = [os.path.abspath(each) for each in sys.path]
    begin = {"entry": entry, "preload": list(preload), "parent": os.getpid()}
    return [
        *(sys.executable, "-I", "-c", _BEGIN),
        *(json.dumps(path), json.dumps(begin)),
    ]


def main(begin: str) -> NoReturn:
    """
    @param begin: JSON: see L{command}.
    """
    told = json.loads(begin)
    ignore_signals()
    die_with(told["parent"])
    name_process("txmta-fork")
    try:
        entry = prepared(told["entry"], told["preload"])
        end = socket.socket(fileno=CHANNEL)
        os.set_inheritable(CHANNEL, False)
        ForkServer(end, entry).run()
    except BaseException:
        traceback.print_exc()
        os._exit(EX_SOFTWARE)
    os._exit(0)


def prepared(entry: str, preload: Iterable[str]) -> Entry:
    """
    Import everything, and leave it to all children.
    """
    promise()
    for each in preload:
        importlib.import_module(each)
    module, _, name = entry.partition(":")
    found: Entry = getattr(importlib.import_module(module), name)
    if not is_promised() or threading.active_count() > 1:
        raise RuntimeError("a preloaded module has made a reactor, or a thread")
    leave_to_children()
    return found


def leave_to_children() -> None:
    """
    What there is now, children share.
    """
    # Else the first collection in each child would copy all these pages.
    gc.collect()
    gc.freeze()


def ignore_signals() -> None:
    """
    Ctrl-C and a hang-up go to the whole process group; we obey master only.
    """
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)


def die_with(parent: int) -> None:
    """
    Be killed when the parent dies; at once, if that has happened.

    A change of ids takes this away: ask again after it.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(EX_SOFTWARE)


def name_process(name: str) -> None:
    """
    For ps and top; 15 octets count.
    """
    _prctl(_PR_SET_NAME, ctypes.c_char_p(name.encode("ascii")[:15]))


def _prctl(option: int, value: Any) -> None:
    _libc().prctl(option, value, 0, 0, 0)


# Once here, not in each child.
@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def close_all_but(keep: Iterable[int]) -> None:
    """
    Close every other descriptor.
    """
    kept = set(keep)
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in kept:
            with contextlib.suppress(OSError):  # the listing's own is gone
                os.close(int(name))


class ForkServer:
    """
    Fork, and reap.
    """

    def __init__(self, end: socket.socket, entry: Entry) -> None:
        self._end = end
        self._entry = entry
        self._before = getattr(entry, "before", None)
        self._pid = os.getpid()
        self._poll = select.poll()
        self._poll.register(end, select.POLLIN)
        #: Number and process id, by pidfd.
        self._children: dict[int, tuple[int, int]] = {}

    def run(self) -> None:
        """
        Until master hangs up.
        """
        with contextlib.suppress(ChannelBroken):
            send(self._end, {"t": "ready"})
            while True:
                for descriptor, _events in self._poll.poll():
                    if descriptor in self._children:
                        self._reap(descriptor)
                    else:
                        self._obey(*receive(self._end, MAX_DESCRIPTORS))

    def _obey(self, request: Record, descriptors: Sequence[int]) -> None:
        if request["t"] == "beat":
            send(self._end, {"t": "beat"})
        else:
            self._fork(request, descriptors)

    def _fork(self, request: Record, descriptors: Sequence[int]) -> None:
        role, n = str(request["role"]), int(str(request["n"]))
        names = request["names"]
        assert isinstance(names, list)
        given = dict(zip(names, descriptors, strict=True))
        if self._before is not None:
            self._before(role, given["settings"])
        try:
            pid = os.fork()
        except OSError as e:
            text = f"cannot fork: {e.strerror}"
            send(self._end, {"t": "failed", "n": n, "text": text})
            pid = -1
        if pid == 0:
            self._be(role, n, given)
        for each in descriptors:
            os.close(each)
        if pid > 0:
            pidfd = os.pidfd_open(pid)
            self._children[pidfd] = n, pid
            self._poll.register(pidfd, select.POLLIN)
            send(self._end, {"t": "started", "n": n, "pid": pid}, [pidfd])

    def _be(self, role: str, n: int, given: dict[str, int]) -> NoReturn:
        """
        The child.
        """
        try:
            close_all_but((0, 1, 2, *given.values()))
            die_with(self._pid)
            name_process(f"txmta-{role}")
            self._entry(role, n, given.pop("settings"), given)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(EX_SOFTWARE)  # never back into the loop above

    def _reap(self, pidfd: int) -> None:
        n, pid = self._children.pop(pidfd)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        _pid, status = os.waitpid(pid, 0)
        status = os.waitstatus_to_exitcode(status)
        send(self._end, {"t": "ended", "n": n, "status": status})
