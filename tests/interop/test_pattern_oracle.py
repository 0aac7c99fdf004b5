"""
The answers of C{regexp:}, C{pcre:} and C{cidr:} tables, and Postfix's.

Tables and keys are generated; both sides are asked, C{postmap -q -} for all keys
of a table at once.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.interop.postmap_pair import at_once, examples
from tests.interop.tools import ENVIRONMENT
from tests.support import SLICE, asked, require
from tests.table_contract import context
from txmta.errors import TableUnavailable
from txmta.interfaces import ITableType
from txmta.maps.cidr import CidrType
from txmta.maps.pcre import PcreType
from txmta.maps.regexp import RegexpType

#: Tables of each type. With 40 keys each, 12,000 questions in a slice.
EXAMPLES = 100 if SLICE else 300

#: Keys of each table.
KEYS = 40


def one_of(*texts: str) -> st.SearchStrategy[str]:
    return st.sampled_from(texts)


# What expressions of both kinds are made of.
ATOMS = one_of(
    *("a", "b", "ab", "@", "x", "1", ".", "A", r"\.", r"\/", "é", " "),
    *("[ab]", "[^a]", "[[:digit:]]", "[[:alpha:]x]", "[a-c]", "[]a]", "[^]a]"),
    *("^", "$", r"\w", r"\W", r"\b", r"\B", r"\s", "-"),
)
REPEATS = one_of("", "", "", "", "*", "+", "?", "{2}", "{1,2}", "{0,1}", "{1,}")
PERL_ATOMS = ATOMS | one_of(
    *("(?=a)", "(?!b)", "(?<=a)", "(?i)", "(?:ab)", r"\d", r"\K", r"\x{e9}", "a*?"),
    *("a++", r"\Aa", r"b\z", "(?>a|ab)", r"\p{L}", r"\R", "(?<n>b)", r"\h"),
)
MISTAKES = one_of(
    "(", ")", "[a", "*", "a**", "{", "a{2,1}", "\\", "a{x", "[[:x:]]", "+"
)


def expressions(atoms: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        repeated = st.tuples(inner.map("({})".format), REPEATS).map("".join)
        several = st.lists(inner, min_size=1, max_size=3)
        return repeated | several.map("".join) | several.map("|".join)

    items = st.tuples(atoms, REPEATS).map("".join)
    return st.recursive(items, grown, max_leaves=6)


RESULTS = one_of(
    *(
        "OK",
        "$1",
        "${1}x$(2)",
        "[$1]$2",
        "$$1",
        "a  b",
        "",
        "$",
        "${1",
        "$x",
        "$0",
        "$3",
    ),
    *("OK", "$1", "$1", "$1-$2", "OK", "two", "x$$y", "$3"),
)
FLAGS = one_of("", "", "", "", "i", "m", "x", "im", "q", "ii")
PERL_FLAGS = FLAGS | one_of("s", "A", "E", "U", "X", "sm", "mE", "AU")
SIGNS = one_of("", "", "", "", "", "!", "! ", "!!")


def rules(
    atoms: st.SearchStrategy[str], flags: st.SearchStrategy[str]
) -> st.SearchStrategy[str]:
    texts = expressions(atoms) | expressions(atoms) | expressions(atoms) | MISTAKES
    pattern = st.tuples(SIGNS, texts, flags).map(lambda p: f"{p[0]}/{p[1]}/{p[2]}")
    rule = st.tuples(pattern, one_of(" ", "\t", "\n  "), RESULTS).map("".join)
    begin = pattern.map("if {}".format) | pattern.map("IF{} ".format)
    return rule | rule | rule | begin | one_of("endif", "endif x", "ENDIF", "#", "word")


def tables(rule: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    lines = st.lists(rule, min_size=1, max_size=8)
    return lines.map(lambda found: "\n".join(found) + "\n")


WORDS = st.lists(
    one_of("a", "b", "ab", "A", "@", ".", "x", "1", "é", "/", "-", "c", "Ab"),
    min_size=1,
    max_size=6,
).map("".join)

OCTETS = one_of("0", "1", "2", "10", "127", "128", "192", "255")
V4 = st.tuples(OCTETS, OCTETS, OCTETS, OCTETS).map(".".join)
V6 = one_of(
    *("::", "::1", "2001:db8::", "2001:db8::1", "2001:DB8:0:0:0:0:0:1", "fe80::1"),
    *("::ffff:10.1.2.1", "8000::", "ff00::", "1:2:3:4:5:6:7:8"),
)
ADDRESSES = V4 | V4 | V6
LENGTHS = one_of(*map(str, (0, 1, 2, 7, 8, 9, 15, 16, 24, 31, 32, 33, 64, 128, 129)))
WHOLE = one_of(
    *("0.0.0.0/0", "128.0.0.0/1", "10.0.0.0/8", "10.128.0.0/9", "192.0.0.0/2"),
    *("2001:db8::/32", "::/0", "[::]/96", "[10.0.0.0/8]", "[2001:db8::1]"),
)
BAD = one_of(
    "1.2.3", "x", "1.2.3.4/x", "[1.2.3.4", "[::1]x", "1.2.3.4/", "01.2.3.4", ":"
)
NETWORKS = WHOLE | WHOLE | ADDRESSES | st.tuples(ADDRESSES, LENGTHS).map("/".join) | BAD
SIGNED = st.tuples(SIGNS, NETWORKS).map("".join)
CIDR_RULES = (
    st.tuples(SIGNED, one_of(" one", "\ttwo ", " a b", "\n three", "")).map("".join)
    | SIGNED.map("if {}".format)
    | one_of("endif", "endif x", "ENDIF", "#", "if", "!")
)
CIDR_KEYS = ADDRESSES | one_of("[::1]", "10.1.2", "x.example.com", "010.1.2.1", "1")


def require_pcre() -> None:
    """
    Skip the test if Postfix has no such tables (Debian: postfix-pcre); in CI,
    fail.
    """
    if not os.path.exists("/usr/lib/postfix/postfix-pcre.so"):
        require("postfix-pcre")


class OracleTests(SynchronousTestCase):
    def setUp(self) -> None:
        require("postmap")
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        main = "compatibility_level = 3.6\nmyhostname = mail.example.com\n"
        (self.folder / "main.cf").write_text(main, encoding="utf-8")
        for name in ("dynamicmaps.cf", "dynamicmaps.cf.d"):
            if os.path.exists(f"/etc/postfix/{name}"):
                (self.folder / name).symlink_to(f"/etc/postfix/{name}")

    def theirs(
        self, prefix: str, file: Path, keys: list[str]
    ) -> tuple[dict[str, str], list[str]]:
        """
        @return: what was found, and what was said of the rules.
        """
        spec = f"{prefix}:{file}"
        asked = subprocess.run(
            ["postmap", "-c", str(self.folder), "-q", "-", spec],
            input="".join(f"{key}\n" for key in keys).encode(),
            capture_output=True,
            timeout=20,
            env=ENVIRONMENT,
            check=False,
        )
        answers = dict(
            line.split("\t", 1) for line in asked.stdout.decode().splitlines()
        )
        said = [
            line.removeprefix("postmap: warning: ")
            for line in asked.stderr.decode().splitlines()
            # postmap's own words about answers.
            if "empty string result" not in line and "NO RESULT" not in line
        ]
        return answers, said

    def compare(
        self,
        kind: ITableType,
        rules: st.SearchStrategy[str],
        words: st.SearchStrategy[str],
    ) -> None:
        """
        @param rules: lines of a table.
        @param words: keys.
        """
        keys = st.lists(words, min_size=KEYS, max_size=KEYS)
        cases = examples(st.tuples(tables(rules), keys), EXAMPLES, SLICE)
        files = [self.folder / f"rules{n}" for n in range(len(cases))]
        for file, (text, _) in zip(files, cases, strict=True):
            file.write_text(text, encoding="utf-8")
        told = at_once(
            lambda n: self.theirs(kind.prefix, files[n], cases[n][1]),
            range(len(cases)),
        )
        for file, (text, asked_for), expected in zip(files, cases, told, strict=True):
            warnings: list[str] = []
            table = kind.open(str(file), context(warn=warnings.append))
            answers = {}
            for key in asked_for:
                try:
                    value = table.lookup(key)
                except TableUnavailable:
                    continue
                if value is not None:
                    answers[key] = value
            self.assertEqual((answers, warnings), expected, text)
        asked(len(cases) * KEYS)

    def test_regexp(self) -> None:
        """
        The same results, the same warnings.
        """
        self.compare(RegexpType(), rules(ATOMS, FLAGS), WORDS)

    def test_pcre(self) -> None:
        """
        The same results, the same warnings.
        """
        require_pcre()
        self.compare(PcreType(), rules(PERL_ATOMS, PERL_FLAGS), WORDS)

    def test_cidr(self) -> None:
        """
        The same results, the same warnings.
        """
        self.compare(CidrType(), CIDR_RULES, CIDR_KEYS)
