"""
Tests of L{txmta.queue.postmaster} and L{txmta.queue.transcript}.
"""

from __future__ import annotations

from email import message_from_bytes

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.queue.doubles import HOST, World
from txmta.errors import StoreUnavailable
from txmta.events import Warn
from txmta.interfaces import IPostmaster
from txmta.model import Transcript
from txmta.queue.postmaster import MAX_PENDING, Postmaster
from txmta.queue.store.memory import MemoryIncoming
from txmta.queue.transcript import MAX_LINES


def transcript(role: str = "server", **fields: object) -> Transcript:
    values: dict[str, object] = {
        "peer": "c[192.0.2.1]",
        "classes": frozenset(("protocol",)),
        "lines": ((True, "220 mx ESMTP"), (False, "FOO"), (True, "500 5.5.2 what")),
        **fields,
    }
    return Transcript(role, **values)  # type: ignore[arg-type]


class PostmasterTests(SynchronousTestCase):
    def use(self, **settings: str) -> Postmaster:
        self.world = World(**settings)
        return Postmaster(self.world.parts)

    def test_interface(self) -> None:
        verifyObject(IPostmaster, self.use())

    def test_classes(self) -> None:
        """
        notify_classes says which trouble in sessions is told.
        """
        self.assertEqual(self.use().classes, {"resource", "software"})
        given = self.use(notify_classes="2bounce, delay, Protocol")
        self.assertEqual(given.classes, {"protocol"})
        self.assertEqual(self.use(notify_classes="").classes, frozenset())

    def test_server(self) -> None:
        """
        Postfix's mail about a session of the SMTP server.
        """
        self.use().transcript(transcript())
        (row,) = self.world.store.rows.values()
        self.assertEqual(row.envelope.sender, f"double-bounce@{HOST}")
        self.assertEqual(row.envelope.recipients[0].original, "postmaster")
        message = message_from_bytes(row.content)
        self.assertEqual(
            message["Subject"], "Postfix SMTP server: errors from c[192.0.2.1]"
        )
        self.assertEqual(message["To"], f"Postmaster <postmaster@{HOST}>")
        self.assertEqual(
            row.content.partition(b"\r\n\r\n")[2],
            b"Transcript of session follows.\r\n\r\n"
            b" Out: 220 mx ESMTP\r\n In:  FOO\r\n Out: 500 5.5.2 what\r\n\r\n\r\n"
            b"For other details, see the local mail logfile\r\n",
        )

    def test_client(self) -> None:
        """
        And of the client; who broke it off is said.
        """
        self.use().transcript(transcript("client", reason="timeout"))
        (row,) = self.world.store.rows.values()
        self.assertIn(b"Unexpected response from c[192.0.2.1].\r\n", row.content)
        self.assertIn(b"\r\nSession aborted, reason: timeout\r\n", row.content)

    def test_who(self) -> None:
        """
        Unknown users are bounce_notice_recipient's business.
        """
        postmaster = self.use(
            error_notice_recipient="errors@x", bounce_notice_recipient="bounces@x"
        )
        postmaster.transcript(transcript())
        postmaster.transcript(transcript(classes=frozenset(("bounce",))))
        to = [r.envelope.recipients[0].address for r in self.world.store.rows.values()]
        self.assertEqual(to, ["errors@x", "bounces@x"])

    def test_hostile(self) -> None:
        """
        What a client says adds no line, no header, and no end of mail.
        """
        lines = tuple((False, text) for text in ("a\r\n.\r\nb", "\0\udcff", "x" * 5000))
        self.use().transcript(transcript(lines=lines, peer="c\r\nX: y[192.0.2.1]"))
        (row,) = self.world.store.rows.values()
        self.assertNotIn(b"\r\n.\r\n", row.content)
        self.assertNotIn(b"\nX: y", row.content)
        row.content.decode()
        self.assertEqual(len(message_from_bytes(row.content).keys()), 10)

    def test_bound(self) -> None:
        """
        A long session is shown from both ends.
        """
        lines = tuple((False, str(n)) for n in range(MAX_LINES * 3))
        self.use().transcript(transcript(lines=lines))
        (row,) = self.world.store.rows.values()
        self.assertEqual(row.content.count(b" In:  "), MAX_LINES)
        self.assertIn(b"lines are left out", row.content)
        self.assertIn(b" In:  1199\r\n", row.content)

    def test_store_full(self) -> None:
        """
        What cannot be mailed is in the log.
        """
        postmaster = self.use()
        self.world.store.unavailable = StoreUnavailable("disk full", 452, "4.3.1")
        postmaster.transcript(transcript())
        (warning,) = self.world.sink.of(Warn)
        self.assertIn("errors from c[192.0.2.1]: disk full", warning.text)

    def test_flood(self) -> None:
        """
        Of many at once the rest is in the log only.
        """
        postmaster = self.use()
        waiting: list[Deferred[str]] = []

        def commit(_: object) -> Deferred[str]:
            waiting.append(Deferred())
            return waiting[-1]

        self.patch(MemoryIncoming, "commit", commit)
        for _ in range(MAX_PENDING + 3):
            postmaster.transcript(transcript())
        self.assertEqual(len(waiting), MAX_PENDING)
        self.assertEqual(len(self.world.sink.of(Warn)), 3)
        for each in waiting:
            each.callback("")
        postmaster.transcript(transcript())
        self.assertEqual(len(waiting), MAX_PENDING + 1)
