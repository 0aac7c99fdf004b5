"""
Postfix's own cases for addresses: parsing, quoting, standard form.

The data are not part of the project; see C{tests.support.cases}.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from twisted.trial.unittest import SynchronousTestCase

from tests.support import cases
from txmta.address import join, quote, scan, unquote
from txmta.rewrite.standard import Form, rewrite

#: Cases where we differ, and why.
DIFFERENT = {
    # There is nothing to quote: what uses it writes "<>" for the null sender.
    "quote <>": "",
    # These ask in external form, where "@" is nothing at all. Our addresses
    # are in internal form, where it is an empty local part and domain.
    "local @": '""@',
    "remote @": '""@',
}

#: As in Postfix's rewrite_clnt test: what completes a domain without dot.
FORMS = {
    "local": Form("MYHOSTNAME", "MYDOMAIN"),
    "remote": Form("", "INVALID_DOMAIN"),
}


def external(address: str) -> str:
    return quote(address) or '""'


class RewriteTests(SynchronousTestCase):
    def test_rewrite_clnt(self) -> None:
        """
        Answers of trivial-rewrite to "rewrite" requests.
        """
        text = (cases("postfix-address") / "global/rewrite_clnt.ref").read_text()
        found = re.findall(
            r"rule +(\S+)\naddress +(.*)\nresult +(.*)", text, re.MULTILINE
        )
        self.assertGreater(len(found), 20)
        for rule, address, result in found:
            got = external(rewrite(unquote(address), FORMS[rule]))
            case = f"{rule} {address}"
            self.assertEqual(got, DIFFERENT.get(case, result), case)


class QuoteTests(SynchronousTestCase):
    def test_quote_822_local(self) -> None:
        """
        From internal to external form and back. The flags case is about a
        local part that stands alone.
        """
        folder = cases("postfix-address") / "global"
        commands = (folder / "quote_822_local.in").read_text().splitlines()
        results = (folder / "quote_822_local.ref").read_text().splitlines()
        self.assertGreater(len(commands), 5)
        for command, line in zip(commands, results, strict=True):
            verb, _space, argument = command.partition(" ")
            expected = line.rpartition(" '")[2].rstrip("'")
            if verb == "quote" and command in DIFFERENT:
                self.assertEqual(quote(""), DIFFERENT[command])
            elif verb == "quote":
                self.assertEqual(quote(argument), expected, command)
            elif verb == "unquote":
                self.assertEqual(unquote(argument), expected, command)
            else:
                self.assertEqual(verb, "quote_with_flags", command)


class ScanTests(SynchronousTestCase):
    def blocks(self) -> Iterator[tuple[str, str, str, str]]:
        path = cases("postfix-address") / "global/tok822_parse.ref"
        for block in re.split(r"^>>>", path.read_text(), flags=re.MULTILINE)[1:]:
            text, _mark, rest = block.partition("<<<\n")
            tree = rest.partition("Parse tree:\n")[2].partition("\n\n")[0]
            internal = rest.partition("Internalized:\n")[2].partition("\n")[0]
            form = rest.partition("no newlines inserted:\n")[2].partition("\n")[0]
            yield text, tree, internal, form

    def test_tok822_parse(self) -> None:
        """
        Inputs that are one address and nothing else: internal and external
        form. (Lists of addresses are cleanup's, which edits them in place.)
        """
        count = 0
        for text, tree, internal, form in self.blocks():
            top = [line for line in tree.split("\n") if line[:2] != "  "]
            if top != [" address"]:
                continue
            count += 1
            self.assertEqual(join(scan(text)), internal, text)
            self.assertEqual(quote(internal), form, text)
        self.assertGreater(count, 5)
