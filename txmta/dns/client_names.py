"""
The names of clients, verified.

Owns: the order hosts file, PTR, address; how long a session waits for that.
Knows nothing of: how DNS is asked.

A name that the owner of the address claims counts only if that name leads
back to the address; the claim itself is told apart, as C{reverse_name}.

Sources: RFC 1912 section 2.1. Postfix: C{smtpd/smtpd_peer.c}.

Errors: none; whatever cannot be found out is C{"unknown"}, and its status says why.
"""

from __future__ import annotations

import ipaddress

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txmta.dns.cache import Cache
from txmta.dns.hosts import parse_hosts, shortest
from txmta.dns.messages import is_host
from txmta.dns.watched import WatchedFile
from txmta.errors import ResolverUnavailable
from txmta.interfaces import IClientNames, IResolver
from txmta.model import Answer, ClientName

#: Seconds until a session goes on without a name. Clients wait 5 minutes for
#: a greeting (RFC 5321 section 4.5.3.2.1); an answer that takes longer than
#: this mostly never comes. The search goes on, for the next session.
DEADLINE = 5.0

#: Clients that are remembered.
CACHE_SIZE = 10_000

#: Seconds for which a name, or that there is none, is remembered at least and
#: at most.
MIN_TTL, MAX_TTL = 60.0, 3_600.0

UNKNOWN = "unknown"

#: L{ClientName.name_status}
_OK, _TEMPORARY, _NONE, _FORGED = 2, 4, 5, 6

_NAMELESS = ClientName(UNKNOWN, UNKNOWN, _NONE, _NONE)
_UNCERTAIN = ClientName(UNKNOWN, UNKNOWN, _TEMPORARY, _TEMPORARY)


@implementer(IClientNames)
class ClientNames:
    """
    An address from the hosts file, or one seen lately, is answered at once.
    """

    _log = Logger()

    def __init__(
        self, resolver: IResolver, clock: IReactorTime, hosts: str = "/etc/hosts"
    ) -> None:
        self._resolver = resolver
        self._clock = clock
        self._hosts = WatchedFile(hosts, parse_hosts, clock.seconds)
        self._cache: Cache[str, ClientName] = Cache(CACHE_SIZE)
        self._waiting: dict[str, list[_Waiter]] = {}

    def name(self, address: str) -> ClientName | Deferred[ClientName]:
        key = shortest(address)
        if key is None:
            return _NAMELESS
        if (host := self._hosts.get().get(key)) is not None:
            return ClientName(host, host, _OK, _OK)
        if (known := self._cache.get(key, self._clock.seconds())) is not None:
            return known
        waiter = _Waiter(self._clock)
        if key in self._waiting:
            self._waiting[key].append(waiter)
        else:
            self._waiting[key] = [waiter]
            Deferred.fromCoroutine(self._find(key)).addBoth(self._found, key)
        return waiter.deferred

    def _found(self, result: tuple[ClientName, float] | Failure, key: str) -> None:
        if isinstance(result, Failure):
            self._log.failure("cannot name a client", result)
            result = _UNCERTAIN, MIN_TTL
        names, ttl = result
        ttl = max(MIN_TTL, min(MAX_TTL, ttl))
        self._cache.put(key, names, self._clock.seconds() + ttl)
        for waiter in self._waiting.pop(key):
            waiter.fire(names)

    async def _find(self, address: str) -> tuple[ClientName, float]:
        """
        @return: the names, and for how many seconds they hold.
        """
        ip = ipaddress.ip_address(address)
        pointer = await self._lookup(ip.reverse_pointer, "PTR")
        if pointer is None:
            return _UNCERTAIN, 0.0
        if not pointer.records:
            return _NAMELESS, pointer.ttl
        # As with getnameinfo(): the first one, and no choice of others.
        claim = str(pointer.records[0])
        if not is_host(claim) or shortest(claim) is not None:
            return _NAMELESS, pointer.ttl
        forward = await self._lookup(claim, "A" if ip.version == 4 else "AAAA")
        if forward is None:
            return ClientName(UNKNOWN, claim, _TEMPORARY, _OK), 0.0
        ttl = min(pointer.ttl, forward.ttl)
        if address in forward.records:
            return ClientName(claim, claim, _OK, _OK), ttl
        return ClientName(UNKNOWN, claim, _FORGED, _OK), ttl

    async def _lookup(self, name: str, kind: str) -> Answer | None:
        try:
            answer = self._resolver.lookup(name, kind)
            return await answer if isinstance(answer, Deferred) else answer
        except ResolverUnavailable:
            return None


class _Waiter:
    """
    A session that waits for a name, but not for long.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self.deferred: Deferred[ClientName] = Deferred()
        self._timer: IDelayedCall = clock.callLater(DEADLINE, self.fire, _UNCERTAIN)
        self._over = False

    def fire(self, names: ClientName) -> None:
        if self._over:
            return
        self._over = True
        if self._timer.active():
            self._timer.cancel()
        self.deferred.callback(names)
