"""
What mail made here gets instead of a pass through cleanup.

Owns: trace headers of bounces and forwards.
Knows nothing of: what else such mail contains.

Sources: Postfix: C{global/post_mail.c}, C{bounce/bounce_notify_util.c}.
"""

from __future__ import annotations

from txmta.cleanup import trace
from txmta.cleanup.dates import mail_date
from txmta.config.settings import Settings
from txmta.model import Envelope


def internal_head(envelope: Envelope, settings: Settings) -> bytes:
    """
    @return: the Received: header of mail made here; everything else follows.
    """
    return trace.received(envelope, settings)


def internal_ids(envelope: Envelope, settings: Settings) -> bytes:
    """
    @return: the headers C{Message-Id} and C{Date} of a new message.
    """
    date = mail_date(int(envelope.arrival))
    value = trace.message_id(envelope, settings)
    return b"Message-Id: " + value + b"\r\nDate: " + date + b"\r\n"
