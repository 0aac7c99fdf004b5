"""
Small roles that run in real children of a real master.

C{smtpd} answers lines: see L{Talk}. C{qmgr} notes each doorbell. C{local} has
no reactor. C{log} is the real collector.
"""

from __future__ import annotations

import errno
import os
import select
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NoReturn, cast

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.protocols.basic import LineReceiver

from txmta.child import BlockingContext, ChildContext, Kit
from txmta.child_process import run
from txmta.config.main_cf import read_main_cf
from txmta.config.master_cf import read_master_cf
from txmta.config.settings import Definition, Settings
from txmta.config.snapshot import Configuration, unpack
from txmta.errors import ConfigError
from txmta.events import Note
from txmta.log.collector import Collector
from txmta.log.maillog import Target
from txmta.log.sinks import FileTarget
from txmta.master.frames import Record
from txmta.master.link import Link
from txmta.master.link_transport import adopt
from txmta.master.records import Number, Schema


def entry(role: str, n: int, settings: int, fds: Mapping[str, int]) -> NoReturn:
    """
    As C{txmta.child.main}, with these roles.
    """
    here = "tests.master.roles_of_tests"
    roles = {"smtpd": "Smtpd", "qmgr": "Qmgr", "log": "LogWriter"}
    kit = Kit(
        {name: f"{here}:{kind}" for name, kind in roles.items()},
        {"local": f"{here}:local"},
        confined,
        log_file,
        load,
        lambda role, configuration: configuration,
    )
    run(role, n, settings, fds, kit)


def out_of_processes(role: str, settings: int) -> None:
    """
    Before each fork: there is no process left, while a file C{full} says so.
    """
    folder = os.path.dirname(unpack(os.dup(settings)).path)
    os.fork = _no_fork if os.path.exists(f"{folder}/full") else _fork


def _no_fork() -> int:
    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))


_fork = os.fork
entry.before = out_of_processes  # type: ignore[attr-defined]


def load(path: str, allow_not_yet: bool = False) -> Configuration:
    """
    Read main.cf and master.cf, and no more: this is quick.
    """
    definitions = dict(read_main_cf(path).definitions)
    definitions["config_directory"] = Definition(os.path.dirname(path), path)
    services = read_master_cf(os.path.join(os.path.dirname(path), "master.cf"))
    return Configuration(path, Settings(definitions), services)


def confined(role: str, configuration: Configuration) -> Sequence[str]:
    return (f"{role} is confined",)


def log_file(configuration: Configuration) -> Target:
    return FileTarget(configuration.settings.maillog_file)


def text(context: Any, name: str) -> str:
    """
    @return: a parameter of the test's own.
    """
    found: str = context.configuration.settings.text(name)
    return found


class Talk(LineReceiver):
    """
    Says who it is; then C{hang} hangs, C{ring} rings, C{exit} exits; all else
    is sent back.
    """

    delimiter = b"\n"

    def __init__(self, role: Smtpd) -> None:
        self._role = role

    def connectionMade(self) -> None:
        self._role.talks.add(self)
        context = self._role.context
        self.sendLine(f"{os.getpid()} {text(context, 'greeting')}".encode())

    def lineReceived(self, line: bytes) -> None:
        if line == b"hang":
            time.sleep(60)
        elif line == b"exit":
            os._exit(3)
        elif line == b"ring":
            for link in self._role.doorbells:
                link.send({"t": "arrived", "n": os.getpid()})
        self.sendLine(line)

    def connectionLost(self, reason: object = None) -> None:
        self._role.talks.discard(self)
        self._role.one_less()


class Smtpd:
    def __init__(self, context: ChildContext) -> None:
        self.context = context
        self.talks: set[Talk] = set()
        self.doorbells: list[Link] = []
        self._drained: Deferred[None] | None = None
        if text(context, "broken") == "make":
            raise ConfigError(["smtpd cannot be made"])

    def start(self) -> None:
        context = self.context
        if text(context, "broken") == "start":
            raise ConfigError(["smtpd cannot start", "for a reason"])
        if text(context, "broken") == "exit":
            os._exit(9)
        if text(context, "broken") == "half" and context.n % 2:
            # Time for a client to come to the other.
            time.sleep(0.5)
            raise ConfigError(["smtpd is half broken"])
        context.ends.on("doorbell", self._linked)
        factory = cast(Any, Factory.forProtocol(partial(Talk, self)))
        self._ports = [
            context.reactor.adoptStreamPort(
                each.socket.fileno(), each.socket.family, factory
            )
            for each in context.listening
        ]
        for each in context.listening:
            each.socket.close()

    def drain(self, seconds: float) -> Deferred[None]:
        for port in self._ports:
            port.stopListening()
        drained: Deferred[None] = Deferred()
        self._drained = drained
        self.context.reactor.callLater(seconds, self._time_is_up)
        self.one_less()
        return drained

    def one_less(self) -> None:
        if self._drained is not None and not self.talks:
            drained, self._drained = self._drained, None
            drained.callback(None)

    def _time_is_up(self) -> None:
        for talk in self.talks:
            cast(Any, talk.transport).abortConnection()

    def _linked(self, peer: str, descriptor: int) -> None:
        link = Link(peer, {}, self.context.reactor, lost=lambda reason: lost(reason))

        def lost(reason: str) -> None:
            self.doorbells.remove(link)

        self.doorbells.append(link)
        adopt(cast(Any, self.context.reactor), descriptor, link)


class Qmgr:
    def __init__(self, context: ChildContext) -> None:
        self.context = context
        self._claim = os.path.join(
            context.configuration.settings.config_directory, "claim"
        )

    def start(self) -> None:
        # Fails if there is another.
        self._note("claims")
        os.close(os.open(self._claim, os.O_CREAT | os.O_EXCL))
        for kind in ("doorbell", "delivery", "handover"):
            self.context.ends.on(kind, self._taker(kind))

    def drain(self, seconds: float) -> Deferred[None]:
        # Long enough for another to start meanwhile, which it must not.
        return deferLater(cast(Any, self.context.reactor), 0.2, self._give_up)

    def _give_up(self) -> None:
        os.unlink(self._claim)
        self._note("gives up")

    def _taker(self, kind: str) -> Any:
        def take(peer: str, descriptor: int) -> None:
            def rung(record: Record) -> None:
                self._note(f"rung by {record['n']}")

            handlers = {"arrived": (Schema({"n": Number(1, 1 << 31)}), rung)}
            link = Link(peer, handlers, self.context.reactor, lost=lambda reason: None)
            adopt(cast(Any, self.context.reactor), descriptor, link)
            self._note(f"{kind} of {peer.partition('.')[0]}")

        return take

    def _note(self, text: str) -> None:
        self.context.sink.emit(Note("qmgr", f"{os.getpid()} {text}"))


class LogWriter:
    def __init__(self, context: ChildContext) -> None:
        self.context = context
        self._collector = Collector(log_file(context.configuration), context.reactor)

    def start(self) -> None:
        self.context.ends.on("log", self._collector.add)

    def drain(self, seconds: float) -> None:
        self._collector.close()


def local(context: BlockingContext) -> None:
    """
    Waits to be drained.
    """
    ends: list[str] = []
    context.ends.on("delivery", lambda peer, fd: ends.append(peer))
    context.sink.emit(Note("local", f"{os.getpid()} works"))
    context.control.ready()
    poll = select.poll()
    poll.register(context.control, select.POLLIN)
    while context.control.draining is None:
        poll.poll(1000)
        context.control.handle()
    context.control.drained()
