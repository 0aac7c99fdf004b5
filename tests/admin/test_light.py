"""
The tools that people wait for start without what they do not need.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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

    def test_tables(self) -> None:
        """
        C{postmap} does without Twisted for what is read from text or an index.
        """
        specs = ["inline:{a=b}", "hash:", "cidr:", "regexp:", "pcre:", "texthash:"]
        folder = Path(self.mktemp()).absolute()
        folder.mkdir(parents=True)
        (folder / "main.cf").touch()
        (folder / "text").touch()
        program = """
import sys
from txmta.admin.postmap import main
for spec in sys.argv[2:]:
    main(["-c", sys.argv[1], "-q", "x", spec])
print(*sys.modules)
"""
        tables = [s if s.endswith("}") else f"{s}{folder}/text" for s in specs]
        done = subprocess.run(
            [sys.executable, "-c", program, str(folder), *tables],
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
            env={"PYTHONPATH": ":".join(sys.path)},
        )
        found = set(done.stdout.split())
        for name in ("twisted", "sqlite3", "txmta.model", "txmta.config.settings"):
            self.assertNotIn(name, found)
        self.assertEqual(done.stderr, "")
