"""
The mail log: one event, one line, as Postfix writes it.
"""
