"""
The declarations of all parameters, a module for each daemon.
"""
