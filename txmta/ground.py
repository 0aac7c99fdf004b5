"""
What the server stands on, whatever its arrangement: made by root, if we are.

Owns: the order: limits, account, queue directory, lock, log, sockets.
Knows nothing of: who uses it, and with which rights.

Errors: L{ConfigError<txmta.errors.ConfigError>}.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from txmta.config.snapshot import Configuration
from txmta.log.maillog import Target
from txmta.master.binding import Bound, bind_all, port_of
from txmta.master.directory import prepare_queue
from txmta.master.limits import set_limits
from txmta.master.lock import QueueLock
from txmta.master.privileges import Account, maildrop_group, server_account
from txmta.master.public import bind_public
from txmta.master.readable import check_readable, needed
from txmta.master.sockets import listens
from txmta.queue.public_wire import SOCKETS
from txmta.roles.log import log_target


@dataclass(frozen=True)
class Ground:
    """
    @ivar account: who opens the queue: C{mail_owner}, and the group that hands
        in mail.
    @ivar sockets: listening.
    @ivar public: those of the queue tools, by name; listening.
    """

    account: Account
    lock: QueueLock
    target: Target
    sockets: Sequence[Bound]
    public: Mapping[str, socket.socket]


def prepare(configuration: Configuration) -> Ground:
    """
    @raise ConfigError: something cannot be had.
    """
    settings = configuration.settings
    set_limits()
    account = server_account(settings)
    check_readable(needed(configuration.path), account)
    group = maildrop_group(settings)
    prepare_queue(settings.queue_directory, account, group)
    lock = QueueLock(settings.queue_directory)
    if os.geteuid() == 0:
        lock.give(account.uid, account.gid)
    return Ground(
        account.joined(group),
        lock,
        log_target(settings),
        bind_all(listens(configuration.services, settings, port_of)),
        bind_public(settings.queue_directory, SOCKETS),
    )
