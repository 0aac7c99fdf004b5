"""
L{txmta.delivery.registry}
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.delivery.doubles import Setting
from txmta.delivery.discard import DiscardAgent
from txmta.delivery.registry import AgentRegistry, AgentType
from txmta.errors import ConfigError
from txmta.interfaces import IDeliveryAgentType

OURS = ("local", "virtual", "error", "retry", "discard")


class RegistryTests(SynchronousTestCase):
    def test_built_in(self) -> None:
        """
        Built-in agents are plug-ins as any other, and can be made.
        """
        registry = AgentRegistry()
        for program in OURS:
            self.assertIn(program, registry.known_programs())
            context = Setting(service=program).context
            agent = registry.make(program, context)
            self.assertEqual(agent.name, "error" if program == "retry" else program)

    def test_unknown(self) -> None:
        """
        The error names the service, the program, and what there is.
        """
        registry = AgentRegistry([AgentType("x", "no.where")])
        context = Setting(service="maildrop").context
        error = self.assertRaises(ConfigError, registry.make, "pipe", context)
        self.assertIn("service maildrop", error.problems[0])
        self.assertIn('"pipe": use one of x', error.problems[0])

    def test_type(self) -> None:
        kind = AgentType("discard", "txmta.delivery.discard.DiscardAgent")
        verifyObject(IDeliveryAgentType, kind)
        self.assertIsInstance(kind.make(Setting().context), DiscardAgent)
