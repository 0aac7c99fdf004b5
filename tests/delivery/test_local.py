"""
L{txmta.delivery.local}, L{txmta.delivery.users}
"""

from __future__ import annotations

import os
import pwd
from dataclasses import replace
from functools import partial
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
    acting,
    request,
)
from txmta.delivery.command import Command, Commands
from txmta.delivery.command_copy import Style
from txmta.delivery.filesystem import MailboxError
from txmta.delivery.local import LocalAgent
from txmta.delivery.local_answers import ABSENT_FOR
from txmta.delivery.message import Message
from txmta.delivery.questions import Account
from txmta.delivery.rights import Identity
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
        self.agent = LocalAgent(
            acting(self.setting.context, lambda: US), self.find, fs=self.fs
        )

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


class RunCommands(Commands):
    """
    Notes what would be run.

    @ivar ran: text, argv, environment, directory and what it would read first.
    @ivar fail: status of commands, by text.
    """

    def __init__(self) -> None:
        self.ran: list[tuple[Command, bytes]] = []
        self.fail: dict[str, str] = {}
        self.stopped = False

    async def run(
        self,
        command: Command,
        head: bytes,
        message: Message,
        style: Style | None = None,
    ) -> str:
        self.ran.append((command, head))
        if command.text in self.fail:
            said = f"{command.text} failed"
            raise MailboxError(self.fail[command.text], said, f"x-unix; {said}")
        return ""

    def stop(self) -> None:
        self.stopped = True

    @property
    def texts(self) -> list[str]:
        return [command.text for command, _ in self.ran]


class UserCase(LocalCase):
    """
    .forward files are read from the homes of the test.
    """

    def configure(self, **settings: str) -> None:
        self.tables = {"fake:aliases": self.aliases}
        settings = {
            "home_mailbox": "Maildir/",
            "recipient_delimiter": "+",
            "default_privs": "bob",
            **settings,
        }
        self.setting = Setting(self.tables, **settings)
        self.commands = RunCommands()
        # Files are made by whoever runs the tests; those of root count too.
        uid = os.geteuid() or US.uid
        self.accounts = {
            name: replace(account, uid=uid + (name == "other"))
            for name, account in self.accounts.items()
        }
        identity = Identity(uid, frozenset((1000,)))
        self.agent = LocalAgent(
            acting(self.setting.context, lambda: identity), self.accounts.get, self.fs
        )

    def forward(self, name: str, text: str, file: str = ".forward") -> None:
        (self.home / name / file).write_text(text)


