"""
TLS of the SMTP client against a server of Python's library: each level, each
certificate, and what happens when there is no TLS.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, execute
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.delivery.doubles import NOW, Content, Sink
from tests.delivery.smtp.doubles import Names
from tests.tls_help import Authority, write
from tests.tls_server import TlsServer
from txmta.config.settings import Settings
from txmta.delivery.context import AgentContext
from txmta.delivery.smtp import SmtpAgent
from txmta.events import Note
from txmta.interfaces import ITable
from txmta.maps.context import TableContext
from txmta.maps.inline import InlineType
from txmta.model import (
    LOCAL_CLIENT,
    Action,
    DeliveryRequest,
    Envelope,
    Outcome,
    Recipient,
)

reactor: Any = _reactor

#: Age of a message that may go in clear text after TLS has failed.
OLD = 400


def _left(server: TlsServer) -> bool:
    return server.lines[-1] == "TLS QUIT"


def _no_table(spec: str) -> ITable:
    raise AssertionError("no tables in tables here")


class ClientCase(TestCase):
    """
    A server with a certificate for C{mx.test} of an authority of ours.
    """

    timeout = 60

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=self.mktemp_root()))
        self.authority = Authority()
        self.ca = write(self.folder / "ca.pem", self.authority.certificate)
        key, certificate = self.authority.make("mx.test")
        self.certificate = write(self.folder / "server.pem", key, certificate)
        self.sink = Sink()

    def mktemp_root(self) -> str:
        path = Path(self.mktemp())
        path.mkdir(parents=True)
        return str(path)

    def server(self, kind: str = "starttls", certificate: str = "") -> TlsServer:
        server = TlsServer(certificate or self.certificate, kind=kind)
        self.addCleanup(server.close)
        return server

    def agent(self, **settings: str) -> SmtpAgent:
        values = {
            "myhostname": "me.test",
            "inet_interfaces": "loopback-only",
            "smtp_tls_CAfile": self.ca,
            "smtp_tls_loglevel": "1",
            **settings,
        }

        def table(item: str, parameter: str) -> ITable:
            context = TableContext(item, parameter, False, _no_table, float, self.fail)
            return InlineType().open(item.partition(":")[2], context)

        context = AgentContext(
            "smtp",
            Settings.of(**values),
            reactor,
            reactor,
            lambda: NOW,
            Names(),
            self.sink,
            table,
            execute,
        )
        agent = SmtpAgent(context)

        async def stop() -> None:
            agent.stop()
            await deferLater(reactor, 0.02)

        self.addCleanup(lambda: Deferred.fromCoroutine(stop()))
        return agent

    async def send(
        self, agent: SmtpAgent, server: TlsServer, age: float = 0
    ) -> Outcome:
        outcomes: list[Outcome] = []
        to = (Recipient(0, "a@example.com", "a@example.com"),)
        envelope = Envelope("QID", NOW - age, "me@example.org", to, LOCAL_CLIENT)
        content = Content(b"Subject: x\r\n\r\nbody\r\n")
        request = DeliveryRequest(
            "smtp",
            f"[127.0.0.1]:{server.port}",
            envelope,
            to,
            content.size,
            lambda: content,
        )
        await agent.deliver(request, outcomes.append)
        self.assertEqual(len(outcomes), 1)
        return outcomes[0]

    async def until(self, happened: Callable[[], bool]) -> None:
        while not happened():
            await deferLater(reactor, 0.01)

    @property
    def notes(self) -> list[str]:
        return [event.text for event in self.sink.events if isinstance(event, Note)]


class LevelTests(ClientCase):
    async def test_levels(self) -> None:
        """
        Each level with the certificate of a host, of whom the client knows the
        name, or not; in the words of the log.
        """
        named = {"smtp_tls_secure_cert_match": "mx.test"}
        match = {"smtp_tls_verify_cert_match": ".test:mx.test"}
        stranger = write(self.folder / "other.pem", Authority("Other").certificate)
        for level, more, words in (
            ("may", {}, "Trusted"),
            ("may", {"smtp_tls_CAfile": stranger}, "Untrusted"),
            ("encrypt", {"smtp_tls_CAfile": ""}, "Untrusted"),
            ("secure", named, "Verified"),
            ("verify", match, "Verified"),
            ("secure", {**named, "smtp_tls_CAfile": stranger}, ""),
            ("secure", {}, ""),
            ("verify", {}, ""),
            (
                "secure",
                {
                    **named,
                    "smtp_tls_CAfile": stranger,
                    "smtp_tls_trust_anchor_file": self.ca,
                },
                "Verified",
            ),
        ):
            server = self.server()
            outcome = await self.send(
                self.agent(smtp_tls_security_level=level, **more), server
            )
            said = [line for line in server.lines if line.startswith("TLS MAIL")]
            if words:
                self.assertIs(outcome.action, Action.RELAYED, (level, more, outcome))
                line = f"{words} TLS connection established to 127.0.0.1[127.0.0.1]"
                self.assertIn(line, self.notes[-1])
                self.assertEqual(len(said), 1)
            else:
                self.assertIs(outcome.action, Action.DELAYED, (level, more))
                self.assertEqual(outcome.status, "4.7.5")
                self.assertEqual(outcome.reason, "Server certificate not trusted")
                self.assertEqual(said, [])
                await self.until(partial(_left, server))
            self.assertNotIn("MAIL FROM", "".join(server.lines[:3]))

    async def test_fingerprint(self) -> None:
        """
        The certificate, or its key, is the one that was named.
        """
        own = x509.load_pem_x509_certificate(Path(self.certificate).read_bytes())
        good = own.fingerprint(hashes.SHA256()).hex(":")
        for match, action in ((good, Action.RELAYED), ("AB:CD", Action.DELAYED)):
            agent = self.agent(
                smtp_tls_security_level="fingerprint",
                smtp_tls_fingerprint_cert_match=match,
            )
            outcome = await self.send(agent, self.server())
            self.assertIs(outcome.action, action)


class PlainTests(ClientCase):
    """
    Servers with which there is no TLS.
    """

    async def test_required(self) -> None:
        """
        Nothing of the message is said; the reason is Postfix's.
        """
        for kind, status, words in (
            ("plain", "4.7.4", "TLS is required, but was not offered by host"),
            ("refuses", "4.7.0", "TLS is required, but host 127.0.0.1[127.0.0.1] ref"),
            ("breaks", "4.7.5", "Cannot start TLS: handshake failure"),
        ):
            for level in ("encrypt", "verify", "secure"):
                server = self.server(kind)
                agent = self.agent(smtp_tls_security_level=level)
                outcome = await self.send(agent, server, OLD)
                self.assertIs(outcome.action, Action.DELAYED)
                self.assertEqual(outcome.status, status)
                self.assertTrue(outcome.reason.startswith(words), outcome.reason)
                self.assertNotIn("MAIL", "".join(server.lines))

    async def test_optional(self) -> None:
        """
        Level may: without TLS where there is none; where it breaks, only when
        the message has waited for a while.
        """
        for kind, age, action, count in (
            ("plain", 0, Action.RELAYED, 1),
            ("refuses", 0, Action.RELAYED, 1),
            ("breaks", 0, Action.DELAYED, 0),
            ("breaks", OLD, Action.RELAYED, 1),
        ):
            server = self.server(kind)
            agent = self.agent(smtp_tls_security_level="may")
            outcome = await self.send(agent, server, age)
            self.assertIs(outcome.action, action, (kind, age, outcome.reason))
            said = [line for line in server.lines if line.startswith("MAIL")]
            self.assertEqual(len(said), count)

    async def test_injected(self) -> None:
        """
        What comes in clear text behind the 220 is never believed (the class of
        CVE-2021-38371): no message goes that way.
        """
        for level in ("may", "encrypt"):
            server = self.server("injects")
            agent = self.agent(smtp_tls_security_level=level)
            outcome = await self.send(agent, server)
            self.assertIs(outcome.action, Action.DELAYED)
            self.assertIn("response injected after STARTTLS", outcome.reason)
            self.assertNotIn("MAIL", "".join(server.lines))

    async def test_none(self) -> None:
        """
        Level none does not ask for it.
        """
        server = self.server()
        outcome = await self.send(self.agent(smtp_tls_security_level="none"), server)
        self.assertIs(outcome.action, Action.RELAYED)
        self.assertNotIn("STARTTLS", server.lines)

    async def test_noted(self) -> None:
        """
        smtp_tls_note_starttls_offer: a line in the log of what is not used.
        """
        agent = self.agent(
            smtp_tls_security_level="none", smtp_tls_note_starttls_offer="yes"
        )
        await self.send(agent, self.server())
        self.assertIn("Host offered STARTTLS: [127.0.0.1]", self.notes)

    async def test_wrapper(self) -> None:
        """
        smtp_tls_wrappermode: TLS comes before the greeting.
        """
        server = self.server("wrapper")
        agent = self.agent(
            smtp_tls_security_level="encrypt", smtp_tls_wrappermode="yes"
        )
        outcome = await self.send(agent, server)
        self.assertIs(outcome.action, Action.RELAYED, outcome.reason)
        self.assertNotIn("STARTTLS", "".join(server.lines))


class PolicyTests(ClientCase):
    async def test_tables(self) -> None:
        """
        smtp_tls_policy_maps: by next hop, over main.cf's level; what cannot be
        understood holds mail back.
        """
        for policy, action, words in (
            ("none", Action.RELAYED, ""),
            ("secure match=mx.test", Action.RELAYED, "Verified TLS"),
            ("secure match=other.test", Action.DELAYED, ""),
            ("encrypt protocols=TLSv1.2", Action.RELAYED, "TLSv1.2 with cipher"),
            ("secret", Action.DELAYED, ""),
            ("encrypt servername=sni.test", Action.RELAYED, "TLS"),
        ):
            server = self.server()
            self.sink.events.clear()
            table = f"inline:{{ {{ [127.0.0.1]:{server.port} = {policy} }} }}"
            agent = self.agent(
                smtp_tls_security_level="may", smtp_tls_policy_maps=table
            )
            outcome = await self.send(agent, server)
            self.assertIs(outcome.action, action, (policy, outcome.reason))
            if words:
                self.assertIn(words, self.notes[-1])
            if policy == "secret":
                self.assertEqual(outcome.reason, "client TLS configuration problem")
                self.assertEqual(server.lines, [])
        self.assertEqual(server.names, ["sni.test"])

    async def test_reuse(self) -> None:
        """
        Connections with TLS are closed; with smtp_tls_connection_reuse they are
        kept. Sessions are resumed with smtp_tls_session_cache_database, and what
        was verified stays so.
        """
        for more, handshakes, resumed in (
            ({}, 2, [False, False]),
            ({"smtp_tls_connection_reuse": "yes"}, 1, [False]),
            ({"smtp_tls_session_cache_database": "btree:x"}, 2, [False, True]),
        ):
            server = self.server()
            agent = self.agent(
                smtp_tls_security_level="secure",
                smtp_tls_secure_cert_match="mx.test",
                **more,
            )
            for _ in range(2):
                outcome = await self.send(agent, server)
                self.assertIs(outcome.action, Action.RELAYED, outcome.reason)
            self.assertEqual(len(server.resumed), handshakes, more)
            self.assertEqual(server.resumed, resumed)
            self.assertIn("Verified TLS connection", self.notes[-1])
