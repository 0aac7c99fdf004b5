"""
The tables, and how every connection is set up.

Owns: the words of SQL that make and configure a database.
Knows nothing of: files, threads, when a statement runs.

Partial indexes are used only by queries that repeat their condition letter
for letter: C{queue = 2}, and C{queue <> 2 AND queue = 0}.

Sources: SQLite's pragma.html, wal.html, partialindex.html.
"""

from __future__ import annotations

#: "txma": says that a file is a queue of ours.
APPLICATION_ID = 0x74786D61

#: Layout of the tables; another number is refused.
VERSION = 1

TABLES = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
CREATE TABLE message (
    id         INTEGER PRIMARY KEY,
    queue      INTEGER NOT NULL,
    due        INTEGER NOT NULL,
    node       INTEGER,
    sender     TEXT    NOT NULL,
    attributes BLOB    NOT NULL,
    size       INTEGER NOT NULL,
    checksum   INTEGER NOT NULL,
    storage    INTEGER NOT NULL
);
CREATE INDEX message_due  ON message (due)       WHERE queue = 2;
CREATE INDEX message_rest ON message (queue, id) WHERE queue <> 2;
CREATE TABLE recipient (
    message INTEGER NOT NULL,
    n       INTEGER NOT NULL,
    address TEXT    NOT NULL,
    state   INTEGER NOT NULL,
    info    TEXT,
    PRIMARY KEY (message, n)
) WITHOUT ROWID;
CREATE TABLE content (
    message INTEGER NOT NULL,
    n       INTEGER NOT NULL,
    data    BLOB    NOT NULL,
    PRIMARY KEY (message, n)
);
"""

#: A row put into this view of a writing connection is done to the tables: all
#: that a transaction usually has to do is one statement so, and one step of
#: SQLite, in which the interpreter's lock is given up once. Of C{kind} 1: a
#: message with its first recipient and its content; 2: a message is finished;
#: 3: a message goes on hold; NULL: nothing.
BATCH = """
CREATE TEMP VIEW batch (
    kind, id, sender, attributes, size, checksum, storage, data, n, address, info
) AS SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL;
CREATE TEMP TRIGGER batch_message INSTEAD OF INSERT ON batch WHEN NEW.kind = 1
BEGIN
    INSERT INTO message VALUES (
        NEW.id, 0, 0, NULL, NEW.sender, NEW.attributes, NEW.size, NEW.checksum,
        NEW.storage
    );
    INSERT INTO recipient SELECT NEW.id, NEW.n, NEW.address, 0, NEW.info
        WHERE NEW.n IS NOT NULL;
    INSERT INTO content SELECT NEW.id, 0, NEW.data WHERE NEW.data IS NOT NULL;
END;
CREATE TEMP TRIGGER batch_finished INSTEAD OF INSERT ON batch WHEN NEW.kind = 2
BEGIN
    DELETE FROM message WHERE id = NEW.id;
    DELETE FROM recipient WHERE message = NEW.id;
    DELETE FROM content WHERE message = NEW.id;
END;
CREATE TEMP TRIGGER batch_held INSTEAD OF INSERT ON batch WHEN NEW.kind = 3
BEGIN
    UPDATE message SET queue = 3 WHERE id = NEW.id;
END;
"""

#: Set before the first table is made; they live in the file.
PAGE_SIZE = 4096
FILE_PRAGMAS = (f"page_size = {PAGE_SIZE}", "auto_vacuum = NONE", "journal_mode = WAL")

#: Set on every connection; SQLite forgets them when it closes. Automatic
#: checkpoints swallow I/O errors, so there are none. secure_delete is on in
#: Debian's library and costs 8 us a message. mmap would turn an I/O error
#: into SIGBUS.
CONNECTION_PRAGMAS = (
    "synchronous = FULL",
    "wal_autocheckpoint = 0",
    "journal_size_limit = 67108864",
    "secure_delete = OFF",
    "cache_size = -16000",
    "mmap_size = 0",
    "temp_store = MEMORY",
)

#: What must be read back, or the promise of 250 would be empty.
PROMISES = (("journal_mode", "wal"), ("synchronous", 2), ("wal_autocheckpoint", 0))

MESSAGE_COLUMNS = "id, queue, due, sender, attributes, size, checksum, storage"
