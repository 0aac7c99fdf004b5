"""
The SMTP agent logs in.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from tests.delivery.doubles import Table
from tests.delivery.smtp.doubles import Network, server
from txmta.delivery.smtp_logins import Logins, LookupOrder
from txmta.model import Action
from txmta.search import search
from txmta.smtp.client_login import LoginRules

ONE = "192.0.2.1"
EHLO = b"250-mail\r\n250-PIPELINING\r\n250-AUTH PLAIN\r\n250 8BITMIME\r\n"
OPEN = LoginRules(options=("noanonymous",))


class AgentTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = Network()
        self.network.servers[ONE] = server(ehlo=EHLO, auth=b"235 2.7.0 ok\r\n")

    def use(self, table: Table, by_sender: bool = False) -> None:
        agent = self.network.agent
        logins = Logins(
            [table],
            LookupOrder(by_sender),
            OPEN,
            lambda sender: search([table], (sender,)),
        )
        agent._tools = replace(agent._tools, logins=logins)

    def deliver(self, sender: str = "me@example.org") -> None:
        done = self.network.deliver(f"[{ONE}]", "a@example.com", sender=sender)
        self.successResultOf(done)

    def commands(self) -> list[str]:
        return [line.partition(" ")[0] for line in self.network.lines[ONE]]

    def test_login(self) -> None:
        """
        Once for each connection, however many messages go over it.
        """
        self.use(Table({f"[{ONE}]": "me:pw"}))
        self.deliver()
        self.deliver()
        self.assertEqual(self.network.lines[ONE][1], "AUTH PLAIN AG1lAHB3")
        self.assertEqual(self.commands().count("AUTH"), 1)
        self.assertEqual(self.commands().count("MAIL"), 2)

    def test_senders(self) -> None:
        """
        Each sender's own name, over a connection of its own; and a stranger's
        mail over none of theirs.
        """
        self.use(Table({"a@x.test": "a:1", "b@x.test": "b:2"}, broken=False), True)
        for sender in ("a@x.test", "b@x.test", "c@x.test", "a@x.test", "b@x.test"):
            self.deliver(sender)
        logins = [line for line in self.network.lines[ONE] if line.startswith("AUTH")]
        self.assertEqual(logins, ["AUTH PLAIN AGEAMQ==", "AUTH PLAIN AGIAMg=="])
        self.assertEqual(self.commands().count("EHLO"), 3)
        self.assertEqual(self.commands().count("MAIL"), 5)

    def test_table_unavailable(self) -> None:
        """
        Nobody is called: as a stranger the mail might be refused for good.
        """
        self.use(Table({}, broken=True))
        self.deliver()
        self.assertEqual(self.network.dialled, [])
        (outcome,) = self.network.outcomes
        self.assertEqual((outcome.action, outcome.status), (Action.DELAYED, "4.3.0"))
        self.assertIn("local data error while talking to", outcome.reason)

    def test_refused(self) -> None:
        """
        No mail is lost for a wrong password, and none is sent without it.
        """
        refused = b"535 5.7.8 Error: no\r\n"
        self.network.servers[ONE] = server(ehlo=EHLO, auth=refused)
        self.use(Table({f"[{ONE}]": "me:pw"}))
        self.deliver()
        self.assertNotIn("MAIL", self.commands())
        (outcome,) = self.network.outcomes
        self.assertEqual((outcome.action, outcome.status), (Action.DELAYED, "4.7.8"))
