"""
C{sqlite:} tables, asked by us and by Postfix's C{postmap -q}.

The only difference: a key that is in the SQL as it is, without quotes, is
never asked here; Postfix's is open to injection there.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from tests.support import PATH, SLICE, require
from tests.table_contract import context
from txmta.errors import ConfigError, TableUnavailable
from txmta.interfaces import ITable
from txmta.maps.sqlite import SqliteType

#: Tables; each is asked for all keys.
ROUNDS = 45 if SLICE else 200

# No empty values: Postfix warns of each, and every warning takes it a second
# where no syslog daemon runs.
_WORDS = ("a", "b", "user", "x'y", 'q"', "ü", "\\", "%s", "%", "a b", "+", "")
_DOMAINS = ("b.c", "x.b.c", "c", ".b.c", "b..c", "ex.com", "é.fr", "", ".")
# Named, so that nobody asks name servers.
_MAIN_CF = """\
smtputf8_enable = yes
myhostname = mail.here.test
mydomain = here.test
mynetworks = 127.0.0.0/8
"""
_QUERIES = (
    *("SELECT v FROM t WHERE k = '%s'", "SELECT '%s'", "SELECT '%u|%d'"),
    *("SELECT '%1.%2' || '%U'", "SELECT v FROM t WHERE k LIKE '%%%d'"),
    *("SELECT '%D' UNION SELECT '%3'", "SELECT '''%u'''", "SELECT '%%%S'"),
    *("SELECT v, k FROM t", "SELECT NULL", "SELECT 1.5, '%s'"),
    *("SELECT v FROM t WHERE k IN ('%u@%d', '%d')", "SELECT 'x%%' -- it's"),
)
_RESULTS = ("%s", "%u", "%d", "%U", "%D/%s", "%1", "%3%%", "smtp:[%s]", "%S=%s", "x")


def keys() -> Iterator[str]:
    yield from (word for word in _WORDS if word)
    for domain in _DOMAINS:
        yield domain
        for word in _WORDS:
            yield f"{word}@{domain}"
    yield from ("a@b@ex.com", "A@B.C", "USER@EX.COM", "É@É.FR")


class OracleTests(SynchronousTestCase):
    def setUp(self) -> None:
        require("postmap")
        self.folder = Path(tempfile.mkdtemp(prefix="txmta-sqlite-"))
        self.addCleanup(shutil.rmtree, self.folder)
        (self.folder / "main.cf").write_text(_MAIN_CF)
        for name in ("dynamicmaps.cf", "dynamicmaps.cf.d"):
            if (there := Path("/etc/postfix") / name).exists():
                (self.folder / name).symlink_to(there)
        known = self.run_postfix("postconf", "-c", str(self.folder), "-m").split()
        if "sqlite" not in known:
            if os.environ.get("TXMTA_REQUIRE_PROGRAMS"):
                raise AssertionError("CI must install it: postfix-sqlite")
            raise SkipTest("not installed: postfix-sqlite")
        self.random = random.Random(5321)
        asked = sorted({key for key in keys() if key and key.strip() == key})
        self.keys = [key for key in asked if "\n" not in key]
        self.fill()

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

    def fill(self) -> None:
        connection = sqlite3.connect(self.folder / "t.db")
        values = [*filter(None, _WORDS), *self.keys, None, 5, 2.5, 1e40, b"blob"]
        rows = [
            (key.casefold(), self.random.choice(values))
            for key in self.keys
            for _ in range(self.random.choice((0, 1, 1, 2)))
        ]
        connection.execute("CREATE TABLE t (k, v)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", rows)
        connection.commit()
        connection.close()

    def settings(self) -> str:
        choice = self.random.choice
        lines = [f"dbpath = {self.folder}/t.db", f"query = {choice(_QUERIES)}"]
        if self.random.random() < 0.6:
            lines.append(f"result_format = {choice(_RESULTS)}")
        if self.random.random() < 0.3:
            lines.append(f"domain = {choice(_DOMAINS[:3])}, ex.com")
        if self.random.random() < 0.05:
            lines.append(f"expansion_limit = {choice((0, 1, 2, 5))}")
        return "\n".join(lines) + "\n"

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
        except TableUnavailable:
            return None
        return found

    def theirs(self, cf: Path) -> dict[str, str] | None:
        said = self.run_postfix(
            *("postmap", "-c", str(self.folder), "-q", "-", f"sqlite:{cf}"),
            given="".join(f"{key}\n" for key in self.keys),
        )
        if "query error" in self.complaint:
            return None
        return dict(line.split("\t", 1) for line in said.splitlines())

    def test_same_answers(self) -> None:
        """
        Both give the same answers to the same keys.
        """
        questions = 0
        for n in range(ROUNDS):
            cf = self.folder / f"{n}.cf"
            cf.write_text(text := self.settings())
            try:
                table = SqliteType().open(str(cf), context(f"sqlite:{cf}"))
            except ConfigError as e:
                self.fail(f"{text}: {e}")
            self.assertEqual(self.ours(table), self.theirs(cf), text)
            questions += len(self.keys)
        self.assertGreater(questions, 5000)
