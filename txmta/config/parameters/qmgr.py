"""
The queue manager and the queue store.
"""

from __future__ import annotations


class QmgrParameters:
    """
    Postfix: C{src/qmgr}.
    """
