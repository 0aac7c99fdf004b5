"""
One message on its way into the queue.

Owns: the order of things between the SMTP server and the store: stray line
    ends, characters that must not be, headers, hop count, what the content
    asks of the next hop, duplicate recipients, commit, reply.
Knows nothing of: SMTP, where the store keeps things.

The content streams: what is held in memory is bounded by one header and the
block at hand.

Sources: Postfix: C{src/cleanup/cleanup_message.c}, C{cleanup_out_recipient.c},
C{global/cleanup_strerror.c} (replies).

Errors: none leave; they become replies, 4xx for our own faults.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txmta.cleanup import trace
from txmta.cleanup.duplicates import without_duplicates
from txmta.cleanup.headers import HeaderSection
from txmta.cleanup.needs import detects_smtputf8, nexthop_needs
from txmta.cleanup.strays import StrayFilter
from txmta.errors import StoreUnavailable
from txmta.events import MessageId, Note, Warn
from txmta.interfaces import ICleanupMessage, IIncoming
from txmta.mime import Mime
from txmta.model import Envelope, Reply, Submission

if TYPE_CHECKING:
    from txmta.cleanup.service import Cleanup

_TOO_MANY_HOPS = Reply(554, "5.4.0", "Error: too many hops")
_BAD_CHARACTER = Reply(550, "5.7.1", "disallowed character")


@implementer(ICleanupMessage)
class CleanupMessage:
    """
    One message on its way.
    """

    _log = Logger()

    __slots__ = (
        *("_characters", "_cleanup", "_eight_bit", "_envelope", "_incoming"),
        *("_lead", "_mime", "_opened", "_refusal", "_section", "_strays"),
        "_submission",
    )

    def __init__(
        self,
        cleanup: Cleanup,
        envelope: Envelope,
        incoming: IIncoming,
        section: HeaderSection,
        submission: Submission | None = None,
    ) -> None:
        self._cleanup = cleanup
        self._envelope = self._opened = envelope
        self._incoming = incoming
        self._section = section
        settings = cleanup.settings
        self._submission = submission
        self._lead = trace.received(envelope, settings, submission)
        if envelope.prepend:
            self._lead = trace.prepended(envelope) + self._lead
        self._refusal: Reply | None = None
        self._strays = StrayFilter() if settings.cleanup_replace_stray_cr_lf else None
        self._characters = cleanup.characters()
        self._eight_bit = False  # an octet that is not ASCII was there
        # Looks for one in headers.
        detects = detects_smtputf8(envelope, settings)
        self._mime = Mime(cleanup.mime_rules) if detects else None

    def write(self, block: bytes) -> None:
        if self._refusal is not None:
            return
        if self._strays is not None:
            block = self._strays.feed(block)
        if self._characters is not None:
            block = self._characters.feed(block)
            if self._characters.refused is not None:
                self._refuse_character(self._characters.refused)
                return
        if not self._eight_bit:
            self._eight_bit = not block.isascii()
        if self._section.done:
            if self._mime is not None:
                self._mime.feed(block)
            self._incoming.write(block)
        else:
            self._write_head(*self._section.feed(block))

    def finish(self) -> Reply | Deferred[Reply]:
        self._close()
        return self._commit()

    def _close(self) -> None:
        """
        The content has ended. May be called twice.
        """
        if self._strays is not None and (last := self._strays.close()):
            self._strays = None
            self.write(last)
        if self._refusal is None and not self._section.done:
            self._write_head(*self._section.close())

    def _commit(self) -> Reply | Deferred[Reply]:
        if self._refusal is not None:
            return self._refusal
        settings = self._cleanup.settings
        utf8 = self._mime is not None and self._mime.eight_bit_header()
        asking = nexthop_needs(self._envelope, settings, self._eight_bit, utf8)
        changed = without_duplicates(
            asking, settings.duplicate_filter_limit, settings.enable_original_recipient
        )
        if changed is None and asking is not self._opened:
            changed = asking
        return self._incoming.commit(changed).addCallbacks(self._queued, self._failed)

    def amend(self, envelope: Envelope) -> None:
        old, new = self._opened.recipients, envelope.recipients
        mapped = self._envelope.recipients
        if new[: len(old)] == old:
            first = max((r.n for r in mapped), default=-1) + 1
            more = enumerate(new[len(old) :], first)
            new = (*mapped, *(replace(r, n=n) for n, r in more))
        self._envelope = replace(
            self._envelope,
            hold=envelope.hold,
            filter=envelope.filter,
            recipients=new,
        )

    def abort(self) -> None:
        self._incoming.abort()

    def _write_head(self, head: bytes, rest: bytes) -> None:
        section, settings = self._section, self._cleanup.settings
        # Ours counts too.
        if section.hops + 1 >= settings.hopcount_limit:
            self._refusal = _TOO_MANY_HOPS
            self._incoming.abort()
            self._warn("message rejected: hopcount exceeded")
            return
        if self._mime is not None:
            self._mime.feed(head + rest)
        if section.done:
            added = trace.missing(
                section.seen, self._envelope, settings, self._submission
            )
            self._tell_message_ids(b"Message-Id: " in added)
            self._incoming.write(b"".join((self._lead, head, added, rest)))
        elif head:
            self._incoming.write(self._lead + head)
            self._lead = b""

    def _refuse_character(self, line: bytes) -> None:
        self._refusal = _BAD_CHARACTER
        self._incoming.abort()
        envelope = self._envelope
        text = line.decode("utf-8", "surrogateescape")
        to = envelope.recipients[0].address if envelope.recipients else "unknown"
        note = (
            f"{envelope.queue_id}: reject: content {text} from "
            f"{envelope.client.label}; from=<{envelope.sender}> to=<{to}>"
            f" proto={envelope.protocol} helo=<{envelope.helo}>"
            ": 5.7.1 disallowed character"
        )
        self._cleanup.sink.emit(Note("cleanup", note))

    def _tell_message_ids(self, added: bool) -> None:
        sink, queue_id = self._cleanup.sink, self._envelope.queue_id
        plain = False
        for name, value in self._section.message_ids:
            text = value.replace(b"\r\n", b"\n").decode("utf-8", "surrogateescape")
            if name == b"message-id":
                plain = True
                sink.emit(MessageId("cleanup", queue_id, text))
            else:
                sink.emit(Note("cleanup", f"{queue_id}: {name.decode()}={text}"))
        if added:
            text = trace.message_id(self._envelope, self._cleanup.settings).decode()
            if trace.is_resent(self._section.seen):
                sink.emit(Note("cleanup", f"{queue_id}: resent-message-id={text}"))
            else:
                plain = True
                sink.emit(MessageId("cleanup", queue_id, text))
        if not plain:
            sink.emit(MessageId("cleanup", queue_id, "<>"))

    def _queued(self, queue_id: str) -> Reply:
        return Reply(250, "2.0.0", f"Ok: queued as {queue_id}")

    def _failed(self, failure: Failure) -> Reply:
        error = failure.value
        if isinstance(error, StoreUnavailable):
            self._warn(f"write queue file: {error.reason}")
            if error.code == 452:
                return Reply(452, error.status, "Insufficient system storage")
            return Reply(error.code, error.status, "Error: queue file write error")
        # A bug of ours is no reason to refuse mail for good.
        self._log.failure("cannot commit a message", failure)
        return Reply(451, "4.3.0", "Error: queue file write error")

    def _warn(self, text: str) -> None:
        queue_id = self._envelope.queue_id
        self._cleanup.sink.emit(Warn("cleanup", f"{queue_id}: {text}"))
