"""
The proxymap role: has tables open for processes that may not open them.

Owns: which tables these are.
Knows nothing of: how it is asked (L{txmta.master.answerer}), what tables hold.

What may be asked for is known before anybody asks: what proxy_read_maps
approves, and for a process in a jail the tables that it cannot read there.
They are opened at the start, while the process has the rights of root.

Sources: Postfix's proxymap(8).

Errors: none; a table that cannot be opened is told to who asks for it. What a
configuration uses has been looked at before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, TimeoutError

from txmta.config.settings import Settings
from txmta.config.snapshot import Configuration
from txmta.errors import ConfigError
from txmta.events import Warn
from txmta.interfaces import ITable
from txmta.maps.context import Ways
from txmta.maps.files import reader_of
from txmta.maps.proxy import approved
from txmta.maps.registry import TableRegistry
from txmta.master.answerer import Answerer, Missing
from txmta.master.confined_role import jailed, served
from txmta.master.link_transport import adopt
from txmta.roles.shared import make_registry

if TYPE_CHECKING:
    from txmta.child import ChildContext

#: Roles that ask.
_ASKING = ("smtpd", "qmgr", "smtp", "pickup")

#: Where tables are named.
_KINDS = ("tables", "list", "restrictions")


def askable(configuration: Configuration) -> frozenset[str]:
    """
    @return: each C{type:name} that may be asked for.
    """
    settings, services = configuration.settings, configuration.services
    found = set(approved(settings.proxy_read_maps))
    registry = make_registry(settings, float, _ignore, Ways())
    for role in _ASKING:
        apart = registry.is_apart if jailed(role, services) else registry.is_remote
        for variant in _variants(role, configuration):
            found.update(_unreadable(variant, apart))
    return frozenset(found)


def _variants(role: str, configuration: Configuration) -> Iterator[Settings]:
    yield configuration.settings
    for service in served(role, configuration.services):
        if service.overrides:
            yield configuration.settings.override(service.overrides, service.where)


def _unreadable(settings: Settings, apart: Callable[[str], bool]) -> Iterator[str]:
    """
    @param apart: whether a C{type:name} must be asked for.
    @return: what these settings name that is more than the content of a file.
    """
    for name in (*settings.names(), *settings.definitions):
        parameter = settings.parameter(name)
        # Any other name may be a restriction class.
        if parameter is not None and parameter.kind not in _KINDS:
            continue
        try:
            words = re.split(r"[,\s{}]+", settings.text(name))
        except ValueError:
            continue
        for word in words:
            if apart(word.lstrip("!")):
                yield word.lstrip("!")


class ProxymapChild:
    """
    Answers for tables.
    """

    def __init__(self, context: ChildContext) -> None:
        configuration, reactor = context.configuration, context.reactor
        self._sink = context.sink
        registry = make_registry(
            configuration.settings,
            reactor.seconds,
            partial(self._warn, "maps"),
            Ways(reader_of(configuration.files), reactor=reactor),
        )
        tables = {each: opened(registry, each) for each in askable(configuration)}
        warn = partial(self._warn, "proxymap")
        self._answerer = Answerer(tables, reactor, warn)
        self._reactor = reactor
        context.ends.on("proxy", self._take)

    def start(self) -> None:
        """
        It has begun.
        """

    def drain(self, seconds: float) -> Deferred[None]:
        """
        Those of our configuration that still work ask on.
        """
        left = self._answerer.when_left()
        left.addTimeout(seconds, self._reactor)
        left.addErrback(lambda failure: failure.trap(TimeoutError))
        return left.addCallback(lambda _: self._answerer.stop())

    def _take(self, peer: str, descriptor: int) -> None:
        adopt(self._reactor, descriptor, self._answerer.link(peer))

    def _warn(self, program: str, text: str) -> None:
        self._sink.emit(Warn(program, text))


def opened(registry: TableRegistry, spec: str) -> ITable | Missing:
    """
    @return: a table, or why it is not there.
    """
    try:
        return registry.table(spec, "proxy_read_maps")
    except ConfigError as e:
        return Missing("; ".join(e.problems))


def _ignore(_text: str) -> None:
    """
    Nothing is opened here.
    """
