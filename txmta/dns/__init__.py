"""
A stub resolver on the twisted.names codec.
"""
