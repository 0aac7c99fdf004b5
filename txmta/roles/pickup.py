"""
pickup, with its watch on maildrop.

Owns: what pickup is made from; the watch.
Knows nothing of: which process it runs in.

The process must be in the group of maildrop
(L{maildrop_group<txmta.master.privileges.maildrop_group>}).

Errors: L{ConfigError<txmta.errors.ConfigError>}: maildrop cannot be opened.
"""

from __future__ import annotations

import pwd
from dataclasses import dataclass

from twisted.internet.inotify import (
    IN_ATTRIB,
    IN_MOVED_TO,
    IN_Q_OVERFLOW,
    INotify,
)
from twisted.python.filepath import FilePath

from txmta.config.master_cf import Service as MasterService
from txmta.config.settings import Settings
from txmta.errors import ConfigError
from txmta.events import Warn
from txmta.interfaces import IQueueEntrance
from txmta.queue.handed_in import Maildrop
from txmta.queue.parts import QueueParts
from txmta.queue.pickup import MaySubmit, Pickup, PickupParts, by_name
from txmta.queue.returned import Returned
from txmta.roles.cleanup import make_cleanup
from txmta.roles.names import sink_of
from txmta.roles.services import cleanup_settings
from txmta.roles.shared import Shared, Tables

#: Seconds between wake-ups, if master.cf does not say, or says "never".
WAKEUP = 60.0

#: The same without a watch.
WITHOUT_WATCH = 5.0


@dataclass(frozen=True)
class PickupRoleParts:
    """
    What pickup needs of the others.

    @ivar entrance: takes the messages.
    @ivar notices: what notices to senders are made from; its store is not used.
    """

    tables: Tables
    entrance: IQueueEntrance
    notices: QueueParts


class PickupRole:
    """
    The pickup service of master.cf.
    """

    def __init__(
        self, shared: Shared, service: MasterService, parts: PickupRoleParts
    ) -> None:
        """
        @raise ConfigError: maildrop cannot be opened, or a list is wrong.
        """
        self._shared = shared
        settings = shared.of(service)
        own = cleanup_settings(shared, service)
        cleanup = make_cleanup(own, parts.entrance, sink_of(shared, own), parts.tables)
        self._parts = PickupParts(
            settings,
            cleanup,
            parts.entrance,
            parts.tables.addresses,
            Returned(parts.notices, parts.entrance),
            _may_submit(settings, parts.tables),
            shared.reactor,
            shared.now,
            sink_of(shared, settings),
        )
        self._wakeup = service.wakeup or WAKEUP
        self._watch: INotify | None = None
        self._pickup: Pickup | None = None

    def start(self) -> None:
        """
        @raise ConfigError: maildrop cannot be opened.
        """
        queue = self._parts.settings.queue_directory
        try:
            maildrop = Maildrop(queue)
        except OSError as e:
            raise ConfigError(
                [f"queue_directory = {queue}: {e.filename}: {e.strerror}"]
            ) from e
        watching = self._start_watch(maildrop.path)
        wakeup = self._wakeup if watching else min(self._wakeup, WITHOUT_WATCH)
        self._pickup = Pickup(self._parts, maildrop, wakeup)
        self._pickup.startService()

    async def stop(self) -> None:
        """
        Take nothing new; let what is on its way arrive.
        """
        if self._watch is not None:
            self._watch.loseConnection()
        if self._pickup is not None:
            await self._pickup.stopService()

    def _start_watch(self, path: str) -> bool:
        """
        @return: new files will be told of.
        """
        try:
            watch = self._watch = INotify(self._shared.reactor)
            mask = IN_ATTRIB | IN_MOVED_TO
            watch.watch(FilePath(path), mask, callbacks=[self._seen])
        except Exception as e:
            # The kernel's limits, or a kernel without: then we look often.
            text = f"{path}: cannot be watched ({e}): it is read every few seconds"
            self._shared.sink.emit(Warn("pickup", text))
            return False
        watch.startReading()
        return True

    def _seen(self, _watch: object, path: FilePath[bytes], mask: int) -> None:
        if self._pickup is None:
            return
        name = path.basename().decode("utf-8", "surrogateescape")
        self._pickup.arrived(None if mask & IN_Q_OVERFLOW else name)


def _may_submit(settings: Settings, tables: Tables) -> MaySubmit | None:
    """
    @return: L{None} for everybody, as is usual: then no user is looked up.
    """
    items = settings.authorized_submit_users
    if items == ("static:anyone",):
        return None
    allowed = tables.lists.strings("authorized_submit_users", items)
    return by_name(allowed.match, _user_name)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return "unknown"


def make_pickup(shared: Shared, parts: PickupRoleParts) -> PickupRole | None:
    """
    @return: L{None} if master.cf has no such service.
    @raise ConfigError: a list is wrong.
    """
    for service in shared.services:
        if service.program == "pickup" and service.type != "inet":
            return PickupRole(shared, service, parts)
    return None
