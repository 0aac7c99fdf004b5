"""
Tests of L{txmta.master}.
"""
