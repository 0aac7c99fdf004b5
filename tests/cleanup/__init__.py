"""
Tests of L{txmta.cleanup}.
"""
