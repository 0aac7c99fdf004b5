"""
Restrictions that ask the DNS, beside Debian's smtpd: the same replies, with one name
server for both.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support import asked, require, require_root


class DNSOracle(SynchronousTestCase):
    def test_sessions(self) -> None:
        """
        Code, status and words.
        """
        require("postfix", "dnsmasq", "unshare", "ip")
        require_root("makes a network of its own")
        resolv_conf = Path(self.mktemp()).absolute()
        resolv_conf.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        inside = (
            "ip link set lo up && "
            f"mount --bind {shlex.quote(str(resolv_conf))} /etc/resolv.conf && "
            f"exec {shlex.quote(sys.executable)} -m tests.interop.dns_side 6"
        )
        done = subprocess.run(
            ["unshare", "--mount", "--net", "sh", "-c", inside],
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[2],
            timeout=120,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        replies, refused, different = json.loads(done.stdout.splitlines()[-1])
        self.assertEqual(different[:3], [], f"{len(different)} differ")
        self.assertGreater(replies, 800)
        self.assertGreater(refused, replies // 6)
        asked(replies)
