"""
C{postconf}: show and change main.cf and master.cf.

Owns: options, which of them go together, what comes after what.
Knows nothing of: how anything is read, shown or changed.

No Twisted here: scripts call it many times.

Sources: Postfix's postconf(1). Debian's C{postconf} is the oracle of the tests.

Errors: exit status 1.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from txmta.admin.common import Fatal, Tool, write
from txmta.admin.postconf_databases import Databases
from txmta.admin.postconf_files import (
    Files,
    config_directory,
    override,
    read_main,
    read_master,
)
from txmta.admin.postconf_known import Kind, Known
from txmta.admin.postconf_names import Names
from txmta.admin.postconf_show import Show, Style
from txmta.admin.postconf_values import Values
from txmta.config.declare import System

USAGE = (
    "postconf [-a (server SASL types)] [-A (client SASL types)] "
    "[-b (bounce templates)] [-c config_dir] [-C param_class] "
    "[-d (parameter defaults)] [-e (edit configuration)] [-f (fold lines)] "
    "[-F (master.cf fields)] [-h (no names)] [-H (no values)] [-j (JSON)] "
    "[-l (lock types)] [-m (map types)] [-M (master.cf)] "
    "[-n (non-default parameters)] [-o name=value (override parameter value)] "
    "[-p (main.cf, default)] [-P (master.cf parameters)] [-q (quiet)] "
    "[-t (bounce templates)] "
    "[-T compile-version|run-version|public-key-algorithms] [-v (verbose)] "
    "[-x (expand parameter values)] [-X (exclude)] [-# (comment-out)] [name...]"
)

#: What is shown or changed; one of them.
_MAJOR = "aAblmtpMFPT"

#: Options of which one, at most, can be given.
_EXCLUSIVE = (_MAJOR, "denX#", "feX#", "xeX#", "odeX#", "hHeX#", "fj", "hHj")

#: What goes with what is shown or changed; nothing goes with the others.
_WITH = {
    "p": "eX#fhHCxdnoj",
    "M": "eX#foxj",
    "F": "efhHoxj",
    "P": "eXfhHoxj",
}

#: In the order of messages.
_ORDER = "aAbCdefFhHjlmMnopPtTxX#"

_KINDS = {
    "builtin": Kind.BUILTIN,
    "service": Kind.SERVICE,
    "user": Kind.USER,
    "all": Kind.ALL,
}


@dataclass
class Options:
    """
    @ivar letters: those without a value, and C{o}, C{C}, C{T}, if given.
    @ivar folder: C{-c}.
    @ivar kinds: C{-C}.
    @ivar overrides: C{-o}.
    @ivar everywhere: C{-PP}.
    @ivar quiet: C{-q}.
    @ivar rest: arguments.
    """

    letters: set[str] = field(default_factory=set)
    folder: str = ""
    kinds: Kind = Kind.ALL
    overrides: list[str] = field(default_factory=list)
    everywhere: bool = False
    quiet: bool = False
    rest: Sequence[str] = ()
    tls: str = ""

    @property
    def major(self) -> str:
        return next(iter(self.letters & set(_MAJOR)))

    @property
    def edit(self) -> str:
        """
        C{-e}, C{-X} or C{-#}, if the files are to be edited.
        """
        return "".join(f"-{letter}" for letter in self.letters & set("eX#"))

    @property
    def style(self) -> Style:
        letters = self.letters
        return Style(
            fold="f" in letters,
            named="h" not in letters,
            valued="H" not in letters,
            expand="x" in letters,
            json="j" in letters,
        )


class Postconf(Tool):
    """
    What it says quotes files of others.
    """

    def __init__(self) -> None:
        super().__init__("postconf", USAGE, 1)

    def say(self, text: str) -> None:
        super().say(printable(text))


def printable(text: str) -> str:
    """
    @return: with question marks for what a terminal could take for an order.
    """
    return _ORDERS.sub("?", text)


_ORDERS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def main(arguments: Sequence[str] | None = None) -> int:
    """
    @return: the exit status.
    """
    given = sys.argv[1:] if arguments is None else arguments
    tool = Postconf()
    return tool.run(lambda: Command(tool, options(tool, given)).run())


def options(tool: Tool, given: Sequence[str]) -> Options:
    """
    @raise Fatal: they are wrong, or do not go together.
    """
    found = Options()
    pairs, found.rest = tool.options(given, "aAbc:C:defFhHjlmMno:pPqtT:vxX#")
    for letter, value in pairs:
        if letter in "vq":
            found.quiet |= letter == "q"
            continue
        if letter == "c":
            found.folder = value
            continue
        if letter == "C":
            found.kinds = _kinds(value)
        elif letter == "o":
            found.overrides.append(value)
        elif letter == "P":
            found.everywhere = "P" in found.letters
        elif letter == "T":
            if "T" in found.letters:
                raise Fatal("At most one -T <mode> option may be specified")
            found.tls = value
        found.letters.add(letter)
    letters = found.letters
    if not letters & set(_MAJOR):
        letters.add("p")
    if letters & set(_WITH) and found.rest and "=" in found.rest[0]:
        letters.add("e")
    _check(letters)
    if "e" in letters and not found.rest:
        raise Fatal("-e requires name=value argument")
    return found


def _kinds(text: str) -> Kind:
    kinds = Kind.HIDDEN
    for word in text.replace(",", " ").split():
        if word.lower() not in _KINDS:
            raise Fatal(f'unknown -C option value "{word}" in "{text}"')
        kinds |= _KINDS[word.lower()]
    return kinds


def _check(letters: set[str]) -> None:
    if {"b", "t"} <= letters:
        raise Fatal("specify one of -b and -t")
    for group in _EXCLUSIVE:
        both = [letter for letter in _ORDER if letter in letters & set(group)]
        if len(both) > 1:
            raise Fatal(f"specify one of {_named(both)}")
    (major,) = letters & set(_MAJOR)
    others = letters - {major} - set(_WITH.get(major, ""))
    if others:
        excess = [letter for letter in _ORDER if letter in others]
        raise Fatal(f"with option -{major}, do not specify {_named(excess)}")


def _named(letters: Sequence[str]) -> str:
    return " ".join(f"-{letter}" for letter in letters)


class Command:
    """
    One call.
    """

    def __init__(self, tool: Tool, given: Options) -> None:
        self._tool = tool
        self._options = given
        self._files = Files(config_directory(given.folder))

    def run(self) -> None:
        """
        Do what the options say.
        """
        given = self._options
        os.umask(0o022)
        if given.edit:
            self._edit()
        elif given.major in "MFP":
            self._show_master()
        elif given.major == "p":
            self._show_main()
        else:
            self._show_other(given.major)

    def _warn(self, text: str) -> None:
        self._tool.say(f"warning: {text}")

    def _edit(self) -> None:
        # Here, as other modules below: most calls only show something.
        from txmta.admin.postconf_edit import Edit, edit_main
        from txmta.admin.postconf_edit_master import MasterEditor, What

        given, files = self._options, self._files
        edit = Edit(given.edit)
        if not given.rest:
            raise Fatal("missing service argument")
        what = {"M": What.ENTRY, "F": What.FIELD, "P": What.PARAMETER}.get(given.major)
        if what is None:
            edit_main(files.main_path, given.rest, edit, self._warn)
        else:
            editor = MasterEditor(files.master_path, what, edit, self._warn)
            editor.run(given.rest)

    def _known(self) -> Known:
        def machine() -> System:
            from txmta.config.system import this_machine

            return this_machine()

        return Known(machine, "postconf")

    def _show_main(self) -> None:
        given, files = self._options, self._files
        defaults = "d" in given.letters
        if not defaults:
            read_main(files, self._warn)
            override(files, given.overrides)
        known = self._known()
        read_master(files, self._warn, needed=False)
        known.add_services([service.line for service in files.services])
        values = Values(files, known, self._warn, defaults)
        names = None if defaults else self._names(known, values)
        show = Show(values, known, given.style, write, self._warn)
        show.parameters(given.rest, given.kinds, "n" in given.letters)
        if names is not None and not given.quiet:
            names.tell(main=True)

    def _show_master(self) -> None:
        given, files = self._options, self._files
        read_master(files, self._warn, needed=True)
        read_main(files, self._warn)
        override(files, given.overrides)
        known = self._known()
        known.add_services([service.line for service in files.services])
        values = Values(files, known, self._warn)
        names = self._names(known, values)
        show = Show(values, known, given.style, write, self._warn)
        if given.major == "M":
            show.entries(files.services, given.rest)
        elif given.major == "F":
            show.fields(files.services, given.rest)
        else:
            show.overrides(files.services, given.rest, given.everywhere)
        if not given.quiet:
            names.tell(main=False)

    def _names(self, known: Known, values: Values) -> Names:
        names = Names(self._files, known, values, self._warn)
        checks = not self._options.quiet
        names.look(Databases(self._files, values, self._warn, checks))
        return names

    def _show_other(self, major: str) -> None:
        from txmta.admin.postconf_other import show_other

        given = self._options
        warn: Callable[[str], None] = self._warn
        show_other(major, given.tls, self._files, given.rest, warn)


if __name__ == "__main__":
    sys.exit(main())
