"""
Tests of L{txmta.delivery.smtp_logins} and L{txmta.delivery.tokens}.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from txmta.config.settings import Settings
from txmta.delivery.smtp_logins import (
    Logins,
    LookupOrder,
    NoAnswer,
    login_problems,
    mechanism_filter,
)
from txmta.delivery.tokens import PATIENCE, PAUSE, Source, Tokens, understood
from txmta.errors import TableUnavailable
from txmta.interfaces import ITable
from txmta.search import search
from txmta.smtp.client_login import Account, LoginRules

SOURCE = (
    "https://id.test/token client_id=c client_secret=s refresh_token=r1 scope=a%20b"
)


@implementer(ITable)
class Table:
    def __init__(self, entries: Mapping[str, str], later: bool = False) -> None:
        self.entries = entries
        self.later = later
        self.broken = False
        self.asked: list[str] = []

    def lookup(self, key: str) -> str | Deferred[str | None] | None:
        self.asked.append(key)
        if self.broken:
            raise TableUnavailable("hash:/etc/passwords", "no such file")
        found = self.entries.get(key)
        return succeed(found) if self.later else found


class LookupTests(SynchronousTestCase):
    ENTRIES = {
        "a@x.test": "alice:1",
        "mail.isp.test": "host:2",
        "[mail.isp.test]:587": "hop:3",
        "bare": "nobody",
    }

    def logins(self, table: Table, **order: Any) -> Logins:
        self.table = table
        return Logins(
            [table],
            LookupOrder(**order),
            LoginRules(),
            lambda sender: search([table], (sender,)),
        )

    def found(self, logins: Logins, *what: str) -> tuple[str, str] | None:
        account = self.successResultOf(Deferred.fromCoroutine(logins.find(*what)))
        return (account.who.username, account.who.secret) if account else None

    def test_order(self) -> None:
        """
        The host, then the next hop as it was written; the sender only when
        asked to, and then first.
        """
        for later in (False, True):
            logins = self.logins(Table(self.ENTRIES, later))
            hop = "[mail.isp.test]:587"
            self.assertEqual(
                self.found(logins, "a@x.test", "mail.isp.test", hop), ("host", "2")
            )
            self.assertEqual(self.found(logins, "a@x.test", "mx", hop), ("hop", "3"))
            self.assertIsNone(self.found(logins, "a@x.test", "mx", "isp.test"))
            logins = self.logins(Table(self.ENTRIES, later), by_sender=True)
            self.assertEqual(
                self.found(logins, "a@x.test", "mail.isp.test", hop), ("alice", "1")
            )
            self.assertEqual(
                self.found(logins, "", "mail.isp.test", hop), ("host", "2")
            )

    def test_value(self) -> None:
        logins = self.logins(Table(self.ENTRIES))
        self.assertEqual(self.found(logins, "", "bare", ""), ("nobody", ""))
        logins = self.logins(Table({"h": "a:b|c:d"}), delimiter="|")
        self.assertEqual(self.found(logins, "", "h", ""), ("a:b", "c:d"))

    def test_unavailable(self) -> None:
        """
        A table that cannot be asked is no stranger's account: the mail waits.
        """
        logins = self.logins(Table({}))
        self.table.broken = True
        self.failureResultOf(Deferred.fromCoroutine(logins.find("", "h", "")), NoAnswer)

    def test_kind(self) -> None:
        """
        Connections are kept apart by sender where that decides who we are.
        """
        self.assertEqual(self.logins(Table({})).kind("a@x.test"), "")
        logins = self.logins(Table({}), by_sender=True)
        self.assertEqual(logins.kind("a@x.test"), "a@x.test")


class SettingsTests(SynchronousTestCase):
    def problems(self, **values: str) -> list[str]:
        settings = Settings.of(smtp_sasl_auth_enable="yes", **values)
        return login_problems(settings, lambda name: name)

    def test_problems(self) -> None:
        self.assertIn("write a table", self.problems()[0])
        maps = {"smtp_sasl_password_maps": "inline:{a=b}"}
        self.assertEqual(self.problems(**maps), [])
        for items in ("digest-md5", "hash:/etc/x", "!static:rest"):
            found = self.problems(smtp_sasl_mechanism_filter=items, **maps)
            self.assertNotEqual(found, [], items)

    def test_filter(self) -> None:
        for items, yes, no in (
            ((), "PLAIN LOGIN", ""),
            (("plain", "login"), "PLAIN LOGIN", "CRAM-MD5"),
            (("!plain", "static:rest"), "LOGIN", "PLAIN"),
            (("!login",), "", "LOGIN PLAIN"),
        ):
            wanted = mechanism_filter(items)
            self.assertTrue(all(map(wanted, yes.split())), items)
            self.assertFalse(any(map(wanted, no.split())), items)


class TokenTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.posts: list[dict[str, list[str]]] = []
        self.answers: list[Any] = []
        self.table = Table({"me@x.test": SOURCE, "bad": "http://id.test/ x"})
        self.tokens = Tokens([self.table], self.post, self.clock)

    def post(self, url: str, form: bytes) -> Deferred[tuple[int, bytes]]:
        self.assertEqual(url, "https://id.test/token")
        self.posts.append(parse_qs(form.decode()))
        answer = self.answers.pop(0)
        if isinstance(answer, Deferred):
            return answer
        if isinstance(answer, Exception):
            return fail(answer)
        return succeed((200, json.dumps(answer).encode()))

    def token(self, name: str = "me@x.test") -> str | None:
        return self.successResultOf(Deferred.fromCoroutine(self.tokens.find(name)))

    def test_refresh(self) -> None:
        """
        One token is used until a minute before its end, then there is another.
        """
        self.answers = [
            {"access_token": "t1", "expires_in": 3600, "token_type": "Bearer"},
            {"access_token": "t2", "expires_in": 3600, "refresh_token": "r2"},
            {"access_token": "t3"},
        ]
        self.assertEqual(self.token(), "t1")
        self.clock.advance(3539)
        self.assertEqual(self.token(), "t1")
        self.clock.advance(1)
        self.assertEqual(self.token(), "t2")
        self.assertEqual(
            self.posts[0],
            {
                "grant_type": ["refresh_token"],
                "client_id": ["c"],
                "client_secret": ["s"],
                "refresh_token": ["r1"],
                "scope": ["a b"],
            },
        )
        self.tokens.forget("me@x.test")
        self.assertEqual(self.token(), "t3")
        self.assertEqual(self.posts[2]["refresh_token"], ["r2"])

    def test_password(self) -> None:
        self.assertIsNone(self.token("you"))

    def test_together(self) -> None:
        """
        Who comes while one is asked for gets the same.
        """
        answer: Deferred[tuple[int, bytes]] = Deferred()
        self.answers = [answer]
        asked = [Deferred.fromCoroutine(self.tokens.find("me@x.test")) for _ in "ab"]
        answer.callback((200, b'{"access_token": "t"}'))
        self.assertEqual([self.successResultOf(each) for each in asked], ["t", "t"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_failure(self) -> None:
        """
        Mail waits; the endpoint is left in peace for a while.
        """
        self.answers = [OSError("no route"), {"access_token": "t"}]
        for _ in range(2):
            failed = Deferred.fromCoroutine(self.tokens.find("me@x.test"))
            error = self.failureResultOf(failed, NoAnswer)
            self.assertIn("no route", str(error.value))
        self.clock.advance(PAUSE)
        self.assertEqual(self.token(), "t")

    def test_slow(self) -> None:
        self.answers = [Deferred()]
        asked = Deferred.fromCoroutine(self.tokens.find("me@x.test"))
        self.clock.advance(PATIENCE)
        self.failureResultOf(asked, NoAnswer)

    def test_bad_source(self) -> None:
        failed = Deferred.fromCoroutine(self.tokens.find("bad"))
        self.failureResultOf(failed, NoAnswer)
        for text in ("", "https://x", "https://x refresh_token", "https:// x=y"):
            self.assertRaises(ValueError, Source.parse, text)
        self.assertNotIn("r1", repr(Source.parse(SOURCE)))

    def test_answers(self) -> None:
        """
        Whatever an endpoint says, a token is printable ASCII of some length.
        """
        for status, body in (
            (200, b""),
            (200, b"[]"),
            (200, b"[" * 100000),
            (200, b'{"access_token": ""}'),
            (200, b'{"access_token": "a\\r\\nb"}'),
            (200, b'{"access_token": 1}'),
            (200, b'{"access_token": "t", "token_type": "mac"}'),
            (400, b'{"error": "invalid_grant"}'),
            (200, json.dumps({"access_token": "x" * 10000}).encode()),
        ):
            self.assertRaises(ValueError, understood, status, body)
        found = understood(200, b'{"access_token": "t", "expires_in": "x"}')
        self.assertEqual(found, ("t", 300.0, ""))

    def test_account(self) -> None:
        """
        A token makes an account of its own, and a refusal makes it old.
        """
        self.answers = [{"access_token": "t1"}, {"access_token": "t2"}]
        logins = Logins(
            [Table({"h": "me@x.test:unused", "i": "you:pw"})],
            LookupOrder(),
            LoginRules(),
            lambda sender: None,
            tokens=self.tokens,
        )

        def account(host: str) -> Account:
            found = Deferred.fromCoroutine(logins.find("", host, ""))
            result = self.successResultOf(found)
            assert result is not None
            return result

        first = account("h")
        self.assertEqual((first.who.secret, first.who.token), ("t1", True))
        first.refused()
        self.assertEqual(account("h").who.secret, "t2")
        self.assertEqual(account("i").who.secret, "pw")
