"""
What mail made here gets instead of a pass through cleanup.

Owns: the trace header of bounces and forwards.
Knows nothing of: what else such mail contains.

Sources: Postfix: C{global/post_mail.c}.
"""

from __future__ import annotations

from txmta.cleanup import trace
from txmta.config.settings import Settings
from txmta.model import Envelope


def internal_head(envelope: Envelope, settings: Settings) -> bytes:
    """
    @return: the Received: header of mail made here; everything else follows.
    """
    return trace.received_here(envelope, settings)
