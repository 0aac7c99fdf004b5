"""
What txmta finds of this package.
"""

from txmta_http_hook.attributes import ATTRIBUTES

from txmta.delivery.registry import PluginAgentType

# Named, not imported: the agent is loaded when master.cf has a use for it.
agent_http_hook = PluginAgentType(
    "http_hook", "txmta_http_hook.agent.HookAgent", ATTRIBUTES
)
