"""
C{postmap}: ask lookup tables, make them, change them.

Owns: what is done with each table, and what is written.
Knows nothing of: options (L{txmta.admin.postmap_options}), how tables are opened
    (L{txmta.admin.postmap_tables}) and made (L{txmta.admin.postmap_build}).

Twisted is not imported for what is read from a text or an index file.

Sources: Postfix's postmap(1), postalias(1); C{postmap/postmap.c},
C{postalias/postalias.c}.

Errors: one line on standard error, in Postfix's words; exit status 1, also for
what is not found.
"""

from __future__ import annotations

import getopt
import sys
from collections.abc import Iterable, Sequence

from txmta.admin.common import Fatal, Tool, main_cf, write
from txmta.admin.postmap_options import (
    POSTALIAS,
    POSTMAP,
    USAGE,
    Clash,
    Mode,
    Options,
    parse,
)
from txmta.admin.postmap_tables import Opener, ask, entries, told
from txmta.errors import TableUnavailable
from txmta.maps.context import Manner
from txmta.maps.file_values import decoded
from txmta.maps.text import is_utf8, masked
from txmta.tables import ITable

_NOT_UTF8 = "malformed UTF-8 or invalid codepoint"


def main(arguments: Sequence[str] | None = None, name: str = "postmap") -> int:
    """
    @param name: of the command.
    @return: the exit status.
    """
    given = sys.argv[1:] if arguments is None else arguments
    tool = Tool(name, USAGE[name], 1)
    good = False

    def work() -> None:
        nonlocal good
        try:
            good = Run(tool, _options(tool, given)).run()
        except BrokenPipeError:
            good = True  # "postmap -s ... | head"
            raise

    return tool.run(work) or int(not good)


def _options(tool: Tool, arguments: Sequence[str]) -> Options:
    try:
        return parse(arguments, POSTALIAS if tool.name == "postalias" else POSTMAP)
    except getopt.GetoptError as e:
        needs = "requires argument" in e.msg
        what = "option requires an argument" if needs else "invalid option"
        tool.say(f"{what} -- '{e.opt}'")
        raise tool.misused() from e
    except Clash as e:
        raise Fatal(str(e)) from e


