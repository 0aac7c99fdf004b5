"""
Tables beside Debian's C{postmap}: what is found in them, and what is said of
their text.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.interop.postmap_pair import at_once, examples
from tests.support import (
    PATH,
    asked,
    require,
    require_library,
    require_table_types,
)
from txmta.errors import ConfigError, TableUnavailable
from txmta.maps.registry import TableRegistry

#: Types with a text, and of which Debian's postmap makes an index.
INDEXED = ("hash", "btree", "cdb", "lmdb")

#: Characters of keys and values: those that mean something in a table, those
#: that change when they are folded, those that only look like white space.
_COMMON = "abKZ09@.+-_"
_SPECIAL = '"\\#:,${}=()<>!|'
_FOLDED = "\xc4\xe4\xdf\u0130\u0131\u017f\u03a3\u03c2\ufb00\u1e9e\u01c5\u65e5"
_SPACES = "\xa0\x85\u2003\u3000\x1c\x0b\x0c"

_CHARACTERS = st.one_of(
    st.sampled_from(_COMMON),
    st.sampled_from(_COMMON),
    st.sampled_from(_COMMON + _SPECIAL),
    st.sampled_from(_FOLDED + _SPACES),
)
_WORDS = st.text(_CHARACTERS, min_size=1, max_size=8)
_BLANK = st.sampled_from((" ", "\t", "  ", " \t", "\x0b"))
_QUOTED = st.text(st.sampled_from("aB @.\\"), max_size=5).map('"{}"'.format)
_KEYS = st.one_of(_WORDS, _WORDS, _QUOTED)
_LINES = st.one_of(
    st.builds("{}{}{}\n".format, _KEYS, _BLANK, _WORDS),
    st.builds("{}{}{} {}\n".format, _KEYS, _BLANK, _WORDS, _WORDS),
    st.builds("{}{}\n".format, _BLANK, _WORDS),
    st.builds("{}\n".format, _WORDS),
    st.builds("#{}\n".format, _WORDS),
    st.sampled_from(("\n", " \n", "#\n", "  # x\n", "key\tvalue\n", "Key x\n")),
)
_TEXTS = st.lists(_LINES, min_size=20, max_size=60).map("".join)

#: What tables without a file are made of.
_PARTS = st.sampled_from(
    (
        *("static:a", "static:{}", "static:{ x y }", "inline:{a=b}", "fail:x"),
        *("inline:{A=b,b=c}", "inline:{ {a = b c} b=a}", "inline:{b=}", "nosuch:x"),
        *("randmap:{a}", "randmap:{ {a b} }", "environ:x", "static:", ":x", "x"),
        *("inline:{}", "inline:{a}", "inline:{ = a}", "unionmap:{static:u,static:v}"),
        "pipemap:{inline:{a=b},inline:{b=a}}",
    )
)
_SEPARATORS = st.sampled_from((",", " ", ", ", ",,"))
_COMPOSED = st.builds(
    "{}:{{{}}}{}".format,
    st.sampled_from(("unionmap", "pipemap")),
    st.builds(
        lambda parts, separator: separator.join(parts),
        st.lists(_PARTS, max_size=3),
        _SEPARATORS,
    ),
    st.sampled_from(("", "", "", "", "", " x", "}")),
)


class Postmap(SynchronousTestCase):
    def setUp(self) -> None:
        require("postmap")
        self.folder = Path(tempfile.mkdtemp(prefix="tx"))
        self.addCleanup(shutil.rmtree, self.folder)
        (self.folder / "main.cf").write_text("compatibility_level = 3.6\n")
        (self.folder / "master.cf").touch()

    def postmap(
        self, *arguments: str, text: str = ""
    ) -> subprocess.CompletedProcess[bytes]:
        """
        Run it.
        """
        return subprocess.run(
            ["postmap", "-c", str(self.folder), *arguments],
            input=text.encode(),
            capture_output=True,
            timeout=30,
            env={**os.environ, "PATH": PATH},
        )

    def answers(self, item: str, keys: Sequence[str]) -> Mapping[str, str] | str:
        """
        @return: the values of the keys that are there; or why none is told.
        """
        done = self.postmap("-q", "-", item, text="".join(f"{k}\n" for k in keys))
        fatal = re.search(r"fatal: (.*)", done.stderr.decode("utf-8", "replace"))
        if fatal:
            return fatal[1]
        lines = done.stdout.decode().split("\n")[:-1]
        return dict(self._split(line, keys) for line in lines)

    def _split(self, line: str, keys: Sequence[str]) -> tuple[str, str]:
        key = max((k for k in keys if line.startswith(f"{k}\t")), key=len)
        return key, line[len(key) + 1 :]


def ours(
    registry: TableRegistry, item: str, keys: Sequence[str]
) -> Mapping[str, str] | str:
    """
    @return: as C{Postmap.answers}.
    """
    found: dict[str, str] = {}
    try:
        table = registry.table(item, "x")
        for key in keys:
            value = table.lookup(key)
            assert not isinstance(value, Deferred)
            if value is not None:
                found[key] = value
    except (ConfigError, TableUnavailable) as e:
        return str(e)
    return found


class TextOracle(Postmap):
    def test_texts(self) -> None:
        """
        The same text gives the same answers: to us from the text and from
        postmap's files, to Postfix from these; and the same warnings. What
        docs/tables.md names as different is left out: carriage returns, and
        what is not UTF-8.
        """
        require_library("lmdb")
        require_table_types(str(self.folder), *INDEXED)
        keys = st.lists(_KEYS, min_size=20, max_size=40)
        cases = examples(st.tuples(_TEXTS, keys), 12)
        questions = sum(at_once(lambda case: self.compare(*case), cases))
        asked(questions)
        self.assertGreater(questions, 5000)

    def compare(self, text: str, others: Sequence[str]) -> int:
        """
        @return: how many questions were asked.
        """
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        path = folder / "table"
        path.write_text(text, encoding="utf-8", newline="")
        words = re.split(r"[ \t\n\r\x0b\x0c]+", text)
        keys = {f for k in (*words, *others) for f in (k, k.upper(), k.swapcase())}
        keys = {k for k in keys if k and "\n" not in k and "\r" not in k}
        wanted = sorted(keys)
        registry = TableRegistry(lambda: 0.0, lambda _: None)
        for kind in (*INDEXED, "texthash"):
            item = f"{kind}:{path}"
            if kind != "texthash":
                said = self.postmap(item).stderr.decode()
                if kind == "hash":
                    self.compare_warnings(said, path)
            theirs = self.answers(item, wanted)
            self.assertEqual(ours(registry, item, wanted), theirs, (kind, text))
        return len(wanted) * (len(INDEXED) + 1)

    def compare_warnings(self, said: str, path: Path) -> None:
        """
        Of the text: Postfix's own words, but for the name of the file.
        """
        warnings: list[str] = []
        registry = TableRegistry(lambda: 0.0, warnings.append)
        registry.table(f"hash:{path}", "x")
        theirs = re.findall(r"^postmap: warning: (.*)$", said, re.MULTILINE)
        self.assertEqual(
            [_plain(w) for w in warnings], [_plain(w) for w in theirs], path.read_text()
        )


def _plain(warning: str) -> str:
    """
    @return: without what differs: postmap names the index file, and no line,
        for what is there twice, and no line for white space; later versions
        than Debian's say more often that a line is ignored; what is quoted of
        a line has marks for some characters.
    """
    for pattern in (
        r"duplicate entry: .*",
        r"logical line must not start with whitespace",
        r"table, line \d+: (?:unbalanced '\"'|expected format: key whitespace value)",
        r"table, line \d+: record is in \"key: value\" format",
    ):
        if match := re.search(pattern, warning):
            return re.sub(r"[^ -~]", "?", match[0])
    return warning


class ComposedOracle(Postmap):
    def test_composed(self) -> None:
        """
        Tables made of tables: the same answers, and refused for the same.
        """
        keys = ("a", "A", "b", "c", "HOME", "x")
        items = examples(_COMPOSED, 60)
        answers = at_once(lambda item: self.answers(item, keys), items)
        for item, theirs in zip(items, answers, strict=True):
            registry = TableRegistry(lambda: 0.0, lambda _: None)
            found = ours(registry, item, keys)
            if isinstance(theirs, str):
                self.assertIsInstance(found, str, (item, theirs))
            else:
                self.assertEqual(found, theirs, item)
        asked(len(items) * len(keys))
        self.assertGreater(len(items) * len(keys), 300)
