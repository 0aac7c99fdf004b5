"""
The server in one process (process_model = single).

Owns: signals, start, reload and stop; what the service manager is told.
Knows nothing of: what any part does (L{txmta.roles.single}).

SIGHUP: the configuration is read anew, in a thread; if it is good, new roles
take over. SIGTERM: all finish within a limit.

Errors: one line each on standard error and exit status 1 at the start; in the
log later.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from functools import partial

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from txmta.build import load
from txmta.config.snapshot import Configuration
from txmta.errors import ConfigError
from txmta.events import Note, Warn
from txmta.ground import prepare
from txmta.log.maillog import MailLog, Target
from txmta.maps.context import Ways
from txmta.maps.files import reader_of
from txmta.master.allowed import repeat_allowed
from txmta.master.certificates import watch
from txmta.master.notify import Notify
from txmta.master.privileges import become
from txmta.master.reload import what_cannot_change
from txmta.queue.succession import Succession
from txmta.roles.generations import Generations
from txmta.roles.log import log_target
from txmta.roles.shared import Reactor, Shared
from txmta.roles.single import Roles
from txmta.start import end_start

#: What the log is opened by.
_LOG = ("maillog_file", "syslog_facility", "mail_owner")


class Server(Service):
    """
    The whole server in one process (process_model = single).
    """

    _log = Logger()

    def __init__(
        self,
        configuration: Configuration,
        reactor: Reactor,
        now: Callable[[], float],
    ) -> None:
        self._configuration = configuration
        self._reactor = reactor
        self._now = now
        self._notify = Notify()
        self._reloading: Deferred[None] | None = None
        self._again = False
        self._stopping = False

    def privilegedStartService(self) -> None:
        """
        What only root can do, then root's rights are gone for good.
        """
        try:
            self._prepare()
        except ConfigError as e:
            end_start(e, self._configuration.settings)

    def _prepare(self) -> None:
        ground = prepare(self._configuration)
        self._lock = ground.lock
        become(ground.account)
        self._mail_log = MailLog(
            ground.target,
            self._reactor,
            self._now,
            self._reactor.callFromThread,
            _names(self._configuration),
        )
        self._generations = Generations(
            self._make, ground.sockets, ground.public, self._reactor
        )

    def _make(
        self, configuration: Configuration, succession: Succession | None
    ) -> Roles:
        shared = Shared(
            configuration.settings,
            configuration.services,
            self._reactor,
            self._now,
            self._mail_log,
            Ways(reader_of(configuration.files), reactor=self._reactor),
        )
        return Roles(shared, succession)

    def startService(self) -> None:
        super().startService()
        self._say_what_is_configured()
        self._repeat = repeat_allowed(
            self._reactor, lambda: self._configuration, self._warn
        )
        self._watch = watch(self._reactor, lambda: self._configuration, self._renewed)
        try:
            self._generations.start(self._configuration)
        except ConfigError as e:
            end_start(e, self._configuration.settings)
        self._tell_the_service_manager()
        signal.signal(signal.SIGHUP, self._hangup)
        self._note(f"daemon started -- configuration {self._configuration.path}")

    def stopService(self) -> Deferred[None]:
        """
        @return: fires when all is delivered or written down.
        """
        super().stopService()
        self._stopping = True
        self._repeat.stop()
        self._watch.stop()
        return Deferred.fromCoroutine(self._stop())

    def _tell_the_service_manager(self) -> None:
        self._notify = Notify.from_environment(os.environ)
        self._notify.ready("running")
        if self._notify.watchdog:
            self._life = LoopingCall(self._notify.alive)
            self._life.clock = self._reactor
            self._life.start(self._notify.watchdog / 2)

    async def _stop(self) -> None:
        self._notify.stopping()
        self._note("stopping: sessions and deliveries under way may finish")
        try:
            if self._reloading is not None:
                await self._reloading
            await self._generations.stop()
        except Exception:
            self._log.failure("trouble while stopping")
        self._note("stopped")
        self._mail_log.close()
        self._lock.release()

    def _say_what_is_configured(self) -> None:
        for warning in self._configuration.warnings:
            self._warn(warning)
        for note in self._configuration.notes:
            self._note(note)

    def _warn(self, text: str) -> None:
        self._mail_log.emit(Warn("master", text))

    def _hangup(self, _number: int, _frame: object) -> None:
        self._reactor.callFromThread(self._hung_up)

    def _renewed(self) -> None:
        self._note("keys or certificates have changed")
        self._hung_up()

    def _hung_up(self) -> None:
        if self._stopping:
            return
        if self._reloading is not None:
            self._again = True  # once, however often it came
            return
        reloading = Deferred.fromCoroutine(self._reload())
        self._reloading = reloading
        reloading.addErrback(self._trouble).addCallback(self._reloaded)

    def _reloaded(self, _result: object) -> None:
        self._reloading = None
        again, self._again = self._again, False
        if again:
            self._hung_up()

    def _trouble(self, failure: Failure) -> None:
        self._log.failure("trouble while reloading", failure)
        self._warn(f"reload: {failure.getErrorMessage()}")

    async def _reload(self) -> None:
        old = self._configuration
        self._note(f"reload -- configuration {old.path}")
        self._notify.reloading(time.monotonic())
        try:
            new = await self._read(old)
            if problems := what_cannot_change(old, new):
                raise ConfigError(problems)
            await self._change(old, new)
        except ConfigError as e:
            for problem in e.problems:
                self._warn(problem)
            self._warn("reload: the configuration stays as it was")
        else:
            self._say_what_is_configured()
            self._note("reload: done")
        self._notify.ready("running")

    async def _change(self, old: Configuration, new: Configuration) -> None:
        target = _new_target(old, new)
        try:
            await self._generations.change(new)
        except BaseException:
            if target is not None:
                target.close()
            raise
        self._configuration = new
        self._mail_log.change(_names(new), target)

    async def _read(self, old: Configuration) -> Configuration:
        """
        In a thread of its own: tables may be large, or slow to answer.
        """
        pool = ThreadPool(0, 1, "configuration")
        pool.start()
        try:
            read = partial(load, old.path, old.allow_not_yet)
            return await deferToThreadPool(self._reactor, pool, read)
        finally:
            pool.stop()

    def _note(self, text: str) -> None:
        self._mail_log.emit(Note("master", text))


def _names(configuration: Configuration) -> tuple[str, str, int]:
    settings = configuration.settings
    return settings.myhostname, settings.syslog_name, os.getpid()


def _new_target(old: Configuration, new: Configuration) -> Target | None:
    """
    @return: where the log goes from now on; L{None} if that is where it went.
    @raise ConfigError: it cannot be opened.
    """
    if all(old.settings.text(name) == new.settings.text(name) for name in _LOG):
        return None
    return log_target(new.settings)
