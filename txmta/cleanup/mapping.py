"""
Which mapping counts for which address, and in which order.

Owns: the classes of canonical_maps and masquerading, automatic copies, the
    order: standard form, canonical, masquerade, copies, virtual aliases.
Knows nothing of: how one table maps an address, where answers come from.

Sources: Postfix C{cleanup/cleanup_addr.c}, C{cleanup_out_recipient.c},
C{cleanup_message.c} (cleanup_rewrite_sender, cleanup_rewrite_recip),
C{cleanup_extracted.c}, C{global/header_opts.c}; RFC 3461 section 5.2.7.

Errors: L{NotMapped<txmta.cleanup.questions.NotMapped>}.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from txmta.address import unquote
from txmta.cleanup.canonical import canonical
from txmta.cleanup.map_results import Rewrite
from txmta.cleanup.masquerade import masqueraded
from txmta.cleanup.questions import Asking, NotMapped, Question
from txmta.cleanup.virtual_alias import AliasLimits, expanded
from txmta.header_addresses import HeaderAddress, find
from txmta.header_addresses import replace as replace_addresses
from txmta.model import Envelope, Notify, Recipient

#: Recipients of one message, after all. Postfix has no such limit, and a
#: larger queue file.
MAX_RECIPIENTS = 100_000

#: The classes of addresses, as canonical_classes and masquerade_classes have
#: them.
ENVELOPE_SENDER = "envelope_sender"
ENVELOPE_RECIPIENT = "envelope_recipient"
HEADER_SENDER = "header_sender"
HEADER_RECIPIENT = "header_recipient"

#: Headers whose addresses are mapped, in lower case.
HEADERS: Mapping[bytes, str] = {
    **dict.fromkeys(
        (
            *(b"from", b"sender", b"reply-to", b"errors-to", b"return-path"),
            *(b"return-receipt-to", b"disposition-notification-to"),
            *(b"mail-followup-to", b"resent-from", b"resent-sender"),
        ),
        HEADER_SENDER,
    ),
    **dict.fromkeys(
        (
            *(b"to", b"cc", b"bcc", b"apparently-to"),
            *(b"resent-to", b"resent-cc", b"resent-bcc", b"resent-reply-to"),
        ),
        HEADER_RECIPIENT,
    ),
}

_HEADER = re.compile(rb"([!-9;-~]+)[ \t]*:([^\n]*\n(?:[ \t][^\n]*\n)*)")


@dataclass(frozen=True)
class MappingRules:
    """
    What main.cf says.

    @ivar rewrite: brings an address to standard form.
    @ivar canonical: for each class, the parameters whose tables it goes
        through, in order.
    @ivar masquerade: the classes that are masqueraded.
    @ivar masquerade_domains: folded.
    @ivar exceptions: masquerade_exceptions is set.
    @ivar propagate: propagate_unmatched_extensions.
    @ivar asked: parameters with tables: sender_bcc_maps, recipient_bcc_maps,
        virtual_alias_maps.
    @ivar always_bcc: an address, or C{""}.
    @ivar token_limit: header_address_token_limit.
    @ivar duplicate_limit: duplicate_filter_limit.
    @ivar originals: enable_original_recipient.
    """

    rewrite: Rewrite
    canonical: Mapping[str, Sequence[str]] = field(default_factory=dict)
    masquerade: Collection[str] = ()
    masquerade_domains: Sequence[str] = ()
    exceptions: bool = False
    propagate: Collection[str] = ()
    asked: Collection[str] = ()
    always_bcc: str = ""
    limits: AliasLimits = field(default_factory=AliasLimits)
    token_limit: int = 10240
    duplicate_limit: int = 1000
    originals: bool = True

    def concerns(self, address_class: str) -> bool:
        """
        Whether addresses of that class may change.
        """
        return address_class in self.masquerade or bool(
            self.canonical.get(address_class)
        )


def map_address(address: str, address_class: str, rules: MappingRules) -> Asking[str]:
    """
    @param address: in standard form; not null.
    """
    for maps in rules.canonical.get(address_class, ()):
        propagate = "canonical" in rules.propagate
        address = yield from canonical(maps, address, propagate, rules.rewrite)
    if address_class in rules.masquerade and address:
        address = yield from masqueraded(
            address, rules.masquerade_domains, rules.exceptions
        )
    return address


def map_envelope(
    envelope: Envelope, rules: MappingRules, copies: bool
) -> Asking[Envelope]:
    """
    @param envelope: its addresses are in standard form.
    @param copies: add automatic ones, as mail made here gets none.
    @return: the same object, if nothing changes. Some recipients may be in it
        twice.
    """
    sender = envelope.sender
    if sender:
        sender = yield from map_address(sender, ENVELOPE_SENDER, rules)
    mapped = envelope
    if sender != envelope.sender:
        mapped = replace(envelope, sender=sender)
    recipients = yield from _map_recipients(mapped, rules, copies)
    if recipients != envelope.recipients:
        mapped = replace(mapped, recipients=recipients)
    return mapped


def _map_recipients(
    envelope: Envelope, rules: MappingRules, copies: bool
) -> Asking[tuple[Recipient, ...]]:
    out: list[Recipient] = []
    if copies and envelope.sender:
        yield from _copy("sender_bcc_maps", envelope.sender, rules, out)
    for recipient in envelope.recipients:
        address = yield from map_address(recipient.address, ENVELOPE_RECIPIENT, rules)
        if address != recipient.address:
            recipient = replace(recipient, address=address)
        yield from _expand(recipient, rules, out)
        if copies and address:
            yield from _copy("recipient_bcc_maps", address, rules, out)
    if copies and rules.always_bcc and envelope.recipients:
        yield from _blind_copy(rules.always_bcc, rules, out)
    return tuple(
        [each if each.n == n else replace(each, n=n) for n, each in enumerate(out)]
    )


def _copy(
    maps: str, address: str, rules: MappingRules, out: list[Recipient]
) -> Asking[None]:
    if maps in rules.asked:
        found = yield Question(maps, address)
        if found is not None:
            yield from _blind_copy(unquote(found.value), rules, out)


def _blind_copy(
    address: str, rules: MappingRules, out: list[Recipient]
) -> Asking[None]:
    """
    An automatic copy: nobody hears of what becomes of it.
    """
    address = rules.rewrite(address)
    address = yield from map_address(address, ENVELOPE_RECIPIENT, rules)
    copy = Recipient(0, address, address, notify=Notify.NEVER)
    yield from _expand(copy, rules, out)


def _expand(
    recipient: Recipient, rules: MappingRules, out: list[Recipient]
) -> Asking[None]:
    """
    Virtual aliases. What an empty result names gets mail for the null address.
    """
    addresses = [recipient.address]
    if "virtual_alias_maps" in rules.asked:
        addresses = yield from expanded(
            recipient.address,
            rules.limits,
            "virtual" in rules.propagate,
            rules.rewrite,
        )
    if len(out) + len(addresses) > MAX_RECIPIENTS:
        raise NotMapped(f"too many recipients with those of {recipient.address}")
    notify = recipient.notify
    if notify & Notify.SUCCESS and addresses != [recipient.address]:
        # One report for all, whatever becomes of them.
        told = int(Notify.SUCCESS | Notify.EXPANDED)
        out.append(replace(recipient, notify=told))
        notify = int(notify & ~Notify.SUCCESS) or int(Notify.NEVER)
    for address in addresses:
        if address == recipient.address and notify == recipient.notify:
            out.append(recipient)
        else:
            out.append(replace(recipient, address=address, notify=notify))


def map_head(head: bytes, rules: MappingRules) -> Asking[bytes]:
    """
    @param head: headers, each with its line end, their addresses in standard
        form.
    """
    out: list[bytes] = []
    at = kept = 0
    while match := _HEADER.match(head, at):
        at = match.end()
        address_class = HEADERS.get(match[1].lower())
        if address_class is not None and rules.concerns(address_class):
            value = yield from map_header(address_class, match[2], rules)
            out += head[kept : match.start(2)], value
            kept = at
    out.append(head[kept:])
    return b"".join(out)


def map_header(address_class: str, value: bytes, rules: MappingRules) -> Asking[bytes]:
    """
    @param value: what follows the colon, its addresses in standard form.
    @return: the same object, if nothing changes.
    """
    changes: list[tuple[HeaderAddress, str]] = []
    for spot in find(value, rules.token_limit):
        if not spot.plain:
            continue
        before = spot.internal(value)
        after = before
        if before:
            after = yield from map_address(before, address_class, rules)
        if after != before:
            changes.append((spot, after))
    return replace_addresses(value, changes) if changes else value
