"""
Tests of the audit: each thing that may be wrong with a process is found.
"""

from __future__ import annotations

import glob
import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.master.cell import LIMIT, OWNER, Child, home, need_root, smtpd
from txmta.master import kernel
from txmta.master.audit import REACTOR_FILES, Expected, audit, socket_inode
from txmta.master.confine import Confinement, Network

#: Of the tests: of children, too.
STANDARD = [os.readlink(f"/proc/self/fd/{n}") for n in range(3)]
FILES = (*REACTOR_FILES, *map(glob.escape, STANDARD))
SOCKETS = {socket_inode(n) for n in range(3)}


class AuditTests(SynchronousTestCase):
    def setUp(self) -> None:
        need_root()
        self.base = home(self)
        self.confined = replace(smtpd(self.base), network=Network())
        self.expected = Expected(OWNER.uid, OWNER.gid, files=FILES)

    def child(
        self,
        wanted: Confinement,
        spoil: Callable[[], object] = int,
        without: Sequence[str] = (),
    ) -> int:
        """
        @param spoil: done by the process at last.
        @return: of a process that lives on.
        """
        read, write = os.pipe()
        # of its answer: the next two
        first, second = os.pipe()
        os.close(first)
        os.close(second)
        kept = {0, 1, 2, write, second, *(wanted.keep or ())}

        def work() -> None:
            spoil()
            os.write(write, b"x")
            time.sleep(LIMIT)

        child = Child(replace(wanted, keep=kept), work, without)
        self.addCleanup(child.end)
        os.close(write)
        self.assertEqual(os.read(read, 1), b"x")
        os.close(read)
        return child.pid

    def test_well(self) -> None:
        """
        Nothing is found on a process that is as it should be.
        """
        self.assertEqual(audit(self.child(self.confined), self.expected), ())

    def test_unconfined(self) -> None:
        """
        A process that is still root.
        """
        found = audit(self.child(Confinement(None)), self.expected)
        said = "\n".join(found)
        for word in ("Uid is 0 0 0 0", "Gid is 0", "CapEff", "CapBnd", "NoNewPrivs"):
            self.assertIn(word, said)

    def test_groups(self) -> None:
        def spoil() -> None:
            os.setgroups([4])
            os.setresgid(*[OWNER.gid] * 3)
            os.setresuid(*[OWNER.uid] * 3)

        pid = self.child(Confinement(None), spoil)
        self.assertIn("has groups: 4", audit(pid, self.expected))
        allowed = audit(pid, replace(self.expected, groups=[4]))
        self.assertNotIn("has groups: 4", allowed)

    def test_no_filter(self) -> None:
        pid = self.child(self.confined, without=["seccomp"])
        found = audit(pid, self.expected)
        self.assertEqual(found, ("has no filter of system calls: Seccomp is not 2",))
        # where there is none, none is expected
        self.assertEqual(audit(pid, replace(self.expected, filtered=False)), ())

    def test_traceable(self) -> None:
        pid = self.child(
            self.confined,
            lambda: kernel.prctl(kernel.PR_SET_DUMPABLE, 1),
            without=["seccomp"],
        )
        found = audit(pid, replace(self.expected, filtered=False))
        self.assertEqual(found, ("other processes of its account can trace it",))

    def test_root(self) -> None:
        jail = str(self.base / "queue")
        jailed = self.child(replace(self.confined, chroot=jail))
        self.assertEqual(audit(jailed, self.expected), (f"its root is {jail}, not /",))
        self.assertEqual(audit(jailed, replace(self.expected, root=jail)), ())

    def test_descriptors(self) -> None:
        """
        A file of another, and a socket that it was not given.
        """
        ours, theirs = socket.socketpair()
        secret = os.open("/etc/shadow", os.O_RDONLY)
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        self.addCleanup(os.close, secret)
        pid = self.child(replace(self.confined, keep=[ours.fileno(), secret]))
        given = replace(self.expected, sockets={socket_inode(ours.fileno()), *SOCKETS})
        self.assertEqual(
            audit(pid, given), (f"descriptor {secret} is not its own: /etc/shadow",)
        )
        self.assertEqual(
            audit(pid, replace(self.expected, sockets=SOCKETS)),
            (
                f"descriptor {ours.fileno()} is a socket that it was not given",
                f"descriptor {secret} is not its own: /etc/shadow",
            ),
        )

    def test_internet(self) -> None:
        """
        A role without network that has an Internet socket; this is what
        local, which no filter binds, is looked at for.
        """
        for kind, name in (
            (socket.SOCK_STREAM, "tcp"),
            (socket.SOCK_DGRAM, "udp"),
        ):
            made = socket.socket(type=kind)
            self.addCleanup(made.close)
            made.bind(("127.0.0.1", 0))
            if kind == socket.SOCK_STREAM:
                made.listen()
            pid = self.child(Confinement(None, keep=[made.fileno()]))
            local = Expected(0, 0, confined=False, files=FILES)
            found = audit(pid, local)
            self.assertEqual(
                found, (f"descriptor {made.fileno()} is an Internet socket: {name}",)
            )
            self.assertEqual(audit(pid, replace(local, internet=True)), ())

    def test_local(self) -> None:
        """
        While local acts as a user, its real and saved ids are root's.
        """

        def spoil() -> None:
            os.setegid(OWNER.gid)
            os.seteuid(OWNER.uid)

        pid = self.child(Confinement(None), spoil)
        local = Expected(0, 0, confined=False, files=FILES)
        self.assertEqual(audit(pid, local), ())

    def test_ended(self) -> None:
        child = Child(Confinement(None), lambda: None)
        child.end()
        self.assertEqual(audit(child.pid, self.expected), ("it has ended",))


class ZombieTests(SynchronousTestCase):
    def test_zombie(self) -> None:
        """
        A process that has ended and was not waited for.
        """
        folder = Path(self.mktemp())
        (folder / "7").mkdir(parents=True)
        (folder / "7/status").write_text("Name:\tx\nState:\tZ (zombie)\n")
        found = audit(7, Expected(0, 0), str(folder))
        self.assertEqual(found, ("it has ended",))
