"""
postscreen, as a part of the SMTP server of one process.

Owns: which services have it, and where their clients go then.
Knows nothing of: tests.

Errors: L{ConfigError<txmta.errors.ConfigError>}.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from txmta.config.master_cf import Service as MasterService
from txmta.config.settings import Settings
from txmta.errors import ConfigError
from txmta.events import Warn
from txmta.interfaces import IResolver, ITable
from txmta.roles.names import sink_of
from txmta.roles.shared import Shared, Tables
from txmta.smtp.factory import SMTPServerFactory
from txmta.smtp.postscreen.cache import ScreenCache
from txmta.smtp.postscreen.gate import Gate, Item, Surroundings
from txmta.smtp.postscreen.lists import Lists
from txmta.smtp.postscreen.rules import ScreenRules

#: What has tables.
_TABLES = ("postscreen_access_list", "postscreen_dnsbl_reply_map")


def behind(
    service: MasterService, settings: Settings, services: Sequence[MasterService]
) -> MasterService:
    """
    @param settings: of the service.
    @return: the smtpd service that its clients come to: itself, but for postscreen.
    @raise ConfigError: there is none.
    """
    if service.program != "postscreen":
        return service
    name = settings.smtpd_service_name
    for each in services:
        if (each.name, each.type, each.program) == (name, "pass", "smtpd"):
            return each
    raise ConfigError(
        [
            f"{service.where}: {service.name}: postscreen: master.cf has no service "
            f"{name} of type pass with the program smtpd: write {name} pass - - n - - "
            "smtpd"
        ]
    )


def tables_of_screen(settings: Settings) -> Iterator[tuple[str, str]]:
    """
    @return: each table that is asked, with its parameter.
    """
    for name in _TABLES:
        for item in getattr(settings, name):
            if ":" in item:
                yield item, name


def make_gate(
    shared: Shared,
    settings: Settings,
    tables: Tables,
    resolver: IResolver,
    smtpd: SMTPServerFactory,
) -> Gate:
    """
    @param settings: of the postscreen service.
    """
    sink = sink_of(shared, settings)

    def warn(text: str) -> None:
        sink.emit(Warn("postscreen", text))

    rules = ScreenRules.of(settings)
    names: list[ITable] = [
        tables.registry.table(item, "postscreen_dnsbl_reply_map")
        for item in settings.postscreen_dnsbl_reply_map
    ]
    open_to_all = settings.postscreen_allowlist_interfaces == ("static:all",)
    around = Surroundings(
        clock=shared.reactor,
        now=shared.now,
        sink=sink,
        lists=Lists(
            resolver,
            rules.sites,
            shared.reactor,
            settings.postscreen_dnsbl_timeout,
            names,
        ),
        cache=_cache(shared, settings, warn),
        access=[
            _item(each, settings, tables) for each in settings.postscreen_access_list
        ],
        interfaces=None
        if open_to_all
        else tables.open_list(settings, "postscreen_allowlist_interfaces"),
    )
    return Gate(rules, around, smtpd)


def _cache(
    shared: Shared, settings: Settings, warn: Callable[[str], None]
) -> ScreenCache:
    return ScreenCache(
        shared.settings.queue_directory,
        settings.postscreen_cache_retention_time,
        settings.postscreen_cache_cleanup_interval,
        shared.now,
        warn,
    )


def _item(item: str, settings: Settings, tables: Tables) -> Item:
    if ":" in item:
        return tables.registry.table(item, "postscreen_access_list")
    if item.lower() == "permit_mynetworks":
        return tables.open_list(settings, "mynetworks")
    return item.lower()
