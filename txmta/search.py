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


def search(
    tables: Sequence[ITable], keys: Iterable[str]
) -> str | Deferred[str | None] | None:
    """
    @return: the value of the first key that any table has.
    """
    return _search(
        (table, key) for key in keys for table in tables if _concerns(key, table)
    )


def _concerns(key: str, table: ITable) -> bool:
    return not (isinstance(key, Partial) and getattr(table, "by_pattern", False))


def _search(
    questions: Iterator[tuple[ITable, str]],
) -> str | Deferred[str | None] | None:
    for table, key in questions:
        found = table.lookup(key)
        if isinstance(found, Deferred):
            return Deferred.fromCoroutine(_search_later(found, questions))
        if found is not None:
            return found
    return None


async def _search_later(
    found: Deferred[str | None], questions: Iterator[tuple[ITable, str]]
) -> str | None:
    value = await found
    if value is not None:
        return value
    rest = _search(questions)
    return await rest if isinstance(rest, Deferred) else rest


def address_keys(
    address: str, *, delimiters: str = "", local: bool = False
) -> Iterator[str]:
    """
    C{user+ext@domain}, C{user@domain}, for a local domain also C{user+ext}
    and C{user}, at last C{@domain}. A local part that needs quotes is tried
    with them first, then without.

    @param delimiters: recipient_delimiter.
    @param local: the domain is one of mydestination, or myorigin.
    """
    name, domain = split(address)
    user, _delimiter, _extension = split_extension(name, delimiters)
    users = [name] if user == name else [name, user]
    if domain:
        yield from _both_forms(f"{name}@{domain}")
        if user != name:
            yield from map(Partial, _both_forms(f"{user}@{domain}"))
    if local or not domain:
        for part in users:
            whole = not domain and part == name
            yield from _both_forms(part) if whole else map(Partial, _both_forms(part))
    if domain:
        yield Partial(f"@{domain}")


def _both_forms(address: str) -> Iterator[str]:
    quoted = quote(address)
    yield quoted
    if quoted != address:
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
