"""
The database file: made, opened, checked, and rebuilt after an I/O error.

C{queue.db} is a symbolic link to C{queue.1.db}; a rebuild writes
C{queue.2.db} and turns the link. A new database is never renamed over an old
one beside its write-ahead log: a crash between would pair one with the log
of the other.

Owns: names, generations, pragmas, and the refusal of anything that is not
    our queue. A queue that is there but empty is an error, never "new".
Knows nothing of: messages, threads, whose turn it is; its caller holds the
    turn for everything but L{Database.read_connection}.

In a process that has a database open nobody may C{open} and C{close} its
file: that would drop the locks that SQLite holds.

Sources: SQLite's wal.html, lang_vacuum.html, howtocorrupt.html.

Errors: L{StoreUnavailable<txmta.errors.StoreUnavailable>} for files that
cannot be a queue; C{sqlite3.Error} and C{OSError} for what may pass.
"""

from __future__ import annotations

import os
import re
import sqlite3
from pathlib import Path
from typing import Protocol

from txmta.errors import StoreUnavailable
from txmta.queue.store.content import sync_directory
from txmta.queue.store.schema import (
    APPLICATION_ID,
    BATCH,
    CONNECTION_PRAGMAS,
    FILE_PRAGMAS,
    PROMISES,
    TABLES,
    VERSION,
)

LINK = "queue.db"
_GENERATION = re.compile(r"queue\.([1-9][0-9]{0,8})\.db")

#: Neither flock nor the shared memory of a write-ahead log works there.
_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "9p"}
_NETWORK |= {"fuse.sshfs", "fuse.glusterfs"}


class Connect(Protocol):
    """
    Opens a database; tests put one in that fails when told.
    """

    def __call__(self, path: str) -> sqlite3.Connection: ...


def connect(
    path: str, factory: type[sqlite3.Connection] = sqlite3.Connection
) -> sqlite3.Connection:
    """
    @param path: of a file that is there; nothing is made.
    @return: a connection without transactions of its own making; one thread
        at a time may use it.
    """
    return sqlite3.connect(
        f"{Path(path).as_uri()}?mode=rw",
        timeout=5,
        isolation_level=None,
        check_same_thread=False,
        factory=factory,
        uri=True,
    )


def file_system(directory: Path) -> str:
    """
    @return: type of the file system that a directory is on, or C{""}.
    """
    device = os.stat(directory).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        text = Path("/proc/self/mountinfo").read_text(errors="replace")
    except OSError:
        return ""
    for line in text.splitlines():
        fields, _, rest = line.partition(" - ")
        if fields.split()[2:3] == [wanted]:
            return rest.split()[0]
    return ""


