"""
Whatever main.cf and master.cf are: C{postconf} ends, with a message at most.
"""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.admin.postconf_case import PostconfCase

#: What files are made of.
PIECES = st.sampled_from(
    [
        *("relayhost", "a", "b", "smtpd_restriction_classes", "ldap", "process_name"),
        *(" = ", "=", "\n", "\n", " ", "\t", "#", ",", "$", "$$", "{", "}", "(", ")"),
        *("?", ":", "==", "<=level", "-o", "smtp unix - n n - 0 smtp", "-", "/", "\0"),
        *("\r", "\x1b[", "é", "\udcff", "ldap:/", "pcre:{", "proxy:", "\u2028", "1"),
    ]
)
TEXTS = st.lists(PIECES, max_size=30).map("".join)

COMMANDS = (
    *("-n", "-nx", "-nf", "-nj", "-d", "-M", "-Mfx", "-Mj", "-F", "-P", "-PPx", "a"),
    *("a=1", "-X a", "-# a", "-P */*/a=b", "-F */*/chroot=y", "-MX smtp/unix"),
)


class FuzzTests(PostconfCase):
    def test_any_file(self) -> None:
        """
        Exit status 0, or 1 with one fatal error; edits that end so change
        nothing.
        """

        @settings(
            max_examples=100,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(TEXTS, TEXTS, st.sampled_from(COMMANDS))
        def run(main: str, master: str, command: str) -> None:
            written = [
                text.encode("utf-8", "surrogateescape") for text in (main, master)
            ]
            names = ("main.cf", "master.cf")
            for name, octets in zip(names, written, strict=True):
                (self.folder / name).write_bytes(octets)
            try:
                self.postconf(*command.split())
            except self.failureException:
                fatal = [text for text in self.told if text.startswith("fatal: ")]
                self.assertEqual(len(fatal), 1, self.told)
                found = [(self.folder / name).read_bytes() for name in names]
                self.assertEqual(found, written)

        run()
