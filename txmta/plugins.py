"""
Find Twisted plug-ins, and those that cannot be loaded.

C{getPlugins} logs what it cannot load, and goes on without it. The log that it
writes to is not the mail log, so an administrator would only see that
something he has installed is not there.

Owns: telling what is wrong with a plug-in.
Knows nothing of: what plug-ins are for.

Sources: C{twisted.plugin}.

Errors: none; what cannot be loaded is in the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from twisted.plugin import getCache
from twisted.python.modules import getModule

import twisted.plugins


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
    plugins: list[Any] = []
    broken: list[str] = []
    cache = getCache(package)
    for module in getModule(package.__name__).iterModules():
        # What is not in the cache could not be imported a moment ago.
        if module.name.rpartition(".")[2] not in cache:
            try:
                module.load()
            except (Exception, SystemExit) as e:
                broken.append(_broken(module.filePath.path, e))
    for dropin in cache.values():
        for cached in dropin.plugins:
            if not any(each.isOrExtends(interface) for each in cached.provided):
                continue
            try:
                plugins.append(interface(cached))
            except (Exception, SystemExit) as e:
                broken.append(_broken(f"{dropin.moduleName}.{cached.name}", e))
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
