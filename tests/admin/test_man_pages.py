"""
The man pages: each command has one, which names the options that there are, and
is well-formed.
"""

from __future__ import annotations

import argparse
import getopt
import importlib
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from configparser import ConfigParser
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

import txmta
from tests.support import require
from txmta.admin import postmap_options, sendmail_options
from txmta.admin.main import COMMANDS
from txmta.tap import Options

ROOT = Path(txmta.__file__).parents[1]
PAGES = ROOT / "docs" / "man"

#: Commands that are another one with other words, and have that one's options.
OTHERS = {"mailq", "newaliases"}

#: Commands whose page has the name of txmta before it.
OURS = {
    "check",
    "explain",
    "import-sendmail",
    "init",
    "passwd",
    "reference",
    "test-policy",
}

_ITEM = re.compile(r"^\.It (Fl .*)$", re.MULTILINE)


class Seen(Exception):
    """
    @ivar options: what a command has told its parser.
    """

    def __init__(self, options: set[str]) -> None:
        super().__init__()
        self.options = options


def on_page(name: str) -> set[str]:
    """
    @return: options in lists of a page: C{c}, C{--json}; of C{-bp}, C{b}.
    """
    found: set[str] = set()
    for item in _ITEM.findall((PAGES / f"{name}.1").read_text("utf-8")):
        for word in re.findall(r"\bFl (\S+)", item):
            # .Fl puts a hyphen before what follows.
            found.add(f"-{word}" if word.startswith("-") else word[0])
    return found


def of_getopt(known: str) -> set[str]:
    return set(known) - {":"}


def of_argparse(parser: argparse.ArgumentParser) -> set[str]:
    return {
        option.removeprefix("-") if len(option) == 2 else option
        for action in parser._actions
        for option in action.option_strings
    }


def of_command(name: str) -> set[str]:
    """
    @return: the options that a command has.
    """
    if name == "sendmail":
        return set(sendmail_options._FLAGS | sendmail_options._VALUED)
    if name in ("postmap", "postalias"):
        return of_getopt(getattr(postmap_options, name.upper()))

    def by_getopt(arguments: Sequence[str], known: str) -> None:
        raise Seen(of_getopt(known))

    def by_argparse(self: argparse.ArgumentParser, arguments: object = None) -> None:
        raise Seen(of_argparse(self))

    module = importlib.import_module(COMMANDS[name][0])
    with (
        mock.patch.object(getopt, "getopt", by_getopt),
        mock.patch.object(argparse.ArgumentParser, "parse_args", by_argparse),
    ):
        try:
            module.main([])
        except Seen as e:
            return e.options
    raise AssertionError(f"{name} has read no options")


def pages() -> Iterator[Path]:
    yield from sorted(PAGES.iterdir())


class PageTests(SynchronousTestCase):
    def test_every_command(self) -> None:
        """
        Each command has a page, and each page is of a command.
        """
        wanted = {f"txmta-{n}.1" if n in OURS else f"{n}.1" for n in COMMANDS}
        wanted |= {"txmta.1", "twistd-txmta.1", "txmta.5"}
        self.assertEqual({path.name for path in pages()}, wanted)

    def test_options(self) -> None:
        """
        A page has the options that its command has, no more and no fewer.
        """
        for name in COMMANDS:
            page = f"txmta-{name}" if name in OURS else name
            if name not in OTHERS:
                self.assertEqual(on_page(page), of_command(name), name)

    def test_server(self) -> None:
        own = {"--version", "--help"}
        for declared in [*Options.optParameters, *list[Any](Options.optFlags)]:
            name, letter = declared[:2]
            own |= {f"--{name}", *([letter] if letter else [])}
        self.assertEqual(on_page("twistd-txmta"), own)

    def test_commands(self) -> None:
        """
        txmta(1) names every command, and postfix(1) each of its own.
        """
        text = (PAGES / "txmta.1").read_text("utf-8")
        self.assertEqual(set(re.findall(r"^\.It Cm (\S+)", text, re.M)), set(COMMANDS))
        text = (PAGES / "postfix.1").read_text("utf-8")
        from txmta.admin.postfix import COMMANDS as OF_POSTFIX

        self.assertEqual(
            set(re.findall(r"^\.It Cm (\S+)", text, re.M)), set(OF_POSTFIX)
        )

    def test_references(self) -> None:
        """
        A page that is referred to is there.
        """
        there = {path.name for path in pages()}
        for path in pages():
            for name, section in re.findall(r"\.Xr (\S+) (\d)", path.read_text()):
                self.assertIn(f"{name}.{section}", there, path.name)

    def test_rendered(self) -> None:
        """
        man has nothing to complain of, and shows the name.
        """
        require("man")
        for path in pages():
            done = subprocess.run(
                ["man", "--warnings", "-l", str(path)],
                capture_output=True,
                text=True,
                timeout=20,
                env={**os.environ, "LC_ALL": "C.UTF-8", "MANPAGER": "cat"},
            )
            self.assertEqual((done.returncode, done.stderr), (0, ""), path.name)
            self.assertIn(path.stem.partition("-")[0], done.stdout)

    def test_installed(self) -> None:
        """
        pip puts each where man looks for it.
        """
        config = ConfigParser()
        config.read(ROOT / "setup.cfg")
        files = config["options.data_files"]
        for section in "15":
            self.assertEqual(
                files[f"share/man/man{section}"].split(), [f"docs/man/*.{section}"]
            )
