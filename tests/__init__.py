"""
Tests; the folders mirror C{txmta}.
"""
