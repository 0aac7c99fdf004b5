"""
Post a form by HTTPS.

Owns: one request, and how much is read of its answer.
Knows nothing of: what is asked.

Sources: L{twisted.web.client}.

Errors: whatever twisted.web fails with.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import Agent, FileBodyProducer
from twisted.web.http_headers import Headers

from txmta.delivery.tokens import MAX_ANSWER


class _Start(Protocol):
    """
    Keeps the start of a body.
    """

    def __init__(self, done: Deferred[bytes]) -> None:
        self._done = done
        self._kept = bytearray()

    def dataReceived(self, data: bytes) -> None:
        self._kept += data[: MAX_ANSWER - len(self._kept)]
        if len(self._kept) >= MAX_ANSWER and self.transport is not None:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self._done.called:
            self._done.callback(bytes(self._kept))


class Https:
    """
    See L{Poster<txmta.delivery.tokens.Poster>}.
    """

    def __init__(self, reactor: Any) -> None:
        # Its default policy verifies certificates by the system's authorities.
        self._agent = Agent(reactor)

    def __call__(self, url: str, form: bytes) -> Deferred[tuple[int, bytes]]:
        return Deferred.fromCoroutine(self._post(url, form))

    async def _post(self, url: str, form: bytes) -> tuple[int, bytes]:
        from io import BytesIO

        headers = Headers(
            {
                "Content-Type": ["application/x-www-form-urlencoded"],
                "Accept": ["application/json"],
            }
        )
        body: Any = FileBodyProducer(BytesIO(form))
        response: Any = await self._agent.request(
            b"POST", url.encode("ascii"), headers, body
        )
        done: Deferred[bytes] = Deferred()
        response.deliverBody(_Start(done))
        return response.code, await done
