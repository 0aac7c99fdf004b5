"""
What cleanup talks to, as far as it does.
"""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import Deferred

from txmta.cleanup.service import Cleanup
from txmta.config.settings import Settings
from txmta.events import Event
from txmta.interfaces import IAddressResolver, IEventSink, IQueueStore
from txmta.model import Client, Envelope, Recipient, Reply

CLIENT = Client("192.0.2.1", 4711, "client.test", "client.test")


class Incoming:
    """
    An L{IIncoming<txmta.interfaces.IIncoming>} that keeps everything.
    """

    def __init__(self, envelope: Envelope) -> None:
        self.envelope = envelope
        self.blocks: list[bytes] = []
        self.aborted = False
        self.committed: Deferred[str] | None = None

    def write(self, block: bytes) -> None:
        self.blocks.append(block)

    def commit(self, envelope: Envelope | None = None) -> Deferred[str]:
        if envelope is not None:
            self.envelope = envelope
        self.committed = Deferred()
        return self.committed

    def abort(self) -> None:
        self.aborted = True

    @property
    def content(self) -> bytes:
        return b"".join(self.blocks)


class Sink:
    """
    An L{IEventSink} that keeps everything.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event) -> None:
        self.events.append(event)


class Store:
    """
    The one method of L{IQueueStore} that cleanup calls.
    """

    def __init__(self) -> None:
        self.messages: list[Incoming] = []

    def open(self, envelope: Envelope) -> Incoming:
        self.messages.append(Incoming(envelope))
        return self.messages[-1]


class Kitchen:
    """
    A cleanup with its surroundings.
    """

    def __init__(
        self, addresses: IAddressResolver | None = None, **parameters: str
    ) -> None:
        self.settings = Settings.of(**{"myhostname": "mx.here.test", **parameters})
        self.store = Store()
        self.sink = Sink()
        self.cleanup = Cleanup(
            self.settings,
            cast(IQueueStore, self.store),
            cast(IEventSink, self.sink),
            addresses,
        )

    def run(self, *blocks: bytes, **envelope: Any) -> tuple[bytes, Reply]:
        """
        @return: what the store got, and the reply.
        """
        message = self.cleanup.open(make_envelope(**envelope))
        for block in blocks:
            message.write(block)
        reply = message.finish()
        incoming = self.store.messages[-1]
        if isinstance(reply, Deferred):
            assert incoming.committed is not None
            incoming.committed.callback(incoming.envelope.queue_id)
            reply = cast(Reply, reply.result)
        return incoming.content, reply


def make_envelope(**changes: Any) -> Envelope:
    """
    @return: an ordinary message from a remote client, but for C{changes}.
    """
    fields: dict[str, Any] = {
        "queue_id": "4Xyz",
        "arrival": 1795492252.75,
        "sender": "s@x.test",
        "recipients": (Recipient(0, "r@y.test", "r@y.test"),),
        "client": CLIENT,
        "helo": "client.test",
        "protocol": "ESMTP",
    }
    fields.update(changes)
    return Envelope(**fields)
