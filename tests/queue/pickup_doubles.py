"""
A pickup on a real maildrop, with a store that a test has in hand.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from tests.cleanup.doubles import Incoming
from tests.queue.doubles import START, Sink
from txmta.cleanup.service import Cleanup
from txmta.config.settings import Settings
from txmta.interfaces import IEventSink, IQueueEntrance
from txmta.master.directory import prepare_queue
from txmta.master.privileges import Account
from txmta.model import Envelope, Reply
from txmta.queue.handed_in import HandedIn, Maildrop
from txmta.queue.pickup import MaySubmit, Pickup, PickupParts
from txmta.roles.shared import Tables


class Entrance:
    """
    An L{IQueueEntrance<txmta.interfaces.IQueueEntrance>}, as far as pickup and
    cleanup go.

    @ivar messages: that are on their way, in order.
    @ivar refuses: what C{refusal} says.
    """

    def __init__(self) -> None:
        self.messages: list[Incoming] = []
        self.refuses: Reply | None = None
        self._ids = 0

    def new_id(self) -> str:
        self._ids += 1
        return f"4ID{self._ids}"

    def open(self, envelope: Envelope) -> Incoming:
        self.messages.append(Incoming(envelope))
        return self.messages[-1]

    def refusal(self) -> Reply | None:
        return self.refuses


class Desk:
    """
    @ivar folder: of main.cf and C{queue/}.
    @ivar returned: messages given back to their senders, with the reply.
    """

    def __init__(
        self, folder: Path, may_submit: MaySubmit | None = None, **parameters: str
    ) -> None:
        self.folder = folder
        folder.chmod(0o755)
        values = {
            "myhostname": "mx.here.test",
            "queue_directory": str(folder / "queue"),
            **parameters,
        }
        lines = "".join(f"{name} = {value}\n" for name, value in values.items())
        (folder / "main.cf").write_text(lines)
        prepare_queue(str(folder / "queue"), Account("me", os.geteuid(), os.getegid()))
        self.maildrop = folder / "queue" / "maildrop"
        self.clock, self.sink, self.store = Clock(), Sink(), Entrance()
        self.returned: list[tuple[Envelope, Reply]] = []
        self.wall = START
        settings = Settings.of(**values)
        sink = cast(IEventSink, self.sink)
        entrance = cast(IQueueEntrance, self.store)
        tables = Tables.open(settings, self.clock.seconds, print)
        parts = PickupParts(
            settings,
            Cleanup(settings, entrance, sink, tables.addresses),
            entrance,
            tables.addresses,
            self._return,
            may_submit,
            self.clock,
            lambda: self.wall,
            sink,
        )
        self.reader = Maildrop(str(folder / "queue"))
        self.pickup = Pickup(parts, self.reader, 60.0)
        self.pickup.startService()

    def close(self) -> None:
        if self.pickup.running:
            self.pickup.stopService()
        shutil.rmtree(self.folder)

    def _return(
        self, envelope: Envelope, reply: Reply, _file: HandedIn
    ) -> Deferred[None]:
        self.returned.append((envelope, reply))
        return succeed(None)

    def look(self) -> None:
        """
        As the watch on the directory would have it.
        """
        self.pickup.look()
        self.turn()

    def turn(self) -> None:
        """
        What others have the reactor for in between.
        """
        for _ in range(100):
            self.clock.advance(0)

    def commit(self) -> None:
        """
        All that wait are on disk.
        """
        waiting = [m for m in self.store.messages if m.committed is not None]
        for message in waiting:
            committed, message.committed = message.committed, None
            assert committed is not None
            committed.callback(message.envelope.queue_id)
        self.turn()

    def taken(self) -> Incoming | None:
        """
        @return: the message that has come since, committed; L{None} for none.
        """
        before = len(self.store.messages)
        self.look()
        self.commit()
        new = self.store.messages[before:]
        assert len(new) < 2
        return new[0] if new else None
