"""
C{postconf} in this process.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from pathlib import Path
from shutil import rmtree

from twisted.trial.unittest import SynchronousTestCase

from txmta.admin.common import Tool
from txmta.admin.postconf import USAGE, Command, options

#: One entry of master.cf.
SMTP = "smtp unix - n n - 0 smtp\n"


class Told(Tool):
    """
    @ivar told: what would be on standard error.
    """

    def __init__(self) -> None:
        super().__init__("postconf", USAGE, 1)
        self.told: list[str] = []

    def say(self, text: str) -> None:
        self.told.append(text)


class PostconfCase(SynchronousTestCase):
    """
    @ivar folder: of the configuration.
    @ivar told: by the last command.
    """

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tx"))
        self.addCleanup(rmtree, self.folder)
        self.told: list[str] = []
        self.given()

    def given(self, main: str = "", master: str = "") -> None:
        """
        Write the files.
        """
        (self.folder / "main.cf").write_text(main)
        (self.folder / "master.cf").write_text(master)

    def postconf(self, *arguments: str, status: int = 0) -> str:
        """
        @return: what is on standard output; the folder's name is C{.}.
        """
        tool = Told()
        output = io.TextIOWrapper(io.BytesIO(), "utf-8", "surrogateescape")
        given = ["-c", str(self.folder), *arguments]
        with contextlib.redirect_stdout(output):
            found = tool.run(lambda: Command(tool, options(tool, given)).run())
        self.told = [text.replace(str(self.folder), ".") for text in tool.told]
        self.assertEqual(found, status, self.told)
        output.seek(0)
        return output.read().replace(str(self.folder), ".")

    def warned(self, *texts: str) -> None:
        """
        Check what was told, all of it warnings.
        """
        self.assertEqual(self.told, [f"warning: {text}" for text in texts])

    def refused(self, text: str, *arguments: str) -> None:
        """
        Check what stops the command, at once.
        """
        self.assertEqual(self.postconf(*arguments, status=1), "")
        self.assertEqual(self.told[-1], f"fatal: {text}")

    def main_cf(self) -> str:
        return (self.folder / "main.cf").read_text()

    def master_cf(self) -> str:
        return (self.folder / "master.cf").read_text()
