"""
Relay: txmta and Debian's Postfix in turn, on one machine, in one run.

smtp-source sends N messages of 4 KB over S parallel sessions, a new
connection for each message; the server queues each durably and passes it on
to smtp-sink. Rate: from the first connection until the sink has the last
message. CPU: all processes of the server. Run as root (Postfix wants it)::

    python -m benchmarks.relay --messages 5000 --rounds 3
    python -m benchmarks.relay --messages 20 --sessions 2 --recipients 1000
    python -m benchmarks.relay --messages 60 --sessions 4 --size 5000000
    python -m benchmarks.relay --servers single multi postfix
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.servers import (
    KINDS,
    REFERENCE,
    Peak,
    Server,
    Sink,
    cpu,
    missing_programs,
    thread_cpu,
)

#: smtp_destination_recipient_limit of both.
RECIPIENT_LIMIT = 50


@dataclass(frozen=True)
class Load:
    """
    @ivar size: octets of each message.
    @ivar kept: connections are kept for many messages.
    @ivar recipients: of each message, all at one destination.
    """

    messages: int
    sessions: int
    size: int
    kept: bool
    recipients: int

    @property
    def deliveries(self) -> int:
        """
        Messages that the sink gets.
        """
        return self.messages * -(-self.recipients // RECIPIENT_LIMIT)

    def warm_up(self) -> Load:
        """
        The same, but a tenth of it.
        """
        return replace(self, messages=min(200, max(2, self.messages // 10)))


@dataclass(frozen=True)
class Figures:
    """
    One server, one round.

    @ivar rate: messages a second, end to end.
    @ivar cpu: microseconds a message, all processes.
    @ivar main: microseconds a message, the main thread of the main process.
    @ivar memory: megabytes at the peak.
    """

    rate: float
    cpu: float
    main: float
    memory: float


def measure(kind: type[Server], folder: Path, load: Load) -> Figures:
    sink = Sink()
    try:
        server = kind(folder, sink.port)
        try:
            warm_up = load.warm_up()
            _send(server.port, warm_up)
            sink.wait(warm_up.deliveries, 60)
            return _measure(server, sink, load)
        finally:
            server.stop()
    finally:
        sink.stop()


def _measure(server: Server, sink: Sink, load: Load) -> Figures:
    time.sleep(0.5)
    before, cpu_before = sink.count, cpu(server.pid)
    main_before = thread_cpu(server.pid)
    peak = Peak(server.pid)
    peak.start()
    start = time.monotonic()
    _send(server.port, load)
    sink.wait(before + load.deliveries, 300)
    seconds = time.monotonic() - start
    end = time.monotonic() + 60
    while not server.queue_is_empty() and time.monotonic() < end:
        time.sleep(0.1)
    return Figures(
        load.messages / seconds,
        (cpu(server.pid) - cpu_before) / load.messages * 1e6,
        (thread_cpu(server.pid) - main_before) / load.messages * 1e6,
        peak.stop(),
    )


def _send(port: int, load: Load) -> None:
    subprocess.run(
        [
            "smtp-source",
            *(["-d"] if load.kept else []),
            *("-s", str(load.sessions), "-m", str(load.messages)),
            *("-l", str(load.size), "-f", "sender@example.com"),
            *(["-r", str(load.recipients)] if load.recipients > 1 else []),
            *("-t", "recipient@example.org", f"127.0.0.1:{port}"),
        ],
        check=True,
        timeout=600,
    )


def table(rows: dict[str, list[Figures]], load: Load) -> str:
    """
    @return: medians of each server, and the ratios round by round.
    """
    lines = [
        f"{'server':<10}{'msg/s':>10}{'MB/s':>8}{'CPU us/msg':>12}{'us/rcpt':>9}"
        f"{'main us/msg':>13}{'peak MB':>9}"
    ]
    for name, figures in rows.items():
        rate = statistics.median(f.rate for f in figures)
        used = statistics.median(f.cpu for f in figures)
        lines.append(
            f"{name:<10}"
            f"{rate:>10.1f}{rate * load.size / 1e6:>8.1f}"
            f"{used:>12.0f}{used / load.recipients:>9.1f}"
            f"{statistics.median(f.main for f in figures):>13.0f}"
            f"{statistics.median(f.memory for f in figures):>9.1f}"
        )
    theirs = rows.get(REFERENCE, [])
    for name, ours in rows.items():
        if not theirs or ours is theirs:
            continue
        rates = [a.rate / b.rate for a, b in zip(ours, theirs, strict=True)]
        cpus = [a.cpu / b.cpu for a, b in zip(ours, theirs, strict=True)]
        lines.append(
            f"{name}: ratio of rates {statistics.median(rates):.2f} "
            f"({min(rates):.2f} to {max(rates):.2f}), "
            f"of CPU {statistics.median(cpus):.2f} "
            f"({min(cpus):.2f} to {max(cpus):.2f})"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=5000)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--recipients", type=int, default=1, help="at most 1000")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kept", action="store_true", help="keep connections")
    parser.add_argument(
        "--servers", nargs="+", choices=KINDS, default=("txmta", "postfix")
    )
    options = parser.parse_args()
    if missing := missing_programs():
        print(f"cannot measure: apt-get install postfix ({', '.join(missing)} missing)")
        return 1
    kinds = [KINDS[name] for name in options.servers]
    load = Load(
        options.messages,
        options.sessions,
        options.size,
        options.kept,
        options.recipients,
    )
    rows: dict[str, list[Figures]] = {kind.name: [] for kind in kinds}
    with tempfile.TemporaryDirectory(prefix="txmta-bench-") as folder:
        Path(folder).chmod(0o755)
        for n in range(options.rounds):
            for kind in kinds:
                print(f"round {n + 1} of {options.rounds}: {kind.name} ...", flush=True)
                figures = measure(kind, Path(folder) / f"{kind.name}{n}", load)
                print(f"  {figures.rate:.1f} msg/s, {figures.cpu:.0f} us/msg")
                rows[kind.name].append(figures)
    print(table(rows, load))
    return 0


if __name__ == "__main__":
    sys.exit(main())
