"""
Cleanup: headers, missing headers, limits.
"""

from __future__ import annotations


class CleanupParameters:
    """
    Postfix: C{src/cleanup}.
    """
