"""
The life of a forked child.

Owns: the order of things in a child: configuration, reactor, role,
    confinement, start, and the end; its talk with master.
Knows nothing of: what a role does (L{txmta.child}); forking
    (L{txmta.master.fork_server}).

A role is made while its process still has the rights of root, so that it can
read tables and keys that only root may; it is started when these are gone, and
opens the queue only then.

Errors: L{ConfigError<txmta.errors.ConfigError>} is told to master, which says
so; exit status 78. Anything else: a traceback on standard error; 70.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn, cast

from twisted.internet import epollreactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from txmta.child import BlockingContext, ChildContext, Ends, Kit, Role
from txmta.config.snapshot import Configuration, unpack, write_result
from txmta.errors import ConfigError
from txmta.events import Event, Note
from txmta.interfaces import IEventSink
from txmta.log.datagrams import DatagramTarget
from txmta.log.maillog import MailLog, Target
from txmta.master.binding import Bound
from txmta.master.channel import Channel, Handlers
from txmta.master.children import FATAL
from txmta.master.control import ORPHAN, BlockingControl
from txmta.master.fork_server import EX_SOFTWARE
from txmta.master.frames import Record
from txmta.master.promised_reactor import withdraw
from txmta.master.records import Flag, Number, Real, Schema, Text
from txmta.master.reload import CHECK
from txmta.master.sockets import Listen
from txmta.master.wiring import LOG

if TYPE_CHECKING:
    from txmta.roles.shared import Reactor

#: Exit status of a configuration that cannot be used (sysexits.h).
EX_CONFIG = 78


def run(role: str, n: int, settings: int, fds: Mapping[str, int], kit: Kit) -> NoReturn:
    """
    Be a child.

    @param settings: a descriptor, of a configuration in octets.
    @param fds: all other descriptors, by name.
    """
    faulthandler.enable()
    given = dict(fds)
    end = socket.socket(fileno=given.pop("control"))
    status = EX_SOFTWARE
    # Nothing may be thrown from here: the fork server's frames are above.
    try:
        configuration = unpack(settings)
        if role == CHECK:
            _check(configuration, given["result"], kit)
            status = 0
        elif role in kit.blocking:
            status = _run_blocking(role, n, configuration, end, given, kit)
        else:
            status = _run_reactor(role, n, configuration, end, given, kit)
    except ConfigError as e:
        BlockingControl(end).fatal("\n".join(e.problems)[:FATAL])
        status = EX_CONFIG
    except BaseException:
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(status)


def _check(old: Configuration, result: int, kit: Kit) -> None:
    """
    For a reload: is there a configuration that can be used?
    """
    try:
        write_result(result, kit.load(old.path, old.allow_not_yet))
    except ConfigError as e:
        write_result(result, e.problems)


def _run_blocking(
    role: str,
    n: int,
    configuration: Configuration,
    end: socket.socket,
    given: dict[str, int],
    kit: Kit,
) -> int:
    log = _mail_log(configuration, given, kit, Clock(), _at_once)
    ends = Ends()
    control = BlockingControl(end)
    control.adopt = ends.add
    control.last = ends.last
    for name in [name for name in given if ":" in name]:
        ends.add(name, given.pop(name))
    make = _load(kit.blocking[role])
    context = BlockingContext(
        role, n, kit.seen(role, configuration), _Plain(log), control, ends, given
    )
    _spare_the_collector()
    for note in kit.confine(role, configuration):
        context.sink.emit(Note(role, note))
    make(context)
    return 0


def _run_reactor(
    role: str,
    n: int,
    configuration: Configuration,
    end: socket.socket,
    given: dict[str, int],
    kit: Kit,
) -> int:
    withdraw()
    epollreactor.install()
    from twisted.internet import reactor as installed

    reactor = cast("Reactor", installed)
    cast(Any, reactor).seconds = time.monotonic
    log_trouble()
    log = _mail_log(configuration, given, kit, reactor, reactor.callFromThread)
    listening = _listening(configuration, given)
    ends = Ends()
    seen = kit.seen(role, configuration)
    context = ChildContext(role, n, seen, reactor, time.time, log, listening, ends)
    for name, descriptor in given.items():
        ends.add(name, descriptor)
    made: Role = _load(kit.roles[role])(context)
    life = _Life(context, made, end)
    configuration.files.close()
    _spare_the_collector()
    for note in kit.confine(role, configuration):
        log.emit(Note(role, note))
    reactor.callWhenRunning(life.begin)
    cast(Any, reactor).run(installSignalHandlers=False)
    log.close()
    return life.status


class _Life:
    """
    From the start to the end, as master wants it.
    """

    def __init__(self, context: ChildContext, role: Role, end: socket.socket) -> None:
        self.status = EX_SOFTWARE
        self._context = context
        self._role = role
        self._begun = False
        self._ending = False
        handlers: Handlers = {
            "beat": (Schema({"n": Number(0, 1 << 31)}), self._beat),
            "drain": (Schema({"seconds": Real(0, 1e6), "last": Flag()}), self._drain),
            "adopt": (Schema({"name": Text(200)}), self._adopt),
        }
        self._channel = Channel(
            end, cast(Any, context.reactor), handlers, self._orphaned, descriptors=1
        )

    def begin(self) -> None:
        begun = Deferred.fromCoroutine(self._begin())
        begun.addErrback(self._failed)

    async def _begin(self) -> None:
        try:
            await _maybe_later(self._role.start())
        except ConfigError as e:
            text = "\n".join(e.problems)[:FATAL]
            self._channel.send({"t": "fatal", "text": text})
            self._stop(EX_CONFIG)
            return
        self._begun = True
        self._channel.send({"t": "ready"})

    def _drain(self, record: Record, _descriptors: Sequence[int]) -> None:
        if record["last"]:
            self._context.ends.last()
        if self._ending:
            return
        self._ending = True
        drained = Deferred.fromCoroutine(self._end(float(str(record["seconds"]))))
        drained.addErrback(self._failed)

    async def _end(self, seconds: float) -> None:
        if self._begun:
            await _maybe_later(self._role.drain(seconds))
        self._channel.send({"t": "drained"})
        self._stop(0)

    def _beat(self, record: Record, _descriptors: Sequence[int]) -> None:
        self._channel.send(record)

    def _adopt(self, record: Record, descriptors: Sequence[int]) -> None:
        for each in descriptors:
            self._context.ends.add(str(record["name"]), each)

    def _orphaned(self, reason: str) -> None:
        # Master is gone, and with it what the work is for.
        os._exit(ORPHAN)

    def _failed(self, failure: Failure) -> None:
        failure.printTraceback(sys.stderr)
        self._stop(EX_SOFTWARE)

    def _stop(self, status: int) -> None:
        self.status = status
        self._channel.close()
        cast(Any, self._context.reactor).stop()


@implementer(IEventSink)
class _Plain:
    """
    Writes each line at once.
    """

    def __init__(self, log: MailLog) -> None:
        self._log = log

    def emit(self, event: Event) -> None:
        self._log.emit(event)
        self._log.flush()


def _mail_log(
    configuration: Configuration,
    given: dict[str, int],
    kit: Kit,
    clock: Any,
    call_from_thread: Callable[..., object],
) -> MailLog:
    settings = configuration.settings
    if LOG in given:
        end = socket.socket(fileno=given.pop(LOG))
        target: Target = DatagramTarget(end, bool(settings.maillog_file), clock)
    else:
        target = kit.target(configuration)
    names = (settings.myhostname, settings.syslog_name, os.getpid())
    return MailLog(target, clock, time.time, call_from_thread, names)


def _listening(configuration: Configuration, given: dict[str, int]) -> list[Bound]:
    found = []
    for name in [name for name in given if name.startswith("listen:")]:
        _, service, port, host = name.split(":", 3)
        listen = Listen(host, int(port), configuration.services[int(service)])
        found.append(Bound(listen, socket.socket(fileno=given.pop(name))))
    return found


def _load(name: str) -> Callable[[Any], Any]:
    module, _, attribute = name.partition(":")
    found: Callable[[Any], Any] = getattr(importlib.import_module(module), attribute)
    return found


@cache
def log_trouble() -> None:
    """
    What parts of Twisted complain about, on standard error.
    """
    wanted = LogLevelFilterPredicate(LogLevel.warn)
    observer = FilteringLogObserver(textFileLogObserver(sys.stderr), [wanted])
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)


def _spare_the_collector() -> None:
    """
    Look for garbage less often, and not among what lives as long as we do.
    """
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


async def _maybe_later(result: object) -> None:
    if isinstance(result, Deferred):
        await result


def _at_once(call: Callable[..., object], *arguments: object) -> object:
    return call(*arguments)
