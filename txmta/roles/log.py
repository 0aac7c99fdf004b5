"""
Where the mail log goes, as main.cf says.

Owns: with whose rights it is opened.
Knows nothing of: who writes to it.

Errors: L{ConfigError<txmta.errors.ConfigError>}.
"""

from __future__ import annotations

from txmta.config.settings import Settings
from txmta.log.maillog import Target
from txmta.log.sinks import FileTarget, SyslogTarget, open_log
from txmta.master.log_file import open_for
from txmta.master.privileges import server_account


def log_target(settings: Settings) -> Target:
    """
    @raise ConfigError: the file cannot be opened, or there is no mail_owner.
    """
    if not settings.maillog_file:
        return SyslogTarget(settings.syslog_facility)
    account = server_account(settings)
    return FileTarget(
        settings.maillog_file, lambda path: open_for(path, account, open_log)
    )
