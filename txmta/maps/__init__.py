"""
Lookup tables, one type a file, and lists that match names and addresses.
"""
