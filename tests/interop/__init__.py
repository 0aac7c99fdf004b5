"""
Tests of txmta with other software.
"""
