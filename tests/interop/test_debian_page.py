"""
docs/debian.md, run in order and as it stands.

In a copy of this machine's files (an overlay, which is forgotten) and with a
network of its own; only the first step, which installs, has the machine's.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tempfile
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from tests.interop.running import ROOT
from tests.support import require, require_root

PAGE = ROOT / "docs/debian.md"

#: Before the page: a machine with a working Postfix and a user.
BEFORE = """
useradd --create-home alice
echo 'postmaster: alice' >/etc/aliases
cp /usr/share/postfix/main.cf.debian /etc/postfix/main.cf
cp /usr/share/postfix/master.cf.dist /etc/postfix/master.cf
postconf -e compatibility_level=3.6 mydestination=example.com \\
    inet_interfaces=loopback-only maillog_file=/var/log/postfix.log \\
    alias_maps=hash:/etc/aliases
newaliases
postfix start
"""

#: After step 8: two messages for alice, of the right owner.
AFTER_TEST = """
test "$(grep -c '^From ' /var/mail/alice)" = 2
test "$(stat -c %U /var/mail/alice)" = alice
test "$(grep -c 'status=sent' /var/log/txmta.log)" = 2
"""

#: After step 10: the old server is there again.
AFTER = """
postfix status
readlink -f /usr/sbin/sendmail
postfix stop
echo all of it
"""


def steps() -> list[tuple[str, str]]:
    """
    @return: title and commands of each section of the page.
    """
    found: list[tuple[str, str]] = []
    for section in re.split(r"^## ", PAGE.read_text("utf-8"), flags=re.MULTILINE)[1:]:
        blocks = re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
        found.append((section.partition("\n")[0], "".join(blocks)))
    return found


class Machine:
    """
    A copy of this one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in ("upper", "work", "root"):
            (folder / name).mkdir()

    def run(
        self, script: str, *, network: bool, seconds: float
    ) -> subprocess.CompletedProcess[str]:
        """
        Run commands until the first that fails.

        @param network: the machine's; else one of its own, with port 25 free.
        """
        root = shlex.quote(str(self._folder / "root"))
        layers = f"lowerdir=/,upperdir={self._folder}/upper,workdir={self._folder}/work"
        inside = f"cd {shlex.quote(str(ROOT))}\n{script}"
        outside = (
            f"{'' if network else 'ip link set lo up;'} "
            f"mount -t overlay overlay -o {shlex.quote(layers)} {root} && "
            f"mount -t proc proc {root}/proc && mount --rbind /dev {root}/dev && "
            f"exec chroot {root} sh -e -x -c {shlex.quote(inside)}"
        )
        namespaces = ["--mount", "--pid", "--fork", "--kill-child"]
        if not network:
            namespaces.append("--net")
        return subprocess.run(
            ["unshare", *namespaces, "sh", "-c", outside],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )


class PageTests(SynchronousTestCase):
    def setUp(self) -> None:
        require_root("makes a copy of the machine")
        require("postfix", "swaks", "unshare", "ip")
        folder = tempfile.mkdtemp(prefix="txmta-page-")
        # Not on an overlay itself, whatever the machine is made of.
        mount = ["mount", "-t", "tmpfs", "tmpfs", folder]
        if subprocess.run(mount, check=False).returncode != 0:
            os.rmdir(folder)
            raise SkipTest("cannot mount")
        self.addCleanup(os.rmdir, folder)
        self.addCleanup(subprocess.run, ["umount", "--lazy", folder], check=True)
        self.machine = Machine(Path(folder))

    def test_page(self) -> None:
        """
        Install, accounts, configuration, aliases, drain, start, test, back out.
        """
        first, *rest = steps()
        self.assertEqual(first[0], "1. Install beside the old server")
        done = self.machine.run(first[1], network=True, seconds=300)
        self.assertEqual(done.returncode, 0, done.stdout[-3000:])
        script = BEFORE
        for title, commands in rest:
            script += f": === {title}\n{commands}"
            if title.startswith("8."):
                script += AFTER_TEST
        done = self.machine.run(script + AFTER, network=False, seconds=180)
        self.assertEqual(done.returncode, 0, done.stdout[-6000:])
        self.assertTrue(done.stdout.endswith("all of it\n"), done.stdout[-3000:])
        self.assertIn("250 2.0.0 Ok: queued as", done.stdout)
