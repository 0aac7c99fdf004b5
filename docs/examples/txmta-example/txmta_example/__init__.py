"""
A delivery agent and a table type for txmta, to copy from.
"""
