"""
Tables that answer at once, later, or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from tests.cleanup.doubles import Kitchen
from txmta.config.settings import Settings
from txmta.errors import TableUnavailable
from txmta.interfaces import ITable
from txmta.roles.cleanup import make_cleanup
from txmta.roles.shared import Tables


@implementer(ITable)
class LateTable:
    """
    Answers when it is told to.
    """

    def __init__(self, entries: Mapping[str, str]) -> None:
        self.entries = entries
        self.asked: list[tuple[str, Deferred[str | None]]] = []

    def lookup(self, key: str) -> Deferred[str | None]:
        answer: Deferred[str | None] = Deferred()
        self.asked.append((key, answer))
        return answer

    def answer(self) -> None:
        """
        Answer all questions, those too that come up meanwhile.
        """
        while self.asked:
            key, answer = self.asked.pop(0)
            answer.callback(self.entries.get(key))

    def fail(self) -> None:
        """
        Answer the first question: nobody knows.
        """
        self.asked.pop(0)[1].errback(TableUnavailable("late:x", "gone"))


class MappingKitchen(Kitchen):
    """
    A cleanup with tables, as the server makes it.
    """

    def __init__(self, late: LateTable | None = None, /, **parameters: str) -> None:
        """
        @param late: stands for C{fail:late}, wherever that is written.
        """
        values = {"mydestination": "here.test", "myorigin": "here.test", **parameters}
        super().__init__(None, **values)
        self.settings = Settings.of(**{"myhostname": "mx.here.test", **values})
        tables = Tables.open(self.settings, float, lambda text: None)
        self.addresses = tables.addresses
        if late is not None:
            opened = tables.registry.table

            def table(item: str, parameter: str) -> ITable:
                return late if item == "fail:late" else opened(item, parameter)

            tables.registry.table = table  # type: ignore[method-assign]
        store: Any = self.store
        sink: Any = self.sink
        self.cleanup = make_cleanup(self.settings, store, sink, tables)
