"""
What every delivery agent does. Copy it: it needs nothing of this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer
from zope.interface.verify import verifyObject

from txmta.errors import StoreUnavailable
from txmta.interfaces import IContent, IDeliveryAgent
from txmta.model import (
    LOCAL_CLIENT,
    Action,
    DeliveryRequest,
    Envelope,
    Outcome,
    Recipient,
)

if TYPE_CHECKING:
    from twisted.trial.unittest import SynchronousTestCase as Base
else:
    Base = object

DIGIT = {Action.DELAYED: "4", Action.FAILED: "5"}


@implementer(IContent)
class Content:
    """
    Content in memory.

    @ivar fail: reading fails, as it does when the disk of the queue is gone.
    @ivar largest: octets asked for at once.
    """

    def __init__(self, octets: bytes, fail: bool = False) -> None:
        self._octets = octets
        self.size = len(octets)
        self.fail = fail
        self.closed = 0
        self.largest = 0

    def read(self, offset: int, length: int) -> bytes:
        if self.fail:
            raise StoreUnavailable("the disk is gone")
        self.largest = max(self.largest, length)
        return self._octets[offset : offset + length]

    def close(self) -> None:
        self.closed += 1


def request(
    content: Content, *addresses: str, sender: str = "you@example.org"
) -> DeliveryRequest:
    recipients = tuple(Recipient(n, a, a) for n, a in enumerate(addresses))
    envelope = Envelope("QUEUEID", 0.0, sender, recipients, LOCAL_CLIENT)
    return DeliveryRequest(
        "hook", "", envelope, recipients, content.size, lambda: content
    )


class AgentContract(Base):
    """
    Mix it into a test case that has C{make_agent} and C{settle}.
    """

    def make_agent(self) -> IDeliveryAgent:
        """
        @return: an agent whose next hop takes all mail.
        """
        raise NotImplementedError

    def settle(self) -> None:
        """
        Let time pass until all that is under way has ended.
        """

    def run_agent(self, asked: DeliveryRequest) -> tuple[list[Outcome], object]:
        """
        @return: what is reported, and the failure that it ends with, if any.
        """
        reported: list[Outcome] = []
        ending = self.make_agent().deliver(asked, reported.append)
        if ending is None:
            return reported, None
        self.assertIsInstance(ending, Deferred, "an async def returns no Deferred")
        results: list[Any] = []
        ending.addBoth(results.append)
        self.settle()
        self.assertEqual(len(results), 1, "the delivery does not end")
        return reported, results[0]

    def test_interface(self) -> None:
        verifyObject(IDeliveryAgent, self.make_agent())

    def test_each_once(self) -> None:
        """
        Each recipient has one outcome; the content is given back.
        """
        content = Content(b"Subject: hi\r\n\r\nhello\r\n")
        addresses = ("a@example.com", "b@example.com", '"c d"@example.com')
        reported, result = self.run_agent(request(content, *addresses))
        self.assertIsNone(result)
        self.assertEqual(sorted(o.n for o in reported), [0, 1, 2])
        for outcome in reported:
            self.assertIn(outcome.action, (Action.DELIVERED, Action.RELAYED))
            self.check(outcome)
        self.assertGreaterEqual(content.closed, 1)

    def test_some_of_the_message(self) -> None:
        """
        A request is for some recipients of a message, by their own numbers.
        """
        content = Content(b"\r\n")
        whole = request(content, "a@example.com", "b@example.com", "c@example.com")
        part = DeliveryRequest(
            "hook", "", whole.envelope, whole.recipients[1:2], 2, whole.open_content
        )
        reported, _result = self.run_agent(part)
        self.assertEqual([o.n for o in reported], [1])

    def test_awkward(self) -> None:
        """
        Null sender, octets that are no text, control characters.
        """
        content = Content(b"\0\xff")
        asked = request(
            content, "\udcff\r\nX: y@example.com", "ü@example.com", sender=""
        )
        reported, _result = self.run_agent(asked)
        self.assertEqual(len(reported), 2)
        for outcome in reported:
            self.check(outcome)

    def test_later(self) -> None:
        """
        Content may come as a Deferred.
        """
        content = Content(b"\r\n")
        waiting: Deferred[IContent] = Deferred()
        asked = request(content, "a@example.com")
        object.__setattr__(asked, "open_content", lambda: waiting)
        reported: list[Outcome] = []
        self.make_agent().deliver(asked, reported.append)
        self.assertEqual(reported, [])
        waiting.callback(content)
        self.settle()
        self.assertEqual(len(reported), 1)

    def test_no_content(self) -> None:
        """
        Trouble of the queue is not the recipient's fault: the agent fails with
        the error as it is, or delays.
        """

        def gone() -> IContent:
            raise StoreUnavailable("the disk is gone")

        opening = request(Content(b""), "a@example.com")
        object.__setattr__(opening, "open_content", gone)
        broken = Content(b"x" * 100_000, fail=True)
        for asked in (opening, request(broken, "a@example.com")):
            reported, result = self.run_agent(asked)
            for outcome in reported:
                self.assertIs(outcome.action, Action.DELAYED)
            if not reported:
                assert isinstance(result, Failure)
                result.trap(StoreUnavailable)
        self.assertGreaterEqual(broken.closed, 1)

    def check(self, outcome: Outcome) -> None:
        """
        Status and action agree; the reason is one line.
        """
        digit = DIGIT.get(outcome.action, "2")
        self.assertRegex(outcome.status, rf"^{digit}\.\d{{1,3}}\.\d{{1,3}}$")
        self.assertRegex(outcome.reason, r"^[^\r\n]+$")
