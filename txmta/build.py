"""
Composition root: from main.cf and master.cf to a configuration that is checked.

Owns: what is checked, with what.
Knows nothing of: what any part does; the parts are made in L{txmta.roles}.

Errors: L{ConfigError<txmta.errors.ConfigError>}.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

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
from txmta.roles.needed import roles_needed
from txmta.start_check import problems_of_tables


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
    return _with_roles(Configuration(*what, allow_not_yet, ignored, report.notes))


def _with_roles(found: Configuration) -> Configuration:
    if not found.settings.several_processes:
        return found
    return replace(found, roles=roles_needed(found))


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
