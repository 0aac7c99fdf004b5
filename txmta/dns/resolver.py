"""
A stub resolver with a cache.

Owns: what is asked again and what is known; one question at a time per name;
    aliases; which server comes first.
Knows nothing of: sockets.

There is no DNSSEC validation here: the AD bit counts only when it comes from
a server on this machine or one that resolv.conf declares C{trust-ad}.

Sources: RFC 1034 section 5.3.1; RFC 2308 (negative answers are kept); RFC
9520 (failures are kept, too).

Errors: L{ResolverUnavailable<txmta.errors.ResolverUnavailable>}, never "does
not exist" for a failure.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from txmta.dns.cache import Cache
from txmta.dns.exchange import Exchange, Network
from txmta.dns.messages import (
    MAX_ALIASES,
    TYPES,
    AliasElsewhere,
    Question,
    askable,
)
from txmta.dns.resolv_conf import Servers, parse_resolv_conf
from txmta.dns.watched import WatchedFile
from txmta.errors import ResolverUnavailable
from txmta.interfaces import IResolver
from txmta.model import Answer

#: Seconds for one lookup, whatever the servers do: as long as libc takes with
#: three servers and its defaults.
DEADLINE = 30.0

#: Answers that are kept.
CACHE_SIZE = 10_000

#: Seconds for which an answer is kept at most: a day, and for "there is none"
#: an hour (RFC 2308 section 5).
MAX_TTL, MAX_NEGATIVE_TTL = 86_400.0, 3_600.0

#: Seconds for which nobody is asked again after a failure (RFC 9520 section
#: 3.2 wants at least 1).
FAILURE_TTL = 5.0

#: Questions under way at the same time: each has a socket.
MAX_QUESTIONS = 500

_NOWHERE = Answer((), exists=False)


@implementer(IResolver)
class Resolver:
    """
    Nothing is asked, and no file read, before the first lookup.
    """

    def __init__(self, network: Network, resolv_conf: str = "/etc/resolv.conf") -> None:
        self._network = network
        self._servers = WatchedFile(
            resolv_conf, parse_resolv_conf, network.clock.seconds
        )
        self._cache: Cache[Question, Answer | ResolverUnavailable] = Cache(CACHE_SIZE)
        self._waiting: dict[Question, list[Deferred[Answer]]] = {}
        self._queue: deque[tuple[Question, float]] = deque()
        self._under_way = 0
        self._turn = 0
        self._last_good = ""

    def lookup(self, name: str, kind: str) -> Answer | Deferred[Answer]:
        if kind not in TYPES:
            raise ValueError(f"nobody can ask for {kind}")
        name = name.lower()
        if not name.isascii() or not askable(name):
            # What DNS cannot hold does not exist.
            return _NOWHERE
        question = Question(name, kind)
        now = self._network.clock.seconds()
        known = self._cache.get(question, now)
        if known is not None:
            if isinstance(known, ResolverUnavailable):
                raise _again(known)
            return known
        answer: Deferred[Answer] = Deferred()
        waiting = self._waiting.setdefault(question, [])
        waiting.append(answer)
        if len(waiting) == 1:
            self._queue.append((question, now + DEADLINE))
            self._start_next()
        return answer

    def _start_next(self) -> None:
        while self._queue and self._under_way < MAX_QUESTIONS:
            self._under_way += 1
            question, until = self._queue.popleft()
            found = Deferred.fromCoroutine(self._find(question, until))
            found.addBoth(self._found, question)

    def _found(self, result: Answer | Failure, question: Question) -> None:
        self._under_way -= 1
        self._keep(result, question)
        for waiting in self._waiting.pop(question):
            if isinstance(result, Answer):
                waiting.callback(result)
            elif isinstance(result.value, ResolverUnavailable):
                waiting.errback(Failure(_again(result.value)))
            else:
                waiting.errback(result)
        self._start_next()

    def _keep(self, result: Answer | Failure, question: Question) -> None:
        now = self._network.clock.seconds()
        if isinstance(result, Answer):
            self._cache.put(question, result, now + result.ttl)
        elif isinstance(result.value, ResolverUnavailable):
            self._cache.put(question, result.value, now + FAILURE_TTL)

    async def _find(self, question: Question, until: float) -> Answer:
        """
        Ask, and follow aliases that the answer did not follow itself.

        @param until: monotonic.
        """
        asked, ttl, authentic = question, MAX_TTL, True
        for _ in range(MAX_ALIASES):
            try:
                answer = await self._ask(asked, until)
            except AliasElsewhere as e:
                asked = Question(e.target, question.kind)
                # Nobody has vouched for the way there.
                ttl, authentic = min(ttl, e.ttl), False
                continue
            ttl = min(ttl, answer.ttl, MAX_TTL if answer.records else MAX_NEGATIVE_TTL)
            return replace(answer, ttl=ttl, authentic=answer.authentic and authentic)
        raise ResolverUnavailable(question.name, question.kind, "too many aliases")

    async def _ask(self, question: Question, until: float) -> Answer:
        servers = self._servers.get()
        exchange = Exchange(self._network, servers, question, until)
        answer = await exchange.run(self._order(servers))
        self._last_good = exchange.answered
        return answer

    def _order(self, servers: Servers) -> tuple[str, ...]:
        """
        The server that answered last comes first, so that a dead one costs
        its time-out once and not with each question.
        """
        addresses = servers.addresses
        start = 0
        if servers.rotate:
            self._turn += 1
            start = self._turn % len(addresses)
        elif self._last_good in addresses:
            start = addresses.index(self._last_good)
        return addresses[start:] + addresses[:start]


def _again(error: ResolverUnavailable) -> ResolverUnavailable:
    # One error raised many times would gather all their tracebacks.
    return ResolverUnavailable(error.name, error.kind, error.reason)
