"""
C{postconf} on main.cf and master.cf files that are in use, and Debian's.

The data are not part of the project; see C{tests.support.cases}.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.interop.test_postconf_oracle import Answers, Case
from tests.support import cases
from txmta.config.postfix import defaults

#: What templates have: statements, and expressions to be replaced by a word.
STATEMENT = re.compile(
    r"\{#.*?#\}|\{%.*?%\}|%\{\w+\}|%\w+_enabled |^\{\{[^\n]*\}\}$", re.DOTALL | re.M
)
EXPRESSION = re.compile(r"\{\{.*?\}\}|%\(\w+\)s|%\w+(?=[\s/])", re.DOTALL)

COMMANDS = ("-n", "-nf", "-M", "-Mf", "-Mx", "-F", "-P", "-Px", "-C user", "-C service")


class RealFiles(Case):
    def pairs(self) -> Iterator[tuple[str, str, str]]:
        """
        @return: where they are from, main.cf and master.cf.
        """
        for path in sorted(cases("realworld-config").rglob("main.cf*")):
            master = path.with_name(path.name.replace("main", "master"))
            yield str(path), replaced(path), replaced(master)

    def test_shown(self) -> None:
        """
        Both show the same, but for names that the older one does not know.
        """
        seen = 0
        for where, main, master in self.pairs():
            folder = self.folder(main, master)
            for command in COMMANDS:
                asked = command.split()
                ours, theirs = self.ours(folder, asked), self.theirs(folder, asked)
                self.assertEqual(theirs.status, 0, f"{where}\n{theirs}")
                newer = unknown(theirs)
                self.assertEqual(
                    without(ours, newer), without(theirs, newer), f"{where}: {command}"
                )
                seen += len(ours.output.splitlines())
        self.assertGreater(seen, 1000)

    def test_all_names_known(self) -> None:
        """
        No name in use is one that we do not know, either.
        """
        for where, main, master in self.pairs():
            folder = self.folder(main, master)
            names = unknown(self.ours(folder, ["-n"])) & set(defaults())
            self.assertEqual(names, set(), where)


def replaced(path: Path) -> str:
    """
    @return: a file without what makes it a template.
    """
    return EXPRESSION.sub("word", STATEMENT.sub("", path.read_text("utf-8")))


def unknown(answers: Answers) -> set[str]:
    """
    @return: names that are not used, or not known.
    """
    return set(re.findall(r"unused parameter: ([^=]+)=", "\n".join(answers.told)))


def without(answers: Answers, names: set[str]) -> tuple[list[str], list[str]]:
    """
    @return: output and warnings but for what is about some names, and about
        files of the machine.
    """
    output = [
        line
        for line in re.split(r"\n(?! )", answers.output)
        if not names.intersection(re.split(r"[ /]", line)[:4])
    ]
    told = [
        line
        for line in answers.told
        if not any(f": {name}" in line for name in names) and "open " not in line
    ]
    return output, told
