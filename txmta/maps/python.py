"""
C{python:package.module.function}: a function that is asked.

The function gets the key as it is, and gives a string, or L{None} for "not
found", or a Deferred or coroutine of these. It runs in the process that asks
and holds up everything while it runs: what waits for a disk or a network must
give a Deferred, with a time-out of its own.

The module comes from where Python finds modules: what is installed with txmta,
or in the directory where it was started, unless anybody may write there. Its
name comes from the configuration, which may name any code, as master.cf may
name any program; nothing of a key gets into it.

Owns: finding the function; that what it raises or gives by mistake is "cannot
    say".
Knows nothing of: what it does.

Errors: L{ConfigError<txmta.errors.ConfigError>} when there is no such
function.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from inspect import iscoroutine
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.plugin import IPlugin
from zope.interface import implementer

from txmta.errors import ConfigError, TableUnavailable
from txmta.interfaces import ITable, ITableType
from txmta.maps.context import TableContext

#: Characters of an answer, and of what an exception says.
MAX_VALUE = 100_000
MAX_REASON = 200

_NAME = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\.([A-Za-z_]\w*)", re.ASCII)


@implementer(ITable)
class FunctionTable:
    def __init__(self, spec: str, function: Callable[[str], object]) -> None:
        """
        @param spec: C{python:package.module.function}, for messages.
        """
        self._spec = spec
        self._function = function

    def lookup(self, key: str) -> str | Deferred[str | None] | None:
        # Whatever goes wrong in code that is not ours: temporary.
        try:
            answer = self._function(key)
        except Exception as e:
            raise self._failed(e) from e
        if iscoroutine(answer):
            answer = Deferred.fromCoroutine(answer)
        if isinstance(answer, Deferred):
            return Deferred.fromCoroutine(self._later(answer))
        return self._checked(answer)

    async def _later(self, answer: Deferred[Any]) -> str | None:
        try:
            found = await answer
        except Exception as e:
            raise self._failed(e) from e
        return self._checked(found)

    def _checked(self, answer: object) -> str | None:
        if answer is None:
            return None
        if not isinstance(answer, str):
            reason = f"gave {type(answer).__name__}, and not str or None"
        elif len(answer) > MAX_VALUE:
            reason = f"gave more than {MAX_VALUE} characters"
        else:
            return answer
        raise TableUnavailable(self._spec, reason)

    def _failed(self, error: Exception) -> TableUnavailable:
        if isinstance(error, TableUnavailable):
            return error
        return TableUnavailable(self._spec, _told(error))


def _anybody_writes(package: str) -> str:
    """
    @param package: without dots: it is looked for and not imported.
    @return: a file or directory that it is in, if every user of the machine
        may change it.
    """
    spec = find_spec(package)
    if spec is None:
        return ""
    places: list[str] = []
    for folder in spec.submodule_search_locations or ():
        places += [folder, os.path.dirname(folder)]
    if spec.has_location and spec.origin:
        places += [spec.origin, os.path.dirname(spec.origin)]
    for place in places:
        try:
            if os.stat(place).st_mode & stat.S_IWOTH:
                return place
        except OSError:
            continue  # the import will say so
    return ""


def _told(error: BaseException) -> str:
    text = re.sub(r"\s+", " ", str(error)[:MAX_REASON])
    return f"{type(error).__name__}: {text}"


@implementer(IPlugin, ITableType)
class PythonType:
    prefix = "python"

    def open(self, name: str, context: object) -> FunctionTable:
        context = cast(TableContext, context)

        def refused(why: str) -> ConfigError:
            return ConfigError([f"{context.parameter}: {context.spec}: {why}"])

        match = _NAME.fullmatch(name)
        if match is None:
            raise refused("write python:module.function")
        try:
            place = _anybody_writes(match[1].partition(".")[0])
            if place:
                raise refused(f"module {match[1]}: anybody may write {place}")
            module = import_module(match[1])
        except ConfigError:
            raise
        # SystemExit: a script without "if __name__ == '__main__'".
        except (Exception, SystemExit) as e:
            raise refused(f"module {match[1]}: {_told(e)}") from e
        function = getattr(module, match[2], None)
        if not callable(function):
            raise refused(f"module {match[1]} has no function {match[2]}")
        return FunctionTable(context.spec, function)
