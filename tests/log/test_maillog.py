"""
When lines are written, and where they go.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
from collections.abc import Sequence

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from txmta.errors import ConfigError
from txmta.events import Note, Warn
from txmta.interfaces import IEventSink
from txmta.log.maillog import FLUSH, MAX_LINES, MailLog
from txmta.log.sinks import FileTarget, SyslogTarget, open_log


class Lines:
    host = True

    def __init__(self) -> None:
        self.bursts: list[list[str]] = []
        self.closed = False

    def write(self, lines: Sequence[str]) -> None:
        self.bursts.append(list(lines))

    def close(self) -> None:
        self.closed = True


class MailLogTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.target = Lines()
        self.wall = 1764000000.0
        self.foreign: list[tuple[object, ...]] = []
        self.log = MailLog(
            self.target,
            self.clock,
            lambda: self.wall,
            lambda *a: self.foreign.append(a),
            ("mx.example.com", "postfix", 42),
        )

    def test_interface(self) -> None:
        verifyObject(IEventSink, self.log)

    def test_name_of_a_service(self) -> None:
        """
        A program that has its syslog_name before it gets no other.
        """
        self.log.emit(Note("postfix/submission/smtpd", "hello"))
        self.clock.advance(FLUSH)
        ((line,),) = self.target.bursts
        self.assertIn(" postfix/submission/smtpd[42]: hello\n", line)

    def test_line(self) -> None:
        """
        C{Mon dd hh:mm:ss host syslog_name/program[pid]: text}
        """
        self.log.emit(Note("smtpd", "hello"))
        self.log.flush()
        self.assertRegex(
            self.target.bursts[0][0],
            r"^Nov [ 2]\d \d\d:\d\d:\d\d mx\.example\.com "
            r"postfix/smtpd\[42\]: hello\n$",
        )

    def test_flushed_soon(self) -> None:
        """
        Lines of one burst are one write, at most 100 ms after the first.
        """
        self.assertLessEqual(FLUSH, 0.1)
        self.log.emit(Note("smtpd", "a"))
        self.log.emit(Note("smtpd", "b"))
        self.assertEqual(self.target.bursts, [])
        self.clock.advance(FLUSH)
        self.assertEqual([len(b) for b in self.target.bursts], [2])
        self.log.emit(Note("smtpd", "c"))
        self.clock.advance(FLUSH)
        self.assertEqual([len(b) for b in self.target.bursts], [2, 1])

    def test_bounded(self) -> None:
        """
        A flood does not wait in memory for the timer.
        """
        for _ in range(MAX_LINES + 1):
            self.log.emit(Note("smtpd", "a"))
        self.assertEqual(sum(map(len, self.target.bursts)), MAX_LINES)

    def test_second_changes(self) -> None:
        self.log.emit(Note("a", "x"))
        self.wall += 1
        self.log.emit(Note("a", "x"))
        self.log.flush()
        first, second = self.target.bursts[0]
        self.assertNotEqual(first, second)

    def test_other_thread(self) -> None:
        """
        An event of another thread is handed to the reactor's.
        """
        thread = threading.Thread(target=self.log.emit, args=(Note("a", "x"),))
        thread.start()
        thread.join()
        self.assertEqual(len(self.foreign), 1)
        self.log.flush()
        self.assertEqual(self.target.bursts, [])

    def test_close(self) -> None:
        """
        Nothing that was logged is lost by stopping.
        """
        self.log.emit(Warn("a", "x"))
        self.log.close()
        self.assertIn("warning: x", self.target.bursts[0][0])
        self.assertTrue(self.target.closed)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class FileTargetTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = self.mktemp()

    def read(self, path: str) -> str:
        with open(path) as f:
            return f.read()

    def test_appends(self) -> None:
        for text in ("a\n", "b\n"):
            target = FileTarget(self.path)
            target.write([text])
            target.close()
        self.assertEqual(self.read(self.path), "a\nb\n")
        self.assertEqual(os.stat(self.path).st_mode & 0o007, 0)

    def test_full_disk(self) -> None:
        """
        What finds no place is counted, and told when there is some again; a
        line that was cut does not run into the next.
        """
        room = 6

        def write(descriptor: int, data: bytes) -> int:
            nonlocal room
            if not room:
                raise OSError(errno.ENOSPC, "full")
            room -= (size := os_write(descriptor, data[:room]))
            return size

        os_write = os.write
        self.patch(os, "write", write)
        target = FileTarget(self.path)
        tag = "Nov 24 host postfix/smtpd[7]: "
        target.write(["one\n", "two\n", "three\n"])
        target.write(["four\n"])
        room = 1000
        target.write([f"{tag}five\n"])
        target.write([f"{tag}six\n"])
        self.assertEqual(
            self.read(self.path),
            f"one\ntw\n{tag}warning: 3 lines of the log were lost\n"
            f"{tag}five\n{tag}six\n",
        )

    def test_astray(self) -> None:
        """
        It knows when nobody can find what it writes, and goes back as soon as
        it can.
        """
        os.mkdir(self.path)
        path = os.path.join(self.path, "log")
        target = FileTarget(path)
        target.write(["a\n"])
        self.assertFalse(target.astray)
        os.unlink(path)
        os.rmdir(self.path)
        target.write(["b\n"])
        self.assertTrue(target.astray)
        os.mkdir(self.path)
        target.write(["c\n"])
        self.assertFalse(target.astray)
        self.assertEqual(self.read(path), "c\n")

    def test_opened_again(self) -> None:
        """
        A new file is made by who made the first: it may have to belong to
        somebody else.
        """
        opened: list[str] = []

        def opener(path: str) -> int:
            opened.append(path)
            return open_log(path)

        target = FileTarget(self.path, opener)
        os.rename(self.path, f"{self.path}.1")
        target.write(["a\n"])
        self.assertEqual(opened, [self.path, self.path])

    def test_rotation(self) -> None:
        """
        After logrotate renamed the file, lines go to a new one.
        """
        target = FileTarget(self.path)
        target.write(["a\n"])
        os.rename(self.path, self.path + ".1")
        target.write(["b\n"])
        target.close()
        self.assertEqual(self.read(self.path + ".1"), "a\n")
        self.assertEqual(self.read(self.path), "b\n")

    def test_rotation_to_something_else(self) -> None:
        """
        What is no file is not written to; a pipe does not stop the server.
        """
        target = FileTarget(self.path)
        os.rename(self.path, self.path + ".1")
        os.mkfifo(self.path)
        target.write(["a\n"])
        reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        target.write(["b\n"])
        target.close()
        self.assertEqual(self.read(self.path + ".1"), "a\nb\n")

    def test_not_there(self) -> None:
        """
        The error names file, reason and remedy.
        """
        error = self.assertRaises(ConfigError, FileTarget, self.path + "/no/where")
        (problem,) = error.problems
        self.assertIn("maillog_file = ", problem)
        self.assertIn("directory", problem)

    def test_symlink(self) -> None:
        """
        A link put in place of the log is not followed.
        """
        os.symlink(self.path + ".target", self.path)
        self.assertRaises(ConfigError, FileTarget, self.path)
        self.assertFalse(os.path.exists(self.path + ".target"))


class SyslogTargetTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = os.path.join(self.mktemp()[-40:].replace("/", "_"))
        self.addCleanup(self._remove)

    def _remove(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)

    def server(self) -> socket.socket:
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        s.bind(self.path)
        s.setblocking(False)
        self.addCleanup(s.close)
        return s

    def test_datagrams(self) -> None:
        """
        Facility mail; what is wrong has its severity, whatever clients say.
        """
        server = self.server()
        target = SyslogTarget(path=self.path)
        self.addCleanup(target.close)
        target.write(["x: a\n", "x: warning: b\n"])
        self.assertEqual(server.recv(100), b"<22>x: a")
        self.assertEqual(server.recv(100), b"<20>x: warning: b")
        target.write(["x: fatal: c\n", "x: y[1]: fatal: warning: d\n"])
        self.assertEqual(server.recv(100), b"<18>x: fatal: c")
        self.assertEqual(server.recv(100), b"<22>x: y[1]: fatal: warning: d")

    def test_facility(self) -> None:
        """
        syslog_facility is honoured.
        """
        server = self.server()
        target = SyslogTarget("local3", self.path)
        self.addCleanup(target.close)
        target.write(["x: a\n"])
        self.assertEqual(server.recv(100), b"<158>x: a")

    def test_no_syslog(self) -> None:
        """
        Mail goes on without syslog, and logging resumes when it is back.
        """
        target = SyslogTarget(path=self.path)
        self.addCleanup(target.close)
        target.write(["a\n"])
        server = self.server()
        target.write(["b\n"])
        self.assertEqual(server.recv(100), b"<22>b")
