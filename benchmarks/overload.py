"""
Overload: slow clients hold sessions open in every state, while honest ones send.

    python -m benchmarks.overload [--clients 1000] [--seconds 60] [--server multi]

Each slow client has an address of its own, goes as far as its state, and then sends
an octet every 10 seconds; one that is hung up on comes again. Five honest clients
send a message after the other. Prints how long these took, and memory. Exit status 1
if the 99th percentile is over 2 seconds or memory over 300 MB.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import resource
import smtplib
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.servers import KINDS, PATIENCE, Peak, Server, Sink

#: Seconds, and megabytes (PSS).
SLOWEST, MOST = 2.0, 300.0

HONEST = 5

#: Seconds between the octets of a slow client.
PAUSE = 10.0

#: Postfix would need a process for each session.
OURS = ("txmta", "single", "multi")

#: Nothing that comes before the octets that come slowly, then these; from the
#: greeting to the middle of a message, and of a TLS handshake.
STATES: Sequence[tuple[Sequence[bytes], bytes]] = (
    ((), b"EHLO slow.example.com"),
    ((b"EHLO slow.example.com",), b"MAIL FROM:<slow@example.com>"),
    ((b"EHLO slow.example.com", b"MAIL FROM:<a@example.com>"), b"RCPT TO:<postmaster>"),
    (
        (b"EHLO slow.example.com", b"MAIL FROM:<>", b"RCPT TO:<postmaster>"),
        b"DATA",
    ),
    (
        (b"EHLO slow.example.com", b"MAIL FROM:<>", b"RCPT TO:<postmaster>", b"DATA"),
        b"Subject: this takes a while",
    ),
    (
        (b"EHLO slow.example.com", b"MAIL FROM:<>", b"RCPT TO:<postmaster>"),
        b"BDAT 100000\r\nSubject: so does this",
    ),
    ((b"EHLO slow.example.com", b"STARTTLS"), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"),
)


@dataclass
class SlowClients:
    """
    In a thread of their own.

    @ivar open: connections that are open now.
    @ivar refused: connections that were greeted with 4xx.
    @ivar ended: connections that the server has ended.
    """

    port: int
    count: int
    pause: float = PAUSE
    open: int = 0
    refused: int = 0
    ended: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()))
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    async def _all(self) -> None:
        tasks = [asyncio.create_task(self._one(n)) for n in range(self.count)]
        while not self._stop.is_set():
            await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _one(self, n: int) -> None:
        # Not all at the same moment; and strangers, each another.
        await asyncio.sleep(n % 100 / 100)
        address = f"127.1.{n // 250}.{n % 250 + 1}"
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", self.port, local_addr=(address, 0)
                )
                self.open += 1
                try:
                    await self._session(reader, writer, *STATES[n % len(STATES)])
                finally:
                    self.open -= 1
                    writer.close()
            self.ended += 1
            await asyncio.sleep(1)

    async def _session(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        commands: Sequence[bytes],
        slowly: bytes,
    ) -> None:
        if not (await self._reply(reader)).startswith(b"2"):
            self.refused += 1
            return
        for command in commands:
            writer.write(command + b"\r\n")
            if (await self._reply(reader))[:1] not in b"23":
                break
        at = 0
        while not reader.at_eof():
            writer.write(slowly[at : at + 1] or b"x")
            at += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reader.read(1000), self.pause)

    async def _reply(self, reader: asyncio.StreamReader) -> bytes:
        line = await reader.readuntil(b"\n")
        while line[3:4] == b"-":
            line = await reader.readuntil(b"\n")
        return line


def honest(port: int, until: float, took: list[float]) -> None:
    """
    One honest client: a session for each message.

    @param took: gets the seconds of each.
    """
    while time.monotonic() < until:
        began = time.monotonic()
        with smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE) as smtp:
            smtp.sendmail(
                "a@example.com", ["b@example.org"], b"Subject: x\r\n\r\nx\r\n"
            )
        took.append(time.monotonic() - began)
        time.sleep(0.05)


def percentile(values: Sequence[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) * percent // 100, len(ordered) - 1)]


@dataclass(frozen=True)
class Figures:
    """
    @ivar took: seconds of each honest message.
    @ivar failed: honest clients that were refused.
    @ivar megabytes: at the most.
    """

    took: Sequence[float]
    failed: int
    megabytes: float
    slow: SlowClients


def measure(server: Server, clients: int, seconds: float) -> Figures:
    slow = SlowClients(server.port, clients)
    slow.start()
    took: list[float] = []
    failed: list[Exception] = []
    try:
        until = time.monotonic() + PATIENCE
        while slow.open < clients * 0.9 and time.monotonic() < until:
            time.sleep(0.1)
        peak = Peak(server.pid)
        peak.start()
        end = time.monotonic() + seconds

        def run() -> None:
            try:
                honest(server.port, end, took)
            except Exception as e:
                failed.append(e)

        threads = [threading.Thread(target=run) for _ in range(HONEST)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        megabytes = peak.stop()
    finally:
        slow.stop()
    for each in failed[:3]:
        print(f"an honest client failed: {each}", file=sys.stderr)
    return Figures(took, len(failed), megabytes, slow)


def report(figures: Figures) -> bool:
    """
    Print the table.

    @return: is it good enough?
    """
    took, slow = figures.took, figures.slow
    if not took:
        print("no honest message came through")
        return False
    print(f"slow clients {slow.count}, hung up on {slow.ended}, refused {slow.refused}")
    print(f"honest messages {len(took)}, clients that failed {figures.failed}")
    for percent in (50, 90, 99):
        print(f"{percent} % took at most {percentile(took, percent):.3f} s")
    print(f"longest {max(took):.3f} s; memory {figures.megabytes:.0f} MB")
    good = percentile(took, 99) < SLOWEST and figures.megabytes < MOST
    return good and not figures.failed


def main() -> int:
    parser = argparse.ArgumentParser(description="Slow clients, and honest ones.")
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--server", choices=OURS, default="txmta")
    options = parser.parse_args()
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sink = Sink()
    try:
        with tempfile.TemporaryDirectory(prefix="txmta-overload-") as folder:
            Path(folder).chmod(0o755)
            extra = "mynetworks = 127.0.0.1\n"
            server = KINDS[options.server](Path(folder) / "txmta", sink.port, extra)
            try:
                figures = measure(server, options.clients, options.seconds)
            finally:
                server.stop()
    finally:
        sink.stop()
    return 0 if report(figures) else 1


if __name__ == "__main__":
    sys.exit(main())
