"""
What txmta finds of this package.
"""

from txmta_example.reverse import ReverseType

from txmta.delivery.registry import AgentType

# Named, not imported: the agent is loaded when master.cf has a use for it.
agent_tally = AgentType("tally", "txmta_example.tally.TallyAgent")
table_reverse = ReverseType()
