"""
Mail to the postmaster about trouble of ours.

Owns: which classes of trouble are told (notify_classes), and to whom.
Knows nothing of: the words.

Sources: Postfix C{global/mail_error.c}; postconf(5), notify_classes.

Errors: none leaves here; what cannot be told is in the log.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txmta.errors import MailError
from txmta.events import MessageId, Warn
from txmta.interfaces import IPostmaster
from txmta.model import Envelope, Transcript
from txmta.queue.damage import damage_notice
from txmta.queue.letters import Letters
from txmta.queue.mapped import commit
from txmta.queue.parts import QueueParts
from txmta.queue.transcript import session_notice

#: Classes of trouble in sessions.
SESSIONS = frozenset(("bounce", "data", "policy", "protocol", "resource", "software"))

#: Mails on their way to the store; what comes on top is in the log only, so
#: that whoever annoys us fills neither memory nor queue at once.
MAX_PENDING = 20


@implementer(IPostmaster)
class Postmaster:
    """
    Tells the postmaster what he wants to hear.

    @ivar classes: of trouble in sessions that he wants to hear of.
    @ivar sender: envelope sender of such mail.
    """

    log = Logger()

    def __init__(self, parts: QueueParts) -> None:
        self._parts = parts
        self._letters = Letters(parts)
        self._classes = frozenset(w.lower() for w in parts.settings.notify_classes)
        self.classes = self._classes & SESSIONS
        self.sender = self._letters.double_bounce
        self._pending = 0

    def put_away(self, envelope: Envelope, reason: str) -> Deferred[bool]:
        """
        Move a damaged message to the corrupt queue, and tell of it.

        @return: whether it is there; it stays where it is if it is not
            damaged, or nobody can tell. Never fails.
        """
        return Deferred.fromCoroutine(self._put_away(envelope, reason))

    async def _put_away(self, envelope: Envelope, reason: str) -> bool:
        try:
            moved = await self._parts.store.damaged(envelope.queue_id)
        except Exception:
            self._unsaid(Failure(), envelope.queue_id)
            return False
        if not moved:
            self._warn(f"{reason}: so a delivery agent says, but it is not damaged")
            return False
        self._warn(f"{reason}: moved to the corrupt queue")
        try:
            self._tell_damaged(envelope, reason)
        except Exception:
            self._unsaid(Failure(), envelope.queue_id)
        return True

    def _tell_damaged(self, envelope: Envelope, reason: str) -> None:
        if not self._classes & {"software", "resource"}:
            return
        letters = self._letters
        to = self._parts.settings.error_notice_recipient
        new, message_id = letters.envelope(letters.double_bounce, to)
        date = self._parts.mail_date(int(new.arrival))
        address = new.recipients[0].address
        content = damage_notice(
            address, envelope, reason, letters.site, date, message_id
        )
        self._send(new, content, envelope.queue_id)

    def transcript(self, transcript: Transcript) -> None:
        """
        As L{IPostmaster.transcript<txmta.interfaces.IPostmaster.transcript>}.
        """
        about = f"SMTP {transcript.role}: errors from {transcript.peer}"
        if self._pending >= MAX_PENDING:
            self._warn(f"{about}: not mailed, there are too many")
            return
        try:
            self._send_transcript(transcript, about)
        except Exception:
            self._unsaid(Failure(), about)

    def _send_transcript(self, transcript: Transcript, about: str) -> None:
        settings, letters = self._parts.settings, self._letters
        to = settings.error_notice_recipient
        if transcript.classes == {"bounce"}:
            to = settings.bounce_notice_recipient
        new, message_id = letters.envelope(letters.double_bounce, to)
        date = self._parts.mail_date(int(new.arrival))
        address = new.recipients[0].address
        content = session_notice(address, transcript, letters.site, date, message_id)
        self._parts.sink.emit(MessageId("cleanup", new.queue_id, message_id))
        self._send(new, content, about)

    def _send(self, new: Envelope, content: bytes, about: str) -> None:
        self._pending += 1
        content = self._parts.internal_head(new) + content
        sent = Deferred.fromCoroutine(
            commit(self._parts, self._parts.store, new, content)
        )
        sent.addErrback(self._unsaid, about).addBoth(self._sent)

    def _sent(self, _: object) -> None:
        self._pending -= 1

    def _unsaid(self, failure: Failure, about: str) -> None:
        if not failure.check(MailError):
            self.log.failure("mail to the postmaster", failure)
        self._warn(f"{about}: {failure.getErrorMessage()}")

    def _warn(self, text: str) -> None:
        self._parts.sink.emit(Warn("qmgr", text))
