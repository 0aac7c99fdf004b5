"""
Tell the queue manager of new mail, from another process.

Owns: the record C{arrived}.
Knows nothing of: the queue. A ring that is lost loses no mail: the queue
    manager looks for itself when a link is lost, and every few seconds.

Sources: Postfix C{global/mail_trigger.c}, C{qmgr/qmgr.c}, qmgr_trigger_event().

Errors: none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import cast

from twisted.internet.interfaces import IReactorTime

from txmta.master.frames import Record
from txmta.master.link import Link
from txmta.master.records import ListOf, Schema, Text

#: Queue ids in one record.
MOST = 500

_IDS = ListOf(Text(40, 1, re.compile(r"[0-9A-Za-z]+")), MOST, 1)
_ARRIVED = Schema({"ids": _IDS})


class Button:
    """
    Rings at the queue manager, as long as there is one.
    """

    def __init__(self, clock: IReactorTime, warn: Callable[[str], None]) -> None:
        """
        @param warn: a line for the log.
        """
        self._clock = clock
        self._warn = warn
        self._link: Link | None = None

    def link(self, peer: str) -> Link:
        """
        @param peer: for the log.
        @return: a protocol for a new link to a queue manager; that before it
            is not rung at any more.
        """
        before = self._link
        self._link = Link(
            peer, {}, self._clock, lost=lambda reason: None, warn=self._warn
        )
        if before is not None:
            before.close()
        return self._link

    def ring(self, queue_ids: Sequence[str]) -> None:
        """
        New mail has been committed.
        """
        if self._link is None:
            return
        # Over a link that is lost nothing goes.
        for start in range(0, len(queue_ids), MOST):
            ids = list(queue_ids[start : start + MOST])
            self._link.send({"t": "arrived", "ids": ids})


class Doorbell:
    """
    Hears those who ring.
    """

    def __init__(
        self,
        heard: Callable[[Sequence[str]], None],
        clock: IReactorTime,
        warn: Callable[[str], None],
    ) -> None:
        """
        @param heard: told of new queue ids; of none when there may be some
            that nobody told of.
        @param warn: a line for the log.
        """
        self._heard = heard
        self._clock = clock
        self._warn = warn
        self._links: set[Link] = set()

    def link(self, peer: str) -> Link:
        """
        @param peer: for the log.
        @return: a protocol for a new link to somebody who takes mail.
        """

        def lost(reason: str) -> None:
            self._links.discard(link)
            self._heard(())

        link = Link(
            peer,
            {"arrived": (_ARRIVED, self._arrived)},
            self._clock,
            lost=lost,
            warn=self._warn,
        )
        self._links.add(link)
        return link

    def stop(self) -> None:
        """
        Hear nothing more.
        """
        for link in self._links:
            link.close()
        self._links.clear()

    def _arrived(self, record: Record) -> None:
        self._heard(cast("list[str]", record["ids"]))
