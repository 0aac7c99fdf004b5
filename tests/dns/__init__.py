"""
Tests of L{txmta.dns}.
"""
