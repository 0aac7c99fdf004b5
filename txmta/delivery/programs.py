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

Sources: pipe(7), pidfd_open(2), setsid(2); Postfix C{global/pipe_command.c}.

Errors: C{OSError}: the program cannot be started; C{filename} says what is
the matter.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor, IWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

#: Octets read at once.
BLOCK = 64 * 1024

#: What runs a script that does not say by what: execvp(3) does it too.
SHELL = b"/bin/sh"


@dataclass(frozen=True, slots=True)
class Program:
    """
    @ivar argv: the program, looked up in PATH of C{environment} if it has no
        slash, and its arguments.
    @ivar environment: all of it.
    @ivar directory: where it starts.
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
        self._input: _Input | None = _Input(reactor, ends[0])
        self._output = _Readable(reactor, ends[1], self._read)
        self._end = _Readable(reactor, ends[2], self._reap)
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
        cwd=program.directory,
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


@implementer(IReadDescriptor)
class _Readable:
    """
    A descriptor that the reactor watches.
    """

    def __init__(
        self, reactor: IReactorFDSet, fd: int, ready: Callable[[], object]
    ) -> None:
        self._reactor = reactor
        self._fd = fd
        self._ready = ready
        self.closed = False

    def resume(self) -> None:
        if not self.closed:
            self._reactor.addReader(self)

    def pause(self) -> None:
        self._reactor.removeReader(self)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._reactor.removeReader(self)
            os.close(self._fd)

    def fileno(self) -> int:
        return -1 if self.closed else self._fd

    def doRead(self) -> None:
        self._ready()

    def connectionLost(self, reason: Failure) -> None:
        """
        The other end of a pipe was closed, and nothing is left in it; the
        reactor watches it no more.
        """
        self._ready()

    def logPrefix(self) -> str:
        return "command"


@implementer(IWriteDescriptor)
class _Input:
    """
    Where a program reads from.
    """

    def __init__(self, reactor: IReactorFDSet, fd: int) -> None:
        self._reactor = reactor
        self._fd = fd
        self._left = memoryview(b"")
        self._done: Deferred[bool] | None = None

    def write(self, data: bytes) -> Deferred[bool] | bool:
        self._left = memoryview(data)
        taken = self._try()
        if taken is not None:
            return taken
        self._done = Deferred()
        self._reactor.addWriter(self)
        return self._done

    def close(self) -> None:
        self._reactor.removeWriter(self)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._tell(False)

    def fileno(self) -> int:
        return self._fd

    def doWrite(self) -> None:
        taken = self._try()
        if taken is not None:
            self._reactor.removeWriter(self)
            self._tell(taken)

    def connectionLost(self, reason: Failure) -> None:
        """
        Nobody reads any more.
        """
        self._tell(False)

    def logPrefix(self) -> str:
        return "command"

    def _try(self) -> bool | None:
        """
        @return: all is taken, nobody reads any more, or not yet.
        """
        while self._left:
            try:
                self._left = self._left[os.write(self._fd, self._left) :]
            except BlockingIOError:
                return None
            except OSError:  # EPIPE: a command need not read it all
                return False
        return True

    def _tell(self, taken: bool) -> None:
        done, self._done = self._done, None
        if done is not None:
            done.callback(taken)
