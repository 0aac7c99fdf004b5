"""
Tests of what is found in lists.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txmta.report.items import Item, Kind, Verdict
from txmta.report.words import POSTFIX_TYPES, RESTRICTIONS, Value, Words, words

TYPES = ("cidr", "hash", "inline", "pcre", "proxy", "reverse", "static")


def found(*values: Value, classes: tuple[str, ...] = ()) -> dict[str, Item]:
    gathered = Words(TYPES, ("permit", "reject_unauth_destination"))
    gathered.look(values, classes)
    return {item.name: item for item in gathered.items(classes)}


class WordsTests(SynchronousTestCase):
    def test_words(self) -> None:
        for text, expected in (
            ("", []),
            ("a, b\tc", ["a", "b", "c"]),
            ("inline:{ a = b, c = d } x", ["inline:{ a = b, c = d }", "x"]),
            ("{ check_x_access pcre:/y } z", ["check_x_access", "pcre:/y", "z"]),
            ("{ unclosed a", ["{ unclosed a"]),
        ):
            self.assertEqual(list(words(text)), expected, text)

    def test_tables(self) -> None:
        """
        Each once, with its places; what Postfix has and we have not is said.
        """
        items = found(
            Value("virtual_alias_maps", "hash:/a proxy:nis:b", "main.cf, line 1"),
            Value("relay_domains", "!hash:/a, c, reverse:x", "main.cf, line 2"),
            Value("milters", "unix:/socket inet:h:1 smtp:x", "main.cf, line 3"),
            Value("alias_maps", "unix:passwd.byname", "main.cf, line 4"),
        )
        self.assertEqual(
            {name: item.verdict for name, item in items.items()},
            {
                "hash:/a": Verdict.APPROXIMATED,
                "proxy:nis:b": Verdict.NOT_YET,
                "reverse:x": Verdict.HONOURED,
                "unix:passwd.byname": Verdict.NOT_YET,
            },
        )
        self.assertEqual(
            items["hash:/a"].places, ("main.cf, line 1", "main.cf, line 2")
        )

    def test_restrictions(self) -> None:
        """
        Those of lists and classes, in any case; not their arguments.
        """
        items = found(
            Value(
                "smtpd_recipient_restrictions",
                "PERMIT, mine, reject_rbl_client a.example, check_helo_access pcre:/x",
                "main.cf, line 1",
            ),
            Value("mine", "reject_unauth_destination", "main.cf, line 2"),
            Value("relay_domains", "permit", "main.cf, line 3"),
            classes=("mine",),
        )
        self.assertEqual(
            {name: item.verdict for name, item in items.items()},
            {
                "permit": Verdict.HONOURED,
                "mine": Verdict.HONOURED,
                "reject_rbl_client": Verdict.NOT_YET,
                "check_helo_access": Verdict.NOT_YET,
                "pcre:/x": Verdict.HONOURED,
                "reject_unauth_destination": Verdict.HONOURED,
            },
        )
        self.assertEqual(items["permit"].places, ("main.cf, line 1",))
        self.assertIs(items["pcre:/x"].kind, Kind.TABLE)

    def test_what_we_have_is_postfixs(self) -> None:
        """
        Our restrictions are Postfix's but for one, and so are our types of tables, but
        for C{python:}, C{redis:} and C{popbefore:}.
        """
        from txmta.maps.registry import TableRegistry
        from txmta.smtp.access.registry import KINDS

        self.assertEqual(set(KINDS) - RESTRICTIONS, {"check_rate_limit"})
        types = TableRegistry(float, lambda text: None, ()).known_types()
        self.assertEqual(set(types) - POSTFIX_TYPES, {"python", "redis", "popbefore"})
