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
from txmta.cleanup.duplicates import without_duplicates
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

    async def internal(self, envelope: Envelope) -> Envelope:
        """
        For mail made here: as L{envelope}, without copies and duplicates; what
        cannot be mapped is in the log, too.

        @raise NotMapped: not now.
        """
        rules = self.rules
        try:
            mapped = self.envelope(envelope, copies=False)
            if isinstance(mapped, Deferred):
                mapped = await mapped
        except NotMapped as e:
            self.warn(envelope.queue_id, e.warning)
            raise
        if mapped is envelope:
            return mapped
        fewer = without_duplicates(mapped, rules.duplicate_limit, rules.originals)
        return fewer or mapped

    def warn(self, queue_id: str, text: str) -> None:
        self.sink.emit(Warn("cleanup", f"{queue_id}: {text}"))