class Run:
    """
    One command.
    """

    def __init__(self, tool: Tool, options: Options) -> None:
        self._tool = tool
        self._options = options
        self._aliases = tool.name == "postalias"
        settings = main_cf(options.folder)
        self._default_type = settings.text("default_database_type")
        options.utf8 &= settings.text("smtputf8_enable") == "yes"

    def run(self) -> bool:
        """
        @return: it is there, or it is done.
        """
        options = self._options
        try:
            warning = options.check()
        except Clash as e:
            raise Fatal(str(e)) from e
        if warning:
            self._warn(warning)
        if not options.tables:
            if options.mode is Mode.LIST:
                return False
            raise self._tool.misused()
        fold = str.casefold if options.utf8 else ascii_lower
        self._manner = Manner(fold if options.fold else str, options.files, True)
        self._opener = Opener(self._manner, self._aliases, self._tool.say)
        try:
            return self._do()
        except TableUnavailable as e:
            reason = e.reason
            if not reason.partition(":")[0].endswith("error"):
                reason = f"query error: {reason}"
            raise Fatal(f"table {e.table}: {reason}") from e
        except BrokenPipeError:
            raise
        except OSError as e:
            raise Fatal(f"{e.filename or 'standard output'}: {e.strerror}") from e

    def _do(self) -> bool:
        mode = self._options.mode
        if mode is Mode.DELETE:
            return self._delete()
        if mode is Mode.LIST:
            return self._list(self._options.tables[0])
        if mode is Mode.QUERY:
            return self._query()
        return self._make()

    def _warn(self, text: str) -> None:
        self._tool.say(f"warning: {text}")

    def _split(self, table: str) -> tuple[str, str]:
        """
        @return: type and name.
        """
        prefix, colon, name = table.partition(":")
        return (prefix, name) if colon else (self._default_type, table)

    def _query(self) -> bool:
        """
        The first table that has a key answers; none is opened before it is
        asked.
        """
        options = self._options
        opened: dict[str, ITable] = {}
        found = False
        for key in self._keys():
            for spec in map(":".join, map(self._split, options.tables)):
                if spec not in opened:
                    opened[spec] = self._opener.open(*spec.split(":", 1))
                value = self._answer(spec, opened[spec], key)
                if value is not None:
                    found = True
                    self._tell_empty(spec, key, value)
                    self._write(key, value, options.key == "-" or options.json)
                    break
        return found

    def _keys(self) -> Iterable[str]:
        options = self._options
        if options.key != "-":
            return (options.key,)
        lines = sys.stdin.buffer
        if options.headers or options.body:
            from txmta.admin.postmap_keys import message_keys

            return message_keys(lines, options.headers, options.body, options.parts)
        return map(_line, lines)

    def _answer(self, spec: str, table: ITable, key: str) -> str | None:
        checked = self._options.utf8
        what = told(*spec.split(":", 1))
        if checked and not is_utf8(key):
            self._warn(f'{what}: non-UTF-8 key "{masked(key)}": {_NOT_UTF8}')
            return None
        value = ask(table, key)
        if value is None:
            return None
        if checked and not is_utf8(value):
            self._warn(
                f'{what}: key "{masked(key)}": non-UTF-8 value "{masked(value)}": '
                f"{_NOT_UTF8}"
            )
            raise Fatal(f"table {what}: query error")
        # Keys that are made of a message are for patterns.
        if self._options.files and not (self._options.headers or self._options.body):
            try:
                return decoded(value)
            except ValueError as e:
                self._warn(f"table {what}: key {key}: {e}")
                raise Fatal(f"table {what}: query error") from e
        return value

    def _tell_empty(self, spec: str, key: str, value: str) -> None:
        if not value:
            self._warn(f"table {spec}: key {key}: empty string result is not allowed")
            self._warn(f"table {spec} should return NO RESULT in case of NOT FOUND")

    def _list(self, table: str) -> bool:
        prefix, name = self._split(table)
        spec = f"{prefix}:{name}"
        if prefix == "proxy":
            raise Fatal("can't sequence maps via the proxy service")
        for key, value in entries(spec, self._opener.open(prefix, name)):
            if not key:
                self._warn(f"table {spec}: empty lookup key value is not allowed")
            else:
                self._tell_empty(spec, key, value)
            if self._options.files:
                try:
                    value = decoded(value)
                except ValueError as e:
                    self._warn(f"table {told(prefix, name)}: key {key}: {e}")
                    continue
            self._write(key, value, True)
        return True

    def _write(self, key: str, value: str, with_key: bool) -> None:
        if self._options.json:
            import json

            write(json.dumps({_clean(key): _clean(value)}, ensure_ascii=False) + "\n")
        elif with_key:
            colon = ":" if self._aliases else ""
            write(f"{key}{colon}\t{value}\n")
        else:
            write(f"{value}\n")

    def _delete(self) -> bool:
        from txmta.admin.postmap_files import delete

        key = self._options.key
        keys = list(map(_line, sys.stdin.buffer)) if key == "-" else [key]
        found = False
        for table in self._options.tables:
            prefix, name = self._split(table)
            found |= delete(
                *(prefix, name, keys, self._aliases, self._manner.fold),
                self._options.as_owner,
            )
        return found

    def _make(self) -> bool:
        from txmta.admin.postmap_build import Builder

        for table in self._options.tables:
            prefix, name = self._split(table)
            Builder(
                *(prefix, name, self._options, self._manner, self._aliases, self._warn)
            ).run()
        return True


def ascii_lower(text: str) -> str:
    """
    @return: with ASCII letters in lower case.
    """
    return text.translate(_LOWER)


_LOWER = {n: n + 32 for n in range(ord("A"), ord("Z") + 1)}


def _line(octets: bytes) -> str:
    """
    @return: a line of standard input, as a text of C.
    """
    text = octets.removesuffix(b"\n").partition(b"\0")[0]
    return text.decode("utf-8", "surrogateescape")


def _clean(text: str) -> str:
    """
    @return: what can be in JSON.
    """
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


if __name__ == "__main__":
    sys.exit(main())
