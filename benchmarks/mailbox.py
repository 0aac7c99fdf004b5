"""
Mailboxes: txmta and Debian's Postfix in turn, on one machine, in one run.

smtp-source sends N messages over S parallel sessions to one user, whose
mailbox is a Maildir or a mailbox file (mbox), and either that of an account
(local) or of a virtual user (virtual). With C{--users} there are that many,
and as many accounts are made, and removed afterwards, if there are none of
their names. Rate: from the first connection until the queue is empty again.
CPU: all processes of the server. Afterwards the mailboxes must have each
message once. Run as root (Postfix wants it)::

    python -m benchmarks.mailbox --messages 3000 --rounds 3
    python -m benchmarks.mailbox --agents virtual --boxes mbox --size 5000000
    python -m benchmarks.mailbox --agents local --boxes maildir --users 50
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import pwd
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.servers import (
    KINDS,
    REFERENCE,
    Server,
    cpu,
    missing_programs,
    thread_cpu,
)

#: Who gets all mail when there is one user; one process of txmta has his rights.
USER = "nobody"

#: Both write to the same place, and read the same tables.
MAIN_CF = """\
mydestination = bench.example.com
alias_maps =
smtpd_reject_unlisted_recipient = no
mail_spool_directory = {folder}/mail{slash}
virtual_mailbox_domains = virtual.example.com
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = inline:{{ {boxes} }}
virtual_uid_maps = inline:{{ {uids} }}
virtual_gid_maps = inline:{{ {gids} }}
mailbox_size_limit = 0
virtual_mailbox_limit = 0
message_size_limit = 100000000
"""

DOMAINS = {"local": "bench.example.com", "virtual": "virtual.example.com"}

#: What the names of accounts begin with that are made for a run.
PREFIX = "txmta-bench-"


@dataclass(frozen=True)
class Load:
    """
    @ivar agent: C{"local"} or C{"virtual"}.
    @ivar box: C{"maildir"} or C{"mbox"}.
    @ivar size: octets of each message.
    @ivar kept: connections are kept for many messages.
    @ivar users: who gets them, each as many.
    """

    agent: str
    box: str
    messages: int
    sessions: int
    size: int
    kept: bool
    users: Sequence[pwd.struct_passwd]


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


@contextlib.contextmanager
def accounts(count: int) -> Iterator[Sequence[pwd.struct_passwd]]:
    """
    Make accounts, and remove them.
    """
    if count == 1:
        yield [pwd.getpwnam(USER)]
        return
    names = [f"{PREFIX}{n}" for n in range(count)]
    made: list[str] = []
    try:
        for name in names:
            command = ["useradd", "--no-create-home", "--home-dir", "/nonexistent"]
            subprocess.run([*command, "--shell", "/usr/sbin/nologin", name], check=True)
            made.append(name)
        yield [pwd.getpwnam(name) for name in names]
    finally:
        for name in made:
            subprocess.run(["userdel", name], check=False)


def main_cf(folder: Path, load: Load) -> str:
    """
    @return: what both servers have in addition.
    """
    slash = "/" if load.box == "maildir" else ""

    def table(values: Sequence[object]) -> str:
        pairs = zip(load.users, values, strict=True)
        return ", ".join(
            f"{{ {user.pw_name}@virtual.example.com = {value} }}"
            for user, value in pairs
        )

    return MAIN_CF.format(
        folder=folder,
        slash=slash,
        boxes=table([f"{user.pw_name}{slash}" for user in load.users]),
        uids=table([user.pw_uid for user in load.users]),
        gids=table([user.pw_gid for user in load.users]),
    )


def delivered(folder: Path, load: Load) -> int:
    """
    @return: messages in the mailboxes.
    """
    count = 0
    for user in load.users:
        path = folder / "mail" / user.pw_name
        if load.box == "maildir":
            count += sum(1 for _ in (path / "new").iterdir())
        else:
            with path.open("rb") as file:
                count += sum(1 for line in file if line.startswith(b"From "))
    return count


def _make_spool(mail: Path, load: Load) -> None:
    """
    As /var/mail; a Maildir in it must be there, and its user's.
    """
    mail.mkdir()
    if len(load.users) == 1:
        os.chown(mail, load.users[0].pw_uid, load.users[0].pw_gid)
        mail.chmod(0o700)
        return
    mail.chmod(0o1777)
    for user in load.users if load.box == "maildir" else ():
        box = mail / user.pw_name
        box.mkdir(0o700)
        os.chown(box, user.pw_uid, user.pw_gid)


def measure(kind: type[Server], folder: Path, load: Load) -> Figures:
    folder.mkdir(mode=0o755)
    # Nobody listens on port 9: all mail is for mailboxes.
    server = kind(folder / "server", 9, main_cf(folder, load))
    try:
        _make_spool(folder / "mail", load)
        users = len(load.users)
        warm_up = max(2, users, min(200, load.messages // 10))
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
        found = delivered(folder, load)
        sent = warm_up // users * users + load.messages // users * users
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
    """
    smtp-source has one recipient: with several users, as many of it run in
    turn as there are to be sessions at once.
    """
    alone = len(load.users) == 1
    each = messages // len(load.users)
    sessions = min(load.sessions, each) if alone else 1

    def send(user: pwd.struct_passwd) -> None:
        subprocess.run(
            [
                "smtp-source",
                *(["-d"] if load.kept else []),
                *("-s", str(sessions), "-m", str(each)),
                *("-l", str(load.size), "-f", "sender@example.com"),
                *("-t", f"{user.pw_name}@{DOMAINS[load.agent]}", f"127.0.0.1:{port}"),
            ],
            check=True,
            timeout=600,
        )

    with ThreadPoolExecutor(load.sessions) as pool:
        list(pool.map(send, load.users))


def table(rows: dict[tuple[str, str], dict[str, list[Figures]]]) -> str:
    """
    @return: medians of each server, and the ratios round by round.
    """
    lines = [
        f"{'mailbox':<18}{'server':<10}{'msg/s':>8}{'CPU us/msg':>12}"
        f"{'main us/msg':>13}{'ratio of rates':>22}"
    ]
    for (agent, box), servers in rows.items():
        theirs = servers.get(REFERENCE, [])
        for name, figures in servers.items():
            ratio = ""
            if theirs and figures is not theirs:
                rates = [a.rate / b.rate for a, b in zip(figures, theirs, strict=True)]
                ratio = (
                    f"{statistics.median(rates):.2f} "
                    f"({min(rates):.2f} to {max(rates):.2f})"
                )
            lines.append(
                f"{agent + ' ' + box:<18}{name:<10}"
                f"{statistics.median(f.rate for f in figures):>8.1f}"
                f"{statistics.median(f.cpu for f in figures):>12.0f}"
                f"{statistics.median(f.main for f in figures):>13.0f}{ratio:>22}"
            )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=3000)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kept", action="store_true", help="keep connections")
    parser.add_argument(
        "--servers", nargs="+", choices=KINDS, default=("txmta", "postfix")
    )
    parser.add_argument("--users", type=int, default=1)
    parser.add_argument("--agents", nargs="+", default=("local", "virtual"))
    parser.add_argument("--boxes", nargs="+", default=("maildir", "mbox"))
    options = parser.parse_args()
    if missing := missing_programs():
        print(f"cannot measure: apt-get install postfix ({', '.join(missing)} missing)")
        return 1
    kinds = [KINDS[name] for name in options.servers]
    kindred = list(itertools.product(options.agents, options.boxes))
    rows: dict[tuple[str, str], dict[str, list[Figures]]] = {
        key: {kind.name: [] for kind in kinds} for key in kindred
    }
    with (
        tempfile.TemporaryDirectory(prefix="txmta-bench-") as name,
        accounts(options.users) as users,
    ):
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
                users,
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
