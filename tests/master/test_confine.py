"""
Tests of confinement, by code that runs inside and wants out.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import resource
import select
import signal
import socket
import sqlite3
import ssl
import struct
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from tests.master.cell import (
    LIMIT,
    OWNER,
    Attempt,
    Child,
    home,
    inside,
    need_landlock,
    need_root,
    plain,
    smtpd,
)
from txmta.errors import ConfigError
from txmta.master import kernel, seccomp
from txmta.master.confine import Confinement, Network, confine, die_with
from txmta.master.privileges import Account


def listening(case: SynchronousTestCase) -> socket.socket:
    made = socket.create_server(("127.0.0.1", 0))
    case.addCleanup(made.close)
    return made


def port(made: socket.socket) -> int:
    number: int = made.getsockname()[1]
    return number


def connect(number: int) -> None:
    socket.create_connection(("127.0.0.1", number), 5).close()


def call(name: str, *arguments: object) -> None:
    """
    A function of the C library.
    """
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    if function(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)


def read_memory_of(pid: int) -> None:
    buffer = ctypes.create_string_buffer(8)
    vector = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), 8)
    call("process_vm_readv", pid, vector, 1, vector, 1, 0)


def fork() -> None:
    if not os.fork():
        os._exit(0)


def chroot_again() -> None:
    os.mkdir("/in")
    os.chroot("/in")


def link() -> None:
    for each in socket.socketpair():
        each.close()


def bind(number: int = 0) -> None:
    with socket.socket() as made:
        made.bind(("127.0.0.1", number))


#: From it the store knows a network file system, which it refuses.
MOUNTS = "/proc/self/mountinfo"


class FilesTests(SynchronousTestCase):
    def test_others_files(self) -> None:
        """
        What the account may not read, and what it may but has no business
        with, cannot be opened, nor anything be made outside the queue.
        """
        need_root()
        need_landlock(3)
        base = home(self)
        (base / "secret").write_text("relayhost password")
        (base / "secret").chmod(0o600)
        (base / "letter").write_text("of a user who lets others read it")
        (base / "public").write_text("x")
        (base / "public").chmod(0o666)
        (base / "everybody").mkdir()
        (base / "everybody").chmod(0o777)

        attempts: Mapping[str, Attempt] = {
            "shadow": Path("/etc/shadow").read_text,
            "secret": (base / "secret").read_text,
            "letter": (base / "letter").read_text,
            "list": lambda: os.listdir(base),
            "root": lambda: os.listdir("/root"),
            "proc": Path("/proc/self/maps").read_text,
            "make": lambda: (base / "everybody/new").write_text("x"),
            "write": lambda: (base / "public").write_text("y"),
            "truncate": lambda: os.truncate(base / "public", 0),
            "etc": lambda: Path("/etc/new").write_text("x"),
            "move": lambda: os.rename(base / "queue", base / "everybody/queue"),
            "socket": lambda: socket.socket(socket.AF_UNIX).bind(
                str(base / "queue/socket")
            ),
            "fifo": lambda: os.mkfifo(base / "queue/fifo"),
        }
        found = inside(smtpd(base), attempts)
        self.assertEqual(set(found.values()), {"EACCES"}, found)

    def test_read_only(self) -> None:
        """
        Where a table is, nothing can be written, whatever the modes.
        """
        need_landlock(3)
        base = home(self)
        (base / "tables").mkdir()
        (base / "tables").chmod(0o777)
        (base / "tables/relay").write_text("example.com x")
        (base / "tables/relay").chmod(0o666)
        attempts: Mapping[str, Attempt] = {
            "read": (base / "tables/relay").read_text,
            "list": lambda: os.listdir(base / "tables"),
            "write": lambda: os.close(os.open(base / "tables/relay", os.O_WRONLY)),
            "truncate": lambda: os.truncate(base / "tables/relay", 0),
            "make": lambda: (base / "tables/new").write_text("x"),
            "remove": (base / "tables/relay").unlink,
        }
        wanted = smtpd(base)
        wanted = replace(wanted, read=(*wanted.read, str(base / "tables")))
        found = inside(wanted, attempts)
        done = {"read": "done", "list": "done"}
        self.assertEqual(found, dict.fromkeys(attempts, "EACCES") | done)

    def test_by_ids_alone(self) -> None:
        """
        Without Landlock owners and modes keep their force.
        """
        need_root()
        base = home(self)
        (base / "secret").write_text("x")
        (base / "secret").chmod(0o600)
        attempts: Mapping[str, Attempt] = {
            "shadow": Path("/etc/shadow").read_text,
            "secret": (base / "secret").read_text,
            "make": lambda: (base / "new").write_text("x"),
        }
        found = inside(smtpd(base), attempts, ["landlock"])
        self.assertEqual(set(found.values()), {"EACCES"}, found)

    def test_as_user(self) -> None:
        """
        An ordinary user's children are bounded by Landlock, too.
        """
        need_landlock(1)
        base = home(self)
        (base / "letter").write_text("x")
        attempts: Mapping[str, Attempt] = {
            "letter": (base / "letter").read_text,
            "queue": lambda: (base / "queue/file").write_text("x"),
        }
        found = inside(smtpd(base), attempts)
        self.assertEqual(found, {"letter": "EACCES", "queue": "done"})

    def test_jail(self) -> None:
        """
        After chroot there is nothing but the queue, and no way out: neither
        by a second chroot, nor by "..".
        """
        need_root()
        base = home(self)
        (base / "letter").write_text("x")
        jail = str(base / "queue")
        attempts: Mapping[str, Attempt] = {
            "etc": lambda: os.listdir("/etc"),
            "above": (base / "letter").read_text,
            "dots": Path("/../letter").read_text,
            "deeper": chroot_again,
            "below": lambda: os.stat("../" * 40 + "etc/hosts"),
        }
        found = inside(replace(smtpd(base), chroot=jail), attempts, ["landlock"])
        self.assertEqual(
            found,
            dict.fromkeys(attempts, "ENOENT") | {"deeper": "EPERM"},
        )
        made = inside(
            replace(smtpd(base), chroot=jail),
            {"file": lambda: Path("/file").write_text("x")},
        )
        self.assertEqual(made, {"file": "done"})
        self.assertEqual((base / "queue/file").read_text(), "x")

    def test_way_out(self) -> None:
        """
        A descriptor of a directory outside would lead out of the jail: such a
        process does not start.
        """
        need_root()
        base = home(self)
        outside = os.open(base, os.O_RDONLY)
        self.addCleanup(os.close, outside)
        wanted = replace(smtpd(base), chroot=str(base / "queue"))
        answer = Child(wanted, lambda: "went on").answer()
        self.assertIn(f"descriptor {outside} would lead out of", str(answer))


class ProcessTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.base = home(self)

    def sibling(self) -> Child:
        child = Child(smtpd(self.base), lambda: time.sleep(LIMIT))
        self.addCleanup(child.end)
        return child

    def attempts(self, other: int) -> Mapping[str, Attempt]:
        """
        @param other: a process of the same account.
        """
        parent = os.getpid()
        return {
            "program": lambda: os.execv("/bin/sh", ["sh", "-c", "exit 0"]),
            "fork": fork,
            "kill": lambda: os.kill(other, signal.SIGTERM),
            "probe": lambda: os.kill(other, 0),
            "kill parent": lambda: os.kill(parent, signal.SIGTERM),
            "kill group": lambda: os.kill(0, signal.SIGURG),
            "kill all": lambda: os.kill(-1, signal.SIGURG),
            "queue": lambda: call("sigqueue", other, signal.SIGURG, None),
            "pidfd": lambda: os.pidfd_open(other),
            "signal by i/o": lambda: own(other),
            "trace": lambda: call("ptrace", 16, other, 0, 0),
            "trace parent": lambda: call("ptrace", 16, parent, 0, 0),
            "memory": lambda: read_memory_of(other),
            "memory of parent": lambda: read_memory_of(parent),
            "limits": lambda: resource.prlimit(other, resource.RLIMIT_CPU, (0, 0)),
            "priority": lambda: os.setpriority(os.PRIO_PROCESS, other, 19),
            "trace me": lambda: kernel.prctl(kernel.PR_SET_DUMPABLE, 1),
            "live on": lambda: kernel.prctl(kernel.PR_SET_PDEATHSIG, 0),
        }

    def test_others(self) -> None:
        """
        No other program, no new process, nothing done to a sibling of the
        same account or to the parent.
        """
        other = self.sibling()
        found = inside(smtpd(self.base), self.attempts(other.pid))
        self.assertEqual(set(found.values()), {"EPERM"}, found)

    def test_by_seccomp_alone(self) -> None:
        """
        On a kernel without Landlock for signals the same.
        """
        other = self.sibling()
        found = inside(smtpd(self.base), self.attempts(other.pid), ["landlock"])
        self.assertEqual(set(found.values()), {"EPERM"}, found)

    def test_by_landlock_alone(self) -> None:
        """
        On a machine without a table of system calls, signals and programs are
        refused by Landlock.
        """
        need_landlock(6)
        other = self.sibling()
        attempts = self.attempts(other.pid)
        some = {k: attempts[k] for k in ("program", "kill", "kill parent", "probe")}
        found = inside(smtpd(self.base), some, ["seccomp"])
        self.assertEqual(found.pop("program"), "EACCES")
        self.assertEqual(set(found.values()), {"EPERM"}, found)

    def test_not_traced(self) -> None:
        """
        Not dumpable: even a process without any filter, of the same account,
        cannot look into it.
        """
        need_root()
        other = self.sibling()
        wait_until_confined(other.pid)
        outsider = Confinement(OWNER)
        found = inside(
            outsider,
            {
                "memory": lambda: read_memory_of(other.pid),
                "environment": Path(f"/proc/{other.pid}/environ").read_bytes,
            },
            ["landlock", "seccomp"],
        )
        self.assertEqual(found, {"memory": "EPERM", "environment": "EACCES"})

    def test_power(self) -> None:
        """
        Nothing that needs a right of root, and no way to such a right.
        """
        need_root()
        for without in ([], ["landlock", "seccomp"]):
            found = inside(smtpd(self.base), self.power(), without)
            self.assertEqual(set(found.values()), {"EPERM"}, found)

    def power(self) -> Mapping[str, Attempt]:
        return {
            "setuid": lambda: os.setuid(0),
            "setgid": lambda: os.setgid(0),
            "groups": lambda: os.setgroups([0]),
            "chroot": lambda: os.chroot("/"),
            "mount": lambda: call("mount", b"x", b"/mnt", b"tmpfs", 0, None),
            "raw": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 6),
            "limit": lambda: raise_limit(),
            "bounding": lambda: kernel.prctl(kernel.PR_CAPBSET_DROP, 0),
            "host": lambda: socket.sethostname("x"),
        }

    def test_name_spaces(self) -> None:
        """
        A user name space would give all capabilities inside.
        """
        attempts: Mapping[str, Attempt] = {
            "unshare": lambda: call("unshare", 0x10000000),
            "setns": lambda: call("setns", 0, 0),
            "x32": lambda: kernel.system_call(0x40000000 + 39),
            "io_uring": lambda: kernel.system_call(425, 1, None),
            "bpf": lambda: (
                kernel.system_call(280, 0, None, 0)
                if os.uname().machine == "aarch64"
                else kernel.system_call(321, 0, None, 0)
            ),
        }
        found = inside(smtpd(self.base), attempts)
        if os.uname().machine == "aarch64":
            del found["x32"]
        self.assertEqual(set(found.values()), {"EPERM"}, found)

    def test_typing(self) -> None:
        """
        Standard error may be root's terminal: nothing can be typed there.
        """
        import fcntl
        import termios

        main, terminal = os.openpty()
        self.addCleanup(os.close, main)
        self.addCleanup(os.close, terminal)

        def type_it() -> None:
            fcntl.ioctl(terminal, termios.TIOCSTI, b"x")

        found = inside(smtpd(self.base), {"type": type_it})
        self.assertEqual(found, {"type": "EPERM"})

    def test_state(self) -> None:
        """
        The ids, sets and flags, as the process itself sees them.
        """
        need_root()

        def work() -> object:
            return {
                "uid": os.getresuid(),
                "gid": os.getresgid(),
                "groups": os.getgroups(),
                "sets": kernel.capabilities(),
                "bounding": kernel.bounding_set(),
                "no_new_privs": kernel.prctl(kernel.PR_GET_NO_NEW_PRIVS),
                "dumpable": kernel.prctl(kernel.PR_GET_DUMPABLE),
                "death": kernel.death_signal(),
                "core": resource.getrlimit(resource.RLIMIT_CORE),
                "files": resource.getrlimit(resource.RLIMIT_NOFILE),
            }

        os.setgroups([0, 4])
        self.addCleanup(os.setgroups, os.getgroups())
        answer = Child(replace(smtpd(self.base), files=300), work).answer()
        self.assertEqual(
            answer,
            {
                "uid": [OWNER.uid] * 3,
                "gid": [OWNER.gid] * 3,
                "groups": [],
                "sets": [0, 0, 0],
                "bounding": 0,
                "no_new_privs": 1,
                "dumpable": 0,
                "death": signal.SIGKILL,
                "core": [0, 0],
                "files": [300, 300],
            },
        )


def inherit() -> None:
    """
    Keep what we have, and make some of it inheritable.
    """
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    has = kernel.capabilities()[1] & 0xFFFFFFFF
    sets = (ctypes.c_uint32 * 6)(has, has, 0xC1)  # low words
    call("capset", ctypes.byref(header), ctypes.byref(sets))


def raise_limit() -> None:
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (1, 1))
    except ValueError as e:
        raise PermissionError(errno.EPERM, "core") from e


def own(other: int) -> None:
    """
    Let the kernel send a signal when a pipe can be read.
    """
    import fcntl

    read, write = os.pipe()
    try:
        fcntl.fcntl(read, fcntl.F_SETOWN, other)
    finally:
        os.close(read)
        os.close(write)


def wait_until_confined(pid: int) -> None:
    """
    What is not dumpable belongs to root in /proc; that is the last step but
    two.
    """
    deadline = time.monotonic() + LIMIT
    while "Seccomp:\t2" not in Path(f"/proc/{pid}/status").read_text():
        if time.monotonic() > deadline:
            raise AssertionError("is not confined")
        time.sleep(0.002)


class NetworkTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.base = home(self)

    def test_connect(self) -> None:
        """
        To the ports that the role has a use for, to no other.
        """
        need_landlock(4)
        here, there = listening(self), listening(self)
        attempts: Mapping[str, Attempt] = {
            "here": lambda: connect(port(here)),
            "there": lambda: connect(port(there)),
        }
        found = inside(smtpd(self.base, port(here)), attempts)
        self.assertEqual(found, {"here": "done", "there": "EACCES"})
        anywhere = replace(smtpd(self.base), network=Network(True, None))
        self.assertEqual(inside(anywhere, attempts)["there"], "done")

    def test_bind(self) -> None:
        """
        No port of its own; the source address of a connection may be chosen.
        """
        need_landlock(4)
        number = port(listening(self))
        attempts: Mapping[str, Attempt] = {
            "bind": lambda: bind(number + 1 if number < 65535 else 1024),
            "source": bind,
            "listen": lambda: socket.socket().listen(),
        }
        found = inside(smtpd(self.base), attempts)
        self.assertEqual(found, {"bind": "EACCES", "source": "done", "listen": "EPERM"})

    def test_families(self) -> None:
        """
        Sockets for what a mail server speaks: TCP and UDP, and our links.
        """
        attempts: Mapping[str, Attempt] = {
            "packet": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM),
            "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
            "multipath": lambda: socket.socket(proto=262),
            "raw": lambda: socket.socket(type=socket.SOCK_RAW, proto=1),
        }
        found = inside(smtpd(self.base), attempts)
        self.assertEqual(set(found.values()), {"EPERM"}, found)

    def test_none(self) -> None:
        """
        qmgr, pickup and log have links only.
        """
        attempts: Mapping[str, Attempt] = {
            "tcp": socket.socket,
            "tcp6": lambda: socket.socket(socket.AF_INET6),
            "udp": lambda: socket.socket(type=socket.SOCK_DGRAM),
        }
        quiet = replace(smtpd(self.base), network=Network())
        found = inside(quiet, attempts)
        self.assertEqual(set(found.values()), {"EPERM"}, found)
        self.assertEqual(
            inside(quiet, {"link": link}),
            {"link": "done"},
        )

    def test_abstract_sockets(self) -> None:
        """
        Sockets without a path have no owner and no mode.
        """
        need_landlock(6)
        name = f"\0txmta-test-{os.getpid()}"
        server = socket.socket(socket.AF_UNIX)
        self.addCleanup(server.close)
        server.bind(name)
        server.listen()

        def reach() -> None:
            with socket.socket(socket.AF_UNIX) as made:
                made.connect(name)

        self.assertEqual(plain({"reach": reach}), {"reach": "done"})
        self.assertEqual(inside(smtpd(self.base), {"reach": reach}), {"reach": "EPERM"})


class WorkTests(SynchronousTestCase):
    """
    What a role does all day goes on.
    """

    def attempts(self, queue: str, inherited: socket.socket) -> Mapping[str, Attempt]:
        return {
            "sqlite": lambda: database(queue),
            "content": lambda: content(queue),
            "thread": in_threads,
            "udp": ask_by_udp,
            "connect": lambda: connect(port(inherited)),
            "accept": lambda: accept(inherited),
            "epoll": poll,
            "zone": lambda: time.localtime(),
            "traceback": trace,
            "tls": handshake,
            "signal": lambda: os.kill(os.getpid(), 0),
            "raise": lambda: signal.raise_signal(signal.SIGURG),
            "random": lambda: os.urandom(16),
        }

    def check(self, wanted: Confinement, queue: str) -> None:
        inherited = listening(self)
        wanted = replace(wanted, network=Network(True, (port(inherited),)))
        attempts = self.attempts(queue, inherited)
        found = inside(wanted, attempts)
        self.assertEqual(found, dict.fromkeys(attempts, "done"))

    def test_outside(self) -> None:
        base = home(self)
        self.check(smtpd(base), str(base / "queue"))

    def test_in_jail(self) -> None:
        need_root()
        base = home(self)
        self.check(replace(smtpd(base), chroot=str(base / "queue")), "/")

    def test_system(self) -> None:
        """
        What is looked at again while the process runs can be read.
        """
        base = home(self)
        names = ("/etc/passwd", "/etc/hosts", os.__file__, "/dev/null", MOUNTS)
        attempts: Mapping[str, Attempt] = {n: Path(n).read_bytes for n in names}
        found = inside(smtpd(base), attempts)
        self.assertEqual(found, dict.fromkeys(names, "done"))


def database(queue: str) -> None:
    path = os.path.join(queue, "queue.db")
    connection = sqlite3.connect(path)
    try:
        for statement in (
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=FULL",
            "PRAGMA temp_store=MEMORY",
            "CREATE TABLE message (id, size)",
            "INSERT INTO message VALUES ('x', 1), ('y', 2)",
            "SELECT * FROM message ORDER BY size DESC",
        ):
            connection.execute(statement).fetchall()
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        os.stat(f"{path}-shm")
    finally:
        connection.close()
    os.symlink("queue.db", os.path.join(queue, "link.new"))
    os.replace(os.path.join(queue, "link.new"), os.path.join(queue, "link"))


def content(queue: str) -> None:
    folder = os.path.join(queue, "content")
    os.mkdir(folder)
    with open(os.path.join(folder, "1"), "wb") as file:
        file.write(b"x")
        os.fsync(file.fileno())
    os.unlink(os.path.join(folder, "1"))
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(directory)
    os.close(directory)


def in_threads() -> None:
    done: list[int] = []
    threads = [threading.Thread(target=done.append, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if sorted(done) != [0, 1, 2]:
        raise AssertionError(done)


def ask_by_udp() -> None:
    with (
        socket.socket(type=socket.SOCK_DGRAM) as server,
        socket.socket(type=socket.SOCK_DGRAM) as client,
    ):
        server.bind(("127.0.0.1", 0))
        client.bind(("0.0.0.0", 0))
        client.sendto(b"question", server.getsockname())
        _, sender = server.recvfrom(100)
        server.sendto(b"answer", sender)
        client.settimeout(LIMIT)
        if client.recv(100) != b"answer":
            raise AssertionError


def accept(inherited: socket.socket) -> None:
    with socket.create_connection(inherited.getsockname(), LIMIT) as client:
        client.sendall(b"HELO\r\n")
        for _ in range(2):  # the first is that of the attempt before
            server, _address = inherited.accept()
            with server:
                server.settimeout(LIMIT)
                if server.recv(100) == b"HELO\r\n":
                    return
    raise AssertionError


def poll() -> None:
    read, write = os.pipe()
    with select.epoll() as watch:
        watch.register(read, select.EPOLLIN)
        os.write(write, b"x")
        if watch.poll(LIMIT) != [(read, select.EPOLLIN)]:
            raise AssertionError


def trace() -> None:
    try:
        struct.unpack("=Q", b"")
    except struct.error as e:
        if "unpack" not in "".join(traceback.format_exception(e)):
            raise AssertionError from e


def handshake() -> None:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made = client.wrap_bio(ssl.MemoryBIO(), out := ssl.MemoryBIO(), False, "x.example")
    with contextlib.suppress(ssl.SSLWantReadError):
        made.do_handshake()
    if not out.pending:
        raise AssertionError


class LifeTests(SynchronousTestCase):
    def test_parent_dies(self) -> None:
        """
        Whoever forked it is killed, and so is the process, at once, even if
        it is busy.
        """
        base = home(self)
        read, write = os.pipe()
        self.addCleanup(os.close, read)

        def middle() -> None:
            child = Child(smtpd(base), lambda: time.sleep(LIMIT))
            wait_until_confined(child.pid)
            os.write(write, b"x")
            time.sleep(LIMIT)

        parent = Child(Confinement(None), middle)
        os.close(write)
        self.assertEqual(os.read(read, 1), b"x")
        os.kill(parent.pid, signal.SIGKILL)
        ready, _, _ = select.select([read], [], [], LIMIT / 2)
        self.assertEqual(ready, [read])
        self.assertEqual(os.read(read, 1), b"")  # nobody has the other end
        parent.end()

    def test_parent_dead(self) -> None:
        """
        If it died before, the process ends by itself.
        """
        error = self.assertRaises(ConfigError, die_with, 1 << 22)
        kernel.prctl(kernel.PR_SET_PDEATHSIG, 0)
        self.assertIn("has ended", str(error))

    def test_ids_undo_it(self) -> None:
        """
        A process that acts as others has to say it again each time.
        """
        need_root()

        def work() -> object:
            parent = os.getppid()
            os.seteuid(OWNER.uid)
            os.seteuid(0)
            lost = kernel.death_signal()
            die_with(parent)
            return [lost, kernel.death_signal()]

        self.assertEqual(
            Child(Confinement(None), work).answer(), [0, int(signal.SIGKILL)]
        )


class RootTests(SynchronousTestCase):
    def test_local(self) -> None:
        """
        local keeps root's rights and can become users; the commands that it
        runs can use set-uid programs and the network. It cannot be traced,
        and leaves no core.
        """
        need_root()

        def work() -> object:
            os.setegid(OWNER.gid)
            os.seteuid(OWNER.uid)
            as_user = os.geteuid()
            os.seteuid(0)
            socket.socket().close()
            return [
                as_user,
                os.geteuid(),
                kernel.prctl(kernel.PR_GET_NO_NEW_PRIVS),
                kernel.bounding_set() == bounding,
                kernel.prctl(kernel.PR_GET_SECCOMP),
                kernel.prctl(kernel.PR_GET_DUMPABLE) == 1,
                resource.getrlimit(resource.RLIMIT_CORE),
            ]

        bounding = kernel.bounding_set()
        answer = Child(Confinement(None), work).answer()
        self.assertEqual(answer, [OWNER.uid, 0, 0, True, 0, False, [0, 0]])


class StepTests(SynchronousTestCase):
    """
    A step that fails ends the process.
    """

    def refused(
        self,
        spoil: Callable[[], None],
        wanted: Confinement,
        without: Sequence[str] = (),
    ) -> str:
        """
        @param spoil: run in the child before.
        @param without: see L{Child}.
        @return: what was said.
        """

        def work() -> str:
            spoil()
            try:
                confine(wanted)
            except ConfigError as e:
                return str(e)
            return "went on"

        answer = Child(Confinement(None), work, without).answer()
        self.assertIsInstance(answer, str)
        return str(answer)

    def test_bounding(self) -> None:
        """
        Without CAP_SETPCAP the bounding set cannot be emptied, which must not
        go unseen.
        """
        need_root()

        def spoil() -> None:
            real = kernel.prctl

            def refuse(option: int, argument: int = 0) -> int:
                if option == kernel.PR_CAPBSET_DROP:
                    raise PermissionError(errno.EPERM, "Operation not permitted")
                return real(option, argument)

            kernel.prctl = cast(Any, refuse)

        said = self.refused(spoil, smtpd(home(self)))
        self.assertIn("cannot become nobody: Operation not permitted", said)

    def ignoring(self, option: int) -> Callable[[], None]:
        """
        @return: makes a call of prctl(2) have no effect.
        """

        def spoil() -> None:
            real = kernel.prctl
            if os.geteuid() == 0:
                os.setresgid(*[OWNER.gid] * 3)
                os.setresuid(*[OWNER.uid] * 3)
            real(kernel.PR_SET_PDEATHSIG, 0)
            real(kernel.PR_SET_DUMPABLE, 1)

            def ignore(number: int, argument: int = 0) -> int:
                return 0 if number == option else real(number, argument)

            kernel.prctl = cast(Any, ignore)

        return spoil

    def test_flags(self) -> None:
        """
        A flag that was set without effect.
        """
        base = home(self)
        for option, said in (
            (kernel.PR_SET_NO_NEW_PRIVS, "no_new_privs is not set"),
            (kernel.PR_SET_DUMPABLE, "could still be traced"),
            (kernel.PR_SET_PDEATHSIG, "would outlive its parent"),
        ):
            wanted = replace(smtpd(base), parent=os.getpid())
            spoil = self.ignoring(option)
            self.assertIn(said, self.refused(spoil, wanted, ["landlock", "seccomp"]))

    def test_set_by_us(self) -> None:
        """
        An ordinary user's children are not dumpable either: nothing but we
        sees to that, as no ids change.
        """
        wanted = replace(smtpd(home(self)), parent=os.getpid())
        self.assertEqual(self.refused(self.ignoring(-1), wanted), "went on")

    def test_filter(self) -> None:
        """
        A filter that is not in force.
        """

        def spoil() -> None:
            seccomp.restrict = cast(Any, lambda internet: None)

        said = self.refused(spoil, smtpd(home(self)))
        self.assertIn("the filter of system calls is not in force", said)

    def test_inherited(self) -> None:
        """
        Inheritable capabilities, as root has in some containers, outlive a
        change of ids; an ordinary user may have been given some, too.
        """
        need_root()
        base = home(self)
        for before in (int, lambda: os.setresuid(*[OWNER.uid] * 3)):

            def work(before: Callable[[], object] = before) -> object:
                inherit()
                before()
                inherited = kernel.capabilities()[2]
                confine(smtpd(base))
                return [inherited, kernel.capabilities()]

            answer = Child(Confinement(None), work).answer()
            self.assertEqual(answer, [0xC1, [0, 0, 0]])

    def test_kept(self) -> None:
        """
        Capabilities that are still there when all is done.
        """
        need_root()

        def keep_some() -> None:
            inherit()
            kernel.give_up_capabilities = lambda: None

        def keep_bounding() -> None:
            kernel.drop_bounding_set = lambda: None

        wanted = smtpd(home(self))
        self.assertIn("have kept capabilities:", self.refused(keep_some, wanted))
        self.assertIn(
            "have kept capabilities in the bounding set",
            self.refused(keep_bounding, wanted),
        )

    def test_other_account(self) -> None:
        """
        Only root can become somebody else.
        """
        need_root()

        def spoil() -> None:
            os.setresuid(OWNER.uid, OWNER.uid, OWNER.uid)

        base = home(self)
        wanted = replace(smtpd(base), account=Account("daemon", 1, 1))
        self.assertIn("only root can become daemon", self.refused(spoil, wanted))
        wanted = replace(smtpd(base), chroot="/")
        self.assertIn("chroot needs root", self.refused(spoil, wanted))

    def test_queue_missing(self) -> None:
        need_landlock(1)
        wanted = replace(smtpd(home(self)), write=("/nonexistent",))
        self.assertIn("/nonexistent", self.refused(lambda: None, wanted))


class CloseTests(SynchronousTestCase):
    def test_close(self) -> None:
        """
        What is not kept is closed, also what was made inheritable and what
        has a high number.
        """

        def work() -> object:
            listed = os.listdir("/proc/self/fd")
            return sorted(fd for fd in map(int, listed) if is_open(fd))

        ours, theirs = os.pipe()
        high = os.dup2(theirs, 900)
        for fd in (ours, theirs, high):
            self.addCleanup(os.close, fd)
        # The pipe of the answer is kept; its number is the lowest one free.
        child = ClosingChild(ours, work)
        self.assertEqual(child.answer(), [0, 1, 2, ours, child.pipe])


class ClosingChild(Child):
    def __init__(self, kept: int, work: Callable[[], object]) -> None:
        probe, self.pipe = os.pipe()
        os.close(probe)
        os.close(self.pipe)
        keep = (0, 1, 2, kept, self.pipe)
        super().__init__(Confinement(None, keep=keep), work)


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True
