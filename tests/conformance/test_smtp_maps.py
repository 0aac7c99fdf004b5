"""
Postfix's own cases for generic tables: smtp_map11.

The data are not part of the project; see C{tests.support.cases}.
"""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from tests.delivery.doubles import Content
from tests.delivery.generic_doubles import GenericWorld
from tests.support import cases
from tests.table_contract import context
from txmta.address import quote, unquote
from txmta.maps.inline import InlineType


class MapTests(SynchronousTestCase):
    def mapped(self, form: str, address: str) -> str:
        """
        @return: in the same form.
        """
        if form == "tree":
            header = Content(f"To: {address}\r\n\r\n".encode())
            octets = self.successResultOf(self.world.content(header))
            return octets.decode().removeprefix("To: ").rstrip()
        internal = unquote(address) if form == "external" else address
        found = self.successResultOf(self.world.map(internal))
        return quote(found) if form == "external" else found

    def test_forms(self) -> None:
        """
        An address in a command, in a header, and in between.
        """
        folder = cases("postfix-tables") / "smtp"
        text = (folder / "smtp_map11.ref").read_text()
        table = re.search(r"^inline:(\{.*\})$", text, re.MULTILINE)
        assert table is not None
        name = table[1]
        opened = InlineType().open(name, context(f"inline:{name}"))
        self.world = GenericWorld([opened])
        expected = re.findall(r"^(external|tree|internal):(.*) -> (.*)$", text, re.M)
        self.assertGreater(len(expected), 20)
        for form, address, answer in expected:
            want = address if answer == "(no match)" else answer
            self.assertEqual(self.mapped(form, address), want, (form, address))
        self.assertEqual(self.world.warnings, [])
