"""
Two real processes on one queue, one of them killed in the middle of what it
does: what was acknowledged is there, and nothing is finished that was not.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.queue.store.cases import SqliteCase

ROOT = Path(__file__).resolve().parents[3]

#: Messages after which the other process is killed.
ENOUGH = 40


class KillTests(SqliteCase):
    time = time.time()

    def other(self, what: str) -> tuple[subprocess.Popen[str], Path]:
        told = Path(self.mktemp())
        with told.open("w") as output:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "tests.queue.store.other_process"),
                    *(what, str(self.directory)),
                ],
                cwd=ROOT,
                stdout=output,
                text=True,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process, told

    def told(self, path: Path) -> list[str]:
        """
        @return: queue ids that were told of, whole lines only.
        """
        return path.read_text().rpartition("\n")[0].split()

    def test_who_inserts(self) -> None:
        """
        We claim and finish, while the other inserts until it is killed.
        """
        process, path = self.other("insert")
        deadline = time.monotonic() + 20
        finished: list[str] = []
        while len(self.told(path)) < ENOUGH and time.monotonic() < deadline:
            self.store.arrived(self.told(path)[-20:])
            for queue_id in self.claimed_ids(10):
                self.read(queue_id)
                self.wait(self.finish(queue_id))
                finished.append(queue_id)
        process.kill()
        process.wait()
        told = self.told(path)
        self.store.arrived(())
        for queue_id in self.claimed_ids():
            self.read(queue_id)
            self.wait(self.finish(queue_id))
            finished.append(queue_id)
        self.assertGreaterEqual(len(told), ENOUGH)
        self.assertEqual(set(told) - set(finished), set())
        self.assertEqual(len(finished), len(set(finished)))
        # One more than was told of may have been committed.
        self.assertLessEqual(len(set(finished) - set(told)), 1)
        self.restart()
        self.assertEqual(self.content_files(), [])

    def test_who_claims(self) -> None:
        """
        We insert, while the other claims and finishes until it is killed;
        then its successor takes up what it has not finished.
        """
        self.wait(self.store.stop())
        entrance = self.rig.entrance()
        self.store = entrance  # type: ignore[assignment]
        process, path = self.other("claim")
        deadline = time.monotonic() + 20
        put: list[str] = []
        while len(self.told(path)) < ENOUGH and time.monotonic() < deadline:
            put.append(self.put())
        process.kill()
        process.wait()
        put += [self.put() for _ in range(3)]
        told = self.told(path)
        self.wait(entrance.stop())
        self.store = self.make()
        left = self.claimed_ids(10_000)
        self.assertGreaterEqual(len(told), ENOUGH)
        self.assertEqual(set(left) & set(told), set())
        # One more than was told of may have been finished.
        self.assertLessEqual(len(set(put) - set(left) - set(told)), 1)
        self.assertEqual(set(left) - set(put), set())
