"""
The tools that people wait for start without what they do not need.
"""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

#: None of these is needed to ask a server, and each takes long to import.
HEAVY = ("twisted", "zope", "sqlite3", "txmta.model", "txmta.config.settings")


class LightTests(SynchronousTestCase):
    def test_imports(self) -> None:
        """
        C{mailq}, C{postqueue} and C{postsuper} import neither Twisted nor the
        queue store before they know that no server runs.
        """
        for tool in ("mailq", "postqueue", "postsuper"):
            program = f"import txmta.admin.{tool}, sys; print(*sys.modules)"
            done = subprocess.run(
                [sys.executable, "-c", program],
                capture_output=True,
                text=True,
                check=True,
                timeout=30,
                env={"PYTHONPATH": ":".join(sys.path)},
            )
            found = set(done.stdout.split())
            for name in HEAVY:
                self.assertNotIn(name, found, tool)
