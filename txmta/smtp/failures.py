"""
How often clients failed to log in of late.

Owns: the count by client, and how long the next failure makes it wait.
Knows nothing of: sessions, mechanisms.

Each process counts for itself. What is remembered is bounded: of too many
clients, those are forgotten that have not failed for longest.

Sources: our own.

Errors: none.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

#: Clients that are remembered.
MAX_CLIENTS = 10000


@dataclass(frozen=True)
class Patience:
    """
    @ivar delay: seconds that the first failure takes; each more takes twice the
        time of the one before.
    @ivar most: seconds that one takes at most.
    @ivar limit: failures after which AUTH is refused; 0 is no limit.
    @ivar memory: seconds after the last failure until all are forgotten.
    """

    delay: float = 1.0
    most: float = 30.0
    limit: int = 0
    memory: float = 600.0


class Failures:
    """
    Of one server.
    """

    def __init__(self, patience: Patience, seconds: Callable[[], float]) -> None:
        """
        @param seconds: monotonic.
        """
        self._patience = patience
        self._seconds = seconds
        self._clients: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def _of(self, client: str) -> int:
        count, since = self._clients.get(client, (0, 0.0))
        return count if self._seconds() - since < self._patience.memory else 0

    def too_many(self, client: str) -> bool:
        """
        @return: it has failed so often that it is not asked any more.
        """
        limit = self._patience.limit
        return bool(limit) and self._of(client) >= limit

    def count(self, client: str) -> float:
        """
        It failed once more.

        @return: seconds that it is to wait.
        """
        before = self._of(client)
        self._clients[client] = before + 1, self._seconds()
        self._clients.move_to_end(client)
        while len(self._clients) > MAX_CLIENTS:
            self._clients.popitem(last=False)
        patience = self._patience
        return float(min(patience.most, patience.delay * 2 ** min(before, 20)))

    def forget(self, client: str) -> None:
        """
        It has logged in.
        """
        self._clients.pop(client, None)

    def __len__(self) -> int:
        return len(self._clients)
