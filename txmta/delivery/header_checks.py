"""
Header checks of mail that leaves (smtp_header_checks).

Owns: what is asked of the tables, and what each action does to a header.
Knows nothing of: where headers begin and end, addresses.

Sources: Postfix's header_checks(5), C{global/header_body_checks.c},
C{smtp_hbc_logger()} in C{src/smtp/smtp_proto.c}.

Errors: L{NotMapped}: a table cannot be asked. The message must not leave as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from twisted.internet.defer import Deferred

from txmta.delivery.generic import NotMapped
from txmta.errors import TableUnavailable
from txmta.interfaces import ITable
from txmta.search import search

_HEADER = re.compile(rb"[!-9;-~]+[ \t]*:")

#: Actions that only say something, and the word for it.
_LOGGED = {"WARN": "warning", "INFO": "info"}

#: Characters of a header that are logged.
_SHOWN = 200


@dataclass(frozen=True)
class HeaderChecks:
    """
    @ivar name: of the parameter.
    @ivar note: for the log.
    @ivar warn: as C{note}, for what an administrator should know.
    """

    name: str
    tables: Sequence[ITable]
    note: Callable[[str], None]
    warn: Callable[[str], None]

    async def check(self, queue_id: str, header: bytes) -> tuple[bytes, bytes | None]:
        """
        @param header: with its line end.
        @return: what is put before it, and what becomes of it: L{None} if it is
            left out. It is the same object if nothing does.
        """
        octets = header.replace(b"\r\n", b"\n").removesuffix(b"\n")
        text = octets.decode("utf-8", "surrogateescape")
        try:
            found = search(self.tables, (text,))
            found = await found if isinstance(found, Deferred) else found
        except TableUnavailable as e:
            self.warn(f"{queue_id}: {self.name}: {e}")
            raise NotMapped(f"{self.name} lookup error") from e
        if found is None:
            return b"", header
        action, _, argument = found.strip().partition(" ")
        return self._act(action.upper(), argument.strip(), f"{queue_id}: ", header)

    def _act(
        self, action: str, argument: str, prefix: str, header: bytes
    ) -> tuple[bytes, bytes | None]:
        shown = header.decode("utf-8", "replace").strip()[:_SHOWN]
        shown = "".join(c if c.isprintable() else "?" for c in shown)

        def log(word: str) -> None:
            more = f": {argument}" if argument else ""
            self.note(f"{prefix}{word}: header {shown}{more}")

        if action in ("REPLACE", "PREPEND"):
            new = argument.encode("utf-8", "surrogateescape")
            if not self._is_header(action, argument, new):
                return b"", header
            log(action.lower())
            new += b"\r\n"
            return (b"", new) if action == "REPLACE" else (new, header)
        if action in ("IGNORE", "STRIP"):
            if action == "STRIP":
                log("strip")
            return b"", None
        if action in _LOGGED:
            log(_LOGGED[action])
        elif action not in ("DUNNO", "OK"):
            self.warn(f"unsupported command in {self.name} map: {action}")
        return b"", header

    def _is_header(self, action: str, argument: str, new: bytes) -> bool:
        if not argument:
            self.warn(f"{action} action without text in {self.name} map")
            return False
        if not _HEADER.match(new) or b"\n" in new or b"\r" in new:
            self.warn(
                f'bad {action} header text "{argument}" in {self.name} map -- '
                'need "headername: headervalue"'
            )
            return False
        return True
