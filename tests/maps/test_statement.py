"""
Tests of L{txmta.maps.statement}: what is looked up is never SQL text.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txmta.maps.statement import MYSQL, PGSQL, SQLITE, Dialect, Statement, read
from txmta.maps.templates import Parts


def shown(template: str, dialect: Dialect = SQLITE, key: str = "u@d.com") -> str:
    """
    @return: SQL with what is bound in angle brackets.
    """
    statement = read(template, dialect)
    values = statement.bind(Parts.of(key))
    text = statement.texts[0]
    for value, following in zip(values, statement.texts[1:], strict=True):
        text += f"<{value}>{following}"
    return text


class ValueTests(SynchronousTestCase):
    def test_string(self) -> None:
        """
        A string with an expansion is bound as a whole, without its quotes.
        """
        self.assertEqual(
            shown("SELECT g FROM a WHERE m='%s' AND b = 'x''%u@%d %%'"),
            "SELECT g FROM a WHERE m=<u@d.com> AND b = <x'u@d.com %>",
        )

    def test_other_strings(self) -> None:
        """
        A string without one stays, as do names and comments.
        """
        for text in ("SELECT 'a''b', `c`, [d] -- '\n/* ' */ FROM x", "SELECT ''"):
            self.assertEqual(shown(text), text)
        self.assertEqual(shown("SELECT '100%%'"), "SELECT '100%'")
        self.assertEqual(
            shown("SELECT $x$ ' $x$, '%s'", PGSQL), "SELECT $x$ ' $x$, <u@d.com>"
        )
        self.assertEqual(shown("# '\nSELECT '%s'", MYSQL), "# '\nSELECT <u@d.com>")

    def test_alone(self) -> None:
        """
        An expansion without quotes is bound too.
        """
        self.assertEqual(shown("SELECT f(%s, '%1')"), "SELECT f(<u@d.com>, <com>)")
        self.assertEqual(shown("WHERE a=%u"), "WHERE a=<u>")

    def test_double_quotes(self) -> None:
        """
        They make strings but in PostgreSQL, where they make names.
        """
        self.assertEqual(shown('a = "%s"'), "a = <u@d.com>")
        self.assertEqual(shown('a = "%s"', MYSQL), "a = <u@d.com>")
        self.assertRaises(ValueError, read, 'a = "%s"', PGSQL)

    def test_backslash(self) -> None:
        """
        Only MySQL has escapes; C{\\%} is left to LIKE.
        """
        self.assertEqual(shown(r"a = 'x\'\n\%%%s'", MYSQL), "a = <x'\n\\%u@d.com>")
        self.assertEqual(shown(r"a = 'x\%s'"), r"a = <x\u@d.com>")

    def test_refused(self) -> None:
        """
        Where no value can stand the template is refused, with a remedy.
        """
        templates = (
            *("FROM mail_%1", "FROM %d.x", "a = %s%d", "a = E'%s'", "-- %s"),
            *("/* '%s' */", "a = '%s", "`%s`", "a = 1%s"),
        )
        for template in templates:
            self.assertRaises(ValueError, read, template, MYSQL)
        self.assertRaises(ValueError, read, "$$ %s $$", PGSQL)
        self.assertRaises(ValueError, read, "[%s]", SQLITE)

    @settings(deadline=None, max_examples=100)
    @given(st.text(min_size=1, max_size=30))
    def test_key_never_text(self, key: str) -> None:
        """
        The SQL is the same whatever is looked up.
        """
        statement = read("SELECT x FROM t WHERE a='%s' OR b = '<%s>'", SQLITE)
        self.assertEqual(statement.texts, ("SELECT x FROM t WHERE a=", " OR b = ", ""))
        self.assertEqual(statement.bind(Parts.of(key)), (key, f"<{key}>"))

    @settings(deadline=None, max_examples=200)
    @given(st.text("'\"`\\%sud1[]$-/*#\n aE", max_size=30))
    def test_any_template(self, template: str) -> None:
        """
        Any template is read or refused.
        """
        for dialect in (SQLITE, PGSQL, MYSQL):
            try:
                statement = read(template, dialect)
            except ValueError:
                continue
            self.assertIsInstance(statement, Statement)
            self.assertEqual(len(statement.texts), len(statement.values) + 1)
