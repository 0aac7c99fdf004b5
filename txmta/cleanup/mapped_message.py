"""
One message whose addresses are mapped on its way.

Owns: what waits while a table is asked, and how much of it.
Knows nothing of: which addresses become what.

A table that answers at once costs no wait. While another is asked, what comes
in is kept in memory, and goes on when there is an answer.

Sources: Postfix C{src/cleanup/cleanup_addr.c}, C{cleanup_message.c}.

Errors: none leave; they become replies.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from txmta.cleanup.headers import HeaderSection
from txmta.cleanup.mapper import Mapper
from txmta.cleanup.message import CleanupMessage
from txmta.cleanup.questions import UNAVAILABLE, NotMapped
from txmta.interfaces import IIncoming
from txmta.model import Envelope, Reply, Submission

if TYPE_CHECKING:
    from txmta.cleanup.service import Cleanup

T = TypeVar("T")

#: Octets that may wait for tables, in all messages that share it.
MAX_HELD = 32 * 1024 * 1024


class Held:
    """
    @ivar octets: of content that waits.
    """

    def __init__(self, limit: int = MAX_HELD) -> None:
        self.limit = limit
        self.octets = 0


class MappedMessage(CleanupMessage):
    """
    As its base, with addresses of envelope and headers mapped.
    """

    __slots__ = ("_aborted", "_busy", "_idle", "_mapper", "_maps_headers", "_waiting")

    def __init__(
        self,
        cleanup: Cleanup,
        envelope: Envelope,
        incoming: IIncoming,
        section: HeaderSection,
        submission: Submission | None = None,
    ) -> None:
        super().__init__(cleanup, envelope, incoming, section, submission)
        assert cleanup.mapper is not None, "else it is not of this class"
        mapper: Mapper = cleanup.mapper
        self._mapper = mapper
        self._waiting: deque[bytes] = deque()
        self._busy = self._aborted = False
        self._idle: Deferred[None] | None = None
        # "Don't munge my headers": those of strangers stay, unless main.cf
        # says that they are completed.
        edits = cleanup.settings.remote_header_rewrite_domain or envelope.local_origin
        self._maps_headers = bool(edits) and mapper.maps_headers
        self._do(lambda: mapper.envelope(envelope), self._mapped)

    def _mapped(self, envelope: Envelope) -> None:
        self._envelope = envelope

    def write(self, block: bytes) -> None:
        if self._busy:
            self._hold(block)
        else:
            super().write(block)

    def finish(self) -> Reply | Deferred[Reply]:
        if not self._busy:
            self._close()
            if not self._busy:
                return self._commit()
        return Deferred.fromCoroutine(self._finish_later())

    async def _finish_later(self) -> Reply:
        while self._busy:
            self._idle = Deferred()
            await self._idle
            self._close()
        reply = self._commit()
        return await reply if isinstance(reply, Deferred) else reply

    def abort(self) -> None:
        self._aborted = True
        # Also while finish() waits: who went away has heard of no success.
        self._refusal = self._refusal or UNAVAILABLE
        self._release()
        super().abort()

    def _write_head(self, head: bytes, rest: bytes) -> None:
        if not (self._maps_headers and head) or self._refusal is not None:
            super()._write_head(head, rest)
            return

        def go_on(mapped: bytes) -> None:
            CleanupMessage._write_head(self, mapped, rest)

        queue_id = self._envelope.queue_id
        self._do(lambda: self._mapper.head(head, queue_id), go_on)

    def _do(
        self, job: Callable[[], T | Deferred[T]], go_on: Callable[[T], None]
    ) -> None:
        """
        @param job: may raise or fail with L{NotMapped}.
        @param go_on: gets what it gives; meanwhile all content waits.
        """
        try:
            result = job()
        except NotMapped as e:
            self._refuse(e)
            return
        if isinstance(result, Deferred):
            self._busy = True
            result.addCallback(self._answered, go_on).addErrback(
                self._not_mapped
            ).addBoth(self._resume)
        else:
            go_on(result)

    def _answered(self, result: T, go_on: Callable[[T], None]) -> None:
        if not self._aborted:
            go_on(result)

    def _not_mapped(self, failure: Failure) -> None:
        error = failure.value
        if isinstance(error, NotMapped):
            self._refuse(error)
            return
        # A bug of ours is no reason to take mail as it is.
        self._log.failure("cannot map addresses", failure)
        self._refuse(NotMapped("addresses cannot be mapped", UNAVAILABLE))

    def _refuse(self, error: NotMapped) -> None:
        if self._refusal is None and not self._aborted:
            self._refusal = error.reply
            self._incoming.abort()
            self._warn(error.warning)
        self._release()

    def _hold(self, block: bytes) -> None:
        if self._refusal is not None or self._aborted:
            return
        held = self._cleanup.held
        if held.octets + len(block) > held.limit:
            trouble = "too much content waits for tables"
            self._refuse(NotMapped(trouble, UNAVAILABLE))
            return
        held.octets += len(block)
        self._waiting.append(block)

    def _resume(self, _: object) -> None:
        self._busy = False
        try:
            while self._waiting and not self._busy:
                block = self._waiting.popleft()
                self._cleanup.held.octets -= len(block)
                super().write(block)
        except Exception:
            self._not_mapped(Failure())
        if self._idle is not None and not self._busy:
            idle, self._idle = self._idle, None
            idle.callback(None)

    def _release(self) -> None:
        while self._waiting:
            self._cleanup.held.octets -= len(self._waiting.popleft())
