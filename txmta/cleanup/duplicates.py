"""
Drop recipients that are the same.

Sources: Postfix: C{cleanup/cleanup_out_recipient.c}, C{global/been_here.c}.
"""

from __future__ import annotations

from dataclasses import replace

from txmta.model import Envelope, Recipient


def without_duplicates(
    envelope: Envelope, limit: int, originals: bool = True
) -> Envelope | None:
    """
    A recipient is the same as an earlier one when address, original address,
    ORCPT and NOTIFY are, in any case of letters.

    @param limit: how many recipients are remembered; 0 for all.
    @param originals: enable_original_recipient; else only the address counts.
    @return: the envelope, its recipients numbered anew; L{None} if there is
        nothing to drop.
    """
    if len(envelope.recipients) < 2:
        return None
    known: set[tuple[str | int, ...]] = set()
    kept: list[Recipient] = []
    for recipient in envelope.recipients:
        key = _key(recipient) if originals else (recipient.address.casefold(),)
        if key in known:
            continue
        if not limit or len(known) < limit:
            known.add(key)
        kept.append(recipient)
    if len(kept) == len(envelope.recipients):
        return None
    numbered = tuple(
        recipient if recipient.n == n else replace(recipient, n=n)
        for n, recipient in enumerate(kept)
    )
    return replace(envelope, recipients=numbered)


def _key(recipient: Recipient) -> tuple[str | int, ...]:
    return (
        recipient.address.casefold(),
        recipient.original.casefold(),
        recipient.orcpt.casefold(),
        int(recipient.notify),
    )
