"""
L{txmta.delivery.local}, L{txmta.delivery.users}
"""

from __future__ import annotations

import pwd
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.delivery.doubles import (
    US,
    Content,
    Setting,
    Table,
    WatchedFileSystem,
    request,
)
from txmta.delivery.local import LocalAgent
from txmta.delivery.questions import Account
from txmta.delivery.users import LIFETIME, UserDatabaseError, Users, find_account
from txmta.errors import ConfigError
from txmta.interfaces import IDeliveryAgent
from txmta.model import Action, DeliveryRequest, Forward, Outcome


class LocalCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Path(self.mktemp()).absolute()
        self.accounts = {}
        for name, uid in (("bob", 1000), ("joe", 1000), ("other", 1001)):
            home = self.home / name
            home.mkdir(mode=0o700, parents=True)
            self.accounts[name] = Account(name, uid, 1000, str(home))
        self.aliases = Table({})
        self.fs = WatchedFileSystem()
        self.broken_users = False
        self.configure()

    def find(self, name: str) -> Account | None:
        if self.broken_users:
            raise UserDatabaseError("no server")
        return self.accounts.get(name)

    def configure(self, **settings: str) -> None:
        self.setting = Setting(
            {"fake:aliases": self.aliases}, **{"home_mailbox": "Maildir/", **settings}
        )
        self.agent = LocalAgent(self.setting.context, self.find, lambda: US, fs=self.fs)

    def deliver(self, what: DeliveryRequest | str) -> list[Outcome]:
        if isinstance(what, str):
            what = request(f"{what}@here.test")
        outcomes: list[Outcome] = []
        done = self.agent.deliver(what, outcomes.append)
        while self.setting.clock.getDelayedCalls():
            self.setting.clock.advance(0)
        self.successResultOf(done)
        return outcomes

    def outcome(self, what: DeliveryRequest | str) -> Outcome:
        (outcome,) = self.deliver(what)
        return outcome

    def mail(self, name: str) -> list[bytes]:
        folder = self.home / name / "Maildir" / "new"
        return [path.read_bytes() for path in folder.glob("*")]


