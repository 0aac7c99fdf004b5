"""
Start a program, and be told what it says and when it has ended.

Owns: processes, pipes, process groups; that nothing of ours leaks into a
    child.
Knows nothing of: mail.

Why not C{spawnProcess}: it can make no session of its own, so a command's
offspring could not be killed with it, and where a directory is given it runs
Python in a child forked from a process with threads. C{subprocess} does all
of it in C: closes every descriptor, resets signals, new session, umask,
directory, identity. It blocks until the program runs, 2 ms and more when a
disk is slow, so it is called in a thread, which is free again at once. The end
of a process is read from its pidfd: no thread waits for it.

Sources: pipe(7), pidfd_open(2), setsid(2), prlimit(2); Postfix
C{global/pipe_command.c}.

Errors: C{OSError}: the program cannot be started; C{filename} says what is
the matter.
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFDSet

from txmta.delivery.pipes import ReadEnd, WriteEnd

#: Octets read at once.
BLOCK = 64 * 1024

#: Soft limit of open files of a program; any shell's.
OPEN_FILES = 1024

#: What runs a script that does not say by what: execvp(3) does it too.
SHELL = b"/bin/sh"


@dataclass(frozen=True, slots=True)
class Program:
    """
    @ivar argv: the program, looked up in PATH of C{environment} if it has no
        slash, and its arguments.
    @ivar environment: all of it.
    @ivar directory: where it starts; C{""}: where we are.
    @ivar identity: uid and gid to become, or L{None}.
    """

    argv: tuple[bytes, ...]
    environment: dict[bytes, bytes]
    directory: str
    identity: tuple[int, int] | None = None


class IListener(Protocol):
    """
    Is told about a program.
    """

    def heard(self, data: bytes) -> None:
        """
        It said something, on standard output or standard error.
        """

    def end(self, status: int) -> None:
        """
        It has ended, and all that it said was heard. Called once.

        @param status: exit status, or minus the signal that killed it.
        """


class Child:
    """
    A program that runs.

    @ivar pid: of it, of its process group, of its session.
    """

    def __init__(
        self,
        reactor: IReactorFDSet,
        process: subprocess.Popen[bytes],
        ends: tuple[int, int, int],
        listener: IListener,
    ) -> None:
        """
        @param ends: what to write to, what to read from, the pidfd; they are
            ours to close.
        """
        self._process = process
        self._listener = listener
        self.pid = process.pid
        self._input: WriteEnd | None = WriteEnd(reactor, ends[0])
        self._output = ReadEnd(reactor, ends[1], self._read)
        self._end = ReadEnd(reactor, ends[2], self._reap)
        self._output.resume()
        self._end.resume()

    def write(self, data: bytes) -> Deferred[bool] | bool:
        """
        @return: C{False} if nobody reads it any more; a Deferred if it is
            not taken yet. Nothing else may be written before it fires.
        """
        return self._input.write(data) if self._input is not None else False

    def end_input(self) -> None:
        """
        Nothing more will be written.
        """
        if self._input is not None:
            self._input.close()
            self._input = None

    def hush(self, quiet: bool) -> None:
        """
        Stop listening to what it says, or go on: the pipe fills up, and it
        waits.
        """
        if quiet:
            self._output.pause()
        else:
            self._output.resume()

    def kill(self) -> None:
        """
        It and all its offspring that did not leave its process group.
        """
        # Not after it was reaped: the number may be somebody else's then.
        if self._process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def _read(self) -> bool:
        """
        @return: there may be more.
        """
        try:
            data = os.read(self._output.fileno(), BLOCK)
        except BlockingIOError:
            return False
        if not data:
            self._output.close()
            return False
        self._listener.heard(data)
        return True

    def _reap(self) -> None:
        status = self._process.poll()
        if status is None:
            return
        self._end.close()
        self.end_input()
        # What it said last. Others may still hold the pipe, and go on talking.
        if not self._output.closed:
            self._read()
            self._output.close()
        self._listener.end(status)


class IStarter(Protocol):
    """
    Starts programs: L{Programs}, or a double.
    """

    async def start(self, program: Program, listener: IListener) -> Child:
        """
        See L{Programs.start}.
        """


class Programs:
    """
    Starts programs.
    """

    def __init__(
        self, reactor: IReactorFDSet, in_thread: Callable[..., Deferred[Any]]
    ) -> None:
        self._reactor = reactor
        self._in_thread = in_thread

    async def start(self, program: Program, listener: IListener) -> Child:
        """
        @raise OSError: it does not run.
        """
        process, ends = await self._in_thread(_start, program)
        return Child(self._reactor, process, ends, listener)


def _start(program: Program) -> tuple[subprocess.Popen[bytes], tuple[int, int, int]]:
    """
    Blocks until the program runs.
    """
    # Asked first because a call to the system from here does not stop the
    # other threads, as it would between fork and exec.
    if program.directory:
        os.stat(program.directory)
    stdin, to_stdin = os.pipe2(os.O_CLOEXEC)
    from_stdout, stdout = os.pipe2(os.O_CLOEXEC)
    try:
        try:
            process = _run(program, program.argv, stdin, stdout)
        except OSError as e:
            if e.errno != errno.ENOEXEC:
                raise
            process = _run(program, _as_script(program), stdin, stdout)
        try:
            pidfd = os.pidfd_open(process.pid)
            _limit(process.pid)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
    except BaseException:
        os.close(to_stdin)
        os.close(from_stdout)
        raise
    finally:
        os.close(stdin)
        os.close(stdout)
    os.set_blocking(to_stdin, False)
    os.set_blocking(from_stdout, False)
    return process, (to_stdin, from_stdout, pidfd)


def _limit(pid: int) -> None:
    """
    Open files as they are for programs that a user starts: ours may be a
    million, and there are programs that close each one of them first.
    """
    with suppress(OSError, ValueError):  # a program with rights that we lack
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        if soft > OPEN_FILES or soft == resource.RLIM_INFINITY:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (OPEN_FILES, hard))


def _run(
    program: Program, argv: tuple[bytes, ...], stdin: int, stdout: int
) -> subprocess.Popen[bytes]:
    identity: dict[str, Any] = {}
    if program.identity is not None:
        uid, gid = program.identity
        identity = {"user": uid, "group": gid, "extra_groups": [gid]}
    return subprocess.Popen(
        argv,
        stdin=stdin,
        stdout=stdout,
        stderr=stdout,
        cwd=program.directory or None,
        env=program.environment,
        close_fds=True,
        restore_signals=True,
        start_new_session=True,
        umask=0o077,
        **identity,
    )


def _as_script(program: Program) -> tuple[bytes, ...]:
    path = os.fsdecode(program.environment.get(b"PATH", b""))
    found = shutil.which(program.argv[0], path=path)
    return (SHELL, found or program.argv[0], *program.argv[1:])
