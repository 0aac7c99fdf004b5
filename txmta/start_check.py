"""
What is looked at before anything starts: tables, lists, templates, attributes.

Owns: making once all that reads the configuration, and telling what cannot be
    made, all at once, with file and line.
Knows nothing of: what main.cf may say (L{txmta.config.check}), sockets.

Errors: none leaves here; they are the result.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from txmta.config.check_values import NETWORKS
from txmta.config.declare import Status
from txmta.config.master_cf import Service as MasterService
from txmta.config.networks import wrong
from txmta.config.place import with_place
from txmta.config.settings import Settings
from txmta.delivery.pipe import problems as pipe_problems
from txmta.delivery.plugin import problems as plugin_problems
from txmta.delivery.registry import AgentRegistry
from txmta.delivery.smtp_logins import all_login_problems
from txmta.errors import ConfigError
from txmta.maps.context import PLAIN, Ways
from txmta.maps.match import MatchLists
from txmta.queue.templates import load as load_templates
from txmta.roles.screen import behind, tables_of_screen
from txmta.roles.shared import Tables, approving, make_registry
from txmta.smtp.access.validate import tables_of
from txmta.smtp.postscreen.rules import problems as screen_problems
from txmta.smtp.service import problems as smtpd_problems
from txmta.tls_files import by

#: Lists that may name files and tables, and are of no address class.
STRINGS = ("masquerade_exceptions", "smtpd_sasl_mechanism_filter")

#: Restrictions among which tables may be.
RESTRICTIONS = ("local_header_rewrite_clients",)


def problems_of_tables(
    settings: Settings, services: Sequence[MasterService], ways: Ways = PLAIN
) -> list[str]:
    """
    Make everything that reads the configuration once, and forget it.

    @param ways: how tables are read.
    @return: what cannot be made, one line each, with file and line.
    """
    ways = approving(settings, ways)
    names = set(settings.definitions)
    if any(s.program == "local" for s in services):
        names.add("alias_maps")  # if only by default
    found = [
        *smtpd_problems(settings, by(ways.read)),
        *all_login_problems(settings),
        *_problems_of_classes(settings, ways),
        *_problems_of_templates(settings),
        *_problems_of_lists(settings, (*NETWORKS, *STRINGS, *RESTRICTIONS), ways),
        *_problems_of_restrictions(settings, ways),
        *problems_of_agents(settings, names, ways),
        *_problems_of_accounts(settings, ways),
    ]
    problems = [with_place(each, settings) for each in found]
    own = ("smtpd", "postscreen", "cleanup", "pickup", "qmgr", "trivial-rewrite")
    programs = (*own, *AgentRegistry().known_programs())
    for service in services:
        if service.overrides and service.program in programs:
            problems += _problems_of_overrides(settings, service, ways)
        if service.program == "postscreen":
            problems += _problems_of_screen(settings, service, services, ways)
    problems += problems_of_plugins(services)
    return [*problems, *problems_of_pipes(settings, services)]


def _problems_of_overrides(
    settings: Settings, service: MasterService, ways: Ways
) -> list[str]:
    try:
        special = settings.override(service.overrides, service.where)
    except ConfigError as e:
        return list(e.problems)
    found = [
        *_problems_of_lists(special, service.overrides, ways),
        *problems_of_agents(special, service.overrides, ways),
    ]
    if service.program in ("smtp", "lmtp"):
        found += all_login_problems(special)
    if service.type in ("inet", "pass") and service.program == "smtpd":
        found += smtpd_problems(special, by(ways.read))
        found += _problems_of_accounts(special, ways)
        found += _problems_of_restrictions(special, ways)
    return [with_place(each, special) for each in found]


def _problems_of_screen(
    settings: Settings,
    service: MasterService,
    services: Sequence[MasterService],
    ways: Ways,
) -> list[str]:
    try:
        special = settings.override(service.overrides, service.where)
        behind(service, special, services)
    except ConfigError as e:
        return list(e.problems)
    found = screen_problems(special)
    registry = make_registry(settings, float, lambda text: None, ways)
    for item, name in tables_of_screen(special):
        try:
            registry.table(item, name)
        except ConfigError as e:
            found += e.problems
    return [with_place(each, special) for each in found]


def _problems_of_classes(settings: Settings, ways: Ways) -> list[str]:
    try:
        Tables.open(settings, float, lambda text: None, ways)
    except ConfigError as e:
        return list(e.problems)
    except ValueError:
        pass  # our own addresses: told by the check
    return []


def _problems_of_lists(
    settings: Settings, names: Iterable[str], ways: Ways
) -> list[str]:
    """
    @param names: of any parameters; those that are lists of networks, or of
        strings, count.
    """
    registry = make_registry(settings, float, lambda text: None, ways)
    lists = MatchLists(registry.table, (), float, lambda text: None, ways)
    problems: list[str] = []
    for name in names:
        if name in NETWORKS:
            # What is wrong in itself is told by the check, in better words.
            words = [word for word in getattr(settings, name) if not wrong(word)]
            try:
                lists.addresses(name, words)
            except ConfigError as e:
                problems += e.problems
        elif name in STRINGS:
            try:
                lists.strings(name, getattr(settings, name))
            except ConfigError as e:
                problems += e.problems
        elif name in RESTRICTIONS:
            for item in getattr(settings, name):
                try:
                    if ":" in item:
                        registry.table(item, name)
                except ConfigError as e:
                    problems += e.problems
    return problems


def _problems_of_restrictions(settings: Settings, ways: Ways) -> list[str]:
    """
    Open the tables that restrictions look into.
    """
    registry = make_registry(settings, float, lambda text: None, ways)
    problems: list[str] = []
    for name, item in tables_of(settings):
        try:
            registry.table(item, name)
        except ConfigError as e:
            problems += e.problems
    return problems


def _problems_of_accounts(settings: Settings, ways: Ways) -> list[str]:
    """
    Open the table that clients log in by.
    """
    path = settings.smtpd_sasl_path
    if not settings.smtpd_sasl_auth_enable or ":" not in path:
        return []
    if settings.smtpd_sasl_type.lower() != "txmta":
        return []
    registry = make_registry(settings, float, lambda text: None, ways)
    try:
        registry.table(path, "smtpd_sasl_path")
    except ConfigError as e:
        return list(e.problems)
    return []


def problems_of_pipes(
    settings: Settings, services: Sequence[MasterService]
) -> list[str]:
    """
    Read the attributes of every pipe service.
    """
    problems: list[str] = []
    for service in services:
        if service.type == "unix" and service.program == "pipe":
            found = pipe_problems(service.name, service.arguments, settings)
            problems += [f"{service.where}: {problem}" for problem in found]
    return problems


def problems_of_plugins(services: Sequence[MasterService]) -> list[str]:
    """
    Find the agent of every plugin service, and read its attributes.
    """
    problems: list[str] = []
    for service in services:
        if service.type == "unix" and service.program == "plugin":
            found = plugin_problems(service.name, service.arguments, AgentRegistry())
            problems += [f"{service.where}: {problem}" for problem in found]
    return problems


def _problems_of_templates(settings: Settings) -> list[str]:
    try:
        load_templates(settings, lambda text: None)
    except ConfigError as e:
        return list(e.problems)
    return []


def problems_of_agents(
    settings: Settings, names: Iterable[str], ways: Ways = PLAIN
) -> list[str]:
    """
    Open every table of the parameters C{names}.

    @param ways: how tables are read.
    @return: what cannot be opened, one line each.
    """
    registry = make_registry(settings, float, lambda text: None, ways)
    problems: list[str] = []
    for name in sorted(names):
        parameter = settings.parameter(name)
        if parameter is None or parameter.kind != "tables":
            continue
        if parameter.status not in (Status.HONOURED, Status.APPROXIMATED):
            continue
        for item in getattr(settings, parameter.attribute):
            try:
                registry.table(item, name)
            except ConfigError as e:
                problems += e.problems
    return problems
