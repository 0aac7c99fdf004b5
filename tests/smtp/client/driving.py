"""
Drive a L{ClientEngine} without a network.
"""

from __future__ import annotations

from collections.abc import Sequence

from txmta.model import LOCAL_CLIENT, Envelope, Recipient
from txmta.smtp.client_commands import Transaction
from txmta.smtp.client_engine import ClientEngine
from txmta.smtp.client_events import (
    Accepted,
    ClientRules,
    Delivered,
    Event,
    Failed,
    GoAhead,
    Over,
    Peer,
    Ready,
    Refused,
    Stage,
    StartTls,
)

LABEL = "mail.example.com[192.0.2.1]"

GREETING = b"220 mail.example.com ESMTP\r\n"
PLAIN = b"250 mail.example.com\r\n"
PIPELINING = b"250-mail.example.com\r\n250 PIPELINING\r\n"


def recipients(*addresses: str) -> tuple[Recipient, ...]:
    return tuple(Recipient(n, a, a) for n, a in enumerate(addresses))


def transaction(
    *addresses: str,
    sender: str = "me@example.org",
    size: int = 10,
    smtputf8: bool = False,
    needs_smtputf8: bool = False,
    body: str = "",
) -> Transaction:
    who = recipients(*addresses)
    envelope = Envelope(
        "ABC", 0.0, sender, who, LOCAL_CLIENT, smtputf8=smtputf8, envid="", ret=""
    )
    return Transaction(envelope, who, size, body, needs_smtputf8)


def plain(event: Event) -> tuple[object, ...]:
    """
    An event as something that is easy to compare and to read.
    """
    match event:
        case Ready():
            return ("ready",)
        case StartTls():
            return ("starttls",)
        case GoAhead():
            return ("go",)
        case Refused(index, trouble):
            return ("refused", index, trouble.status, trouble.reason)
        case Failed(trouble) if trouble.unused:
            return ("unused", trouble.status, trouble.reason)
        case Failed(trouble):
            return ("failed", trouble.status, trouble.reason)
        case Accepted(reply):
            return ("accepted", reply.text)
        case Delivered(index, reply):
            return ("delivered", index, reply.text)
        case Over(reusable):
            return ("over", reusable)
    raise AssertionError(event)


class Driven:
    """
    An engine, and all that it has said. Content is sent as soon as it may.
    """

    def __init__(
        self,
        rules: ClientRules | None = None,
        best: bool = True,
        peer: Peer | None = None,
    ) -> None:
        rules = rules or ClientRules("me.example.org")
        self.engine = ClientEngine(rules, peer or Peer(LABEL, "example.com", best))
        self.events: list[tuple[object, ...]] = []
        self.out = b""

    def take(self) -> bytes:
        """
        What was sent since the last call.
        """
        out, self.out = self.out, b""
        return out

    def heard(self, events: Sequence[Event]) -> None:
        self.out += self.engine.take()
        for event in events:
            self.events.append(plain(event))
            if isinstance(event, GoAhead) and self.engine.stage is Stage.CONTENT:
                self.out += b"<content>"
                self.engine.sent()

    def receive(self, *segments: bytes) -> None:
        for segment in segments:
            self.heard(self.engine.receive(segment))

    def begin(self, work: Transaction) -> None:
        self.heard(self.engine.begin(work))

    def new_events(self) -> list[tuple[object, ...]]:
        events, self.events = self.events, []
        return events


def ready(offers: bytes = PIPELINING, rules: ClientRules | None = None) -> Driven:
    """
    An engine after the handshake.
    """
    driven = Driven(rules)
    driven.receive(GREETING, offers)
    assert driven.new_events() == [("ready",)]
    driven.take()
    return driven
