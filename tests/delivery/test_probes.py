"""
L{txmta.delivery.probes}, and what each agent says of a probe.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.delivery.doubles import US, Setting, Table, acting, request
from txmta.delivery.discard import DiscardAgent
from txmta.delivery.error import ErrorAgent
from txmta.delivery.local import LocalAgent
from txmta.delivery.pipe import Account as PipeAccount
from txmta.delivery.pipe import PipeAgent
from txmta.delivery.plugin import PluginAgent
from txmta.delivery.probes import ProbeGuard, guarded
from txmta.delivery.questions import Account
from txmta.delivery.registry import AgentRegistry, AgentType
from txmta.delivery.virtual import VirtualAgent
from txmta.interfaces import IDeliveryAgent
from txmta.model import Action, DeliveryRequest, Outcome, Trace


def probe(*addresses: str, **more: Any) -> DeliveryRequest:
    made = request(*addresses, **more)
    envelope = replace(made.envelope, trace=int(Trace.VERIFY))
    return replace(made, envelope=envelope)


@implementer(IDeliveryAgent)
class Stranger:
    """
    An agent that knows nothing of probes.
    """

    name = "stranger"

    def __init__(self, context: object = None) -> None:
        self.requests: list[DeliveryRequest] = []
        self.stopped = False

    def deliver(
        self, request: DeliveryRequest, report: Callable[[Outcome], None]
    ) -> Deferred[None] | None:
        self.requests.append(request)
        for recipient in request.recipients:
            report(Outcome(recipient.n, Action.DELIVERED, "2.0.0", "taken"))
        return None

    def stop(self) -> None:
        self.stopped = True


class GuardTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.outcomes: list[Outcome] = []

    def test_stranger(self) -> None:
        """
        It gets mail, and no probes.
        """
        agent = Stranger()
        guard = guarded(agent, "theirs")
        self.assertTrue(verifyObject(IDeliveryAgent, guard))
        guard.deliver(probe("a@b.test", "c@b.test"), self.outcomes.append)
        self.assertEqual(agent.requests, [])
        self.assertEqual([o.n for o in self.outcomes], [0, 1])
        self.assertEqual(self.outcomes[0].reason, "delivers via theirs service")
        mail = request("a@b.test")
        guard.deliver(mail, self.outcomes.append)
        self.assertEqual(agent.requests, [mail])
        assert isinstance(guard, ProbeGuard)
        guard.stop()
        self.assertTrue(agent.stopped)

    def test_every_agent(self) -> None:
        """
        Whatever comes out of the registry either knows probes or is guarded.
        """
        context = Setting(service="theirs").context
        registry = AgentRegistry([AgentType("theirs", f"{__name__}.Stranger")])
        agent = registry.make("theirs", context)
        agent.deliver(probe("a@b.test"), self.outcomes.append)
        self.assertEqual(self.outcomes[0].reason, "delivers via theirs service")
        for program in ("local", "virtual", "error", "retry", "discard"):
            made = AgentRegistry().make(program, Setting(service=program).context)
            self.assertIs(getattr(made, "answers_probes", None), True, program)

    def test_plugin(self) -> None:
        """
        A plug-in behind its own name is a stranger unless it says otherwise.
        """
        clock = Setting().clock
        agent = PluginAgent("x", Stranger(), clock, 5)
        self.assertIsInstance(guarded(agent, "x"), ProbeGuard)
        knowing = Stranger()
        knowing.answers_probes = True  # type: ignore[attr-defined]
        agent = PluginAgent("x", knowing, clock, 5)
        self.assertIs(guarded(agent, "x"), agent)


class AgentCase(SynchronousTestCase):
    def ask(self, agent: IDeliveryAgent, made: DeliveryRequest) -> list[Outcome]:
        outcomes: list[Outcome] = []
        ending = agent.deliver(made, outcomes.append)
        if ending is not None:
            self.successResultOf(ending)
        return outcomes

    def say(self, agent: IDeliveryAgent, made: DeliveryRequest) -> list[str]:
        return [f"{o.status} {o.reason}" for o in self.ask(agent, made)]


class SimpleTests(AgentCase):
    def test_error_and_discard(self) -> None:
        """
        As of all mail.
        """
        context = Setting(service="error").context
        said = self.say(ErrorAgent(context), probe("a@b.test", nexthop="5.7.1 no"))
        self.assertEqual(said, ["5.7.1 no"])
        said = self.say(DiscardAgent(context), probe("a@b.test", nexthop="b.test"))
        self.assertEqual(said, ["2.0.0 b.test"])

    def test_pipe(self) -> None:
        """
        The command is named, and not run; what is too large would not be taken.
        """
        words = ("user=x", "size=100", "argv=/bin/touch", "/nowhere/x")
        context = replace(Setting(service="thepipe").context, arguments=words)

        def accounts(user: str, group: str) -> PipeAccount:
            raise AssertionError("nobody becomes anybody")

        agent = PipeAgent(context, accounts=accounts)
        (outcome,) = self.ask(agent, probe("a@b.test"))
        self.assertEqual(outcome.reason, "delivers to command: /bin/touch")
        self.assertEqual(outcome.relay, "thepipe")
        said = self.say(agent, probe("a@b.test", content=b"x" * 101))
        self.assertEqual(said, ["5.2.3 message too large"])


class VirtualTests(AgentCase):
    def test_words(self) -> None:
        """
        Where mail would go, or why not; nothing is made there.
        """
        base = self.mktemp()
        os.mkdir(base)
        boxes = Table({"a@b.test": "a/", "f@b.test": "f", "x@b.test": "../x"})
        setting = Setting(
            {"fake:boxes": boxes, "fake:id": Table({"@b.test": str(os.getuid())})},
            service="virtual",
            virtual_mailbox_maps="fake:boxes",
            virtual_mailbox_base=os.path.abspath(base),
            virtual_uid_maps="static",
            virtual_gid_maps="static",
            virtual_minimum_uid="0",
        )
        setting.tables = {"fake:boxes": boxes, "static": Table({"@b.test": "1000"})}
        agent = VirtualAgent(acting(setting.context, lambda: US))
        said = self.say(agent, probe("a@b.test", "f@b.test", "no@b.test", "x@b.test"))
        self.assertEqual(
            sorted(said),
            [
                "2.0.0 delivers to mailbox",
                "2.0.0 delivers to maildir",
                '4.3.5 bad path "../x" in virtual_mailbox_maps',
                '5.1.1 unknown user: "no@b.test"',
            ],
        )
        self.assertEqual(os.listdir(base), [])


class LocalTests(AgentCase):
    def agent(self, aliases: dict[str, str], **settings: str) -> LocalAgent:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        user = Account("us", US.uid, US.uid, str(self.folder))
        setting = Setting(
            {"fake:aliases": Table(aliases)},
            mail_spool_directory=f"{self.folder}/",
            default_privs="us",
            forward_path="",
            **settings,
        )
        return LocalAgent(
            acting(setting.context, lambda: US),
            {"us": user}.get,
            find_uid=lambda uid: user if uid == US.uid else None,
        )

    def test_mailbox(self) -> None:
        agent = self.agent({})
        said = self.say(agent, probe("us@here.test", "no@here.test"))
        self.assertEqual(
            said, ["2.0.0 delivers to maildir", '5.1.1 unknown user: "no"']
        )
        agent = self.agent({}, home_mailbox="Mailbox")
        said = self.say(agent, probe("us@here.test"))
        self.assertEqual(said, ["2.0.0 delivers to mailbox"])
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_places(self) -> None:
        """
        Each place of an alias by itself, as long as there are not too many.
        """
        agent = self.agent(
            {"all": 'us, far@else.test, no, "|touch /nowhere/x", /nowhere/file'}
        )
        (outcome,) = self.ask(agent, probe("all@here.test"))
        self.assertEqual(outcome.forward, ())
        found = {
            (b.address, b.original, f"{b.status} {b.reason}") for b in outcome.branches
        }
        self.assertEqual(
            found,
            {
                ("us@here.test", True, "2.0.0 delivers to maildir"),
                ("far@else.test", True, "2.0.0 forwards to far@else.test"),
                ("no@here.test", True, '5.1.1 unknown user: "no"'),
                ("all@here.test", True, "2.0.0 delivers to command: touch /nowhere/x"),
                ("all@here.test", True, "2.0.0 delivers to file: /nowhere/file"),
            },
        )

    def test_many_places(self) -> None:
        members = ", ".join(f"u{n}@else.test" for n in range(300))
        (outcome,) = self.ask(self.agent({"all": members}), probe("all@here.test"))
        self.assertEqual(len(outcome.branches), 100)
        self.assertIn("too many", outcome.branches[-1].reason)
        long = ", ".join(f"{'x' * 400}{n}@else.test" for n in range(90))
        (outcome,) = self.ask(self.agent({"all": long}), probe("all@here.test"))
        told = "".join(b.address + b.reason for b in outcome.branches)
        self.assertLess(len(told), 22_000)

    def test_owner(self) -> None:
        """
        Of a list with an owner the report does not say whose recipient it was.
        """
        agent = self.agent({"list": "us, far@else.test", "owner-list": "us"})
        (outcome,) = self.ask(agent, probe("list@here.test"))
        self.assertEqual([b.original for b in outcome.branches], [False, False])

    def test_another_transport(self) -> None:
        """
        It is asked in our place.
        """
        agent = self.agent({}, mailbox_transport="lmtp:unix:x")
        (outcome,) = self.ask(agent, probe("us@here.test"))
        assert outcome.reroute is not None
        self.assertEqual(outcome.reroute.transport, "lmtp")
