"""
Tests of L{txmta.report}.
"""
