"""
What clients did of late, counted by one process alone.

Owns: whom it has heard of, and who is forgotten when there are too many.
Knows nothing of: other processes (L{txmta.smtp.tally}); what is counted.

Sources: Postfix C{anvil/anvil.c}.

Errors: none.
"""

from __future__ import annotations

from dataclasses import dataclass, field

#: How many are known; those of whom nothing was heard for long are forgotten
#: first.
MOST = 16384


@dataclass(slots=True)
class _Client:
    start: float
    open: int = 0
    rates: dict[int, int] = field(default_factory=dict)


class OwnTally:
    """
    As L{Tally<txmta.smtp.tally.Tally>}.
    """

    def __init__(self) -> None:
        self._clients: dict[bytes, _Client] = {}

    def add(
        self, key: bytes, now: float, unit: float, which: int, more: int = 1
    ) -> int:
        client = self._client(key, now, unit)
        rate = client.rates.get(which, 0) + more
        client.rates[which] = rate
        return rate

    def enter(self, key: bytes, now: float, unit: float, which: int) -> tuple[int, int]:
        rate = self.add(key, now, unit, which)
        client = self._clients[key]
        client.open += 1
        return rate, client.open

    def leave(self, key: bytes, now: float, unit: float) -> None:
        client = self._clients.get(key)
        if client is not None and client.open:
            client.open -= 1

    def _client(self, key: bytes, now: float, unit: float) -> _Client:
        client = self._clients.get(key)
        if client is None:
            if len(self._clients) >= MOST:
                self._forget(now - unit)
            client = self._clients[key] = _Client(now)
        elif not client.start <= now <= client.start + unit:
            client.start = now
            client.rates.clear()
        return client

    def _forget(self, before: float) -> None:
        """
        Make room: of those without connections, who is old; or else half.
        """
        idle = [k for k, c in self._clients.items() if not c.open]
        old = [k for k in idle if self._clients[k].start < before]
        for key in old or idle[: MOST // 2]:
            del self._clients[key]
