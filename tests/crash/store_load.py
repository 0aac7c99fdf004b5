"""
A process that puts messages into a queue as fast as it can.

It prints each queue id that was acknowledged, with a letter for the size of
the message. Started by L{tests.crash.test_store_processes}::

    python -m tests.crash.store_load DIRECTORY SECONDS
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from tests.queue.store.doubles import Rig
from txmta.model import LOCAL_CLIENT, Envelope, Recipient
from txmta.queue.store.writer import Timing

#: Messages in flight at a time.
BATCH = 5


def content(queue_id: str, large: bool) -> bytes:
    """
    @return: the content of the message with this id.
    """
    return queue_id.encode() * (8000 if large else 200)


def main() -> None:
    directory, seconds = Path(sys.argv[1]), float(sys.argv[2])
    rig = Rig(time.time, directory)
    store = rig.make(timing=Timing())
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        commits = []
        for _ in range(BATCH):
            number += 1
            large = number % 50 == 0
            queue_id = store.new_id()
            recipients = (Recipient(0, "to@example.org", "to@example.org"),)
            envelope = Envelope(queue_id, time.time(), "", recipients, LOCAL_CLIENT)
            incoming = store.open(envelope)
            incoming.write(content(queue_id, large))
            commits.append((incoming.commit(), "L" if large else "S"))
        for commit, size in commits:
            line = f"{size} {rig.wait(commit)}\n"
            os.write(1, line.encode())
    rig.wait(store.stop())


if __name__ == "__main__":
    main()
