"""
Delivery to virtual mailboxes.
"""

from __future__ import annotations


class VirtualParameters:
    """
    Postfix: C{src/virtual}.
    """
