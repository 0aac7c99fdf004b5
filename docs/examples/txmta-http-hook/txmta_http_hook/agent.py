"""
Posts each message to an HTTP endpoint, once for each recipient.

The body is the message as it came; who it is from and for is in the header::

    POST /mail HTTP/1.1
    Content-Type: message/rfc822
    Idempotency-Key: "mail.example.com/4jYXkG29cjz00/0"
    X-Queue-Id: 4jYXkG29cjz00
    X-Envelope-From: you@example.org      (<> for bounces)
    X-Envelope-To: me@example.com
    X-Original-To: alias@example.com

Octets of addresses that are not plain are written as C{%XX}, as in a URL. A
message may be posted twice, after a crash or a lost answer: the endpoint knows
it by its Idempotency-Key.

Errors: what the endpoint says, and that it says nothing, is an outcome. What
the queue's store raises passes through.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.ssl import Certificate, platformTrust, trustRootFromCertificates
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.web.client import Agent, BrowserLikePolicyForHTTPS, HTTPConnectionPool
from twisted.web.http_headers import Headers
from zope.interface import implementer

from txmta.delivery.context import AgentContext
from txmta.errors import ConfigError
from txmta.interfaces import IContent, IDeliveryAgent
from txmta.model import DeliveryRequest, Outcome, Recipient
from txmta_http_hook.answers import Verdict, causes, of_answer, of_failure, too_slow
from txmta_http_hook.body import MessageBody, Start

#: Seconds for which an idle connection is kept: less than servers do, so
#: that it does not end just when it is used again.
IDLE = 4

#: The longest pause between two tries, in seconds.
MAX_PAUSE = 60.0

#: Seconds for the text of an answer, once it is known what it says.
FOR_TEXT = 5.0

CANCELLED = (CancelledError, ConnectingCancelledError)

_PLAIN = "@!#$&'*+-/=?^_`{|}~."


@implementer(IDeliveryAgent)
class HookAgent:
    """
    One for each service of master.cf with C{plugin agent=http_hook}.
    """

    name = "http_hook"

    def __init__(self, context: AgentContext, client: Any = None) -> None:
        """
        @param client: a L{twisted.web.iweb.IAgent}, for tests.
        @raise ConfigError: the certificates cannot be read.
        """
        attributes = context.attributes
        self._url = attributes["url"].encode("ascii")
        parts = urlsplit(attributes["url"])
        self._host = parts.hostname or ""
        default = 443 if parts.scheme == "https" else 80
        self._relay = f"{self._host}:{parts.port or default}"
        self._retries: int = attributes["retries"]
        self._backoff: float = attributes["backoff"]
        self._timeout: float = attributes["timeout"]
        self._fields = Headers()
        for name, value in attributes["header"]:
            self._fields.addRawHeader(name, value)
        self._us = context.settings.myhostname
        self._clock: Any = context.clock
        self._pool = HTTPConnectionPool(self._clock)
        self._pool.cachedConnectionTimeout = IDLE
        # Ours, or a try would count twice.
        self._pool.retryAutomatically = False
        self._client = client or Agent(
            self._clock,
            BrowserLikePolicyForHTTPS(trusted(attributes["ca_file"])),
            connectTimeout=attributes["connect_timeout"],
            pool=self._pool,
        )

    def deliver(
        self, request: DeliveryRequest, report: Callable[[Outcome], None]
    ) -> Deferred[None]:
        return Deferred.fromCoroutine(self._deliver(request, report))

    def stop(self) -> Deferred[None]:
        """
        Called when no deliveries are under way any more.
        """
        closing: Deferred[None] = self._pool.closeCachedConnections()
        return closing

    async def _deliver(
        self, request: DeliveryRequest, report: Callable[[Outcome], None]
    ) -> None:
        content = request.open_content()
        if isinstance(content, Deferred):
            content = await content
        try:
            verdict = None
            for recipient in request.recipients:
                # Who does not answer for one need not be asked for the others.
                if verdict is None or not verdict.silent:
                    start = self._clock.seconds()
                    verdict = await self._deliver_to(recipient, request, content)
                    took = self._clock.seconds() - start
                report(
                    Outcome(
                        recipient.n,
                        verdict.action,
                        verdict.status,
                        verdict.reason,
                        self._relay,
                        self._host if verdict.diagnostic else "",
                        verdict.diagnostic,
                        transmission=took,
                    )
                )
        finally:
            content.close()

    async def _deliver_to(
        self, recipient: Recipient, request: DeliveryRequest, content: IContent
    ) -> Verdict:
        headers = self._headers(recipient, request)
        verdict = await self._post(headers, content)
        for retry in range(self._retries):
            if not verdict.again:
                break
            pause = min(self._backoff * 2**retry, MAX_PAUSE)
            await deferLater(self._clock, pause)
            verdict = await self._post(headers, content)
        return verdict

    async def _post(self, headers: Headers, content: IContent) -> Verdict:
        """
        One try.
        """
        body = MessageBody(content)
        late = self._clock.seconds() + self._timeout
        try:
            response = await self._in_time(
                self._client.request(b"POST", self._url, headers, body), late
            )
        except TimeoutError:
            return too_slow(self._relay, self._timeout)
        except Exception:
            failure = Failure()
            if body.trouble is not None:
                body.trouble.raiseException()  # the store's, not the endpoint's
            if any(isinstance(e, CANCELLED) for e in causes(failure)):
                raise CancelledError() from None  # no time is left
            return of_failure(self._relay, failure)
        # The verdict is there; the text only explains it.
        start = Start()
        response.deliverBody(start)
        try:
            await self._in_time(start.done, self._clock.seconds() + FOR_TEXT)
        except TimeoutError:
            if start.transport is not None:
                start.transport.loseConnection()
        return of_answer(response.code, response.phrase, start.text)

    def _in_time(self, result: Deferred[Any], late: float) -> Deferred[Any]:
        """
        @return: fails with C{TimeoutError} when it is late.
        """
        left = max(late - self._clock.seconds(), 0.0)
        return result.addTimeout(
            left, self._clock, onTimeoutCancel=lambda _, __: Failure(TimeoutError())
        )

    def _headers(self, recipient: Recipient, request: DeliveryRequest) -> Headers:
        envelope = request.envelope
        headers = self._fields.copy()
        key = f'"{self._us}/{envelope.queue_id}/{recipient.n}"'
        kind = "message/global" if envelope.smtputf8 else "message/rfc822"
        for name, value in (
            ("Content-Type", kind),
            ("Idempotency-Key", key),
            ("X-Queue-Id", envelope.queue_id),
            ("X-Envelope-From", plain(envelope.sender) or "<>"),
            ("X-Envelope-To", plain(recipient.address)),
            ("X-Original-To", plain(recipient.original)),
        ):
            headers.setRawHeaders(name, [value])
        return headers


def plain(address: str) -> str:
    """
    @return: an address that may stand in a header, whatever is in it.
    """
    return quote(address.encode("utf-8", "surrogateescape"), safe=_PLAIN)


def trusted(ca_file: str) -> Any:
    """
    @return: the certificates that may vouch for the endpoint.
    @raise ConfigError: there are none in the file.
    """
    if not ca_file:
        return platformTrust()
    end = b"-----END CERTIFICATE-----"
    try:
        with open(ca_file, "rb") as file:
            pieces = file.read(1 << 24).split(end)[:-1]
        certificates = [Certificate.loadPEM(piece + end) for piece in pieces]
    except Exception as e:
        raise ConfigError([f"ca_file={ca_file} cannot be read: {e}"]) from e
    if not certificates:
        raise ConfigError([f"ca_file={ca_file} has no certificate in PEM"])
    return trustRootFromCertificates(certificates)
