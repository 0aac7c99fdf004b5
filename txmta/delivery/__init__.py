"""
Delivery agents: smtp, local, virtual, error, discard.
"""
