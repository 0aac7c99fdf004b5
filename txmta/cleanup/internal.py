"""
What mail made here gets instead of a pass through cleanup.

Owns: the trace header of bounces and forwards, and complete addresses in the
    headers of bounces.
Knows nothing of: what else such mail contains.

Sources: Postfix: C{global/post_mail.c}.
"""

from __future__ import annotations

from txmta.cleanup import trace
from txmta.cleanup.addresses import AddressCompletion
from txmta.config.settings import Settings
from txmta.model import Envelope


def internal_head(envelope: Envelope, settings: Settings) -> bytes:
    """
    @return: the Received: header of mail made here; everything else follows.
    """
    return trace.received_here(envelope, settings)


def complete(value: str, settings: Settings) -> str:
    """
    @param value: of an address header.
    @return: the same, with myorigin where an address has no domain.
    """
    limit = settings.header_address_token_limit
    completion = AddressCompletion(settings.myorigin, limit)
    octets = value.encode("utf-8", "surrogateescape")
    return completion.complete(octets).decode("utf-8", "surrogateescape")
