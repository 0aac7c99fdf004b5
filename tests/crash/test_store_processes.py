"""
Several processes on one queue, and the death of one in the middle.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.crash.store_load import content
from tests.queue.store.doubles import Rig

ROOT = Path(__file__).resolve().parents[2]


class ProcessTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.rig = Rig(time.time)
        self.addCleanup(self.rig.remove)
        self.acknowledged: list[str] = []

    def load(self, seconds: float) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.crash.store_load"),
                *(str(self.rig.directory), str(seconds)),
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def check(self) -> None:
        """
        Everything acknowledged is in the queue, whole.
        """
        store = self.rig.make()
        found = set()
        while page := self.rig.wait(store.claim(1000, time.time())):
            for message in page:
                queue_id = message.envelope.queue_id
                found.add(queue_id)
                body = self.rig.wait(store.content(queue_id))
                octets = self.rig.wait(body.read(0, body.size))
                self.assertEqual(octets, content(queue_id, body.size > 65536))
                body.close()
        self.rig.wait(store.stop())
        self.assertEqual(sorted(set(self.acknowledged) - found), [])
        self.assertEqual(len(self.acknowledged), len(set(self.acknowledged)))

    def test_kill(self) -> None:
        """
        kill -9 at any moment loses nothing that was acknowledged, and the
        next process goes on.
        """
        for lines in (1, 7, 60, 300, 500, 1000):
            process = self.load(60)
            assert process.stdout is not None
            got = [process.stdout.readline() for _ in range(lines)]
            process.kill()
            got += process.stdout.read().splitlines(keepends=True)
            process.stdout.close()
            process.wait()
            whole = [line for line in got if line.endswith(b"\n")]
            self.assertGreaterEqual(len(whole), lines)
            self.acknowledged += [line.split()[1].decode() for line in whole]
            self.check()

    def test_fair(self) -> None:
        """
        Two processes that write as fast as they can get the same share, and
        neither is told that the database is locked.
        """
        processes = [self.load(2.5), self.load(2.5)]
        counts = []
        for process in processes:
            output, _ = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 0)
            ids = [line.split()[1].decode() for line in output.splitlines()]
            self.acknowledged += ids
            counts.append(len(ids))
        self.assertGreater(min(counts), 100)
        self.assertGreater(min(counts) / max(counts), 0.5, counts)
        self.check()
