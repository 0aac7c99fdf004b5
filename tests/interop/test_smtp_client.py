"""
The smtp agent against servers that others wrote: smtp-sink of Postfix and
aiosmtpd, over real sockets, in both address families.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from typing import Any
from unittest import SkipTest

from aiosmtpd.controller import Controller
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, execute
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.delivery.doubles import NOW, Content, Sink
from tests.delivery.smtp.doubles import Names
from tests.support import PATH, require
from txmta.config.settings import Settings
from txmta.delivery.context import AgentContext
from txmta.delivery.smtp import SmtpAgent
from txmta.model import (
    LOCAL_CLIENT,
    Action,
    DeliveryRequest,
    Envelope,
    Outcome,
    Recipient,
)

reactor: Any = _reactor

#: Seconds until a server must have started.
PATIENCE = 20.0

LOOPBACK = {"ipv4": "127.0.0.1", "ipv6": "::1"}


def free_port(address: str) -> int:
    """
    @return: a port that is free just now; the test is skipped if the machine
        does not have the address.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family) as s:
            s.bind((address, 0))
            port: int = s.getsockname()[1]
            return port
    except OSError as e:
        raise SkipTest(f"no {address} here: {e}") from e


class AgentCase(TestCase):
    """
    An agent on the real reactor.
    """

    timeout = 60

    def setUp(self) -> None:
        self.outcomes: list[Outcome] = []
        self.agent = self.make()

    def make(self, **settings: str) -> SmtpAgent:
        """
        An agent that ends with the test, and whose connections end with it.
        """
        values = {"myhostname": "me.example.org", "inet_interfaces": "loopback-only"}
        context = AgentContext(
            "smtp",
            Settings.of(**{**values, **settings}),
            reactor,
            reactor,
            lambda: NOW,
            Names(),
            Sink(),
            lambda item, parameter: None,  # type: ignore[arg-type,return-value]
            execute,
        )
        agent = SmtpAgent(context)

        async def stop() -> None:
            agent.stop()
            # trial wants to see the sockets closed, which takes a few turns.
            await deferLater(reactor, 0.05)

        self.addCleanup(lambda: Deferred.fromCoroutine(stop()))
        return agent

    def deliver(
        self,
        nexthop: str,
        content: bytes,
        *addresses: str,
        sender: str = "me@example.org",
        **envelope: Any,
    ) -> Deferred[None]:
        recipients = tuple(
            Recipient(n, a, a) for n, a in enumerate(addresses or ("a@example.com",))
        )
        message = Envelope("QID", NOW, sender, recipients, LOCAL_CLIENT, **envelope)
        holder = Content(content)
        request = DeliveryRequest(
            "smtp", nexthop, message, recipients, len(content), lambda: holder
        )
        return self.agent.deliver(request, self.outcomes.append)


