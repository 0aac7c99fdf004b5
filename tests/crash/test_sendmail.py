"""
Cut the power when sendmail has said that a message is handed in.

Run as an ordinary user, who cannot sync the directory of the file: what makes its
name durable is the sync of the file itself, on the file systems that we know.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from tests.crash.disks import Disk
from tests.support import SLICE, require, require_root
from txmta.master.directory import prepare_queue
from txmta.master.privileges import Account
from txmta.queue.handed_in import Maildrop

MESSAGES = 3 if SLICE else 20

#: An account without rights, and a group.
NOBODY = 65534

_UNSYNCED = """\
import os
os.fsync = lambda fd: None
"""


class PowerTests(SynchronousTestCase):
    def setUp(self) -> None:
        require_root("mounts file systems in files")
        require("mkfs.ext4", "mount", "umount")
        self.disk = Disk(64 << 20, 128 << 20)
        self.addCleanup(self.disk.remove)
        try:
            self.disk.mount()
        except subprocess.CalledProcessError as e:
            raise SkipTest(f"cannot mount a file system in a file: {e}") from e
        self.disk.remount("commit=300")
        self.disk.root.parent.chmod(0o755)
        self.disk.root.chmod(0o755)
        main_cf = self.disk.root / "main.cf"
        main_cf.write_text("queue_directory = $config_directory/queue\n")
        main_cf.chmod(0o644)
        queue = str(self.disk.root / "queue")
        prepare_queue(queue, Account("nobody", NOBODY, NOBODY), 4)
        os.sync()

    def send(self, before: str = "") -> int:
        """
        @param before: Python that is run first.
        """
        code = f"{before}import sys; from txmta.admin.sendmail import main; "
        code += f"sys.exit(main(['-C', {str(self.disk.root)!r}, 'a@b.test']))"
        return subprocess.run(
            [sys.executable, "-c", code],
            input=b"Subject: x\n\n" + b"x" * 10_000 + b"\n",
            timeout=30,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            user=NOBODY,
            group=NOBODY,
            extra_groups=(),
            cwd="/",
        ).returncode

    def survivors(self) -> Sequence[int]:
        """
        @return: sizes of the messages that pickup would find after a power cut.
        """
        folder = Path(tempfile.mkdtemp(prefix="cut"))
        self.addCleanup(shutil.rmtree, folder)
        with self.disk.cut(folder) as root:
            maildrop = Maildrop(str(root / "queue"))
            sizes = []
            for name in maildrop.names():
                file = maildrop.open(name, 0.0)
                sizes.append(len(b"".join(file.blocks())))
                file.close()
            maildrop.close()
        return sizes

    def test_survives(self) -> None:
        """
        Each message whose sendmail ended with 0 is there, whole.
        """
        for number in range(1, MESSAGES + 1):
            self.assertEqual(self.send(), 0)
            self.assertEqual(self.survivors(), [10_016] * number)

    def test_noticed(self) -> None:
        """
        Without the syncs this test would fail.
        """
        self.assertEqual(self.send(_UNSYNCED), 0)
        self.assertEqual(self.survivors(), [])
