"""
The pipe(8) agent, with a double for the commands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase

from tests.delivery.doubles import US, Content, Setting, acting, request
from txmta.config.settings import Settings
from txmta.delivery.command import Command, Commands
from txmta.delivery.command_copy import Style
from txmta.delivery.filesystem import MailboxError
from txmta.delivery.message import Message
from txmta.delivery.pipe import Account, PipeAgent, UnknownAccount, problems
from txmta.errors import ConfigError
from txmta.model import Action, DeliveryRequest, Outcome

ACCOUNTS = {
    "us": Account(1000, 1000),
    "vmail": Account(5000, 5000),
    "root": Account(0, 0),
    "wheel": Account(1000, 0),
    "postfix": Account(101, 102),
    "grouped": Account(1001, 102),
    "dropper": Account(1001, 103),
    "stranger": Account(1000, 5000),
}


def accounts(user: str, group: str) -> Account:
    if user not in ACCOUNTS:
        raise UnknownAccount(f"unknown username: {user}")
    found = ACCOUNTS[user]
    return Account(found.uid, 103) if group == "postdrop" else found


class FakeCommands:
    """
    Notes what it is to run.
    """

    def __init__(self) -> None:
        self.ran: list[tuple[Command, bytes, Style | None]] = []
        self.said = ""
        self.error: MailboxError | None = None
        self.stopped = 0
        self.on_run: Callable[[], None] = lambda: None

    async def run(
        self, command: Command, head: bytes, message: Message, style: Style
    ) -> str:
        self.ran.append((command, head, style))
        self.on_run()
        if self.error is not None:
            raise self.error
        return self.said

    def stop(self) -> None:
        self.stopped += 1


class PipeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.commands = FakeCommands()

    def agent(self, *words: str, **settings: str) -> PipeAgent:
        self.setting = Setting(None, "mine", **settings)
        context = replace(
            self.setting.context, arguments=words, where="master.cf, line 7"
        )
        return PipeAgent(
            acting(context, lambda: US), cast(Commands, self.commands), accounts
        )

    def deliver(self, agent: PipeAgent, what: DeliveryRequest) -> list[Outcome]:
        outcomes: list[Outcome] = []
        self.successResultOf(agent.deliver(what, outcomes.append))
        self.assertEqual([o.n for o in outcomes], [r.n for r in what.recipients])
        return outcomes

    def one(self, agent: PipeAgent, *to: str, **kw: str | bytes) -> tuple[str, str]:
        outcome = self.deliver(agent, request(*(to or ("a@x.test",)), **kw))[0]  # type: ignore[arg-type]
        return outcome.status, outcome.reason

    def test_relayed(self) -> None:
        """
        One command for all recipients; each has its outcome.
        """
        agent = self.agent(
            "user=us", "directory=/d", "argv=/bin/x", "$recipient", mine_time_limit="7s"
        )
        outcomes = self.deliver(agent, request("a@x.test", "b@x.test"))
        reason = "delivered via mine service"
        self.assertEqual(
            outcomes,
            [Outcome(n, Action.RELAYED, "2.0.0", reason, "mine") for n in (0, 1)],
        )
        ((command, head, style),) = self.commands.ran
        self.assertEqual(
            command,
            Command(
                (b"/bin/x", b"a@x.test", b"b@x.test"),
                "/bin/x",
                directory="/d",
                time_limit=7.0,
                uid=1000,
                gid=1000,
                agent="pipe",
            ),
        )
        self.assertEqual((head, style), (b"", Style()))

    def test_final(self) -> None:
        """
        Flag X: "delivered" in success reports. What it said is in the log.
        """
        self.commands.said = "fine"
        agent = self.agent("flags=X", "user=us", "argv=x")
        (outcome,) = self.deliver(agent, request("a@x.test"))
        self.assertEqual(outcome.action, Action.DELIVERED)
        self.assertEqual(outcome.reason, "delivered via mine service (fine)")

    def test_failed(self) -> None:
        for status, action in (("4.2.2", Action.DELAYED), ("5.1.1", Action.FAILED)):
            self.commands.error = MailboxError(status, "why", "x-unix; w")
            agent = self.agent("user=us", "argv=x")
            outcomes = self.deliver(agent, request("a@x.test", "b@x.test"))
            self.assertEqual(
                outcomes,
                [
                    Outcome(n, action, status, "why", "mine", diagnostic="x-unix; w")
                    for n in (0, 1)
                ],
            )

    def test_delay(self) -> None:
        """
        The time that the command took is the last of delays=.
        """
        agent = self.agent("user=us", "argv=x")
        self.commands.on_run = lambda: self.setting.clock.advance(2.5)
        (outcome,) = self.deliver(agent, request("a@x.test"))
        self.assertEqual((outcome.setup, outcome.transmission), (0.0, 2.5))

    def test_head(self) -> None:
        """
        Flags F, R, O, D, in Postfix's order, with the line end asked for.
        """
        agent = self.agent("flags=FROD.>B", "user=us", "eol=\\r\\n", "argv=x")
        self.one(agent, "a b@x.test", sender="s t@y.test")
        ((_command, head, style),) = self.commands.ran
        self.assertRegex(
            head,
            rb'^From "s t"@y\.test  \w{3} \w{3} .{16}\r\n'
            rb'Return-Path: <"s t"@y\.test>\r\n'
            rb'X-Original-To: "a b"@x\.test\r\nDelivered-To: "a b"@x\.test\r\n$',
        )
        self.assertEqual(style, Style(b"\r\n", dot=True, quote=True, blank=True))

    def test_null_sender(self) -> None:
        """
        As Debian's Postfix: MAILER-DAEMON in Return-Path too, unless
        null_sender is empty.
        """
        for words, lines in (
            ((), b"From MAILER-DAEMON  |Return-Path: <MAILER-DAEMON>"),
            (("null_sender=",), b"From MAILER-DAEMON  |Return-Path: <>"),
            (("null_sender=n@x",), b"From n@x  |Return-Path: <n@x>"),
        ):
            agent = self.agent("flags=FR", "user=us", *words, "argv=x")
            self.one(agent, sender="")
            _command, head, _style = self.commands.ran[-1]
            for part in lines.split(b"|"):
                self.assertIn(part, head)

    def test_no_original(self) -> None:
        agent = self.agent(
            "flags=O", "user=us", "argv=x", enable_original_recipient="no"
        )
        self.one(agent)
        self.assertEqual(self.commands.ran[0][1], b"")

    def test_single(self) -> None:
        """
        D and O name one recipient; for more it is deferred, as in Postfix.
        """
        for flag in "DO":
            agent = self.agent(f"flags={flag}", "user=us", "argv=x")
            found = self.one(agent, "a@x.test", "b@x.test")
            self.assertEqual(found, ("4.3.5", "mail system configuration error"))
            self.assertEqual(
                self.setting.sink.warnings,
                [f"pipe flag `{flag}' requires mine_destination_recipient_limit = 1"],
            )
        self.assertEqual(self.commands.ran, [])

    def test_size(self) -> None:
        agent = self.agent("size=10", "user=us", "argv=x")
        self.assertEqual(
            self.one(agent, content=b"x" * 11), ("5.2.3", "message too large")
        )
        self.assertEqual(self.one(agent, content=b"x" * 10)[0], "2.0.0")

    def test_loop(self) -> None:
        """
        Only with flag D.
        """
        content = b"Delivered-To: A@X.test\r\n\r\n"
        agent = self.agent("flags=D", "user=us", "argv=x")
        self.assertEqual(
            self.one(agent, content=content),
            ("5.4.6", "mail forwarding loop for a@x.test"),
        )
        agent = self.agent("user=us", "argv=x")
        self.assertEqual(self.one(agent, content=content)[0], "2.0.0")

    def test_other_user(self) -> None:
        """
        One process has one user's rights: deferred, with the remedy.
        """
        for user, told in (
            ("vmail", "user=vmail is uid 5000, but txmta runs as uid 1000"),
            ("stranger", "its group is gid 5000"),
            ("nobody-at-all", "unknown username: nobody-at-all: make it"),
        ):
            status, reason = self.one(self.agent(f"user={user}", "argv=x"))
            self.assertEqual(status, "4.3.5")
            self.assertIn(told, reason)
            self.assertIn("change user= in master.cf", reason)
        self.assertEqual(self.commands.ran, [])

    def test_chroot(self) -> None:
        status, reason = self.one(self.agent("user=us", "chroot=/c", "argv=x"))
        self.assertEqual(status, "4.3.5")
        self.assertIn("chroot=/c needs the rights of root", reason)
        self.assertEqual(self.commands.ran, [])

    def test_accounts_in_thread(self) -> None:
        """
        The system may ask a network for an account.
        """
        agent = self.agent("user=us", "argv=x")
        asked: list[object] = []

        def in_thread(function: Callable[..., object], *args: object) -> object:
            asked.append(function)
            return succeed(function(*args))

        self.setting.threads = in_thread  # type: ignore[assignment]
        self.one(agent)
        self.assertEqual(asked, [accounts])

    def test_closed(self) -> None:
        """
        The content is given back, whatever happens.
        """
        for error in (None, MailboxError("4.0.0", "x")):
            self.commands.error = error
            content = Content(b"\r\n")
            self.one(self.agent("user=us", "argv=x"), content=content)  # type: ignore[arg-type]
            self.assertEqual(content.closed, 1)

    def test_stop(self) -> None:
        self.agent("user=us", "argv=x").stop()
        self.assertEqual(self.commands.stopped, 1)

    def test_wrong_attributes(self) -> None:
        error = self.assertRaises(ConfigError, self.agent, "user=us", "flags=z")
        self.assertEqual(len(error.problems), 2)
        for problem in error.problems:
            self.assertTrue(problem.startswith("master.cf, line 7: service mine: "))


class ProblemTests(SynchronousTestCase):
    def of(self, *words: str, root: bool = True) -> list[str]:
        return problems("mine", words, Settings.of(), accounts, root)

    def test_none(self) -> None:
        self.assertEqual(self.of("user=vmail", "argv=x"), [])

    def test_unknown_account(self) -> None:
        """
        Postfix's own master.cf names accounts that most systems lack.
        """
        self.assertEqual(self.of("user=scalemail", "argv=x"), [])

    def test_powerful(self) -> None:
        """
        In Postfix's words.
        """
        for user, told in (
            ("root", "root privileges"),
            ("wheel", "privileged group id 0"),
            ("postfix", "mail system owner postfix"),
            ("grouped", "mail system owner postfix group id 102"),
            ("dropper", "mail system postdrop group id 103"),
        ):
            (problem,) = self.of(f"user={user}", "argv=x")
            self.assertIn(
                f"service mine: user= command-line attribute specifies {told}: ",
                problem,
            )

    def test_own_queue(self) -> None:
        """
        Who runs the server as an ordinary user may run commands as that user,
        for there is no other; but never as root.
        """
        for user in ("postfix", "grouped", "dropper"):
            self.assertEqual(self.of(f"user={user}", "argv=x", root=False), [])
        self.assertEqual(len(self.of("user=root", "argv=x", root=False)), 1)

    def test_attributes(self) -> None:
        (problem,) = self.of("user=vmail", "argv=x", "$foo")
        self.assertIn("service mine: unknown macro name: foo", problem)
