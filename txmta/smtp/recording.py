"""
What was said in an SMTP server session, in case the postmaster wants to see it.

Owns: how much is kept, and which class of trouble a reply stands for.
Knows nothing of: which classes the postmaster wants to hear of, mail.

Only references to lines and replies are kept; text is made of them when
something went wrong that the postmaster wants to hear of, which is rare.

Sources: Postfix C{smtpd/smtpd_chat.c}; C{global/mail_error.c}, and where
C{smtpd/smtpd.c} and C{smtpd/smtpd_check.c} set C{error_mask}.

Errors: none.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable

from txmta.interfaces import IPostmaster
from txmta.model import Reply, Transcript

#: Commands and replies that are kept: the last ones.
MAX_LINES = 100

#: What a client should not let us see, and the postmaster need not.
_SECRET = re.compile(rb"(AUTH[ \t]+\S+[ \t]+)\S.*", re.IGNORECASE | re.DOTALL)

#: Classes of replies by status, less its first digit and dot.
_CLASSES = {
    "1.1": "bounce",  # unknown user
    "1.3": "protocol",
    "1.7": "protocol",
    "3.0": "software",
    "3.1": "resource",
    "3.5": "software",
}


def trouble_class(reply: Reply) -> str:
    """
    @param reply: that is not positive.

    @return: as notify_classes names it; C{""} for what is no trouble, such
        as a server that stops.
    """
    if reply.code == 421:
        return ""
    if reply.code in (501, 500, 502, 503, 504, 521, 555):
        return "protocol"
    detail = reply.status[2:]
    if detail in _CLASSES:
        return _CLASSES[detail]
    return "protocol" if detail.startswith("5.") else "policy"


class Recording:
    """
    One session.

    @ivar heard: takes a command that has arrived, or a reply that refuses
        nothing.
    @ivar reason: why it ended before its time, or C{""}.
    """

    __slots__ = ("_classes", "_postmaster", "_said", "heard", "reason")

    def __init__(self, postmaster: IPostmaster) -> None:
        self._postmaster = postmaster
        self._said: deque[bytes | Reply] = deque(maxlen=MAX_LINES)
        self._classes: set[str] = set()
        self.reason = ""
        self.heard: Callable[[bytes | Reply], None] = self._said.append

    def said(self, reply: Reply) -> None:
        """
        A reply is sent.
        """
        self._said.append(reply)
        if reply.code >= 400:
            self._classes.add(trouble_class(reply))

    def forgive(self) -> None:
        """
        A message has been taken: what went wrong before it is forgotten.
        """
        self._classes.clear()

    def tell(self, peer: str) -> None:
        """
        The session is over: tell the postmaster, if there was any trouble that
        he wants to hear of.

        @param peer: C{name[address]}.
        """
        classes = self._postmaster.classes & self._classes
        if not classes:
            return
        lines: list[tuple[bool, str]] = []
        for each in self._said:
            if isinstance(each, Reply):
                octets = each.encode()
                lines += [(True, text(o)) for o in octets.split(b"\r\n")[:-1]]
            else:
                lines.append((False, text(_SECRET.sub(rb"\1...", each))))
        self._postmaster.transcript(
            Transcript("server", peer, classes, tuple(lines), self.reason)
        )


def text(octets: bytes) -> str:
    """
    @return: octets as a transcript has them.
    """
    return octets.decode("utf-8", "surrogateescape")
