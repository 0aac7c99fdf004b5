"""
L{txmta.delivery.virtual}
"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

from twisted.internet.defer import Deferred, execute
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.delivery.doubles import (
    NOW,
    US,
    Content,
    Setting,
    Table,
    WatchedFileSystem,
    acting,
    request,
)
from tests.delivery.test_maildirs import Threads
from txmta.delivery.rights import Identity
from txmta.delivery.virtual import VirtualAgent
from txmta.errors import StoreUnavailable
from txmta.interfaces import IDeliveryAgent
from txmta.model import Action, DeliveryRequest, Outcome

LARGE = b"Subject: large\r\n\r\n" + b"x" * 998 + b"\r\n" * 100_000


class VirtualCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.base = Path(self.mktemp()).absolute()
        self.boxes = Table(
            {"box@v.test": "v.test/box/", "@all.test": "all/", "mbox@v.test": "mbox"}
        )
        self.uids = Table(
            {"box@v.test": "1000", "@v.test": "1000", "@all.test": "1000"}
        )
        self.gids = Table(self.uids.entries)
        self.fs = WatchedFileSystem()
        self.identity = US
        self.configure()

    def configure(self, **settings: str) -> None:
        self.setting = Setting(
            {"fake:boxes": self.boxes, "fake:uids": self.uids, "fake:gids": self.gids},
            "virtual",
            **{
                "virtual_mailbox_maps": "fake:boxes",
                "virtual_uid_maps": "fake:uids",
                "virtual_gid_maps": "fake:gids",
                "virtual_mailbox_base": str(self.base),
                **settings,
            },
        )
        self.agent = VirtualAgent(
            acting(self.setting.context, lambda: self.identity), fs=self.fs
        )

    def deliver(self, what: DeliveryRequest | str) -> list[Outcome]:
        if isinstance(what, str):
            what = request(what)
        outcomes: list[Outcome] = []
        self.successResultOf(self.agent.deliver(what, outcomes.append))
        return outcomes

    def check(self, address: str, status: str, *words: str) -> None:
        (outcome,) = self.deliver(address)
        self.assertEqual(outcome.status, status, outcome.reason)
        for word in words:
            self.assertIn(word, outcome.reason)
        self.assertEqual(self.files(), [])

    def files(self) -> list[Path]:
        return [path for path in self.base.rglob("*") if path.is_file()]


class DeliveryTests(VirtualCase):
    def test_interface(self) -> None:
        verifyObject(IDeliveryAgent, self.agent)

    def test_delivered(self) -> None:
        """
        Postfix's outcome, and the file it would write.
        """
        self.assertEqual(
            self.deliver("Box@V.test"),
            [Outcome(0, Action.DELIVERED, "2.0.0", "delivered to maildir", "virtual")],
        )
        (path,) = self.files()
        self.assertEqual(path.parent, self.base / "v.test" / "box" / "new")
        self.assertEqual(
            path.read_bytes(),
            b"Return-Path: <sender@else.test>\n"
            b"X-Original-To: Box@V.test\n"
            b"Delivered-To: Box@V.test\n"
            b"Subject: hello\n\nbody\n",
        )

    def test_no_original(self) -> None:
        self.configure(enable_original_recipient="no")
        self.deliver("box@v.test")
        (path,) = self.files()
        self.assertNotIn(b"X-Original-To", path.read_bytes())

    def test_reported_when_safe(self) -> None:
        """
        The outcome comes after the sync of the directory.
        """
        calls: list[str] = []

        def report(outcome: Outcome) -> None:
            calls.extend(self.fs.calls)

        self.successResultOf(self.agent.deliver(request("box@v.test"), report))
        self.assertEqual(calls[-1], "fsync new")
        self.assertIn("fsync file", calls)

    def test_large(self) -> None:
        """
        Content that does not fit in a row comes in blocks.
        """
        content = Content(LARGE)
        (outcome,) = self.deliver(request("box@v.test", content=content))
        self.assertEqual(outcome.action, Action.DELIVERED)
        (path,) = self.files()
        self.assertTrue(path.read_bytes().endswith(LARGE.replace(b"\r\n", b"\n")))
        self.assertLess(content.largest, len(LARGE))
        self.assertEqual(content.closed, 1)

    def test_several(self) -> None:
        """
        Each recipient once, with its own outcome; content is given back.
        """
        content = Content(b"\r\n")
        outcomes = self.deliver(
            request("box@v.test", "no@v.test", "any@all.test", content=content)
        )
        self.assertEqual(
            sorted((o.n, o.status) for o in outcomes),
            [(0, "2.0.0"), (1, "5.1.1"), (2, "2.0.0")],
        )
        self.assertEqual(len(self.files()), 2)
        self.assertEqual(content.closed, 1)

    def test_hanging_disk(self) -> None:
        """
        One mailbox that does not answer holds up no other recipient.
        """
        threads = Threads()
        self.setting.threads = threads
        outcomes: list[Outcome] = []
        done = self.agent.deliver(
            request("box@v.test", "any@all.test"), outcomes.append
        )
        threads.run(1)
        self.assertEqual([o.n for o in outcomes], [1])
        self.assertNoResult(done)
        threads.run(0)
        self.successResultOf(done)

    def test_damaged(self) -> None:
        """
        Content that is not all there is a failure of the agent, never half a
        message in a mailbox.
        """
        for size in (10, 100_000):
            content = Content(b"Subject", size=size)
            outcomes: list[Outcome] = []
            self.failureResultOf(
                self.agent.deliver(
                    request("box@v.test", content=content), outcomes.append
                ),
                StoreUnavailable,
            )
            self.assertEqual((outcomes, self.files()), ([], []))
            self.assertEqual(content.closed, 1)


class SearchTests(VirtualCase):
    def test_order(self) -> None:
        """
        user+ext@domain, user@domain, @domain (virtual(8)), folded.
        """
        self.configure(recipient_delimiter="+")
        self.check("No+X@V.test", "5.1.1", 'unknown user: "no+x@v.test"')
        self.assertEqual(self.boxes.asked, ["no+x@v.test", "no@v.test", "@v.test"])

    def test_extension(self) -> None:
        self.configure(recipient_delimiter="+")
        (outcome,) = self.deliver("box+x@v.test")
        self.assertEqual(outcome.status, "2.0.0")
        (path,) = self.files()
        self.assertIn(b"Delivered-To: box+x@v.test\n", path.read_bytes())

    def test_unknown(self) -> None:
        self.check("no@v.test", "5.1.1", 'unknown user: "no@v.test"')

    def test_cannot_say(self) -> None:
        """
        A table that cannot answer never bounces mail.
        """
        for table in (self.boxes, self.uids, self.gids):
            table.broken = True
            self.check("box@v.test", "4.3.0", "mail system configuration error")
            table.broken = False
        self.assertEqual(len(self.setting.sink.warnings), 3)


class MailboxFileTests(VirtualCase):
    """
    A path without a slash at its end.
    """

    def setUp(self) -> None:
        super().setUp()
        self.base.mkdir()
        self.patch(self, "uids", Table({"@v.test": str(os.getuid())}))
        self.identity = Identity(os.getuid(), frozenset((1000,)))
        self.configure(virtual_minimum_uid="0")
        self.gids.entries = {"@v.test": "1000"}
        self.path = self.base / "mbox"

    def test_delivered(self) -> None:
        """
        Postfix's outcome, and what it would write.
        """
        expected = Outcome(
            0, Action.DELIVERED, "2.0.0", "delivered to mailbox", "virtual"
        )
        self.assertEqual(self.deliver("Mbox@V.test"), [expected])
        date = time.asctime(time.localtime(NOW))
        self.assertEqual(
            self.path.read_bytes(),
            f"From sender@else.test  {date}\n".encode()
            + b"Return-Path: <sender@else.test>\n"
            b"X-Original-To: Mbox@V.test\n"
            b"Delivered-To: Mbox@V.test\n"
            b"Subject: hello\n\nbody\n\n",
        )

    def test_limit(self) -> None:
        """
        It is that of the file: what would make it larger bounces.
        """
        self.configure(virtual_minimum_uid="0", virtual_mailbox_limit="300")
        (first,) = self.deliver("mbox@v.test")
        self.assertEqual(first.status, "2.0.0")
        before = self.path.read_bytes()
        (second,) = self.deliver("mbox@v.test")
        self.assertEqual(second.action, Action.FAILED)
        self.assertEqual(second.status, "5.2.2")
        self.assertEqual(
            second.reason,
            f"delivery failed to mailbox {self.path}: "
            "error writing message: File too large",
        )
        self.assertEqual(self.path.read_bytes(), before)

    def test_owner(self) -> None:
        """
        strict_mailbox_ownership.
        """
        self.path.write_bytes(b"")
        self.uids.entries = {"@v.test": str(os.getuid() + 1)}
        self.identity = Identity(os.getuid() + 1, frozenset((1000,)))
        (outcome,) = self.deliver("mbox@v.test")
        self.assertEqual(outcome.status, "4.2.0")
        self.assertIn("is not owned by recipient", outcome.reason)
        self.configure(virtual_minimum_uid="0", strict_mailbox_ownership="no")
        (outcome,) = self.deliver("mbox@v.test")
        self.assertEqual(outcome.status, "2.0.0")

    def test_locks(self) -> None:
        """
        virtual_mailbox_lock says how.
        """
        self.deliver("mbox@v.test")
        self.assertIn("open mbox.lock", self.fs.calls)
        self.assertIn("record_lock mbox", self.fs.calls)
        self.fs.calls.clear()
        self.configure(virtual_minimum_uid="0", virtual_mailbox_lock="flock")
        self.deliver("mbox@v.test")
        self.assertNotIn("open mbox.lock", self.fs.calls)
        self.assertNotIn("record_lock mbox", self.fs.calls)
        self.assertIn("flock mbox", self.fs.calls)

    def test_empty_base(self) -> None:
        """
        Then the table has whole paths.
        """
        self.boxes.entries = {"mbox@v.test": str(self.path)}
        self.configure(virtual_minimum_uid="0", virtual_mailbox_base="")
        self.deliver("mbox@v.test")
        self.assertTrue(self.path.exists())


class RefusalTests(VirtualCase):
    def test_paths(self) -> None:
        """
        No table result leads out of virtual_mailbox_base.
        """
        for bad in ("../x/", "x/../../y/", "x/..//", "/", "./", "x\0y/", "//"):
            self.boxes.entries = {"box@v.test": bad}
            self.check("box@v.test", "4.3.5", "virtual_mailbox_maps")
        self.assertFalse((self.base.parent / "x").exists())

    def test_absolute_result(self) -> None:
        """
        The base stands before it, as in Postfix.
        """
        self.boxes.entries = {"box@v.test": "/etc/x/"}
        self.deliver("box@v.test")
        self.assertTrue((self.base / "etc" / "x" / "new").is_dir())

    def test_relative_base(self) -> None:
        self.configure(virtual_mailbox_base="mail")
        self.check("box@v.test", "4.3.5", "virtual_mailbox_base")

    def test_other_user(self) -> None:
        """
        One process cannot become another user: deferred, with the remedy.
        """
        self.identity = Identity(1001, frozenset((1000,)))
        self.check("box@v.test", "4.3.5", "uid 1000", "uid 1001", "virtual_uid_maps")
        self.identity = Identity(1000, frozenset((7,)))
        self.check("box@v.test", "4.3.5", "gid 1000", "virtual_gid_maps")

    def test_ids(self) -> None:
        """
        What is no id of a mail user is never used.
        """
        for bad in (
            "",
            "0",
            "99",
            "-1",
            "root",
            "1000 ",
            "10 00",
            "\u0661000",
            "9" * 30,
        ):
            self.uids.entries = {"box@v.test": bad}
            self.check("box@v.test", "4.3.5", "mail system configuration error")
        self.uids.entries = {"box@v.test": "1000"}
        for bad in ("", "0", "wheel"):
            self.gids.entries = {"box@v.test": bad}
            self.check("box@v.test", "4.3.5", "mail system configuration error")
        self.gids.entries = {}
        self.check("box@v.test", "4.3.5")
        self.assertEqual(
            self.setting.sink.warnings[-1],
            "recipient box@v.test: gid not found in virtual_gid_maps",
        )

    def test_limit(self) -> None:
        """
        virtual_mailbox_limit: 5.2.2, as Postfix; 0 is no limit.
        """
        self.configure(virtual_mailbox_limit="10")
        self.check("box@v.test", "5.2.2", "File too large")
        self.configure(virtual_mailbox_limit="0")
        self.assertEqual(self.deliver("box@v.test")[0].status, "2.0.0")

    def test_quota_and_disk(self) -> None:
        """
        A full mailbox bounces (5.2.2), a full disk is ours (4.3.0).
        """
        self.deliver("box@v.test")
        self.fs.calls.clear()
        self.deliver("box@v.test")
        number = self.fs.calls.index("write file") + 1
        for path in self.files():
            path.unlink()
        for code, status in (
            (errno.EDQUOT, "5.2.2"),
            (errno.ENOSPC, "4.3.0"),
            (errno.EIO, "4.2.0"),
        ):
            self.fs.calls.clear()
            self.fs.fail = {number: code}
            self.check("box@v.test", status, "error writing message")


class ThreadTests(VirtualCase):
    def test_small_is_one_call(self) -> None:
        """
        A small message costs one visit to a thread.
        """
        calls: list[object] = []

        def in_thread(function: object, *args: object) -> Deferred[object]:
            calls.append(function)
            return execute(function, *args)  # type: ignore[arg-type]

        self.setting.threads = in_thread
        self.deliver("box@v.test")
        self.assertEqual(len(calls), 1)
