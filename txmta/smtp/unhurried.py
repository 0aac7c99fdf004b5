"""
Back-pressure: who does not read is not read.

Owns: when the transport of an SMTP server session is paused.
Knows nothing of: SMTP.

Sources: L{IPushProducer<twisted.internet.interfaces.IPushProducer>}.

Errors: none.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.mail.smtp import ESMTP
from zope.interface import implementer

from txmta.smtp.engine import Engine

#: Octets that may wait while we are busy, before we stop to read.
MAX_WAITING = 65536


@implementer(IPushProducer)
class Unhurried(ESMTP):
    """
    A session that holds back a peer that is ahead of it.
    """

    transport: Any = None
    _engine: Engine

    # We do not read because we are busy, and because the peer does not.
    _paused = False
    _unread = False

    @property
    def may(self) -> tuple[str, ...]:
        """
        What it is allowed as this client (L{txmta.smtp.privileges}).
        """
        return self._engine.may

    def pauseProducing(self) -> None:
        """
        The peer does not read what we write: neither do we, until it does or
        its time is up.
        """
        self._unread = True
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """
        The peer reads again.
        """
        self._unread = False
        if not self._paused:
            self.transport.resumeProducing()

    def stopProducing(self) -> None:
        """
        Nothing to do: the connection is lost.
        """

    def _hold_back(self) -> None:
        if not self._paused and len(self._engine.stream) > MAX_WAITING:
            self._paused = True
            self.transport.pauseProducing()

    def _read_on(self) -> None:
        """
        We are not busy any more.
        """
        self._paused = False
        if not self._unread:
            self.transport.resumeProducing()
