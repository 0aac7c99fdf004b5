"""
The queue store on SQLite, its double in memory, and what both are made of.

Start reading at L{txmta.queue.store.sqlite}; what is durable when is decided
in L{txmta.queue.store.writer}.
"""
