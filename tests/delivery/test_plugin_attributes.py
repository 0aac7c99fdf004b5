"""
L{txmta.delivery.plugin_attributes}
"""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txmta.delivery.pipe_attributes import BadAttributes
from txmta.delivery.plugin_attributes import (
    AgentAttribute,
    agent_of,
    number,
    seconds,
    values_of,
)

URL = AgentAttribute("url", "where to")
RETRIES = AgentAttribute("retries", "more tries", "2", number(0, 10))
HEADER = AgentAttribute("header", "a header field", many=True)
TOKEN = AgentAttribute("token", "a password", "0", number(0, 9), secret=True)
ALL = (URL, RETRIES, HEADER, TOKEN)


class AttributeTests(SynchronousTestCase):
    def wrong(self, call: Callable[[], object]) -> list[str]:
        return list(self.assertRaises(BadAttributes, call).problems)

    def wrong_values(self, *written: tuple[str, str]) -> list[str]:
        return self.wrong(lambda: values_of("hook", written, ALL))

    def test_split(self) -> None:
        """
        As pipe(8): white space round C{=}, capital letters in names, C{-v}.
        """
        name, others = agent_of(
            ["-v", "URL=http://x/?a=b", "agent=hook", "header = a b"]
        )
        self.assertEqual(name, "hook")
        self.assertEqual(others, [("url", "http://x/?a=b"), ("header", "a b")])

    def test_no_agent(self) -> None:
        for words in ([], ["agent="], ["agent=a", "agent=b"]):
            (problem,) = self.wrong(lambda words=words: agent_of(words))  # type: ignore[misc]
            self.assertIn("needs one agent= attribute", problem)

    def test_no_attribute(self) -> None:
        """
        A word that is none is not repeated: it may be half a secret.
        """
        (problem,) = self.wrong(lambda: agent_of(["agent=a", "token=very", "secret"]))
        self.assertIn("word 3 after plugin is no attribute", problem)
        self.assertNotIn("secret", problem)

    def test_values(self) -> None:
        written = [("url", "x"), ("header", "a"), ("header", "b"), ("retries", "7")]
        self.assertEqual(
            values_of("hook", written, ALL),
            {"url": "x", "retries": 7, "header": ("a", "b"), "token": 0},
        )

    def test_all_problems(self) -> None:
        """
        All at once, each with what to write instead.
        """
        unknown, missing, bad = self.wrong_values(("retrys", "1"), ("retries", "99"))
        self.assertEqual(
            unknown,
            "unknown attribute name: retrys=: agent hook takes header, retries, "
            "token, url",
        )
        self.assertEqual(missing, "missing url= attribute: write url=value: where to")
        self.assertEqual(bad, "retries=99 is out of bounds: write 0 to 10 (more tries)")

    def test_twice(self) -> None:
        (problem,) = self.wrong_values(("url", "a"), ("url", "b"))
        self.assertEqual(problem, "url= is given 2 times: write it once")

    def test_secret(self) -> None:
        """
        The text of a secret is in no message.
        """
        (problem,) = self.wrong_values(("url", "a"), ("token", "hunter2"))
        self.assertIn("token=value (not shown)", problem)
        self.assertNotIn("hunter2", problem)

    def test_names(self) -> None:
        """
        A plug-in whose own declaration is wrong cannot be loaded.
        """
        for name in ("agent", "", "a b", "Url", "9"):
            self.assertRaises(ValueError, AgentAttribute, name, "x")

    def test_parsers(self) -> None:
        self.assertEqual(seconds(1, 3600)("2m"), 120.0)
        for parse, text in (
            (seconds(1, 10), "11s"),
            (seconds(1, 10), "0"),
            (seconds(1, 10), "soon"),
            (number(1, 5), "0"),
            (number(1, 5), "five"),
        ):
            self.assertRaises(ValueError, parse, text)

    @given(st.lists(st.text(max_size=20), max_size=6))
    def test_anything(self, words: list[str]) -> None:
        """
        Whatever stands there, it is understood or refused.
        """
        try:
            name, others = agent_of(words)
            values_of(name, others, ALL)
        except BadAttributes as e:
            self.assertTrue(e.problems)
