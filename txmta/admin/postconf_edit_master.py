"""
C{postconf -e}, C{-X} and C{-#} with C{-M}, C{-F} or C{-P}.

Owns: what becomes of an entry of master.cf.
Knows nothing of: how a file is replaced (L{txmta.admin.postconf_edit}).

Sources: Postfix's postconf(1). Debian's C{postconf} is the oracle of the tests.
Unlike there, comments that follow an entry stay behind it.

Errors: L{Fatal<txmta.admin.common.Fatal>}; the file is as it was, then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from txmta.admin.common import Fatal
from txmta.admin.postconf_edit import Edit, Line, lines_of, replaced
from txmta.admin.postconf_patterns import ANY, Pattern, column, pattern
from txmta.admin.postconf_print import entry_line
from txmta.config.master_lines import (
    BLANKS,
    COMMAND,
    SPACE,
    BadFieldCount,
    MasterLine,
    check,
    normal,
    parse,
    split_name_value,
    words,
)

Warn = Callable[[str], None]

_OPTIONS = "-Me, -Fe, -Pe, -X, or -#"


class What(Enum):
    """
    What of an entry is edited, and how it is named.
    """

    ENTRY = "-Me, -MX or -M# requires service_name/type"
    FIELD = "-Fe or -FX requires service_name/type/field_name"
    PARAMETER = "-Pe or -PX requires service_name/type/parameter"


@dataclass
class Request:
    """
    @ivar value: what to set.
    @ivar entry: the whole of it, if an entry is to be set.
    """

    pattern: Pattern
    value: str
    entry: MasterLine | None = None

    def is_of(self, name: str, kind: str) -> bool:
        if self.pattern.matches(name, kind):
            return True
        entry = self.entry
        return entry is not None and (entry.name, entry.kind) == (name, kind)


class MasterEditor:
    def __init__(self, path: str, what: What, edit: Edit, warn: Warn) -> None:
        """
        @param path: of master.cf.
        """
        self._path = path
        self._what = what
        self._edit = edit
        self._warn = warn

    def run(self, arguments: Sequence[str]) -> None:
        """
        @param arguments: C{service/type=entry}, C{service/type/column=value},
            C{service/type/parameter=value}, or what to remove or comment out.
        """
        requests = [self._request(argument) for argument in arguments]
        if self._what is What.ENTRY and self._edit is Edit.SET:
            for request in requests:
                quoted = f': "{request.pattern.text}"'
                request.entry = self._parsed(request.value, quoted)
        with replaced(self._path) as edited:
            for line in lines_of(edited.text):
                edited.add(self._line(line, requests))
            for request in requests:
                if request.pattern.matched:
                    continue
                if request.entry is not None:
                    edited.add(entry_line(request.entry, True))
                elif self._what is not What.ENTRY:
                    text = request.pattern.text
                    self._warn(f'unmatched service_name/type: "{text}"')

    def _request(self, argument: str) -> Request:
        if "\n" in argument:
            raise Fatal(f"{_OPTIONS} accept no multi-line input")
        text = argument.lstrip(SPACE)
        if text.startswith("#"):
            raise Fatal(f"{_OPTIONS} accept no comment input")
        value = ""
        if self._edit is Edit.SET:
            try:
                text, value = split_name_value(text)
            except ValueError as e:
                raise Fatal(f'{e}: "{argument}"') from e
        elif "=" in text:
            raise Fatal("-X or -# requires names without value")
        parts = 2 if self._what is What.ENTRY else 3
        text = text.rstrip(SPACE)
        found = pattern(text, parts, parts, self._what.value, argument)
        self._check(found, value)
        return Request(found, value)

    def _check(self, found: Pattern, value: str) -> None:
        blank = any(c in BLANKS for c in value)
        if self._what is What.FIELD:
            number = column(found.last)
            if number is None:
                raise Fatal("-Fe does not accept wild-card field name")
            if blank and number < COMMAND:
                raise Fatal("-Fe does not accept whitespace in non-command field")
        if self._what is What.PARAMETER:
            if found.last == ANY:
                raise Fatal("-Pe does not accept wild-card parameter name")
            if blank:
                raise Fatal("-Pe does not accept whitespace in parameter value")

    def _parsed(self, text: str, after: str = "", before: str = "") -> MasterLine:
        try:
            return parse(text, self._warn_of_master)
        except BadFieldCount as e:
            raise Fatal(f"{before}{e}{after}") from e
        except ValueError as e:
            raise Fatal(str(e)) from e

    def _warn_of_master(self, what: str) -> None:
        self._warn(f"master.cf: {what}")

    def _line(self, line: Line, requests: Sequence[Request]) -> str:
        """
        @return: what stands there instead of it.
        """
        if not line.head:
            return line.as_it_was()
        name, kind = self._name_and_type(line)
        matching = [request for request in requests if request.is_of(name, kind)]
        for request in matching:
            request.pattern.matched += 1
        if not matching:
            return line.as_it_was()
        if self._edit is Edit.COMMENT:
            return line.commented()
        if self._what is not What.ENTRY:
            return self._changed(line, matching)
        # Where it was first; other entries that it replaces go.
        new = [each.entry for each in matching if each.pattern.matched == 1]
        text = entry_line(new[-1], True) if new and new[-1] is not None else ""
        return text + line.comments()

    def _name_and_type(self, line: Line) -> tuple[str, str]:
        where = f"file {self._path}: line {line.number}"
        columns = line.head.split(None, 2)
        if len(columns) < 2:
            raise Fatal(f"{where}: specify service name and type on the same line")
        name, kind = columns[:2]
        if "=" in name:
            raise Fatal(
                f'{where}: service name syntax "{name}" is unsupported with {_OPTIONS}'
            )
        if "=" in kind or "/" in kind:
            raise Fatal(
                f'{where}: service type syntax "{kind}" is unsupported with {_OPTIONS}'
            )
        return name, kind

    def _changed(self, line: Line, requests: Sequence[Request]) -> str:
        where = f"file {self._path}: line {line.number}: "
        entry = self._parsed(line.text.replace("\n", " "), before=where)
        for request in requests:
            if self._what is What.FIELD:
                self._set_field(entry, request)
            else:
                self._set_parameter(entry, request)
        return entry_line(entry, True) + line.comments()

    def _set_field(self, entry: MasterLine, request: Request) -> None:
        number = column(request.pattern.last)
        assert number is not None  # checked before
        value = request.value
        if number == COMMAND:
            new = list(words(value))
            if not new:
                raise Fatal(f'invalid command field "" in "{request.pattern.text}"')
            entry.words[COMMAND:] = new[:1] + normal(new[1:], self._warn_of_master)
        else:
            entry.words[number] = value
        try:
            check(entry.words, value)
        except ValueError as e:
            raise Fatal(str(e)) from e
        if not entry.name:
            raise Fatal(f'invalid service field "" in "{request.pattern.text}"')

    def _set_parameter(self, entry: MasterLine, request: Request) -> None:
        name = request.pattern.last
        places = [at for at, found, _value in entry.overrides() if found == name]
        if self._edit is Edit.REMOVE:
            for at in reversed(places):
                del entry.words[at - 1 : at + 1]
            return
        for at in places:
            entry.words[at] = f"{name}={request.value}"
        if not places:
            end = entry.end_of_options()
            entry.words[end:end] = ["-o", f"{name}={request.value}"]
