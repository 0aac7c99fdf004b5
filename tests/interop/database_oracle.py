"""
Tables in databases, asked by us and by Postfix's C{postmap -q}: the same
random settings, the same keys.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from tests.support import PATH, require
from tests.table_contract import context
from txmta.errors import ConfigError, TableUnavailable
from txmta.interfaces import ITable, ITableType

# No empty values: Postfix warns of each, and every warning takes it a second
# where no syslog daemon runs.
WORDS = ("a", "b", "user", "x'y", 'q"', "ü", "\\", "%s", "%", "a b", "+", "(*)", "")
DOMAINS = ("b.c", "x.b.c", "c", ".b.c", "b..c", "ex.com", "é.fr", "", ".")
RESULTS = ("%s", "%u", "%d", "%U", "%D/%s", "%1", "%3%%", "smtp:[%s]", "%S=%s", "x")

# Named, so that nobody asks name servers.
_MAIN_CF = """\
smtputf8_enable = yes
myhostname = mail.here.test
mydomain = here.test
mynetworks = 127.0.0.0/8
"""


def keys() -> list[str]:
    """
    @return: what can be a line of C{postmap -q -}.
    """
    return sorted({key for key in _keys() if key and key.strip() == key})


def _keys() -> Iterator[str]:
    yield from (word for word in WORDS if word)
    for domain in DOMAINS:
        yield domain
        for word in WORDS:
            yield f"{word}@{domain}"
    yield from ("a@b@ex.com", "A@B.C", "USER@EX.COM", "É@É.FR")


class DatabaseOracle(SynchronousTestCase):
    """
    @cvar prefix: the type.
    @ivar folder: Postfix's configuration directory, and the tables.
    @ivar complaint: what Postfix's program wrote last to its standard error.
    """

    prefix = ""

    def setUp(self) -> None:
        require("postmap")
        self.folder = Path(tempfile.mkdtemp(prefix="txmta-tables-"))
        self.addCleanup(shutil.rmtree, self.folder)
        (self.folder / "main.cf").write_text(_MAIN_CF)
        for name in ("dynamicmaps.cf", "dynamicmaps.cf.d"):
            if (there := Path("/etc/postfix") / name).exists():
                (self.folder / name).symlink_to(there)
        known = self.run_postfix("postconf", "-c", str(self.folder), "-m").split()
        if self.prefix not in known:
            if os.environ.get("TXMTA_REQUIRE_PROGRAMS"):
                raise AssertionError(f"CI must install it: postfix-{self.prefix}")
            raise SkipTest(f"not installed: postfix-{self.prefix}")
        self.random = random.Random(5321)
        self.keys: Sequence[str] = keys()

    def run_postfix(self, program: str, *args: str, given: str = "") -> str:
        done = subprocess.run(
            [program, *args],
            input=given.encode(),
            env={"PATH": PATH, "LANG": "C.UTF-8"},
            capture_output=True,
            timeout=60,
        )
        self.complaint = done.stderr.decode()
        return done.stdout.decode()

    def rows(self, *values: object) -> list[tuple[str, object]]:
        """
        @param values: more than those that are keys or words.
        @return: folded keys, some of them more than once.
        """
        choices = [*filter(None, WORDS), *self.keys, *values]
        return [
            (key.casefold(), self.random.choice(choices))
            for key in self.keys
            for _ in range(self.random.choice((0, 1, 1, 2)))
        ]

    def settings(self) -> list[str]:
        """
        @return: lines, of what all databases have, at random.
        """
        choice = self.random.choice
        lines = []
        if self.random.random() < 0.6:
            lines.append(f"result_format = {choice(RESULTS)}")
        if self.random.random() < 0.3:
            lines.append(f"domain = {choice(DOMAINS[:3])}, ex.com")
        if self.random.random() < 0.05:
            lines.append(f"expansion_limit = {choice((0, 1, 2, 5))}")
        return lines

    def ours(self, table: ITable) -> dict[str, str] | None:
        """
        @return: what was found; L{None}: "cannot say" for some key.
        """
        found = {}
        try:
            for key in self.keys:
                value = table.lookup(key)
                if value is not None:
                    assert isinstance(value, str)
                    found[key] = value
        except TableUnavailable as e:
            self.trouble = e
            return None
        return found

    def theirs(self, cf: Path) -> dict[str, str] | None:
        said = self.run_postfix(
            *("postmap", "-c", str(self.folder), "-q", "-", f"{self.prefix}:{cf}"),
            given="".join(f"{key}\n" for key in self.keys),
        )
        if "query error" in self.complaint:
            return None
        return dict(line.split("\t", 1) for line in said.splitlines())

    def compare(self, kind: ITableType, rounds: int, text: Callable[[], str]) -> int:
        """
        @param text: makes settings.
        @return: how many questions were asked.
        """
        for n in range(rounds):
            cf = self.folder / f"{n}.cf"
            cf.write_text(given := text())
            # Postfix waits until a file that it reads is two seconds old.
            os.utime(cf, (1e9, 1e9))
            try:
                table = kind.open(str(cf), context(f"{self.prefix}:{cf}"))
            except ConfigError as e:
                self.fail(f"{given}: {e}")
            ours, theirs = self.ours(table), self.theirs(cf)
            self.assertEqual(ours, theirs, f"{given}\n{self.complaint}")
        return rounds * len(self.keys)
