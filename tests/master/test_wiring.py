"""
Who is linked to whom.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass

from twisted.trial.unittest import SynchronousTestCase

from txmta.master.wiring import Wiring, split_end_name


@dataclass(unsafe_hash=True)
class Somebody:
    role: str
    n: int
    retired: bool = False
    group: object = None


class WiringTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.wiring = Wiring()

    def connect(
        self, new: Somebody, *living: Somebody
    ) -> tuple[dict[str, socket.socket], dict[str, socket.socket]]:
        """
        @return: by name, those of the new one, and those of others, which are
            led by their number.
        """
        own, others = self.wiring.connect(new, living)
        for end in (*own, *(end for _peer, end in others)):
            self.addCleanup(end.socket.close)
        named = {f"{peer.n} {end.name}": end.socket for peer, end in others}
        return {end.name: end.socket for end in own}, named

    def forget(self, *peers: Somebody) -> None:
        for peer in peers:
            self.wiring.forget(peer)

    def test_links(self) -> None:
        """
        A queue manager has a link to each that rings or delivers; the two ends
        belong together.
        """
        qmgr = Somebody("qmgr", 9)
        self.addCleanup(self.forget, qmgr)
        own, others = self.connect(
            qmgr, Somebody("smtpd", 1), Somebody("smtp", 2), Somebody("local", 3)
        )
        self.assertEqual(
            sorted(own),
            ["delivery:local.3", "delivery:smtp.2", "doorbell:smtpd.1", "log"],
        )
        self.assertEqual(
            sorted(others),
            ["1 doorbell:qmgr.9", "2 delivery:qmgr.9", "3 delivery:qmgr.9"],
        )
        own["delivery:smtp.2"].send(b"hello")
        self.assertEqual(others["2 delivery:qmgr.9"].recv(9), b"hello")

    def test_no_link(self) -> None:
        """
        Those that have nothing to say to each other have none.
        """
        smtpd = Somebody("smtpd", 9)
        self.addCleanup(self.forget, smtpd)
        own, others = self.connect(
            smtpd, Somebody("smtpd", 1), Somebody("smtp", 2), Somebody("local", 3)
        )
        self.assertEqual([*own], ["log"])
        self.assertEqual(others, {})

    def test_retired(self) -> None:
        """
        An agent that is on its way out is seen as one that hands over.
        """
        qmgr = Somebody("qmgr", 9)
        self.addCleanup(self.forget, qmgr)
        own, others = self.connect(qmgr, Somebody("smtp", 2, retired=True))
        self.assertEqual(sorted(own), ["handover:smtp.2", "log"])
        self.assertEqual([*others], ["2 delivery:qmgr.9"])

    def test_generations(self) -> None:
        """
        Tables are asked of one that has the same configuration.
        """
        smtpd = Somebody("smtpd", 9, group="new")
        self.addCleanup(self.forget, smtpd)
        own, others = self.connect(
            smtpd,
            Somebody("proxymap", 1, group="old"),
            Somebody("proxymap", 2, group="new"),
        )
        self.assertEqual(sorted(own), ["log", "proxy:proxymap.2"])
        self.assertEqual([*others], ["2 proxy:smtpd.9"])

    def test_log(self) -> None:
        """
        What was said while nobody wrote the log is there for who does, and
        again for the next; the end of one that says nothing more is seen.
        """
        smtpd, first, second = (
            Somebody("smtpd", 1),
            Somebody("log", 2),
            Somebody("log", 3),
        )
        own, _ = self.connect(smtpd)
        own["log"].send(b"one")
        had, _ = self.connect(first, smtpd)
        self.assertEqual(had["log:smtpd.1"].recv(9), b"one")
        own["log"].send(b"two")
        had["log:smtpd.1"].close()
        had, _ = self.connect(second, smtpd)
        self.assertEqual(had["log:smtpd.1"].recv(9), b"two")
        own["log"].close()
        self.assertEqual(had["log:smtpd.1"].recv(9), b"")
        self.wiring.forget(smtpd)
        self.assertEqual(self.connect(Somebody("log", 4))[0], {})

    def test_log_of_new(self) -> None:
        """
        A new child's end goes to the one that writes, and to none that leaves.
        """
        new = Somebody("smtpd", 3)
        self.addCleanup(self.forget, new)
        _own, others = self.connect(
            new, Somebody("log", 1, retired=True), Somebody("log", 2)
        )
        self.assertEqual([*others], ["2 log:smtpd.3"])

    def test_datagrams(self) -> None:
        """
        The log gets lines whole.
        """
        new = Somebody("smtpd", 3)
        self.addCleanup(self.forget, new)
        own, _ = self.connect(new)
        self.assertEqual(own["log"].type, socket.SOCK_SEQPACKET)

    def test_names(self) -> None:
        self.assertEqual(split_end_name("doorbell:qmgr.3"), ("doorbell", "qmgr.3"))
