"""
What access tables want done with a message, done to its envelope.

Owns: which field says what.
Knows nothing of: tables, what becomes of the envelope.

Sources: Postfix C{cleanup/cleanup_extracted.c}, C{cleanup_out_recipient.c}
(redirect), C{smtpd/smtpd.c} (common_pre_message_handling).

Errors: none.
"""

from __future__ import annotations

from dataclasses import replace

from txmta.model import Envelope, Notify, Recipient
from txmta.smtp.access.check import Actions


def with_actions(envelope: Envelope, actions: Actions) -> Envelope:
    """
    @return: the envelope as they want it.
    """
    if not actions:
        return envelope
    recipients = list(envelope.recipients)
    for address in actions.bcc:
        n = len(recipients)
        recipients.append(Recipient(n, address, address, notify=Notify.NEVER))
    if actions.redirect:
        # Overrides all else, a filter too.
        recipients = [replace(recipients[0], address=actions.redirect)]
    return replace(
        envelope,
        recipients=tuple(recipients),
        hold=actions.hold,
        filter="" if actions.redirect else actions.filter,
        prepend=tuple(actions.prepend),
    )
