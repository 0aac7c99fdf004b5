"""
Which class, transport and next hop an address has (trivial-rewrite).
"""
