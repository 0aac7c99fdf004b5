"""
Stand-ins for what delivery agents are given.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from twisted.internet.defer import Deferred, execute
from twisted.internet.interfaces import IReactorTCP
from twisted.internet.task import Clock
from zope.interface import implementer

from txmta.config.settings import Settings
from txmta.delivery.context import AgentContext
from txmta.delivery.filesystem import FileSystem
from txmta.delivery.rights import Identity, OwnAccount
from txmta.delivery.syncs import Synced, sync
from txmta.errors import TableUnavailable
from txmta.events import Event, Warn
from txmta.interfaces import (
    IAddressResolver,
    IContent,
    IEventSink,
    IResolver,
    ITable,
)
from txmta.model import (
    LOCAL_CLIENT,
    AddressClass,
    DeliveryRequest,
    Envelope,
    Recipient,
    Route,
)

#: The wall clock stands still here.
NOW = 1_700_000_000.25

#: We are this user in all tests, whoever runs them.
US = Identity(1000, frozenset((1000,)))


@implementer(ITable)
class Table:
    """
    A table in memory; C{broken} ones cannot say.
    """

    def __init__(self, entries: Mapping[str, str], broken: bool = False) -> None:
        self.entries = entries
        self.broken = broken
        self.asked: list[str] = []

    def lookup(self, key: str) -> str | Deferred[str | None] | None:
        self.asked.append(key)
        if self.broken:
            raise TableUnavailable("fake:table", "is broken")
        return self.entries.get(key)


@implementer(IContent)
class Content:
    """
    Content in memory, and how much of it was asked for at most.
    """

    def __init__(self, octets: bytes, size: int = -1) -> None:
        self._octets = octets
        self.size = len(octets) if size < 0 else size
        self.largest = 0
        self.closed = 0

    def read(self, offset: int, length: int) -> bytes | Deferred[bytes]:
        self.largest = max(self.largest, length)
        return self._octets[offset : offset + length]

    def close(self) -> None:
        self.closed += 1


@implementer(IEventSink)
class Sink:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event) -> None:
        self.events.append(event)

    @property
    def warnings(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Warn)]


@implementer(IAddressResolver)
class Addresses:
    """
    C{here.test} is ours, and completes bare names.
    """

    def rewrite(self, address: str, local: bool) -> str:
        return address if "@" in address else f"{address}@here.test"

    def resolve(self, address: str, sender: str = "") -> Route | Deferred[Route]:
        if address.lower().endswith("@here.test"):
            return Route(AddressClass.LOCAL, "local", "here.test", address)
        return Route(AddressClass.DEFAULT, "smtp", "else.test", address)

    def validate(
        self, address: str, route: Route, as_sender: bool = False
    ) -> bool | Deferred[bool]:
        raise AssertionError("agents do not ask")


_BY_PATH = ("open", "mkdir", "stat", "lstat")
_BY_DESCRIPTOR = (
    "write",
    "fsync",
    "fstat",
    "pread",
    "ftruncate",
    "flock",
    "record_lock",
)


class WatchedFileSystem(FileSystem):
    """
    Notes each call that changes something, and fails those it is told to.

    @ivar calls: C{"fsync file"}, C{"fsync new"}, C{"rename"} ...
    @ivar fail: call number (from 1) to errno.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.fail: dict[int, int] = {}
        self._names: dict[int, str] = {}

        def watched(name: str) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                return self._call(name, args, kwargs)

            return call

        for name in (*_BY_PATH, *_BY_DESCRIPTOR, "rename", "unlink"):
            setattr(self, name, watched(name))

    def fsync_all(self, descriptors: Sequence[int]) -> Synced:
        return [sync(self.fsync, each) for each in descriptors]

    def _call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.calls.append(self._describe(name, args))
        error = self.fail.pop(len(self.calls), 0)
        if error:
            raise OSError(error, os.strerror(error))
        result = getattr(FileSystem, name)(*args, **kwargs)
        if name == "open":
            self._names[result] = self._what(args[0])
        return result

    def _describe(self, name: str, args: tuple[Any, ...]) -> str:
        if name in _BY_DESCRIPTOR:
            return f"{name} {self._names[args[0]]}"
        if name in _BY_PATH:
            return f"{name} {self._what(args[0])}"
        return name

    def _what(self, path: str) -> str:
        name = os.path.basename(path.rstrip("/"))
        return "file" if ".P" in name or ".V" in name else name


def acting(context: AgentContext, identity: Callable[[], Identity]) -> AgentContext:
    """
    @return: the same, for a process that has these rights.
    """
    return replace(context, rights=OwnAccount(identity))


class Setting:
    """
    A context, with what was put into it.
    """

    def __init__(
        self,
        tables: Mapping[str, Table] | None = None,
        service: str = "local",
        **settings: str,
    ) -> None:
        self.sink = Sink()
        self.clock = Clock()
        self.tables = tables or {}
        self.threads: Callable[..., Deferred[Any]] = execute
        self.context = AgentContext(
            service,
            Settings.of(**{"alias_maps": "fake:aliases", **settings}),
            cast(IReactorTCP, None),
            self.clock,
            lambda: NOW,
            cast(IResolver, None),
            self.sink,
            lambda item, parameter: self.tables.get(item) or Table({}),
            lambda function, *args: self.threads(function, *args),
            Addresses(),
        )


def request(
    *addresses: str,
    content: bytes | Content = b"Subject: hello\r\n\r\nbody\r\n",
    sender: str = "sender@else.test",
    nexthop: str = "here.test",
) -> DeliveryRequest:
    """
    @return: a request for some recipients, whose original is the same.
    """
    holder = content if isinstance(content, Content) else Content(content)
    recipients = tuple(
        Recipient(n, address, address) for n, address in enumerate(addresses)
    )
    envelope = Envelope("QUEUEID", NOW, sender, recipients, LOCAL_CLIENT)
    return DeliveryRequest(
        "local", nexthop, envelope, recipients, holder.size, lambda: holder
    )
