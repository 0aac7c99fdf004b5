"""
Who is told that mail cannot be delivered, and the message that tells it.

Owns: the rules against backscatter and loops, and reading what is returned.
Knows nothing of: the form of a notification, transactions.

A message is bounced to its sender; a bounce that fails, to the postmaster if
notify_classes says so; mail to the postmaster that fails, to nobody.

Sources: RFC 5321 section 6.1, RFC 3461 section 4 (NOTIFY, RET). Postfix:
C{bounce/bounce_notify_service.c}.

Errors: none leaves here; an original that cannot be read is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from txmta.errors import MailError
from txmta.events import Warn
from txmta.interfaces import IContent
from txmta.model import (
    LOCAL_CLIENT,
    Envelope,
    NewMessage,
    Notify,
    Outcome,
    Recipient,
)
from txmta.queue.bounce import Report, Site, Stamps, notification
from txmta.queue.damage import damage_notice
from txmta.queue.parts import QueueParts

#: What C{Notified} events call the two kinds.
SENDER, POSTMASTER = "sender non-delivery", "postmaster non-delivery"

Failed = Sequence[tuple[Recipient, Outcome]]


@dataclass(frozen=True, slots=True)
class Notice:
    """
    A notification that is to be inserted.

    @ivar kind: L{SENDER} or L{POSTMASTER}.
    """

    kind: str
    message_id: str
    message: NewMessage


@dataclass(frozen=True, slots=True)
class _Plan:
    kind: str
    sender: str
    to: str
    headers_only: bool


class Notifier:
    """
    Makes the notices of one failed attempt.
    """

    log = Logger()

    def __init__(self, parts: QueueParts) -> None:
        settings = parts.settings
        self._parts = parts
        self._site = Site(settings.myhostname, settings.myorigin, settings.mail_name)
        self._double_bounce = f"{settings.double_bounce_sender}@{settings.myhostname}"
        self._classes = frozenset(word.lower() for word in settings.notify_classes)
        self._limit = settings.bounce_size_limit

    def notices(
        self, envelope: Envelope, size: int, failed: Failed
    ) -> Sequence[Notice] | Deferred[Sequence[Notice]]:
        """
        @param size: octets of content.
        @param failed: all recipients that were given up in this attempt.
        """
        told = [
            (recipient, outcome)
            for recipient, outcome in failed
            if not recipient.notify or recipient.notify & Notify.FAILURE
        ]
        plans = self._plans(envelope) if told else ()
        if not plans:
            return ()
        return Deferred.fromCoroutine(self._make(plans, envelope, size, told))

    def _plans(self, envelope: Envelope) -> Sequence[_Plan]:
        settings, sender = self._parts.settings, envelope.sender
        if sender.lower() == self._double_bounce.lower():
            self._parts.sink.emit(
                Warn(
                    "bounce",
                    f"{envelope.queue_id}: undeliverable postmaster notification "
                    "discarded",
                )
            )
            return ()
        if not sender:
            if not self._classes & {"2bounce", "bounce"}:
                return ()
            to = settings.notice_recipient_2bounce
            return (_Plan(POSTMASTER, self._double_bounce, to, False),)
        plans = [_Plan(SENDER, "", sender, False)]
        if "bounce" in self._classes:
            to = settings.bounce_notice_recipient
            plans.append(_Plan(POSTMASTER, self._double_bounce, to, True))
        return plans

    async def _make(
        self, plans: Sequence[_Plan], envelope: Envelope, size: int, told: Failed
    ) -> Sequence[Notice]:
        full = size <= self._limit and envelope.ret != "HDRS"
        try:
            original: bytes | None = await self._read(envelope.queue_id, full)
        except MailError as e:
            self._parts.sink.emit(Warn("bounce", str(e)))
            original = None
        except Exception:
            self.log.failure("cannot read what is to be returned")
            original = None
        return [self._notice(plan, envelope, original, full, told) for plan in plans]

    async def _read(self, queue_id: str, full: bool) -> bytes:
        opened = self._parts.store.content(queue_id)
        content = await opened if isinstance(opened, Deferred) else opened
        try:
            octets = await self._start(content)
        finally:
            content.close()
        return octets if full else headers(octets)

    async def _start(self, content: IContent) -> bytes:
        """
        @return: as much of the content as may be returned.
        """
        blocks, offset = [], 0
        while offset < self._limit:
            read = content.read(offset, self._limit - offset)
            block = await read if isinstance(read, Deferred) else read
            if not block:
                break
            blocks.append(block)
            offset += len(block)
        return b"".join(blocks)

    def damaged(self, envelope: Envelope, reason: str) -> Deferred[str] | None:
        """
        Tell the postmaster of a damaged message, if he wants to hear of it.

        @return: fires with the queue id of the notice; may fail with
            L{StoreUnavailable<txmta.errors.StoreUnavailable>}.
        """
        if not self._classes & {"software", "resource"}:
            return None
        parts, to = self._parts, self._parts.settings.error_notice_recipient
        new, message_id = self._envelope(self._double_bounce, to)
        date = parts.mail_date(int(new.arrival))
        address = new.recipients[0].address
        incoming = parts.store.open(new)
        incoming.write(parts.internal_head(new))
        incoming.write(
            damage_notice(address, envelope, reason, self._site, date, message_id)
        )
        return incoming.commit()

    def _envelope(
        self, sender: str, to: str, smtputf8: bool = False
    ) -> tuple[Envelope, str]:
        """
        @return: of a new message, with its message id.
        """
        parts = self._parts
        now = parts.now()
        queue_id = parts.store.new_id()
        address = parts.resolver.rewrite(to, True)
        when = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d%H%M%S")
        envelope = Envelope(
            queue_id,
            now,
            sender,
            (Recipient(0, address, to),),
            LOCAL_CLIENT,
            body="8BITMIME",
            smtputf8=smtputf8,
            local_origin=True,
        )
        return envelope, f"<{when}.{queue_id}@{self._site.host}>"

    def _notice(
        self,
        plan: _Plan,
        envelope: Envelope,
        original: bytes | None,
        full: bool,
        told: Failed,
    ) -> Notice:
        parts = self._parts
        new, message_id = self._envelope(plan.sender, plan.to, envelope.smtputf8)
        now = int(new.arrival)
        if original is not None and full and plan.headers_only:
            original, full = headers(original), False
        stamps = Stamps(
            f"{envelope.queue_id}.{now}/{self._site.host}",
            parts.mail_date(now),
            parts.mail_date(int(envelope.arrival)),
            message_id,
        )
        to = new.recipients[0].address
        report = Report(to, envelope, told, original, full, plan.kind == POSTMASTER)
        content = parts.internal_head(new) + notification(report, self._site, stamps)
        return Notice(plan.kind, message_id, NewMessage(new, content))


def headers(octets: bytes) -> bytes:
    """
    @return: the headers at the start of a message; of those that were cut
        off, whole lines.
    """
    if octets.startswith(b"\r\n"):
        return b""
    end = octets.find(b"\r\n\r\n")
    if end >= 0:
        return octets[: end + 2]
    return octets[: octets.rfind(b"\r\n") + 2] if b"\r\n" in octets else b""
