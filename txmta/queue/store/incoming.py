"""
One message on its way into the store.

Owns: gathering content: in memory up to 64 KiB, in a file of its own above.
Knows nothing of: rows, transactions.

Sources: Postfix C{global/mail_stream.c}.

Errors: L{StoreUnavailable<txmta.errors.StoreUnavailable>}, told by
C{commit} and never before.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred, fail
from zope.interface import implementer

from txmta.errors import StoreUnavailable
from txmta.interfaces import IIncoming
from txmta.model import Envelope
from txmta.queue.store import ids
from txmta.queue.store.content import BLOCK, INLINE, SpoolFile, unavailable


class Target(Protocol):
    """
    What an L{Incoming} needs of its store.
    """

    def create_file(self, number: int) -> SpoolFile:
        """
        @raise OSError: as open(2).
        """

    def insert(self, envelope: Envelope, content: bytes) -> Deferred[str]: ...

    def insert_file(self, envelope: Envelope, file: SpoolFile) -> Deferred[str]: ...


@implementer(IIncoming)
class Incoming:
    __slots__ = ("_blocks", "_envelope", "_error", "_file", "_held", "_open", "_target")

    def __init__(self, target: Target, envelope: Envelope) -> None:
        self._target = target
        self._envelope = envelope
        self._blocks: list[bytes] = []
        self._held = 0
        self._file: SpoolFile | None = None
        self._error: StoreUnavailable | None = None
        self._open = True

    def write(self, block: bytes) -> None:
        self._blocks.append(block)
        self._held += len(block)
        if self._held > (INLINE if self._file is None else BLOCK):
            self._spill()

    def commit(self, envelope: Envelope | None = None) -> Deferred[str]:
        if not self._open:
            return fail(StoreUnavailable("this message is closed"))
        self._open = False
        if envelope is None:
            envelope = self._envelope
        elif envelope.queue_id != self._envelope.queue_id:
            self._error = StoreUnavailable("the queue id has changed")
        if self._file is not None and self._blocks:
            self._spill()
        if self._error is not None:
            self._remove()
            return fail(self._error)
        if self._file is not None:
            return self._target.insert_file(envelope, self._file)
        blocks = self._blocks
        content = blocks[0] if len(blocks) == 1 else b"".join(blocks)
        return self._target.insert(envelope, content)

    def abort(self) -> None:
        if self._open:
            self._open = False
            self._remove()

    def _spill(self) -> None:
        """
        Write what is held to the file. In the reactor's thread: a block goes
        to the page cache in a fifth of a millisecond; the waiting for the
        disk is done in a helper thread.
        """
        try:
            if self._error is None and self._open_file() is not None:
                assert self._file is not None
                self._file.write(b"".join(self._blocks))
        except OSError as e:
            self._error = unavailable(e)
        self._blocks = []
        self._held = 0

    def _open_file(self) -> SpoolFile | None:
        if self._file is None:
            number = ids.decode(self._envelope.queue_id)
            if number is None:
                self._error = StoreUnavailable("not a queue id of this store")
                return None
            self._file = self._target.create_file(number)
        return self._file

    def _remove(self) -> None:
        self._blocks = []
        if self._file is not None:
            self._file.abort()
