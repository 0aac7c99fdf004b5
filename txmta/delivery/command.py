"""
Give a message to a command.

Owns: the environment of commands, time limits, feeding them, hearing them.
Knows nothing of: recipients; how programs are started
    (L{txmta.delivery.programs}); what an exit status means
    (L{txmta.delivery.sysexits}).

The time limit is one for each step, as in Postfix: it starts anew whenever
the command has read some of the message, so that a large one may take longer.
Other than Postfix we do not wait for the rest of a pipeline or for a
background process that keeps the output open: a command has ended when its
process has.

Sources: Postfix C{global/pipe_command.c}, C{util/exec_command.c},
C{util/clean_env.c}; postconf(5) export_environment, command_time_limit.

Errors: L{MailboxError}, with status and reason of the end of the command;
L{StoreUnavailable<txmta.errors.StoreUnavailable>} and
L{MessageDamaged<txmta.errors.MessageDamaged>} pass through, and the command
is killed.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFDSet

from txmta.address import quote
from txmta.config.settings import Settings
from txmta.delivery.blocks import read_block
from txmta.delivery.command_copy import CommandCopy, Style
from txmta.delivery.context import AgentContext
from txmta.delivery.filesystem import MailboxError
from txmta.delivery.hearing import Hearing
from txmta.delivery.message import Message
from txmta.delivery.programs import SHELL, Child, IStarter, Program, Programs
from txmta.delivery.sysexits import MAX_OUTPUT, Ending, diagnostic, verdict

#: C{PATH} of every command: _PATH_DEFPATH of the C library.
DEFAULT_PATH = b"/usr/bin:/bin"

#: Octets of content that are given to a command at once.
BLOCK = 64 * 1024

# Characters of a command that needs no shell; Postfix's list.
_PLAIN = frozenset(
    "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ \t"
)


@dataclass(frozen=True, slots=True)
class Command:
    """
    A command to run.

    @ivar argv: from L{shell_command}, or as master.cf has it.
    @ivar text: what stands for it in reasons: the command of a user, the name
        of the program of pipe(8).
    @ivar environment: in addition to export_environment and PATH, which it
        may overrule.
    @ivar directory: where it starts; C{""}: the queue directory.
    @ivar time_limit: seconds.
    @ivar uid: whose rights it gets; -1: ours.
    @ivar gid: the same, of a group.
    @ivar chroot: the root that it gets; C{""}: ours.
    @ivar builtin: C{argv} is from L{shell_command}: if there is no such
        program, the shell may know it.
    @ivar agent: who runs it, C{"local"} or C{"pipe"}, as Postfix says when
        there is no such program.
    """

    argv: tuple[bytes, ...]
    text: str
    environment: tuple[tuple[bytes, bytes], ...] = ()
    directory: str = ""
    time_limit: float = 1000.0
    uid: int = -1
    gid: int = -1
    chroot: str = ""
    builtin: bool = False
    agent: str = "local"


def shell_command(text: str, shell: str) -> tuple[bytes, ...]:
    """
    @param text: the command of a user, never empty.
    @param shell: local_command_shell, perhaps with arguments; C{""}: as
        little shell as possible.
    @return: what to run.
    """
    octets = encode(text)
    if words := shell.split():
        return (*map(encode, words), octets)
    if _PLAIN.issuperset(text) and text.strip(" \t"):
        return tuple(octets.split())
    return (SHELL, b"-c", octets)


def base_environment(
    settings: Settings, ours: Mapping[bytes, bytes]
) -> dict[bytes, bytes]:
    """
    What every command finds in its environment: what export_environment
    names, of what import_environment lets in.

    @param ours: this process's own.
    """
    known = {b"MAIL_CONFIG": encode(settings.config_directory)}
    known = {**ours, **known}
    exported: dict[bytes, bytes] = {}
    imported = _selected(settings.import_environment, known)
    for name, value in _selected(settings.export_environment, imported).items():
        exported[name] = value
    return {**exported, b"PATH": DEFAULT_PATH}


def _selected(
    items: tuple[str, ...], known: Mapping[bytes, bytes]
) -> dict[bytes, bytes]:
    """
    @param items: C{name}, C{name=value}, C{{name=value}}.
    """
    chosen: dict[bytes, bytes] = {}
    for item in items:
        if item.startswith("{"):
            item = item[1:-1].strip()
        name, equals, value = item.partition("=")
        key = encode(name.strip())
        if equals:
            chosen[key] = encode(value.strip())
        elif key in known:
            chosen[key] = known[key]
    return chosen


def from_line(sender: str, now: float) -> bytes:
    """
    @param sender: envelope sender, or C{"MAILER-DAEMON"} for none.
    @param now: wall time.
    @return: the C{From } line before a message, without line end.
    """
    stamp = time.asctime(time.localtime(now))
    return f"From {printable_address(sender)}  {stamp}".encode(
        "utf-8", "surrogateescape"
    )


def printable_address(address: str) -> str:
    """
    @return: an address as a header has it; a line end in it would start
        another header.
    """
    text = quote(address)
    return "".join("?" if c < " " or c == "\x7f" else c for c in text)


def encode(text: str) -> bytes:
    """
    @return: the octets that C{text} was made from.
    """
    return text.encode("utf-8", "surrogateescape")


class Runner(Protocol):
    """
    Runs commands: L{Commands}, or somebody in another process.
    """

    async def run(
        self,
        command: Command,
        head: bytes,
        message: Message,
        style: Style | None = None,
    ) -> str:
        """
        See L{Commands.run}.
        """

    def stop(self) -> None:
        """
        See L{Commands.stop}.
        """


class Commands:
    """
    Runs commands.
    """

    def __init__(
        self,
        context: AgentContext,
        programs: IStarter | None = None,
        directory: str | None = None,
    ) -> None:
        """
        @param programs: for tests.
        @param directory: where commands start that do not say where; L{None}:
            in the queue directory, C{""}: where we are.
        """
        self._clock = context.clock
        if directory is None:
            directory = context.settings.queue_directory
        self._directory = directory
        self._environment = base_environment(context.settings, os.environb)
        self._programs = programs or Programs(
            cast(IReactorFDSet, context.descriptors), context.in_thread
        )
        self._running: set[Child] = set()
        self._stopped = False

    async def run(
        self,
        command: Command,
        head: bytes,
        message: Message,
        style: Style | None = None,
    ) -> str:
        """
        @param head: headers put before the content, as the command is to
            read them.
        @return: what the command said, in one line; C{""} if nothing.
        @raise MailboxError: it did not take the message.
        """
        check(command)
        hearing = Hearing(self._clock)
        child = await self._start(command, hearing)
        self._running.add(child)
        if self._stopped:
            child.kill()
        try:
            hearing.watch(child, command.time_limit)
            await _feed(child, hearing, head, message, style or Style())
            await hearing.ended
        except BaseException:
            child.kill()
            raise
        finally:
            child.end_input()
            self._running.discard(child)
        code, reason = verdict(command.text, hearing.ending)
        if code[0] != "2":
            raise MailboxError(code, reason, diagnostic(hearing.ending))
        return reason

    def stop(self) -> None:
        """
        Kill what still runs, and what is still being started: its mail stays
        in the queue.
        """
        self._stopped = True
        for child in list(self._running):
            child.kill()

    async def _start(self, command: Command, hearing: Hearing) -> Child:
        try:
            return await self._try(command, command.argv, hearing)
        except OSError as e:
            no_program = e.errno == errno.ENOENT and b"/" not in command.argv[0]
            if not (command.builtin and no_program):
                raise _not_started(command, e) from e
        try:
            argv = (SHELL, b"-c", encode(command.text))
            return await self._try(command, argv, hearing)
        except OSError as e:
            raise _not_started(command, e) from e

    async def _try(
        self, command: Command, argv: tuple[bytes, ...], hearing: Hearing
    ) -> Child:
        directory = command.directory or self._directory
        environment = {**self._environment, **dict(command.environment)}
        # Root becomes whoever the command is for. Others cannot, and were
        # told so by check().
        identity = (command.uid, command.gid) if os.geteuid() == 0 else None
        program = Program(argv, environment, directory, identity)
        return await self._programs.start(program, hearing)


def check(command: Command) -> None:
    """
    What no command may be, whoever asked for it.

    @raise MailboxError: why it is not run.
    """
    euid = os.geteuid()
    if euid == 0 and (command.uid <= 0 or command.gid <= 0):
        raise MailboxError("4.3.5", "a command is not run with the rights of root")
    if euid != 0 and command.uid not in (-1, euid):
        raise MailboxError(
            "4.3.5", f"a command for uid {command.uid} cannot be run as uid {euid}"
        )
    pairs = [octets for pair in command.environment for octets in pair]
    if any(b"\0" in octets for octets in (*command.argv, *pairs)):
        # The system ends each string at its first null octet.
        raise MailboxError("5.1.3", f'null octet in an argument of "{command.text}"')


def _not_started(command: Command, error: OSError) -> MailboxError:
    """
    As when Postfix's child cannot go on: with EX_TEMPFAIL, and last words.
    """
    reason = os.strerror(error.errno) if error.errno else str(error)
    if error.filename == command.directory and command.directory:
        what = f'cannot change directory to "{command.directory}"'
    else:
        what = f"execvp {os.fsdecode(command.argv[0])}"
    said = f"{command.agent}: fatal: pipe_command: {what}: {reason}"
    ending = Ending(75, output=encode(said)[:MAX_OUTPUT])
    return MailboxError(*verdict(command.text, ending), diagnostic(ending))


async def _feed(
    child: Child, hearing: Hearing, head: bytes, message: Message, style: Style
) -> None:
    """
    Write it all, as fast as it is read, until nobody reads any more.
    """
    copy = CommandCopy(style)
    if not await _write(child, hearing, head):
        return
    content = message.content
    for offset in range(0, content.size, BLOCK):
        block = await read_block(content, offset, BLOCK)
        if not await _write(child, hearing, copy.feed(block)):
            return
    await _write(child, hearing, copy.finish())
    child.end_input()


async def _write(child: Child, hearing: Hearing, data: bytes) -> bool:
    """
    @return: C{False} when nobody reads it.
    """
    taken = child.write(data) if data else True
    if isinstance(taken, Deferred):
        taken = await taken
    hearing.progress()
    return taken
