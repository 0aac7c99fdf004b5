"""
SASL, the server's side of logging in.
"""
