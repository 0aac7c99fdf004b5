"""
L{txmta.delivery.status_filter}
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.delivery.doubles import Setting, Table, request
from txmta.delivery.registry import AgentRegistry, AgentType
from txmta.delivery.status_filter import FilteredAgent, StatusFilter
from txmta.events import Warn
from txmta.interfaces import IDeliveryAgent, ITable
from txmta.model import Action, AddressClass, DeliveryRequest, Outcome, Route

SENT = Outcome(0, Action.RELAYED, "2.0.0", "250 ok", "host", diagnostic="smtp; 250 ok")
DEFERRED = Outcome(0, Action.DELAYED, "4.4.1", "connect to host: refused", "none")
FAILED = Outcome(0, Action.FAILED, "5.1.1", "no such user", "host", remote="host")


@implementer(ITable)
class Slow:
    """
    A table that answers when the test says so.
    """

    def __init__(self) -> None:
        self.answer: Deferred[str | None] = Deferred()

    def lookup(self, key: str) -> Deferred[str | None]:
        return self.answer


@implementer(IDeliveryAgent)
class Agent:
    """
    Reports what it is told to.
    """

    name = "smtp"
    answers_probes = True

    def __init__(self, *outcomes: Outcome, ending: Deferred[None] | None = None):
        self.outcomes = outcomes
        self.ending = ending
        self.stopped = False

    def deliver(
        self, request: DeliveryRequest, report: Callable[[Outcome], None]
    ) -> Deferred[None] | None:
        for outcome in self.outcomes:
            report(outcome)
        return self.ending

    def stop(self) -> None:
        self.stopped = True


class FilterTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.warnings: list[str] = []

    def apply(self, outcome: Outcome, entries: dict[str, str]) -> Outcome:
        filter = StatusFilter("x", [Table(entries)], self.warnings.append)
        result = filter.apply(outcome)
        assert isinstance(result, Outcome)
        return result

    def test_not_found(self) -> None:
        self.assertIs(self.apply(SENT, {}), SENT)

    def test_soft_and_hard(self) -> None:
        """
        What would be tried again fails, and the other way round; all else
        stays.
        """
        to_hard = {"4.4.1 connect to host: refused": "5.4.9  not today"}
        self.assertEqual(
            self.apply(DEFERRED, to_hard),
            Outcome(0, Action.FAILED, "5.4.9", "not today", "none"),
        )
        to_soft = {"5.1.1 no such user": "4.1.1 wait"}
        self.assertEqual(
            self.apply(FAILED, to_soft),
            Outcome(0, Action.DELAYED, "4.1.1", "wait", "host", remote="host"),
        )

    def test_success(self) -> None:
        """
        Other words for a success; it remains what kind of success it was.
        """
        found = self.apply(SENT, {"2.0.0 250 ok": "2.1.5 gone"})
        self.assertEqual(found.action, Action.RELAYED)
        self.assertEqual((found.status, found.reason), ("2.1.5", "gone"))
        self.assertEqual(found.diagnostic, "smtp; 250 ok")

    def test_no_change_of_sides(self) -> None:
        """
        A success is never made a failure, nor a failure a success; and what
        is no status changes nothing.
        """
        for outcome, answer in (
            (SENT, "5.0.0 lost"),
            (SENT, "4.0.0 lost"),
            (FAILED, "2.0.0 found"),
            (DEFERRED, "2.0.0 found"),
            (FAILED, "no status"),
            (FAILED, "5.1"),
            (FAILED, "5.1.1"),
            (SENT, "words"),
        ):
            self.warnings.clear()
            key = f"{outcome.status} {outcome.reason}"
            self.assertIs(self.apply(outcome, {key: answer}), outcome)
            self.assertEqual(len(self.warnings), 1, answer)

    def test_cannot_say(self) -> None:
        """
        The outcome stays; the administrator is told.
        """
        broken = StatusFilter("x", [Table({}, broken=True)], self.warnings.append)
        self.assertIs(broken.apply(FAILED), FAILED)
        self.assertEqual(len(self.warnings), 1)

    def test_reroute(self) -> None:
        """
        A recipient that only goes another way has no status yet.
        """
        route = Route(AddressClass.LOCAL, "x", "y", "z")
        outcome = Outcome(0, Action.DELAYED, "4.0.0", "x", reroute=route)
        self.assertIs(self.apply(outcome, {"4.0.0 x": "5.0.0 y"}), outcome)


class AgentTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reported: list[Outcome] = []

    def wrap(self, agent: Agent, table: ITable) -> FilteredAgent:
        return FilteredAgent(agent, StatusFilter("x", [table], self.fail))

    def test_at_once(self) -> None:
        table = Table({"5.1.1 no such user": "5.2.1 nobody"})
        agent = self.wrap(Agent(FAILED), table)
        self.assertTrue(verifyObject(IDeliveryAgent, agent))
        self.assertIs(agent.deliver(request("a@b.test"), self.reported.append), None)
        self.assertEqual(self.reported[0].reason, "nobody")

    def test_waits(self) -> None:
        """
        A delivery ends when each outcome has been filtered and reported.
        """
        slow = Slow()
        done = self.wrap(Agent(FAILED), slow).deliver(
            request("a@b.test"), self.reported.append
        )
        assert done is not None
        self.assertNoResult(done)
        self.assertEqual(self.reported, [])
        slow.answer.callback("4.2.1 later")
        self.successResultOf(done)
        self.assertEqual(self.reported[0].status, "4.2.1")

    def test_trouble_of_the_agent(self) -> None:
        """
        It is told as it is, with what was reported before.
        """
        ending: Deferred[None] = Deferred()
        agent = self.wrap(Agent(FAILED, ending=ending), Table({}))
        done = agent.deliver(request("a@b.test"), self.reported.append)
        assert done is not None
        self.assertEqual(self.reported, [FAILED])
        ending.errback(ValueError("x"))
        self.failureResultOf(done, ValueError)

    def test_stop(self) -> None:
        agent = Agent()
        self.wrap(agent, Table({})).stop()
        self.assertTrue(agent.stopped)


class SettingTests(SynchronousTestCase):
    def make(self, program: str, **settings: str) -> tuple[IDeliveryAgent, Setting]:
        table = Table({"5.1.1 no such user": "4.1.1 wait"})
        setting = Setting({"fake:filter": table}, service=program, **settings)
        kind = AgentType(program, f"{__name__}.made")
        return AgentRegistry([kind]).make(program, setting.context), setting

    def test_none(self) -> None:
        """
        Without a filter there is nothing between the agent and the queue
        manager.
        """
        agent, _ = self.make("smtp")
        self.assertIsInstance(agent, Agent)

    def test_by_program(self) -> None:
        """
        Each agent has its own, and default_delivery_status_filter for that of
        LMTP only if it says so; error and discard have none.
        """
        for program, filtered in (
            *((name, True) for name in ("smtp", "local", "virtual", "pipe")),
            *((name, False) for name in ("lmtp", "error", "discard", "plugin")),
        ):
            default = {"default_delivery_status_filter": "fake:filter"}
            agent, _ = self.make(program, **default)
            self.assertEqual(isinstance(agent, FilteredAgent), filtered, program)
        for program in ("smtp", "lmtp", "local", "virtual", "pipe"):
            own = {f"{program}_delivery_status_filter": "fake:filter"}
            agent, setting = self.make(program, **own)
            reported: list[Outcome] = []
            agent.deliver(request("a@b.test"), reported.append)
            self.assertEqual(reported[0].action, Action.DELAYED)
            self.assertEqual(setting.sink.events, [])

    def test_warning(self) -> None:
        setting = Setting(
            {"fake:filter": Table({"5.1.1 no such user": "2.0.0 x"})},
            smtp_delivery_status_filter="fake:filter",
        )
        kind = AgentType("smtp", f"{__name__}.made")
        agent = AgentRegistry([kind]).make("smtp", setting.context)
        agent.deliver(request("a@b.test"), lambda outcome: None)
        words = "smtp_delivery_status_filter: bad status code: 2.0.0 x"
        self.assertEqual(setting.sink.events, [Warn("smtp", words)])


def made(context: object) -> Agent:
    """
    @return: an agent for the tests above.
    """
    return Agent(FAILED)