class Database:
    """
    All generations of one queue's database.

    @ivar generation: the one in use. Any thread may look.
    """

    def __init__(self, directory: Path, connect: Connect = connect) -> None:
        self._directory = directory
        self._link = directory / LINK
        self._connect = connect
        self.generation = 0

    def prepare(self) -> None:
        """
        Find the queue, or make a new one where there is none.

        @raise StoreUnavailable: there is something, but no queue of ours.
        """
        if (kind := file_system(self._directory)) in _NETWORK:
            raise StoreUnavailable(
                f"{self._directory} is on a network file system ({kind}), "
                "where neither flock nor SQLite can be trusted"
            )
        if not os.path.lexists(self._link):
            self._create()
        self.generation = self.linked()

    def linked(self) -> int:
        """
        @return: the generation that the link names.
        @raise StoreUnavailable: it names none.
        """
        try:
            target = os.readlink(self._link)
        except OSError as e:
            raise StoreUnavailable(
                f"{self._link} is not a link to a queue database: {e}"
            ) from e
        match = _GENERATION.fullmatch(target)
        if match is None:
            raise StoreUnavailable(f"{self._link} names {target}, not a queue database")
        return int(match[1])

    def path(self, generation: int) -> Path:
        return self._directory / f"queue.{generation}.db"

    def log_size(self) -> int:
        """
        @return: octets of the write-ahead log that was found; all of them
            may be waiting for a checkpoint.
        """
        path = self.path(self.generation)
        try:
            return path.with_name(path.name + "-wal").stat().st_size
        except FileNotFoundError:
            return 0

    def write_connection(self) -> sqlite3.Connection:
        """
        @return: a connection to the generation in use, checked.
        """
        path = self.path(self.generation)
        self._check_size(path)
        connection = self._connect(str(path))
        try:
            self._configure(connection)
            self._check(connection, path)
            connection.executescript(BATCH)
        except BaseException:
            connection.close()
            raise
        return connection

    def read_connection(self, generation: int) -> sqlite3.Connection:
        """
        @return: a connection that cannot write. Any thread may ask for one.
        """
        path = self.path(generation)
        self._check_size(path)
        connection = self._connect(str(path))
        try:
            self._configure(connection)
            connection.execute("PRAGMA query_only = ON")
            # Damage may make text that is no UTF-8; the checksum will tell.
            connection.text_factory = _decode
        except BaseException:
            connection.close()
            raise
        return connection

    def rebuild(self, connection: sqlite3.Connection) -> None:
        """
        Write everything to new blocks of the disk, and use them from now on.

        @param connection: to the files in doubt, which have the right octets
            in the page cache; left open.
        @raise sqlite3.Error, OSError: it did not work; try again.
        """
        generation = self.generation + 1
        path = self.path(generation)
        self._remove(path)
        connection.execute("VACUUM INTO ?", (str(path),))
        self._publish(path, generation)

    def discard(self, generation: int) -> None:
        """
        Remove an old generation.
        """
        if generation != self.generation:
            self._remove(self.path(generation))

    def _create(self) -> None:
        found = sorted(
            name for name in os.listdir(self._directory) if _GENERATION.fullmatch(name)
        )
        first = self.path(1)
        if found and (found != [first.name] or not self._untouched(first)):
            raise StoreUnavailable(
                f"{self._link} is missing, but {', '.join(found)} is there: "
                "restore the link with ln -s"
            )
        new = self._directory / "queue.new"
        self._remove(new)
        os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        connection = self._connect(str(new))
        try:
            for pragma in FILE_PRAGMAS:
                connection.execute(f"PRAGMA {pragma}").fetchall()
            connection.executescript(f"BEGIN IMMEDIATE; {TABLES} COMMIT;")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            connection.close()
        os.replace(new, first)
        self._publish(first, 1)

    def _untouched(self, path: Path) -> bool:
        """
        Whether a database without a link is what a crash left that came
        while it was made.
        """
        try:
            connection = self._connect(str(path))
            try:
                self._check(connection, path)
                row = connection.execute("SELECT count(*) FROM message").fetchone()
                return row == (0,) and not self._content()
            finally:
                connection.close()
        except (sqlite3.Error, StoreUnavailable):
            return False

    def _content(self) -> list[str]:
        try:
            return os.listdir(self._directory / "content")
        except FileNotFoundError:
            return []

    def _publish(self, path: Path, generation: int) -> None:
        os.chmod(path, 0o600)
        connection = self._connect(str(path))
        try:
            # A copy comes without a log; the first switch to it writes the
            # header, which must not happen after the link is turned.
            self._configure(connection)
            self._check(connection, path)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            connection.close()
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        sync_directory(self._directory)
        turned = self._directory / "queue.db.new"
        turned.unlink(missing_ok=True)
        os.symlink(path.name, turned)
        os.replace(turned, self._link)
        sync_directory(self._directory)
        self.generation = generation

    def _configure(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA journal_mode = WAL").fetchall()  # a copy has none
        for pragma in CONNECTION_PRAGMAS:
            connection.execute(f"PRAGMA {pragma}").fetchall()
        for name, promised in PROMISES:
            row = connection.execute(f"PRAGMA {name}").fetchone()
            if row != (promised,):
                raise StoreUnavailable(
                    f"{self._link}: {name} is {row}, not {promised}: "
                    "mail would not be safe"
                )

    def _check(self, connection: sqlite3.Connection, path: Path) -> None:
        for name, ours in (
            ("application_id", APPLICATION_ID),
            ("user_version", VERSION),
        ):
            row = connection.execute(f"PRAGMA {name}").fetchone()
            if row != (ours,):
                raise StoreUnavailable(f"{path} is not a queue of txmta: {name} {row}")
        connection.execute("SELECT id FROM message LIMIT 1").fetchall()

    def _check_size(self, path: Path) -> None:
        try:
            size = path.stat().st_size
        except OSError as e:
            raise StoreUnavailable(f"the queue is not there: {e}") from e
        if size == 0:
            raise StoreUnavailable(
                f"{path} is empty: mail has been lost, and is not hidden by making "
                "a new queue; restore it, or remove it by hand"
            )

    def _remove(self, path: Path) -> None:
        for suffix in ("", "-wal", "-shm", "-journal"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)


def _decode(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")
