"""
flufl.bounce, which Mailman reads bounces with, understands all of ours but
those about SMTPUTF8 mail: it does not know RFC 6533, whose types Postfix and we
use there.
"""

from __future__ import annotations

from email import message_from_bytes
from typing import Any

from flufl.bounce import all_failures, scan_message
from twisted.trial.unittest import SynchronousTestCase

from tests.queue.doubles import HOST, World, busy, no_user, refused, sent
from tests.queue.test_notifier import to
from txmta.model import Action, Notify, Outcome, Recipient
from txmta.queue.store.memory import Row

ANY = int(Notify.SUCCESS | Notify.FAILURE | Notify.DELAY)


def unknown(recipient: Recipient) -> Outcome:
    reason = f'unknown user: "{recipient.address.partition("@")[0]}"'
    return Outcome(recipient.n, Action.FAILED, "5.1.1", reason, "local")


def verbose(recipient: Recipient) -> Outcome:
    words = "no " * 500
    return Outcome(
        recipient.n, Action.FAILED, "5.0.0", words, diagnostic=f"smtp; {words}"
    )


class ReaderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.use()

    def use(self, **settings: str) -> None:
        self.world = World(**settings)
        self.world.start()
        for domain in ("example.com", HOST):
            self.world.resolver.routes[domain] = "local"

    def read(self, row: Row) -> tuple[set[bytes], set[bytes]]:
        """
        @return: addresses that failed for the time being, and for good.
        """
        message = message_from_bytes(row.content)
        temporary, permanent = all_failures(message)
        self.assertEqual(set(scan_message(message)), set(permanent))
        return set(temporary), set(permanent)

    def test_failures(self) -> None:
        """
        Whatever failed, in whatever message: who it was.
        """
        kinds: tuple[dict[str, Any], ...] = (
            {},
            {"ret": "HDRS"},
            {"body": "7BIT"},
            {"envid": "x"},
        )
        for answer in (no_user, unknown, verbose):
            for fields in kinds:
                self.use()
                self.world.agent.answer = answer
                self.world.put(
                    recipients=[to("a@one", 0), to("b@one", ANY, 1)], **fields
                )
                (row,) = self.world.store.rows.values()
                self.assertEqual(self.read(row), (set(), {b"a@one", b"b@one"}))

    def test_expired(self) -> None:
        """
        Mail that was given up has failed.
        """
        for answer in (busy, refused):
            self.use(maximal_queue_lifetime="0")
            self.world.agent.answer = answer
            self.world.put("a@one")
            (row,) = self.world.store.rows.values()
            self.assertEqual(self.read(row), (set(), {b"a@one"}))

    def test_delay(self) -> None:
        """
        Mail that is late has not.
        """
        self.use(delay_warning_time="1h")
        self.world.agent.answer = busy
        queue_id = self.world.put("a@one")
        self.world.run(7200, 60)
        (row,) = self.world.others(queue_id)
        self.assertEqual(self.read(row), ({b"a@one"}, set()))

    def test_success(self) -> None:
        """
        Nor has mail that has arrived.
        """
        self.world.agent.answer = sent
        self.world.put(recipients=[to("a@one", ANY)])
        (row,) = self.world.store.rows.values()
        self.assertEqual(self.read(row), (set(), set()))

    def test_postmaster(self) -> None:
        """
        The postmaster's copies read the same.
        """
        self.use(notify_classes="bounce, 2bounce")
        for sender in ("", "sender@example.com"):
            self.world.agent.answer = no_user
            self.world.put("a@one", sender=sender)
        rows = list(self.world.store.rows.values())
        self.assertEqual(len(rows), 3)
        for row in rows:
            self.assertEqual(self.read(row), (set(), {b"a@one"}))
