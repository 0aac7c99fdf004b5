"""
C{txmta check}: what becomes of a configuration that comes from Postfix.

Each thing that main.cf and master.cf say, as honoured, approximated, without
effect, refused or not there yet; why, and what to do.
"""
