"""
C{postconf -d}, and C{-x} for what is not set, and Debian's.
"""

from __future__ import annotations

from collections.abc import Mapping, Set

from tests.interop.test_defaults import DIFFERENT, normal
from tests.interop.test_postconf_oracle import Case

#: Services, so that the names that these bring are there.
MASTER = "".join(
    f"{name} unix - n n - - {program}\n"
    for name, program in (
        *(("smtp", "smtp"), ("relay", "smtp"), ("lmtp", "lmtp"), ("local", "local")),
        *(("virtual", "virtual"), ("error", "error"), ("x", "pipe"), ("y", "spawn")),
    )
)

#: Names whose default is another in this server, and why.
OURS = {
    "compatibility_level": "without one, the newest",
    **dict.fromkeys(
        ("config_directory", "data_directory", "queue_directory"), "of its own"
    ),
    **dict.fromkeys(
        (
            "lmtp_per_request_deadline",
            "smtp_per_request_deadline",
            "smtpd_client_event_limit_exceptions",
        ),
        "the older name is refused, or has no effect",
    ),
    "smtpd_relay_restrictions": "the same for all levels",
    "process_id": "computed",
}

#: Names whose expanded default has one of the above, or of those, in it.
FOLLOW = (
    *("local_recipient_maps", "proxy_read_maps", "proxy_write_maps"),
    *("tls_random_exchange_name",),
)


class DefaultTests(Case):
    def values(self, *arguments: str) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """
        @return: what is shown by ours and theirs, by name.
        """
        folder = self.folder("compatibility_level = 3.6\n", MASTER)
        found = []
        for answers in (self.ours(folder, arguments), self.theirs(folder, arguments)):
            self.assertEqual(answers.told, [])
            rows = (row.partition(" =") for row in answers.output.splitlines())
            found.append({name: normal(value) for name, _, value in rows})
        return found[0], found[1]

    def check(self, arguments: str, explained: Set[str]) -> None:
        ours, theirs = self.values(*arguments.split())
        self.assertGreater(len(theirs), 900)
        different = {n for n, value in theirs.items() if ours.get(n) != value}
        self.assertEqual(different - explained, set())

    def test_defaults(self) -> None:
        """
        All names of theirs, with the same default but for those above.
        """
        self.check("-d", DIFFERENT.keys() | OURS.keys())

    def test_expanded(self) -> None:
        """
        Where the level is the same, what is not set has the same value.
        """
        self.check("-x", DIFFERENT.keys() | OURS.keys() | set(FOLLOW))

    def test_list(self) -> None:
        """
        Nothing in the list above is the same by now.
        """
        ours, theirs = self.values("-d")
        same = {name for name in OURS if ours[name] == theirs[name]}
        self.assertEqual(same, set())
