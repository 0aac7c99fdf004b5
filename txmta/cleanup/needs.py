"""
What a message asks of the next hop: 8BITMIME, SMTPUTF8.

Owns: when a message needs them although its client has not said so.
Knows nothing of: how content and addresses are carried.

Postfix looks for 8-bit parts by the Content-Transfer-Encoding that they name;
we look at the octets, which costs less and misses nothing: a message that is
ASCII throughout fits everywhere, whatever it says of itself.

Sources: RFC 6152, RFC 6531 section 3.2; Postfix: detect_8bit_encoding_header,
smtputf8_autodetect_classes; C{cleanup/cleanup_message.c},
C{cleanup/cleanup_addr.c}, C{global/smtputf8.c}.
"""

from __future__ import annotations

from dataclasses import replace

from txmta.config.settings import Settings
from txmta.model import Envelope


def nexthop_needs(
    envelope: Envelope, settings: Settings, eight_bit: bool, utf8_header: bool
) -> Envelope:
    """
    @param eight_bit: the content has an octet that is not ASCII.
    @param utf8_header: and it is in a header, of the message or of a part.
    @return: the same object, if nothing changes.
    """
    detects = settings.detect_8bit_encoding_header
    if detects and eight_bit and envelope.body != "8BITMIME":
        envelope = replace(envelope, body="8BITMIME")
    if not utf8_header:
        addresses = [r.address for r in envelope.recipients]
        if "".join(addresses).isascii() and envelope.sender.isascii():
            return envelope
    if detects_smtputf8(envelope, settings):
        return replace(envelope, smtputf8=True)
    return envelope


def detects_smtputf8(envelope: Envelope, settings: Settings) -> bool:
    """
    Whether it is to be found out if this message needs SMTPUTF8.
    """
    if envelope.smtputf8 or not settings.smtputf8_enable:
        return False
    origin = "smtpd" if envelope.protocol else "sendmail"
    return not {origin, "all"}.isdisjoint(settings.smtputf8_autodetect_classes)
