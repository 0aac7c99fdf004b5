"""
Database servers of which any will do.

Owns: in what order they are tried; which of them failed lately.
Knows nothing of: how one connects.

Sources: Postfix's mysql_table(5), pgsql_table(5) (C{hosts},
C{retry_interval}); C{global/dict_mysql.c}.

Errors: L{Broken<txmta.maps.workers.Broken>}: none of them will.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

from txmta.maps.wire import LIMIT
from txmta.maps.workers import Broken, Session

#: Seconds for which a server that failed is tried after all others.
RETRY = 60.0


def is_socket(host: str) -> bool:
    """
    @param host: one of C{hosts}.
    """
    return host.startswith(("unix:", "/"))


def host_address(item: str, port: int) -> str | tuple[str, int]:
    """
    @param item: C{host}, C{host:port}, C{inet:host:port}, C{unix:/path}.
    @param port: if it has none.
    @return: a path, or host and port.
    @raise ValueError: not a host.
    """
    kind, colon, rest = item.partition(":")
    if is_socket(item):
        return item.removeprefix("unix:")
    if colon and kind == "inet":
        item = rest
    if item.startswith("["):
        host, _, digits = item[1:].partition("]")
        digits = digits.removeprefix(":")
    else:
        host, _, digits = item.partition(":")
    if not host or (digits and not (digits.isdigit() and 0 < int(digits) < 65536)):
        raise ValueError(f'"{item}": write host, host:port or unix:/path')
    return host, int(digits or port)


class Hosts:
    """
    Used by several threads.
    """

    def __init__(
        self,
        items: Sequence[str],
        retry: float = RETRY,
        seconds: Callable[[], float] = time.monotonic,
        in_order: bool = False,
    ) -> None:
        """
        @param retry: for so many seconds one that failed is tried last.
        @param in_order: not at random.
        """
        self._items = tuple(items)
        self._retry = retry
        self._seconds = seconds
        self._in_order = in_order
        self._failed: dict[str, float] = {}

    def connect(self, connect: Callable[[str], Session]) -> Session:
        """
        @param connect: takes one of the hosts, and raises L{Broken}.
        @raise Broken: no server can be had, or not soon enough.
        """
        begun = self._seconds()
        trouble = ""
        for host in self._order():
            if trouble and self._seconds() - begun > LIMIT:
                break
            try:
                session = connect(host)
            except Broken as e:
                self._failed[host] = self._seconds() + self._retry
                trouble = f"{host}: {e}"
            else:
                self._failed.pop(host, None)
                return session
        raise Broken(trouble)

    def _order(self) -> list[str]:
        """
        @return: at random, sockets before the network, as Postfix; or in order.
        """
        now = self._seconds()
        if self._in_order:
            return sorted(self._items, key=lambda h: self._failed.get(h, 0.0) > now)

        def rank(host: str) -> tuple[bool, bool]:
            return self._failed.get(host, 0.0) > now, not is_socket(host)

        return sorted(random.sample(self._items, len(self._items)), key=rank)