class ForwardFileTests(UserCase):
    def test_elsewhere(self) -> None:
        self.forward("bob", "far@else.test\n")
        outcome = self.outcome("bob")
        self.assertEqual(
            (outcome.action, outcome.reason), (Action.EXPANDED, "forwarded")
        )
        self.assertEqual(outcome.forward[0].recipients, ("far@else.test",))
        self.assertEqual(self.mail("bob"), [])

    def test_and_here(self) -> None:
        self.forward("bob", "\\bob, far@else.test\n")
        outcome = self.outcome("bob")
        self.assertEqual(outcome.reason, "delivered to maildir, forwarded")
        self.assertEqual(len(self.mail("bob")), 1)

    def test_extension(self) -> None:
        self.forward("bob", "base@else.test")
        self.forward("bob", "ext@else.test", ".forward+a")
        for name, expected in (("bob", "base"), ("bob+a", "ext"), ("bob+b", "base")):
            (forward,) = self.outcome(name).forward
            self.assertEqual(forward.recipients, (f"{expected}@else.test",))

    def test_absent(self) -> None:
        """
        That there is none is remembered for a second.
        """
        self.outcome("bob")
        self.forward("bob", "far@else.test")
        self.assertEqual(self.outcome("bob").forward, ())
        self.setting.clock.advance(ABSENT_FOR)
        self.assertEqual(len(self.outcome("bob").forward), 1)
        self.outcome("bob")
        (self.home / "bob" / ".forward").unlink()
        self.assertEqual(self.outcome("bob").forward, ())

    def test_not_trusted(self) -> None:
        """
        Into the mailbox, with a warning that names the message.
        """
        self.forward("bob", "far@else.test")
        (self.home / "bob" / ".forward").chmod(0o666)
        self.assertEqual(self.outcome("bob").reason, "delivered to maildir")
        path = self.home / "bob" / ".forward"
        self.assertEqual(
            self.setting.sink.warnings, [f"QUEUEID: file {path} is world writable"]
        )

    def test_link(self) -> None:
        """
        A link is not followed, wherever it leads.
        """
        (self.home / "secret").write_text("far@else.test\n")
        (self.home / "bob" / ".forward").symlink_to(self.home / "secret")
        self.assertEqual(self.outcome("bob").forward, ())
        self.assertEqual(len(self.mail("bob")), 1)

    def test_other_account(self) -> None:
        """
        A file that we have no rights to read: the mail waits.
        """
        self.forward("other", "far@else.test")
        outcome = self.outcome("other")
        self.assertEqual((outcome.action, outcome.status), (Action.DELAYED, "4.3.5"))
        self.assertIn(".forward file of other", outcome.reason)

    def test_other_account_in_alias(self) -> None:
        """
        The others of an alias do not wait with it.
        """
        self.forward("other", "far@else.test")
        self.aliases.entries = {"all": "bob, other"}
        outcome = self.outcome("all")
        self.assertEqual(outcome.forward[0].recipients, ("other@here.test",))
        self.assertEqual(len(self.mail("bob")), 1)

    def test_other_account_elsewhere(self) -> None:
        """
        Without a .forward file, whoever's account it is: mailbox_transport.
        """
        self.configure(mailbox_transport="lmtp:unix:/x")
        outcome = self.outcome("other")
        assert outcome.reroute is not None
        self.assertEqual(outcome.reroute.transport, "lmtp")

    def test_transport_and_forward(self) -> None:
        """
        What is forwarded goes with the end of what another transport does.
        """
        self.configure(mailbox_transport="lmtp:unix:/x")
        self.forward("bob", "bob, far@else.test")
        outcome = self.outcome("bob")
        assert outcome.reroute is not None
        self.assertEqual(outcome.reroute.recipient, "bob@here.test")
        self.assertEqual(outcome.forward[0].recipients, ("far@else.test",))

    def test_home_required(self) -> None:
        self.configure(require_home_directory="yes")
        (self.home / "bob").rmdir()
        outcome = self.outcome("bob")
        self.assertEqual(outcome.status, "4.3.0")
        self.assertIn("cannot access home directory", outcome.reason)

    def test_file(self) -> None:
        """
        A file of the user's, as a mailbox.
        """
        self.configure(strict_mailbox_ownership="no")
        self.forward("bob", "~/copy, ~/Dir/")
        outcome = self.outcome("bob")
        path = self.home / "bob" / "copy"
        self.assertEqual(
            outcome.reason, f"delivered to file: {path}, delivered to maildir"
        )
        self.assertTrue(path.read_bytes().startswith(b"From sender@else.test  "))
        self.assertEqual(len(list((self.home / "bob" / "Dir" / "new").iterdir())), 1)


