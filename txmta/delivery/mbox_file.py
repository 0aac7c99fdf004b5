"""
Append messages to a mailbox file, all of each or nothing.

The order of system calls for one batch of messages::

    open     PATH.lock, exclusively (dotlock)                 }
    open     the file; make it, with mode 0600, if it is      }
             missing                                          }  L{MboxOpener}
    lock     the file (flock, fcntl)                          }
    fstat    it is still the file of that name                }
    fsync    its directory, when this process comes there     }
             first                                            }
    pread    its last two octets: does a new message begin on a new line?
    write    all of one message                              each message
    fsync    the file                                        once
    close    the file, which unlocks it; unlink PATH.lock

and only then is anything reported. A message whose write fails is cut off
again; when the sync fails, the whole batch is.

What a killed process leaves is a torn message at the end of the file, as with
every mbox writer; the next message then begins after an empty line, so that
the two do not become one.

Owns: the order above, cutting off.
Knows nothing of: recipients, queue, reactor. Everything here blocks: it runs
    in a thread.

Sources: Postfix C{global/mail_copy.c}.

Errors: as L{txmta.delivery.mbox_open}.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from txmta.delivery.filesystem import FileSystem, MailboxError, write_all
from txmta.delivery.mbox_open import MboxFile, MboxOpener, write_error


class MboxWriter:
    """
    Any number of threads may call at the same time.
    """

    def __init__(
        self, now: Callable[[], float], stale: float, fs: FileSystem | None = None
    ) -> None:
        """
        @param now: wall time.
        @param stale: stale_lock_time, seconds.
        """
        self._fs = fs or FileSystem()
        self._opener = MboxOpener(self._fs, now, stale)

    @property
    def warnings(self) -> deque[str]:
        """
        For the log; taken by the caller.
        """
        return self._opener.warnings

    def deliver(
        self, file: MboxFile, take: Callable[[], Sequence[bytes]]
    ) -> list[MailboxError | None]:
        """
        Append whole messages.

        @param take: called once the file is locked, for the messages.
        @return: for each, L{None} once it is safe on disk, or why it is not.
        @raise MailboxError: the file cannot be opened or locked; nothing has
            been taken.
        """
        appending = self.begin(file)
        finished = False
        try:
            errors = [appending.append(octets) for octets in take()]
            try:
                appending.finish()
                finished = True
            except MailboxError as e:
                return [error or e for error in errors]
            return errors
        finally:
            appending.close(finished)

    def begin(self, file: MboxFile) -> MboxAppending:
        """
        Open and lock the file. Must be closed.

        @raise MailboxError: it cannot be opened, or is not to be trusted.
        """
        with ExitStack() as stack:
            return MboxAppending(self._fs, self._opener, file, stack)


class MboxAppending:
    """
    A mailbox file while messages are appended to it.
    """

    def __init__(
        self, fs: FileSystem, opener: MboxOpener, file: MboxFile, stack: ExitStack
    ) -> None:
        """
        @param stack: what must be given back if this fails.
        """
        self._fs = fs
        self._file = opener.open(file, stack)
        self._limit = file.limit
        self._end = self._file.size
        self._gap = self._look_at_end()
        self._broken: MailboxError | None = None
        self._stack = stack.pop_all()

    def append(self, octets: bytes) -> MailboxError | None:
        """
        Write a whole message, or nothing.

        @return: why it is not there.
        """
        end, gap = self._end, self._gap
        try:
            self.write(octets)
        except MailboxError as e:
            if self._broken is None:
                self._undo(end)
                self._gap = gap
            return e
        return None

    def write(self, octets: bytes) -> None:
        """
        Add octets.

        @raise MailboxError: they are not there, or not all of them.
        """
        if self._broken is not None:
            raise self._broken
        octets = self._gap + octets
        end = self._end + len(octets)
        if self._limit and self._file.regular and end > self._limit:
            raise MailboxError("5.2.2", "error writing message: File too large")
        try:
            write_all(self._fs, self._file.descriptor, octets)
        except OSError as e:
            raise write_error(e) from e
        self._gap = b""
        self._end = end

    def finish(self) -> None:
        """
        All that was written, and not undone, is safe on disk when this
        returns.

        @raise MailboxError: it is not, and will be cut off.
        """
        if not self._file.regular or self._end == self._file.size:
            return
        try:
            self._fs.fsync(self._file.descriptor)
        except OSError as e:
            raise write_error(e) from e

    def close(self, finished: bool) -> None:
        """
        Give locks and descriptors back; cut off what was not finished.
        """
        if not finished:
            self._undo(self._file.size)
        self._stack.close()

    def _undo(self, length: int) -> None:
        """
        Cut off what came after C{length}. If that fails nothing more is
        written: it would be in the middle of a torn message.
        """
        if not self._file.regular:
            return
        try:
            self._fs.ftruncate(self._file.descriptor, length)
        except OSError as e:
            self._broken = write_error(e)
        else:
            self._end = length

    def _look_at_end(self) -> bytes:
        """
        @return: what must stand before the next message: each begins after an
            empty line.
        """
        size = self._file.size
        if not size:
            return b""
        try:
            last = self._fs.pread(self._file.descriptor, 2, max(0, size - 2))
        except OSError:  # opened for writing only
            return b""
        if last.endswith(b"\n"):
            return b"" if last == b"\n\n" else b"\n"
        return b"\n\n"
