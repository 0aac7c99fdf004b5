"""
Settings of database clients in main.cf, and in files of their own.

Owns: C{type:name} in values; which C{name_suffix} the clients ask for; what a
    client's file has that no client asks for.
Knows nothing of: what the clients do with it (L{txmta.maps}).

Sources: Postfix's ldap_table(5), mysql_table(5), pgsql_table(5),
    sqlite_table(5), memcache_table(5), mongodb_table(5). Debian's C{postconf}
    is the oracle of the tests.

Errors: what cannot be read or understood is a warning.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence

from txmta.admin.common import Fatal
from txmta.admin.postconf_files import Files, Service, read, read_settings
from txmta.admin.postconf_values import Values
from txmta.config.master_lines import unbraced

Use = Callable[[str, Service | None], None]
Warn = Callable[[str], None]

#: How deep braces in braces are looked at. Ours.
MAX_DEPTH = 50

_SEPARATORS = ", \t\r\n"

_SQL = (
    *("additional_conditions", "domain", "expansion_limit", "query"),
    *("result_format", "select_field", "table", "where_field"),
)
_SERVER = ("dbname", "hosts", "idle_interval", "password", "retry_interval", "user")

#: What each client asks for.
SUFFIXES: Mapping[str, Sequence[str]] = {
    "ldap": (
        *("bind", "bind_dn", "bind_pw", "cache", "cache_expiry", "cache_size"),
        *("chase_referrals", "debuglevel", "dereference", "domain"),
        *("expansion_limit", "leaf_result_attribute", "query_filter"),
        *("recursion_limit", "result_attribute", "result_filter", "result_format"),
        *("sasl_authz_id", "sasl_mechs", "sasl_minssf", "sasl_realm", "scope"),
        *("search_base", "server_host", "server_port", "size_limit"),
        *("special_result_attribute", "start_tls", "terminal_result_attribute"),
        *("timeout", "tls_ca_cert_dir", "tls_ca_cert_file", "tls_cert"),
        *("tls_cipher_suite", "tls_key", "tls_random_file", "tls_require_cert"),
        "version",
    ),
    "mysql": (
        *(*_SQL, *_SERVER, "charset", "option_file", "option_group"),
        *("require_result_set", "tls_CAfile", "tls_CApath", "tls_cert_file"),
        *("tls_ciphers", "tls_key_file", "tls_verify_cert"),
    ),
    "pgsql": (*_SQL, *_SERVER, "encoding", "select_function"),
    "sqlite": (*_SQL, "dbpath"),
    "memcache": (
        *("backup", "data_size_limit", "domain", "flags", "key_format"),
        *("line_size_limit", "max_try", "memcache", "retry_pause", "timeout", "ttl"),
    ),
    "mongodb": (
        *("collection", "dbname", "domain", "expansion_limit", "projection"),
        *("query_filter", "result_attribute", "result_format", "uri"),
    ),
}

#: In front of another table; the client behind reads its settings as usual.
_WRAPPERS = ("proxy", "debug")

#: In their rules, C{#} is no comment.
_PATTERNS = ("pcre", "regexp")


class Databases:
    """
    Looks for tables in values.
    """

    def __init__(
        self, files: Files, values: Values, warn: Warn, checks: bool = True
    ) -> None:
        """
        @param checks: look at the clients' files for what nobody asks for.
        """
        self._files = files
        self._values = values
        self._warn = warn
        self._checks = checks
        self._seen: set[str] = set()

    def look(self, text: str, service: Service | None, use: Use, whole: bool) -> None:
        """
        @param text: a parameter's value.
        @param use: called with every name that a client could ask for.
        @param whole: file names are not only parts of what another value
            makes of this one.
        """
        if ":" not in text and "#" not in text and "$" not in text:
            return
        expanded = self._values.expanded(text, service)
        files = self._look(expanded, service, use, MAX_DEPTH, True)
        for kind, path in list(files):
            if whole:
                self._client_file(kind, path)

    def _look(
        self, text: str, service: Service | None, use: Use, depth: int, inside: bool
    ) -> Iterator[tuple[str, str]]:
        """
        @param inside: look into braces that have no type before them.
        @return: types and files of clients.
        """
        if depth == 0:
            return
        path = self._files.path(service)
        space = "" if service is None else f":{service.line.space}"

        def bad(what: str) -> None:
            self._warn(f"{path}{space}: {what}")

        for word in _words(text, lambda what: self._warn(f"{path}: {what}")):
            if word[0] == "{":
                content = unbraced(word, bad)
                if inside:
                    yield from self._look(content, service, use, depth - 1, inside)
                continue
            kind, colon, name = word.partition(":")
            while colon and kind in _WRAPPERS:
                kind, colon, name = name.partition(":")
            if not colon or not name or name[0] == ".":
                continue
            if name[0] == "{":
                deeper = inside and kind not in _PATTERNS
                content = unbraced(name, bad)
                yield from self._look(content, service, use, depth - 1, deeper)
            elif name[0] == "/":
                yield kind, name
            else:
                for suffix in SUFFIXES.get(kind, ()):
                    use(f"{name}_{suffix}", service)

    def _client_file(self, kind: str, path: str) -> None:
        table = f"{kind}:{path}"
        if kind not in SUFFIXES or table in self._seen:
            return
        self._seen.add(table)
        settings: dict[str, str] = {}
        try:
            if not stat.S_ISREG(os.stat(path).st_mode):
                self._warn(f'open "{kind}" configuration "{path}": not a regular file')
                return
            read_settings(path, read(path), settings, self._warn)
        except OSError as e:
            if e.errno != errno.EACCES:
                self._warn(f'open "{kind}" configuration "{path}": {e.strerror}')
        except Fatal as e:
            if not isinstance(e.__cause__, PermissionError):
                raise
        if self._checks:
            for name, value in sorted(settings.items()):
                if name not in SUFFIXES[kind]:
                    self._warn(f"{table}: unused parameter: {name}={value}")


def _words(text: str, warn: Warn) -> Iterator[str]:
    """
    @return: what commas and white space separate; nothing separates in braces.
        A comment ends it.
    """
    depth = start = 0
    for at, c in enumerate(text + " "):
        if (depth <= 0 and c in _SEPARATORS) or at == len(text):
            if start < at:
                if text[start] == "#":
                    rest = text[at + 1 :][:20]
                    warn(
                        "#comment after other text is not allowed: "
                        f"{text[start:at]} {rest}..."
                    )
                    return
                yield text[start:at]
            start = at + 1
        elif c in "{}":
            depth += 1 if c == "{" else -1
