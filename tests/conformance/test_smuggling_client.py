"""
Known end-of-data sequences, on their way out: whatever is in the queue, no
receiver finds two messages in what we send.

Cases: C{smuggling-starttls}, of smtpsmug, SMTP-Smuggling-Tools and mox.
"""

from __future__ import annotations

import json
import re
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.delivery.doubles import Content
from tests.delivery.smtp.doubles import Network, server
from tests.support import cases
from txmta.model import Action
from txmta.smtp.stuffing import Stuffer

#: What comes after the sequence if it is taken for an end.
SECOND = b"MAIL FROM:<evil@example.net>\r\nRCPT TO:<x@example.com>\r\nDATA\r\n"

#: Line ends as lenient receivers take them.
_LINE_ENDS = {
    "RFC 5321": rb"\r\n",
    "LF too": rb"\r?\n",
    "CR too": rb"\r\n|\r|\n",
    "CR CR LF too": rb"\r*\n",
}


class SmugglingTests(SynchronousTestCase):
    """
    The client's direction.
    """

    def setUp(self) -> None:
        path = cases("smuggling-starttls") / "eod-sequences.json"
        self.cases: dict[str, Any] = json.loads(path.read_text("utf-8"))

    def sequences(self) -> list[bytes]:
        found = [
            text
            for name, text in self.cases["hannob_smtpsmug_bad_endings"].items()
            if name != "pipelining"
        ]
        found += self.cases["thelogin_inbound_eod"]
        found += self.cases["thelogin_outbound_eod"]
        found += self.cases["mox_server_smuggle"]
        found += self.cases["mox_data_writer_must_refuse"]
        return [text.encode("latin-1") for text in found]

    def check(self, wire: bytes, sequence: bytes) -> None:
        for name, line_end in _LINE_ENDS.items():
            for drop_nul in (False, True):
                seen = wire.replace(b"\0", b"") if drop_nul else wire
                lines = re.split(line_end, seen)
                dots = [n for n, line in enumerate(lines) if line == b"."]
                self.assertEqual(
                    dots, [len(lines) - 2], f"{sequence!r} {name} {drop_nul}"
                )

    def test_every_cut(self) -> None:
        """
        Each sequence between two transactions, cut into blocks at every two
        positions.
        """
        for sequence in self.sequences():
            content = b"Subject: x\r\n\r\nbody" + sequence + SECOND
            start = content.index(b"body")
            stop = start + 4 + len(sequence) + 1
            for one in range(start, stop):
                for two in range(one, stop):
                    stuffer = Stuffer(998)
                    blocks = content[:one], content[one:two], content[two:]
                    wire = b"".join(map(stuffer.feed, blocks)) + stuffer.finish()
                    self.check(wire, sequence)

    def test_agent(self) -> None:
        """
        The same through the whole agent, small and large: one message is
        sent, and nothing that looks like a command follows it.
        """
        for sequence in self.sequences():
            for filler in (b"", b"z" * 76 + b"\r\n" + (b"y" * 76 + b"\r\n") * 1000):
                network = Network()
                network.names.host("one.test", "192.0.2.1")
                network.servers["192.0.2.1"] = server()
                content = Content(b"Subject: x\r\n\r\n" + filler + sequence + SECOND)
                self.successResultOf(network.deliver("[one.test]", content=content))
                (outcome,) = network.outcomes
                self.assertIs(outcome.action, Action.RELAYED)
                self.check(b"".join(network.content), sequence)
                commands = [line[:4] for line in network.lines["192.0.2.1"]]
                self.assertEqual(commands, ["EHLO", "MAIL", "RCPT", "DATA", "."])

    def test_block_edge(self) -> None:
        """
        Each sequence across the edge of the blocks in which large content is
        read.
        """
        for sequence in self.sequences():
            for shift in range(len(sequence) + 1):
                network = Network()
                network.names.host("one.test", "192.0.2.1")
                network.servers["192.0.2.1"] = server()
                line = b"w" * 62 + b"\r\n"
                filler = line * 1023 + b"w" * (64 - shift)
                self.assertEqual(len(filler), 65536 - shift)
                content = Content(filler + sequence + SECOND)
                self.successResultOf(network.deliver("[one.test]", content=content))
                self.check(b"".join(network.content), sequence)

    def test_known_good(self) -> None:
        """
        What a correct reader makes of stuffed content is the content: the
        well-formed cases of mox, in reverse.
        """
        checked = 0
        for case in self.cases["mox_data_reader"]:
            body = case["want_body"].encode("latin-1")
            if case["want_error"] != "nil" or re.search(rb"\r(?!\n)|(?<!\r)\n", body):
                continue
            stuffer = Stuffer(998)
            wire = stuffer.feed(body) + stuffer.finish()
            lines = wire.split(b"\r\n")[:-2]
            read = [line[line[:1] == b"." :] + b"\r\n" for line in lines]
            self.assertEqual(b"".join(read), body)
            checked += 1
        self.assertGreater(checked, 2)
