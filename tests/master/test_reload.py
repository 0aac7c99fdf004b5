"""
SIGHUP: another configuration, without a client that sees it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable

from tests.master.running_master import Client, MasterTestCase, free_port, lives


class ReloadTests(MasterTestCase):
    def test_change(self) -> None:
        """
        New children serve with the new configuration, old ones finish what
        they have and leave.
        """
        self.start()
        client = self.talk()
        old = self.processes()
        self.write(greeting="two")
        self.hang_up()
        new = self.talk()
        self.assertEqual(new.greeting, "two")
        self.assertNotIn(new.pid, old)
        self.assertEqual(client.say("hello"), "hello")
        (leaving,) = self.wait(self.only_one_of(old))
        self.assertEqual(leaving, client.pid)
        client.close()
        self.wait(lambda: not any(map(lives, old)))
        self.assertNotIn("warning", self.log())
        self.assertIn("reload: done", self.log())

    def only_one_of(self, old: dict[int, str]) -> Callable[[], list[int]]:
        def ask() -> list[int]:
            left = [p for p in old if lives(p) and old[p] != "txmta-fork"]
            return left if len(left) == 1 else []

        return ask

    def test_alone(self) -> None:
        """
        Of some roles there is one at any time: the old one has given up before
        the new one claims. What finishes meanwhile is linked to the new one.
        """
        self.start()
        client = self.talk()
        (old,) = self.pids("qmgr")
        self.hang_up()
        self.assertNotIn("process qmgr", self.log())
        (new,) = self.pids("qmgr")
        # The claim is a file that there must not be, or it dies at once.
        self.logged(f"{old} gives up")
        self.logged(f"{new} claims")
        self.logged(f"{new} handover of local")
        client.say("ring")
        self.logged(f"{new} rung by {client.pid}")

    def test_bad(self) -> None:
        """
        A configuration that cannot be used changes nothing, and the log says
        where it is wrong.
        """
        self.start()
        old = self.processes()
        with (self.folder / "main.cf").open("a") as file:
            file.write("smtpd_timeout = soon\n")
        self.hang_up()
        self.assertRegex(
            self.log(), r"warning: .*main.cf, line 8: smtpd_timeout = soon: is not a"
        )
        self.assertIn("warning: reload: the configuration stays as it was", self.log())
        self.assertEqual(self.talk().greeting, "one")
        self.wait(lambda: self.processes() == old)

    def test_fixed(self) -> None:
        """
        Some parameters count only at the start.
        """
        self.start()
        old = self.processes()
        self.write(mail_owner="nobody")
        self.hang_up()
        self.assertRegex(
            self.log(),
            r"main.cf, line 8: mail_owner = nobody: cannot change from postfix by a "
            "reload: stop and start",
        )
        self.wait(lambda: self.processes() == old)

    def test_cannot_work(self) -> None:
        """
        New children that cannot work are not used, however they say so.
        """
        self.start()
        old = self.processes()
        for broken, told in (
            ("start", "warning: smtpd cannot start"),
            ("make", "warning: smtpd cannot be made"),
            ("exit", r"warning: smtpd pid \d+: exit status 9"),
        ):
            self.write(greeting="two", broken=broken)
            self.hang_up()
            self.assertRegex(self.log(), told)
            self.assertEqual(self.talk().greeting, "one")
            self.wait(lambda: self.processes() == old, lambda: str(self.processes()))
        self.write(greeting="two")
        self.hang_up()
        self.assertEqual(self.talk().greeting, "two")

    def test_not_used(self) -> None:
        """
        A client of a new child is served to its end, also if the new ones are
        not used after all.
        """
        self.start()
        self.write(greeting="two", broken="half")
        self.process.send_signal(signal.SIGHUP)
        self.assertIn("RELOADING=1", self.told())
        client = self.wait(self.new_client)
        assert client is not None
        self.assertIn("READY=1", self.told())
        self.assertIn("the configuration stays as it was", self.log())
        self.assertEqual(client.say("hello"), "hello")
        client.close()
        self.wait(lambda: len(self.processes()) == 6, lambda: str(self.processes()))
        self.assertNotIn("signal 9", self.log())

    def new_client(self) -> Client | None:
        client = self.talk()
        return client if client.greeting == "two" else None

    def test_chance(self) -> None:
        """
        That a new child is killed before it is ready stops nothing.
        """
        self.start()
        old = self.pids("smtpd")
        self.process.send_signal(signal.SIGHUP)
        new = self.wait(lambda: self.pids("smtpd") - old)
        os.kill(min(new), signal.SIGKILL)
        self.told()
        self.told()
        self.logged("reload: done")
        self.assertNotIn("the configuration stays", self.log())

    def test_addresses(self) -> None:
        """
        New addresses are bound, those not wanted are closed.
        """
        self.start()
        other = free_port()
        self.listen(self.port, other)
        self.hang_up()
        self.assertEqual(self.talk(other).say("hello"), "hello")
        self.assertEqual(self.talk().say("hello"), "hello")
        self.listen(other)
        self.hang_up()
        self.assertEqual(self.talk(other).say("hello"), "hello")
        self.assertRaises(ConnectionRefusedError, self.talk)

    def test_address_in_use(self) -> None:
        """
        An address that cannot be had changes nothing.
        """
        self.start()
        old = self.processes()
        self.listen(self.port, self.taken())
        self.hang_up()
        self.assertIn("address in use: stop the server that has it", self.log())
        self.wait(lambda: self.processes() == old)

    def taken(self) -> int:
        made = socket.socket()
        self.addCleanup(made.close)
        made.bind(("127.0.0.1", 0))
        made.listen()
        port: int = made.getsockname()[1]
        return port

    def test_part_of_an_address(self) -> None:
        """
        From all addresses to one, and back; another server is refused the port.
        """
        rows = "{}:{} inet n - n - - smtpd\n"
        master_cf = self.folder / "master.cf"
        self.start()
        for host in ("0.0.0.0", "127.0.0.1", "0.0.0.0"):
            self.write(greeting=f"at-{host}")
            master_cf.write_text(rows.format(host, self.port))
            self.hang_up()
            self.assertEqual(self.talk().greeting, f"at-{host}", self.log())
        other = socket.socket()
        self.addCleanup(other.close)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.assertRaises(OSError, other.bind, ("127.0.0.1", self.port))

    def test_mended(self) -> None:
        """
        A server whose children die at the start is mended by a reload.
        """
        self.write(broken="exit")
        self.spawn()
        self.logged("throttling")
        self.write()
        self.hang_up()
        self.assertEqual(self.talk().greeting, "one")
        self.wait(lambda: len(self.processes()) == 6, lambda: str(self.processes()))

    def test_again(self) -> None:
        """
        What comes during a reload is remembered, once.
        """
        self.start()
        self.process.send_signal(signal.SIGHUP)
        self.assertIn("RELOADING=1", self.told())
        for _ in range(5):
            self.process.send_signal(signal.SIGHUP)
        told = [self.told() for _ in range(3)]
        self.assertEqual(
            [text.partition("=")[0] for text in told], ["READY", "RELOADING", "READY"]
        )
        self.stop()
        self.assertEqual(self.log().count("reload -- configuration"), 2)

    def test_stop_meanwhile(self) -> None:
        """
        A stop during a reload is a stop.
        """
        self.start()
        self.process.send_signal(signal.SIGHUP)
        self.assertIn("RELOADING=1", self.told())
        pids = [*self.processes()]
        self.assertEqual(self.stop(), -signal.SIGTERM)
        self.wait(lambda: not any(map(lives, pids)))

    def test_nobody_sees(self) -> None:
        """
        Clients that connect all the time, through three reloads: each is
        greeted, and answered.
        """
        self.start()
        clients = Crowd(self.port)
        self.addCleanup(clients.stop)
        for _ in range(3):
            self.hang_up()
        count, errors = clients.stop()
        self.assertEqual(errors, [])
        self.assertGreater(count, 50)


class Crowd:
    """
    A thread that talks and talks.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._stop = threading.Event()
        self._count = 0
        self._errors: list[str] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> tuple[int, list[str]]:
        """
        @return: how many talked, and what went wrong.
        """
        self._stop.set()
        self._thread.join(10)
        return self._count, self._errors

    def _run(self) -> None:
        while not self._stop.is_set() and len(self._errors) < 3:
            try:
                with contextlib.closing(Client(self._port)) as client:
                    if client.say("hello") != "hello":
                        self._errors.append("no answer")
            except (OSError, ValueError) as e:
                self._errors.append(str(e))
            self._count += 1
