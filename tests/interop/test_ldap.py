"""
C{ldap:} tables, with a real OpenLDAP; asked by us and by Postfix's
C{postmap -q}.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.interop.database_oracle import DatabaseOracle
from tests.interop.openldap import BASE, PASSWORD, READER, OpenLdap, missing
from tests.interop.tools import free_port
from tests.support import SLICE, asked
from tests.table_contract import TableContract, context
from txmta.errors import ConfigError, TableUnavailable
from txmta.interfaces import ITable
from txmta.maps import ldap
from txmta.maps.ldap import LdapType

#: Tables; each is asked for all keys.
ROUNDS = 45 if SLICE else 200

_THING = ["inetOrgPerson", "mailThing"]


def entry(name: str, **attributes: list[str]) -> dict[str, list[str]]:
    return {"objectClass": _THING, "cn": [name], "sn": ["x"], **attributes}


def quoted(name: str) -> str:
    return "".join(f"\\{ord(c):02x}" if c in ',+"\\<>;=# ' else c for c in name)


def thing(name: str, **attributes: list[str]) -> dict[str, dict[str, list[str]]]:
    return {f"cn={quoted(name)}": entry(name, **attributes)}


def referral(name: str, url: str) -> dict[str, list[str]]:
    return {
        "objectClass": ["referral", "extensibleObject"],
        "ou": [name],
        "ref": [url],
    }


ENTRIES = {
    **thing("key", mailacceptinggeneralid=["key"], maildrop=["value"]),
    **thing("two", mailacceptinggeneralid=["two"], maildrop=["a", "b"]),
    **thing("u", mailacceptinggeneralid=["u@d.com"], mail=["mbox@d.com"]),
    **thing("\u00fc", mailacceptinggeneralid=["\u00e9"], maildrop=["\u00fc"]),
    **thing(
        "evil,dc=x", mailacceptinggeneralid=["*)(cn=\\", "x*"], maildrop=["got it"]
    ),
    **thing(
        "team",
        mailacceptinggeneralid=["team"],
        mail=["team@d.com"],
        maildrop=["outside"],
        member=[f"cn=u,{BASE}", f"cn=key,{BASE}", f"cn=nobody,{BASE}"],
    ),
    **thing(
        "url",
        mailacceptinggeneralid=["url"],
        memberurl=[f"ldap:///{BASE}?maildrop?sub?(cn=t*)", f"ldap:///cn=u,{BASE}?cn"],
    ),
    **thing(
        "loop", mailacceptinggeneralid=["loop"], member=[f"cn=loop,{BASE}"], mail=["l"]
    ),
    **thing(
        "deleg",
        mailacceptinggeneralid=["deleg"],
        delegate=["there"],
        mail=["not"],
        member=[f"cn=u,{BASE}"],
    ),
}

GROUPS = (
    "special_result_attribute = member, memberurl\nleaf_result_attribute = mail\n"
    "terminal_result_attribute = delegate\n"
)


class LdapCase(SynchronousTestCase):
    if missing():
        skip = missing()

    def setUp(self) -> None:
        self.server = OpenLdap(self)
        self.server.fill(ENTRIES)
        self.server.begin()

    def open(self, text: str = "", host: str = "", base: str = BASE) -> ITable:
        cf = Path(self.mktemp()).absolute()
        host = host or self.server.url
        cf.write_text(f"server_host = {host}\nsearch_base = {base}\n{text}\n")
        return LdapType().open(str(cf), context(f"ldap:{cf}"))


class ContractTests(TableContract, LdapCase):
    def make_table(self) -> ITable:
        return self.open()

    def make_type(self) -> LdapType:
        return LdapType()


class LdapTests(LdapCase):
    def test_values(self) -> None:
        """
        Values, by default and by all that can be said of them.
        """
        table = self.open()
        self.assertEqual(table.lookup("KEY"), "value")
        self.assertEqual(table.lookup("two"), "a,b")
        self.assertEqual(table.lookup("\u00c9"), "\u00fc")
        self.assertEqual(table.lookup("*)(cn=\\"), "got it")
        for key in ("other", "*", "x*y", "k*", "u@d.com", "a\0b", "\udcff", ")(cn=*"):
            self.assertIsNone(table.lookup(key), key)
        mail = "result_attribute = mail\n"
        for text, key, wanted in (
            (mail, "u@d.com", "mbox@d.com"),
            (f"{mail}result_format = smtp:[%d]", "u@d.com", "smtp:[d.com]"),
            (f"{mail}result_filter = <%u>", "u@d.com", "<mbox>"),
            (f"{mail}domain = d.com", "u@d.com", "mbox@d.com"),
            ("domain = d.com", "key", None),
            (f"{mail}query_filter = (&(cn=%u)(mail=*%d))", "u@d.com", "mbox@d.com"),
            ("scope = one", "key", "value"),
            ("scope = base", "key", None),
            ("bind = no", "key", "value"),
            (f"bind_dn = {READER}\nbind_pw = {PASSWORD}", "key", "value"),
            ("bind = no\nchase_referrals = yes\ndereference = 3", "key", "value"),
        ):
            self.assertEqual(self.open(text).lookup(key), wanted, text)

    def test_base(self) -> None:
        """
        A key in the base is quoted, and one that makes no base is not found;
        another base that is not there is a fault.
        """
        text = "scope = base\nquery_filter = objectClass=*"
        table = self.open(text, base=f"cn=%s,{BASE}")
        self.assertEqual(table.lookup("key"), "value")
        self.assertEqual(table.lookup("evil,dc=x"), "got it")
        for key in ("other", "x,cn=key", 'a"b', "#x", " ", "\\", "key+sn=x"):
            self.assertIsNone(table.lookup(key), key)
        static = self.open(base=f"cn=nobody,{BASE}")
        self.assertRaises(TableUnavailable, static.lookup, "key")

    def test_groups(self) -> None:
        """
        Names and URLs in an entry are followed; who is not there is left out;
        leaves count only where nothing is followed, and what is terminal ends
        it.
        """
        table = self.open(GROUPS)
        self.assertEqual(table.lookup("team"), "outside,mbox@d.com,value")
        self.assertEqual(table.lookup("u@d.com"), "mbox@d.com")
        self.assertEqual(table.lookup("url"), "a,b,outside")
        self.assertEqual(table.lookup("deleg"), "there")
        none = self.open(f"{GROUPS}result_attribute =\n")
        self.assertEqual(none.lookup("team"), "mbox@d.com")
        for text, key in (
            ("", "loop"),
            ("recursion_limit = 1", "team"),
            ("expansion_limit = 2", "team"),
        ):
            limited = self.open(f"{GROUPS}{text}")
            self.assertRaises(TableUnavailable, limited.lookup, key)

    def test_trouble(self) -> None:
        """
        What cannot be said, and a server that is gone, and back.
        """
        table = self.open()
        self.assertEqual(table.lookup("key"), "value")
        for text, key in (
            ("size_limit = 1\nquery_filter = (cn=*)", "x"),
            (f"bind_dn = {READER}\nbind_pw = wrong", "key"),
            ("start_tls = yes", "key"),
        ):
            self.assertRaises(TableUnavailable, self.open(text).lookup, key)
        second = self.open(host=f"ldapi://%2Fnowhere {self.server.url}")
        self.assertEqual(second.lookup("key"), "value")
        self.patch(ldap, "MAX_VALUES", 2)
        all_of_them = self.open("query_filter = (cn=*)")
        self.assertRaises(TableUnavailable, all_of_them.lookup, "x")
        self.assertEqual(table.lookup("key"), "value")
        self.server.stop()
        self.assertRaises(TableUnavailable, table.lookup, "key")
        self.server.begin()
        self.assertEqual(table.lookup("key"), "value")

    def test_wrong(self) -> None:
        """
        Wrong settings are told at once, by name.
        """
        error = self.assertRaises(
            ConfigError,
            self.open,
            "query_filter = (mail=%s\nscope = all\nbind = sasl\nversion = 4\n"
            "result_format = %q\ndereference = 4\nrecursion_limit = 0\ntimeout = x\n"
            "size_limit = x\nstart_tls = maybe\ntls_ca_cert_file = /nowhere\n",
            "http://x",
        )
        found = "; ".join(error.problems)
        for name in (
            *("query_filter", "scope", "bind", "version", "result_format"),
            *("dereference", "recursion_limit", "timeout", "size_limit", "start_tls"),
            "server_host",
        ):
            self.assertIn(f" {name}: ", found)


class BadServerTests(SynchronousTestCase):
    if missing():
        skip = missing()

    def lookup(self, data: bytes) -> str:
        """
        @param data: is said again and again.
        @return: why nobody can say.
        """
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)

        def serve() -> None:
            while True:
                try:
                    connection, _address = listening.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):
                    while data:
                        connection.sendall(data)

        threading.Thread(target=serve, daemon=True).start()
        cf = Path(self.mktemp()).absolute()
        port = listening.getsockname()[1]
        cf.write_text(
            f"server_host = 127.0.0.1:{port}\nsearch_base = dc=x\nbind = no\n"
        )
        table = LdapType().open(str(cf), context("ldap:bad"))
        error = self.assertRaises(TableUnavailable, table.lookup, "key")
        listening.shutdown(socket.SHUT_RDWR)
        return str(error.reason)

    def test_bad(self) -> None:
        """
        What is no LDAP, what does not end, and nothing at all.
        """
        self.patch(ldap, "MAX_OCTETS", 1_000_000)
        self.lookup(b"hello\r\n" * 100)
        self.lookup(b"")
        endless = self.lookup(b"\x30\x84\x7f\xff\xff\xff" + b"x" * 60_000)
        self.assertIn("more than 1000000 octets", endless)


class ReferralTests(LdapCase):
    def setUp(self) -> None:
        there, back = free_port(), free_port()
        # Whom nobody may tell a password.
        other = OpenLdap(
            self, "disallow bind_simple", urls=(f"ldap://127.0.0.1:{there}/",)
        )
        other.fill(
            {
                **thing("only", maildrop=["there"]),
                "ou=back": referral("back", f"ldap://127.0.0.1:{back}/ou=loop,{BASE}"),
            }
        )
        other.begin()
        self.server = OpenLdap(self, urls=(f"ldap://127.0.0.1:{back}/",))
        self.server.fill(
            {
                **thing("key", maildrop=["value"]),
                "ou=away": referral("away", f"ldap://127.0.0.1:{there}/cn=only,{BASE}"),
                "ou=loop": referral("loop", f"ldap://127.0.0.1:{there}/ou=back,{BASE}"),
                "ou=dead": referral("dead", "ldap://127.0.0.1:1/dc=x"),
            }
        )
        self.server.begin()

    def test_followed(self) -> None:
        """
        If that is wanted, others are asked, in place of an answer and besides;
        they are not told our password. A circle, and one that is not there,
        are "cannot say".
        """
        login = f"query_filter = cn=%s\nbind_dn = {READER}\nbind_pw = {PASSWORD}\n"
        follow = f"{login}chase_referrals = yes\n"
        away = self.open(follow, base=f"ou=away,{BASE}")
        self.assertEqual(away.lookup("only"), "there")
        not_followed = self.open(login, base=f"ou=away,{BASE}")
        self.assertRaises(TableUnavailable, not_followed.lookup, "only")
        besides = self.open(login)
        self.assertEqual(besides.lookup("key"), "value")
        self.assertIsNone(besides.lookup("only"))
        for base, why in (
            (f"ou=loop,{BASE}", "referrals"),
            (f"ou=dead,{BASE}", "127.0.0.1:1"),
            (BASE, "referral"),
        ):
            table = self.open(follow, base=base)
            error = self.assertRaises(TableUnavailable, table.lookup, "only")
            self.assertIn(why, error.reason)


class OracleTests(DatabaseOracle):
    if missing():
        skip = missing()

    prefix = "ldap"

    def setUp(self) -> None:
        super().setUp()
        self.server = OpenLdap(self)
        entries = dict(ENTRIES)
        groups = [f"cn={name},{BASE}" for name in ("team", "url", "two", "nobody")]
        for n, (key, value) in enumerate(self.rows()):
            attributes = {
                "mailacceptinggeneralid": [key],
                self.random.choice(("maildrop", "mail")): [str(value)],
            }
            if str(value).isascii() is False:
                attributes.pop("mail", None)
            if self.random.random() < 0.2:
                attributes["member"] = [self.random.choice(groups)]
            entries |= thing(f"n{n}", **attributes)
            if self.random.random() < 0.3:
                entries |= thing(key, **{**attributes, "maildrop": [str(value)]})
        self.server.fill(entries)
        self.server.begin()

    def text(self) -> str:
        choice = self.random.choice
        base, scope, query = choice(
            (
                (BASE, "sub", "mailacceptinggeneralid=%s"),
                (BASE, "one", "(&(objectClass=mailThing)(mailacceptinggeneralid=%s))"),
                (BASE, "sub", "(|(mail=%s)(maildrop=%u))"),
                (BASE, "sub", "(maildrop=*%d)"),
                (BASE, "sub", "(&(maildrop=%U)(!(mail=%D)))"),
                (BASE, "sub", "(maildrop=%3%%%1)"),
                (f"cn=%s,{BASE}", "base", "objectClass=*"),
                (f"cn=%u,{BASE}", "sub", "(objectClass=mailThing)"),
            )
        )
        lines = [
            f"server_host = {self.server.url}",
            f"search_base = {base}\nscope = {scope}\nquery_filter = {query}",
            *(self.settings()),
        ]
        if self.random.random() < 0.4:
            lines.append(f"result_attribute = {choice(('mail', 'mail, maildrop'))}")
        if self.random.random() < 0.3:
            lines.append("special_result_attribute = member, memberurl")
            # Postfix takes it for the next entries too that one is no leaf.
            if scope == "base":
                lines.append("leaf_result_attribute = mail")
        return "\n".join(lines) + "\n"

    def test_same_answers(self) -> None:
        """
        Both give the same answers to the same keys.
        """
        questions = self.compare(LdapType(), ROUNDS, self.text)
        asked(questions)
        self.assertGreater(questions, 5000)
