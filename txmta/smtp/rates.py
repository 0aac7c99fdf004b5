"""
Counts for check_rate_limit: of all processes, and kept over restarts.

A file of a fixed size in the queue directory. It is written to the disk when the
kernel thinks fit: after a power cut the last half minute may be missing.

Owns: the file; who hears when a limit is passed.
Knows nothing of: limits (L{txmta.smtp.access.by_rate}), what the file looks like
    inside (L{txmta.smtp.tally}).

Errors: C{OSError} when the file cannot be opened.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from txmta.events import Warn
from txmta.interfaces import IEventSink, IPostmaster
from txmta.model import Transcript
from txmta.smtp.tally import Tally, prepare

#: In the queue directory.
NAME = "rate-limits"


def open_counts(directory: str) -> int:
    """
    @param directory: queue_directory, which belongs to mail_owner.
    @return: a descriptor of the counts, made if they are not there.
    """
    path = os.path.join(directory, NAME)
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    descriptor = os.open(path, flags, 0o600)
    try:
        found, owner = os.fstat(descriptor), os.stat(directory)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise OSError(f"{path} is no regular file, or has another name, too")
        if os.geteuid() == 0 and found.st_uid != owner.st_uid:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        prepare(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


class SharedRates:
    """
    See L{RateCounts<txmta.smtp.access.check.RateCounts>}.
    """

    def __init__(
        self,
        directory: str,
        now: Callable[[], float],
        sink: IEventSink,
        postmaster: IPostmaster | None = None,
    ) -> None:
        """
        @param directory: queue_directory.
        @param now: wall time: windows go on over a restart of the machine.
        @raise OSError: the file cannot be opened.
        """
        self._descriptor = open_counts(directory)
        self._tally = Tally(self._descriptor)
        self._now = now
        self._sink = sink
        self._postmaster = postmaster

    def count(self, key: str, period: float, more: int) -> int:
        octets = key.encode("utf-8", "surrogateescape")
        return self._tally.add(octets, self._now(), period, 0, more)

    def close(self) -> None:
        """
        Nothing is counted any more.
        """
        os.close(self._descriptor)

    def tell(self, text: str) -> None:
        self._sink.emit(Warn("smtpd", text))
        if self._postmaster is not None:
            lines = ((True, text),)
            classes = frozenset(("policy",))
            self._postmaster.transcript(
                Transcript("server", "rate limits", classes, lines)
            )
