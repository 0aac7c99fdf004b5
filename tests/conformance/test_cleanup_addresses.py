"""
Postfix's own cases for addresses in headers and results of tables: which parts of
a header are addresses, lists of results, masquerading.

The data are not part of the project; see C{tests.support.cases}.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from twisted.trial.unittest import SynchronousTestCase

from tests.cleanup.doubles import make_envelope
from tests.cleanup.mapping_doubles import MappingKitchen
from tests.support import cases
from txmta.address import quote, scan
from txmta.cleanup.map_results import addresses_of
from txmta.cleanup.questions import NotMapped
from txmta.header_addresses import find
from txmta.model import Envelope

#: Bits of C{errs}: the message is not accepted, and not refused for good.
TRY_AGAIN = "2"


class HeaderTests(SynchronousTestCase):
    def blocks(self, name: str) -> Iterator[tuple[str, list[list[str]]]]:
        """
        @return: a header, and the tokens of each address in it.
        """
        path = cases("postfix-address") / f"global/{name}.ref"
        for block in re.split(r"^>>>", path.read_text(), flags=re.MULTILINE)[1:]:
            text, _mark, rest = block.partition("<<<\n")
            tree = rest.partition("Parse tree:\n")[2].partition("\n\n")[0]
            addresses: list[list[str]] = []
            for line in tree.split("\n"):
                if line == " address":
                    addresses.append([])
                elif line.startswith("   "):
                    addresses[-1].append(line.strip())
            yield text, addresses

    def compare(self, name: str, limit: int) -> None:
        count = 0
        for text, expected in self.blocks(name):
            value = text.encode()
            got = [
                [self.token(each.kind, each.text) for each in scan(part.decode())]
                for spot in find(value, limit)
                if (part := value[spot.start : spot.end])
            ]
            self.assertEqual(got, expected, text)
            count += 1
        self.assertGreater(count, 0)

    def token(self, kind: str, text: str) -> str:
        """
        @return: as the parse tree has it.
        """
        if kind == "literal":
            return f'domain literal "{text[1:-1]}"'
        words = {"atom": "atom", "quoted": "quoted string"}
        return f'{words.get(kind, "OP")} "{text}"'

    def test_tok822_parse(self) -> None:
        self.compare("tok822_parse", 0)

    def test_tok822_limit(self) -> None:
        """
        Nothing is looked at after 20 tokens, and comments are tokens.
        """
        self.compare("tok822_limit", 20)


class ResultTests(SynchronousTestCase):
    def blocks(self) -> Iterator[tuple[str, str, str, list[str], list[str]]]:
        """
        @return: form of the input, and of the output, extension, lines of
            input, what comes out.
        """
        folder = cases("postfix-address") / "global"
        script = (folder / "mail_addr_crunch.in").read_text()
        answers = (folder / "mail_addr_crunch.ref").read_text()
        results = [
            re.findall(r"^\|(.*)\|$", part, re.MULTILINE)
            for part in re.split(r"^====.*\n", answers, flags=re.MULTILINE)[1:]
        ]
        questions = re.findall(r"<<'EOF'\n(.*?)^EOF$", script, re.MULTILINE | re.DOTALL)
        for question, expected in zip(questions, results, strict=True):
            given, wanted, extension, *lines = question.splitlines()
            yield given, wanted, extension, lines, expected

    def test_mail_addr_crunch(self) -> None:
        count = 0
        for given, wanted, extension, lines, expected in self.blocks():
            got: list[str] = []
            for line in lines:
                value = quote(line) if given == "internal" else line
                got += addresses_of(value, extension, lambda address: address)
            if wanted == "external":
                got = [quote(each) for each in got]
            self.assertEqual(got, expected, f"{given} {wanted} {extension} {lines}")
            count += len(got)
        self.assertGreater(count, 10)


class MasqueradeTests(SynchronousTestCase):
    def test_cleanup_masq(self) -> None:
        folder = cases("postfix-address") / "cleanup"
        questions = json.loads((folder / "cleanup_masq.args.json").read_text())
        answers = re.findall(
            r"result: *(.*)\nerrs: *(.*)", (folder / "cleanup_masq.ref").read_text()
        )
        self.assertGreater(len(questions), 5)
        for question, (result, errors) in zip(questions, answers, strict=True):
            kitchen = MappingKitchen(
                None,
                masquerade_domains=question["domains"],
                masquerade_exceptions=question["exceptions"],
            )
            mapper = kitchen.cleanup.mapper
            assert mapper is not None
            envelope = make_envelope(sender=question["address"])
            if errors == TRY_AGAIN:
                self.assertRaises(NotMapped, mapper.envelope, envelope)
                continue
            self.assertEqual(errors, "0")
            mapped = mapper.envelope(envelope)
            assert isinstance(mapped, Envelope)
            self.assertEqual(mapped.sender, result, question)
