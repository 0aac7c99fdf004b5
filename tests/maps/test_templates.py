"""
Tests of L{txmta.maps.templates}. The table of keys is what Postfix 3.7's
C{postmap -q} answers.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txmta.maps.templates import MAX_ANSWER, Parts, Templates, fill, parse

KEYS = ("a@b.com", "@b.com", "a", "a@", "@", "b.com", "a@c", "a@x.b.com", "x@y@b.com")


def asked(query: str, result: str = "%s") -> dict[str, str]:
    """
    @return: what is asked for which keys.
    """
    pieces = parse(query)
    templates = Templates(pieces, parse(result))
    keys = {key: Parts.of(key) for key in KEYS}
    return {
        key: fill(pieces, parts, parts)
        for key, parts in keys.items()
        if templates.can_ask(parts)
    }


def made(result: str, key: str, *values: str | None, limit: int = 0) -> str | None:
    return Templates((), parse(result), limit).answer(Parts.of(key), values)


class QueryTests(SynchronousTestCase):
    def test_whole_key(self) -> None:
        """
        %s is the key, whatever it is; 100%% is no expansion.
        """
        self.assertEqual(asked("%s%%s"), {key: f"{key}%s" for key in KEYS})

    def test_user(self) -> None:
        """
        %u is the key itself, if that is no address; an empty local part is
        not asked for.
        """
        found = {
            "a@b.com": "a",
            "a": "a",
            "a@": "a",
            "b.com": "b.com",
            "a@c": "a",
            "a@x.b.com": "a",
            "x@y@b.com": "x@y",
        }
        self.assertEqual(asked("%u"), found)
        self.assertEqual(asked("%U"), found)

    def test_domain(self) -> None:
        """
        %d needs a domain.
        """
        found = {
            "a@b.com": "b.com",
            "@b.com": "b.com",
            "a@c": "c",
            "a@x.b.com": "x.b.com",
            "x@y@b.com": "b.com",
        }
        self.assertEqual(asked("%d"), found)
        self.assertEqual(asked("%D"), found)

    def test_labels(self) -> None:
        """
        Digits are labels of the domain, the last one first; all must be there.
        """
        self.assertEqual(
            asked("%2.%1"),
            dict.fromkeys(("a@b.com", "@b.com", "a@x.b.com", "x@y@b.com"), "b.com"),
        )
        self.assertEqual(asked("%3"), {"a@x.b.com": "x"})

    def test_result_names_key(self) -> None:
        """
        What result_format takes from the key must be there too.
        """
        self.assertEqual(list(asked("x", "%3")), ["a@x.b.com"])
        self.assertNotIn("@b.com", asked("x", "%U"))
        self.assertNotIn("a", asked("x", "%D"))
        self.assertIn("a", asked("x", "%d"))

    def test_empty_key(self) -> None:
        """
        Nobody is asked for nothing.
        """
        self.assertFalse(Templates(parse("x"), parse("%s")).can_ask(Parts.of("")))

    def test_bad(self) -> None:
        """
        Anything else behind % is refused.
        """
        for template in ("%", "%x", "a%0", "% s"):
            self.assertRaises(ValueError, parse, template)


class ResultTests(SynchronousTestCase):
    def test_join(self) -> None:
        """
        Values are joined with commas, empty ones left out.
        """
        self.assertEqual(made("%s", "k", "a", None, "", "b"), "a,b")
        self.assertIsNone(made("%s", "k"))
        self.assertIsNone(made("%s", "k", None, ""))

    def test_parts(self) -> None:
        """
        Lower case is the value's, upper case and digits the key's; a value
        that lacks what is named is left out.
        """
        self.assertEqual(made("%u|%d", "k@x", "p@q", "@q", "p", "a@b@c"), "p|q,a@b|c")
        self.assertEqual(made("%U/%D/%1/%S=%s", "a@b.c", "v"), "a/b.c/c/a@b.c=v")
        self.assertEqual(made("smtp:[%s]", "k", "h"), "smtp:[h]")

    def test_value_is_no_template(self) -> None:
        """
        A value with % stays as it is.
        """
        self.assertEqual(made("%s", "k%s", "%d%%"), "%d%%")

    def test_limits(self) -> None:
        """
        More than expansion_limit, or too much altogether, is an error, not
        half an answer.
        """
        self.assertEqual(made("%s", "k", "a", "b", limit=2), "a,b")
        self.assertRaises(ValueError, made, "%s", "k", "a", "b", limit=1)
        self.assertRaises(ValueError, made, "%s", "k", "a" * (MAX_ANSWER + 1))