class MailboxTests(LocalCase):
    def test_interface(self) -> None:
        verifyObject(IDeliveryAgent, self.agent)

    def test_delivered(self) -> None:
        self.assertEqual(
            self.outcome("Bob"),
            Outcome(0, Action.DELIVERED, "2.0.0", "delivered to maildir", "local"),
        )
        self.assertEqual(
            self.mail("bob"),
            [
                b"Return-Path: <sender@else.test>\n"
                b"X-Original-To: Bob@here.test\n"
                b"Delivered-To: Bob@here.test\n"
                b"Subject: hello\n\nbody\n"
            ],
        )

    def test_no_delivered_header(self) -> None:
        """
        prepend_delivered_header without C{file}.
        """
        self.configure(prepend_delivered_header="command, forward")
        self.outcome("bob")
        self.assertNotIn(b"Delivered-To", self.mail("bob")[0])

    def test_unknown(self) -> None:
        outcome = self.outcome("nobody")
        self.assertEqual(outcome.action, Action.FAILED)
        self.assertEqual(
            (outcome.status, outcome.reason), ("5.1.1", 'unknown user: "nobody"')
        )

    def test_postmaster(self) -> None:
        outcome = self.outcome("postmaster")
        self.assertEqual(
            (outcome.action, outcome.reason), (Action.DELIVERED, "discarded")
        )
        self.assertIn(
            "QUEUEID: required alias not found: postmaster", self.setting.sink.warnings
        )

    def test_other_user(self) -> None:
        """
        Another system account: deferred until there are processes that may
        become it, with the remedy; nothing is written.
        """
        outcome = self.outcome("other")
        self.assertEqual((outcome.action, outcome.status), (Action.DELAYED, "4.3.5"))
        self.assertIn("uid 1001", outcome.reason)
        self.assertIn("txmta runs as uid 1000 in one process", outcome.reason)
        self.assertEqual(list((self.home / "other").iterdir()), [])

    def test_spool_directory(self) -> None:
        """
        mail_spool_directory with a slash at its end.
        """
        spool = self.home / "spool"
        spool.mkdir()
        self.configure(home_mailbox="", mail_spool_directory=f"{spool}/")
        self.assertEqual(self.outcome("bob").status, "2.0.0")
        self.assertEqual(len(list((spool / "bob" / "new").iterdir())), 1)

    def test_mailbox_file(self) -> None:
        """
        home_mailbox without a slash, and mail_spool_directory.
        """
        spool = self.home / "spool"
        spool.mkdir()
        for settings, file in (
            ({"home_mailbox": "Mailbox"}, self.home / "bob" / "Mailbox"),
            (
                {"home_mailbox": "", "mail_spool_directory": str(spool)},
                spool / "bob",
            ),
        ):
            self.configure(strict_mailbox_ownership="no", **settings)
            outcome = self.outcome("bob")
            self.assertEqual(
                (outcome.status, outcome.reason), ("2.0.0", "delivered to mailbox")
            )
            first, *_, body, empty, end = file.read_bytes().split(b"\n")
            self.assertTrue(first.startswith(b"From sender@else.test  "))
            self.assertEqual((body, empty, end), (b"body", b"", b""))

    def test_mailbox_file_trouble(self) -> None:
        """
        The reason says which mailbox, and whose.
        """
        self.configure(home_mailbox="Mailbox", strict_mailbox_ownership="no")
        (self.home / "bob" / "Mailbox").mkdir()
        outcome = self.outcome("bob")
        path = self.home / "bob" / "Mailbox"
        self.assertIs(outcome.action, Action.DELAYED)
        self.assertIn(f"cannot update mailbox {path} for user bob. ", outcome.reason)

    def test_way_out(self) -> None:
        """
        home_mailbox does not lead out of the home.
        """
        self.configure(home_mailbox="../joe/Maildir/")
        self.assertEqual(self.outcome("bob").status, "4.3.5")
        self.assertEqual(self.mail("joe"), [])

    def test_no_home(self) -> None:
        """
        A home that is not there is not made: perhaps it is not mounted.
        """
        (self.home / "bob").rmdir()
        outcome = self.outcome("bob")
        self.assertEqual(outcome.status, "4.2.0")
        self.assertFalse((self.home / "bob").exists())

    def test_limit(self) -> None:
        self.configure(mailbox_size_limit="10")
        outcome = self.outcome("bob")
        self.assertEqual((outcome.action, outcome.status), (Action.FAILED, "5.2.2"))


