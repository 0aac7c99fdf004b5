"""
Commands that fail, hang, talk, die and do not listen: real ones.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import cast
from unittest import SkipTest

from twisted.internet import reactor
from twisted.internet.defer import Deferred, execute
from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor, IWriteDescriptor
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.delivery.doubles import Content
from tests.interop.recorder import GID, UID, Recorder, real_context
from tests.interop.tools import PATIENCE
from txmta.delivery.command import Command, Commands, shell_command
from txmta.delivery.filesystem import MailboxError
from txmta.delivery.message import Message
from txmta.delivery.programs import OPEN_FILES, Program, Programs

SMALL = b"Subject: x\r\n\r\nbody\r\n"
LARGE = b"x" * 78 + b"\r\n"
LARGE *= 250_000  # 20 MB

#: Seconds, and a mark by which the processes of this run are found.
LONG = f"9876.{os.getpid()}"

#: Octets of memory that a command may cost us, whatever it does.
MEMORY = 16 << 20


def shell(text: str, limit: float = PATIENCE) -> Command:
    argv = (b"/bin/sh", b"-c", text.encode())
    return Command(argv, text, time_limit=limit, uid=UID, gid=GID)


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def alive(mark: str) -> list[int]:
    """
    @return: processes, no zombies, with this in their command line.
    """
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (path / "cmdline").read_bytes():
                found.append(int(path.name))
    return found


def descriptors() -> list[str]:
    """
    @return: pidfds, and pipes whose other end is not ours too, as those are
        with which the reactor wakes itself.
    """
    links = []
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            links.append(os.readlink(path))
    return sorted(
        link
        for link in links
        if "pidfd" in link or ("pipe:" in link and links.count(link) == 1)
    )


class CommandTests(TestCase):
    timeout = 60

    def setUp(self) -> None:
        self.commands = Commands(real_context())
        self.addCleanup(self.commands.stop)
        self.before = descriptors()
        self.addCleanup(lambda: self.assertEqual(descriptors(), self.before))

    async def ran(self, command: Command, content: bytes = SMALL) -> tuple[str, str]:
        message = Message(Content(content), b"")
        try:
            said = await self.commands.run(command, b"Head: x\n", message)
        except MailboxError as e:
            return e.status, e.reason
        return "2.0.0", said

    async def test_reads_all(self) -> None:
        """
        A large message arrives whole, whatever the size of a pipe is.
        """
        lines = LARGE.replace(b"\r\n", b"\n")
        self.assertEqual(
            await self.ran(shell("wc -c"), LARGE), ("2.0.0", str(8 + len(lines)))
        )

    async def test_does_not_read(self) -> None:
        """
        That is no error: only the exit status counts.
        """
        for text in ("exit 0", "exec 0<&-; sleep 0.1; exit 0", "head -c 5 >/dev/null"):
            self.assertEqual(await self.ran(shell(text), LARGE), ("2.0.0", ""), text)
        status, _reason = await self.ran(shell("exit 67"), LARGE)
        self.assertEqual(status, "5.1.1")

    async def test_reads_late(self) -> None:
        """
        A slow reader gets all of it, and nothing piles up here.
        """
        size = 8 + len(LARGE.replace(b"\r\n", b"\n"))
        before = resident()
        d = Deferred.fromCoroutine(self.ran(shell("sleep 0.3; wc -c"), LARGE))
        await deferLater(reactor, 0.2, lambda: None)
        self.assertLess(resident() - before, MEMORY)
        self.assertEqual(await d, ("2.0.0", str(size)))

    async def test_megabytes_of_output(self) -> None:
        """
        The start is kept, the rest is thrown away.
        """
        before = resident()
        text = "head -c 30000000 /dev/zero | tr '\\0' y; exit 1"
        status, reason = await self.ran(shell(text))
        self.assertEqual(status, "5.3.0")
        self.assertIn("Command died with status 1", reason)
        self.assertTrue(reason.endswith(f": {'y' * 4096}"))
        self.assertLess(resident() - before, MEMORY)

    async def test_endless_output(self) -> None:
        """
        It ends at the time limit, and other work goes on.
        """
        before, cpu = resident(), time.process_time()
        status, reason = await self.ran(shell("yes", 1.0), LARGE)
        self.assertEqual(status, "5.3.0")
        self.assertIn('Command time limit exceeded: "yes"', reason)
        self.assertLess(resident() - before, MEMORY)
        self.assertLess(time.process_time() - cpu, 0.7)

    async def test_hangs(self) -> None:
        """
        Killed at the time limit, with all its offspring.
        """
        for content in (SMALL, LARGE):
            text = f"sleep {LONG}1 & sleep {LONG}1"
            start = time.monotonic()
            status, reason = await self.ran(shell(text, 0.4), content)
            self.assertEqual(status, "5.3.0")
            self.assertEqual(reason, f'Command time limit exceeded: "{text}"')
            self.assertLess(time.monotonic() - start, 5)
            await deferLater(reactor, 0.05, lambda: None)
            self.assertEqual(alive(f"{LONG}1"), [])

    async def test_ignores_signals(self) -> None:
        """
        It is SIGKILL.
        """
        text = "trap '' TERM HUP INT; while :; do sleep 0.05; done"
        status, _reason = await self.ran(shell(text, 0.3))
        self.assertEqual(status, "5.3.0")

    async def test_background(self) -> None:
        """
        What is left in the background with input and output open is not
        waited for, and may go on.
        """
        start = time.monotonic()
        # A shell takes the input away from what it puts into the background.
        text = f"exec 3<&0; echo said; sleep {LONG}2 & exit 0"
        self.assertEqual(await self.ran(shell(text), LARGE), ("2.0.0", "said"))
        self.assertLess(time.monotonic() - start, 5)
        left = alive(f"{LONG}2")
        self.assertEqual(len(left), 1)
        os.kill(left[0], signal.SIGKILL)

    async def test_killed(self) -> None:
        status, reason = await self.ran(shell("echo out; kill -SEGV $$"))
        self.assertEqual(status, "4.3.0")
        self.assertIn("Command died with signal 11", reason)
        self.assertIn("Command output: out ", reason)

    async def test_last_words(self) -> None:
        """
        What is said just before the end is heard, on both outputs.
        """
        for _ in range(20):
            text = "cat >/dev/null; echo 4.2.1 out; echo err >&2; exit 1"
            self.assertEqual(await self.ran(shell(text)), ("4.2.1", "out err "))

    async def test_not_there(self) -> None:
        """
        The words are those of Postfix's child.
        """
        missing = replace(shell(""), argv=(b"/nowhere/x",))
        status, reason = await self.ran(missing)
        self.assertEqual(status, "4.3.0")
        self.assertIn("execvp /nowhere/x: No such file or directory", reason)
        forbidden = replace(shell(""), argv=(b"/etc/passwd",))
        self.assertIn("Permission denied", (await self.ran(forbidden))[1])
        folder = replace(shell(""), directory="/nowhere")
        self.assertIn('change directory to "/nowhere"', (await self.ran(folder))[1])

    async def test_shell_builtin(self) -> None:
        """
        A command that only the shell knows.
        """
        command = Command(
            shell_command("exit 67", ""), "exit 67", uid=UID, gid=GID, builtin=True
        )
        self.assertEqual(await self.ran(command), ("5.1.1", "user unknown"))

    async def test_path(self) -> None:
        """
        Programs are found in the path of commands, not in ours.
        """
        command = Command((b"true",), "true", uid=UID, gid=GID)
        self.assertEqual(await self.ran(command), ("2.0.0", ""))
        elsewhere = replace(command, environment=((b"PATH", b"/nowhere"),))
        self.assertEqual((await self.ran(elsewhere))[0], "4.3.0")

    async def test_script_without_interpreter(self) -> None:
        """
        As execvp(3): the shell runs it.
        """
        recorder = Recorder()
        self.addCleanup(recorder.close)
        script = recorder.folder / "script"
        script.write_text('echo "$# $1"\n')
        script.chmod(0o755)
        argv = (str(script).encode(), b"a b; exit 1")
        command = replace(shell(""), argv=argv)
        self.assertEqual(await self.ran(command), ("2.0.0", "1 a b; exit 1"))
        named = replace(
            command,
            argv=(b"script", b"a"),
            environment=((b"PATH", str(recorder.folder).encode()),),
        )
        self.assertEqual(await self.ran(named), ("2.0.0", "1 a"))

    async def test_many_at_once(self) -> None:
        """
        Commands that take long do not hold up others, nor threads.
        """
        slow = [
            Deferred.fromCoroutine(self.ran(shell(f"sleep {LONG}3"))) for _ in range(50)
        ]
        start = time.monotonic()
        self.assertEqual(await self.ran(shell("exit 0")), ("2.0.0", ""))
        self.assertLess(time.monotonic() - start, 5)
        self.commands.stop()
        for d in slow:
            self.assertIn("signal 9", (await d)[1])
        await deferLater(reactor, 0.1, lambda: None)
        self.assertEqual(alive(f"{LONG}3"), [])


class Watcher:
    """
    A reactor that only notes what it is to watch.
    """

    def __init__(self) -> None:
        self.readers: list[IReadDescriptor] = []

    def addReader(self, reader: IReadDescriptor) -> None:
        self.readers.append(reader)

    def removeReader(self, reader: IReadDescriptor) -> None:
        if reader in self.readers:
            self.readers.remove(reader)

    def addWriter(self, writer: IWriteDescriptor) -> None:
        raise AssertionError("nothing is written")

    def removeWriter(self, writer: IWriteDescriptor) -> None:
        pass


class OrderTests(SynchronousTestCase):
    def test_end_seen_first(self) -> None:
        """
        The reactor may tell of the end of a program before it tells of what
        that said last; it is heard all the same, and before the end.
        """
        told: list[object] = []

        class Listener:
            def heard(self, data: bytes) -> None:
                told.append(data)

            def end(self, status: int) -> None:
                told.append(status)

        watcher = Watcher()
        programs = Programs(cast(IReactorFDSet, watcher), execute)
        program = Program((b"/bin/echo", b"last"), {}, "/")
        d = Deferred.fromCoroutine(programs.start(program, Listener()))
        self.successResultOf(d)
        _output, end = watcher.readers
        select.select([end.fileno()], [], [], PATIENCE)
        end.doRead()
        self.assertEqual(told, [b"last\n", 0])
        self.assertEqual(watcher.readers, [])


class LeakTests(TestCase):
    """
    What a command gets of us.
    """

    def setUp(self) -> None:
        self.recorder = Recorder()
        self.addCleanup(self.recorder.close)

    async def test_nothing_of_ours(self) -> None:
        """
        No descriptor, not even one that would be inherited; no environment;
        signals as they are by default; own session; umask 077.
        """
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        self.addCleanup(os.close, write)
        os.set_inheritable(write, True)
        os.environ["TXMTA_SECRET"] = "secret"
        self.addCleanup(os.environ.pop, "TXMTA_SECRET")
        commands = Commands(real_context(settings={"export_environment": "LANG"}))
        command = Command(
            (self.recorder.path.encode(), b"a b"),
            "record",
            environment=((b"SENDER", b"x"),),
            directory="/usr",
            uid=UID,
            gid=GID,
        )
        await commands.run(command, b"", Message(Content(SMALL), b""))
        record = self.recorder.take()
        assert record is not None
        self.assertEqual(record.argv, [b"a b"])
        self.assertEqual(record.input, SMALL.replace(b"\r\n", b"\n"))
        self.assertEqual(
            record.environ, {"LANG": "C", "PATH": "/usr/bin:/bin", "SENDER": "x"}
        )
        self.assertEqual(record.directory, "/usr")
        self.assertEqual(record.umask, 0o077)
        self.assertTrue(record.leads)
        # Python itself ignores SIGPIPE (13) and SIGXFSZ (25); 32 and 33 are
        # the C library's own, and its mask says what it likes.
        own = 1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1) | 3 << 31
        self.assertEqual((record.ignored & ~own, record.blocked), (0, 0))
        self.assertEqual(record.files[:3], [0, 1, 2])
        self.assertEqual(len(record.files), 4)
        if os.getuid() == 0:
            nobody = [str(UID)] * 4
            self.assertEqual(record.ids, [nobody, nobody, [str(GID)]])

    async def test_open_files(self) -> None:
        """
        Our own limit is as high as it goes; that of a program is not.
        """
        if os.getuid() == 0:
            raise SkipTest("only of a process of one's own may the limit be changed")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard <= OPEN_FILES:
            raise SkipTest(f"only {hard} open files are allowed")
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        commands = Commands(real_context())
        text = "sleep 0.2; ulimit -Sn; ulimit -Hn"
        found = await commands.run(shell(text), b"", Message(Content(SMALL), b""))
        self.assertEqual(found, f"{OPEN_FILES} {hard}")

    async def test_broken_pipes_kill(self) -> None:
        """
        SIGPIPE is not ignored: C{yes | head} ends by itself.
        """
        commands = Commands(real_context())
        text = "yes | head -n 1; echo done"
        found = await commands.run(shell(text), b"", Message(Content(SMALL), b""))
        self.assertEqual(found, "y done")
        text = "grep SigIgn /proc/self/status"
        found = await commands.run(shell(text), b"", Message(Content(SMALL), b""))
        self.assertEqual(int(found.split()[1], 16) & (1 << (signal.SIGPIPE - 1)), 0)
