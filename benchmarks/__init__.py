"""
Benchmarks: txmta and its peers side by side in one run; each prints a table.
"""
