"""
C{txmta explain} and C{txmta test-policy}: what the server would do, and why.
"""
