"""
The agent without a network: what it asks for, and what it makes of answers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from OpenSSL.SSL import Error as TLSError
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.error import (
    ConnectionDone,
    ConnectionRefusedError,
    DNSLookupError,
)
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseNeverReceived
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer
from zope.interface.verify import verifyObject

from txmta.config.settings import Settings
from txmta.delivery.context import AgentContext
from txmta.delivery.pipe_attributes import BadAttributes
from txmta.delivery.plugin_attributes import values_of
from txmta.errors import ConfigError
from txmta.interfaces import IDeliveryAgent
from txmta.model import Action, Outcome
from txmta_http_hook.agent import HookAgent, plain, trusted
from txmta_http_hook.answers import of_answer
from txmta_http_hook.attributes import ATTRIBUTES
from txmta_http_hook.body import BLOCK, READ, MessageBody, Start
from txmta_http_hook.test.agent_contract import AgentContract, Content, request

URL = "https://hooks.example.com/mail"


class Response:
    def __init__(self, code: int, phrase: bytes = b"", text: bytes = b"") -> None:
        self.code, self.phrase, self._text = code, phrase, text

    def deliverBody(self, protocol: Any) -> None:
        protocol.dataReceived(self._text)
        protocol.connectionLost(Failure(ConnectionDone()))


@dataclass
class Taker:
    """
    Takes a body.
    """

    octets: bytes = b""

    def write(self, data: bytes) -> None:
        self.octets += data


@dataclass
class Client:
    """
    Stands in for twisted.web's: answers as it is told, and else with 200.
    """

    answers: list[Any] = field(default_factory=list)
    headers: list[Headers] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def request(
        self, method: bytes, url: bytes, headers: Headers, body: Any
    ) -> Deferred[Any]:
        assert (method, url) == (b"POST", URL.encode())
        self.headers.append(headers)
        taker = Taker()
        done: Deferred[Any] = body.startProducing(taker)
        self.bodies.append(taker.octets)
        answer = self.answers.pop(0) if self.answers else Response(200, b"OK")
        if isinstance(answer, Exception):
            done.addErrback(lambda _: None)
            return fail(answer)
        if isinstance(answer, Deferred):
            return answer
        return done.addCallback(lambda _: answer)


class HookTests(AgentContract, SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.client = Client()
        self.written: list[tuple[str, str]] = [("url", URL)]

    def make_agent(self) -> IDeliveryAgent:
        nothing = cast(Any, None)
        context = AgentContext(
            "hook",
            Settings.of(myhostname="mail.example.com"),
            nothing,
            self.clock,
            lambda: 0.0,
            nothing,
            nothing,
            nothing,
            nothing,
            attributes=values_of("http_hook", self.written, ATTRIBUTES),
        )
        return HookAgent(context, self.client)

    def settle(self) -> None:
        for _second in range(400):
            self.clock.advance(1)

    def deliver(self, *answers: Any) -> Outcome:
        self.client.answers = list(answers)
        content = Content(b"Subject: hi\r\n\r\n")
        (outcome,), failure = self.run_agent(request(content, "me@example.com"))
        self.assertIsNone(failure)
        self.check(outcome)
        return outcome

    def test_what_is_posted(self) -> None:
        """
        The message as it is; the envelope, and the administrator's fields.
        """
        self.written.append(("header", "Authorization: Bearer sesame"))
        outcome = self.deliver(Response(201, b"Created", b"thanks\nmore"))
        self.assertEqual(outcome.reason, "HTTP 201 Created: thanks")
        self.assertEqual(outcome.relay, "hooks.example.com:443")
        self.assertEqual(self.client.bodies, [b"Subject: hi\r\n\r\n"])
        (headers,) = self.client.headers
        self.assertEqual(
            {name: values for name, values in headers.getAllRawHeaders()},
            {
                b"Authorization": [b"Bearer sesame"],
                b"Content-Type": [b"message/rfc822"],
                b"Idempotency-Key": [b'"mail.example.com/QUEUEID/0"'],
                b"X-Queue-Id": [b"QUEUEID"],
                b"X-Envelope-From": [b"you@example.org"],
                b"X-Envelope-To": [b"me@example.com"],
                b"X-Original-To": [b"me@example.com"],
            },
        )

    def test_addresses(self) -> None:
        """
        Nothing in an address ends a header, or is lost; bounces have C{<>}.
        """
        self.assertEqual(plain("a\r\nX: y@b"), "a%0D%0AX%3A%20y@b")
        self.assertEqual(plain("\udcff<ü>%"), "%FF%3C%C3%BC%3E%25")
        content = Content(b"")
        self.run_agent(request(content, "me@example.com", sender=""))
        sender = self.client.headers[0].getRawHeaders("X-Envelope-From")
        self.assertEqual(sender, ["<>"])

    def test_statuses(self) -> None:
        for code, action, status in (
            (200, Action.DELIVERED, "2.0.0"),
            (204, Action.DELIVERED, "2.0.0"),
            (301, Action.DELAYED, "4.3.5"),
            (307, Action.DELAYED, "4.3.5"),
            (400, Action.FAILED, "5.6.0"),
            (401, Action.DELAYED, "4.7.0"),
            (404, Action.FAILED, "5.3.0"),
            (408, Action.DELAYED, "4.4.2"),
            (413, Action.FAILED, "5.3.4"),
            (425, Action.DELAYED, "4.3.2"),
            (429, Action.DELAYED, "4.3.2"),
            (500, Action.DELAYED, "4.3.0"),
            (503, Action.DELAYED, "4.3.2"),
            (599, Action.DELAYED, "4.3.0"),
            (999, Action.DELAYED, "4.3.0"),
        ):
            verdict = of_answer(code, b"X", b"")
            self.assertEqual((verdict.action, verdict.status), (action, status), code)
            retried = code in (408, 425, 429) or code >= 500
            self.assertEqual(verdict.again, retried, code)

    def test_garbage_in_answers(self) -> None:
        """
        Neither log nor bounce get control characters, or a long text.
        """
        verdict = of_answer(400, b"No\x1b[1m\r\n", b"\0\xff" + b"x" * 5000)
        self.assertRegex(verdict.reason, r"^[\x20-\x7e]{1,300}$")

    def test_retry(self) -> None:
        """
        With pauses of 1 and 2 seconds, under one Idempotency-Key.
        """
        busy = Response(500, b"Busy")
        self.client.answers = [busy, busy, Response(200, b"OK")]
        reported: list[Outcome] = []
        agent = self.make_agent()
        agent.deliver(request(Content(b"x"), "a@example.com"), reported.append)
        for second, posts in ((0, 1), (0.9, 1), (0.1, 2), (1.9, 2), (0.1, 3)):
            self.clock.advance(second)
            self.assertEqual(len(self.client.bodies), posts)
        self.assertEqual(reported[0].action, Action.DELIVERED)
        self.assertEqual(self.client.bodies, [b"x"] * 3)
        keys = {str(h.getRawHeaders("Idempotency-Key")) for h in self.client.headers}
        self.assertEqual(len(keys), 1)

    def test_deferred(self) -> None:
        """
        When the tries are used up, the last answer counts.
        """
        busy = Response(500, b"Busy")
        outcome = self.deliver(busy, busy, Response(429, b"Slow down"), busy)
        self.assertEqual(len(self.client.bodies), 3)
        self.assertEqual(outcome.status, "4.3.2")
        self.assertEqual(outcome.diagnostic, "x-http; 429 Slow down")

    def test_bounce(self) -> None:
        """
        A refusal is final at once.
        """
        outcome = self.deliver(Response(400, b"Bad Request", b"no such thing"))
        self.assertIs(outcome.action, Action.FAILED)
        self.assertEqual(outcome.reason, "HTTP 400 Bad Request: no such thing")
        self.assertEqual(outcome.remote, "hooks.example.com")
        self.assertEqual(len(self.client.bodies), 1)

    def test_down(self) -> None:
        for error, status, words in (
            (ConnectionRefusedError(), "4.4.1", "connect to hooks.example.com:443: "),
            (DNSLookupError(), "4.4.3", "hooks.example.com:443 is not found"),
            (lost(ConnectionDone()), "4.4.2", "lost connection with "),
            (lost(TLSError([("a", "b", "verify failed")])), "4.7.5", "not trusted"),
        ):
            outcome = self.deliver(error, error, error)
            self.assertEqual(outcome.status, status)
            self.assertIn(words, outcome.reason)
            self.assertEqual(outcome.diagnostic, "", "it said nothing")

    def test_down_for_all(self) -> None:
        """
        An endpoint that is down is not tried for each recipient.
        """
        error = ConnectionRefusedError()
        self.client.answers = [error] * 3
        asked = request(Content(b""), "a@example.com", "b@example.com")
        reported, _failure = self.run_agent(asked)
        self.assertEqual([o.status for o in reported], ["4.4.1", "4.4.1"])
        self.assertEqual(len(self.client.bodies), 3)

    def test_slow(self) -> None:
        """
        Each try has its time.
        """
        silences = [Deferred[None]() for _ in range(3)]
        outcome = self.deliver(*silences)
        self.assertEqual(outcome.status, "4.4.2")
        self.assertIn("does not answer within 60 seconds", outcome.reason)
        self.assertTrue(all(silence.called for silence in silences))

    def test_slow_text(self) -> None:
        """
        An answer counts, even if the text that explains it never comes.
        """

        class Slow(Response):
            def deliverBody(self, protocol: Any) -> None:
                protocol.dataReceived(b"than")

        outcome = self.deliver(Slow(200, b"OK"))
        self.assertEqual(outcome.reason, "HTTP 200 OK: than")

    def test_no_time_left(self) -> None:
        """
        When the delivery is cancelled, nothing is tried again.
        """
        silence = Deferred[None](lambda d: d.errback(lost(CancelledError())))
        self.client.answers = [silence]
        agent = self.make_agent()
        ending = agent.deliver(request(Content(b""), "a@example.com"), self.fail)
        assert ending is not None
        ending.cancel()
        self.failureResultOf(ending, CancelledError)
        self.settle()
        self.assertEqual(len(self.client.bodies), 1)

    def test_attributes(self) -> None:
        """
        Wrong ones refuse the start.
        """
        for name, text in (
            ("url", "ftp://example.com/"),
            ("url", "http://example.com/mail"),
            ("url", "https://user:word@example.com/"),
            ("url", "https://example.com:port/"),
            ("url", "https:///x"),
            ("url", "https://example.com/ü"),
            ("retries", "11"),
            ("timeout", "0"),
            ("ca_file", "relative.pem"),
            ("header", "no colon"),
            ("header", "Host: elsewhere"),
            ("header", "X-Envelope-To: somebody"),
            ("header", "X-A: a\r\nX-B: b"),
        ):
            written = [(name, text)] + ([("url", URL)] if name != "url" else [])
            self.assertRaises(
                BadAttributes, values_of, "http_hook", written, ATTRIBUTES
            )
        values_of("http_hook", [("url", "http://[::1]:8080/x?y=z")], ATTRIBUTES)

    def test_certificates(self) -> None:
        self.assertRaises(ConfigError, trusted, "/nonexistent/ca.pem")
        path = self.mktemp()
        with open(path, "w") as file:
            file.write("nothing")
        self.assertRaises(ConfigError, trusted, path)


def lost(error: Exception) -> ResponseNeverReceived:
    return ResponseNeverReceived([Failure(error)])


class BodyTests(SynchronousTestCase):
    def test_interface(self) -> None:
        verifyObject(IBodyProducer, MessageBody(Content(b"")))

    def test_pauses(self) -> None:
        """
        What the connection cannot take is not read: a message is in memory
        by one block at a time.
        """
        content = Content(b"x" * (10 * BLOCK + 1))
        body = MessageBody(content)
        taken: list[bytes] = []

        class Full:
            def write(self, data: bytes) -> None:
                taken.append(data)
                body.pauseProducing()

        done = body.startProducing(cast(Any, Full()))
        for blocks in range(1, 11):
            self.assertEqual(len(taken), blocks)
            self.assertNoResult(done)
            body.resumeProducing()
        self.successResultOf(done)
        self.assertEqual(sum(map(len, taken)), content.size)
        self.assertEqual(content.largest, BLOCK)

    def test_stopped(self) -> None:
        """
        A connection that is gone gets nothing more, and is not told.
        """
        body = MessageBody(Content(b"x" * (3 * BLOCK)))
        taker = Taker()
        body.pauseProducing()
        done = body.startProducing(cast(Any, taker))
        body.stopProducing()
        self.assertEqual(taker.octets, b"")
        self.assertNoResult(done)

    def test_short(self) -> None:
        content = Content(b"x")
        content.size = 2
        done = MessageBody(content).startProducing(cast(Any, Taker()))
        self.failureResultOf(done)

    def test_long_answer(self) -> None:
        """
        Of an answer without end only the start is kept, and it is cut.
        """

        @dataclass
        class Transport:
            lost: int = 0

            def loseConnection(self) -> None:
                self.lost += 1

        start = Start()
        transport = Transport()
        start.makeConnection(cast(Any, transport))
        for _ in range(3):
            start.dataReceived(b"x" * (READ // 2))
        self.assertEqual(transport.lost, 1)
        start.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(len(self.successResultOf(start.done)), 1000)
