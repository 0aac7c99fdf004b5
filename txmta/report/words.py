"""
What becomes of each table and each restriction that values name.

Owns: finding them in lists; which types and restrictions Postfix has.
Knows nothing of: what they do.

Sources: Postfix's DATABASE_README, postconf(5) (restrictions).

Errors: none.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from txmta.report.items import Item, Kind, Verdict

#: Types of Postfix, and what is different here.
_INDEXED = (
    "approximated",
    "read from its text source, not from the .db file beside it",
)
_REFUSED = ("refused", "write hash: with the same name: the text source is read")
_TYPES = {
    "hash": _INDEXED,
    "btree": _INDEXED,
    "dbm": _REFUSED,
    "sdbm": _REFUSED,
    "nis": ("not-yet", "there is no NIS: export the map to a text file"),
    "nisplus": ("not-yet", "there is no NIS+: export the map to a text file"),
    "netinfo": ("not-yet", "there is no NetInfo: export the map to a text file"),
}

#: Types that Postfix has besides.
_OTHERS = frozenset(
    (
        *(
            "cdb",
            "cidr",
            "debug",
            "environ",
            "fail",
            "inline",
            "internal",
            "ldap",
            "lmdb",
        ),
        *("memcache", "mongodb", "mysql", "pcre", "pgsql", "pipemap", "proxy"),
        *("randmap", "regexp", "socketmap", "sqlite", "static", "tcp", "texthash"),
        *("unionmap", "unix"),
    )
)

POSTFIX_TYPES = frozenset(_TYPES) | _OTHERS

_ACCESS = ("", "_a", "_mx", "_ns")

#: Every restriction of Postfix.
RESTRICTIONS = frozenset(
    (
        *(f"check_client{part}_access" for part in _ACCESS),
        *(f"check_reverse_client_hostname{part}_access" for part in _ACCESS),
        *(f"check_helo{part}_access" for part in _ACCESS),
        *(f"check_sender{part}_access" for part in _ACCESS),
        *(f"check_recipient{part}_access" for part in _ACCESS),
        *("check_ccert_access", "check_etrn_access", "check_sasl_access"),
        *("check_policy_service", "check_recipient_maps", "check_relay_domains"),
        *("defer", "defer_if_permit", "defer_if_reject", "defer_unauth_destination"),
        *("permit", "permit_auth_destination", "permit_dnswl_client"),
        *("permit_inet_interfaces", "permit_mx_backup", "permit_mynetworks"),
        *("permit_naked_ip_address", "permit_rhswl_client"),
        *("permit_sasl_authenticated", "permit_tls_all_clientcerts"),
        *("permit_tls_clientcerts", "reject", "reject_maps_rbl"),
        "reject_authenticated_sender_login_mismatch",
        *("reject_invalid_helo_hostname", "reject_invalid_hostname"),
        "reject_known_sender_login_mismatch",
        *("reject_multi_recipient_bounce", "reject_non_fqdn_helo_hostname"),
        *("reject_non_fqdn_hostname", "reject_non_fqdn_recipient"),
        *("reject_non_fqdn_sender", "reject_plaintext_session", "reject_rbl"),
        *("reject_rbl_client", "reject_rhsbl_client", "reject_rhsbl_helo"),
        *("reject_rhsbl_recipient", "reject_rhsbl_reverse_client"),
        *("reject_rhsbl_sender", "reject_sender_login_mismatch"),
        *("reject_unauth_destination", "reject_unauth_pipelining"),
        *("reject_unauthenticated_sender_login_mismatch", "reject_unknown_address"),
        *("reject_unknown_client", "reject_unknown_client_hostname"),
        *("reject_unknown_forward_client_hostname", "reject_unknown_helo_hostname"),
        *("reject_unknown_hostname", "reject_unknown_recipient_domain"),
        *("reject_unknown_reverse_client_hostname", "reject_unknown_sender_domain"),
        *("reject_unlisted_recipient", "reject_unlisted_sender"),
        *("reject_unverified_recipient", "reject_unverified_sender"),
        *("sleep", "warn_if_reject"),
    )
)

#: Parameters that are lists of restrictions.
_LISTS = re.compile(r"smtpd_(\w+)_restrictions|local_header_rewrite_clients")

_TABLE = re.compile(r"!?([a-z][a-z0-9_]*):(\S+)")
_BETWEEN = re.compile(r"[,\s]+")


@dataclass(frozen=True)
class Value:
    """
    @ivar name: of the parameter.
    @ivar text: expanded.
    """

    name: str
    text: str
    where: str


class Words:
    """
    Gathers what values name; each once, with all places.
    """

    def __init__(self, types: Collection[str], restrictions: Collection[str]) -> None:
        """
        @param types: of tables that are there.
        @param restrictions: that are there.
        """
        self._types = types
        self._restrictions = restrictions
        self._found: dict[tuple[Kind, str], list[str]] = {}

    def look(self, values: Iterable[Value], classes: Collection[str]) -> None:
        """
        @param classes: names of restriction classes.
        """
        for value in values:
            is_list = _LISTS.fullmatch(value.name) or value.name in classes
            for word in words(value.text):
                self._word(word, value.where, bool(is_list), classes)

    def _word(
        self, word: str, where: str, is_list: bool, classes: Collection[str]
    ) -> None:
        table = _TABLE.fullmatch(word)
        if table is not None and self._is_table(table[1], table[2]):
            self._add(Kind.TABLE, word.lstrip("!"), where)
            return
        name = word.lower()
        if is_list and name in RESTRICTIONS | set(self._restrictions):
            self._add(Kind.RESTRICTION, name, where)
        elif is_list and word in classes:
            self._add(Kind.RESTRICTION, word, where)

    def _is_table(self, prefix: str, name: str) -> bool:
        if prefix == "unix":  # else a socket
            return name.endswith(".byname")
        return prefix in self._types or prefix in POSTFIX_TYPES

    def _add(self, kind: Kind, name: str, where: str) -> None:
        places = self._found.setdefault((kind, name), [])
        if where not in places:
            places.append(where)

    def items(self, classes: Collection[str]) -> Iterator[Item]:
        for (kind, name), places in self._found.items():
            if kind is Kind.TABLE:
                verdict, why = self._table(name)
            elif name in self._restrictions:
                verdict, why = Verdict.HONOURED, ""
            elif name in classes:
                verdict, why = Verdict.HONOURED, "a restriction class of your own"
            else:
                verdict, why = Verdict.NOT_YET, "no such restriction here yet"
            yield Item(kind, name, "", tuple(places), verdict, why)

    def _table(self, spec: str) -> tuple[Verdict, str]:
        inner = spec
        while inner.startswith("proxy:"):
            inner = inner[6:]
        prefix = inner.partition(":")[0]
        if prefix in _TYPES:
            status, why = _TYPES[prefix]
            return Verdict(status), why
        if prefix in self._types:
            return Verdict.HONOURED, ""
        return Verdict.NOT_YET, f"there is no type {prefix} yet"


def words(text: str) -> Iterator[str]:
    """
    @return: the words of a list; C{type:{ ... }} is one, and the braces around
        what has white space in it are not seen.
    """
    depth, word = 0, ""
    for c in text:
        if depth == 0 and _BETWEEN.fullmatch(c):
            yield from _opened(word)
            word = ""
            continue
        depth += (c == "{") - (c == "}")
        word += c
    yield from _opened(word)


def _opened(word: str) -> Iterator[str]:
    if word.startswith("{") and word.endswith("}") and len(word) > 2:
        yield from words(word[1:-1])
    elif word:
        yield " ".join(word.split()) if "{" in word else word
