"""
The master and its children: start, ends, stop.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import time
from pathlib import Path

from tests.master.running_master import Client, MasterTestCase, lives, offspring
from tests.support import require_root


class StartStopTests(MasterTestCase):
    def test_start_and_stop(self) -> None:
        """
        All children work before the service manager is told so; all are gone
        after a stop.
        """
        self.start()
        client = self.talk()
        self.assertIn(client.pid, self.pids("smtpd"))
        self.assertEqual(client.say("hello"), "hello")
        client.close()
        self.assertEqual(
            sorted(self.processes().values()),
            ["txmta-fork", "txmta-local", "txmta-log", "txmta-qmgr"]
            + 2 * ["txmta-smtpd"],
        )
        pids = [*self.processes()]
        self.assertEqual(self.stop(), -signal.SIGTERM)
        self.assertIn("STOPPING=1", self.told())
        self.wait(lambda: not any(map(lives, pids)))
        self.assertNotIn("warning", self.log())
        for line in ("daemon started -- configuration", "local is confined", "stopped"):
            self.assertIn(line, self.log())

    def test_links(self) -> None:
        """
        A child rings at another, and what it says is in the log.
        """
        self.start()
        client = self.talk()
        client.say("ring")
        self.logged(f"rung by {client.pid}")

    def test_descriptors(self) -> None:
        """
        A child has its own descriptors, and no other's: standard ones, one
        socket to listen on, a control channel, the log, links, and what a
        reactor needs.
        """
        self.start()
        (qmgr,) = self.pids("qmgr")
        # control, log, doorbells of two, delivery of local
        self.has_sockets(qmgr, 5)
        self.assertEqual(self.others_than_reactor(descriptors(qmgr)), [])
        (local,) = self.pids("local")
        # control, log, delivery of qmgr
        self.has_sockets(local, 3)
        self.assertEqual(sorted(kinds(descriptors(local))), 3 * ["socket"])
        for smtpd in self.pids("smtpd"):
            # control, log, doorbell, and the one to listen on
            self.has_sockets(smtpd, 4)
            self.assertEqual(self.others_than_reactor(descriptors(smtpd)), [])

    def has_sockets(self, pid: int, number: int) -> None:
        """
        The ends of links come after the start, one by one.
        """

        def found() -> list[str]:
            return [d for d in descriptors(pid) if d.startswith("socket:")]

        self.wait(lambda: len(found()) == number, lambda: f"{number} in {found()}")

    def others_than_reactor(self, found: list[str]) -> list[str]:
        ours = ("socket:", "pipe:", "anon_inode:[eventpoll]", "anon_inode:[eventfd]")
        return [d for d in found if not d.startswith(ours) and d != "/dev/null"]

    def test_signals(self) -> None:
        """
        Ctrl-C and the like end no child.
        """
        self.start()
        pids = [*self.processes()]
        for pid in pids:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                os.kill(pid, number)
        client = self.talk()
        self.assertEqual(client.say("hello"), "hello")
        self.assertEqual([*self.processes()], pids)

    def test_sessions_may_finish(self) -> None:
        """
        A stop waits for a session, and accepts no other; a second SIGTERM
        changes nothing.
        """
        self.start()
        client = self.talk()
        self.process.send_signal(signal.SIGTERM)
        self.assertIn("STOPPING=1", self.told())
        self.wait(lambda: len(self.pids("smtpd")) == 1)
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(client.say("hello"), "hello")
        self.assertIsNone(self.process.poll())
        client.close()
        self.assertEqual(self.process.wait(5), -signal.SIGTERM)
        self.assertNotIn("warning", self.log())

    def test_limit(self) -> None:
        """
        A stop does not wait for ever, not even for a child that hangs.
        """
        self.start(TEST_STOP="0.4")
        self.talk()
        hanging = self.talk()
        hanging.send("hang")
        began = time.monotonic()
        self.stop()
        self.assertLess(time.monotonic() - began, 3.5)
        self.assertIn("not drained in time", self.log())

    def test_cannot_start(self) -> None:
        """
        A role that says at the start that it cannot work ends the server,
        with its words.
        """
        self.write(broken="start")
        self.spawn()
        self.assertEqual(self.process.wait(8), 1)
        self.end()
        self.assertIn("fatal:\nsmtpd cannot start\nfor a reason\n", self.output)
        # A daemon has no terminal.
        for words in ("smtpd cannot start", "for a reason"):
            line = rf"postfix/master\[{self.process.pid}\]: fatal: {words}\n"
            self.assertRegex(self.log(), line)

    def test_twistd_options(self) -> None:
        """
        twistd must not take away what children are to get.
        """
        require_root("to be another than before")
        self.folder.chmod(0o755)
        self.spawn("--uid=65534", "--gid=65534")
        self.assertEqual(self.process.wait(8), 1)
        self.end()
        self.assertIn("twistd --uid, --gid: leave out", self.output)

    def test_dies_at_start(self) -> None:
        """
        A role that dies before it is ready holds up only itself.
        """
        self.write(broken="exit")
        self.spawn()
        self.logged("warning: smtpd: bad command startup -- throttling")
        self.assertRegex(self.log(), r"warning: process smtpd pid \d+ exit status 9")
        (qmgr,) = self.pids("qmgr")
        self.assertTrue(lives(qmgr))
        self.assertNotIn("process qmgr", self.log())
        self.stop()


class DeathTests(MasterTestCase):
    def test_child(self) -> None:
        """
        A child that is killed is replaced; sessions of others go on, and new
        links are made.
        """
        self.start()
        first, second = self.two_talks()
        os.kill(first.pid, signal.SIGKILL)
        self.logged(f"warning: process smtpd pid {first.pid} killed by signal 9")
        self.assertEqual(second.say("hello"), "hello")
        self.wait(lambda: len(self.pids("smtpd")) == 2)
        (new,) = self.pids("smtpd") - {first.pid, second.pid}
        self.wait(lambda: self.rings(new))
        self.logged(f"rung by {new}")

    def two_talks(self) -> tuple[Client, Client]:
        """
        @return: clients of two children.
        """
        first = second = self.talk()
        while second.pid == first.pid:
            second = self.talk()
        return first, second

    def rings(self, pid: int) -> bool:
        client = self.talk()
        if client.pid == pid:
            client.say("ring")
        return client.pid == pid

    def test_peer(self) -> None:
        """
        A child whose peer is replaced gets a new link to it.
        """
        self.start()
        client = self.talk()
        (qmgr,) = self.pids("qmgr")
        (self.folder / "claim").unlink()
        os.kill(qmgr, signal.SIGKILL)
        (new,) = self.wait(lambda: self.pids("qmgr") - {qmgr})
        self.logged(f"{new} doorbell of smtpd")
        client.say("ring")
        self.logged(f"{new} rung by {client.pid}")

    def test_log(self) -> None:
        """
        What is said while nobody writes the log is written by the next one.
        """
        self.start()
        (log,) = self.pids("log")
        (qmgr,) = self.pids("qmgr")
        client = self.talk()
        os.kill(log, signal.SIGSTOP)
        client.say("ring")
        # until it is written, into the socket
        time.sleep(0.2)
        os.kill(log, signal.SIGKILL)
        self.logged(f"{qmgr} rung by {client.pid}")
        client.say("ring")
        self.wait(lambda: self.log().count(f"rung by {client.pid}") == 2)

    def test_master(self) -> None:
        """
        Nothing outlives a master that is killed, not even what is stopped.
        """
        self.start()
        pids = [*self.processes()]
        os.kill(min(self.pids("local")), signal.SIGSTOP)
        os.kill(min(self.pids("smtpd")), signal.SIGSTOP)
        (fork_server,) = offspring(self.process.pid)
        os.kill(fork_server, signal.SIGSTOP)
        self.process.kill()
        self.wait(lambda: not any(map(lives, pids)))

    def test_fork_server(self) -> None:
        """
        The death of the fork server takes all children along; there is another
        with other children, and who connects meanwhile is served.
        """
        self.start()
        (fork_server,) = offspring(self.process.pid)
        pids = [*self.processes()]
        (self.folder / "claim").unlink()
        os.kill(fork_server, signal.SIGKILL)
        self.wait(lambda: not any(map(lives, pids)))
        client = self.talk()  # in the queue of the socket until then
        self.assertNotIn(client.pid, pids)
        self.logged("warning: fork server is gone: ")
        self.wait(lambda: len(self.processes()) == 6)

    def test_no_process(self) -> None:
        """
        When there are no processes to be had, master says so, the others work
        on, and it is tried again.
        """
        self.start()
        (self.folder / "full").touch()
        smtpd, other = self.pids("smtpd")
        os.kill(smtpd, signal.SIGKILL)
        self.logged(
            "warning: process smtpd cannot be started: cannot fork: "
            "Resource temporarily unavailable"
        )
        self.assertEqual(self.talk().pid, other)
        (self.folder / "full").unlink()
        self.wait(lambda: len(self.pids("smtpd")) == 2)

    def test_no_descriptors(self) -> None:
        """
        When master has no descriptor left for another child, it is tried again.
        """
        self.start()
        limits = resource.prlimit(self.process.pid, resource.RLIMIT_NOFILE)
        smtpd = min(self.pids("smtpd"))
        resource.prlimit(self.process.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
        os.kill(smtpd, signal.SIGKILL)
        self.logged("warning: smtpd cannot be started: Too many open files")
        resource.prlimit(self.process.pid, resource.RLIMIT_NOFILE, limits)
        self.wait(lambda: len(self.pids("smtpd")) == 2)
        self.assertEqual(self.talk().say("hello"), "hello")

    def test_stop_while_reading(self) -> None:
        """
        A stop does not wait for a configuration that is just being read.
        """
        self.start()
        (self.folder / "main.cf").unlink()
        os.mkfifo(self.folder / "main.cf")
        self.process.send_signal(signal.SIGHUP)
        self.assertIn("RELOADING=1", self.told())
        self.wait(lambda: self.pids("check"))
        self.stop()
        self.end()
        self.assertNotIn("Traceback", self.output)

    def test_hanging(self) -> None:
        """
        A child that does not answer for some beats tells where it hangs, and is
        replaced.
        """
        self.start(TEST_BEAT="0.1")
        client = self.talk()
        client.send("hang")
        self.logged(f"warning: process smtpd pid {client.pid} killed by signal 6: ")
        self.assertIn("has not answered for 0.3 seconds", self.log())
        self.assertEqual(client.read(), "")
        self.wait(lambda: len(self.pids("smtpd")) == 2)
        self.stop()
        self.end()
        self.assertIn("in lineReceived", self.output)
        self.assertEqual(self.log().count("killed"), 1)

    def test_stopped(self) -> None:
        """
        One that cannot even say where it hangs is killed.
        """
        self.start(TEST_BEAT="0.05")
        smtpd = min(self.pids("smtpd"))
        os.kill(smtpd, signal.SIGSTOP)
        self.logged(f"warning: process smtpd pid {smtpd} killed by signal 9: ")

    def test_watchdog(self) -> None:
        """
        The service manager hears that we live.
        """
        self.start(WATCHDOG_USEC="100000")
        self.assertEqual(self.told(), "WATCHDOG=1")
        self.assertEqual(self.told(), "WATCHDOG=1")

    def test_environment(self) -> None:
        """
        Children do not speak to the service manager.
        """
        self.start(WATCHDOG_USEC="9000000")
        for pid in self.processes():
            environment = Path(f"/proc/{pid}/environ").read_bytes()
            self.assertNotIn(b"NOTIFY", environment)
            self.assertNotIn(b"WATCHDOG", environment)


def descriptors(pid: int) -> list[str]:
    """
    @return: what they lead to, less the standard ones.
    """
    folder = Path(f"/proc/{pid}/fd")
    return [os.readlink(fd) for fd in folder.iterdir() if int(fd.name) > 2]


def kinds(found: list[str]) -> list[str]:
    return [re.split("[:\\[]", each)[0] for each in found]
