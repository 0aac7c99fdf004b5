"""
Tests of L{txmta.smtp}.
"""