class SmtpSinkTests(AgentCase):
    """
    Debian's smtp-sink.
    """

    def sink(self, *options: str, protocol: str = "ipv4") -> str:
        """
        @return: the next hop.
        """
        require("smtp-sink")
        address = LOOPBACK[protocol]
        port = free_port(address)
        account = ["-u", "nobody"] if os.getuid() == 0 else []
        where = f"[{address}]:{port}" if protocol == "ipv6" else f"{address}:{port}"
        process = subprocess.Popen(
            ["smtp-sink", *account, *options, f"inet:{where}", "100"],
            env={**os.environ, "PATH": PATH},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

        def end() -> None:
            process.send_signal(signal.SIGKILL)
            process.wait()

        self.addCleanup(end)
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            try:
                socket.create_connection((address, port), 1).close()
                return f"[{address}]:{port}"
            except OSError:
                time.sleep(0.02)
        raise AssertionError("smtp-sink does not start")

    async def test_families(self) -> None:
        """
        Over IPv4 and IPv6, small and large, one connection for all.
        """
        for protocol in LOOPBACK:
            nexthop = self.sink(protocol=protocol)
            self.outcomes.clear()
            for size in (10, 4000, 65536, 65537, 3_000_000):
                await self.deliver(nexthop, (b"x" * 70 + b"\r\n") * (size // 72 + 1))
            self.assertEqual([o.action for o in self.outcomes], [Action.RELAYED] * 5)
            self.assertEqual([o.conn_use for o in self.outcomes], [1, 2, 3, 4, 5])
            address = LOOPBACK[protocol]
            relay = f"{address}[{address}]:{nexthop.rpartition(':')[2]}"
            self.assertEqual({o.relay for o in self.outcomes}, {relay})

    async def test_without_extensions(self) -> None:
        """
        A server without PIPELINING, without ESMTP.
        """
        for options in (["-p"], ["-e"]):
            nexthop = self.sink(*options)
            await self.deliver(nexthop, b"x\r\n", "a@example.com", "b@example.com")
            await self.deliver(nexthop, b"x\r\n", "a@example.com", "b@example.com")
        self.assertEqual([o.action for o in self.outcomes], [Action.RELAYED] * 8)

    async def test_rejects(self) -> None:
        """
        A refusal at each stage, for now and for good; the stage is named.
        """
        for command, request in (
            ("connect", "refused to talk to me"),
            ("mail", "MAIL FROM command"),
            ("rcpt", "RCPT TO command"),
            ("data", "DATA command"),
            (".", "end of DATA command"),
        ):
            for option, action in (("-r", Action.DELAYED), ("-f", Action.FAILED)):
                self.outcomes.clear()
                nexthop = self.sink(option, command)
                await self.deliver(nexthop, b"x\r\n")
                (outcome,) = self.outcomes
                # smtp_skip_5xx_greeting: a greeting is never for good.
                expected = Action.DELAYED if command == "connect" else action
                self.assertIs(outcome.action, expected, (command, option))
                self.assertIn(request, outcome.reason)

    async def test_hangs_up(self) -> None:
        """
        A server that hangs up at each stage.
        """
        for command, doing in (
            ("connect", "receiving the initial server greeting"),
            ("mail", "sending MAIL FROM"),
            ("rcpt", "sending RCPT TO"),
            ("data", "sending DATA command"),
            (".", "sending end of data -- message may be sent more than once"),
        ):
            self.outcomes.clear()
            nexthop = self.sink("-p", "-q", command)
            await self.deliver(nexthop, b"x\r\n")
            (outcome,) = self.outcomes
            self.assertIs(outcome.action, Action.DELAYED)
            self.assertEqual(outcome.status, "4.4.2")
            self.assertTrue(outcome.reason.endswith(f"while {doing}"), outcome.reason)

    async def test_many(self) -> None:
        """
        Many messages at a time share few connections.
        """
        nexthop = self.sink()

        async def some() -> None:
            for _ in range(25):
                await self.deliver(nexthop, b"x\r\n" * 1000)

        running = [Deferred.fromCoroutine(some()) for _ in range(8)]
        for each in running:
            await each
        self.assertEqual([o.action for o in self.outcomes], [Action.RELAYED] * 200)
        self.assertEqual(sum(o.conn_use == 1 for o in self.outcomes), 8)

    async def test_nobody_there(self) -> None:
        """
        Where nothing listens, the system's words.
        """
        for protocol, address in LOOPBACK.items():
            port = free_port(address)
            self.outcomes.clear()
            await self.deliver(f"[{address}]:{port}", b"x\r\n")
            (outcome,) = self.outcomes
            self.assertEqual(
                outcome.reason,
                f"connect to {address}[{address}]:{port}: Connection refused",
                protocol,
            )


class Keeper:
    """
    An aiosmtpd handler that keeps what arrives.
    """

    def __init__(self) -> None:
        self.envelopes: list[Any] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.envelopes.append(envelope)
        return "250 2.0.0 kept"


class AiosmtpdTests(AgentCase):
    """
    aiosmtpd, which shows what has arrived.
    """

    def serve(self, protocol: str = "ipv4", **options: Any) -> tuple[str, Keeper]:
        address = LOOPBACK[protocol]
        port = free_port(address)
        keeper = Keeper()
        controller = Controller(keeper, hostname=address, port=port, **options)
        controller.start()
        self.addCleanup(controller.stop)
        return f"[{address}]:{port}", keeper

    async def test_unchanged(self) -> None:
        """
        Content arrives as it is in the queue: dots, empty lines, 8-bit, no
        line end at the end but the one that SMTP needs.
        """
        contents = [
            b".\r\n..\r\n.x\r\n\r\n\r\n",
            b"Subject: x\r\n\r\n\xff\xfe\0\r\n",
            b"",
            b"\r\n",
            (b"." * 70 + b"\r\n") * 30000,
            b"\0.\r\n\0\r\n\0",
        ]
        for protocol in LOOPBACK:
            nexthop, keeper = self.serve(protocol, data_size_limit=0)
            for content in contents:
                await self.deliver(nexthop, content)
            for content, envelope in zip(contents, keeper.envelopes, strict=True):
                expected = content
                if content and not content.endswith(b"\r\n"):
                    expected += b"\r\n"
                self.assertEqual(envelope.content, expected)
        self.assertEqual({o.action for o in self.outcomes}, {Action.RELAYED})

    async def test_envelope(self) -> None:
        """
        Sender, recipients and parameters arrive.
        """
        nexthop, keeper = self.serve(enable_SMTPUTF8=True)
        await self.deliver(
            nexthop,
            b"x\r\n",
            "plain@example.com",
            'a b"c@example.com',
            "\xe9@example.com",
            smtputf8=True,
            body="8BITMIME",
        )
        (envelope,) = keeper.envelopes
        self.assertEqual(
            envelope.rcpt_tos,
            ["plain@example.com", '"a b\\"c"@example.com', "\xe9@example.com"],
        )
        self.assertEqual(envelope.mail_from, "me@example.org")
        self.assertEqual(envelope.mail_options, ["SIZE=3", "BODY=8BITMIME", "SMTPUTF8"])

    async def test_too_big(self) -> None:
        """
        A message over the server's limit is not sent.
        """
        nexthop, keeper = self.serve(data_size_limit=1000)
        await self.deliver(nexthop, b"x\r\n" * 1000)
        (outcome,) = self.outcomes
        self.assertEqual((outcome.action, outcome.status), (Action.FAILED, "5.3.4"))
        self.assertEqual(keeper.envelopes, [])

    async def test_long_lines(self) -> None:
        """
        Lines over 998 octets are broken, or aiosmtpd would refuse them.
        """
        nexthop, keeper = self.serve()
        await self.deliver(nexthop, b"x" * 3000 + b"\r\n")
        lines = keeper.envelopes[0].content.split(b"\r\n")
        self.assertEqual([len(line) for line in lines], [998, 998, 998, 9, 0])

    async def test_smtputf8_needed(self) -> None:
        """
        What needs SMTPUTF8 is not sent without.
        """
        nexthop, keeper = self.serve(enable_SMTPUTF8=False)
        await self.deliver(nexthop, b"x\r\n", "\xe9@example.com", smtputf8=True)
        self.assertEqual(self.outcomes[0].status, "5.6.7")
        self.assertEqual(keeper.envelopes, [])
