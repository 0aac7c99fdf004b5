"""
Connections that are kept for more mail.

Owns: which connections wait, for what, and for how long.
Knows nothing of: messages, how connections are made.

Whoever we are at the server, we are only that: a connection is taken for
nobody else. Nor is it for mail whose server needs another TLS.

A connection waits under its destination (the next hop, if it leads to a most
preferred host) and under the address it leads to: many domains share a host.
The newest is taken first, so that the others grow old and go away.

Sources: Postfix C{src/smtp/smtp_reuse.c}, C{src/scache}, smtp_connection_*.

Errors: none.
"""

from __future__ import annotations

from dataclasses import dataclass

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from txmta.smtp.client import ClientConnection
from txmta.smtp.client_events import Event, Target
from txmta.smtp.client_sasl import Credentials
from txmta.smtp.client_tls import TlsStart

#: A next hop, with the sender and the TLS that it needs if they matter; or an
#: address, who we are there, and the TLS of the connection.
Key = str | tuple[object, ...]

#: Connections kept for one destination: more than any
#: destination_concurrency_limit of good sense.
MAX_KEPT_FOR_ONE = 50

#: And for all, so that they never use up the file descriptors.
MAX_KEPT = 500


@dataclass(frozen=True, slots=True)
class KeepRules:
    """
    @ivar idle: seconds; smtp_connection_cache_time_limit.
    @ivar age: seconds since it was made; smtp_connection_reuse_time_limit.
    @ivar uses: smtp_connection_reuse_count_limit, 0 for no limit.
    """

    idle: float = 2
    age: float = 300
    uses: int = 0


class KeptConnections:
    """
    Idle connections, ready for a transaction.
    """

    def __init__(self, clock: IReactorTime, rules: KeepRules) -> None:
        self._clock = clock
        self._rules = rules
        self._kept: dict[ClientConnection, tuple[float, Key, Key]] = {}
        self._by_key: dict[Key, dict[ClientConnection, None]] = {}
        self._sweep: IDelayedCall | None = None
        self._stopped = False

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, connection: ClientConnection, nexthop: Key) -> None:
        """
        Take a connection whose transaction is over; or say goodbye to it.

        @param nexthop: what it may be taken for, or C{""} for its address
            only.
        """
        if not self._worth_keeping(connection, nexthop):
            connection.quit()
            return
        endpoint = _place(connection)
        self._kept[connection] = (self._clock.seconds(), nexthop, endpoint)
        if nexthop:
            self._by_key.setdefault(nexthop, {})[connection] = None
        self._by_key.setdefault(endpoint, {})[connection] = None
        connection.listener = lambda event: self._gone(connection, event)
        if self._sweep is None:
            self._sweep = self._clock.callLater(self._rules.idle, self._expire)

    def take_for(self, nexthop: Key) -> ClientConnection | None:
        """
        @return: a connection to the best host for C{nexthop}, if one waits.
        """
        return self._take(nexthop)

    def take_to(
        self,
        target: Target,
        who: Credentials | None = None,
        tls: TlsStart | None = None,
    ) -> ClientConnection | None:
        """
        @param who: we are to be there.
        @param tls: that is needed; a connection of another policy does not do.
        @return: a connection to this address and port, if one waits.
        """
        return self._take(_endpoint(target, who, tls))

    def stop(self) -> None:
        """
        Say goodbye to all, and keep none from now on.
        """
        self._stopped = True
        for connection in list(self._kept):
            self._forget(connection)
            connection.quit()
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    def _worth_keeping(self, connection: ClientConnection, nexthop: Key) -> bool:
        rules = self._rules
        if self._stopped or len(self._kept) >= MAX_KEPT:
            return False
        if rules.uses and connection.engine.transactions >= rules.uses:
            return False
        if self._clock.seconds() - connection.opened >= rules.age:
            return False
        endpoint = _place(connection)
        waiting = self._by_key.get(nexthop or endpoint, ())
        return len(waiting) < MAX_KEPT_FOR_ONE

    def _take(self, key: Key) -> ClientConnection | None:
        waiting = self._by_key.get(key)
        if not waiting:
            return None
        connection = next(reversed(waiting))
        self._forget(connection)
        return connection

    def _forget(self, connection: ClientConnection) -> None:
        _, nexthop, endpoint = self._kept.pop(connection)
        for key in (nexthop, endpoint):
            waiting = self._by_key.get(key)
            if waiting is not None:
                waiting.pop(connection, None)
                if not waiting:
                    del self._by_key[key]

    def _gone(self, connection: ClientConnection, event: Event) -> None:
        """
        The server hung up, or spoke out of turn.
        """
        if connection in self._kept:
            self._forget(connection)

    def _expire(self) -> None:
        self._sweep = None
        now = self._clock.seconds()
        # In order of their times: who is kept again is put at the end.
        for connection, (since, _, _) in list(self._kept.items()):
            left = since + self._rules.idle - now
            if left > 0:
                self._sweep = self._clock.callLater(left, self._expire)
                return
            self._forget(connection)
            connection.quit()


def _place(connection: ClientConnection) -> Key:
    return _endpoint(connection.target, connection.engine.who, connection.tls)


def _endpoint(target: Target, who: Credentials | None, tls: TlsStart | None) -> Key:
    # No next hop contains a space.
    endpoint = f"{target.address} {target.port}"
    return (endpoint, who, tls and tls.policy) if who or tls else endpoint
