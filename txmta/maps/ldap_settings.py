"""
Settings of C{ldap:} tables.

Owns: what they mean, and their bounds.
Knows nothing of: connections.

Sources: Postfix's ldap_table(5), C{global/dict_ldap.c}.

Errors: problems in L{ClientSettings<txmta.maps.client_file.ClientSettings>}.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from txmta.config.declare import to_words
from txmta.maps.client_file import ClientSettings
from txmta.maps.client_tls import LDAP_TLS, tls_context
from txmta.maps.database import RESULT
from txmta.maps.hosts import host_address
from txmta.maps.ldap_search import Search, Wanted, filter_quoted, name_quoted
from txmta.maps.statement import Statement
from txmta.maps.templates import Piece, parse
from txmta.maps.wire import LIMIT
from txmta.maps.workers import MAX_VALUES

#: Where C{ldapi:///} is.
SOCKET = "/var/run/slapd/ldapi"

_ATTRIBUTES = (
    *("terminal_result_attribute", "leaf_result_attribute"),
    *("result_attribute", "special_result_attribute"),
)
#: All names.
NAMES = (
    *("server_host", "server_port", "timeout", "version", "debuglevel"),
    *("search_base", "query_filter", "result_filter", "scope", *_ATTRIBUTES),
    *("bind", "bind_dn", "bind_pw", *RESULT, "size_limit", "recursion_limit"),
    *("dereference", "chase_referrals", "start_tls", "tls_random_file"),
    *("sasl_mechs", "sasl_realm", "sasl_authz_id", "sasl_minssf", *LDAP_TLS.all),
)


_SCOPES = ("base", "one", "sub")


@dataclass(frozen=True)
class Host:
    """
    @ivar name: or a path, if there is no port.
    """

    name: str
    port: int
    ssl: bool = False


@dataclass(frozen=True)
class Directory:
    """
    How a server is talked to.

    @ivar bind: say who we are: C{bind_dn} with C{bind_pw}, or nobody.
    @ivar timeout: whole seconds for an answer.
    @ivar context: for C{ldaps:} and C{start_tls}.
    """

    bind: bool
    bind_dn: str
    bind_pw: str = field(repr=False)
    version: int
    timeout: int
    referrals: bool
    start_tls: bool
    context: ssl.SSLContext


@dataclass(frozen=True)
class Question:
    """
    @ivar base: of the search, a template as C{filter}; the values that are
        bound are those of its expansions, then those of the filter's.
    @ivar size: entries of one search.
    @ivar depth: of names in entries.
    """

    base: tuple[Piece, ...]
    filter: tuple[Piece, ...]
    scope: str
    wanted: Wanted
    size: int
    depth: int
    dereference: int

    def statement(self) -> Statement:
        coded = [piece for piece in (*self.base, *self.filter) if piece.code]
        return Statement(("",) * (len(coded) + 1), tuple((each,) for each in coded))

    def search(self, values: Sequence[str]) -> Search:
        rest = iter(values)
        base = "".join(
            name_quoted(next(rest)) if piece.code else piece.text for piece in self.base
        )
        asked = "".join(
            filter_quoted(next(rest)) if piece.code else piece.text
            for piece in self.filter
        )
        dynamic = any(piece.code for piece in self.base)
        return Search(base, self.scope, asked, self.wanted.all, dynamic)


def read_question(found: ClientSettings) -> Question:
    templates = []
    found.required("search_base", "dc=example, dc=com")
    for name, default in (
        ("search_base", ""),
        ("query_filter", "mailacceptinggeneralid=%s"),
    ):
        try:
            templates.append(parse(found.text(name) or default))
        except ValueError as e:
            found.wrong(name, str(e))
            templates.append(())
    _check_filter(found, templates[1])
    scope = found.text("scope") or "sub"
    if scope not in _SCOPES:
        found.wrong("scope", f'"{scope}": write sub, base or one')
    lists = [
        tuple(to_words(found.texts.get(name, default)))
        for name, default in zip(_ATTRIBUTES, ("", "", "maildrop", ""), strict=True)
    ]
    limit = max(0, found.count("expansion_limit", 0, -1, 1_000_000))
    return Question(
        *(templates[0], templates[1], scope, Wanted(*lists)),
        size=found.count("size_limit", limit, 0, MAX_VALUES),
        depth=found.count("recursion_limit", 1000, 1, 1_000_000),
        dereference=found.count("dereference", 0, 0, 3),
    )


def _check_filter(found: ClientSettings, pieces: tuple[Piece, ...]) -> None:
    from ldap3.core.exceptions import LDAPException
    from ldap3.operation.search import parse_filter

    text = "".join("x" if piece.code else piece.text for piece in pieces)
    try:
        if text:
            text = text if text.startswith("(") else f"({text})"
            parse_filter(text, None, False, False, None, False)
    except LDAPException as e:
        found.wrong("query_filter", f"bad search filter: {e}")


def read_hosts(found: ClientSettings) -> dict[str, Host]:
    port = found.count("server_port", 389, 1, 65535)
    hosts = {}
    for item in to_words(found.text("server_host")) or ["localhost"]:
        try:
            hosts[item] = read_host(item, port)
        except ValueError as e:
            found.wrong("server_host", str(e))
    return hosts


def read_host(item: str, port: int) -> Host:
    """
    @param item: one of C{server_host}: C{host}, C{host:port}, or a URL.
    @param port: if it has none, and is no URL.
    @raise ValueError: it is no such thing.
    """
    kind, mark, rest = item.partition("://")
    if not mark:
        kind, rest = "ldap", item
    kind, rest = kind.lower(), rest.partition("/")[0]
    if kind == "ldapi":
        return Host(unquote(rest) or SOCKET, 0)
    if kind not in ("ldap", "ldaps"):
        raise ValueError(f'"{item}": write host, host:port, ldap:, ldaps: or ldapi:')
    if mark:
        port = 636 if kind == "ldaps" else 389
    address = host_address(f"inet:{rest}" if rest else "localhost", port)
    assert not isinstance(address, str)
    return Host(*address, ssl=kind == "ldaps")


def read_directory(found: ClientSettings, hosts: Sequence[Host]) -> Directory:
    bind = (found.text("bind") or "yes").lower()
    if bind == "sasl":
        found.wrong("bind", "sasl is not supported: write yes, with bind_dn")
    elif bind not in ("yes", "simple", "no", "none"):
        found.wrong("bind", f'"{bind}": write yes or no')
    dn, password = found.text("bind_dn"), found.text("bind_pw")
    is_bound = bind in ("yes", "simple")
    if is_bound and dn and not password:
        found.wrong("bind_pw", "is missing: no server takes a bind_dn without it")
    start = found.flag("start_tls", False)
    version = found.count("version", 3, 2, 3)
    secure = start or any(host.ssl for host in hosts)
    if secure and version != 3:
        found.wrong("version", "TLS needs 3")
    return Directory(
        *(is_bound, dn, password, version),
        # Nobody waits any longer.
        min(round(found.seconds("timeout", 10, 1, 3600)), int(LIMIT)),
        found.flag("chase_referrals", False),
        start,
        tls_context(found, secure, LDAP_TLS) or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
    )
