"""
Postfix's own tests of C{postconf}, with ours.

The data are not part of the project; see C{tests.support.cases}.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from shutil import rmtree
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.support import cases

#: Cases that we fail, and why.
MISSES: Mapping[str, str] = {
    "test33": "a main.cf without compatibility_level has the newest defaults here",
}

_WRAPPER = """\
#!/bin/sh
exec {python} -m txmta.admin.postconf "$@"
"""


class PostconfCases(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = cases("postfix-postconf")
        self.directory = Path(tempfile.mkdtemp(prefix="tx"))
        self.addCleanup(rmtree, self.directory)
        tools = self.directory / "tools"
        tools.mkdir()
        wrapper = tools / "postconf"
        wrapper.write_text(_WRAPPER.format(python=sys.executable))
        wrapper.chmod(0o755)
        root = str(Path(__file__).resolve().parents[2])
        self.environment = {
            **os.environ,
            "PATH": f"{tools}:{os.environ['PATH']}",
            "PYTHONPATH": f"{root}:{os.environ.get('PYTHONPATH', '')}",
            "LC_ALL": "C",
        }

    def test_cases(self) -> None:
        """
        Each prints what Postfix's prints, but for those named above.
        """
        all_cases = json.loads((self.folder / "cases.json").read_text("utf-8"))
        self.assertGreater(len(all_cases), 40)
        failed = {
            case["name"]: why for case in all_cases if (why := self.difference(case))
        }
        self.assertEqual(set(failed), set(MISSES), "\n".join(failed.values()))

    def difference(self, case: Mapping[str, Any]) -> str:
        """
        @return: what C{diff} printed, or C{""}.
        """
        place = self.directory / case["name"]
        place.mkdir()
        for reference in self.folder.glob("*.ref"):
            text = reference.read_text("utf-8").replace("./postconf:", "postconf:")
            (place / reference.name).write_text(text, "utf-8")
        for name, text in case["files"].items():
            text = text.replace("PWD", str(place))
            (place / name).write_text(text, "utf-8")
        for command in case["run"]:
            done = subprocess.run(
                ["sh", "-ec", command],
                cwd=place,
                env=self.environment,
                capture_output=True,
                text=True,
                timeout=60,
            )
            if command.startswith("diff") or "| diff" in command:
                if done.returncode:
                    return f"{case['name']}: {command}\n{done.stdout}{done.stderr}"
            elif done.stderr:
                return f"{case['name']}: {command}\n{done.stderr}"
        return ""
