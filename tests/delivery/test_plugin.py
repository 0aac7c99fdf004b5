"""
L{txmta.delivery.plugin}
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.delivery.doubles import Setting, request
from txmta.delivery.context import AgentContext
from txmta.delivery.plugin import AgentFault, PluginAgent, plugin_agent, problems
from txmta.delivery.plugin_attributes import AgentAttribute, number
from txmta.delivery.registry import AgentRegistry, AgentType, PluginAgentType
from txmta.errors import ConfigError
from txmta.interfaces import (
    IDeliveryAgent,
    IDeliveryAgentType,
    IPluginAgentType,
)
from txmta.model import Action, DeliveryRequest, Outcome

Report = Callable[[Outcome], None]


@implementer(IDeliveryAgent)
class Carrier:
    """
    Does what a test tells it.
    """

    name = "anything"

    def __init__(self, context: AgentContext) -> None:
        self.context = context
        self.answer: Any = None
        self.report: Report = lambda outcome: None
        self.stopped = 0

    def deliver(
        self, request: DeliveryRequest, report: Report
    ) -> Deferred[None] | None:
        self.report = report
        answer = self.answer
        return cast("Deferred[None] | None", answer() if callable(answer) else answer)

    def stop(self) -> Any:
        self.stopped += 1


def raises(context: AgentContext) -> Carrier:
    raise RuntimeError("the password is hunter2")


def nothing(context: AgentContext) -> object:
    return object()


def refuses(context: AgentContext) -> Carrier:
    raise ConfigError(["write it otherwise"])


HERE = "tests.delivery.test_plugin"
ATTRIBUTES = (
    AgentAttribute("url", "where to"),
    AgentAttribute("retries", "more tries", "2", number(0, 10)),
)


def kind(
    name: str = "carrier", factory: str = f"{HERE}.Carrier", *more: AgentAttribute
) -> PluginAgentType:
    return PluginAgentType(name, factory, more or ATTRIBUTES)


REGISTRY = AgentRegistry([kind(), AgentType("column", f"{HERE}.Carrier")])


def context(*words: str, setting: Setting | None = None) -> AgentContext:
    made = (setting or Setting(service="hook")).context
    return replace(made, arguments=words, where="master.cf, line 9")


class MakingTests(SynchronousTestCase):
    def wrong(self, *words: str, registry: AgentRegistry = REGISTRY) -> str:
        problem: str
        (problem,) = self.assertRaises(
            ConfigError, plugin_agent, context(*words), registry
        ).problems
        self.assertTrue(problem.startswith("master.cf, line 9: service hook: "))
        return problem.removeprefix("master.cf, line 9: service hook: ")

    def test_interfaces(self) -> None:
        verifyObject(IPluginAgentType, kind())
        verifyObject(IDeliveryAgentType, kind())
        agent = plugin_agent(context("agent=carrier", "url=x"), REGISTRY)
        verifyObject(IDeliveryAgent, agent)
        self.assertEqual(agent.name, "carrier", "what the log says")

    def test_attributes(self) -> None:
        """
        The agent gets the values, and defaults; nothing prints them.
        """
        agent = cast(Any, plugin_agent(context("agent=carrier", "url=x"), REGISTRY))
        inner = agent._agent.context
        self.assertEqual(inner.attributes, {"url": "x", "retries": 2})
        self.assertEqual(inner.arguments, ())
        self.assertNotIn("retries", repr(inner))
        secret = repr(context("agent=carrier", "token=hunter2"))
        self.assertNotIn("hunter2", secret)

    def test_wrong(self) -> None:
        """
        File, line, service, attribute, remedy.
        """
        self.assertEqual(
            self.wrong("agent=carrier"),
            "missing url= attribute: write url=value: where to",
        )
        self.assertEqual(
            self.wrong("agent=x"),
            "there is no agent x: install its plug-in, or write one of those that "
            "are installed (carrier)",
        )
        self.assertEqual(
            self.wrong("agent=column"),
            "agent column takes no attributes: write column instead of plugin",
        )

    def test_two(self) -> None:
        """
        Which of two agents of one name would count is left to chance: neither.
        """
        problem = self.wrong(
            "agent=carrier", "url=x", registry=AgentRegistry([kind(), kind()])
        )
        self.assertIn("2 plug-ins provide agent carrier", problem)

    def test_no_program(self) -> None:
        """
        The last column of master.cf does not name them.
        """
        self.assertEqual(REGISTRY.known_programs(), ["column"])

    def test_cannot_be_made(self) -> None:
        """
        What goes wrong in the plug-in is named, but for what may be secret.
        """
        for factory, words in (
            ("raises", "agent carrier cannot be made: RuntimeError"),
            ("nothing", "agent carrier is no IDeliveryAgent: <object"),
            ("refuses", "write it otherwise"),
            ("absent", f"agent carrier: {HERE}.absent cannot be imported: "),
        ):
            registry = AgentRegistry([kind("carrier", f"{HERE}.{factory}")])
            problem = self.wrong("agent=carrier", "url=x", registry=registry)
            self.assertIn(words, problem)
            self.assertNotIn("hunter2", problem)
        self.flushLoggedErrors(RuntimeError)

    def test_check(self) -> None:
        """
        The check at start finds the same, and makes nothing.
        """
        self.assertEqual(problems("hook", ["agent=carrier", "url=x"], REGISTRY), [])
        registry = AgentRegistry([kind("carrier", f"{HERE}.raises")])
        self.assertEqual(problems("hook", ["agent=carrier", "url=x"], registry), [])
        (problem,) = problems("hook", ["agent=carrier"], REGISTRY)
        self.assertIn("service hook: missing url=", problem)
        registry = AgentRegistry([kind("carrier", "no.such.module.anywhere")])
        (problem,) = problems("hook", ["agent=carrier", "url=x"], registry)
        self.assertIn("no.such.module.anywhere cannot be imported", problem)

    def test_broken(self) -> None:
        """
        An agent that is not there may be in a plug-in that is broken.
        """
        registry = AgentRegistry([])
        registry.broken = ["plug-in x cannot be loaded: ImportError"]
        found = problems("hook", ["agent=carrier"], registry)
        self.assertEqual(
            found[1], "service hook: plug-in x cannot be loaded: ImportError"
        )


class DeliveryTests(SynchronousTestCase):
    def setUp(self) -> None:
        setting = Setting(service="hook", hook_time_limit="60s")
        self.clock = setting.clock
        made = plugin_agent(
            context("agent=carrier", "url=x", setting=setting), REGISTRY
        )
        self.agent = cast(PluginAgent, made)
        self.carrier = cast(Carrier, self.agent._agent)
        self.outcomes: list[Outcome] = []

    def deliver(self) -> Deferred[None]:
        ending = self.agent.deliver(request("a@here.test"), self.outcomes.append)
        assert ending is not None
        return ending

    def late(self, ending: Deferred[None]) -> None:
        self.assertNoResult(ending)
        self.clock.advance(59.9)
        self.assertNoResult(ending)
        self.clock.advance(0.1)
        fault = self.failureResultOf(ending, AgentFault)
        self.assertIn("takes more than 60 seconds", fault.getErrorMessage())

    def test_at_once(self) -> None:
        self.assertIsNone(
            self.agent.deliver(request("a@here.test"), self.outcomes.append)
        )

    def test_in_time(self) -> None:
        """
        Outcomes and end pass through; no timer is left.
        """
        self.carrier.answer = inner = Deferred[None]()
        ending = self.deliver()
        outcome = Outcome(0, Action.DELIVERED, "2.0.0", "there")
        self.carrier.report(outcome)
        self.assertEqual(self.outcomes, [outcome])
        inner.callback(None)
        self.successResultOf(ending)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_failure(self) -> None:
        self.carrier.answer = inner = Deferred[None]()
        ending = self.deliver()
        inner.errback(ZeroDivisionError())
        self.failureResultOf(ending, ZeroDivisionError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_hangs(self) -> None:
        """
        After <transport>_time_limit the delivery is over.
        """
        self.carrier.answer = Deferred[None]()
        self.late(self.deliver())

    def test_does_not_let_go(self) -> None:
        """
        Not even an agent that goes on when it is cancelled can hold it up;
        an error that it has afterwards is logged.
        """
        holds = Deferred[None]()

        async def stubborn() -> None:
            while True:
                try:
                    await Deferred[None]()
                except CancelledError:
                    await holds

        self.carrier.answer = lambda: Deferred.fromCoroutine(stubborn())
        self.late(self.deliver())
        holds.errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_last_words(self) -> None:
        """
        An agent that is cancelled may still say what it knows, and end well.
        """
        outcome = Outcome(0, Action.DELAYED, "4.4.2", "no answer")

        async def polite() -> None:
            try:
                await Deferred[None]()
            except CancelledError:
                self.carrier.report(outcome)

        self.carrier.answer = lambda: Deferred.fromCoroutine(polite())
        ending = self.deliver()
        self.clock.advance(60)
        self.successResultOf(ending)
        self.assertEqual(self.outcomes, [outcome])

    def test_coroutine(self) -> None:
        """
        C{async def deliver} would never run: said so, not lost.
        """

        async def deliver() -> None:
            raise AssertionError("is not run")

        self.carrier.answer = deliver
        fault = self.assertRaises(AgentFault, self.deliver)
        self.assertIn("neither a Deferred nor None: coroutine", str(fault))

    def test_thread(self) -> None:
        """
        An outcome that is reported from a thread is an error there, and never
        gets into the queue manager.
        """
        self.carrier.answer = Deferred[None]()
        self.deliver()
        errors: list[BaseException] = []

        def work() -> None:
            try:
                self.carrier.report(Outcome(0, Action.DELIVERED, "2.0.0", "x"))
            except RuntimeError as e:
                errors.append(e)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        self.assertEqual(self.outcomes, [])
        self.assertIn("outside the reactor thread", str(errors[0]))

    def test_stop(self) -> None:
        """
        An agent that cannot stop does not keep txmta from stopping.
        """
        self.agent.stop()
        self.assertEqual(self.carrier.stopped, 1)
        self.carrier.stop = lambda: 1 / 0  # type: ignore[method-assign]
        self.assertIsNone(self.agent.stop())
        never = Deferred[None]()
        self.carrier.stop = lambda: never  # type: ignore[method-assign]
        ending = cast("Deferred[None]", self.agent.stop())
        self.clock.advance(10)
        self.successResultOf(ending)
        self.assertEqual(len(self.flushLoggedErrors()), 2)
