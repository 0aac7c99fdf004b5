"""
What children share with the fork server; the rest is tested with a real master
in L{tests.master.test_service}.
"""

from __future__ import annotations

import json
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

# Another process stays, so that pages which the first one writes to are still
# shared.
COLLECT = """\
import gc, json, os, re, signal, sys
sys.path[:] = json.loads(sys.argv[1])
from txmta.master.fork_server import prepared
prepared("txmta.multi:child", ["txmta.roles.children"])
ours, theirs = os.pipe()
if not os.fork():
    os.close(theirs)
    os.read(ours, 1)
    os._exit(0)
child = os.fork()
if not child:
    gc.collect()
    text = open("/proc/self/smaps_rollup").read()
    print(re.search(r"Private_Dirty: +([0-9]+)", text)[1], flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""

#: Kilobytes that a child has of its own after a collection: 1,000, or 20,000
#: where it goes through all that it could share.
OWN = 6000


class SharingTests(SynchronousTestCase):
    def test_collection(self) -> None:
        """
        A collection in a child leaves alone what was there before the fork.
        """
        ran = subprocess.run(
            [sys.executable, "-c", COLLECT, json.dumps(sys.path)],
            capture_output=True,
            check=True,
            timeout=30,
        )
        self.assertLess(int(ran.stdout), OWN)
