"""
Runs commands from processes forked for one each, so that nothing else waits
for them.

Such a process has two descriptors, that of the message's content and that of
its answer. It becomes the command's user for good, real ids and all, then
runs the command, feeds it, hears it, and answers with what became of it. When
the process that forked it is gone, or stops, it kills the command: one that
had half of a message would take that for all of it.

Owns: forking; what such a process keeps of ours; its answer.
Knows nothing of: how a command is fed and heard (L{txmta.delivery.command}),
    how it is started (L{txmta.delivery.programs}).

Sources: fork(2), setresuid(2), pidfd_open(2); Postfix
C{global/pipe_command.c}, C{util/set_ugid.c}.

Errors: as L{Commands<txmta.delivery.command.Commands>}.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from typing import NoReturn

from twisted.internet.defer import Deferred, DeferredSemaphore

from txmta.delivery.command import Command, Commands, check
from txmta.delivery.command_copy import Style
from txmta.delivery.context import AgentContext
from txmta.delivery.filesystem import MailboxError
from txmta.delivery.message import Message
from txmta.delivery.pipes import ReadEnd
from txmta.delivery.rights import Rights
from txmta.delivery.sequential import Sequential

#: Commands at once. The queue manager has narrower limits; this is for one
#: that has gone mad.
MAX_RUNNING = 200

#: Octets of an answer: what a command says is cut at 8 KB.
_MAX_ANSWER = 65536

#: Signals that a server ignores; a command starts without knowing.
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)


class ForkedCommands:
    """
    A L{Runner<txmta.delivery.command.Runner>}.
    """

    def __init__(self, context: AgentContext, loop: Sequential) -> None:
        """
        @param context: of the agent; its C{rights} say whose commands may be
            run at all.
        """
        self._context = context
        self._loop = loop
        self._free = DeferredSemaphore(MAX_RUNNING)
        self._running: dict[_Errand, None] = {}
        self._stopped = False

    async def run(
        self,
        command: Command,
        head: bytes,
        message: Message,
        style: Style | None = None,
    ) -> str:
        """
        See L{Commands.run<txmta.delivery.command.Commands.run>}.
        """
        check(command)
        _check_rights(self._context.rights, command)
        await self._free.acquire()
        try:
            errand = self._start(command, head, message, style or Style())
            self._running[errand] = None
            try:
                status, reason, diagnostic = await errand.done
            finally:
                del self._running[errand]
        finally:
            self._free.release()
        if status[0] != "2":
            raise MailboxError(status, reason, diagnostic)
        return reason

    def stop(self) -> None:
        """
        Kill what still runs.
        """
        self._stopped = True
        for errand in self._running:
            errand.kill()

    def _start(
        self, command: Command, head: bytes, message: Message, style: Style
    ) -> _Errand:
        if self._stopped:
            raise MailboxError("4.3.0", "mail system is stopping")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            pid = os.fork()
        except OSError as e:
            ours.close()
            theirs.close()
            raise MailboxError("4.3.0", f"cannot fork: {e.strerror}") from e
        if pid == 0:
            _be(self._context, command, theirs, _Work(head, message, style))
        theirs.close()
        return _Errand(self._loop, pid, ours)


def _check_rights(rights: Rights, command: Command) -> None:
    """
    Once more, where it counts: whatever agents think.
    """
    if rights.powerful:
        what = f"a command for uid {command.uid}, gid {command.gid}"
        rights.check(command.uid, what, "")
        rights.check_group(command.gid, what, "")


class _Errand:
    """
    One such process, from outside.

    @ivar done: fires with status, reason and diagnostic when it has ended.
    """

    def __init__(self, loop: Sequential, pid: int, end: socket.socket) -> None:
        """
        @param end: where its answer comes.
        """
        self.done: Deferred[tuple[str, str, str]] = Deferred()
        self._pid = pid
        self._end = end
        self._exit = ReadEnd(loop, os.pidfd_open(pid), self._ended)
        self._exit.resume()

    def kill(self) -> None:
        """
        Let it kill its command, and answer.
        """
        self._end.shutdown(socket.SHUT_WR)

    def _ended(self) -> None:
        pid, _ = os.waitpid(self._pid, os.WNOHANG)
        if not pid:
            return
        self._exit.close()
        try:
            octets = self._end.recv(_MAX_ANSWER, socket.MSG_DONTWAIT)
        except OSError:
            octets = b""
        self._end.close()
        self.done.callback(_read_answer(octets))


def _read_answer(octets: bytes) -> tuple[str, str, str]:
    """
    @param octets: from a process that the command's user could kill and, who
        knows, more.
    """
    try:
        answer = json.loads(octets)
        status, reason, diagnostic = (_line(each) for each in answer)
        if status[0] in "245" and len(status) < 12:
            return status, reason, diagnostic
    except (ValueError, TypeError, IndexError):
        pass
    return "4.3.0", "the process that ran the command has ended", ""


def _line(text: object) -> str:
    if not isinstance(text, str):
        raise TypeError("not a text")
    return text.replace("\r", " ").replace("\n", " ").replace("\0", " ")


class _Work:
    """
    What a command gets.
    """

    def __init__(self, head: bytes, message: Message, style: Style) -> None:
        self.head = head
        self.message = message
        self.style = style


def _be(
    context: AgentContext, command: Command, end: socket.socket, work: _Work
) -> NoReturn:
    """
    Be such a process.
    """
    status = 70
    try:
        content = getattr(work.message.content, "fileno", None)
        keep = {0, 1, 2, end.fileno()}
        if content is not None:
            keep.add(content())
        _close_all_but(keep)
        for number in _IGNORED:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        os.setsid()
        os.umask(0o077)
        _enter(context, command)
        if os.geteuid() == 0:
            _become_for_good(command.uid, command.gid)
        answer = _carry_out(context, command, end, work)
        end.send(json.dumps(answer).encode("ascii"))
        status = 0
    except BrokenPipeError:  # nobody is left to be told
        pass
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


def _carry_out(
    context: AgentContext, command: Command, end: socket.socket, work: _Work
) -> tuple[str, str, str]:
    loop = Sequential()
    own = replace(
        context, clock=loop, descriptors=loop, in_thread=loop.in_thread, commands=None
    )
    commands = Commands(own, directory="")
    told = ReadEnd(loop, os.dup(end.fileno()), lambda: _stop(commands, told))
    told.resume()
    # No other ids are to be had from here on.
    command = replace(command, uid=-1, gid=-1)
    try:
        said = loop.run(commands.run(command, work.head, work.message, work.style))
    except MailboxError as e:
        return e.status, e.reason, e.diagnostic
    return "2.0.0", said, ""


def _stop(commands: Commands, told: ReadEnd) -> None:
    """
    Whoever wants to know is gone, or wants an end of it.
    """
    told.close()
    commands.stop()


def _close_all_but(keep: Collection[int]) -> None:
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        if fd not in keep:
            with suppress(OSError):  # that of the list itself
                os.close(fd)


def _enter(context: AgentContext, command: Command) -> None:
    """
    Go where the command starts, if nobody says where: its user may not be
    allowed to find that place.
    """
    if command.chroot:
        os.chroot(command.chroot)
        os.chdir("/")
    else:
        os.chdir(context.settings.queue_directory)


def _become_for_good(uid: int, gid: int) -> None:
    """
    There is no way back.
    """
    if uid <= 0 or gid <= 0:
        raise RuntimeError("a command would have the rights of root")
    os.setgroups([gid])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    ours = os.getresuid(), os.getresgid(), os.getgroups()
    if ours != ((uid,) * 3, (gid,) * 3, [gid]):
        raise RuntimeError(f"have not become uid {uid}, gid {gid} altogether")
    try:
        os.setresuid(0, 0, 0)
    except PermissionError:
        return
    raise RuntimeError("could become root again")
