"""
Complete the addresses in a header, in place.

Owns: which addresses are complete as they are, and what the others become.
Knows nothing of: which headers hold addresses, where in them
    (L{txmta.header_addresses}), what standard form is.

Sources: RFC 5322 sections 3.4 and 4.4. Postfix: C{cleanup/cleanup_message.c}
(cleanup_rewrite_recip).

Errors: none; any octets are legal.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from txmta.address import quote
from txmta.header_addresses import HeaderAddress, find

if TYPE_CHECKING:
    from txmta.interfaces import IAddressResolver

# The headers of nearly all mail: every address has a domain of several labels
# and nothing that rewriting looks at.
_SPACE = rb"[ \t\r\n]*+"
_PLAIN = rb"[A-Za-z0-9#$&'*+/=?^_`{|}~.-]++@[A-Za-z0-9-]++(?:\.[A-Za-z0-9-]++)+"
_BARE = rb'[^"(),:;<>@\\\[\]]*+'
_PHRASE = _BARE + rb'(?:"[^"\\]*+"' + _BARE + rb")*"
_MAILBOX = _SPACE + b"(?:" + _PHRASE + b"<" + _PLAIN + b">|" + _PLAIN + b")" + _SPACE
_COMPLETE = re.compile(_MAILBOX + b"(?:," + _MAILBOX + b")*")
_COMPLETE_ONE = re.compile(_PLAIN)


class AddressCompletion:
    """
    Brings addresses to standard form with a resolver, or adds a domain.
    """

    def __init__(
        self,
        domain: str,
        limit: int,
        resolver: IAddressResolver | None = None,
        local: bool = True,
    ) -> None:
        """
        @param domain: what an address without domain gets.
        @param limit: tokens of one header that are looked at.
        @param local: standard form is that of our clients.
        """
        self._at_domain = b"@" + domain.encode("utf-8", "surrogateescape")
        self._limit = limit
        self._resolver = resolver
        self._local = local

    #: Says of what stands between two places of a text whether L{complete}
    #: would leave it alone; it may say no where it would.
    is_complete = staticmethod(_COMPLETE.fullmatch)

    def complete(self, value: bytes) -> bytes:
        """
        @param value: all that follows the colon of a header.
        """
        if _COMPLETE.fullmatch(value):
            return value
        out: list[bytes] = []
        kept = 0
        for address in find(value, self._limit):
            if address.plain:
                out.append(value[kept : address.start])
                out.append(self._completed(value, address))
                kept = address.end
        out.append(value[kept:])
        return b"".join(out)

    def _completed(self, value: bytes, address: HeaderAddress) -> bytes:
        text = value[address.start : address.end]
        if self._resolver is None or not address.whole or b"\n" in text:
            return text if "@" in address.kinds else text + self._at_domain
        if _COMPLETE_ONE.fullmatch(text):
            return text
        internal = address.internal(value)
        standard = self._resolver.rewrite(internal, self._local)
        if standard == internal:
            return text
        return quote(standard).encode("utf-8", "surrogateescape")
