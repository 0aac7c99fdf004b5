"""
What was said in an SMTP client session, in case the postmaster wants to see it.

Owns: how much is kept, and what counts as trouble.
Knows nothing of: mail, who the postmaster is.

Sources: Postfix C{smtp/smtp_chat.c}; C{smtp/smtp_trouble.c}, smtp_check_code():
replies that say that our commands were wrong.

Errors: none.
"""

from __future__ import annotations

import re
from collections import deque

from txmta.interfaces import IPostmaster
from txmta.model import Transcript
from txmta.smtp.recording import MAX_LINES, text

#: Octets of one piece that are kept.
MAX_PIECE = 4096

#: The class of trouble that is told.
PROTOCOL = "protocol"

# RFC 5321 section 4.2.2: x0z is about syntax; RFC 1869 section 6.1: 555.
_WRONG = re.compile(rb"^(?:50[0-9]|555)", re.MULTILINE)


class Unrecorded:
    """
    A connection that nobody wants to hear of.
    """

    __slots__ = ()

    def begin(self, sender: str) -> None:
        """
        A transaction begins.
        """

    def said(self, octets: bytes) -> None:
        """
        Commands are sent.
        """

    def heard(self, octets: bytes) -> None:
        """
        Octets have arrived.
        """

    def tell(self) -> None:
        """
        The connection is gone: tell the postmaster if there was trouble.
        """


class ClientRecording(Unrecorded):
    """
    One connection.
    """

    __slots__ = ("_harmless", "_peer", "_postmaster", "_said", "_trouble")

    def __init__(self, postmaster: IPostmaster, peer: str) -> None:
        """
        @param peer: C{host[address]:port}.
        """
        self._postmaster = postmaster
        self._peer = peer
        self._said: deque[tuple[bool, bytes]] = deque(maxlen=MAX_LINES)
        self._trouble = False
        self._harmless = False

    def begin(self, sender: str) -> None:
        # Trouble with mail to the postmaster is not told by more such mail.
        self._harmless = sender.lower() == self._postmaster.sender.lower()

    def said(self, octets: bytes) -> None:
        self._said.append((True, octets[:MAX_PIECE]))
        if octets.startswith((b"EHLO", b"HELO")):
            # A server that does not know EHLO is an old one, not in trouble.
            self._harmless = octets.startswith(b"EHLO")

    def heard(self, octets: bytes) -> None:
        self._said.append((False, octets[:MAX_PIECE]))
        if not self._harmless and _WRONG.search(octets):
            self._trouble = True

    def tell(self) -> None:
        if not self._trouble:
            return
        self._trouble = False
        pieces: list[tuple[bool, bytes]] = []
        for ours, octets in self._said:
            if pieces and pieces[-1][0] is ours:
                octets = pieces.pop()[1] + octets
            pieces.append((ours, octets))
        lines = tuple(
            (ours, text(line.rstrip(b"\r")))
            for ours, octets in pieces
            for line in octets.removesuffix(b"\n").split(b"\n")
        )
        self._postmaster.transcript(
            Transcript("client", self._peer, frozenset((PROTOCOL,)), lines)
        )
