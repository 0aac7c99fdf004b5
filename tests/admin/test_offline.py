"""
Tests of the queue tools on the files of a queue, with no server.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any
from zlib import crc32

from twisted.trial.unittest import SynchronousTestCase

from txmta.admin import offline, postcat, postqueue, postsuper
from txmta.admin.offline import OfflineQueue
from txmta.errors import ConfigError
from txmta.events import Event
from txmta.master.lock import QueueLock
from txmta.model import LOCAL_CLIENT, Envelope, Recipient
from txmta.queue.store.content import Reserve, Spool
from txmta.queue.store.database import Database
from txmta.queue.store.files import Files
from txmta.queue.store.ids import IdMaker, decode
from txmta.queue.store.journal import Journal
from txmta.queue.store.locks import TurnLock
from txmta.queue.store.operations import Insert

HEAD = b"Subject: x\r\n\r\n"


class _Nobody:
    def emit(self, event: Event) -> None:
        pass


class OfflineTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tx"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.queue = self.folder / "queue"
        (self.queue / "content").mkdir(parents=True)
        # Root would become mail_owner, for good; that is in tests.interop.
        self.patch(os, "geteuid", lambda: self.queue.stat().st_uid or 1000)
        self.patch(offline, "may_open", lambda _: True)
        self.patch(postcat, "may_open", lambda _: True)
        (self.folder / "main.cf").write_text("queue_directory=$config_directory/queue")
        self.ids: list[str] = []

    def fill(self, *contents: bytes) -> None:
        """
        Put messages into the queue; what is larger than a row gets a file.
        """
        maker = IdMaker(lambda: 1795529894.0, 0)
        turn = TurnLock(self.queue / "queue.lock")
        turn.acquire()
        reserve = Reserve(self.queue / "queue.reserve", 4096)
        files = Files(Database(self.queue), turn, reserve, _Nobody())  # type: ignore[arg-type]
        files.open()
        journal = Journal(files)
        for content in contents:
            envelope = Envelope(
                maker.make(),
                1795529894.0,
                "s@x.test",
                (Recipient(0, "r@y.test", "r@y.test"),),
                LOCAL_CLIENT,
            )
            self.ids.append(envelope.queue_id)
            number = decode(envelope.queue_id)
            assert number is not None
            if len(content) > 65536:
                file = Spool(self.queue / "content").create(number)
                file.write(content)
                file.finish()
                insert = Insert(envelope, None, len(content), crc32(content))
            else:
                insert = Insert(envelope, content, len(content))
            journal.commit([insert])
        journal.close()
        turn.close()

    def run_tool(self, main: Any, *arguments: str) -> tuple[int, str]:
        out = io.TextIOWrapper(io.BytesIO(), "utf-8")
        with contextlib.redirect_stdout(out):
            status = main(["-c", str(self.folder), *arguments])
        out.flush()
        octets: bytes = out.buffer.getvalue()
        return status, octets.decode("latin-1")

    def listed(self) -> dict[str, str]:
        status, out = self.run_tool(postqueue.main, "-j")
        self.assertEqual(status, 0)
        found = [json.loads(line) for line in out.splitlines()]
        return {f["queue_id"]: f["queue_name"] for f in found}


class ChangeTests(OfflineTestCase):
    def test_changes(self) -> None:
        self.fill(HEAD, HEAD, HEAD)
        one, two, three = self.ids
        self.assertEqual(set(self.listed().values()), {"incoming"})
        self.run_tool(postsuper.main, "-h", one, "-d", two, "-e", three)
        self.assertEqual(self.listed(), {one: "hold", three: "incoming"})
        self.assertEqual(self.run_tool(postsuper.main, "-H", "ALL"), (0, ""))
        self.assertEqual(self.listed()[one], "deferred")
        self.run_tool(postsuper.main, "-d", "ALL", "deferred")
        self.assertEqual(list(self.listed()), [three])

    def test_content_goes_too(self) -> None:
        """
        The file of a large message is removed with it.
        """
        self.fill(HEAD + b"x" * 70000)
        self.assertEqual(len(os.listdir(self.queue / "content")), 1)
        self.run_tool(postsuper.main, "-d", *self.ids)
        self.assertEqual(os.listdir(self.queue / "content"), [])

    def test_lock(self) -> None:
        """
        No server can start while the queue is changed, nor the other way round.
        """
        self.fill(HEAD)
        queue = OfflineQueue(str(self.folder), str(self.queue))
        self.assertRaises(ConfigError, QueueLock, str(self.queue))
        queue.close()
        lock = QueueLock(str(self.queue))
        self.addCleanup(lock.release)
        status, _ = self.run_tool(postsuper.main, "-d", *self.ids)
        self.assertEqual(status, 1)
        self.assertEqual(list(self.listed()), self.ids)

    def test_doubt(self) -> None:
        """
        Files in doubt are not opened for a listing: closing them would destroy
        what could be saved.
        """
        self.fill(HEAD)
        turn = TurnLock(self.queue / "queue.lock")
        turn.acquire()
        turn.announce(1, True)
        turn.close()
        status, out = self.run_tool(postqueue.main, "-p")
        self.assertEqual((status, out), (69, ""))

    def test_no_queue(self) -> None:
        """
        Where there never was a queue, none is made.
        """
        status, out = self.run_tool(postqueue.main, "-p")
        self.assertEqual((status, out), (0, "Mail queue is empty\n"))
        self.run_tool(postsuper.main, "-d", "ALL")
        self.assertFalse((self.queue / "queue.db").exists())

    def test_pages(self) -> None:
        """
        A long queue is listed whole.
        """
        self.fill(*[HEAD] * 450)
        self.assertEqual(sorted(self.listed()), self.ids)


class PostcatTests(OfflineTestCase):
    def test_file(self) -> None:
        """
        A large message is read by blocks, cut anywhere, and shown whole.
        """
        lines = [b"%d " % n + b"y" * (n % 90) for n in range(9000)]
        self.fill(HEAD + b"\r\n".join(lines) + b"\r\n")
        _, out = self.run_tool(postcat.main, "-qb", *self.ids)
        self.assertEqual(out.encode(), b"\n" + b"\n".join(lines) + b"\n")

    def test_damaged(self) -> None:
        """
        What is not what was accepted is not shown as if it were.
        """
        self.fill(HEAD + b"x" * 70000)
        (path,) = (self.queue / "content").iterdir()
        path.write_bytes(HEAD + b"y" * 70000)
        status, out = self.run_tool(postcat.main, "-q", *self.ids)
        self.assertEqual((status, out), (75, ""))
