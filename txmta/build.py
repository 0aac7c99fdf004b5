"""
Composition root: from main.cf and master.cf to the running server.

Owns: the order of things at start and at stop.
Knows nothing of: what any part does; the parts are made in L{txmta.roles}.

Order at start: configuration read and checked whole (L{load}, before twistd
becomes a daemon); queue directory, lock, log, sockets, and root's rights given
away (C{privilegedStartService}); store, queue manager, SMTP server
(C{startService}). At stop the other way round: no new sessions, sessions and
deliveries finish within a limit, everything is written down.

Errors: L{ConfigError<txmta.errors.ConfigError>} from L{load}; later ones end
the process with one line each and exit status 1.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn, TextIO

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from txmta.config.check import check
from txmta.config.kept_files import HeldFiles
from txmta.config.main_cf import BadLines, read_main_cf
from txmta.config.master_cf import Service as MasterService
from txmta.config.master_cf import builtin_master_cf, enabled, read_master_cf
from txmta.config.place import with_place
from txmta.config.settings import Definition, Settings
from txmta.config.snapshot import Configuration as Configuration
from txmta.config.system import this_machine
from txmta.delivery.registry import AgentRegistry
from txmta.errors import ConfigError
from txmta.events import Note, Warn
from txmta.ground import prepare
from txmta.log.maillog import MailLog
from txmta.maps.context import Ways
from txmta.maps.files import Keeper, reader_of
from txmta.master.allowed import repeat_allowed
from txmta.master.binding import Bound, port_of
from txmta.master.notify import Notify
from txmta.master.privileges import become, server_account
from txmta.master.readable import find_obstacle
from txmta.master.sockets import listens
from txmta.plugins import places
from txmta.roles.shared import Reactor, Shared
from txmta.roles.single import Roles
from txmta.start_check import problems_of_tables


class StartFailed(Exception):
    """
    The server cannot start, and has said why.
    """


def load(path: str, allow_not_yet: bool = False, starts: bool = True) -> Configuration:
    """
    @param path: of main.cf; master.cf is beside it, or a built-in one counts.
    @param allow_not_yet: what is not supported yet is no problem.
    @param starts: it is for a server, and large texts are compiled.
    @raise ConfigError: with all that is wrong. Nothing was opened for good.
    """
    problems: list[str] = []
    try:
        main_cf = read_main_cf(path)
    except BadLines as e:
        main_cf = e.main_cf
        problems += e.problems
    folder = os.path.dirname(os.path.abspath(path))
    master_cf = os.path.join(folder, "master.cf")
    definitions = dict(main_cf.definitions)
    # Always where main.cf is, so that main.cf can name files beside it.
    definitions["config_directory"] = Definition(folder, path)
    doubts: list[str] = []
    try:
        services = _services(master_cf, doubts)
    except ConfigError as e:
        problems += e.problems
        services = ()
    try:
        settings, wrong = Settings.collect(definitions, this_machine())
    except ConfigError as e:
        raise ConfigError([*problems, *e.problems]) from e
    problems += wrong
    services = enabled(services, settings.master_service_disable)
    agents = AgentRegistry()
    report = check(main_cf, settings, services, agents.known_programs())
    allowed = report.not_yet if allow_not_yet else ()
    problems += [each for each in report.problems if each not in allowed]
    try:
        listens(services, settings, port_of)
    except ConfigError as e:
        problems += e.problems
    keeper = Keeper(_hidden_from_owner(settings), starts)
    ways = Ways(keeper.read, compiles=keeper.compiles)
    problems += problems_of_tables(settings, services, ways)
    if problems:
        # What is broken may be why something is missed.
        told = [with_place(each, settings) for each in (*problems, *agents.broken)]
        raise ConfigError(list(dict.fromkeys(told)))
    ignored = tuple(f"--allow-not-yet: ignored: {each}" for each in allowed)
    warnings = (*doubts, *report.warnings, *agents.broken, *ignored)
    what = (path, settings, services, warnings, HeldFiles(keeper.files), places())
    return Configuration(*what, allow_not_yet, ignored, report.notes)


def _services(path: str, doubts: list[str]) -> Sequence[MasterService]:
    if os.path.lexists(path):
        return read_master_cf(path, doubts.append)
    return builtin_master_cf()


def _hidden_from_owner(settings: Settings) -> Callable[[str], bool]:
    """
    @return: tells which files we can read and the mail owner cannot.
    """
    try:
        account = server_account(settings)
    except ConfigError:
        return lambda path: False  # nothing will start
    if account.uid == os.geteuid():
        return lambda path: False

    def hidden(path: str) -> bool:
        ways = (path, os.path.realpath(path))
        return any(find_obstacle(way, account) for way in ways)

    return hidden


def say_fatal(problems: Iterable[str]) -> None:
    """
    One line each on standard error: our own, as long as we have one, and not
    what twistd has made of it, which goes to its log.
    """
    ours: TextIO | None = sys.stderr if _detached() else sys.__stderr__
    for problem in problems:
        print(f"txmta: fatal: {problem}", file=ours, flush=True)


def _detached() -> bool:
    """
    Whether twistd has made a daemon of us.
    """
    return sys.__stderr__ is None or os.path.samestat(os.fstat(2), os.stat(os.devnull))


def end_start(error: ConfigError, settings: Settings) -> NoReturn:
    """
    The server cannot start.
    """
    problems = [with_place(each, settings) for each in error.problems]
    say_fatal(problems)
    if _detached():
        # The twistd that waits for us hears of no other end, and shows the
        # first words.
        raise StartFailed(problems[0])
    raise SystemExit(1)


def make_service(
    configuration: Configuration, reactor: Reactor, now: Callable[[], float]
) -> IService:
    """
    @param reactor: its C{seconds()} must be monotonic.
    @param now: wall time.
    """
    if configuration.settings.several_processes:
        from txmta.multi import make_master

        return make_master(configuration, reactor, now)
    return Server(configuration, reactor, now)


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
        self._settings = configuration.settings
        self._reactor = reactor
        self._now = now
        self._sockets: Sequence[Bound] = ()
        self._notify = Notify()

    def privilegedStartService(self) -> None:
        """
        What only root can do, then root's rights are gone for good.
        """
        try:
            self._prepare()
        except ConfigError as e:
            end_start(e, self._settings)

    def _prepare(self) -> None:
        settings = self._settings
        ground = prepare(self._configuration)
        self._lock, self._sockets = ground.lock, ground.sockets
        self._public = ground.public
        become(ground.account)
        names = (settings.myhostname, settings.syslog_name, os.getpid())
        self._mail_log = MailLog(
            ground.target,
            self._reactor,
            self._now,
            self._reactor.callFromThread,
            names,
        )

    def startService(self) -> None:
        super().startService()
        self._say_what_is_configured()
        self._repeat = repeat_allowed(
            self._reactor, lambda: self._configuration, self._warn
        )
        shared = Shared(
            self._configuration.settings,
            self._configuration.services,
            self._reactor,
            self._now,
            self._mail_log,
            Ways(reader_of(self._configuration.files), reactor=self._reactor),
        )
        try:
            self._roles = Roles(shared)
            self._roles.start(self._sockets, self._public)
        except ConfigError as e:
            end_start(e, self._settings)
        for each in self._sockets:
            each.socket.close()
        for public in self._public.values():
            public.close()
        _spare_the_collector()
        self._tell_the_service_manager()
        # The default action would end us; reload comes with the master.
        signal.signal(signal.SIGHUP, self._hangup)
        self._note(f"daemon started -- configuration {self._configuration.path}")

    def stopService(self) -> Deferred[None]:
        """
        @return: fires when all is delivered or written down.
        """
        super().stopService()
        self._repeat.stop()
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
            await self._roles.stop()
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
        self._reactor.callFromThread(
            self._mail_log.emit,
            Warn(
                "master",
                "SIGHUP: one process (process_model = single) cannot read its "
                "configuration again: stop and start instead",
            ),
        )

    def _note(self, text: str) -> None:
        self._mail_log.emit(Note("master", text))


def _spare_the_collector() -> None:
    """
    Look for garbage less often, and not among what lives as long as we do:
    modules and tables. Saves some 4 % of the CPU of a message.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