class CommandTests(UserCase):
    def configure(self, **settings: str) -> None:
        super().configure(**settings)
        # Nobody may run commands as root, who perhaps runs the tests.
        self.accounts = {n: replace(a, uid=1000) for n, a in self.accounts.items()}
        self.agent = LocalAgent(
            acting(self.setting.context, lambda: US),
            self.accounts.get,
            self.fs,
            self.commands,
            find_uid=lambda uid: self.accounts["joe"],
        )

    def test_alias(self) -> None:
        """
        With the rights of default_privs, and all that it is told.
        """
        self.aliases.entries = {"x": '"|/bin/cmd arg"'}
        outcome = self.outcome("x+ext")
        self.assertEqual(
            (outcome.action, outcome.reason),
            (Action.EXPANDED, "delivered to command: /bin/cmd arg"),
        )
        ((command, head),) = self.commands.ran
        self.assertEqual(command.argv, (b"/bin/cmd", b"arg"))
        self.assertEqual(
            (command.uid, command.gid, command.directory), (1000, 1000, "")
        )
        environment = dict(command.environment)
        self.assertEqual(environment[b"RECIPIENT"], b"x+ext@here.test")
        self.assertNotIn(b"HOME", environment)
        first, *rest = head.splitlines()
        self.assertTrue(first.startswith(b"From sender@else.test  "))
        self.assertEqual(
            rest,
            [
                b"Return-Path: <sender@else.test>",
                b"X-Original-To: x+ext@here.test",
                b"Delivered-To: x+ext@here.test",
            ],
        )

    def test_no_delivered_header(self) -> None:
        self.configure(prepend_delivered_header="file, forward")
        self.aliases.entries = {"x": "|cmd"}
        self.outcome("x")
        ((_command, head),) = self.commands.ran
        self.assertNotIn(b"Delivered-To", head)

    def test_shell(self) -> None:
        """
        With characters for a shell, or with local_command_shell.
        """
        self.aliases.entries = {"x": '"|a | b"'}
        self.outcome("x")
        self.configure(local_command_shell="/bin/rsh -c")
        self.aliases.entries = {"x": "|a"}
        self.outcome("x")
        ((command, _),) = self.commands.ran
        self.assertEqual(command.argv, (b"/bin/rsh", b"-c", b"a"))

    def test_mailbox_command(self) -> None:
        """
        As the user; where command_execution_directory says.
        """
        self.configure(
            mailbox_command="filter $EXTENSION",
            command_execution_directory="$home/${extension?sub-$extension}",
        )
        outcome = self.outcome("bob+a/b")
        self.assertEqual(
            (outcome.action, outcome.reason),
            (Action.DELIVERED, "delivered to command: filter $EXTENSION"),
        )
        self.outcome("bob+a;")
        (first, _), (second, _) = self.commands.ran
        self.assertEqual(first.directory, f"{self.home}/bob/")
        self.assertEqual(second.directory, f"{self.home}/bob/sub-a_")
        environment = dict(second.environment)
        self.assertEqual(environment[b"EXTENSION"], b"a_")
        self.assertEqual(environment[b"HOME"], str(self.home / "bob").encode())

    def test_bad_directory(self) -> None:
        self.configure(mailbox_command="x", command_execution_directory="${home")
        outcome = self.outcome("bob")
        self.assertEqual((outcome.status, self.commands.ran), ("4.3.5", []))
        self.assertIn("command_execution_directory", self.setting.sink.warnings[0])

    def test_not_ours(self) -> None:
        """
        Rights that we do not have: nothing is done for anybody; the reason
        says what to do.
        """
        self.configure(default_privs="other")
        self.accounts["other"] = replace(self.accounts["other"], uid=1001)
        self.aliases.entries = {"x": "bob, |cmd, far@else.test"}
        outcome = self.outcome("x")
        self.assertEqual((outcome.status, outcome.forward), ("4.3.5", ()))
        self.assertIn("set default_privs", outcome.reason)
        self.assertEqual((self.commands.ran, self.mail("bob")), ([], []))

    def test_never_root(self) -> None:
        """
        default_privs is never root, and stands in for root.
        """
        for uid in (0, 1000):
            self.configure(mailbox_command="cmd", default_privs="joe")
            self.accounts["bob"] = replace(self.accounts["bob"], uid=0)
            self.accounts["joe"] = replace(self.accounts["joe"], uid=uid)
            # Also as root.
            self.agent = LocalAgent(
                acting(self.setting.context, partial(Identity, uid, frozenset())),
                self.accounts.get,
                self.fs,
                self.commands,
            )
            outcome = self.outcome("bob")
            if uid == 0:
                self.assertEqual((outcome.status, self.commands.ran), ("4.3.5", []))
            else:
                ((command, _),) = self.commands.ran
                self.assertEqual(command.uid, 1000)

    def test_no_default_privs(self) -> None:
        self.configure(default_privs="nobody-here")
        self.aliases.entries = {"x": "|cmd"}
        outcome = self.outcome("x")
        self.assertEqual(outcome.reason, "default_privs = nobody-here: no such user")

    def test_once(self) -> None:
        """
        Several recipients of a request that lead to one command, as the same
        recipient: once, and an outcome for each.
        """
        self.aliases.entries = {
            "x": "|cmd, /dev/null",
            "y": "x",
            "z": "|cmd, /dev/null",
        }
        names = ("x@here.test", "X@here.test", "y@here.test", "z@here.test")
        outcomes = self.deliver(request(*names))
        self.assertEqual([o.status for o in outcomes], ["2.0.0"] * 4)
        self.assertEqual(len(self.commands.ran), 2)

    def test_fails(self) -> None:
        """
        One that fails is reported; the others of the alias have their mail.
        """
        self.commands.fail["bad"] = "5.3.0"
        self.aliases.entries = {"x": "|bad, bob, far@else.test, |good"}
        outcome = self.outcome("x")
        self.assertEqual(
            (outcome.action, outcome.status, outcome.reason),
            (Action.FAILED, "5.3.0", "bad failed"),
        )
        self.assertEqual(outcome.diagnostic, "x-unix; bad failed")
        self.assertEqual(outcome.forward[0].recipients, ("far@else.test",))
        self.assertEqual(len(self.mail("bob")), 1)
        self.assertEqual(self.commands.texts, ["bad", "good"])

    def test_tries_again(self) -> None:
        """
        One that wants another attempt: before any mailbox is written, for
        all is tried again.
        """
        self.commands.fail["later"] = "4.3.0"
        self.aliases.entries = {"x": "bob, far@else.test, |later, |good"}
        outcome = self.outcome("x")
        self.assertEqual((outcome.action, outcome.forward), (Action.DELAYED, ()))
        self.assertEqual(self.mail("bob"), [])
        self.assertEqual(self.commands.texts, ["later"])

    def test_failure_beside_transport(self) -> None:
        """
        With mailbox_transport, the failure of a command is only logged.
        """
        self.configure(mailbox_transport="lmtp")
        self.commands.fail["bad"] = "5.3.0"
        self.aliases.entries = {"bob": "bob, |bad"}
        self.assertIsNotNone(self.outcome("bob").reroute)
        self.assertIn("bad failed", self.setting.sink.warnings[-1])

    def test_stop(self) -> None:
        self.agent.stop()
        self.assertTrue(self.commands.stopped)


