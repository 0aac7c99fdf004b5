"""
What a message costs in the queue store, without SMTP around it.

Each session commits one message after the other; each commit rings the
doorbell, which claims, reads the content and records it as delivered. That is
the whole way of a message through the store, on the real reactor.

    python -m benchmarks.store [--messages N] [--size OCTETS] [--directory DIR]

Columns: sessions at a time; messages a second; CPU of the whole process, and
of the reactor's thread alone, in microseconds a message; operations (commits
and records) in one transaction; 50th and 99th percentile of the time from
commit to answer in milliseconds.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from txmta.events import Event, Warn
from txmta.interfaces import IEventSink
from txmta.model import Attempt, Client, Envelope, Recipient, RecipientState, Result
from txmta.queue.store.entrance import Limits, Threads
from txmta.queue.store.sqlite import SqliteStore

SESSIONS = (1, 5, 20, 100)
CLIENT = Client("192.0.2.1", 54321, "mail.example.com", "mail.example.com")
RECIPIENTS = (Recipient(0, "to@example.org", "to@example.org"),)
DONE = (Result(0, RecipientState.DONE),)


@implementer(IEventSink)
class Sink:
    def emit(self, event: Event) -> None:
        if isinstance(event, Warn):
            print(event.text, file=sys.stderr)


class Load:
    """
    A number of messages, through a number of sessions.
    """

    def __init__(self, store: SqliteStore, messages: int, content: bytes) -> None:
        self.store = store
        self.left = messages
        self.content = content
        self.recorded = 0
        self.messages = messages
        self.finished: Deferred[None] = Deferred()
        self.latencies: list[float] = []
        store.listen(self._bell)

    def session(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._session())

    async def _session(self) -> None:
        store = self.store
        while self.left > 0:
            self.left -= 1
            now = time.time()
            envelope = Envelope(
                store.new_id(), now, "from@example.com", RECIPIENTS, CLIENT, "mail"
            )
            incoming = store.open(envelope)
            incoming.write(self.content)
            start = time.perf_counter()
            await incoming.commit()
            self.latencies.append(time.perf_counter() - start)

    def _bell(self, queue_ids: Sequence[str]) -> None:
        claimed = self.store.claim(1000, time.time())
        if isinstance(claimed, Deferred):
            claimed.addCallback(self._deliver)
        else:
            self._deliver(claimed)

    def _deliver(self, messages: Sequence[Any]) -> None:
        for message in messages:
            content = self.store.content(message.envelope.queue_id)
            if isinstance(content, Deferred):
                content.addCallback(self._read, message)
            else:
                self._read(content, message)

    def _read(self, content: Any, message: Any) -> None:
        if message.size <= 65536:
            content.read(0, message.size)
        content.close()
        attempt = Attempt(message.envelope.queue_id, DONE)
        self.store.record(attempt).addCallback(self._recorded)

    def _recorded(self, removed: bool) -> None:
        self.recorded += 1
        if self.recorded == self.messages:
            self.finished.callback(None)


async def measure(
    store: SqliteStore, sessions: int, messages: int, content: bytes
) -> str:
    """
    @return: one line of the table.
    """
    load = Load(store, messages, content)
    journal = store._writer.journal
    transactions, operations = journal.batches
    wall, cpu, thread = time.perf_counter(), time.process_time(), time.thread_time()
    await gatherResults([load.session() for _ in range(sessions)])
    await load.finished
    thread = (time.thread_time() - thread) / messages * 1e6
    cpu = (time.process_time() - cpu) / messages * 1e6
    rate = messages / (time.perf_counter() - wall)
    batch = (journal.batches[1] - operations) / (journal.batches[0] - transactions)
    store._core.doorbells.clear()
    load.latencies.sort()
    p50, p99 = (load.latencies[int(messages * p)] * 1e3 for p in (0.5, 0.99))
    return (
        f"{sessions:8} {rate:9.0f} {cpu:9.0f} {thread:9.0f}"
        f" {batch:9.1f} {p50:9.2f} {p99:9.2f}"
    )


async def run(reactor: EPollReactor, options: argparse.Namespace) -> None:
    directory = tempfile.mkdtemp(dir=options.directory)
    pool = ThreadPool(1, 4)
    pool.start()
    store = SqliteStore(
        directory,
        reactor,
        time.time,
        Threads(
            reactor.callFromThread,
            lambda f, *a: deferToThreadPool(reactor, pool, f, *a),
        ),
        Sink(),
        Limits(),
    )
    try:
        store.start()
        content = (b"x" * 70 + b"\r\n") * (options.size // 72 + 1)
        await measure(store, 20, 500, content)  # warm up
        print("sessions     msg/s    cpu us reactor us     batch    p50 ms    p99 ms")
        for sessions in SESSIONS:
            print(await measure(store, sessions, options.messages, content), flush=True)
        await store.stop()
    finally:
        pool.stop()
        shutil.rmtree(directory)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    parser.add_argument("--messages", type=int, default=5000)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--directory", help="where the queue is put")
    options = parser.parse_args()
    reactor = EPollReactor()

    def stop(result: object) -> None:
        if result is not None:
            print(result, file=sys.stderr)
        reactor.stop()

    def start() -> None:
        Deferred.fromCoroutine(run(reactor, options)).addBoth(stop)

    reactor.callWhenRunning(start)
    reactor.run()


if __name__ == "__main__":
    main()
