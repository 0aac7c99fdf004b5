"""
Tests of what is shown of a message, and of its way through a socket.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from txmta.model import LOCAL_CLIENT, Envelope, QueuedMessage, QueueName, Recipient
from txmta.queue.listed import Listed, entries
from txmta.queue.listing import listed, printable, shown
from txmta.queue.public_wire import BadAnswer, decode, encode


def message(*addresses: str, reasons: dict[int, str] | None = None) -> QueuedMessage:
    recipients = tuple(Recipient(n, a, a) for n, a in enumerate(addresses))
    envelope = Envelope("4jYlK26ZshzJ9", 1234.9, "s@x.test", recipients, LOCAL_CLIENT)
    told = tuple((reasons or {}).items())
    return QueuedMessage(envelope, 400, QueueName.DEFERRED, reasons=told)


class ListedTests(SynchronousTestCase):
    def test_reasons(self) -> None:
        """
        Recipients with a reason come first, those with the same together; the
        status code in front of a reason is left out.
        """
        reasons = {1: "4.4.1 no way", 2: "4.2.0 full", 3: "4.4.1 no way"}
        entry = listed(message("a@x", "b@x", "c@x", "d@x", reasons=reasons))
        self.assertEqual(
            entry.recipients,
            [("b@x", "no way"), ("d@x", "no way"), ("c@x", "full"), ("a@x", "")],
        )
        self.assertEqual((entry.queue, entry.arrival), ("deferred", 1234))

    def test_addresses(self) -> None:
        """
        Addresses are quoted; the null sender has a name; nothing reaches a
        terminal that it would take for a command.
        """
        self.assertEqual(shown("a b@x.test"), '"a b"@x.test')
        self.assertEqual(shown(""), "MAILER-DAEMON")
        self.assertEqual(printable("a\x1b[2J\x9b\udcffü"), "a?[2J??ü")


class WireTests(SynchronousTestCase):
    def through(self, *those: Listed) -> list[Listed]:
        lines = [decode(encode(line)) for entry in those for line in entry.lines()]
        return list(entries(lines))

    def test_round_trip(self) -> None:
        one = listed(message("a@x", "b@x", reasons={0: "4.4.1 no way"}))
        self.assertEqual(self.through(one, one), [one, one])

    def test_many_recipients(self) -> None:
        """
        A long list of recipients is cut into lines.
        """
        many = [(f"{n}@x", "") for n in range(1201)]
        one = replace(listed(message("a@x")), recipients=many)
        self.assertEqual(len(list(one.lines())), 3)
        self.assertEqual(self.through(one), [one])

    def test_bad(self) -> None:
        """
        What is no message is refused.
        """
        good = next(iter(listed(message("a@x")).lines()))
        bads: Sequence[dict[str, Any]] = (
            {"t": "message"},
            {**good, "size": "many"},
            {**good, "recipients": [["a"]]},
            {**good, "recipients": 3},
            {"recipients": []},
        )
        for bad in bads:
            self.assertRaises(BadAnswer, list, entries([bad]))

    def test_not_json(self) -> None:
        for line in (b"", b"[]\n", b"{", b"\xff\n", b"[" * 100_000):
            self.assertRaises(BadAnswer, decode, line)
        self.assertEqual(json.loads(encode({"a": "\udcff"})), {"a": "\udcff"})
