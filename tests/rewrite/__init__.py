"""
Tests of L{txmta.rewrite}.
"""
