"""
The master: owns the listening sockets and the children, and reads no mail.

Owns: signals, start, reload and stop; what the service manager is told.
Knows nothing of: what any role does; how children are made
    (L{txmta.master.places}).

Order at start: queue directory, lock, log, sockets (C{privilegedStartService});
fork server, children; ready. SIGHUP: the configuration is read anew, and if it
is good, new children take over. SIGTERM: all finish within a limit.

Sources: Postfix's C{master/master.c}, C{master/master_sig.c}; sd_notify(3).

Errors: one line each on standard error and exit status 1 at the start; in the
log later.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import (
    IDelayedCall,
    IReactorCore,
    IReactorFromThreads,
)
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from txmta.config.place import with_place
from txmta.config.snapshot import Configuration
from txmta.errors import ConfigError
from txmta.events import Event, Fatal, Note, Warn
from txmta.interfaces import IEventSink
from txmta.master.allowed import repeat_allowed
from txmta.master.beat import INTERVAL, Beat
from txmta.master.binding import Bound
from txmta.master.certificates import watch
from txmta.master.family import Family, Post, StartFailed
from txmta.master.fleet import Fleet, Timing
from txmta.master.forking import FdReactor
from txmta.master.lock import QueueLock
from txmta.master.notify import Notify
from txmta.master.reload import read_again
from txmta.master.wiring import Wiring


class MasterReactor(FdReactor, IReactorCore, IReactorFromThreads):
    """
    All that the service uses of a reactor.
    """


class Log(Protocol):
    """
    An event sink that can be closed.
    """

    def emit(self, event: Event) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Ground:
    """
    What the server stands on.

    @ivar sockets: listening.
    @ivar extras: other descriptors, by role and name.
    """

    lock: QueueLock
    sockets: Sequence[Bound]
    log: Log
    extras: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Arrangement:
    """
    What the children are.

    @ivar entry: see L{command<txmta.master.fork_server.command>}.
    @ivar plan: which children a configuration wants.
    @ivar prepare: does what only root can do.
    @ivar say_fatal: where an administrator at a terminal sees it.
    @ivar end: says so too, and ends a start that has just begun.
    @ivar log: there is a role that writes the log.
    """

    entry: str
    preload: Sequence[str]
    plan: Callable[[Configuration], Sequence[Post]]
    prepare: Callable[[Configuration], Ground]
    say_fatal: Callable[[Sequence[str]], None]
    end: Callable[[ConfigError], object]
    log: bool = True
    timing: Timing = field(default_factory=Timing)
    beat: float = INTERVAL


class Master(Service):
    """
    The server as a master and its children (process_model = multi).
    """

    _log = Logger()

    def __init__(
        self,
        arrangement: Arrangement,
        configuration: Configuration,
        reactor: MasterReactor,
    ) -> None:
        self._arrangement = arrangement
        self._configuration = configuration
        self._reactor = reactor
        self._notify = Notify()
        self._repeat: LoopingCall | None = None
        self._watch: LoopingCall | None = None
        self._under_way: Deferred[None] | None = None
        self._again = False
        self._starting = False
        self._stopping = False
        self._watchdog: IDelayedCall | None = None

    def privilegedStartService(self) -> None:
        """
        What only root can do; root we remain.
        """
        arrangement = self._arrangement
        self._notify = Notify.from_environment(os.environ)
        self._ids = os.geteuid(), os.getegid()
        try:
            self._ground = arrangement.prepare(self._configuration)
        except ConfigError as e:
            arrangement.end(e)
            raise SystemExit(1) from e
        self._family = Family(
            self._reactor,
            cast(IEventSink, self._ground.log),
            Wiring(log=arrangement.log),
            arrangement.entry,
            arrangement.preload,
            self._ground.extras,
        )
        self._fleet = Fleet(
            self._family, arrangement.plan, self._ground.sockets, arrangement.timing
        )
        self._beat = Beat(self._reactor, self._family.children.values, arrangement.beat)

    def startService(self) -> None:
        super().startService()
        if (os.geteuid(), os.getegid()) != self._ids:
            words = "twistd --uid, --gid: leave out: children have rights of their own"
            error = ConfigError([words])
            self._arrangement.end(error)
            raise SystemExit(1)
        signal.signal(signal.SIGHUP, self._hangup)
        self._repeat = repeat_allowed(
            self._reactor, lambda: self._configuration, self._warn
        )
        self._watch = watch(self._reactor, lambda: self._configuration, self._renewed)
        # Children die with the thread that forks: the reactor's.
        self._reactor.callWhenRunning(self._do, self._start)

    def stopService(self) -> Deferred[None]:
        """
        @return: fires when all children are gone.
        """
        super().stopService()
        self._stopping = True
        for call in (self._repeat, self._watch):
            if call is not None:
                call.stop()
        return Deferred.fromCoroutine(self._stop())

    async def _start(self) -> None:
        self._warn_of_configuration()
        self._beat.start()
        self._starting = True
        try:
            await self._fleet.start(self._configuration)
        except CancelledError:
            return  # to stop, or to read the configuration again
        except StartFailed as e:
            self._say_fatal(e.problems)
            self._fleet.abandon()
            self._end_badly()
            return
        except Exception:
            self._fleet.abandon()
            self._end_badly()
            raise
        finally:
            self._starting = False
        self._note(f"daemon started -- configuration {self._configuration.path}")
        self._ready()

    async def _reload(self) -> None:
        self._again = False
        old = self._configuration
        self._note(f"reload -- configuration {old.path}")
        self._notify.reloading(time.monotonic())
        try:
            await self._change(old)
        except ConfigError as e:
            for problem in e.problems:
                self._warn(problem)
            self._warn("reload: the configuration stays as it was")
        else:
            self._warn_of_configuration()
            self._note("reload: done")
        self._ready()

    async def _change(self, old: Configuration) -> None:
        family = self._family
        try:
            forking = family.fork_server()
        except OSError as e:
            raise ConfigError([f"fork server: {e.strerror}"]) from e
        try:
            new = await read_again(forking, self._reactor, old, family.number())
        except BaseException:
            forking.hang_up()
            raise
        await self._fleet.change(new, forking)
        self._configuration = new

    async def _stop(self) -> None:
        self._notify.stopping()
        self._note("stopping: sessions and deliveries under way may finish")
        if self._under_way is not None:
            self._under_way.cancel()
        try:
            await self._fleet.stop()
        except Exception:
            self._log.failure("trouble while stopping")
        self._beat.stop()
        if self._watchdog is not None and self._watchdog.active():
            self._watchdog.cancel()
        self._note("stopped")
        self._ground.log.close()
        self._ground.lock.release()

    def _do(self, what: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """
        One thing at a time.
        """
        if self._stopping:
            return
        under_way = Deferred.fromCoroutine(what())
        self._under_way = under_way
        under_way.addErrback(self._trouble)
        under_way.addBoth(self._done)

    def _done(self, _result: object) -> None:
        self._under_way = None
        if self._again:
            self._do(self._reload)

    def _trouble(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self._log.failure("trouble in master", failure=failure)
            self._warn(f"trouble in master: {failure.value}")

    def _hangup(self, _number: int, _frame: object) -> None:
        self._reactor.callFromThread(self._hung_up)

    def _renewed(self) -> None:
        self._note("keys or certificates have changed")
        self._hung_up()

    def _hung_up(self) -> None:
        if self._under_way is not None:
            self._again = True  # once, however often it came
            if self._starting:
                # Perhaps it would wait for ever, for what is mended now.
                self._under_way.cancel()
        else:
            self._do(self._reload)

    def _ready(self) -> None:
        self._notify.ready("running")
        if self._watchdog is None:
            self._show_life()

    def _show_life(self) -> None:
        """
        To the service manager's watchdog, while all children live.
        """
        if self._notify.watchdog:
            if self._beat.fresh:
                self._notify.alive()
            self._watchdog = self._reactor.callLater(
                self._notify.watchdog / 2, self._show_life
            )

    def _end_badly(self) -> None:
        # twistd has no other way to end with a status of ours.
        atexit.register(_exit_with, 1)
        self._reactor.stop()

    def _warn_of_configuration(self) -> None:
        for warning in self._configuration.warnings:
            self._warn(warning)
        for note in self._configuration.notes:
            self._note(note)

    def _say_fatal(self, problems: Sequence[str]) -> None:
        """
        In the log, too: a daemon has no terminal.
        """
        settings = self._configuration.settings
        told = [with_place(each, settings) for each in problems]
        for each in told:
            self._ground.log.emit(Fatal("master", each))
        self._arrangement.say_fatal(told)

    def _note(self, text: str) -> None:
        self._ground.log.emit(Note("master", text))

    def _warn(self, text: str) -> None:
        self._ground.log.emit(Warn("master", text))


def _exit_with(status: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
