"""
The queue store on disks that really fail.

Injected errors do not show the worst: after a failed write-back the page
cache has the right octets, takes them for written, and a power cut takes them
away. That needs a device that fails: here an ext4 file system in a sparse
file, on a file system that has not the room it promises.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any
from unittest import SkipTest

from tests.crash.disks import Disk
from tests.queue.store.cases import SqliteCase
from tests.queue.store.doubles import Rig
from tests.support import require, require_root
from txmta.errors import StoreUnavailable
from txmta.model import Reply
from txmta.queue.store.content import Reserve
from txmta.queue.store.sqlite import SqliteStore

FULL = Reply(452, "4.3.1", "Insufficient system storage")
MEGABYTE = 1 << 20


class DiskCase(SqliteCase):
    """
    A queue on a disk of its own.

    @cvar size: of the disk.
    @cvar real: of what it is made of.
    """

    size = real = 0

    def where(self) -> Path:
        require_root("mounts a file system in a file")
        require("mkfs.ext4", "mount", "umount")
        self.disk = Disk(self.size, self.real)
        self.addCleanup(self.disk.remove)
        try:
            self.disk.mount()
        except subprocess.CalledProcessError as e:
            raise SkipTest(f"cannot mount a file system in a file: {e}") from e
        return self.disk.root / "queue"

    def put_until_refused(self, content: bytes) -> tuple[list[str], StoreUnavailable]:
        """
        @return: what was acknowledged, and why no more is.
        """
        acknowledged: list[str] = []
        while True:
            try:
                acknowledged.append(self.put(1, content))
            except StoreUnavailable as e:
                return acknowledged, e


class FullDiskTests(DiskCase):
    size, real = 128 * MEGABYTE, 160 * MEGABYTE

    def make(self, **limits: Any) -> SqliteStore:
        return super().make(reserve=Reserve.SIZE, **limits)

    def test_full(self) -> None:
        """
        Mail fills the disk: 452, nothing that was acknowledged is lost, all
        of it can be delivered and deleted, and mail is taken again.
        """
        acknowledged, error = self.put_until_refused(b"x" * 16384)
        self.assertEqual((error.code, error.status), (452, "4.3.1"))
        self.assertEqual(self.store.refusal(), FULL)
        self.assertGreater(len(acknowledged), 500)
        self.restart()
        claimed = []
        while page := self.claimed_ids(100):
            claimed += page
            for queue_id in page:
                self.assertEqual(self.read(queue_id), b"x" * 16384)
            for removed in [self.finish(queue_id) for queue_id in page]:
                self.assertTrue(self.wait(removed))
        self.assertEqual(claimed, acknowledged)
        self.assertEqual(self.listed(), [])
        for _ in range(1000):
            if self.store.refusal() is None:
                break
            self.rig.pause()
        queue_id = self.put()
        self.assertEqual(self.claimed_ids(), [queue_id])

    def test_full_of_files(self) -> None:
        """
        The same with messages in files of their own: no rubbish stays.
        """
        acknowledged, error = self.put_until_refused(b"x" * MEGABYTE)
        self.assertEqual((error.code, error.status), (452, "4.3.1"))
        self.assertEqual(self.content_files(), acknowledged)
        self.claim()
        for queue_id in acknowledged:
            self.assertTrue(self.wait(self.finish(queue_id)))
        self.assertEqual(self.content_files(), [])


class WriteBackTests(DiskCase):
    size, real = 96 * MEGABYTE, 40 * MEGABYTE

    def test_lost_writes(self) -> None:
        """
        The disk loses what it was given and says so once. New mail gets 4xx,
        the queue is rebuilt when there is room again, and after a power cut
        everything acknowledged is there, from before, meanwhile and after.
        """
        acknowledged = [self.put(1, b"x" * 8192) for _ in range(50)]
        self.disk.take_room()
        more, error = self.put_until_refused(b"y" * 8192)
        acknowledged += more
        self.assertEqual((error.code, error.status), (451, "4.3.0"))
        self.assertIn("do not reboot", self.rig.sink.warnings())
        self.disk.give_room()
        for _ in range(3000):
            if self.store.refusal() is None:
                break
            self.rig.pause()
        self.assertIn("rebuilt", self.rig.sink.warnings())
        acknowledged += [self.put(1, b"z" * 8192) for _ in range(50)]
        found = self.after_power_cut()
        self.assertEqual(sorted(set(acknowledged) - found.keys()), [])
        self.assertEqual(set(found.values()), {b"x" * 8192, b"y" * 8192, b"z" * 8192})

    def after_power_cut(self) -> dict[str, bytes]:
        """
        @return: content of each message on the disk as a power cut would
            leave it now.
        """
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        with self.disk.cut(folder) as root:
            rig = Rig(self.rig.now, root / "queue")
            store = rig.make()
            found = {}
            for message in rig.wait(store.claim(10_000, self.time)):
                queue_id = message.envelope.queue_id
                content = rig.wait(store.content(queue_id))
                found[queue_id] = rig.wait(content.read(0, content.size))
            rig.wait(store.stop())
        return found
