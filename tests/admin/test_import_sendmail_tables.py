"""
Tests of the import of Sendmail's mailertable, virtusertable and their kin.
"""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from tests.admin.test_import_sendmail import entries, imported, lost
from txmta.admin.import_sendmail_plan import Result, hops


def mapped(rules: str, address: str) -> str:
    """
    @return: what a regexp table of these rules says.
    """
    skip = False
    for line in rules.splitlines():
        if line.startswith("if !/"):
            skip = re.search(line[5:-1], address) is not None
        elif line == "endif":
            skip = False
        elif line.startswith("/") and not skip:
            pattern, _, value = line[1:].rpartition("/ ")
            if match := re.search(pattern, address):
                for number, said in enumerate(match.groups(), 1):
                    value = value.replace(f"${{{number}}}", said or "")
                return value
    return ""


class MailertableTests(SynchronousTestCase):
    def test_values(self) -> None:
        for value, target in (
            ("smtp:[10.0.0.5]", "smtp:[10.0.0.5]"),
            ("esmtp:gw.example", "smtp:gw.example"),
            ("relay:[hub.example]", "relay:[hub.example]"),
            ("smtp:[a.example]:[b.example]", "smtp:[a.example], [b.example]"),
            ("smtp:a.example:b.example", "smtp:a.example, b.example"),
            ("smtp:[2001:db8::1]", "smtp:[2001:db8::1]"),
            ("error:nohost No such host", "error:5.1.2 No such host"),
            ("error:5.7.0:550 Do not", "error:5.7.0 Do not"),
            ("discard:", "discard:"),
        ):
            _, texts = imported({"mailertable": f"a.example\t{value}\n"})
            self.assertEqual(entries(texts["transport"]), [f"a.example {target}"])

    def test_lost(self) -> None:
        for value in ("uucp:x", "procmail:/etc/x", "smtp:%1.x", "smtp:", "nothing"):
            lines, texts = imported({"mailertable": f"a.example\t{value}\n"})
            self.assertEqual(len(lost(lines)), 1, value)
            self.assertNotIn("transport", texts)

    def test_part(self) -> None:
        """
        %1 is what is before .domain: a table of patterns, which leaves out what
        has an entry of its own, and names of this machine.
        """
        mc = "define(`confDOMAIN_NAME', `mail.a.test')\n"
        table = ".a.test\tsmtp:[%1.in.test]\nb.a.test\tsmtp:x\n.c.a.test\tsmtp:y\n"
        lines, texts = imported({"sendmail.mc": mc, "mailertable": table})
        self.assertEqual(lost(lines), {})
        rules = texts["transport_regexp"]
        for domain, value in (
            ("u.a.test", "smtp:[u.in.test]"),
            ("v.u.a.test", "smtp:[v.u.in.test]"),
            ("a.test", ""),
            ("b.a.test", ""),
            ("d.c.a.test", ""),
            ("mail.a.test", ""),
            ("localhost.a.test", ""),
            ("uXa.test", ""),
        ):
            self.assertEqual(mapped(rules, f"joe@{domain}"), value, domain)
        self.assertIn("regexp:$config_directory/transport_regexp", texts["main.cf"])
        lines, texts = imported({"mailertable": table})
        self.assertEqual(list(lost(lines)), [".a.test smtp:[%1.in.test]"])

    def test_default(self) -> None:
        """
        "." is what has no other entry: not *, which local domains match, too.
        """
        _, texts = imported({"mailertable": ".\tsmtp:[hub.example]\n"})
        self.assertIn("relayhost = [hub.example]", texts["main.cf"])
        self.assertNotIn("transport", texts)
        _, texts = imported({"mailertable": ".\tdiscard:\n"})
        self.assertIn("default_transport = discard:", texts["main.cf"])
        self.assertIn("relay_transport = $default_transport", texts["main.cf"])

    def test_local_names(self) -> None:
        """
        Sendmail does not ask for its own names; .domain must not catch them.
        """
        lines, texts = imported(
            {
                "local-host-names": "mail.in.example\nown.example\nx.a.in.example\n",
                "mailertable": "own.example\tsmtp:[x]\n.in.example\tsmtp:[hub]\n",
            }
        )
        self.assertEqual(
            entries(texts["transport"]),
            [".in.example smtp:[hub]", "mail.in.example :", "x.a.in.example :"],
        )
        self.assertEqual(list(lost(lines)), ["own.example smtp:[x]"])
        self.assertIn("inline:{$myhostname=:", texts["main.cf"])

    def test_local_mailer(self) -> None:
        """
        A local user for a whole domain is an alias; only a domain that is
        relayed to is accepted from everybody.
        """
        _, texts = imported(
            {
                "relay-domains": "a.example\n",
                "mailertable": "a.example\tlocal:joe\nb.example\tlocal:ann\n",
            }
        )
        self.assertEqual(
            entries(texts["virtual"]), ["@a.example joe", "@b.example ann"]
        )
        self.assertIn("virtual_alias_domains = a.example\n", texts["main.cf"])
        self.assertNotIn("relay_domains", texts["main.cf"])

    def test_hops(self) -> None:
        self.assertEqual(hops("[a]:25"), "")
        self.assertEqual(hops("a b"), "")
        self.assertEqual(hops("a, b"), "")
        self.assertEqual(hops("[a"), "")
        self.assertEqual(hops(""), "")


