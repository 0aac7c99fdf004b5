"""
Values that name files whose content is meant.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.table_contract import context
from txmta.errors import ConfigError
from txmta.interfaces import ITable, ITableType
from txmta.maps.cidr import CidrType
from txmta.maps.context import Manner, TableContext, Ways
from txmta.maps.file_values import MAX_CONTENT, decoded, encoded, is_encoded
from txmta.maps.hash import TextType
from txmta.maps.inline import InlineType
from txmta.maps.pcre import PcreType
from txmta.maps.randmap import RandomType
from txmta.maps.regexp import RegexpType
from txmta.maps.static import StaticType


def read(path: str) -> str:
    """
    Two files, and all others are not there.
    """
    if path not in ("a", "b"):
        raise FileNotFoundError(2, "No such file or directory")
    return f"<{path}\x00\n>"


class ValueTests(SynchronousTestCase):
    def test_content(self) -> None:
        """
        Several files are joined by a line end; any octets come back.
        """
        self.assertEqual(decoded(encoded("a", read)), "<a\x00\n>")
        self.assertEqual(decoded(encoded("a, b", read)), "<a\x00\n>\n<b\x00\n>")
        self.assertEqual(decoded(encoded("x", lambda _: "\udcff")), "\udcff")

    def test_errors(self) -> None:
        """
        Postfix's words; and a bound.
        """
        for names, words in (
            ("c", "open c: No such file or directory"),
            ("a,c", "open c: No such file or directory"),
            (" , ", "empty pathname list"),
        ):
            error = self.assertRaises(ValueError, encoded, names, read)
            self.assertIn(words, str(error))
        large = "x" * (MAX_CONTENT + 1)
        error = self.assertRaises(ValueError, encoded, "a", lambda _: large)
        self.assertIn("larger than", str(error))
        for value in ("!", "YQ=", "ä", "a b"):
            error = self.assertRaises(ValueError, decoded, value)
            self.assertEqual(str(error), f"malformed BASE64 value: {value}")

    def test_is_encoded(self) -> None:
        """
        A path is none, whatever it looks like.
        """
        self.assertTrue(is_encoded("YWJj"))
        for value in ("", "/etc/abc", "a.pem"):
            self.assertFalse(is_encoded(value), value)


class TableTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir(parents=True)
        self.file = folder / "content"
        self.file.write_bytes(b"line\n\xff")
        self.content = b64encode(self.file.read_bytes()).decode()
        self.rules = folder / "rules"
        self.warnings: list[str] = []

    def context(self) -> TableContext:
        ways = Ways(manner=Manner(files=True))
        return replace(context("x:y", warn=self.warnings.append), ways=ways)

    def open(self, kind: ITableType, text: str) -> ITable:
        self.rules.write_text(text)
        return kind.open(str(self.rules), self.context())

    def test_texts(self) -> None:
        """
        The value is the content; an entry whose file is missing is left out
        with a warning.
        """
        for kind, key, words in (
            (TextType("texthash"), "{}", "entry"),
            (TextType("hash"), "{}", "entry"),
            (CidrType(), "{}", "rule"),
            (RegexpType(), "/^{}$/", "rule"),
            (PcreType(), "/^{}$/", "rule"),
        ):
            first, second = key.format("1.1.1.1"), key.format("2.2.2.2")
            table = self.open(kind, f"{first} {self.file}\n{second} /nowhere/x\n")
            self.assertEqual(table.lookup("1.1.1.1"), self.content)
            self.assertIsNone(table.lookup("2.2.2.2"))
            (warning,) = self.warnings
            self.assertEqual(
                warning.rpartition("line 2: ")[2],
                f"open /nowhere/x: No such file or directory: skipping this {words}",
            )
            self.warnings.clear()

    def test_content_in_text(self) -> None:
        """
        What C{postmap -iF} adds to a text is content already.
        """
        table = self.open(TextType("hash"), f"a {self.content}\n")
        self.assertEqual(table.lookup("a"), self.content)
        self.assertEqual(self.warnings, [])

    def test_inline(self) -> None:
        """
        Tables without a file of their own; what they lack refuses them.
        """
        for kind, name in (
            (InlineType(), "{{1={}}}"),
            (StaticType(), "{}"),
            (StaticType(), "{{ {} }}"),
            (RandomType(), "{{{}}}"),
        ):
            table = kind.open(name.format(self.file), self.context())
            self.assertEqual(table.lookup("1"), self.content)
            error = self.assertRaises(
                ConfigError, kind.open, name.format("/nowhere/x"), self.context()
            )
            self.assertIn("open /nowhere/x: No such file or directory", str(error))
