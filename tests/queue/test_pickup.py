"""
L{txmta.queue.pickup}: from a file to the queue, and nothing in between.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.cleanup.doubles import Incoming
from tests.queue.pickup_doubles import Desk
from tests.queue.test_maildrop import FIELDS, file
from txmta.errors import StoreUnavailable, TableUnavailable
from txmta.model import Reply, Trace
from txmta.queue import handed_in, pickup
from txmta.queue.pickup import AT_ONCE, RETRY


class Case(SynchronousTestCase):
    def desk(self, may_submit: pickup.MaySubmit | None = None, **more: str) -> Desk:
        desk = Desk(Path(tempfile.mkdtemp(prefix="tx")), may_submit, **more)
        self.addCleanup(desk.close)
        return desk

    def put(self, desk: Desk, octets: bytes | None = None, name: str = "x") -> Path:
        path = desk.maildrop / name
        path.write_bytes(file() if octets is None else octets)
        path.chmod(0o740)
        desk.wall = path.stat().st_ctime + 5
        return path

    def only(self, desk: Desk) -> Incoming:
        self.assertEqual(len(desk.store.messages), 1)
        return desk.store.messages[0]


class TakeTests(Case):
    def test_taken(self) -> None:
        """
        Envelope and trace header say what is known, and nothing that the file
        could make up.
        """
        desk = self.desk()
        path = self.put(desk)
        arrival = path.stat().st_ctime
        message = desk.taken()
        assert message is not None
        envelope = message.envelope
        self.assertEqual(envelope.sender, "alice@mx.here.test")
        self.assertEqual(
            [(r.n, r.address, r.original, r.notify) for r in envelope.recipients],
            [
                (0, "bob@example.com", "bob@example.com", 6),
                (1, "carol@mx.here.test", "carol", 6),
            ],
        )
        self.assertEqual(envelope.arrival, arrival)
        self.assertEqual((envelope.protocol, envelope.helo), ("", ""))
        self.assertTrue(envelope.local_origin)
        user = f"(Postfix, from userid {os.geteuid()})\r\n\tid 4ID1; ".encode()
        self.assertIn(b"Received: by mx.here.test " + user, message.content)
        self.assertIn(b'\r\nFrom: "Alice L." <alice@mx.here.test>', message.content)
        self.assertIn(
            f"pickup: 4ID1: uid={os.geteuid()} from=<alice>", desk.sink.lines()
        )
        self.assertFalse(path.exists())

    def test_order(self) -> None:
        """
        The file is there until the message is on disk.
        """
        desk = self.desk()
        path = self.put(desk)
        desk.look()
        self.assertIsNotNone(self.only(desk).committed)
        self.assertTrue(path.exists())
        desk.commit()
        self.assertFalse(path.exists())

    def test_once(self) -> None:
        """
        Who is told of a file twice takes it once.
        """
        desk = self.desk()
        self.put(desk)
        desk.look()
        desk.pickup.arrived("x")
        desk.look()
        self.only(desk)
        desk.commit()
        desk.look()
        self.only(desk)

    def test_store_in_trouble(self) -> None:
        """
        What cannot be committed stays, and is tried again soon.
        """
        desk = self.desk()
        path = self.put(desk)
        desk.look()
        committed = self.only(desk).committed
        assert committed is not None
        self.only(desk).committed = None
        committed.errback(StoreUnavailable("disk full", 452, "4.3.1"))
        self.assertTrue(path.exists())
        desk.clock.advance(RETRY)
        self.assertEqual(len(desk.store.messages), 2)
        desk.commit()
        self.assertFalse(path.exists())

    def test_queue_takes_nothing(self) -> None:
        desk = self.desk()
        path = self.put(desk)
        desk.store.refuses = Reply(452, "4.3.1", "full")
        desk.look()
        self.assertEqual(desk.store.messages, [])
        self.assertTrue(path.exists())
        desk.store.refuses = None
        desk.clock.advance(RETRY)
        self.only(desk)

    def test_not_removable(self) -> None:
        """
        A file that cannot be removed is not taken again, and removed later.
        """
        desk = self.desk()
        path = self.put(desk)
        real, broken = os.unlink, [True]

        def unlink(name: str, *, dir_fd: int | None = None) -> None:
            if broken:
                raise OSError(30, "Read-only file system")
            real(name, dir_fd=dir_fd)

        self.patch(os, "unlink", unlink)
        desk.look()
        desk.commit()
        self.assertIn("cannot be removed: Read-only", desk.sink.lines()[-1])
        desk.clock.advance(60)
        self.only(desk)
        broken.clear()
        desk.clock.advance(60)
        self.assertFalse(path.exists())
        self.only(desk)

    def test_at_once(self) -> None:
        """
        So many messages are on their way, and the others wait.
        """
        desk = self.desk()
        for number in range(AT_ONCE + 5):
            self.put(desk, name=f"f{number}")
        desk.look()
        self.assertEqual(len(desk.store.messages), AT_ONCE)
        desk.commit()
        self.assertEqual(len(desk.store.messages), AT_ONCE + 5)
        desk.commit()
        self.assertEqual(os.listdir(desk.maildrop), [])

    def test_turns(self) -> None:
        """
        A large message lets others have the reactor in between.
        """
        desk = self.desk()
        self.put(desk, file(content=b"x\n" * 500_000))
        desk.pickup.look()
        self.assertIsNone(self.only(desk).committed)
        desk.turn()
        self.assertIsNotNone(self.only(desk).committed)

    def test_missed(self) -> None:
        """
        When names were missed the directory is read again.
        """
        desk = self.desk()
        self.put(desk)
        desk.pickup.arrived(None)
        desk.turn()
        self.only(desk)

    def test_too_many_names(self) -> None:
        """
        The names that wait are bounded, and those that did not fit are found.
        """
        self.patch(pickup, "MAX_WAITING", 2)
        self.patch(pickup, "AT_ONCE", 1)
        desk = self.desk()
        for number in range(6):
            self.put(desk, name=f"f{number}")
        for _ in range(6):
            desk.look()
            self.assertLessEqual(len(desk.pickup._waiting), 2)
            desk.commit()
        self.assertEqual(os.listdir(desk.maildrop), [])
        self.assertEqual(len(desk.store.messages), 6)

    def test_hidden(self) -> None:
        """
        A message behind any number of files that are never completed is found.
        """
        self.patch(pickup, "MAX_NAMES", 3)
        self.patch(handed_in, "MAX_NAMES", 3)
        desk = self.desk()
        for number in range(40):
            (desk.maildrop / f"f{number}").touch()
            self.put(desk, name=f"m{number}")
        desk.look()
        for _ in range(40):
            desk.commit()
        self.assertEqual(len(desk.store.messages), 40)
        self.assertEqual(len(os.listdir(desk.maildrop)), 40)

    def test_stop(self) -> None:
        """
        What is on its way arrives, and nothing else is taken.
        """
        desk = self.desk()
        path = self.put(desk)
        desk.look()
        stopped = desk.pickup.stopService()
        self.assertNoResult(stopped)
        self.put(desk, name="y")
        desk.commit()
        self.successResultOf(stopped)
        self.assertFalse(path.exists())
        self.only(desk)
        self.assertEqual(desk.clock.getDelayedCalls(), [])


class RefuseTests(Case):
    def test_returned(self) -> None:
        """
        What cleanup refuses for good goes back to its sender.
        """
        desk = self.desk()
        path = self.put(desk, file(content=b"Received: x\n" * 60 + b"\n"))
        desk.look()
        ((envelope, reply),) = desk.returned
        self.assertEqual(envelope.sender, "alice@mx.here.test")
        self.assertEqual(reply.status, "5.4.0")
        self.assertFalse(path.exists())

    def test_too_big(self) -> None:
        """
        Without a look at the content.
        """
        desk = self.desk(message_size_limit="10")
        path = self.put(desk)
        desk.look()
        ((_, reply),) = desk.returned
        self.assertEqual((reply.code, reply.status), (552, "5.3.4"))
        self.assertEqual(desk.store.messages, [])
        self.assertFalse(path.exists())

    def test_strange(self) -> None:
        desk = self.desk()
        os.mkfifo(desk.maildrop / "x")
        desk.look()
        self.assertEqual(os.listdir(desk.maildrop), [])
        self.assertIn("not a regular file: removed", desk.sink.lines()[-1])

    def test_not_removable(self) -> None:
        """
        What is left in the way is told of once, not at every look.
        """
        desk = self.desk()
        (desk.maildrop / "x" / "y").mkdir(parents=True)
        for _ in range(3):
            desk.look()
        (line,) = [line for line in desk.sink.lines() if "/x" in line]
        self.assertIn("not a regular file: cannot be removed: Directory not", line)

    def test_bad(self) -> None:
        """
        What says that it is a message, and is none, is kept apart.
        """
        desk = self.desk()
        self.put(desk, b"garbage\n")
        desk.look()
        self.assertEqual(os.listdir(desk.maildrop), [])
        self.assertIn("moved to bad/x", desk.sink.lines()[-1])
        self.assertTrue((desk.folder / "queue" / "bad" / "x").exists())

    def test_changing(self) -> None:
        """
        Half a message is not committed.
        """
        desk = self.desk()
        path = self.put(desk, file(content=b"x\n" * 500_000))
        desk.pickup.look()
        os.truncate(path, 400_000)
        desk.turn()
        self.assertTrue(self.only(desk).aborted)
        self.assertIn("has changed while it was read", desk.sink.lines()[-1])

    def test_unreadable(self) -> None:
        """
        What we may not read is kept, and told once.
        """
        desk = self.desk()
        path = self.put(desk)

        def refuse(*_args: object) -> None:
            raise PermissionError(13, "Permission denied")

        self.patch(desk.reader, "open", refuse)
        for _ in range(3):
            desk.look()
        lines = [line for line in desk.sink.lines() if "kept: Permission" in line]
        self.assertEqual(len(lines), 1)
        self.assertTrue(path.exists())

    def test_bug(self) -> None:
        """
        A fault of ours costs no mail, and does not stop the others.
        """
        desk = self.desk()
        path = self.put(desk)
        real = desk.reader.open

        def broken(name: str, now: float) -> object:
            if name == "x":
                raise RuntimeError("bug")
            return real(name, now)

        self.patch(desk.reader, "open", broken)
        self.put(desk, name="y")
        desk.look()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.only(desk)
        self.assertTrue(path.exists())


class SubmitTests(Case):
    def test_not_allowed(self) -> None:
        desk = self.desk(lambda uid: False)
        self.put(desk)
        desk.look()
        self.assertEqual(desk.store.messages, [])
        self.assertEqual(os.listdir(desk.maildrop), [])
        self.assertIn(
            f"uid={os.geteuid()} is not allowed to submit mail: removed",
            desk.sink.lines()[-1],
        )

    def test_later(self) -> None:
        answer: Deferred[bool] = Deferred()
        desk = self.desk(lambda uid: answer)
        self.put(desk)
        desk.look()
        self.assertEqual(desk.store.messages, [])
        answer.callback(True)
        self.only(desk)

    def test_cannot_say(self) -> None:
        """
        A table that cannot say is no refusal.
        """

        def unavailable(_uid: int) -> bool:
            raise TableUnavailable("hash:/x", "gone")

        desk = self.desk(unavailable)
        path = self.put(desk)
        desk.look()
        self.assertTrue(path.exists())
        self.assertIn("table hash:/x: gone", desk.sink.lines()[-1])

    def test_trace(self) -> None:
        """
        What sendmail -bv and -v ask for goes with the message.
        """
        for word, trace in (("verify", Trace.VERIFY), ("record", Trace.RECORD)):
            desk = self.desk()
            self.put(desk, file([*FIELDS, ("trace", word)]))
            message = desk.taken()
            assert message is not None
            self.assertEqual(message.envelope.trace, trace)

    def test_null_sender(self) -> None:
        desk = self.desk()
        fields = [f for f in FIELDS if f[0] != "from"]
        self.put(desk, file([("from", ""), *fields, ("to", "")]))
        message = desk.taken()
        assert message is not None
        self.assertEqual(message.envelope.sender, "")
        self.assertIn(
            "MAILER-DAEMON@mx.here.test",
            [r.address for r in message.envelope.recipients],
        )
        self.assertIn(b"From: MAILER-DAEMON\r\n", message.content)

    def test_remote(self) -> None:
        """
        C{-G}: headers are not completed.
        """
        desk = self.desk()
        self.put(desk, file([*FIELDS, ("context", "remote")], content=b"To: x\n\n"))
        message = desk.taken()
        assert message is not None
        self.assertTrue(message.content.endswith(b"\r\nTo: x\r\n\r\n"))
