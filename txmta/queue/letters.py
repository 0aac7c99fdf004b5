"""
Mail that the mail system itself writes.

Owns: envelope, id and stamps of such a message.
Knows nothing of: what it says.

Errors: none.
"""

from __future__ import annotations

from datetime import UTC, datetime

from txmta.model import LOCAL_CLIENT, Envelope, Recipient
from txmta.queue.bounce import Site
from txmta.queue.parts import QueueParts


class Letters:
    """
    @ivar site: who writes.
    @ivar double_bounce: the sender of mail to the postmaster.
    """

    def __init__(self, parts: QueueParts) -> None:
        settings = parts.settings
        self._parts = parts
        self.site = Site(settings.myhostname, settings.myorigin, settings.mail_name)
        self.double_bounce = f"{settings.double_bounce_sender}@{settings.myhostname}"

    def envelope(
        self, sender: str, to: str, body: str = "8BITMIME", smtputf8: bool = False
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
            body=body,
            smtputf8=smtputf8,
            local_origin=True,
        )
        return envelope, f"<{when}.{queue_id}@{self.site.host}>"

    def is_double_bounce(self, sender: str) -> bool:
        """
        @return: mail from there is about mail that could not be returned: of
            it nobody is told anything.
        """
        return sender.lower() == self.double_bounce.lower()
