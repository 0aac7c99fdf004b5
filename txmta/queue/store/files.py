"""
The database files of a running store, and the state that they are in.

After an I/O error of commit or checkpoint the files are I{in doubt}: the page
cache has the right octets and takes them for written, the disk does not have
them. Carrying on, or closing and opening again, loses acknowledged mail
(measured). Only writing everything to new blocks helps, and only while the
machine still runs: nothing is acknowledged until the database is rebuilt as
the next generation.

A full disk is harmless: nothing is lost, but what is done with cannot be
deleted either, for that takes room, too. So a reserve is given up.

Owns: the writing connection; whether new mail can be taken.
Knows nothing of: what is written; its caller holds the turn.

Sources: SQLite's howtocorrupt.html, lang_vacuum.html.

Errors: none gets out of what is called while mail flows.
"""

from __future__ import annotations

import sqlite3
import time
from enum import Enum, auto

from txmta.errors import StoreUnavailable
from txmta.events import Warn
from txmta.interfaces import IEventSink
from txmta.queue.store.content import Reserve
from txmta.queue.store.database import Database
from txmta.queue.store.locks import TurnLock

#: Seconds before the same warning is given again.
SAME_WARNING = 60.0


class State(Enum):
    """
    Whether new mail can be taken.
    """

    READY = auto()
    FULL = auto()  # until there is room for the reserve again
    DOUBT = auto()  # until a rebuild works
    BROKEN = auto()  # until a person has helped
    CLOSED = auto()


class Warnings:
    """
    Warns, but not of the same thing every second.
    """

    def __init__(self, sink: IEventSink) -> None:
        self._sink = sink
        self._last = "", 0.0

    def __call__(self, text: str) -> None:
        now = time.monotonic()
        if text != self._last[0] or now - self._last[1] > SAME_WARNING:
            self._last = text, now
            self._sink.emit(Warn("qmgr", text))


class Files:
    """
    @ivar state: any thread may look.
    @ivar connection: to write with; set by C{open}.
    @ivar warn: tells the administrator.
    """

    connection: sqlite3.Connection

    def __init__(
        self, database: Database, turn: TurnLock, reserve: Reserve, sink: IEventSink
    ) -> None:
        self.state = State.READY
        self.reserve = reserve
        self.warn = Warnings(sink)
        self._database = database
        self._turn = turn

    @property
    def writable(self) -> bool:
        """
        Whether anything can be written at all.
        """
        return self.state is State.READY or self.state is State.FULL

    @property
    def path(self) -> str:
        """
        For messages.
        """
        return str(self._database.path(self._database.generation))

    def open(self) -> int:
        """
        @return: octets of the log that was found.
        @raise StoreUnavailable, sqlite3.Error, OSError: there is no queue.
        """
        self._database.prepare()
        self.connection = self._database.write_connection()
        self.state = State.DOUBT if self._turn.doubt else State.FULL
        self.look_for_room()
        self._turn.announce(self._database.generation, self._turn.doubt)
        return self._database.log_size()

    def follow(self) -> None:
        """
        See what other processes did before this turn.

        @raise StoreUnavailable, sqlite3.Error, OSError: the next generation
            cannot be opened.
        """
        generation = self._turn.generation
        if self._turn.doubt:
            generation = self._database.linked()
        if generation not in (0, self._database.generation):
            self._reopen()
        if self._turn.doubt:
            self.doubt("another process left it so")
        self._turn.announce(self._database.generation, self.state is State.DOUBT)

    def look_for_room(self) -> None:
        """
        After a full disk: is there room again?
        """
        if self.state is State.FULL and self.reserve.make():
            self.state = State.READY

    def full(self) -> bool:
        """
        The disk is full.

        @return: there is room now, for what must be recorded.
        """
        first = self.state is not State.FULL
        self.state = State.FULL
        self.reserve.give_up()
        self.warn(
            f"{self.path}: disk full: new mail is refused"
            if first
            else f"{self.path}: disk full: deliveries cannot be recorded"
        )
        return first

    def doubt(self, reason: str) -> None:
        """
        The disk may not have what it was given.
        """
        if self.state is not State.DOUBT:
            self.warn(
                f"{self.path} is in doubt: {reason}: no mail is taken until it is "
                "rebuilt; do not reboot"
            )
        self.state = State.DOUBT
        try:
            self._turn.announce(self._database.generation, True)
        except OSError as e:
            self.warn(f"cannot tell other processes: {e}")

    def damaged(self, reason: str) -> None:
        """
        The database seems to be damaged. A read error looks the same: look
        again before giving up.
        """
        self.warn(f"{self.path}: {reason}")
        try:
            self._reopen()
            rows = self.connection.execute("PRAGMA quick_check(1)").fetchall()
            if rows == [("ok",)]:
                return
        except (sqlite3.Error, OSError, StoreUnavailable) as e:
            reason = str(e)
        self.state = State.BROKEN
        self.warn(
            f"{self.path} is damaged ({reason}): no mail is taken or delivered; "
            "the files are left as they are: copy them, then salvage the messages"
        )

    def roll_back(self) -> None:
        """
        End a transaction that failed.
        """
        # SQLite has usually rolled back already, and a second time raises.
        try:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
        except sqlite3.Error as e:
            self.doubt(f"cannot roll back: {e}")

    def rebuild(self) -> bool:
        """
        Write everything to new blocks of the disk.

        @return: it worked, and mail is taken again.
        """
        doubtful = self._database.generation
        self.roll_back()
        try:
            self._database.rebuild(self.connection)
            connection = self._database.write_connection()
        except (sqlite3.Error, OSError, StoreUnavailable) as e:
            self.warn(f"cannot rebuild {self.path}: {e}; do not reboot")
            return False
        self._turn.announce(self._database.generation, False)
        self.connection.close()
        self.connection = connection
        self._database.discard(doubtful)
        self.state = State.FULL
        self.look_for_room()
        self.warn(f"rebuilt the queue as {self.path}; mail is taken again")
        return True

    def close(self) -> None:
        """
        Not so what is in doubt or damaged: closing would checkpoint it, and
        destroy what could be saved.
        """
        if self.writable:
            self.state = State.CLOSED
            self.connection.close()

    def _reopen(self) -> None:
        self.connection.close()
        self._database.generation = self._database.linked()
        self.connection = self._database.write_connection()
