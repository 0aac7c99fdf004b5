"""
Tests of L{txmta.master.asker} and L{txmta.master.answerer}: tables that
another process has open.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.master.pairs import Pair
from tests.table_contract import TableContract
from txmta.errors import TableUnavailable
from txmta.interfaces import ITable, ITableType
from txmta.maps.proxy import ProxyType
from txmta.master import lookups
from txmta.master.answerer import Answerer, Missing
from txmta.master.asker import LIMIT, REMEMBER, AskedTable, Asker
from txmta.master.frames import Record
from txmta.master.link import Link
from txmta.master.lookups import ASK, MAX_KEY, MAX_VALUE

Answer = str | Deferred[str | None] | None


@implementer(ITable)
class Table:
    def __init__(self, answer: Callable[[str], Answer]) -> None:
        self.asked: list[str] = []
        self._answer = answer

    def lookup(self, key: str) -> Answer:
        self.asked.append(key)
        return self._answer(key)


class LookupCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.warned: list[str] = []
        self.table = Table({"key": "value", "\udcff\0\n": "\u20ac\udc80"}.get)
        tables: dict[str, ITable | Missing] = {
            "x:1": self.table,
            "x:2": Missing("no such file"),
        }
        clock = cast(IReactorTime, self.clock)
        self.asker = Asker(clock, self.warned.append)
        self.answerer = Answerer(tables, clock, self.warned.append)

    def connect(self) -> Pair:
        self.pair = Pair(
            self.clock,
            self.asker.link("proxymap.1"),
            self.answerer.link("smtpd.2"),
        )
        return self.pair

    def asked(self, key: str, table: str = "x:1") -> Deferred[str | None]:
        """
        @return: what comes of a question that has been put.
        """
        answer = self.asker.ask(f"proxy:{table}", table, key)
        self.pair.run()
        return answer

    def unavailable(self, answer: Deferred[str | None]) -> str:
        failure = self.failureResultOf(answer, TableUnavailable)
        return str(failure.getErrorMessage())


class AnswerTests(LookupCase):
    def test_answers(self) -> None:
        """
        Found, not found, and cannot say; keys and values that are no UTF-8.
        """
        self.connect()
        self.assertEqual(self.successResultOf(self.asked("key")), "value")
        self.assertIs(self.successResultOf(self.asked("none")), None)
        self.assertEqual(self.successResultOf(self.asked("\udcff\0\n")), "\u20ac\udc80")
        self.assertEqual(
            self.unavailable(self.asked("key", "x:2")),
            "table proxy:x:2: no such file",
        )
        self.unavailable(self.asked("other", "x:2"))
        self.assertEqual(self.warned, ["table proxy:x:2: no such file"])

    def test_not_listed(self) -> None:
        """
        Only tables that are listed are looked at.
        """
        self.connect()
        self.assertIn("may not be asked for", self.unavailable(self.asked("a", "x:3")))
        self.assertEqual(len(self.warned), 2, "one at each end")
        self.assertEqual(self.table.asked, [])

    def test_later(self) -> None:
        """
        Answers may come later and in any order, and each goes to who asked.
        """
        later: dict[str, Deferred[str | None]] = {}

        def answer(key: str) -> Deferred[str | None]:
            later[key] = Deferred()
            return later[key]

        self.table._answer = answer
        self.connect()
        first, second, third = (self.asked(key) for key in "abc")
        later["b"].callback("2")
        later["c"].errback(TableUnavailable("x:1", "line one\nline two"))
        self.pair.run()
        self.assertNoResult(first)
        self.assertEqual(self.successResultOf(second), "2")
        self.assertEqual(self.unavailable(third), "table proxy:x:1: line one line two")
        later["a"].callback(None)
        self.pair.run()
        self.assertIs(self.successResultOf(first), None)

    def test_bug(self) -> None:
        """
        A table that raises something else cannot say.
        """

        def answer(key: str) -> Answer:
            raise KeyError("secret")

        self.table._answer = answer
        self.connect()
        words = self.unavailable(self.asked("key"))
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        self.assertNotIn("secret", words)

    def test_sizes(self) -> None:
        """
        What is too large, or no text, is "cannot say", and ends no link.
        """
        values = {"most": "\U0001f600" * MAX_VALUE, "more": "x" * (MAX_VALUE + 1)}
        values["half"] = "\ud800"
        self.table._answer = values.get
        self.connect()
        self.assertEqual(self.successResultOf(self.asked("most")), values["most"])
        self.assertIn("a value of more", self.unavailable(self.asked("more")))
        self.assertIn("not text", self.unavailable(self.asked("half")))
        for key in ("x" * (MAX_KEY + 1), "\ud800"):
            self.assertRaises(TableUnavailable, self.asker.ask, "x", "x:1", key)
        self.assertIs(self.successResultOf(self.asked("\u20ac" * MAX_KEY)), None)
        self.assertNotIn("dropped", " ".join(self.warned))


class TroubleTests(LookupCase):
    def test_not_there(self) -> None:
        """
        Before there is a link, and after it was lost, nothing can be said; as
        soon as it is back, all is well.
        """
        self.assertRaises(TableUnavailable, self.asker.ask, "x", "x:1", "key")
        self.table._answer = lambda key: Deferred()
        self.connect()
        answer = self.asked("key")
        self.pair.cut()
        self.assertIn("proxymap: the other end is gone", self.unavailable(answer))
        self.assertRaises(TableUnavailable, self.asker.ask, "x", "x:1", "key")
        self.table._answer = {"key": "value"}.get
        self.connect()
        self.assertEqual(self.successResultOf(self.asked("key")), "value")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_replaced(self) -> None:
        """
        Who was asked before a new link is not waited for.
        """
        self.table._answer = lambda key: Deferred()
        self.connect()
        answer = self.asked("key")
        self.connect()
        self.assertIn("has been replaced", self.unavailable(answer))

    def test_limit(self) -> None:
        """
        After 10 seconds there is no answer; one that comes later is for
        nobody, and harms nothing.
        """
        later: Deferred[str | None] = Deferred()
        self.table._answer = lambda key: later
        self.connect()
        answer = self.asked("key")
        self.clock.advance(LIMIT - 0.1)
        self.assertNoResult(answer)
        self.clock.advance(0.1)
        self.assertIn("no answer for 10 seconds", self.unavailable(answer))
        later.callback("value")
        self.pair.run()
        self.table._answer = {"key": "next"}.get
        self.assertEqual(self.successResultOf(self.asked("key")), "next")

    def test_most(self) -> None:
        """
        So many questions may be open, also those that nobody waits for; then
        nothing can be said until one is answered.
        """
        self.patch(lookups, "MOST", 3)
        open_: list[Deferred[str | None]] = []

        def answer(key: str) -> Deferred[str | None]:
            open_.append(Deferred())
            return open_[-1]

        self.table._answer = answer
        self.connect()
        answers = [self.asked("key") for _ in range(3)]
        answers[0].cancel()
        self.failureResultOf(answers[0])
        self.clock.advance(LIMIT)
        for each in answers[1:]:
            self.unavailable(each)
        self.assertRaises(TableUnavailable, self.asker.ask, "x", "x:1", "key")
        open_[1].callback(None)
        self.pair.run()
        self.assertNoResult(self.asked("key"))
        self.assertEqual(len(self.warned), 1, "once for all questions")

    def test_left(self) -> None:
        """
        One who answers may end when nobody is there to ask.
        """
        self.successResultOf(self.answerer.when_left())
        self.connect()
        left = self.answerer.when_left()
        self.assertNoResult(left)
        self.pair.kill(0)
        self.successResultOf(left)


class HostileTests(LookupCase):
    def answerer_refuses(self, *records: Record) -> None:
        answerer = Answerer(
            {"x:1": self.table}, cast(IReactorTime, self.clock), self.warned.append
        )
        self.say(answerer.link("smtpd.2"), *records)

    def asker_refuses(self, *records: Record) -> None:
        link = self.asker.link("proxymap.1")
        answer = self.asker.ask("x", "x:1", "key")
        self.say(link, *records)
        self.failureResultOf(answer, TableUnavailable)

    def say(self, link: Link, *records: Record) -> None:
        liar = Link(
            "x",
            {"ask": (ASK, lambda _: None)},
            cast(IReactorTime, self.clock),
            lost=lambda reason: None,
        )
        pair = Pair(self.clock, liar, link)
        self.warned.clear()
        for record in records:
            self.assertEqual(self.warned, [], record)
            liar.send(record)
            pair.run()
        dropped = [each for each in self.warned if "dropped" in each]
        self.assertEqual(len(dropped), 1, records)

    def test_questions(self) -> None:
        """
        Whoever asks amiss loses its link: a number twice, more than may be
        open, what is too large or no question.
        """
        self.table._answer = lambda key: Deferred()
        ask: Record = {"t": "ask", "n": 1, "table": "x:1", "key": "key"}
        self.answerer_refuses(ask, ask)
        self.patch(lookups, "MOST", 2)
        self.answerer_refuses(*({**ask, "n": n} for n in range(3)))
        for wrong in (
            {**ask, "key": "x" * (MAX_KEY + 1)},
            {**ask, "table": ""},
            {**ask, "n": -1},
            {**ask, "more": 1},
            {"t": "found", "n": 1, "value": "x"},
        ):
            self.answerer_refuses(wrong)

    def test_answers(self) -> None:
        """
        Whoever answers amiss loses its link, and nothing is taken for "not
        found": what was not asked, a value that is none.
        """
        for wrong in (
            {"t": "found", "n": 99, "value": None},
            {"t": "found", "n": 1, "value": 5},
            {"t": "found", "n": 1},
            {"t": "found", "n": 1, "value": "x" * (MAX_VALUE + 1)},
            {"t": "unavailable", "n": 1, "reason": "a\nb"},
            {"t": "ask", "n": 1, "table": "x:1", "key": "key"},
        ):
            self.asker = Asker(cast(IReactorTime, self.clock), self.warned.append)
            self.asker_refuses(wrong)


class AskedTableTests(LookupCase):
    def test_interface(self) -> None:
        verifyObject(ITable, AskedTable(self.asker, "proxy:x:1", "x:1", None))

    def test_each_time(self) -> None:
        """
        An answer counts once.
        """
        self.connect()
        table = AskedTable(self.asker, "proxy:x:1", "x:1", None)
        for _ in range(2):
            answer = table.lookup("key")
            assert isinstance(answer, Deferred)
            self.pair.run()
            self.assertEqual(self.successResultOf(answer), "value")
        self.assertEqual(len(self.table.asked), 2)

    def test_remembers(self) -> None:
        """
        Answers are remembered for a moment, "not found" too, and "cannot say"
        never.
        """
        self.connect()
        table = AskedTable(self.asker, "proxy:x:1", "x:1", self.clock.seconds)
        for key, value in (("key", "value"), ("none", None)):
            answer = table.lookup(key)
            assert isinstance(answer, Deferred)
            self.pair.run()
            self.assertEqual(self.successResultOf(answer), value)
            self.assertEqual(table.lookup(key), value)
        self.clock.advance(REMEMBER)
        again = table.lookup("key")
        assert isinstance(again, Deferred)
        self.pair.cut()
        self.unavailable(again)
        self.assertRaises(TableUnavailable, table.lookup, "other")
        self.connect()
        self.assertIsInstance(table.lookup("other"), Deferred)


class ContractTests(TableContract, LookupCase):
    """
    A table behind a link is a table like any.
    """

    def make_table(self) -> ITable:
        self.connect()
        return AskedTable(self.asker, "proxy:x:1", "x:1", self.clock.seconds)

    def make_type(self) -> ITableType:
        return ProxyType()

    def ask(self, table: ITable, key: str) -> str | None:
        answer = table.lookup(key)
        if not isinstance(answer, Deferred):
            return answer
        self.pair.run()
        return self.successResultOf(answer)
