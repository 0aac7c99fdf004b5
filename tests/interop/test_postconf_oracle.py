"""
What C{postconf} says about a main.cf and a master.cf, and Debian's.

Files are generated; both programs show them in every way, and warn.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from difflib import unified_diff
from pathlib import Path
from shutil import rmtree

from hypothesis import HealthCheck, Phase, given, settings
from twisted.trial.unittest import SynchronousTestCase

from tests.admin.postconf_case import Told
from tests.interop.postconf_texts import (
    BAD_FILES,
    EDITED_MAIN,
    EDITED_MASTER,
    MAIN,
    MAIN_EDITS,
    MASTER,
    MASTER_EDITS,
    MISTAKES,
    SHOWN,
)
from tests.support import PATH, SLICE, require
from txmta.admin.postconf import Command, options, printable

#: Pairs of files. With all that is shown of each, 5,000 lines in a slice.
EXAMPLES = 25 if SLICE else 250

oracle = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=SLICE,
    # Each question starts a program: a failure is told as it was found.
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)

#: What ours says and Debian's, being older, does not.
NEWER = re.compile(
    r"warning: (\S+: support for parameter"
    r"|See https://www.postfix.org/DEPRECATION"
    r"|\S+: #comment after other text)"
)

#: Warnings of these come in the order of the table there, and sorted here; or
#: while names are looked for, and here afterwards.
UNORDERED = re.compile('unused parameter: |open "')


#: Newer: the whole path.
FULL_PATH = re.compile(r"/\S*/(?=main\.cf: (syntax error after|missing '}'))")


class Answers:
    """
    @ivar output: lines of standard output.
    @ivar told: lines of standard error, the folder's name as C{.}.
    """

    def __init__(self, status: int, output: str, told: Sequence[str]) -> None:
        lines = [text for text in told if not NEWER.search(text)]
        self.status = status
        self.output = output
        # after a second of waiting, all is the same
        self.told = [text for text in lines if not UNORDERED.search(text)]
        self.told += sorted(text for text in lines if UNORDERED.search(text))

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other)

    def __repr__(self) -> str:
        told = "\n".join(self.told)
        return f"status {self.status}\n{self.output}\n{told}\n"


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        require("postconf")
        self.directory = Path(tempfile.mkdtemp(prefix="tx"))
        self.addCleanup(rmtree, self.directory)
        self.lines = 0

    def folder(self, main: str, master: str) -> Path:
        """
        @return: a new one, with these files, an hour old: what was changed
            within the last second, Debian's reads again.
        """
        folder = Path(tempfile.mkdtemp(dir=self.directory))
        for name, text in (("main.cf", main), ("master.cf", master)):
            (folder / name).write_text(text, "utf-8")
            os.utime(folder / name, (1e9, 1e9))
        return folder

    def theirs(self, folder: Path, arguments: Sequence[str]) -> Answers:
        done = subprocess.run(
            ["postconf", "-c", str(folder), *arguments],
            capture_output=True,
            env={**os.environ, "PATH": PATH, "NORANDOMIZE": "1"},
            timeout=60,
        )
        told = done.stderr.decode("utf-8", "replace").splitlines()
        told = [text.removeprefix("postconf: ") for text in told]
        return Answers(done.returncode, done.stdout.decode("utf-8"), told)

    def ours(self, folder: Path, arguments: Sequence[str]) -> Answers:
        tool = Told()
        output = io.TextIOWrapper(io.BytesIO(), "utf-8")
        given = ["-c", str(folder), *arguments]
        with contextlib.redirect_stdout(output):
            status = tool.run(lambda: Command(tool, options(tool, given)).run())
        output.seek(0)
        told = FULL_PATH.sub("", "\n".join(map(printable, tool.told)))
        # theirs: octets that are not ASCII are question marks
        told = re.sub(r"[^\x00-\x7e]", lambda c: "?" * len(c[0].encode()), told)
        return Answers(status, output.read(), told.splitlines())

    def compare(self, folder: Path, commands: Sequence[str]) -> None:
        """
        Both show and say the same.
        """
        with ThreadPoolExecutor(4) as pool:
            asked = [command.split(" ") for command in commands]
            found = list(pool.map(lambda each: self.theirs(folder, each), asked))
        for arguments, theirs in zip(asked, found, strict=True):
            ours = self.ours(folder, arguments)
            self.lines += ours.output.count("\n") + len(ours.told)
            if ours != theirs:
                main = (folder / "main.cf").read_text("utf-8")
                master = (folder / "master.cf").read_text("utf-8")
                wrong = "\n".join(
                    unified_diff(
                        repr(theirs).splitlines(), repr(ours).splitlines(), lineterm=""
                    )
                )
                self.fail(
                    f"{wrong}\npostconf {' '.join(arguments)}\n--- main.cf\n{main}\n"
                    f"--- master.cf\n{master}"
                )


class ShowTests(Case):
    def test_shown(self) -> None:
        """
        Everything is shown the same, with the same warnings.
        """

        @oracle
        @given(MAIN, MASTER)
        def run(main: str, master: str) -> None:
            folder = self.folder(main, master)
            self.compare(folder, SHOWN)
            rmtree(folder)

        run()
        self.assertGreater(self.lines, EXAMPLES * 200)


class MistakeTests(Case):
    def test_values(self) -> None:
        """
        The same values are wrong, for the same reason.
        """
        folders = [
            self.folder(f"relayhost = {text}\na = A\nb = B\n", "") for text in MISTAKES
        ]
        with ThreadPoolExecutor(20) as pool:
            found = pool.map(lambda each: self.theirs(each, ["-nx"]), folders)
            for text, folder, theirs in zip(MISTAKES, folders, found, strict=True):
                self.assertEqual(self.ours(folder, ["-nx"]), theirs, text)

    def test_files(self) -> None:
        """
        The same files and arguments are wrong, for the same reason.
        """
        folders = [self.folder(main, master) for main, master, _ in BAD_FILES]
        asked = [arguments.split(" ") for _, _, arguments in BAD_FILES]
        with ThreadPoolExecutor(20) as pool:
            found = pool.map(self.theirs, folders, asked)
            for case, folder, arguments, theirs in zip(
                BAD_FILES, folders, asked, found, strict=True
            ):
                self.assertEqual(self.ours(folder, arguments), theirs, case)


class EditTests(Case):
    def edited(self, main: str, master: str, arguments: Sequence[str]) -> None:
        ours, theirs = self.folder(main, master), self.folder(main, master)
        self.assertEqual(
            repr(self.ours(ours, arguments)).replace(str(ours), "."),
            repr(self.theirs(theirs, arguments)).replace(str(theirs), "."),
            f"{arguments}\n{main}\n{master}",
        )
        for name in ("main.cf", "master.cf"):
            found, expected = (
                (folder / name).read_text("utf-8").splitlines()
                for folder in (ours, theirs)
            )
            if arguments[0] == "-e":
                # newer: what was not there is sorted
                found, expected = sorted(found), sorted(expected)
            self.assertEqual(found, expected, f"{arguments}\n{main}\n{master}")

    def test_main(self) -> None:
        @oracle
        @given(EDITED_MAIN, MAIN_EDITS)
        def run(main: str, arguments: Sequence[str]) -> None:
            self.edited(main, "", arguments)

        run()

    def test_master(self) -> None:
        """
        As long as there are no comments between entries.
        """

        @oracle
        @given(EDITED_MASTER, MASTER_EDITS)
        def run(master: str, arguments: Sequence[str]) -> None:
            self.edited("", master, arguments)

        run()
