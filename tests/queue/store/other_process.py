"""
The other process of L{tests.queue.store.test_two_processes}: inserts, or
claims and finishes, until it is killed. It tells each queue id on standard
output when that is done.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.queue.store.doubles import Rig
from txmta.model import LOCAL_CLIENT, Attempt, Envelope, Recipient, Result
from txmta.model import RecipientState as State
from txmta.queue.store.content import INLINE


def insert(rig: Rig) -> None:
    entrance = rig.entrance()
    n = 0
    while True:
        n += 1
        envelope = Envelope(
            entrance.new_id(),
            time.time(),
            "a@example.com",
            (Recipient(0, "b@example.org", "b@example.org"),),
            LOCAL_CLIENT,
        )
        incoming = entrance.open(envelope)
        # Some have files.
        incoming.write(b"x" * (100 if n % 8 else INLINE + 1))
        print(rig.wait(incoming.commit()), flush=True)


def claim(rig: Rig) -> None:
    store = rig.make()
    while True:
        store.arrived(())
        for message in rig.wait(store.claim(5, time.time())):
            queue_id = message.envelope.queue_id
            done = (Result(0, State.DONE),)
            rig.wait(store.record(Attempt(queue_id, done)))
            print(queue_id, flush=True)


if __name__ == "__main__":
    {"insert": insert, "claim": claim}[sys.argv[1]](Rig(time.time, Path(sys.argv[2])))
