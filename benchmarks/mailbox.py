"""
Mailboxes: txmta and Debian's Postfix in turn, on one machine, in one run.

smtp-source sends N messages over S parallel sessions to one user, whose
mailbox is a Maildir or a mailbox file (mbox), and either that of an account
(local) or of a virtual user (virtual). Rate: from the first connection until
the queue is empty again. CPU: all processes of the server. Afterwards the
mailbox must have each message once. Run as root (Postfix wants it)::

    python -m benchmarks.mailbox --messages 3000 --rounds 3
    python -m benchmarks.mailbox --agents virtual --boxes mbox --size 5000000
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.servers import (
    Postfix,
    Server,
    Txmta,
    cpu,
    missing_programs,
    thread_cpu,
)

#: The account of the local mailbox, and whose rights txmta has.
USER, UID, GID = "nobody", 65534, 65534

#: Both write to the same place, and read the same tables.
MAIN_CF = """\
mydestination = bench.example.com
alias_maps =
smtpd_reject_unlisted_recipient = no
mail_spool_directory = {folder}/mail{slash}
virtual_mailbox_domains = virtual.example.com
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = inline:{{ {{ user@virtual.example.com = nobody{slash} }} }}
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
mailbox_size_limit = 0
virtual_mailbox_limit = 0
message_size_limit = 100000000
"""

RECIPIENTS = {
    "local": f"{USER}@bench.example.com",
    "virtual": "user@virtual.example.com",
}


@dataclass(frozen=True)
class Load:
    """
    @ivar agent: C{"local"} or C{"virtual"}.
    @ivar box: C{"maildir"} or C{"mbox"}.
    @ivar size: octets of each message.
    @ivar kept: connections are kept for many messages.
    """

    agent: str
    box: str
    messages: int
    sessions: int
    size: int
    kept: bool


@dataclass(frozen=True)
class Figures:
    """
    One server, one round.

    @ivar rate: messages a second, end to end.
    @ivar cpu: microseconds a message, all processes.
    @ivar main: microseconds a message, the main thread of the main process.
    """

    rate: float
    cpu: float
    main: float


def delivered(folder: Path, box: str) -> int:
    """
    @return: messages in the mailbox.
    """
    path = folder / "mail" / USER
    if box == "maildir":
        return sum(1 for _ in (path / "new").iterdir())
    with path.open("rb") as file:
        return sum(1 for line in file if line.startswith(b"From "))


def measure(kind: type[Server], folder: Path, load: Load) -> Figures:
    folder.mkdir(mode=0o755)
    extra = MAIN_CF.format(
        folder=folder,
        slash="/" if load.box == "maildir" else "",
        uid=UID,
        gid=GID,
    )
    # Nobody listens on port 9: all mail is for mailboxes.
    server = kind(folder / "server", 9, extra)
    try:
        mail = folder / "mail"
        mail.mkdir(mode=0o700)
        subprocess.run(["chown", f"{UID}:{GID}", str(mail)], check=True)
        warm_up = max(2, min(200, load.messages // 10))
        _send(server.port, load, warm_up)
        _wait(server)
        time.sleep(0.5)
        cpu_before, main_before = cpu(server.pid), thread_cpu(server.pid)
        start = time.monotonic()
        _send(server.port, load, load.messages)
        _wait(server)
        seconds = time.monotonic() - start
        figures = Figures(
            load.messages / seconds,
            (cpu(server.pid) - cpu_before) / load.messages * 1e6,
            (thread_cpu(server.pid) - main_before) / load.messages * 1e6,
        )
        found, sent = delivered(folder, load.box), warm_up + load.messages
        if found != sent:
            raise RuntimeError(f"{kind.name}: {found} of {sent} messages came")
        return figures
    finally:
        server.stop()


def _wait(server: Server) -> None:
    end = time.monotonic() + 60
    while not server.queue_is_empty():
        if time.monotonic() > end:
            raise RuntimeError("mail is left in the queue")
        time.sleep(0.02)


def _send(port: int, load: Load, messages: int) -> None:
    subprocess.run(
        [
            "smtp-source",
            *(["-d"] if load.kept else []),
            *("-s", str(min(load.sessions, messages)), "-m", str(messages)),
            *("-l", str(load.size), "-f", "sender@example.com"),
            *("-t", RECIPIENTS[load.agent], f"127.0.0.1:{port}"),
        ],
        check=True,
        timeout=600,
    )


def table(rows: dict[tuple[str, str], dict[str, list[Figures]]]) -> str:
    """
    @return: medians of each server, and the ratios round by round.
    """
    lines = [
        f"{'mailbox':<18}{'server':<10}{'msg/s':>8}{'CPU us/msg':>12}"
        f"{'main us/msg':>13}{'ratio of rates':>22}"
    ]
    for (agent, box), servers in rows.items():
        ratio = ""
        if len(servers) == 2:
            ours, theirs = servers.values()
            rates = [a.rate / b.rate for a, b in zip(ours, theirs, strict=True)]
            ratio = (
                f"{statistics.median(rates):.2f} ({min(rates):.2f} to {max(rates):.2f})"
            )
        for name, figures in servers.items():
            lines.append(
                f"{agent + ' ' + box:<18}{name:<10}"
                f"{statistics.median(f.rate for f in figures):>8.1f}"
                f"{statistics.median(f.cpu for f in figures):>12.0f}"
                f"{statistics.median(f.main for f in figures):>13.0f}{ratio:>22}"
            )
            ratio = ""
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=3000)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kept", action="store_true", help="keep connections")
    parser.add_argument("--only", choices=("txmta", "postfix"))
    parser.add_argument("--agents", nargs="+", default=("local", "virtual"))
    parser.add_argument("--boxes", nargs="+", default=("maildir", "mbox"))
    options = parser.parse_args()
    if missing := missing_programs():
        print(f"cannot measure: apt-get install postfix ({', '.join(missing)} missing)")
        return 1
    kinds: list[type[Server]] = [Txmta, Postfix]
    if options.only:
        kinds = [k for k in kinds if k.name.lower() == options.only]
    kindred = list(itertools.product(options.agents, options.boxes))
    rows: dict[tuple[str, str], dict[str, list[Figures]]] = {
        key: {kind.name: [] for kind in kinds} for key in kindred
    }
    with tempfile.TemporaryDirectory(prefix="txmta-bench-") as name:
        folders = itertools.count(1)
        Path(name).chmod(0o755)
        for n, (agent, box) in itertools.product(range(options.rounds), kindred):
            load = Load(
                agent,
                box,
                options.messages,
                options.sessions,
                options.size,
                options.kept,
            )
            for kind in kinds:
                what = f"round {n + 1} of {options.rounds}: {agent} {box}, {kind.name}"
                figures = measure(kind, Path(name) / str(next(folders)), load)
                print(f"{what}: {figures.rate:.1f} msg/s, {figures.cpu:.0f} us/msg")
                sys.stdout.flush()
                rows[agent, box][kind.name].append(figures)
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
