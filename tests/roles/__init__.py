"""
Tests of L{txmta.roles}.
"""
