"""
The mail log: time stamp, host and program before each line; written in bursts.

Owns: when lines are written: at the latest L{FLUSH} seconds after the event.
Knows nothing of: the words (L{txmta.log.postfix}), the target
    (L{txmta.log.sinks}).

A twisted.logger observer costs 28 us an event; this costs about 3.

Sources: RFC 3164 section 4.1.2 (time stamp, English whatever the locale).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from txmta.events import Event, Warn
from txmta.interfaces import IEventSink
from txmta.log.postfix import line

#: Seconds from an event to the write, at most.
FLUSH = 0.05

#: Lines kept before they are written at once.
MAX_LINES = 500

_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"


class Target(Protocol):
    """
    Where lines go.
    """

    host: bool

    def write(self, lines: Sequence[str]) -> None: ...

    def close(self) -> None: ...


@implementer(IEventSink)
class MailLog:
    """
    One writer of the mail log.
    """

    def __init__(
        self,
        target: Target,
        clock: IReactorTime,
        now: Callable[[], float],
        call_from_thread: Callable[..., object],
        names: tuple[str, str, int],
    ) -> None:
        """
        @param now: wall time.
        @param call_from_thread: for events of other threads.
        @param names: myhostname, syslog_name, process id.
        """
        self._target = target
        self._clock = clock
        self._now = now
        self._call_from_thread = call_from_thread
        self._host, self._syslog_name, self._pid = names
        self._thread = threading.get_ident()
        self._second = -1
        self._stamp = ""
        self._tags: dict[str, str] = {}
        self._lines: list[str] = []
        self._flush: IDelayedCall | None = None

    def emit(self, event: Event) -> None:
        if threading.get_ident() != self._thread:
            self._call_from_thread(self.emit, event)
            return
        second = int(self._now())
        if second != self._second:
            self._stamp_for(second)
        tag = self._tags.get(event.program) or self._tag(event.program)
        self._lines.append(f"{self._stamp}{tag}{line(event)}\n")
        if self._flush is None:
            self._flush = self._clock.callLater(FLUSH, self._flush_due)
        elif len(self._lines) >= MAX_LINES:
            self.flush()

    def flush(self) -> None:
        """
        Write what is waiting.
        """
        lines, self._lines = self._lines, []
        if lines:
            self._target.write(lines)

    def change(self, names: tuple[str, str, int], target: Target | None = None) -> None:
        """
        Another configuration counts.

        @param names: as at the beginning.
        @param target: the new one; the old one is closed.
        """
        self.flush()
        if target is not None:
            self._target.close()
            self._target = target
        self._host, self._syslog_name, self._pid = names
        self._tags.clear()
        self._second = -1

    def close(self) -> None:
        """
        Write what is waiting, and close the target.
        """
        if self._flush is not None and self._flush.active():
            self._flush.cancel()
        self._flush = None
        self.flush()
        self._target.close()

    def warning(self, program: str, text: str) -> None:
        """
        For whoever has no event at hand.
        """
        self.emit(Warn(program, text))

    def _flush_due(self) -> None:
        self._flush = None
        self.flush()

    def _stamp_for(self, second: int) -> None:
        t = time.localtime(second)
        self._second = second
        host = f"{self._host} " if self._target.host else ""
        self._stamp = (
            f"{_MONTHS[t.tm_mon * 3 - 3 : t.tm_mon * 3]} {t.tm_mday:2d} "
            f"{t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d} {host}"
        )

    def _tag(self, program: str) -> str:
        # A service may have a syslog_name of its own.
        name = program if "/" in program else f"{self._syslog_name}/{program}"
        tag = f"{name}[{self._pid}]: "
        self._tags[program] = tag
        return tag
