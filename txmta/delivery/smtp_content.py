"""
What of a message's content is looked at before it is sent.

Owns: how much is read at once, what makes SMTPUTF8 necessary.
Knows nothing of: servers.

Sources: RFC 6531 section 3.2.

Errors: what the content fails with is passed on.
"""

from __future__ import annotations

from collections.abc import Sequence

from txmta.interfaces import IContent
from txmta.mime import Mime, MimeRules
from txmta.smtp.client_upload import Body

#: Content up to this size is read at once and sent in one write.
SMALL = 65536


async def start(content: IContent) -> bytes:
    """
    @return: at most L{SMALL} octets.
    """
    octets = content.read(0, SMALL)
    return octets if isinstance(octets, bytes) else await octets


async def read(content: IContent) -> Body:
    """
    @return: the content as it is sent: at once, if it is small.
    """
    if content.size > SMALL:
        return Body(content)
    whole = await start(content)
    # Too little is left to the upload, which knows what that means.
    return Body(content, whole if len(whole) == content.size else None)


def needs_smtputf8(addresses: Sequence[str], start: bytes) -> bool:
    """
    Whether a server without SMTPUTF8 cannot have it (RFC 6531 section 3.2):
    an address, or a header of the message or of a part, as far as it is in the
    start of the content, is not ASCII.
    """
    if not all(address.isascii() for address in addresses):
        return True
    if start.isascii():
        return False
    mime = Mime(MimeRules())
    mime.feed(start)
    return mime.eight_bit_header()
