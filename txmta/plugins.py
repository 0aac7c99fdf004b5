"""
Find Twisted plug-ins, and those that cannot be loaded.

C{getPlugins} logs what it cannot load, and goes on without it. The log that it
writes to is not the mail log, so an administrator would only see that
something he has installed is not there.

A search costs two megabytes of memory that a process would share else; so
children are told what was found when the configuration was read.

Owns: telling what is wrong with a plug-in; where plug-ins are.
Knows nothing of: what plug-ins are for.

Sources: C{twisted.plugin}.

Errors: none; what cannot be loaded is in the result.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

from twisted.plugin import getCache
from twisted.python.modules import getModule

import twisted.plugins

#: By the name of an interface, what was found, and what is known without a
#: search: C{"package.module:name"}.
_found: dict[str, Sequence[str]] = {}
_known: dict[str, Sequence[str]] = {}


@dataclass(frozen=True, slots=True)
class Found:
    """
    @ivar plugins: providers of the interface.
    @ivar broken: modules and plug-ins that cannot be loaded, one line each,
        with the error.
    """

    plugins: Sequence[Any]
    broken: Sequence[str]


def find(interface: Any, package: ModuleType = twisted.plugins) -> Found:
    """
    @param interface: what plug-ins must provide.
    @param package: where they are; for tests.
    """
    known = _known.get(interface.__identifier__)
    if known is not None and package is twisted.plugins:
        return _load(interface, known, [])
    broken: list[str] = []
    cache = getCache(package)
    for module in getModule(package.__name__).iterModules():
        # What is not in the cache could not be imported a moment ago.
        if module.name.rpartition(".")[2] not in cache:
            try:
                module.load()
            except (Exception, SystemExit) as e:
                broken.append(_broken(module.filePath.path, e))
    places = [
        f"{dropin.moduleName}:{cached.name}"
        for dropin in cache.values()
        for cached in dropin.plugins
        if any(each.isOrExtends(interface) for each in cached.provided)
    ]
    if package is twisted.plugins:
        _found[interface.__identifier__] = places
    return _load(interface, places, broken)


def places() -> Mapping[str, Sequence[str]]:
    """
    @return: what this process has found, for L{remember} in another one.
    """
    return dict(_found)


def remember(places: Mapping[str, Sequence[str]]) -> None:
    """
    @param places: of these interfaces no plug-ins are searched any more.
    """
    _known.clear()
    _known.update(places)


def _load(interface: Any, places: Iterable[str], broken: list[str]) -> Found:
    plugins: list[Any] = []
    for place in places:
        module, _, name = place.partition(":")
        try:
            plugins.append(interface(getattr(import_module(module), name)))
        except (Exception, SystemExit) as e:
            broken.append(_broken(f"{module}.{name}", e))
    return Found(plugins, broken)


def trouble(error: BaseException) -> str:
    """
    @return: an error as one line, with its kind.
    """
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text:.500}" if text else type(error).__name__


def _broken(what: str, error: BaseException) -> str:
    return (
        f"plug-in {what} cannot be loaded: {trouble(error)}: "
        "mend or remove it, or install what it needs"
    )
