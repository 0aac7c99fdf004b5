"""
An agent in another process keeps the contract of agents.
"""

from __future__ import annotations

import os
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.contracts.delivery_agent import load
from tests.delivery.doubles import US, Setting, Table, acting
from tests.master.pairs import Net
from txmta.delivery.virtual import VirtualAgent
from txmta.interfaces import IContent, IDeliveryAgent
from txmta.master.agent_host import AgentHost
from txmta.master.elsewhere import WorkElsewhere
from txmta.master.remote_agent import RemoteAgents
from txmta.model import DeliveryRequest


class Everybody(Table):
    """
    Has the same answer for all.
    """

    def __init__(self, answer: str) -> None:
        super().__init__({})
        self.answer = answer

    def lookup(self, key: str) -> str:
        return self.answer


@implementer(IDeliveryAgent)
class Lending:
    """
    A remote agent; the content of its requests is what the process reads.
    """

    def __init__(self, agent: IDeliveryAgent) -> None:
        self._agent = agent
        self.name = agent.name
        self.request: DeliveryRequest

    def deliver(self, request: DeliveryRequest, report: Any) -> Deferred[None] | None:
        self.request = request
        return self._agent.deliver(request, report)

    def content(self, queue_id: str) -> IContent | Deferred[IContent]:
        return self.request.open_content()


class RemoteVirtualTests(load().AgentContract, SynchronousTestCase):  # type: ignore[misc]
    """
    The virtual agent, behind a link.
    """

    def setUp(self) -> None:
        self.net = Net()
        self.base = os.path.abspath(self.mktemp())
        self.warned: list[str] = []

    def make_agent(self) -> IDeliveryAgent:
        setting = Setting(
            {"fake:boxes": Everybody("box/"), "fake:ids": Everybody("1000")},
            "virtual",
            virtual_mailbox_maps="fake:boxes",
            virtual_uid_maps="fake:ids",
            virtual_gid_maps="fake:ids",
            virtual_mailbox_base=self.base,
        )
        virtual = VirtualAgent(acting(setting.context, lambda: US))
        clock = Clock()
        time = cast(IReactorTime, clock)
        self.net.clocks.append(clock)
        elsewhere = WorkElsewhere(time)
        remote = RemoteAgents(time, self.warned.append, elsewhere)
        agent = Lending(remote.agent("hook", "virtual", onward=False))
        host = AgentHost({"hook": virtual}, agent.content, time, self.warned.append)
        self.net.connect(remote.link("virtual.1"), host.link("qmgr"))
        elsewhere.ready()
        self.net.run()
        return cast(IDeliveryAgent, agent)

    def settle(self) -> None:
        self.net.run()

    def tearDown(self) -> None:
        self.assertEqual(self.warned, [])


class RemoteTests(SynchronousTestCase):
    def test_really_delivered(self) -> None:
        """
        The octets are in the mailbox.
        """
        contract = load()
        case = RemoteVirtualTests("test_interface")
        case.setUp()
        content = contract.Content(b"Subject: hi\r\n\r\nhello\r\n")
        reported, failure = case.run_agent(contract.request(content, "a@example.com"))
        self.assertIsNone(failure)
        self.assertEqual(len(reported), 1)
        new = os.path.join(case.base, "box", "new")
        (name,) = os.listdir(new)
        with open(os.path.join(new, name), "rb") as file:
            self.assertTrue(file.read().endswith(b"Subject: hi\n\nhello\n"))
