"""
Tests of L{txmta.smtp.client_forwarding}, alone and through the engine.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from tests.smtp.client.driving import GREETING, LABEL, Driven, transaction
from txmta.model import Client, Envelope
from txmta.smtp.client_commands import Transaction
from txmta.smtp.client_events import ClientRules
from txmta.smtp.client_forwarding import offered, xforward

_ALL = offered("NAME ADDR PROTO HELO SOURCE PORT IDENT NEW")
_CLIENT = Client("192.0.2.1", 25, "a.test", "a.test")
_OK = b"250 ok\r\n"


def message(**more: object) -> Envelope:
    values = {"client": _CLIENT, "helo": "h e", "protocol": "ESMTP", **more}
    return replace(transaction("a@example.com").envelope, **values)  # type: ignore[arg-type]


class CommandTests(SynchronousTestCase):
    def test_from_a_client(self) -> None:
        self.assertEqual(
            xforward(message(), _ALL),
            [
                "XFORWARD NAME=a.test ADDR=192.0.2.1 PORT=25",
                "XFORWARD PROTO=ESMTP HELO=h+20e IDENT=ABC SOURCE=REMOTE",
            ],
        )

    def test_made_here(self) -> None:
        local = transaction("a@example.com").envelope
        self.assertEqual(xforward(local, _ALL), ["XFORWARD IDENT=ABC SOURCE=LOCAL"])

    def test_forwarded(self) -> None:
        """
        What another filter said counts, and nothing else.
        """
        said = message(
            forwarded=(("NAME", ""), ("ADDR", "2001:db8::1"), ("IDENT", "X"))
        )
        self.assertEqual(
            xforward(said, _ALL),
            [
                "XFORWARD ADDR=IPv6:2001:db8::1",
                "XFORWARD IDENT=X SOURCE=REMOTE",
            ],
        )

    def test_what_the_server_takes(self) -> None:
        self.assertEqual(xforward(message(), ()), [])
        self.assertEqual(xforward(message(), ("IDENT",)), ["XFORWARD IDENT=ABC"])


class EngineTests(SynchronousTestCase):
    def _begun(self, offers: bytes, rules: ClientRules | None = None) -> Driven:
        driven = Driven(rules or ClientRules("me.example.org"))
        driven.receive(GREETING, b"250-mail.example.com\r\n" + offers)
        driven.take()
        driven.new_events()
        work = transaction("a@example.com")
        driven.begin(Transaction(message(), work.recipients, work.size))
        return driven

    def test_pipelined(self) -> None:
        driven = self._begun(b"250-PIPELINING\r\n250 XFORWARD NAME IDENT\r\n")
        self.assertEqual(
            driven.take(),
            b"XFORWARD NAME=a.test\r\nXFORWARD IDENT=ABC\r\n"
            b"MAIL FROM:<me@example.org>\r\nRCPT TO:<a@example.com>\r\nDATA\r\n",
        )
        driven.receive(_OK * 4, b"354 go\r\n", _OK)
        self.assertEqual(driven.events[1], ("accepted", "250 ok"))

    def test_one_by_one(self) -> None:
        driven = self._begun(b"250 XFORWARD NAME IDENT\r\n")
        for command in (
            b"XFORWARD NAME=a.test\r\n",
            b"XFORWARD IDENT=ABC\r\n",
            b"MAIL FROM:<me@example.org>\r\n",
        ):
            self.assertEqual(driven.take(), command)
            driven.receive(_OK)

    def test_refused(self) -> None:
        """
        As with Postfix, the message does not go there.
        """
        no = b"550 5.7.0 no\r\n"
        reason = (
            f"host {LABEL} said: 550 5.7.0 no (in reply to XFORWARD name/address "
            "command)"
        )
        for offers, replies in (
            (b"250 XFORWARD NAME IDENT\r\n", no),
            (b"250-PIPELINING\r\n250 XFORWARD NAME IDENT\r\n", no + no * 4),
        ):
            driven = self._begun(offers)
            driven.receive(replies)
            self.assertEqual(
                driven.events, [("failed", "5.7.0", reason), ("over", True)]
            )

    def test_not_wanted(self) -> None:
        """
        Only who is told to says it.
        """
        rules = ClientRules("me.example.org", ignore=("XFORWARD",))
        driven = self._begun(b"250 XFORWARD NAME ADDR\r\n", rules)
        self.assertEqual(driven.take(), b"MAIL FROM:<me@example.org>\r\n")
