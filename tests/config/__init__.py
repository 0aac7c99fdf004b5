"""
Tests of L{txmta.config}.
"""
