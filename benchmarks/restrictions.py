"""
What restrictions cost: the CPU of one message through usual lists and tables.

Run as C{python -m benchmarks.restrictions}. Nothing but the evaluator runs: no
network, no process beside it. Lists are asked in turn, several times over, and
the best time of each counts, so that other work on the machine matters little.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from time import process_time

from twisted.internet.defer import Deferred

from txmta.config.settings import Settings
from txmta.model import Client
from txmta.roles.shared import Tables
from txmta.smtp.access.check import Check, World
from txmta.smtp.access.kinds import Tools
from txmta.smtp.access.policy import Policy, codes
from txmta.smtp.session import Session

#: Messages of one measurement, and measurements of each list.
MESSAGES, ROUNDS = 3000, 9

#: What is asked of a message by default.
PLAIN: Mapping[str, str] = {}

#: Ten restrictions and three tables, as administrators write them, without DNS.
USUAL: Mapping[str, str] = {
    "smtpd_client_restrictions": "permit_mynetworks, "
    "check_client_access hash:{tables}/clients",
    "smtpd_helo_restrictions": "permit_mynetworks, reject_invalid_helo_hostname, "
    "reject_non_fqdn_helo_hostname",
    "smtpd_sender_restrictions": "reject_non_fqdn_sender, "
    "check_sender_access hash:{tables}/senders",
    "smtpd_recipient_restrictions": "reject_non_fqdn_recipient, "
    "reject_unlisted_recipient, check_recipient_access hash:{tables}/recipients, "
    "permit",
}


class Server:
    """
    The restrictions of one configuration.
    """

    def __init__(self, values: Mapping[str, str], folder: Path) -> None:
        lists = {k: v.replace("{tables}", str(folder)) for k, v in values.items()}
        settings = Settings.of(
            myhostname="mx.example.org",
            mydestination="example.org",
            mynetworks="127.0.0.0/8",
            local_recipient_maps="",
            **lists,
        )
        tables = Tables.open(settings, float, print)
        self._world = World(
            tables.addresses,
            tables.open_list(settings, "mynetworks"),
            (),
            codes(settings),
        )
        tools = Tools(
            settings,
            self._world,
            lambda item: tables.registry.table(item, "smtpd_recipient_restrictions"),
        )
        self._policy = Policy.of(settings, tools)
        client = Client("192.0.2.1", 4711, "mail.example.net", "mail.example.net")
        self._session = Session(client, "mail.example.net", "ESMTP")

    def message(self) -> None:
        """
        One recipient of one message.
        """
        said, recipient = "sender@lists.example.net", "user@example.org"
        check = Check(self._world, self._session, recipient, recipient, said, said)
        answer = self._policy.judge(check)
        assert answer is None or isinstance(answer, Deferred), answer


def measure(work: Callable[[], None]) -> float:
    """
    @return: microseconds of CPU.
    """
    begin = process_time()
    for _ in range(MESSAGES):
        work()
    return (process_time() - begin) / MESSAGES * 1e6


def main() -> None:
    """
    Print a table.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for table in ("clients", "senders", "recipients"):
            lines = "".join(f"{table}{i}.test REJECT\n" for i in range(1000))
            (folder / table).write_text(lines)
        lists = {"the defaults": PLAIN, "10 restrictions, 3 tables": USUAL}
        servers = {title: Server(values, folder) for title, values in lists.items()}
        best = dict.fromkeys(servers, 1e9)
        for _ in range(ROUNDS):
            for title, server in servers.items():
                best[title] = min(best[title], measure(server.message))
    first = best["the defaults"]
    print("| lists | us of CPU a message | more than the defaults |")
    print("| --- | --- | --- |")
    for title, cost in best.items():
        print(f"| {title} | {cost:.1f} | {cost - first:.1f} |")


if __name__ == "__main__":
    main()
