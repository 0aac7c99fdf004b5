"""
What is said in a session, for the log (debug_peer_list).

Owns: which lines these are; that no password is among them.
Knows nothing of: sessions, where the log is.

Sources: Postfix C{smtpd/smtpd_chat.c}.

Errors: none.

@note: of AUTH only the mechanism is shown, and nothing of what follows.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from txmta.model import Reply
from txmta.smtp.recording import Recording

_SECRET = re.compile(rb"(\s*AUTH\s+\S+).*", re.IGNORECASE | re.DOTALL)


class Transcript:
    """
    Hears what a L{Recording} hears, and passes it on to one.

    @ivar label: of the client.
    """

    def __init__(
        self,
        recording: Recording | Transcript | None,
        note: Callable[[str], None],
        label: Callable[[], str],
    ) -> None:
        """
        @param recording: who would hear it else.
        @param note: puts a line into the log.
        @param label: names the client now.
        """
        self._recording = recording
        self._note = note
        self._label = label
        self.reason = ""

    def heard(self, what: bytes | Reply) -> None:
        self._show(what)
        if self._recording is not None:
            self._recording.heard(what)

    def said(self, reply: Reply) -> None:
        self._show(reply)
        if self._recording is not None:
            self._recording.said(reply)

    def forgive(self) -> None:
        if self._recording is not None:
            self._recording.forgive()

    def tell(self, label: str) -> None:
        recording = self._recording
        if recording is not None:
            if self.reason:
                recording.reason = self.reason
            recording.tell(label)

    def _show(self, what: bytes | Reply) -> None:
        if isinstance(what, Reply):
            lines = what.encode().decode("utf-8", "surrogateescape").splitlines()
            if what.code == 334:
                lines = ["334"]  # a challenge may tell of a password
            for line in lines:
                self._note(f"> {self._label()}: {line}")
        else:
            text = _SECRET.sub(rb"\1", what)
            shown = text.decode("utf-8", "surrogateescape")
            self._note(f"< {self._label()}: {shown}")
