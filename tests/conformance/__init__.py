"""
Test data of other projects, run against txmta; skipped where it is absent.
"""
