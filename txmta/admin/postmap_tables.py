"""
The tables that C{postmap} and C{postalias} ask.

Owns: opening a table at little cost; what is in it, for C{-s}.
Knows nothing of: options, output.

What is read from text, and index files, need no Twisted; other types are opened
as the server does.

Errors: L{ConfigError<txmta.errors.ConfigError>},
L{TableUnavailable<txmta.errors.TableUnavailable>}.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, cast

from txmta.errors import ConfigError, TableUnavailable
from txmta.maps.context import Manner, Ways
from txmta.maps.hash import INDEXED
from txmta.maps.registry import TableRegistry
from txmta.tables import ITable, ITableType

#: Types that need no Twisted: the module of each, its class, its arguments.
_LIGHT: dict[str, tuple[str, str, tuple[object, ...]]] = {
    "hash": ("hash", "TextType", ("hash",)),
    "btree": ("hash", "TextType", ("btree",)),
    "texthash": ("hash", "TextType", ("texthash",)),
    "cdb": ("indexed", "cdb_type", ()),
    "lmdb": ("indexed", "lmdb_type", ()),
    "cidr": ("cidr", "CidrType", ()),
    "environ": ("environ", "EnvironType", ()),
    "fail": ("fail", "FailType", ()),
    "internal": ("internal", "InternalType", ()),
    "inline": ("inline", "InlineType", ()),
    "pcre": ("pcre", "PcreType", ()),
    "randmap": ("randmap", "RandomType", ()),
    "regexp": ("regexp", "RegexpType", ()),
    "static": ("static", "StaticType", ()),
}

#: Types whose texts postalias reads in the format of aliases(5).
TEXTS = frozenset({"hash", "btree", "texthash", "cdb", "lmdb"})

#: Seconds that a table which asks a server may take.
_PATIENCE = 60.0

_NAME = "postmap"

# Of a table that stands inside another one.
_UNSUPPORTED = re.compile(r"(?:^|: )(unsupported dictionary type: \w+)(?:: |$)")


class Opener:
    """
    Opens tables for a command.
    """

    def __init__(
        self, manner: Manner, aliases: bool, say: Callable[[str], None]
    ) -> None:
        """
        @param aliases: texts are in the format of aliases(5).
        @param say: takes lines that are not errors.
        """
        self._ways = Ways(manner=manner, note=say)
        self._aliases = aliases
        self._say = say

    def _warn(self, text: str) -> None:
        self._say(f"warning: {text}")

    def open(self, prefix: str, name: str) -> ITable:
        """
        @raise ConfigError: in Postfix's words.
        """
        spec = f"{prefix}:{name}"
        if not prefix or not name:
            raise ConfigError(
                [f'open dictionary: expecting "type:name" form instead of "{spec}"']
            )
        types = [light(prefix)] if prefix in _LIGHT else None
        registry = TableRegistry(
            time.monotonic,
            # Of these postmap tells when it is run without an option.
            _ignore if prefix in INDEXED else self._warn,
            [spec] if self._aliases and prefix in TEXTS else [],
            types,
            ways=self._ways,
        )
        if types is None and not known(prefix, registry):
            raise ConfigError([f"unsupported dictionary type: {prefix}"])
        try:
            return registry.table(spec, _NAME)
        except ConfigError as e:
            raise ConfigError(
                [_plain(each, prefix, name) for each in e.problems]
            ) from e


def light(prefix: str) -> ITableType:
    """
    @param prefix: a type that needs no Twisted.
    """
    module, name, arguments = _LIGHT[prefix]
    made = getattr(import_module(f"txmta.maps.{module}"), name)(*arguments)
    return cast(ITableType, made)


def known(prefix: str, registry: TableRegistry | None = None) -> bool:
    """
    @return: there is such a type.
    """
    if prefix in _LIGHT:
        return True
    if registry is None:
        registry = TableRegistry(time.monotonic, lambda _: None)
    return registry.has(prefix)


def ask(table: ITable, key: str) -> str | None:
    """
    @raise TableUnavailable: it cannot say.
    """
    answer: Any = table.lookup(key)
    if answer is None or isinstance(answer, str):
        return answer
    return _wait(answer)


def _wait(answer: Any) -> str | None:
    """
    @param answer: a Deferred; nothing fires it while nobody runs a reactor, but
        for what blocked until it had an answer.
    """
    from twisted.internet import defer

    results: list[Any] = []
    defer.ensureDeferred(answer).addBoth(results.append)
    if not results:
        raise TableUnavailable("", "no answer: this type needs the running server")
    result = results[0]
    if result is None or isinstance(result, str):
        return result
    result.raiseException()
    return None


def told(prefix: str, name: str) -> str:
    """
    @return: a table as Postfix names it when something is wrong with what is in
        it.
    """
    ends = {"hash": ".db", "btree": ".db", "cdb": ".cdb"}
    return f"{prefix}:{name}{ends.get(prefix, '')}"


def entries(spec: str, table: ITable) -> Iterator[tuple[str, str]]:
    """
    @return: keys and values.
    @raise ConfigError: this type cannot tell.
    @raise TableUnavailable: it cannot say.
    """
    if spec.startswith("fail:"):
        raise TableUnavailable(spec, "sequence error: Application error")
    give = getattr(table, "items", None)
    found: Iterator[tuple[str, str]] | None = give and give()
    if found is None:
        what = told(*spec.split(":", 1))
        raise ConfigError([f"table {what}: sequence operation is not supported"])
    return found


def _plain(problem: str, prefix: str, name: str) -> str:
    """
    @return: without the parameter that there is not, and in Postfix's words if it
        has some.
    """
    spec = f"{prefix}:{name}"
    problem = problem.removeprefix(f"{_NAME}: ").removeprefix(f"{spec}: ")
    if match := _UNSUPPORTED.search(problem):
        return match[1]
    if problem.startswith("unknown table: "):
        return f"unknown table: {spec}"
    if problem.startswith("no address and name: "):
        return f"{prefix} requires server:socketmap argument"
    if problem == f"open {name}: not a regular file" and os.path.isdir(name):
        reason = "Is a directory"
        rules = prefix in ("cidr", "pcre", "regexp")
        return (
            f"{prefix} map {name}: read error: {reason}"
            if rules
            else (f"read {name}: {reason}")
        )
    if prefix == "texthash":
        return problem.replace(f"open {name}: ", f"open database {name}: ", 1)
    return problem


def _ignore(_: str) -> None:
    """
    It is told elsewhere.
    """
