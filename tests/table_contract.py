"""
What every kind of table must do: mix into a test case for each type.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from txmta.errors import TableUnavailable
from txmta.interfaces import ITable, ITableType
from txmta.maps.context import TableContext


def context(
    spec: str = "hash:/nowhere",
    *,
    aliases: bool = False,
    seconds: Callable[[], float] = lambda: 0.0,
    warn: Callable[[str], None] = print,
) -> TableContext:
    """
    @return: one for tests; nothing can be opened inside the table.
    """

    def open_table(item: str) -> ITable:
        raise NotImplementedError

    return TableContext(spec, "test_maps", aliases, open_table, seconds, warn)


if TYPE_CHECKING:
    from twisted.trial.unittest import SynchronousTestCase as _Base
else:
    _Base = object  # a mix-in: trial must not run it by itself


class TableContract(_Base):
    """
    Say how to make the table: it must have a key C{known} with the value
    C{value}, and, unless it has every key, lack the key C{unknown}.
    """

    known = "key"
    value = "value"
    unknown: str | None = "other"

    def make_table(self) -> ITable:
        raise NotImplementedError

    def make_type(self) -> ITableType:
        raise NotImplementedError

    def ask(self, table: ITable, key: str) -> str | None:
        answer = table.lookup(key)
        if isinstance(answer, Deferred):
            found = self.successResultOf(answer)
            assert found is None or isinstance(found, str)
            return found
        return answer

    def test_interfaces(self) -> None:
        """
        Table and type have what their interfaces ask for.
        """
        verifyObject(ITable, self.make_table())
        kind = self.make_type()
        verifyObject(ITableType, kind)
        self.assertRegex(kind.prefix, "^[a-z]+$")

    def test_found(self) -> None:
        """
        A key that is there gives its value, again and again.
        """
        table = self.make_table()
        self.assertEqual(self.ask(table, self.known), self.value)
        self.assertEqual(self.ask(table, self.known), self.value)

    def test_not_found(self) -> None:
        """
        A key that is not there gives L{None}, not an error.
        """
        if self.unknown is not None:
            self.assertIsNone(self.ask(self.make_table(), self.unknown))

    def test_hostile_keys(self) -> None:
        """
        Any text is a key: the answer is text, L{None}, or "cannot say".
        """
        table = self.make_table()
        for key in ("", "\x00", "a\x00b", "\udcff", "x" * 5000, "a:b\n", "\U0001f4ec"):
            try:
                answer = self.ask(table, key)
            except TableUnavailable:
                continue
            self.assertTrue(answer is None or isinstance(answer, str), key)
