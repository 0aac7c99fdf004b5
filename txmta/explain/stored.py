"""
Questions of a message that is in the queue: what if it came now?

Owns: reading its envelope.
Knows nothing of: who answers.

Errors: C{ValueError}: there is no such message.
"""

from __future__ import annotations

import sqlite3

from txmta.admin.offline import become_owner, reading
from txmta.explain.question import Question
from txmta.model import LOCAL_CLIENT, Envelope
from txmta.queue.store import ids, queries

#: Recipients of it that are asked about.
MAX_RECIPIENTS = 100


def questions(folder: str, directory: str, queue_id: str) -> tuple[Question, ...]:
    """
    Read as the mail owner, who we are from now on, as C{postcat} does.

    @param folder: with main.cf.
    @param directory: queue_directory.
    @return: one for each recipient.
    """
    become_owner(folder)
    found = reading(directory, lambda c: _envelope(c, queue_id), None)
    if found is None:
        raise ValueError(f"{queue_id}: there is no such message in the queue")
    client = found.client
    where = f"{client.name}[{client.address}]"
    if found.client == LOCAL_CLIENT:
        where = "localhost[127.0.0.1]"
    return tuple(
        Question(where, found.helo or client.name, "", found.sender, each.original)
        for each in found.recipients[:MAX_RECIPIENTS]
    )


def _envelope(connection: sqlite3.Connection, queue_id: str) -> Envelope | None:
    number = ids.decode(queue_id)
    if number is None:
        return None
    for queued in queries.find(connection, None, number - 1, 1, frozenset()):
        if queued.envelope.queue_id == queue_id:
            return queued.envelope
    return None
