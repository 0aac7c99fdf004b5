"""
What answers the queue tools; a part of the queue manager's role.

Owns: what it is made from; which group may ask.
Knows nothing of: how the sockets came here.

Errors: L{ConfigError<txmta.errors.ConfigError>} for lists that are wrong.
"""

from __future__ import annotations

import os
import pwd
import stat

from txmta.interfaces import IQueueStore
from txmta.queue.public import Desk, Public, Rights
from txmta.queue.public_answers import Answers, Manager
from txmta.roles.shared import Shared, Tables


def make_public(
    shared: Shared, tables: Tables, store: IQueueStore, manager: Manager
) -> Public:
    """
    @return: answers the queue tools, once it has sockets.
    @raise ConfigError: a list of users or domains is wrong.
    """
    settings, lists = shared.settings, tables.lists
    rights = Rights(
        os.geteuid(),
        _public_group(settings.queue_directory),
        lists.strings("authorized_mailq_users", settings.authorized_mailq_users),
        lists.strings("authorized_flush_users", settings.authorized_flush_users),
        _login_name,
    )
    flushable = lists.domains("fast_flush_domains", settings.fast_flush_domains)
    answers = Answers(store, manager, flushable, shared.sink)
    return Public(Desk(rights, answers, shared.reactor), shared.reactor)


def _public_group(queue_directory: str) -> int | None:
    """
    @return: the group that the directory of the sockets lets in.
    """
    try:
        status = os.stat(os.path.join(queue_directory, "public"))
    except OSError:
        return None
    return status.st_gid if status.st_mode & stat.S_IXGRP else None


def _login_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return "unknown"
