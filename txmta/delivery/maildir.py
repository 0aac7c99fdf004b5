"""
Put one message, or several, into a Maildir, so that a power cut after that
loses none of them.

The order of system calls for one batch of messages::

    open     base, the directories below it, tmp, new (L{directories}); each
             parent is synced when this process comes there first
    open     tmp/TIME.PpidQn.HOST, exclusively, mode 0600   } each message
    write    all of it                                      }
    fsync    the files                                        all at once
    rename   to new/TIME.VdevIinoMusec.HOST                   each message
    fsync    new                                              once

and only then is anything reported. A message whose call failed is removed,
from tmp or from new.

Owns: file names, the order above.
Knows nothing of: recipients, queue, reactor. Everything here blocks: it runs
    in a thread.

Sources: https://cr.yp.to/proto/maildir.html; Postfix C{local/maildir.c}.

Errors: L{MailboxError<txmta.delivery.filesystem.MailboxError>}.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from functools import partial

from txmta.delivery.directories import Directories, MaildirPath, Opener
from txmta.delivery.filesystem import (
    FileSystem,
    MailboxError,
    failure,
    write_all,
)
from txmta.delivery.stages import Last, Stages, in_turn
from txmta.delivery.syncs import sync

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class MaildirWriter:
    """
    Any number of threads may call at the same time.
    """

    def __init__(
        self,
        host: str,
        now: Callable[[], float],
        strict_ownership: bool = True,
        fs: FileSystem | None = None,
    ) -> None:
        """
        @param host: right end of file names.
        @param now: wall time.
        @param strict_ownership: strict_mailbox_ownership.
        """
        self.host = host.replace("/", "\\057").replace(":", "\\072")
        self.now = now
        self.fs = fs or FileSystem()
        self._opener = Opener(self.fs, strict_ownership)
        # next() of a count is one C call: no two threads get the same number.
        self.count = itertools.count(1)

    def deliver(
        self, path: MaildirPath, messages: Sequence[bytes]
    ) -> list[MailboxError | None]:
        """
        Write whole messages.

        @return: for each, L{None} once it is safe on disk, or why it is not.
        """
        return in_turn(self.stages(path, messages), self.fs.fsync_all)

    def stages(
        self, path: MaildirPath, messages: Sequence[bytes]
    ) -> Stages[list[MailboxError | None]]:
        """
        As L{deliver}, for one who syncs what several such works want.
        """
        try:
            with self._opener.opened(path) as directories:
                return (yield from self._stages(directories, messages))
        except MailboxError as error:
            return [error] * len(messages)

    def _stages(
        self, directories: Directories, messages: Sequence[bytes]
    ) -> Stages[list[MailboxError | None]]:
        files = [MaildirFile(self, directories) for _ in messages]
        for file, message in zip(files, messages, strict=True):
            file.attempt(partial(file.write, message))
        written = [file for file in files if file.error is None]
        if written:
            synced = yield [file.descriptor for file in written]
            for file, error in zip(written, synced, strict=True):
                file.attempt(partial(file.synced, error))
                file.attempt(file.publish)
        published = [file for file in written if file.error is None]
        if published:
            (error,) = yield Last((directories.new,))
            if error is not None:
                take_back(published, error)
        return [file.error for file in files]

    def begin(self, path: MaildirPath) -> MaildirStream:
        """
        Start a message that comes in blocks.

        @raise MailboxError: it cannot be started.
        """
        context = self._opener.opened(path)
        return MaildirStream(self, context)


class MaildirFile:
    """
    One message on its way from tmp to new.

    @ivar error: why it is not there, and never will be.
    @ivar descriptor: to be synced; -1: closed.
    """

    def __init__(self, writer: MaildirWriter, directories: Directories) -> None:
        self.error: MailboxError | None = None
        self._writer = writer
        self._fs = writer.fs
        self.directories = directories
        self.descriptor = -1
        self._tmp_name = ""
        self._new_name = ""

    def attempt(self, step: Callable[[], None]) -> None:
        """
        Take a step, unless an earlier one failed; clean up if this one does.
        """
        if self.error is not None:
            return
        try:
            step()
        except OSError as e:
            self.fail(failure(f"error writing message to {self._shown}", e))
        except MailboxError as e:
            self.fail(e)

    def fail(self, error: MailboxError) -> None:
        """
        Remove what is there, as far as that is possible.
        """
        self.error = error
        self._close()
        with suppress(OSError):
            if self._tmp_name:
                self._fs.unlink(self._tmp_name, dir_fd=self.directories.tmp)
            elif self._new_name:
                self._fs.unlink(self._new_name, dir_fd=self.directories.new)

    @property
    def _shown(self) -> str:
        return f"{self.directories.path}tmp/{self._tmp_name}"

    def _create(self) -> None:
        now = self._writer.now()
        seconds = int(now)
        name = (
            f"{seconds}.P{self._fs.getpid()}Q{next(self._writer.count)}"
            f".{self._writer.host}"
        )
        directory = self.directories.tmp
        try:
            self.descriptor = self._fs.open(name, _CREATE, 0o600, dir_fd=directory)
        except OSError as e:
            path = f"{self.directories.path}tmp/{name}"
            raise failure(f"create maildir file {path}", e) from e
        self._tmp_name = name
        status = self._fs.fstat(self.descriptor)
        self._new_name = (
            f"{seconds}.V{status.st_dev:x}I{status.st_ino:x}"
            f"M{int((now - seconds) * 1e6)}.{self._writer.host}"
        )

    def write(self, octets: bytes) -> None:
        """
        Add octets; the first time, make the file.
        """
        if self.descriptor < 0:
            self._create()
        write_all(self._fs, self.descriptor, octets)

    def synced(self, error: OSError | None) -> None:
        """
        @param error: why the octets are not on disk.
        """
        if error is not None:
            raise error
        self._close(strict=True)

    def publish(self) -> None:
        """
        Move it to new.
        """
        directories = self.directories
        try:
            self._fs.rename(
                self._tmp_name,
                self._new_name,
                src_dir_fd=directories.tmp,
                dst_dir_fd=directories.new,
            )
        except OSError as e:
            name = f"{directories.path}new/{self._new_name}"
            raise failure(f"create maildir file {name}", e) from e
        self._tmp_name = ""

    def _close(self, strict: bool = False) -> None:
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor < 0:
            return
        try:
            self._fs.close(descriptor)
        except OSError:
            if strict:  # NFS and its like tell here that a write failed
                raise


def take_back(files: Sequence[MaildirFile], error: OSError) -> None:
    """
    Remove published files whose names are perhaps not on disk.
    """
    shown = f"sync of directory {files[0].directories.path}new"
    for file in files:
        file.fail(failure(shown, error))


class MaildirStream:
    """
    One message that comes in blocks, too large to be kept in memory.
    """

    def __init__(
        self, writer: MaildirWriter, context: AbstractContextManager[Directories]
    ) -> None:
        self._context = context
        self._fs = writer.fs
        self._file = MaildirFile(writer, context.__enter__())

    def write(self, octets: bytes) -> None:
        """
        @raise MailboxError: it failed; nothing is left but to L{close}.
        """
        self._file.attempt(partial(self._file.write, octets))
        self._raise()

    def finish(self) -> None:
        """
        The message is safe on disk when this returns.

        @raise MailboxError: it is not.
        """
        file, fs = self._file, self._fs
        if file.error is None:
            file.attempt(partial(file.synced, sync(fs.fsync, file.descriptor)))
        file.attempt(file.publish)
        if file.error is None:
            error = sync(fs.fsync, file.directories.new)
            if error is not None:
                take_back([file], error)
        self._raise()

    def close(self, finished: bool) -> None:
        """
        Give descriptors back; remove a message that was not finished.
        """
        if not finished and self._file.error is None:
            self._file.fail(MailboxError("4.3.0", "delivery was given up"))
        self._context.__exit__(None, None, None)

    def _raise(self) -> None:
        if self._file.error is not None:
            raise self._file.error
