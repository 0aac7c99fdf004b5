"""
The roles of the server, made from settings and wired to each other.

Each is what Postfix has a daemon for. They are built by the same code whether
they share one process (L{txmta.roles.single}) or not, and know nothing of it.
"""
