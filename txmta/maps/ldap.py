"""
C{ldap:/file.cf}: a table in an LDAP directory.

Owns: connections to its servers.
Knows nothing of: settings, which attributes count.

Sources: Postfix's ldap_table(5), C{global/dict_ldap.c}. Needs the extra
C{ldap} (ldap3).

Errors: L{ConfigError<txmta.errors.ConfigError>}: wrong settings, no ldap3.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast
from urllib.parse import quote

from twisted.plugin import IPlugin
from zope.interface import implementer

from txmta.interfaces import ITable, ITableType
from txmta.maps.context import TableContext
from txmta.maps.database import make_table, need, plan_of, read_settings
from txmta.maps.hosts import Hosts
from txmta.maps.ldap_search import Entry, Search, TooMuch, collect, referred
from txmta.maps.ldap_settings import (
    NAMES,
    Directory,
    Host,
    Question,
    read_directory,
    read_host,
    read_hosts,
    read_question,
)
from txmta.maps.wire import LIMIT
from txmta.maps.workers import MAX_VALUES, Broken, Refused, Session, error_words

#: Seconds to connect to a host.
CONNECT = 3

#: Threads, each with a connection.
MOST = 4

#: Octets of the answer to one search.
MAX_OCTETS = 32 * 1024 * 1024

#: Result codes (RFC 4511, appendix A).
_SUCCESS, _REFERRAL, _NO_SUCH_OBJECT = 0, 10, 32

#: Referrals to one after the other; as many as OpenLDAP's library follows.
MAX_HOPS = 5

_SCOPES = {"base": "BASE", "one": "LEVEL", "sub": "SUBTREE"}
_DEREFERENCE = ("NEVER", "SEARCH", "FINDING_BASE", "ALWAYS")


class _Bounded:
    """
    A socket from which only so much is read, and only for so long; the library
    would read for ever.
    """

    def __init__(self, made: Any, deadline: float) -> None:
        self.bare = made
        self.allow(deadline)

    def allow(self, deadline: float) -> None:
        self._deadline, self._left = deadline, MAX_OCTETS

    def recv(self, size: int) -> bytes:
        if time.monotonic() > self._deadline:
            raise TimeoutError("the answer does not end")
        data: bytes = self.bare.recv(size)
        self._left -= len(data)
        if self._left < 0:
            raise OSError(f"more than {MAX_OCTETS} octets")
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bare, name)


class LdapSession:
    """
    A connection to one server.
    """

    def __init__(self, question: Question, directory: Directory, host: Host) -> None:
        """
        @raise Broken: it cannot be made.
        """
        import ldap3

        self._ldap3: Any = ldap3
        self._question = question
        self._directory = directory
        self._timeout = directory.timeout
        self._deadline = 0.0
        self._closed = False
        try:
            self._connection = self._made(directory, host)
        except Exception as e:  # the library's own, OSError, and what it forgot
            raise Broken(error_words(e)) from e
        try:
            self._begin(directory)
        except Exception as e:
            self.close()
            raise Broken(error_words(e)) from e

    def _made(self, directory: Directory, host: Host) -> Any:
        ldap3 = self._ldap3
        server = ldap3.Server(
            host.name if host.port else f"ldapi://{quote(host.name, '')}",
            port=host.port or None,
            use_ssl=host.ssl,
            get_info=ldap3.NONE,
            tls=_tls(directory.context),
            connect_timeout=CONNECT,
        )
        simple = directory.bind and directory.bind_dn
        return ldap3.Connection(
            server,
            user=directory.bind_dn if simple else None,
            password=directory.bind_pw if simple else None,
            authentication=ldap3.SIMPLE if simple else ldap3.ANONYMOUS,
            version=directory.version,
            client_strategy=ldap3.SYNC,
            auto_referrals=False,
            check_names=False,
            read_only=True,
            receive_timeout=directory.timeout,
            auto_escape=False,
            auto_encode=False,
        )

    def _begin(self, directory: Directory) -> None:
        connection = self._connection
        connection.open(read_server_info=False)
        self._bound()
        if directory.start_tls:
            connection.start_tls(read_server_info=False)
            self._bound()
        if directory.bind and not connection.bind(read_server_info=False):
            raise Broken(f"bind: {connection.result['description']}")

    def _bound(self) -> None:
        deadline = time.monotonic() + self._timeout
        if isinstance(self._connection.socket, _Bounded):
            self._connection.socket.allow(deadline)
        else:
            self._connection.socket = _Bounded(self._connection.socket, deadline)

    def ask(self, values: Sequence[str]) -> Sequence[str | None]:
        if self._closed:
            raise Broken("connection closed")
        question = self._question
        self._deadline = time.monotonic() + LIMIT
        try:
            return collect(
                *(question.wanted, self._search, question.search(values)),
                *(question.depth, MAX_VALUES),
            )
        except (TooMuch, ValueError) as e:
            raise Refused(str(e)) from e

    def _search(self, asked: Search, hops: int = MAX_HOPS) -> Sequence[Entry]:
        """
        @param hops: from server to server, at most.
        """
        question = self._question
        begun = time.monotonic()
        if begun > self._deadline:
            raise Refused(f"not done in {LIMIT:g} seconds")
        text = asked.filter
        size = question.size or MAX_VALUES
        self._bound()
        try:
            self._connection.search(
                asked.base,
                text if text.startswith("(") else f"({text})",
                _SCOPES[asked.scope],
                _DEREFERENCE[question.dereference],
                list(asked.attributes),
                size_limit=size,
                time_limit=self._timeout,
            )
            result = self._connection.result
            response = self._connection.response or []
            entries: list[Entry] = [
                each["raw_attributes"]
                for each in response
                if each["type"] == "searchResEntry"
            ]
            elsewhere = [
                each["uri"] for each in response if each["type"] == "searchResRef"
            ]
        except self._ldap3.core.exceptions.LDAPInvalidFilterError as e:
            raise Refused(f"bad search filter {text!r}: {error_words(e)}") from e
        except Exception as e:  # also for octets that are no LDAP
            self.close()
            late = time.monotonic() - begun >= self._timeout
            kind = Refused if late else Broken
            raise kind(f"search: {error_words(e)}") from e
        if self._directory.referrals:
            if result["result"] == _REFERRAL:
                result = {"result": _SUCCESS}
                elsewhere.append(self._connection.result["referrals"] or [])
            for urls in elsewhere:
                entries += self._referred(urls, asked, hops)
        return self._checked(asked, result, entries, size)

    def _referred(
        self, urls: Sequence[str], asked: Search, hops: int
    ) -> Sequence[Entry]:
        """
        Ask any of these servers. None is told our password.
        """
        trouble = "a referral to nowhere"
        anonymous = replace(self._directory, bind_dn="", bind_pw="")
        if not hops:
            raise Refused(f"more than {MAX_HOPS} referrals")
        for url in urls:
            try:
                host, there = referred(url, asked)
                session = LdapSession(self._question, anonymous, read_host(host, 389))
            except (ValueError, Broken) as e:
                trouble = f"referral to {url}: {e}"
                continue
            session._deadline = self._deadline
            try:
                return session._search(there, hops - 1)
            except Broken as e:
                trouble = f"referral to {url}: {e}"
            finally:
                session.close()
        raise Refused(trouble)

    def _checked(
        self, asked: Search, result: Any, entries: list[Entry], size: int
    ) -> Sequence[Entry]:
        code = result["result"]
        if code == _NO_SUCH_OBJECT and asked.may_miss:
            return ()
        if code == _NO_SUCH_OBJECT:
            raise Refused(f"Search base '{asked.base}' not found")
        if code != _SUCCESS:
            # As Postfix: the next one may have more luck with a new connection.
            self.close()
            raise Refused(f"Search error {code}: {result['description']}")
        if len(entries) > size:
            raise Refused(f"Query size limit ({size}) exceeded")
        return entries

    def close(self) -> None:
        self._closed = True
        # Without a word to the server: it may be what does not answer.
        if (made := self._connection.socket) is not None:
            made.close()


def _tls(context: ssl.SSLContext) -> Any:
    """
    @return: the library's, but with our context: it would read all files again
        for each connection, when only root may.
    """
    import ldap3

    class Tls(ldap3.Tls):
        def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:
            made = connection.socket
            connection.socket = context.wrap_socket(
                made.bare if isinstance(made, _Bounded) else made,
                do_handshake_on_connect=do_handshake,
                server_hostname=connection.server.host,
            )

    return Tls()


@implementer(IPlugin, ITableType)
class LdapType:
    prefix = "ldap"
    remote = True

    def open(self, name: str, context: object) -> ITable:
        context = cast(TableContext, context)
        need(context, "ldap3", "ldap3", "ldap")
        found = read_settings(name, context, NAMES)
        if not found.text("result_format") and found.text("result_filter"):
            found.texts["result_format"] = found.text("result_filter")
        question = read_question(found)
        hosts = read_hosts(found)
        directory = read_directory(found, [*hosts.values()])
        plan = plan_of(found, context, question.statement())
        # As OpenLDAP's library does: in their order.
        servers = Hosts(tuple(hosts), in_order=True)

        def connect() -> Session:
            return servers.connect(
                lambda host: LdapSession(question, directory, hosts[host])
            )

        return make_table(context, plan, connect, MOST)
