"""
Tests of L{txmta.log}.
"""
