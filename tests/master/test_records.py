"""
Tests for L{txmta.master.records}.
"""

from __future__ import annotations

import re
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from txmta.master.records import (
    BadRecord,
    Choice,
    Fields,
    Flag,
    Kind,
    ListOf,
    Number,
    Optional,
    OrNull,
    Real,
    Schema,
    Text,
    Tuple,
)

#: Something of every type that JSON has.
EVERYTHING: tuple[Any, ...] = (
    *(None, True, 0, 1, -1, 2**70, 1.5, -1e300, 1e999),
    *("", "a", "x" * 100, [], [1], [[]], {}, {"a": 1}),
)


class KindTests(SynchronousTestCase):
    def takes(self, kind: Kind, *good: Any) -> None:
        """
        Of everything, a kind takes these and nothing else.
        """
        for value in (*EVERYTHING, *good):
            # 1 is True, and they are not the same here.
            fits = any(type(g) is type(value) and g == value for g in good)
            self.assertEqual(kind.check(value) == "", fits, (kind, value))

    def test_text(self) -> None:
        self.takes(Text(max=10), "", "a")
        self.takes(Text(max=10, min=1), "a")
        self.takes(Text(max=100, pattern=re.compile("[0-9A-F]+")), "3F")
        self.assertTrue(Text(max=9, pattern=re.compile("a+")).check("aa\n"))

    def test_line(self) -> None:
        """
        What gets into the log is one line.
        """
        for bad in ("a\nb", "a\r", "\0"):
            self.assertTrue(Text(max=10, line=True).check(bad))
            self.assertEqual(Text(max=10).check(bad), "")

    def test_number(self) -> None:
        self.takes(Number(0, 1), 0, 1)
        self.takes(Number(-1, 2**70), -1, 0, 1, 2**70)

    def test_real(self) -> None:
        self.takes(Real(0, 2), 0, 1, 1.5)
        nan = float("nan")
        self.assertTrue(Real(-1e308, 1e308).check(nan))
        self.assertTrue(Real(-1e308, 1e308).check(2**5000))

    def test_flag(self) -> None:
        self.takes(Flag(), True, False)

    def test_choice(self) -> None:
        self.takes(Choice("a", "b"), "a", "b")

    def test_list(self) -> None:
        self.takes(ListOf(Number(0, 9), 2), [], [1], [1, 2])
        self.takes(ListOf(Number(0, 9), 2, min=1), [1], [1, 2])
        self.assertTrue(ListOf(Number(0, 9), 2).check([1, 2, 3]))

    def test_tuple(self) -> None:
        self.takes(Tuple(Number(0, 9), Text(max=3)), [1, "a"])
        self.assertTrue(Tuple(Number(0, 9)).check([1, 1]))

    def test_null(self) -> None:
        self.takes(OrNull(Number(0, 9)), None, 0, 1)

    def test_fields(self) -> None:
        self.takes(Fields({"a": Number(0, 9)}), {"a": 1})


class SchemaTests(SynchronousTestCase):
    schema = Schema({"id": Text(max=4), "n": Number(0, 9), "why": Optional(Flag())})

    def refused(self, fields: dict[str, object], reason: str) -> None:
        e = self.assertRaises(BadRecord, self.schema.check, {"t": "x", **fields})
        self.assertEqual(str(e), reason)

    def test_good(self) -> None:
        self.schema.check({"t": "x", "id": "a", "n": 1})
        self.schema.check({"t": "x", "id": "a", "n": 1, "why": True})

    def test_missing(self) -> None:
        self.refused({"id": "a"}, "n is missing")

    def test_unknown(self) -> None:
        known = {"id": "a", "n": 1}
        self.refused({**known, "m": 1}, "it has a field that is not known")
        self.refused({**known, "why": True, "m": 1}, "it has a field that is not known")

    def test_wrong(self) -> None:
        self.refused({"id": "a", "n": "1"}, "n should be a number from 0 to 9")
        self.refused({"id": "a", "n": 1, "why": None}, "why should be true or false")

    def test_type(self) -> None:
        self.assertRaises(ValueError, Schema, {"t": Flag()})
