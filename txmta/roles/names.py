"""
The syslog_name of single services: C{-o syslog_name=postfix/submission}.

Owns: which lines of the log have another name in front than main.cf says.
Knows nothing of: how lines are made and written.

Sources: Postfix's postconf(5), syslog_name.

Errors: none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from zope.interface import implementer

from txmta.config.master_cf import Service as MasterService
from txmta.config.settings import Settings
from txmta.events import Delivery, Event
from txmta.interfaces import IEventSink
from txmta.roles.shared import Shared


def sink_of(shared: Shared, settings: Settings) -> IEventSink:
    """
    @param settings: of a service.
    @return: for all that is said of it.
    """
    name = _own_name(shared, settings)
    return NamedSink(shared.sink, name) if name else shared.sink


def sink_of_deliveries(
    shared: Shared, transports: Iterable[MasterService]
) -> IEventSink:
    """
    @return: for who tells of deliveries, whatever made them.
    """
    found = ((s.name, _own_name(shared, shared.of(s))) for s in transports)
    names = {service: name for service, name in found if name}
    return DeliverySink(shared.sink, names) if names else shared.sink


def _own_name(shared: Shared, settings: Settings) -> str:
    own = settings.syslog_name
    return "" if own == shared.settings.syslog_name else own


@implementer(IEventSink)
class NamedSink:
    """
    Puts a name before the program.
    """

    def __init__(self, sink: IEventSink, name: str) -> None:
        self._sink = sink
        self._name = name

    def emit(self, event: Event) -> None:
        _name(event, self._name)
        self._sink.emit(event)


@implementer(IEventSink)
class DeliverySink:
    """
    The same for deliveries, by transport.
    """

    def __init__(self, sink: IEventSink, names: Mapping[str, str]) -> None:
        self._sink = sink
        self._names = names

    def emit(self, event: Event) -> None:
        if type(event) is Delivery:
            name = self._names.get(event.request.transport)
            if name is not None:
                _name(event, name)
        self._sink.emit(event)


def _name(event: Event, name: str) -> None:
    # It may have come this way before.
    if "/" not in event.program:
        event.program = f"{name}/{event.program}"
