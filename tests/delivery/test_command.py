"""
Giving messages to commands, with a double for the programs.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import cast

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.delivery.doubles import Content, Setting
from txmta.config.settings import Settings
from txmta.delivery.command import (
    Command,
    Commands,
    base_environment,
    from_line,
    shell_command,
)
from txmta.delivery.command_copy import Style
from txmta.delivery.filesystem import MailboxError
from txmta.delivery.hearing import HUSH, MAX_TALK
from txmta.delivery.message import Message
from txmta.delivery.programs import Child, IListener, Program
from txmta.errors import StoreUnavailable

CONTENT = b"Subject: x\r\n\r\nbody\r\n"
COMMAND = Command((b"/bin/x", b"a"), "/bin/x a", time_limit=10.0, uid=1000, gid=1000)


class FakeChild:
    """
    A program that does what the test says.

    @ivar read: what it was given.
    @ivar reads: C{True}: it takes all; C{False}: it has closed its input;
        L{None}: it takes nothing yet.
    """

    def __init__(self, program: Program, listener: IListener) -> None:
        self.program, self.listener = program, listener
        self.read = b""
        self.reads: bool | None = True
        self.waiting: Deferred[bool] | None = None
        self.killed = self.at_end = 0
        self.quiet: list[bool] = []

    def write(self, data: bytes) -> Deferred[bool] | bool:
        if self.reads:
            self.read += data
        if self.reads is None:
            self.waiting = Deferred()
            return self.waiting
        return self.reads

    def end_input(self) -> None:
        self.at_end += 1

    def hush(self, quiet: bool) -> None:
        self.quiet.append(quiet)

    def kill(self) -> None:
        self.killed += 1


class FakePrograms:
    """
    @ivar broken: raised, by program.
    """

    def __init__(self) -> None:
        self.children: list[FakeChild] = []
        self.broken: dict[bytes, OSError] = {}
        self.prepare: Callable[[FakeChild], None] = lambda child: None

    async def start(self, program: Program, listener: IListener) -> Child:
        if program.argv[0] in self.broken:
            raise self.broken[program.argv[0]]
        child = FakeChild(program, listener)
        self.children.append(child)
        self.prepare(child)
        return cast(Child, child)


class CommandsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.setting = Setting(queue_directory="/queue")
        self.programs = FakePrograms()
        self.commands = Commands(self.setting.context, self.programs)
        # check() asks; the doubles have no process whose rights could matter.
        self.patch(os, "geteuid", lambda: 1000)

    def run_(
        self,
        command: Command = COMMAND,
        content: Content | None = None,
        style: Style | None = None,
    ) -> Deferred[str]:
        held = content or Content(CONTENT)
        message = Message(held, b"")
        return Deferred.fromCoroutine(
            self.commands.run(command, b"Head: x\n", message, style)
        )

    @property
    def child(self) -> FakeChild:
        (child,) = self.programs.children
        return child

    def failure(self, d: Deferred[str]) -> tuple[str, str]:
        error = self.failureResultOf(d, MailboxError).value
        return error.status, error.reason

    def test_success(self) -> None:
        """
        Head and content with its line ends; what the command said.
        """
        d = self.run_()
        self.assertEqual(self.child.read, b"Head: x\nSubject: x\n\nbody\n")
        self.assertEqual(self.child.at_end, 1)
        self.child.listener.heard(b"all\nfine\n")
        self.assertNoResult(d)
        self.child.listener.end(0)
        self.assertEqual(self.successResultOf(d), "all fine")
        self.assertEqual(self.setting.clock.getDelayedCalls(), [])

    def test_program(self) -> None:
        """
        What is started: directory, nobody else's rights, an environment made
        from nothing.
        """
        environment = ((b"SENDER", b"a b"), (b"PATH", b"/x"))
        self.run_(replace(COMMAND, environment=environment))
        program = self.child.program
        self.assertEqual(program.argv, (b"/bin/x", b"a"))
        self.assertEqual(program.directory, "/queue")
        self.assertIsNone(program.identity)
        self.assertEqual(program.environment[b"SENDER"], b"a b")
        self.assertEqual(program.environment[b"PATH"], b"/x")
        known = {b"SENDER", b"PATH", b"TZ", b"MAIL_CONFIG", b"LANG"}
        self.assertLessEqual(set(program.environment), known)

    def test_root_becomes_the_user(self) -> None:
        self.patch(os, "geteuid", lambda: 0)
        self.run_()
        self.assertEqual(self.child.program.identity, (1000, 1000))

    def test_never_as_root(self) -> None:
        """
        Whatever was asked for.
        """
        self.patch(os, "geteuid", lambda: 0)
        for uid, gid in ((0, 1000), (1000, 0), (-1, -1), (-1, 1000)):
            status, reason = self.failure(self.run_(replace(COMMAND, uid=uid, gid=gid)))
            self.assertEqual(status, "4.3.5")
            self.assertIn("rights of root", reason)
        self.assertEqual(self.programs.children, [])

    def test_not_as_another(self) -> None:
        """
        What must run as another user is not run as us.
        """
        status, reason = self.failure(self.run_(replace(COMMAND, uid=1001)))
        self.assertEqual(status, "4.3.5")
        self.assertIn("cannot be run as uid 1000", reason)
        self.assertEqual(self.programs.children, [])

    def test_null(self) -> None:
        """
        The system would end an argument at a null octet.
        """
        for command in (
            replace(COMMAND, argv=(b"/bin/x", b"a\0b")),
            replace(COMMAND, environment=((b"A", b"a\0b"),)),
        ):
            self.assertEqual(self.failure(self.run_(command))[0], "5.1.3")
        self.assertEqual(self.programs.children, [])

    def test_failure(self) -> None:
        """
        Status and reason are those of the end of the command.
        """
        d = self.run_()
        self.child.listener.heard(b"4.2.2 full\n")
        self.child.listener.end(1)
        self.assertEqual(self.failure(d), ("4.2.2", "full "))
        self.assertEqual(self.setting.clock.getDelayedCalls(), [])

    def test_killed(self) -> None:
        d = self.run_()
        self.child.listener.end(-11)
        self.assertEqual(
            self.failure(d), ("4.3.0", 'Command died with signal 11: "/bin/x a"')
        )

    def test_input_not_read(self) -> None:
        """
        A command need not read its input: only its exit status counts.
        """

        def deaf(child: FakeChild) -> None:
            child.reads = False

        self.programs.prepare = deaf
        content = Content(CONTENT * 100_000)
        d = self.run_(content=content)
        self.child.listener.end(0)
        self.assertEqual(self.successResultOf(d), "")
        self.assertEqual(content.largest, 0)

    def test_back_pressure(self) -> None:
        """
        No more is read from the queue than the command takes.
        """

        def slow(child: FakeChild) -> None:
            child.reads = None

        self.programs.prepare = slow
        content = Content(b"x" * 1_000_000)
        self.run_(content=content)
        self.assertEqual(content.largest, 0)
        for _ in range(2):
            waiting = self.child.waiting
            assert waiting is not None
            waiting.callback(True)
        self.assertEqual(content.largest, 65536)

    def test_time_limit(self) -> None:
        """
        A command that does not end is killed, and the mail bounces.
        """
        d = self.run_()
        self.child.listener.heard(b"wait")
        self.setting.clock.advance(9.9)
        self.assertEqual(self.child.killed, 0)
        self.setting.clock.advance(0.2)
        self.assertEqual(self.child.killed, 1)
        self.assertNoResult(d)
        self.child.listener.end(-9)
        self.assertEqual(
            self.failure(d),
            (
                "5.3.0",
                'Command time limit exceeded: "/bin/x a". Command output: wait',
            ),
        )

    def test_time_starts_anew(self) -> None:
        """
        A command that reads, however slowly, is given time; one that does
        not is killed.
        """

        def slow(child: FakeChild) -> None:
            child.reads = None

        self.programs.prepare = slow
        self.run_(content=Content(b"x" * 1_000_000))
        for _ in range(5):
            self.setting.clock.advance(9)
            waiting = self.child.waiting
            assert waiting is not None
            waiting.callback(True)
        self.assertEqual(self.child.killed, 0)
        self.setting.clock.advance(10.1)
        self.assertEqual(self.child.killed, 1)

    def test_much_output(self) -> None:
        """
        Of megabytes the first 4096 octets are kept, and whoever goes on is
        listened to less often.
        """
        d = self.run_()
        for _ in range(MAX_TALK // 65536):
            self.child.listener.heard(b"y" * 65536)
        self.assertEqual(self.child.quiet, [])
        self.child.listener.heard(b"y" * 65536)
        self.assertEqual(self.child.quiet, [True])
        self.setting.clock.advance(HUSH)
        self.assertEqual(self.child.quiet, [True, False])
        # What is left at the end is heard, although nothing more is asked for.
        self.child.listener.heard(b"y" * 65536)
        self.child.listener.heard(b"y" * 65536)
        self.child.listener.end(1)
        _status, reason = self.failure(d)
        self.assertTrue(reason.endswith(": " + "y" * 4096))
        self.assertEqual(self.setting.clock.getDelayedCalls(), [])

    def test_no_program(self) -> None:
        """
        As when Postfix's child fails: temporary, the administrator can mend
        it. For a command of the shell it is asked first.
        """
        self.programs.broken[b"/bin/x"] = FileNotFoundError(2, "", "/bin/x")
        self.programs.broken[b"exit"] = FileNotFoundError(2, "", "exit")
        self.assertEqual(
            self.failure(self.run_(replace(COMMAND, builtin=True))),
            (
                "4.3.0",
                "temporary failure. Command output: local: fatal: pipe_command: "
                "execvp /bin/x: No such file or directory",
            ),
        )
        command = replace(COMMAND, argv=(b"exit", b"67"), text="exit 67")
        self.assertEqual(self.failure(self.run_(command))[0], "4.3.0")
        self.run_(replace(command, builtin=True))
        self.assertEqual(self.child.program.argv, (b"/bin/sh", b"-c", b"exit 67"))

    def test_no_directory(self) -> None:
        error = FileNotFoundError(2, "", "/nowhere")
        self.programs.broken[b"/bin/x"] = error
        _status, reason = self.failure(
            self.run_(replace(COMMAND, directory="/nowhere", agent="pipe"))
        )
        self.assertIn(
            "pipe: fatal: pipe_command: cannot change directory to "
            '"/nowhere": No such file or directory',
            reason,
        )

    def test_content_lost(self) -> None:
        """
        A message that cannot be read to its end: the command is killed, and
        its end decides nothing.
        """
        d = self.run_(content=Content(b"x", size=100))
        self.failureResultOf(d, StoreUnavailable)
        self.assertEqual(self.child.killed, 1)

    def test_stop(self) -> None:
        """
        Commands do not outlive the server.
        """
        d = self.run_()
        self.commands.stop()
        self.assertEqual(self.child.killed, 1)
        self.child.listener.end(-9)
        self.assertEqual(self.failure(d)[0], "4.3.0")
        self.commands.stop()
        self.assertEqual(self.child.killed, 1)

    def test_stop_while_starting(self) -> None:
        """
        Nor those that a thread is just about to start.
        """
        self.commands.stop()
        self.run_()
        self.assertEqual(self.child.killed, 1)


class ShellTests(SynchronousTestCase):
    """
    postconf(5) local_command_shell; Postfix's exec_command().
    """

    def test_without(self) -> None:
        """
        No shell where nothing needs one.
        """
        self.assertEqual(
            shell_command(" /bin/x -a\tb@c.d,e:f=% ", ""),
            (b"/bin/x", b"-a", b"b@c.d,e:f=%"),
        )

    def test_with(self) -> None:
        """
        Each character with a meaning for a shell, and those that are not
        ASCII.
        """
        for c in "$`\"'\\|&;<>()*?[]#~{}^\n\r\0\x7f\u00e4\u3000\u0663":
            text = f"/bin/x a{c}b"
            octets = text.encode()
            self.assertEqual(shell_command(text, ""), (b"/bin/sh", b"-c", octets))

    def test_configured(self) -> None:
        """
        local_command_shell gets the command as one argument, always.
        """
        self.assertEqual(
            shell_command("/bin/x a", "/usr/bin/smrsh -c"),
            (b"/usr/bin/smrsh", b"-c", b"/bin/x a"),
        )


class EnvironmentTests(SynchronousTestCase):
    def of(self, ours: dict[bytes, bytes], **settings: str) -> dict[bytes, bytes]:
        return base_environment(
            Settings.of(config_directory="/etc/x", **settings), ours
        )

    def test_default(self) -> None:
        """
        As Debian's Postfix: nothing of ours but the time zone.
        """
        ours = {b"TZ": b"UTC", b"HOME": b"/root", b"LANG": b"de", b"PATH": b"/evil"}
        self.assertEqual(
            self.of({**ours, b"LD_PRELOAD": b"x"}),
            {
                b"TZ": b"UTC",
                b"MAIL_CONFIG": b"/etc/x",
                b"LANG": b"C",
                b"PATH": b"/usr/bin:/bin",
            },
        )

    def test_named(self) -> None:
        """
        What is exported must have been imported; values can be set.
        """
        found = self.of(
            {b"A": b"1", b"B": b"2"},
            import_environment="A",
            export_environment="A B C=3, { D = x y }",
        )
        self.assertEqual(
            found, {b"A": b"1", b"C": b"3", b"D": b"x y", b"PATH": b"/usr/bin:/bin"}
        )


class FromLineTests(SynchronousTestCase):
    def test_form(self) -> None:
        """
        Two spaces before the time; a sender with a line end makes no line.
        """
        self.assertRegex(
            from_line("a@b.test", 1.7e9), rb"^From a@b\.test  Tue Nov 14 .* 2023$"
        )
        self.assertTrue(from_line("a\nb@c", 0).startswith(b'From "a?b"@c  Thu Jan  1 '))
