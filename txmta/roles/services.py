"""
What counts for cleanup of what a service of master.cf takes.

Owns: C{-o} of the cleanup service that another one names.
Knows nothing of: what the values mean.

Sources: Postfix's master(5); smtpd(8), pickup(8), cleanup(8): which of them
reads which parameter.

Errors: L{ConfigError<txmta.errors.ConfigError>}; the check at the start has
told it before.
"""

from __future__ import annotations

from collections.abc import Iterable

from txmta.config.master_cf import Service as MasterService
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


def cleanup_settings(shared: Shared, front: MasterService) -> Settings:
    """
    @param front: smtpd or pickup: who takes the mail.
    @return: what counts for cleanup of what it takes.
    """
    name = shared.of(front).cleanup_service_name
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


def _last(services: Iterable[MasterService]) -> MasterService | None:
    return next(reversed([*services]), None)