class AliasTests(LocalCase):
    def test_elsewhere(self) -> None:
        """
        An address elsewhere becomes a new message with our Delivered-To.
        """
        self.aliases.entries = {"all": "far@else.test, away@else.test"}
        outcome = self.outcome("All")
        self.assertEqual((outcome.action, outcome.status), (Action.EXPANDED, "2.0.0"))
        self.assertEqual(
            outcome.forward,
            (
                Forward(
                    "sender@else.test",
                    ("far@else.test", "away@else.test"),
                    b"Delivered-To: all@here.test\r\n",
                    original="All@here.test",
                    keep_envid=True,
                ),
            ),
        )

    def test_no_forward_header(self) -> None:
        self.aliases.entries = {"all": "far@else.test"}
        self.configure(prepend_delivered_header="file")
        self.assertEqual(self.outcome("all").forward[0].head, b"")

    def test_here(self) -> None:
        """
        Members of ours are delivered at once, each once.
        """
        self.aliases.entries = {"all": "bob, team", "team": "joe, Bob"}
        outcome = self.outcome("all")
        self.assertEqual(outcome.action, Action.EXPANDED)
        self.assertEqual(outcome.reason, "delivered to maildir")
        self.assertEqual((len(self.mail("bob")), len(self.mail("joe"))), (1, 1))
        self.assertIn(b"Delivered-To: all@here.test\n", self.mail("joe")[0])

    def test_here_and_there(self) -> None:
        self.aliases.entries = {"all": "bob, far@else.test"}
        outcome = self.outcome("all")
        self.assertEqual(outcome.forward[0].recipients, ("far@else.test",))
        self.assertEqual(len(self.mail("bob")), 1)

    def test_deferred_as_a_whole(self) -> None:
        """
        What is known to need another attempt is tried again as a whole: no
        member gets its mail twice for that.
        """
        for bad in ('"|cmd"', "/file"):
            self.aliases.entries = {"all": f"bob, far@else.test, {bad}"}
            outcome = self.outcome("all")
            self.assertEqual(outcome.action, Action.DELAYED, bad)
            self.assertEqual(outcome.forward, ())
            self.assertEqual(self.mail("bob"), [])

    def test_deferred_member(self) -> None:
        """
        A mailbox that cannot be delivered to now is tried again alone: nobody
        gets a second copy for it (Postfix repeats them).
        """
        (self.home / "joe").rmdir()
        self.aliases.entries = {"all": "bob, joe, other"}
        outcome = self.outcome("all")
        self.assertEqual(outcome.action, Action.EXPANDED)
        self.assertEqual(len(self.mail("bob")), 1)
        self.assertEqual(
            outcome.forward,
            (
                Forward(
                    "sender@else.test",
                    ("joe@here.test", "other@here.test"),
                    b"Delivered-To: all@here.test\r\n",
                    original="all@here.test",
                    keep_envid=True,
                ),
            ),
        )

    def test_only_member(self) -> None:
        """
        Where nothing was delivered, the recipient itself is deferred.
        """
        (self.home / "joe").rmdir()
        self.aliases.entries = {"all": "joe, other, nobody"}
        outcome = self.outcome("all")
        self.assertEqual((outcome.action, outcome.forward), (Action.DELAYED, ()))

    def test_looping_member(self) -> None:
        """
        What is forwarded to bounce alone always carries Delivered-To, which
        ends the loop that it is.
        """
        self.configure(prepend_delivered_header="file")
        self.aliases.entries = {"a": "far@else.test, b", "b": "a"}
        far, loop = self.outcome("a").forward
        self.assertEqual((far.head, loop.head), (b"", b"Delivered-To: a@here.test\r\n"))
        content = loop.head + b"\r\n"
        (address,) = loop.recipients
        outcome = self.outcome(request(address, content=content))
        self.assertEqual((outcome.status, outcome.forward), ("5.4.6", ()))

    def test_unknown_member(self) -> None:
        """
        It bounces; where there are others to forward to, on its own, so that
        they get their mail.
        """
        self.aliases.entries = {"here": "bob, nobody", "there": "nobody, far@else.test"}
        outcome = self.outcome("here")
        self.assertEqual((outcome.action, outcome.status), (Action.FAILED, "5.1.1"))
        self.assertEqual(len(self.mail("bob")), 1)
        forwards = self.outcome("there").forward
        self.assertEqual(
            [f.recipients for f in forwards],
            [("far@else.test",), ("nobody@here.test",)],
        )

    def test_owner(self) -> None:
        self.aliases.entries = {"list": "bob, far@else.test", "owner-list": "joe"}
        (forward,) = self.outcome("list").forward
        self.assertEqual(forward.sender, "owner-list@here.test")
        self.assertEqual(forward.recipients, ("bob@here.test", "far@else.test"))

    def test_loop(self) -> None:
        self.aliases.entries = {"a": "b", "b": "a"}
        outcome = self.outcome("a")
        self.assertEqual(
            (outcome.action, outcome.status, outcome.reason),
            (Action.FAILED, "5.4.6", "alias database loop for b"),
        )
        self.assertEqual(
            self.setting.sink.warnings, ["QUEUEID: alias database loop for b"]
        )

    def test_delivered_to(self) -> None:
        """
        Mail that has been here bounces, wherever in the headers that stands.
        """
        filler = b"X-Filler: x\r\n" * 10_000
        for content in (
            b"Delivered-To: BOB@here.test\r\n\r\n",
            filler + b"Delivered-To: bob@here.test\r\n\r\nbody\r\n",
        ):
            outcome = self.outcome(request("bob@here.test", content=content))
            self.assertEqual(outcome.action, Action.FAILED)
            self.assertEqual(
                (outcome.status, outcome.reason),
                ("5.4.6", "mail forwarding loop for bob@here.test"),
            )
        self.assertEqual(self.mail("bob"), [])

    def test_same_mailbox(self) -> None:
        """
        Several recipients of a request that lead to one mailbox: one copy,
        and an outcome for each.
        """
        self.aliases.entries = {"robert": "bob"}
        outcomes = self.deliver(request("bob@here.test", "robert@here.test"))
        self.assertEqual(
            [(o.n, o.status) for o in outcomes], [(0, "2.0.0"), (1, "2.0.0")]
        )
        self.assertEqual(len(self.mail("bob")), 1)

    def test_huge(self) -> None:
        """
        A huge alias is deferred, and other work gets its turn meanwhile.
        """
        self.aliases.entries = {
            "all": ",".join(f"m{n}@else.test" for n in range(100_000))
        }
        turns: list[object] = []
        call_later = self.setting.clock.callLater

        def counted(*args: Any) -> object:
            turns.append(args)
            return call_later(*args)

        self.patch(self.setting.clock, "callLater", counted)
        self.assertEqual(self.outcome("all").status, "4.3.0")
        self.assertGreater(len(turns), 50)


