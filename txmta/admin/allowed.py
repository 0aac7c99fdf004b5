"""
Who may hand in mail: authorized_submit_users, with the server's own tables.

Owns: asking the list once, from a command.
Knows nothing of: who asks.

Errors: L{Refused<txmta.admin.sendmail_options.Refused>}, temporary, if a table
cannot say.
"""

from __future__ import annotations

import time

from twisted.internet.defer import Deferred

from txmta.admin.sendmail_options import EX_TEMPFAIL, Refused
from txmta.config.by_default import tables_by_default
from txmta.config.main_cf import read_main_cf
from txmta.config.settings import Settings
from txmta.config.system import this_machine
from txmta.errors import TableUnavailable
from txmta.maps.match import MatchLists
from txmta.maps.registry import TableRegistry

_PARAMETER = "authorized_submit_users"


def may_submit(path: str, user: str) -> bool:
    """
    @param path: of main.cf.
    @param user: a login name.
    @raise ConfigError: the list is wrong.
    """
    settings = Settings(read_main_cf(path).definitions, this_machine())
    registry = TableRegistry(
        time.monotonic, _ignore, (), by_default=tables_by_default(settings)
    )
    lists = MatchLists(registry.table, (), time.monotonic, _ignore)
    items = settings.authorized_submit_users
    try:
        answer = lists.strings(_PARAMETER, items).match(user)
    except TableUnavailable as e:
        raise Refused(str(e), EX_TEMPFAIL) from e
    if isinstance(answer, Deferred):
        answer.addErrback(_ignore)
        raise Refused(f"{_PARAMETER}: a table takes time to answer", EX_TEMPFAIL)
    return answer


def _ignore(_: object) -> None:
    """
    The server's log tells.
    """
