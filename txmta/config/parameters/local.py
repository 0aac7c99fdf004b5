"""
Delivery to local mailboxes and aliases.
"""

from __future__ import annotations


class LocalParameters:
    """
    Postfix: C{src/local}.
    """
