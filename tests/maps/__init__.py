"""
Tests of L{txmta.maps}.
"""
