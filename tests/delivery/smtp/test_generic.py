"""
Generic tables and probes in the SMTP agent.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from tests.delivery.doubles import Content, Table
from tests.delivery.generic_doubles import GenericWorld
from tests.delivery.smtp.doubles import Network, server
from txmta.model import Action, Trace

ONE = "192.0.2.1"
MESSAGE = b"From: me@example.org\r\nTo: a@example.com\r\n\r\nme@example.org\r\n"


class AgentTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = Network()
        self.network.servers[ONE] = server()

    def use(self, table: Table) -> None:
        tools = self.network.agent._tools
        world = GenericWorld([table])
        self.network.agent._tools = replace(
            tools, generic=world.generic, headers=world.headers
        )

    def deliver(self, **more: object) -> None:
        done = self.network.deliver(
            f"[{ONE}]", "a@example.com", "b@example.com", content=MESSAGE, **more
        )
        self.successResultOf(done)

    def test_mapped(self) -> None:
        """
        The server hears of the new addresses only; outcomes are those of the old
        recipients.
        """
        entries = {"me@example.org": "x@m.test", "a@example.com": "y@m.test"}
        self.use(Table(entries))
        self.deliver()
        lines = self.network.lines[ONE]
        self.assertTrue(lines[1].startswith("MAIL FROM:<x@m.test>"))
        self.assertTrue(lines[2].startswith("RCPT TO:<y@m.test>"))
        self.assertTrue(lines[3].startswith("RCPT TO:<b@example.com>"))
        (content,) = self.network.content
        self.assertIn(b"From: x@m.test\r\nTo: y@m.test\r\n\r\nme@example", content)
        self.assertEqual([o.n for o in self.network.outcomes], [0, 1])

    def test_large(self) -> None:
        """
        A message that is sent block by block.
        """
        self.use(Table({"me@example.org": "x@m.test"}))
        body = b"x" * 70 + b"\r\n"
        content = Content(MESSAGE + body * 2000)
        done = self.network.deliver(f"[{ONE}]", content=content)
        self.successResultOf(done)
        sent = b"".join(self.network.content)
        self.assertTrue(sent.startswith(b"From: x@m.test\r\n"))
        self.assertEqual(sent.count(body), 2000)

    def test_cannot_say(self) -> None:
        """
        Nothing is sent, and it is tried again.
        """
        self.use(Table({}, broken=True))
        self.deliver()
        self.assertEqual(self.network.dialled, [])
        self.assertEqual(
            [(o.action, o.status) for o in self.network.outcomes],
            [(Action.DELAYED, "4.3.0")] * 2,
        )

    def test_probe(self) -> None:
        """
        The server is asked for the recipients, and gets no mail; an answer is
        that to RCPT.
        """
        self.network.servers[ONE] = server(rcpt_b=b"550 5.1.1 no\r\n")
        self.deliver(trace=int(Trace.VERIFY))
        self.assertNotIn("DATA", self.network.lines[ONE])
        self.assertIn("RSET", self.network.lines[ONE])
        self.assertEqual(self.network.content, [])
        good, bad = self.network.outcomes
        self.assertEqual(good.action, Action.RELAYED)
        self.assertEqual((bad.action, bad.status), (Action.FAILED, "5.1.1"))
