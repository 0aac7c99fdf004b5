"""
What counts for each service of master.cf.

Owns: C{-o} of a service, and of the cleanup service that another one names.
Knows nothing of: what the values mean.

Sources: Postfix's master(5); smtpd(8), pickup(8), cleanup(8): which of them
reads which parameter.

Errors: L{ConfigError<txmta.errors.ConfigError>}; the check at the start has
told it before.
"""

from __future__ import annotations

from collections.abc import Iterable

from txmta.config.master_cf import Service as MasterService
from txmta.config.master_cf import service_settings
from txmta.config.settings import Settings
from txmta.roles.shared import Shared

#: What in Postfix is read by who takes mail, and told to cleanup or written for
#: it; here, cleanup reads it.
FROM_FRONT = (
    *("myhostname", "mail_name", "content_filter", "receive_override_options"),
    *("smtpd_sasl_authenticated_header", "smtpd_tls_received_header"),
    *("smtpd_hide_client_session", "smtputf8_enable"),
)

#: Of these, what a cleanup service itself says counts for nothing.
_FRONT_ONLY = ("content_filter", "receive_override_options")

#: What is computed for each service, and values may mention.
_COMPUTED = ("$service_name", "{service_name", "$process_name", "{process_name")


def settings_of(shared: Shared, service: MasterService) -> Settings:
    """
    @return: what counts for one service: main.cf, its C{-o}, its name.
    """
    if service.overrides or _names_services(shared.settings):
        return service_settings(shared.settings, service)
    return shared.settings


def settings_of_program(shared: Shared, program: str) -> Settings:
    """
    @return: what counts for the service with a program of which there is one;
        without any, what main.cf says.
    """
    service = _last(s for s in shared.services if s.program == program)
    return settings_of(shared, service) if service else shared.settings


def cleanup_settings(shared: Shared, front: MasterService) -> Settings:
    """
    @param front: smtpd or pickup: who takes the mail.
    @return: what counts for cleanup of what it takes.
    """
    name = settings_of(shared, front).cleanup_service_name
    cleanup = _last(
        s for s in shared.services if s.program == "cleanup" and s.name == name
    )
    own = dict(cleanup.overrides) if cleanup else {}
    told = {n: v for n, v in front.overrides.items() if n in FROM_FRONT}
    for n in _FRONT_ONLY:
        own.pop(n, None)
    values = {**own, **told}
    if not values:
        return shared.settings
    where = (cleanup or front).where
    named = {"service_name": name, "process_name": "cleanup"}
    return shared.settings.override({**named, **values}, where)


def _names_services(settings: Settings) -> bool:
    texts = (each.text for each in settings.definitions.values())
    return any(mark in text for text in texts for mark in _COMPUTED)


def _last(services: Iterable[MasterService]) -> MasterService | None:
    return next(reversed([*services]), None)
