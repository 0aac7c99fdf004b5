"""
Who is told what became of mail, and the messages that tell it.

Owns: the rules against backscatter and loops, NOTIFY and RET, and reading
    what is returned.
Knows nothing of: the form of a notification, transactions.

A message is bounced to its sender; a bounce that fails, to the postmaster if
notify_classes says so; mail to the postmaster that fails, to nobody. Who asks
for it (NOTIFY=SUCCESS) hears of deliveries that no later server will report;
who waits for longer than delay_warning_time hears of that, once.

Sources: RFC 5321 section 6.1, RFC 3461 section 4 (NOTIFY, RET) and 5.2.
Postfix: C{bounce/bounce_notify_service.c}, C{bounce/bounce_warn_service.c},
C{bounce/bounce_trace_service.c}, C{global/trace.c}, C{global/sent.c}.

Errors: none leaves here; an original that cannot be read is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from txmta.errors import MailError
from txmta.events import Note, Warn
from txmta.interfaces import IContent
from txmta.model import Action, Envelope, NewMessage, Notify, Outcome, Recipient
from txmta.queue.bounce import Report, Stamps, message_id, notification
from txmta.queue.letters import Letters
from txmta.queue.parts import QueueParts
from txmta.queue.templates import load
from txmta.queue.traces import Told, traces

#: What C{Notified} events call a notice, by kind and reader.
_KINDS = {
    "failure": ("sender non-delivery", "postmaster non-delivery"),
    "delay": ("sender delay", "postmaster delay"),
    "success": ("sender delivery status", "sender delivery status"),
    "verify": ("sender delivery status", "sender delivery status"),
}


@dataclass(frozen=True, slots=True)
class News:
    """
    What happened in one attempt that somebody may want to hear of.

    @ivar failed: recipients that were given up.
    @ivar delayed: recipients to be tried again, if it is time to tell.
    @ivar succeeded: recipients whose sender is to be told (L{reportable}).
    @ivar traced: recipients of a message whose sender is told of all of them
        (L{Trace<txmta.model.Trace>}).
    """

    failed: Told = ()
    delayed: Told = ()
    succeeded: Told = ()
    traced: Told = ()


@dataclass(frozen=True, slots=True)
class Notice:
    """
    A notification that is to be inserted.

    @ivar kind: for the log.
    """

    kind: str
    message_id: str
    message: NewMessage


@dataclass(frozen=True, slots=True)
class _Plan:
    template: str
    sender: str
    to: str
    told: Told
    headers_only: bool = True
    copy: bool = False


def reportable(recipient: Recipient, outcome: Outcome, cleared: bool) -> bool:
    """
    @param cleared: the sender was told of a delay, and wants to hear when it
        is over (confirm_delay_cleared).

    @return: it is a delivery, and the sender is to be told of it.
    """
    if outcome.action in (Action.FAILED, Action.DELAYED):
        return False
    notify = recipient.notify
    if notify & Notify.SUCCESS and not outcome.dsn_passed:
        return True
    return cleared and (not notify or bool(notify & (Notify.SUCCESS | Notify.DELAY)))


def _wanted(told: Told, when: Notify) -> Told:
    """
    @return: those whose sender did not say that he does not want to hear.
    """
    return [(r, o) for r, o in told if not r.notify or r.notify & when]


class Notifier:
    """
    Makes the notices of one attempt.
    """

    log = Logger()

    def __init__(self, parts: QueueParts) -> None:
        """
        @raise ConfigError: bounce_template_file cannot be used.
        """
        settings = parts.settings
        self._parts = parts
        self._letters = Letters(parts)
        self._templates = {
            name: replace(template, sender=parts.complete(template.sender))
            for name, template in load(settings, self._warn).items()
        }
        self._classes = frozenset(word.lower() for word in settings.notify_classes)
        self._limit = settings.bounce_size_limit
        self._threaded = settings.enable_threaded_bounces
        self._utf8 = settings.smtputf8_enable

    def notices(
        self, envelope: Envelope, size: int, news: News
    ) -> Sequence[Notice] | Deferred[Sequence[Notice]]:
        """
        @param size: octets of content.
        """
        plans: list[_Plan] = []
        if news.failed:
            plans += self._of_failure(envelope, news.failed)
        if news.succeeded or news.traced:
            plans += self._of_success(envelope, news)
        if news.delayed:
            plans += self._of_delay(envelope, news.delayed)
        if not plans:
            return ()
        return Deferred.fromCoroutine(self._make(plans, envelope, size))

    def _of_failure(self, envelope: Envelope, failed: Told) -> list[_Plan]:
        groups: dict[str, list[tuple[Recipient, Outcome]]] = {}
        for recipient, outcome in failed:
            groups.setdefault(outcome.bounce_to, []).append((recipient, outcome))
        return [
            plan
            for owner, told in groups.items()
            for plan in self._of_failure_to(owner, envelope, told)
        ]

    def _of_failure_to(
        self, owner: str, envelope: Envelope, failed: Told
    ) -> list[_Plan]:
        """
        @param owner: of a list, who hears of it whatever the sender of the
            message wanted to be told (RFC 3461 section 5.2.7.3); or C{""}.
        """
        settings, sender = self._parts.settings, owner or envelope.sender
        double_bounce = self._letters.double_bounce
        if self._letters.is_double_bounce(sender):
            self._warn(
                f"{envelope.queue_id}: undeliverable postmaster notification discarded"
            )
            return []
        if not sender:
            if not self._classes & {"2bounce", "bounce"}:
                return []
            to = settings.notice_recipient_2bounce
            return [_Plan("failure", double_bounce, to, failed, False, True)]
        plans = []
        told = failed if owner else _wanted(failed, Notify.FAILURE)
        headers_only = envelope.ret == "HDRS" and not owner
        if told:
            plans.append(_Plan("failure", "", sender, told, headers_only))
        if "bounce" in self._classes:
            to = settings.bounce_notice_recipient
            plans.append(_Plan("failure", double_bounce, to, failed, copy=True))
        return plans

    def _of_delay(self, envelope: Envelope, delayed: Told) -> list[_Plan]:
        sender, plans = envelope.sender, []
        told = _wanted(delayed, Notify.DELAY)
        if told:
            plans.append(_Plan("delay", "", sender, told))
        if "delay" in self._classes:
            to = self._parts.settings.delay_notice_recipient
            double_bounce = self._letters.double_bounce
            plans.append(_Plan("delay", double_bounce, to, delayed, copy=True))
        return plans

    def _of_success(self, envelope: Envelope, news: News) -> list[_Plan]:
        """
        There is one report of both kinds, as in Postfix.
        """
        sender = envelope.sender
        told = traces(news.traced, news.succeeded)
        template = "verify" if news.traced else "success"
        if sender and not self._letters.is_double_bounce(sender):
            return [_Plan(template, "", sender, told)]
        if not sender and "2bounce" in self._classes:
            to = self._parts.settings.notice_recipient_2bounce
            return [_Plan(template, self._letters.double_bounce, to, told)]
        kind = "double-bounce" if sender else "single-bounce"
        text = f"not sending trace/success notification for {kind} message"
        self._parts.sink.emit(Note("bounce", f"{envelope.queue_id}: {text}"))
        return []

    async def _make(
        self, plans: Sequence[_Plan], envelope: Envelope, size: int
    ) -> Sequence[Notice]:
        full = size <= self._limit and not all(plan.headers_only for plan in plans)
        try:
            original: bytes | None = await self._read(envelope.queue_id, full)
        except MailError as e:
            self._warn(str(e))
            original = None
        except Exception:
            self.log.failure("cannot read what is to be returned")
            original = None
        thread = ""
        if self._threaded and original is not None:
            found = message_id(headers(original) if full else original)
            if found is None:
                self._warn(f"{envelope.queue_id}: ignoring malformed Message-ID")
            thread = found or ""
        return [self._notice(plan, envelope, original, full, thread) for plan in plans]

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

    def _notice(
        self,
        plan: _Plan,
        envelope: Envelope,
        original: bytes | None,
        full: bool,
        thread: str,
    ) -> Notice:
        parts, site = self._parts, self._letters.site
        template = self._templates[plan.template]
        eight_bit = self._utf8 or envelope.body != "7BIT"
        new, new_id = self._letters.envelope(
            plan.sender,
            plan.to,
            "8BITMIME" if eight_bit or template.eight_bit else "7BIT",
            envelope.smtputf8,
        )
        now = int(new.arrival)
        if original is not None and full and plan.headers_only:
            original, full = headers(original), False
        until = envelope.arrival + parts.settings.maximal_queue_lifetime
        stamps = Stamps(
            f"{envelope.queue_id}.{now}/{site.host}",
            parts.mail_date(now),
            parts.mail_date(int(envelope.arrival)),
            parts.mail_date(int(until)),
            new_id,
        )
        report = Report(
            template,
            new.recipients[0].address,
            envelope,
            plan.told,
            original,
            full,
            plan.copy,
            thread,
            eight_bit,
        )
        content = parts.internal_head(new) + notification(report, site, stamps)
        kind = _KINDS[plan.template][plan.copy]
        return Notice(kind, new_id, NewMessage(new, content))

    def _warn(self, text: str) -> None:
        self._parts.sink.emit(Warn("bounce", text))


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