class TroubleTests(LocalCase):
    def test_table(self) -> None:
        """
        A table that cannot say never bounces mail.
        """
        self.aliases.broken = True
        outcome = self.outcome("bob")
        self.assertEqual(
            (outcome.action, outcome.status, outcome.reason),
            (Action.DELAYED, "4.3.0", "alias database unavailable"),
        )
        self.assertEqual(len(self.setting.sink.warnings), 1)

    def test_users(self) -> None:
        self.broken_users = True
        outcome = self.outcome("bob")
        self.assertEqual((outcome.action, outcome.status), (Action.DELAYED, "4.3.0"))

    def test_every_call_fails(self) -> None:
        """
        No error of a system call bounces mail, or is reported as a delivery.
        """
        self.outcome("bob")
        count = len(self.fs.calls)
        for number in range(1, count + 1):
            self.setUp()
            self.fs.fail = {number: 5}
            self.assertEqual(self.outcome("bob").action, Action.DELAYED)
            self.assertEqual(self.mail("bob"), [])

    def test_no_resolver(self) -> None:
        """
        local cannot be made without an address resolver.
        """
        context = self.setting.context
        object.__setattr__(context, "addresses", None)
        self.assertRaises(ConfigError, LocalAgent, context)

    def test_content_is_closed(self) -> None:
        content = Content(b"\r\n")
        self.deliver(request("bob@here.test", "nobody@here.test", content=content))
        self.assertEqual(content.closed, 1)


class UsersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.asked: list[str] = []
        self.bob = Account("bob", 1, 1, "/")
        self.users = Users(execute, self.clock, self._find)

    def _find(self, name: str) -> Account | None:
        self.asked.append(name)
        return self.bob if name == "bob" else None

    def find(self, name: str) -> Account | None:
        found: Account | None = self.successResultOf(
            Deferred.fromCoroutine(self.users.find(name))
        )
        return found

    def test_remembered(self) -> None:
        """
        For a short while; and only that a user exists.
        """
        self.assertEqual([self.find("bob"), self.find("bob")], [self.bob, self.bob])
        self.assertEqual(self.asked, ["bob"])
        self.clock.advance(LIFETIME)
        self.find("bob")
        self.assertEqual(self.asked, ["bob", "bob"])
        self.find("new")
        self.find("new")
        self.assertEqual(self.asked[2:], ["new", "new"])

    def test_system(self) -> None:
        """
        The real database, and names that it cannot have.
        """
        entry = pwd.getpwuid(0)
        account = find_account(entry.pw_name)
        assert account is not None
        self.assertEqual((account.uid, account.home), (0, entry.pw_dir))
        for name in ("no-such-user", "a\0b", "\ud800", "x" * 100_000, ""):
            self.assertIsNone(find_account(name), name[:10])

    def test_broken(self) -> None:
        """
        "Cannot say" is not "no".
        """

        def broken(name: str) -> object:
            raise OSError(5, "no server")

        self.patch(pwd, "getpwnam", broken)
        self.assertRaises(UserDatabaseError, find_account, "bob")
