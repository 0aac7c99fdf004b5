"""
The command lines of C{postmap} and C{postalias}.

Owns: which options there are, what each asks for, which of them clash.
Knows nothing of: tables, files.

Sources: Postfix's postmap(1), postalias(1); C{postmap/postmap.c}.

Errors: L{Misused}, L{Clash}.
"""

from __future__ import annotations

import getopt
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

#: For getopt(3).
POSTMAP = "Nbc:d:fFhijmnopq:rsuUvw"
POSTALIAS = "Nc:d:fijnopq:rsuvw"

USAGE = {
    "postmap": "postmap [-bfFhijmnNoprsuUvw] [-c config_dir] [-d key] [-q key] "
    "[map_type:]file...",
    "postalias": "postalias [-Nfijnoprsuvw] [-c config_dir] [-d key] [-q key] "
    "[map_type:]file...",
}

#: What an update does with a key that is there already.
WARN, IGNORE, REPLACE = "warn", "ignore", "replace"


class Mode(Enum):
    """
    What is done with the tables.
    """

    BUILD = "make it of its text"
    ADD = "add what standard input has"
    QUERY = "look a key up"
    DELETE = "take a key out"
    LIST = "show all of it"


_MODES = {"d": Mode.DELETE, "i": Mode.ADD, "q": Mode.QUERY, "s": Mode.LIST}


class Misused(Exception):
    """
    The usage is told.
    """


class Clash(Exception):
    """
    Options that do not go together; in Postfix's words.
    """


@dataclass
class Options:
    """
    @ivar key: for QUERY and DELETE; C{-}: all of standard input.
    @ivar folder: where main.cf is; C{""}: not said.
    @ivar tables: as they are written.
    @ivar fold: keys are folded to lower case.
    @ivar files: values are names of files whose content is meant.
    @ivar nulls: whether keys and values of an index end with a NUL; L{None}: as
        is usual.
    @ivar headers: keys are the headers of a message on standard input.
    @ivar body: keys are the lines of its body.
    @ivar parts: look into its parts.
    @ivar utf8: keys and values are UTF-8, as smtputf8_enable says.
    @ivar force_utf8: also those of a message.
    @ivar duplicates: WARN, IGNORE or REPLACE.
    @ivar as_owner: root writes as the owner of the text.
    @ivar keep_mode: an index is readable for whom the text is.
    @ivar json: write objects.
    """

    mode: Mode = Mode.BUILD
    key: str = ""
    folder: str = ""
    tables: Sequence[str] = ()
    fold: bool = True
    files: bool = False
    nulls: bool | None = None
    headers: bool = False
    body: bool = False
    parts: bool = False
    utf8: bool = True
    force_utf8: bool = False
    duplicates: str = WARN
    as_owner: bool = True
    keep_mode: bool = True
    json: bool = False

    def check(self) -> str:
        """
        What Postfix checks after main.cf is read.

        @return: a warning, or C{""}.
        @raise Clash: C{-b}, C{-h}, C{-m} without C{-q -}.
        """
        if not (self.headers or self.body or self.parts):
            return ""
        if self.mode is not Mode.QUERY or self.key != "-":
            raise Clash('specify -b -h or -m only with "-q -"')
        if not (self.headers or self.body):
            return "ignoring -m option without -b or -h"
        if not self.force_utf8:
            self.utf8 = False
        return ""


_FLAGS: dict[str, tuple[str, object]] = {
    "N": ("nulls", True),
    "n": ("nulls", False),
    "b": ("body", True),
    "f": ("fold", False),
    "F": ("files", True),
    "h": ("headers", True),
    "j": ("json", True),
    "m": ("parts", True),
    "o": ("as_owner", False),
    "p": ("keep_mode", False),
    "r": ("duplicates", REPLACE),
    "u": ("utf8", False),
    "U": ("force_utf8", True),
    "w": ("duplicates", IGNORE),
}


def parse(arguments: Sequence[str], known: str) -> Options:
    """
    @param known: L{POSTMAP} or L{POSTALIAS}.
    @raise getopt.GetoptError: an option that there is not, or without its value.
    @raise Clash: options that do not go together.
    @raise Misused: no table.
    """
    options = Options()
    found, options.tables = getopt.getopt(list(arguments), known)
    for option, value in found:
        letter = option[1:]
        if letter in _MODES:
            if options.mode is not Mode.BUILD:
                raise Clash("specify only one of -d -i -q or -s")
            options.mode, options.key = _MODES[letter], value
        elif letter == "c":
            options.folder = value
        elif letter in _FLAGS:
            name, setting = _FLAGS[letter]
            setattr(options, name, setting)
    return options
