"""
Map the addresses of messages.

Owns: rules and tables in one place; what the log gets.
Knows nothing of: where content goes meanwhile.

Errors: L{NotMapped<txmta.cleanup.questions.NotMapped>}.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from twisted.internet.defer import Deferred

from txmta.cleanup.answers import Answers
from txmta.cleanup.mapping import (
    HEADER_RECIPIENT,
    HEADER_SENDER,
    MappingRules,
    map_envelope,
    map_head,
)
from txmta.cleanup.questions import NotMapped
from txmta.events import Warn
from txmta.interfaces import IEventSink
from txmta.model import Envelope


@dataclass(frozen=True)
class Mapper:
    """
    What all messages share.
    """

    rules: MappingRules
    answers: Answers
    sink: IEventSink

    @property
    def maps_headers(self) -> bool:
        """
        Whether addresses in headers may change.
        """
        return any(map(self.rules.concerns, (HEADER_SENDER, HEADER_RECIPIENT)))

    def envelope(
        self, envelope: Envelope, copies: bool = True
    ) -> Envelope | Deferred[Envelope]:
        """
        @param copies: add automatic ones.
        @raise NotMapped: or the Deferred fails with it.
        """
        asking = map_envelope(envelope, self.rules, copies)
        return self.answers.run(asking, partial(self.warn, envelope.queue_id))

    def head(self, head: bytes, queue_id: str) -> bytes | Deferred[bytes]:
        """
        @param head: whole headers.
        @raise NotMapped: or the Deferred fails with it.
        """
        return self.answers.run(
            map_head(head, self.rules), partial(self.warn, queue_id)
        )

    def internal(self, envelope: Envelope) -> Envelope | Deferred[Envelope]:
        """
        For mail made here: as L{envelope}, without copies; what cannot be
        mapped is in the log, too.

        @raise NotMapped: or the Deferred fails with it.
        """
        try:
            mapped = self.envelope(envelope, copies=False)
        except NotMapped as e:
            self.warn(envelope.queue_id, e.warning)
            raise
        if isinstance(mapped, Deferred):
            return Deferred.fromCoroutine(self._internal(envelope.queue_id, mapped))
        return mapped

    async def _internal(self, queue_id: str, mapped: Deferred[Envelope]) -> Envelope:
        try:
            return await mapped
        except NotMapped as e:
            self.warn(queue_id, e.warning)
            raise

    def warn(self, queue_id: str, text: str) -> None:
        self.sink.emit(Warn("cleanup", f"{queue_id}: {text}"))
