"""
What it costs to find out where a recipient goes.

    python -m benchmarks.routing [--count N]

One recipient after the other, each with its sender, as the queue manager asks;
the best of five rounds. Columns: what is set; microseconds a recipient.

C{none} is a relay without tables. C{five tables} has transport_maps of two tables,
relocated_maps, sender_dependent_relayhost_maps and
sender_dependent_default_transport_maps, 1,000 entries each, and nothing about most
addresses, so that every key is looked for; C{five tables, +} also has
recipient_delimiter, and addresses with extensions.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from twisted.internet.defer import Deferred

from txmta.config.settings import Settings
from txmta.rewrite.resolver import AddressResolver
from txmta.roles.shared import Tables

ENTRIES = 1000
ROUNDS = 5
COMMON = {
    "myhostname": "mail.example.com",
    "inet_interfaces": "127.0.0.1",
    "mydestination": "$myhostname, localhost",
    "relay_domains": "relay.example",
    "virtual_mailbox_domains": "virtual.example",
    "virtual_alias_domains": "alias.example",
    "local_recipient_maps": "",
}


def resolver(folder: Path, tables: int, delimiter: str = "") -> AddressResolver:
    """
    @param tables: how many of the five there are.
    """
    values = {
        "a": "slow:[gate.example]",
        "b": "slow:",
        "relocated": "new@example.net",
        "relayhost": "[relay.example]",
        "transport": "slow:",
    }
    items: dict[str, str] = {}
    for name, value in list(values.items())[:tables]:
        path = folder / name
        lines = (f"user{n}@domain{n}.example {value}\n" for n in range(ENTRIES))
        path.write_text("".join(lines))
        items[name] = f"hash:{path}"
    settings = Settings.of(
        **COMMON,
        recipient_delimiter=delimiter,
        transport_maps=" ".join(items[n] for n in ("a", "b") if n in items),
        relocated_maps=items.get("relocated", ""),
        sender_dependent_relayhost_maps=items.get("relayhost", ""),
        sender_dependent_default_transport_maps=items.get("transport", ""),
    )
    return Tables.open(settings, time.monotonic, print).addresses


def measure(which: AddressResolver, count: int, extension: str = "") -> float:
    """
    @return: microseconds a recipient.
    """
    questions = [
        (f"to{n}{extension}@host{n % 50}.elsewhere.example", f"from{n}@origin.example")
        for n in range(1000)
    ]
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        for n in range(count):
            route = which.resolve(*questions[n % 1000])
            assert not isinstance(route, Deferred)
        best = min(best, time.process_time() - began)
    return best / count * 1e6


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.routing")
    parser.add_argument("--count", type=int, default=20_000)
    count = parser.parse_args().count
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for name, found in (
            ("none", measure(resolver(place, 0), count)),
            ("two tables", measure(resolver(place, 2), count)),
            ("five tables", measure(resolver(place, 5), count)),
            ("five tables, +", measure(resolver(place, 5, "+"), count, "+x")),
        ):
            print(f"{name:16} {found:8.1f} us")
    return 0


if __name__ == "__main__":
    sys.exit(main())
