"""
L{txmta.delivery.error}, L{txmta.delivery.discard}
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.delivery.doubles import Setting, request
from txmta.delivery.discard import DiscardAgent
from txmta.delivery.error import ErrorAgent, retry_agent
from txmta.interfaces import IDeliveryAgent
from txmta.model import Action, Outcome


def outcomes(agent: ErrorAgent | DiscardAgent, nexthop: str) -> list[Outcome]:
    found: list[Outcome] = []
    agent.deliver(request("a@x", "b@x", nexthop=nexthop), found.append)
    return found


class ErrorTests(SynchronousTestCase):
    def check(
        self, agent: ErrorAgent, table: dict[str, tuple[Action, str, str]]
    ) -> None:
        verifyObject(IDeliveryAgent, agent)
        for nexthop, (action, status, reason) in table.items():
            self.assertEqual(
                outcomes(agent, nexthop),
                [Outcome(n, action, status, reason, "none") for n in (0, 1)],
                nexthop,
            )

    def test_error(self) -> None:
        """
        It is a failure, whatever it is told.
        """
        failed = Action.FAILED
        self.check(
            ErrorAgent(Setting(service="error").context),
            {
                "5.1.1 no such user": (failed, "5.1.1", "no such user"),
                "4.4.1 later": (failed, "5.0.0", "later"),
                "mail for x loops": (failed, "5.0.0", "mail for x loops"),
                "2.0.0 odd": (failed, "5.0.0", "odd"),
                "5.1.1": (failed, "5.1.1", "unspecified"),
                "5.1.1234 x": (failed, "5.0.0", "5.1.1234 x"),
            },
        )

    def test_retry(self) -> None:
        """
        The service retry of master.cf defers whatever it is told.
        """
        delayed = Action.DELAYED
        for agent in (
            ErrorAgent(Setting(service="retry").context),
            retry_agent(Setting(service="error").context),
        ):
            self.check(
                agent,
                {
                    "4.4.1 later": (delayed, "4.4.1", "later"),
                    "5.1.1 never": (delayed, "4.0.0", "never"),
                    "down": (delayed, "4.0.0", "down"),
                },
            )


class DiscardTests(SynchronousTestCase):
    def test_discard(self) -> None:
        agent = DiscardAgent(Setting(service="discard").context)
        verifyObject(IDeliveryAgent, agent)
        for nexthop, reason in {
            "else.test": "else.test",
            "2.1.5 gone": "gone",
            "5.1.1 x": "x",
            "": "discarded",
        }.items():
            for outcome in outcomes(agent, nexthop):
                self.assertEqual(
                    (outcome.action, outcome.reason, outcome.relay),
                    (Action.DELIVERED, reason, "none"),
                )
                self.assertEqual(outcome.status[0], "2")
