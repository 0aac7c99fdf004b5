"""
A mail transfer agent on Twisted, arranged and configured like Postfix.
"""

__version__ = "0.1.0"
