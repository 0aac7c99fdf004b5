"""
How addresses are looked up in tables: Postfix's search orders.

Owns: which keys an address stands for, in which order; the rule that each
    key goes to every table before the next key is tried.
Knows nothing of: which parameter the tables belong to.

Sources: Postfix: C{global/mail_addr_find.c}, C{global/maps.c},
C{global/split_addr.c}.

Errors: L{TableUnavailable<txmta.errors.TableUnavailable>} of a table ends the
search: a later table might say what the first one would have overruled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from twisted.internet.defer import Deferred

from txmta.address import quote, split
from txmta.interfaces import ITable

#: Never split: mail to these must arrive whatever the delimiter is.
_UNSPLIT = frozenset({"postmaster", "mailer-daemon"})


class Partial(str):
    """
    A key that is a part of an address, such as C{@domain}. Tables that compare
    patterns with the whole key are not asked for it.
    """

    __slots__ = ()


class Bare(Partial):
    """
    A partial key without the extension that the address has.
    """

    __slots__ = ()


class Found(NamedTuple):
    """
    @ivar key: the one that a table has; a L{Bare} one says that the extension
        was not looked at.
    """

    value: str
    key: str


class Order(NamedTuple):
    """
    Which keys are tried for C{user+ext@example.com}, in the order of the fields.
    The default is that of Postfix's mail_addr_find().

    @ivar full: C{user+ext@example.com}.
    @ivar bare: C{user@example.com}; also C{user} and C{user@} beside the same
        with the extension.
    @ivar local: C{user+ext}, if the domain is ours.
    @ivar local_at: C{user+ext@}, if the domain is ours.
    @ivar at_domain: C{@example.com}.
    @ivar domain: C{example.com}.
    @ivar parents: after C{domain}, C{com}.
    @ivar dot_parents: after C{domain}, C{.com}.
    @ivar anywhere_at: C{user+ext@}, whatever the domain.
    @ivar external: what needs quotes is tried with them ...
    @ivar internal: ... and without, after that.
    """

    full: bool = True
    bare: bool = True
    local: bool = True
    local_at: bool = False
    at_domain: bool = True
    domain: bool = False
    parents: bool = False
    dot_parents: bool = False
    anywhere_at: bool = False
    external: bool = True
    internal: bool = True


DEFAULT = Order()

#: Of transport_maps, with and without parent_domain_matches_subdomains.
TRANSPORT_PARENTS = Order(local=False, at_domain=False, domain=True, parents=True)
TRANSPORT = TRANSPORT_PARENTS._replace(parents=False, dot_parents=True)


def search(
    tables: Sequence[ITable], keys: Iterable[str]
) -> str | Deferred[str | None] | None:
    """
    @return: the value of the first key that any table has.
    """
    found = find(tables, keys)
    if found is None:
        return None
    if isinstance(found, Deferred):
        return found.addCallback(lambda found: found and found.value)
    return found.value


def find(
    tables: Sequence[ITable], keys: Iterable[str]
) -> Found | Deferred[Found | None] | None:
    """
    As L{search}, with the key.
    """
    return _find(_questions(tables, keys))


def _questions(
    tables: Sequence[ITable], keys: Iterable[str]
) -> Iterator[tuple[ITable, str]]:
    for key in keys:
        partial = isinstance(key, Partial)
        for table in tables:
            if not (partial and getattr(table, "by_pattern", False)):
                yield table, key


def _find(
    questions: Iterator[tuple[ITable, str]],
) -> Found | Deferred[Found | None] | None:
    for table, key in questions:
        value = table.lookup(key)
        if value is None:
            continue
        if isinstance(value, Deferred):
            return Deferred.fromCoroutine(_find_later(value, key, questions))
        return Found(value, key)
    return None


async def _find_later(
    value: Deferred[str | None], key: str, questions: Iterator[tuple[ITable, str]]
) -> Found | None:
    found = await value
    if found is not None:
        return Found(found, key)
    rest = _find(questions)
    return await rest if isinstance(rest, Deferred) else rest


def address_keys(
    address: str, *, delimiters: str = "", local: bool = False, order: Order = DEFAULT
) -> Iterator[str]:
    """
    By default C{user+ext@domain}, C{user@domain}, for a local domain also
    C{user+ext} and C{user}, at last C{@domain}. A local part that needs quotes
    is tried with them first, then without.

    @param address: in internal form.
    @param delimiters: recipient_delimiter.
    @param local: the domain is one of mydestination, or myorigin, or an address
        literal of ours.
    """
    name, domain = split(address)
    at = "@" if len(name) < len(address) else ""
    user = split_extension(name, delimiters)[0] if order.bare else name
    if order.full:
        yield from _forms(address, order)
    if user != name:
        yield from map(Bare, _forms(f"{user}{at}{domain}", order))
    if not at:
        return
    if local and order.local:
        yield from _local_keys(name, user, "", order)
    if local and order.local_at:
        yield from _local_keys(name, user, "@", order)
    if order.at_domain:
        yield Partial(f"@{domain}")
    if order.domain:
        yield from map(Partial, _domain_keys(domain, order))
    if order.anywhere_at:
        yield from _local_keys(name, user, "@", order)


def _local_keys(name: str, user: str, at: str, order: Order) -> Iterator[str]:
    # A local part that has an "@" in it is not taken for an address.
    cut = slice(None if at else -1)
    for key in _forms(f"{name}@", order):
        yield Partial(key[cut])
    if user != name:
        for key in _forms(f"{user}@", order):
            yield Bare(key[cut])


def _domain_keys(domain: str, order: Order) -> Iterator[str]:
    while domain:
        yield domain
        dot = domain.find(".", 1)
        if dot < 0 or not (order.parents or order.dot_parents):
            return
        domain = domain[dot if order.dot_parents else dot + 1 :]


def _forms(address: str, order: Order) -> Iterator[str]:
    quoted = quote(address) if order.external else address
    yield quoted
    if order.internal and quoted != address:
        yield address


def split_extension(
    local: str,
    delimiters: str,
    double_bounce: str = "double-bounce",
    owner_request_special: bool = True,
) -> tuple[str, str, str]:
    """
    Split C{user+extension} at the first of C{delimiters}.

    @return: user, delimiter and extension; the last two are C{""} if there
        is no extension, or if the address must not be split.
    """
    folded = local.lower()
    if not delimiters or folded in _UNSPLIT or folded == double_bounce.lower():
        return local, "", ""
    if "-" in delimiters and owner_request_special:
        # Names of mailing lists: owner-list, list-request.
        is_request = folded.endswith("-request") and len(local) > len("-request")
        if is_request or folded.startswith("owner-"):
            return local, "", ""
    for i, c in enumerate(local):
        if c in delimiters:
            return (local[:i], c, local[i + 1 :]) if i else (local, "", "")
    return local, "", ""
