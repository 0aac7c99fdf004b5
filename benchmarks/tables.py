"""
Lookup tables: how long reading and asking takes, and how much memory they have.

C{python -m benchmarks.tables} prints a table; a line beyond its limit ends the
command with status 1.

Each figure is the best of a few: what is measured is the work, not the other users
of the machine.
"""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import txmta
from txmta.maps.cidr import CidrType
from txmta.maps.context import TableContext
from txmta.maps.hash import TextType
from txmta.maps.indexed import lmdb_type
from txmta.maps.lmdb_writer import LmdbWriter
from txmta.tables import ITable, ITableType

#: What, how much, its unit, and the limit; 0 if there is none.
Line = tuple[str, float, str, float]

#: Times that each thing is done.
ROUNDS = 5

#: Questions of one round.
QUESTIONS = 20_000

ENTRIES = 20_000
NETWORKS = 100_000
LMDB_ENTRIES = 1_000_000

_RSS = """
import random, resource, sys
from txmta.maps.lmdb import open_lmdb

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

import lmdb
before = resident()
most = 0
table = open_lmdb(sys.argv[1])
pick = random.Random(1)
for n in range(20_000):
    key = b"user%d@example.com\\0" % pick.randrange(int(sys.argv[2]))
    assert table.get(key)
    if n % 10 == 0:
        most = max(most, resident())
print(most - before)
"""


def opened(kind: ITableType, path: Path) -> ITable:
    """
    @return: a table.
    """
    spec = f"{kind.prefix}:{path}"
    return kind.open(
        str(path),
        TableContext(spec, "benchmark", False, _none, time.monotonic, print),
    )


def _none(item: str) -> ITable:
    raise NotImplementedError


def best(work: Callable[[], object]) -> float:
    """
    @return: seconds of CPU.
    """
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def lookups(table: ITable, keys: Sequence[str]) -> float:
    """
    @return: seconds of CPU for one of them.
    """

    def ask() -> None:
        lookup = table.lookup
        for key in keys:
            lookup(key)

    return best(ask) / len(keys)


def hash_lines(folder: Path) -> list[Line]:
    """
    A text of 1 MB.
    """
    path = folder / "access"
    path.write_text(
        "".join(
            f"user{n:05}@department{n % 97:02}.example.com  OK by line {n:05}\n"
            for n in range(ENTRIES)
        )
    )
    kind = TextType("hash")
    table = opened(kind, path)
    pick = random.Random(1)
    keys = [
        f"User{n:05}@department{n % 97:02}.example.com"
        for n in (pick.randrange(2 * ENTRIES) for _ in range(QUESTIONS))
    ]
    size = path.stat().st_size / 1e6
    return [
        (f"hash: {size:.1f} MB read", best(lambda: opened(kind, path)), "s", 0.5),
        ("hash: one key", lookups(table, keys) * 1e6, "us", 5.0),
    ]


def cidr_lines(folder: Path) -> list[Line]:
    """
    Networks of many lengths.
    """
    path = folder / "networks"
    pick = random.Random(1)
    lines = []
    for _ in range(NETWORKS):
        length = pick.choice((8, 12, 16, 20, 22, 24, 24, 24, 28, 32))
        number = pick.getrandbits(32) >> 32 - length << 32 - length
        address = ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))
        lines.append(f"{address}/{length} REJECT\n")
    path.write_text("".join(lines))
    table = opened(CidrType(), path)
    keys = [
        ".".join(str(pick.getrandbits(8)) for _ in range(4)) for _ in range(QUESTIONS)
    ]
    return [(f"cidr: one of {NETWORKS:,}", lookups(table, keys) * 1e6, "us", 20.0)]


def lmdb_lines(folder: Path) -> list[Line]:
    """
    A million entries, asked in a process of its own.
    """
    path = folder / "users.lmdb"
    with LmdbWriter(str(path), 0o644, 1 << 29, True) as writer:
        for n in range(LMDB_ENTRIES):
            writer.put(b"user%d@example.com\0" % n, b"mailbox%d/\0" % n, False)
        writer.commit()
    done = _python("-c", _RSS, str(path), str(LMDB_ENTRIES))
    table = opened(lmdb_type(), folder / "users")
    pick = random.Random(1)
    keys = [f"user{pick.randrange(LMDB_ENTRIES)}@example.com" for _ in range(2000)]
    return [
        (f"lmdb: {LMDB_ENTRIES:,}, memory", int(done) / 1e6, "MB", 10.0),
        ("lmdb: one key", lookups(table, keys) * 1e6, "us", 0.0),
    ]


def command_lines(folder: Path) -> list[Line]:
    """
    C{postmap -q} from its start to its end.
    """
    (folder / "main.cf").write_text("compatibility_level = 3.11\n")
    (folder / "small").write_text("a 1\n")
    (folder / "rules").write_text("/a/ 1\n")
    (folder / "nets").write_text("10.0.0.0/8 1\n")
    lines = []
    for spec in ("hash:small", "cidr:nets", "regexp:rules", "pcre:rules"):
        prefix, _, name = spec.partition(":")
        table = f"{prefix}:{folder}/{name}"
        command = ("-m", "txmta.admin.postmap", "-c", str(folder), "-q", "a", table)
        times = []
        for _ in range(2 * ROUNDS):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            _python(*command)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            times.append(
                after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            )
        lines.append((f"postmap -q {spec}", min(times) * 1e3, "ms", 80.0))
    return lines


def _python(*arguments: str) -> bytes:
    return subprocess.run(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(txmta.__file__).parents[1])},
        timeout=120,
    ).stdout


def main() -> int:
    """
    @return: the exit status.
    """
    good = True
    print(f"{'what':<28} {'measured':>12} {'limit':>12}")
    with tempfile.TemporaryDirectory() as name:
        for part in (hash_lines, cidr_lines, command_lines, lmdb_lines):
            for what, value, unit, limit in part(Path(name)):
                bound = f"{limit:g} {unit}" if limit else ""
                print(f"{what:<28} {value:>9.3g} {unit:<2} {bound:>12}", flush=True)
                good &= not limit or value < limit
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
