"""
Open the directories of a Maildir without being led elsewhere.

Each directory below a trusted base is opened relative to the one before,
never through a symbolic link, and then looked at through its descriptor: what
was checked is what is used, whatever a racing user renames meanwhile.

Owns: the walk, the checks, making what is missing, syncing what was made.
Knows nothing of: messages.

Sources: Postfix C{util/make_dirs.c}, C{util/safe_open.c}; strict_mailbox_ownership
in postconf(5).

Errors: L{MailboxError<txmta.delivery.filesystem.MailboxError>}.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from txmta.delivery.filesystem import FileSystem, failure, refusal
from txmta.delivery.rights import Owner

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NONBLOCK
_BELOW = _DIRECTORY | os.O_NOFOLLOW

#: Directories and files remembered as synced; our own choice, about 10 MB.
MAX_SYNCED = 50_000


@dataclass(frozen=True, slots=True)
class MaildirPath:
    """
    Where a Maildir is.

    @ivar base: trusted directory, absolute; may go through symbolic links.
    @ivar below: names of the directories from there to the Maildir; not
        trusted; never empty, C{"."} or C{".."}.
    @ivar make_base: make C{base} if it is missing.
    @ivar owner: with whose rights it is written; L{None}: ours.
    """

    base: str
    below: tuple[str, ...]
    make_base: bool = False
    owner: Owner | None = None

    def __str__(self) -> str:
        return "/".join((self.base.rstrip("/"), *self.below, ""))


@dataclass(frozen=True, slots=True)
class Directories:
    """
    Descriptors of an open Maildir.
    """

    path: MaildirPath
    tmp: int
    new: int


@dataclass(frozen=True, slots=True)
class _Walk:
    """
    A directory on the way.

    @ivar at: its descriptor.
    @ivar shown: its path, for messages.
    @ivar descriptors: all that must be closed in the end.
    """

    at: int
    shown: str
    descriptors: list[int]


class Entries:
    """
    Names in directories that are known to be on disk.

    Any number of threads may call at the same time.
    """

    def __init__(self, fs: FileSystem) -> None:
        self._fs = fs
        self._lock = threading.Lock()
        # By (device, inode): what was replaced counts as new.
        self._synced: dict[tuple[int, int], None] = {}

    def sync(self, parent: int, descriptor: int, made: bool = False) -> None:
        """
        The first time that this process comes to a file or directory, sync
        its parent: whoever made it, perhaps we before an error, may not have
        done so.

        @param made: we just did; its inode may have been another's before.
        @raise OSError: the parent cannot be synced.
        """
        key = self._key(descriptor)
        if key in self._synced and not made:
            return
        self._fs.fsync(parent)
        self._remember(key)

    def known(self, descriptor: int) -> bool:
        """
        @return: whether L{sync} has nothing to do.
        """
        return self._key(descriptor) in self._synced

    def _key(self, descriptor: int) -> tuple[int, int]:
        status = self._fs.fstat(descriptor)
        return status.st_dev, status.st_ino

    def _remember(self, key: tuple[int, int]) -> None:
        with self._lock:
            while len(self._synced) >= MAX_SYNCED:
                del self._synced[next(iter(self._synced))]
            self._synced[key] = None


class Opener:
    """
    Opens Maildirs; any number of threads may call at the same time.
    """

    def __init__(self, fs: FileSystem, strict_ownership: bool = True) -> None:
        """
        @param strict_ownership: refuse what another user owns.
        """
        self._fs = fs
        self._strict = strict_ownership
        self._entries = Entries(fs)

    @contextmanager
    def opened(self, path: MaildirPath) -> Iterator[Directories]:
        """
        Descriptors are closed when the context ends.

        @raise MailboxError: it cannot be opened, or is not to be trusted.
        """
        descriptors: list[int] = []
        try:
            try:
                directories = self._walk(path, descriptors)
            except OSError as e:
                raise failure(f"open {path}", e) from e
            yield directories
        finally:
            for descriptor in descriptors:
                with suppress(OSError):
                    self._fs.close(descriptor)

    def _walk(self, path: MaildirPath, descriptors: list[int]) -> Directories:
        base = self._base(path.base, path.make_base, descriptors)
        walk = _Walk(base, path.base.rstrip("/"), descriptors)
        ours = self._fs.geteuid()
        trusted = frozenset((ours, 0, self._fs.fstat(base).st_uid))
        for name in path.below[:-1]:
            walk = self._enter(walk, name, trusted)
        maildir = self._enter(walk, path.below[-1], frozenset((ours,)))
        tmp = self._enter(maildir, "tmp", frozenset((ours,)))
        try:
            new = self._enter(maildir, "new", frozenset((ours,)), make=False)
        except FileNotFoundError:
            self._make(maildir, "cur")
            new = self._enter(maildir, "new", frozenset((ours,)))
        return Directories(path, tmp.at, new.at)

    def _base(self, path: str, make: bool, descriptors: list[int]) -> int:
        try:
            base = self._open_base(path)
        except FileNotFoundError as e:
            upper, name = os.path.split(path.rstrip("/"))
            if not make or not name:
                raise failure(f"open directory {path}", e) from e
            parent = _Walk(self._base(upper, make, descriptors), upper, descriptors)
            self._make(parent, name)
            base = self._open_base(path)
            self._sync_entry(parent, base, True)
        except OSError as e:
            raise failure(f"open directory {path}", e) from e
        descriptors.append(base)
        if make and path != "/":
            with suppress(PermissionError):
                above = self._fs.open("..", _DIRECTORY, dir_fd=base)
                descriptors.append(above)
                self._sync_entry(_Walk(above, f"{path}/..", descriptors), base)
        return base

    def _open_base(self, path: str) -> int:
        try:
            return self._fs.open(path, _DIRECTORY)
        except PermissionError:
            # We may look up names in it, but not list it: what others made in
            # it can be used, what we would make could not be synced.
            return self._fs.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def _enter(
        self, walk: _Walk, name: str, owners: frozenset[int], make: bool = True
    ) -> _Walk:
        """
        Open one directory, and make it if it is missing.

        @raise FileNotFoundError: it is missing, and C{make} is false.
        """
        path = f"{walk.shown}/{name}"
        made = False
        try:
            try:
                descriptor = self._fs.open(name, _BELOW, dir_fd=walk.at)
            except FileNotFoundError:
                if not make:
                    raise
                self._make(walk, name)
                made = True
                descriptor = self._fs.open(name, _BELOW, dir_fd=walk.at)
        except OSError as e:
            if e.errno in (errno.ENOTDIR, errno.ELOOP):
                raise refusal(f"{path} is a symbolic link or no directory") from e
            if not make:
                raise
            raise failure(f"open directory {path}", e) from e
        walk.descriptors.append(descriptor)
        self._check(descriptor, path, owners)
        if name != "tmp":  # nothing in tmp is a promise
            self._sync_entry(walk, descriptor, made)
        return _Walk(descriptor, path, walk.descriptors)

    def _make(self, walk: _Walk, name: str) -> None:
        try:
            with suppress(FileExistsError):
                self._fs.mkdir(name, 0o700, dir_fd=walk.at)
        except OSError as e:
            raise failure(f"create directory {walk.shown}/{name}", e) from e

    def _check(self, descriptor: int, path: str, owners: frozenset[int]) -> None:
        status = self._fs.fstat(descriptor)
        if status.st_mode & stat.S_IWOTH:
            raise refusal(f"directory {path} is writable for everybody")
        if self._strict and status.st_uid not in owners:
            raise refusal(f"destination {path} is not owned by recipient")

    def _sync_entry(self, parent: _Walk, descriptor: int, made: bool = False) -> None:
        try:
            self._entries.sync(parent.at, descriptor, made)
        except OSError as e:
            raise failure(f"sync of directory {parent.shown}", e) from e
