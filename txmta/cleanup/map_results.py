"""
From the value in a table to addresses.

Owns: C{@otherdomain}, lists of addresses, unmatched extensions, standard form
    of results.
Knows nothing of: which table it is.

Sources: Postfix C{global/mail_addr_map.c}, C{global/mail_addr_crunch.c}.

Errors: none.
"""

from __future__ import annotations

from collections.abc import Callable

from txmta.address import quote, split
from txmta.cleanup.questions import Found
from txmta.header_addresses import find

#: Brings an address to standard form, with myorigin.
Rewrite = Callable[[str], str]


def results(address: str, found: Found, propagate: bool, rewrite: Rewrite) -> list[str]:
    """
    @param address: internal form, as it was looked up.
    @param propagate: an unmatched extension goes to the results.
    @return: in internal form; C{""} is the null address.
    """
    value = found.value
    if value.startswith("@"):
        # The user before what the table says; a list is no domain.
        user = split(address)[0]
        value = quote(user.removesuffix(found.extension) + value)
    return addresses_of(value, found.extension if propagate else "", rewrite)


def addresses_of(value: str, extension: str, rewrite: Rewrite) -> list[str]:
    """
    @param value: a list of addresses as in a header.
    @param extension: what each user gets at its end.
    """
    if value in ("", "<>", '""'):
        return [""]
    octets = value.encode("utf-8", "surrogateescape")
    addresses = [rewrite(each.internal(octets)) for each in find(octets, 0)]
    if not extension:
        return addresses
    return [with_extension(address, extension) for address in addresses]


def with_extension(address: str, extension: str) -> str:
    """
    @param extension: with its delimiter.
    """
    user, at, domain = address.rpartition("@")
    return f"{user}{extension}{at}{domain}" if at else address + extension
