"""
A queue manager and agents that are processes of their own, but for the
processes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock

from tests.master.pairs import Net, Pair
from tests.queue.doubles import Agent, World
from txmta.interfaces import IContent, IDeliveryAgent
from txmta.master.agent_host import AgentHost
from txmta.master.elsewhere import WorkElsewhere
from txmta.master.remote_agent import RemoteAgents
from txmta.model import Outcome, Recipient


def no_content(queue_id: str) -> IContent:
    raise AssertionError("nobody reads")


class Child:
    """
    A process that delivers.

    @ivar smtp: an agent, driven by the test.
    """

    def __init__(self, name: str, answer: Answer | None) -> None:
        self.name = name
        self.clock = Clock()
        self.smtp, self.local = Agent(self.clock), Agent(self.clock)
        self.smtp.answer = self.local.answer = answer
        self.warned: list[str] = []
        self.host = AgentHost(
            {
                "smtp": cast(IDeliveryAgent, self.smtp),
                "local": cast(IDeliveryAgent, self.local),
            },
            no_content,
            cast(IReactorTime, self.clock),
            self.warned.append,
        )
        self.pair: Pair
        self.dead = False

    @property
    def delivered(self) -> list[tuple[str, str]]:
        """
        @return: queue id and address of each attempt.
        """
        return [
            (hand.request.envelope.queue_id, address)
            for agent in (self.smtp, self.local)
            for hand in agent.hands
            for address in hand.addresses
        ]


Answer = Callable[[Recipient], Outcome]


class Site:
    """
    @ivar net: all links.
    @ivar children: alive or not.
    """

    def __init__(
        self, children: int = 2, answer: Answer | None = None, net: Net | None = None
    ) -> None:
        self.world = World()
        self.net = net or Net()
        self.net.clocks.append(self.world.clock)
        self.warned: list[str] = []
        self.answer = answer
        self.children: list[Child] = []
        for _ in range(children):
            self.add_child(link=False)
        self.start_manager()

    def start_manager(self) -> None:
        """
        A new queue manager, with links to all living children.
        """
        world = self.world
        clock = cast(IReactorTime, world.clock)
        self.elsewhere = WorkElsewhere(clock)
        self.remote = RemoteAgents(clock, self.warned.append, self.elsewhere)
        world.agents = {
            "smtp": self.remote.agent("smtp", "smtp", onward=False),
            "local": self.remote.agent("local", "local", onward=True),
        }
        world.elsewhere = self.elsewhere
        for child in self.children:
            if not child.dead:
                self.connect(child)
        world.manager = world.make_manager()
        world.start()

    def add_child(self, link: bool = True) -> Child:
        child = Child(f"smtp.{len(self.children)}", self.answer)
        self.children.append(child)
        self.net.clocks.append(child.clock)
        if link:
            self.connect(child)
        return child

    def connect(self, child: Child) -> None:
        child.pair = self.net.connect(
            self.remote.link(child.name), child.host.link("qmgr")
        )

    def kill_manager(self) -> None:
        """
        As kill -9.
        """
        self.world.kill()
        for child in self.children:
            if not child.dead:
                child.pair.kill(0)

    def kill_child(self, n: int) -> None:
        """
        As kill -9.
        """
        child = self.children[n]
        child.dead = True
        for call in child.clock.getDelayedCalls():
            call.cancel()
        child.pair.kill(1)

    @property
    def delivered(self) -> list[tuple[str, str]]:
        return [each for child in self.children for each in child.delivered]
