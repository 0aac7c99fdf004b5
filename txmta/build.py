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

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NoReturn, TextIO

from twisted.application.service import IService

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
from txmta.maps.context import Ways
from txmta.maps.files import Keeper
from txmta.master.binding import port_of
from txmta.master.privileges import server_account
from txmta.master.readable import find_obstacle
from txmta.master.sockets import listens
from txmta.plugins import places
from txmta.roles.shared import Reactor
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
        services = _services(master_cf, doubts, _is_old(definitions))
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


def _services(path: str, doubts: list[str], old: bool) -> Sequence[MasterService]:
    if os.path.lexists(path):
        return read_master_cf(path, doubts.append, chroot=old)
    return builtin_master_cf()


def _is_old(definitions: Mapping[str, Definition]) -> bool:
    """
    @return: main.cf says that it is of a time when C{-} in master.cf meant a
        jail.
    """
    level = definitions.get("compatibility_level")
    return level is not None and level.text.partition(".")[0].strip() == "0"


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
    from txmta.single import Server

    return Server(configuration, reactor, now)