class TableTests(UserCase):
    def test_user_maps(self) -> None:
        """
        mailbox_transport_maps and fallback_transport_maps, by user.
        """
        self.configure(
            mailbox_transport_maps="fake:boxes", fallback_transport_maps="fake:falls"
        )
        self.tables["fake:boxes"] = Table({"bob": "lmtp"})
        self.tables["fake:falls"] = Table({"gone": "other:x"})
        self.agent = LocalAgent(self.setting.context, self.accounts.get)
        for name, expected in (("bob", "lmtp"), ("gone", "other")):
            outcome = self.outcome(name)
            assert outcome.reroute is not None
            self.assertEqual(outcome.reroute.transport, expected)
        self.assertEqual(self.outcome("gone2").status, "5.1.1")

    def test_broken(self) -> None:
        """
        A table that cannot say: in Postfix's words, and never a bounce.
        """
        for parameter in ("mailbox_transport_maps", "fallback_transport_maps"):
            self.configure(**{parameter: "fake:broken"})
            self.tables["fake:broken"] = Table({}, broken=True)
            self.agent = LocalAgent(self.setting.context, self.accounts.get)
            outcome = self.outcome("gone")
            self.assertEqual(
                (outcome.status, outcome.reason), ("4.3.0", "table lookup failure")
            )

    def test_include(self) -> None:
        """
        A list, read as whoever owns the alias table; not as somebody whose
        rights we do not have.
        """
        path = self.home / "list"
        path.write_text("joe, far@else.test")
        table = self.home / "aliases"
        table.write_text("")
        self.configure(alias_maps=f"hash:{table}")
        self.tables[f"hash:{table}"] = Table({"x": f":include:{path}"})
        self.agent = LocalAgent(
            acting(self.setting.context, lambda: Identity(os.geteuid(), frozenset())),
            self.accounts.get,
            find_uid=lambda uid: self.accounts["joe"],
        )
        (forward,) = self.outcome("x").forward
        self.assertEqual(forward.recipients, ("joe@here.test", "far@else.test"))
        if os.geteuid() == 0:
            os.chown(table, 7, 7)
            self.accounts["joe"] = replace(self.accounts["joe"], uid=7)
            outcome = self.outcome("x")
            self.assertEqual(outcome.status, "4.3.5")
            self.assertIn("is to be read as uid 7", outcome.reason)

    def test_owner_unknown(self) -> None:
        """
        Nobody to say whose rights: deferred.
        """
        table = self.home / "aliases"
        self.configure(alias_maps=f"hash:{table}")
        self.tables[f"hash:{table}"] = Table({"x": "|cmd"})
        self.agent = LocalAgent(
            self.setting.context, self.accounts.get, find_uid=lambda uid: None
        )
        self.assertEqual(self.outcome("x").reason, "cannot find alias database owner")
        table.write_text("")
        if os.geteuid() == 0:
            os.chown(table, 7, 7)
            outcome = self.outcome("x")
            self.assertEqual(outcome.reason, "cannot find alias database owner")


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