class VirtusertableTests(SynchronousTestCase):
    def test_plain(self) -> None:
        _, texts = imported(
            {
                "local-host-names": "a.example\n",
                "virtuser-domains": "v.example\n",
                "virtusertable": "Info@a.example\tjoe\n@v.example\tann@x.example\n",
            }
        )
        self.assertEqual(
            entries(texts["virtual"]),
            ["info@a.example joe", "@v.example ann@x.example"],
        )
        self.assertIn("virtual_alias_domains = v.example\n", texts["main.cf"])

    def test_patterns(self) -> None:
        """
        %1 is the user, %2 the detail, %3 +detail; what is more special is
        asked before; whoever has an entry of his own is left to that.
        """
        _, texts = imported(
            {
                "local-host-names": "a.example\n",
                "virtusertable": "@a.example\t%1%3@x.example\n"
                "+*@a.example\tany-%2@x.example\n"
                "old+*@a.example\tnew+%2@x.example\n"
                "old++@a.example\tnewer%3@x.example\n"
                "sales@a.example\tsales-team\n",
            }
        )
        rules = texts["virtual_regexp"]
        for address, value in (
            ("joe@a.example", "joe@x.example"),
            ("joe+tag@a.example", "any-tag@x.example"),
            ("old+tag@a.example", "newer+tag@x.example"),
            ("old+@a.example", "new+@x.example"),
            ("old@a.example", "old@x.example"),
            ("sales@a.example", ""),
            ("sales+tag@a.example", ""),
            ("joe@b.a.example", ""),
            ("joe@aXexample", ""),
        ):
            self.assertEqual(mapped(rules, address), value, address)
        self.assertEqual(entries(texts["virtual"]), ["sales@a.example sales-team"])

    def test_errors(self) -> None:
        """
        error: is a refusal at RCPT; whoever has another entry is excepted from
        that of the whole domain.
        """
        lines, texts = imported(
            {
                "local-host-names": "a.example\n",
                "virtusertable": "x@a.example\terror:nouser 550 No such user\n"
                "@a.example\terror:5.7.0:550 Closed\njoe@a.example\tjoe\n",
            }
        )
        self.assertEqual(
            entries(texts["recipient_access"]),
            [
                "x@a.example 550 5.1.1 No such user",
                "a.example 550 5.7.0 Closed",
                "joe@a.example DUNNO",
            ],
        )
        self.assertEqual(lost(lines), {})

    def test_lost(self) -> None:
        lines, texts = imported(
            {
                "virtusertable": "a@b.example\tx, y\nbare\tx\na@b\\c\tx\n"
                "c@b.example\t%9\nd@b.example\t\\x\ne@b.example\tx\ne@b.example\ty\n"
            }
        )
        self.assertEqual(len(lost(lines)), 6)
        self.assertEqual(entries(texts["virtual"]), ["e@b.example x"])

    def test_unknown_domain(self) -> None:
        """
        It is said where Sendmail might not have looked.
        """
        lines, _ = imported({"virtusertable": "a@b.example\tx\n"})
        self.assertEqual(lines[0].result, Result.CHANGED)
        self.assertIn("b.example", lines[0].note)


class RewritingTests(SynchronousTestCase):
    def test_genericstable(self) -> None:
        """
        A bare user is also that of each domain in generics-domains.
        """
        _, texts = imported(
            {
                "generics-domains": "g.example\n",
                "genericstable": "joe\tJoe@x.example\nann@g.example\tAnn@x.example\n",
            }
        )
        self.assertEqual(
            entries(texts["sender_canonical"]),
            [
                "joe Joe@x.example",
                "joe@g.example Joe@x.example",
                "ann@g.example Ann@x.example",
            ],
        )
        self.assertIn("sender_canonical_classes = header_sender\n", texts["main.cf"])

    def test_domaintable(self) -> None:
        lines, texts = imported(
            {
                "local-host-names": "new.example\n",
                "domaintable": "old.example\tnew.example\nfar.example\tout.example\n"
                "bad\tno domain\n",
            }
        )
        self.assertEqual(
            entries(texts["canonical"]),
            ["@old.example @new.example", "@far.example @out.example"],
        )
        self.assertIn("virtual_alias_domains = old.example\n", texts["main.cf"])
        self.assertEqual(len(lost(lines)), 1)
