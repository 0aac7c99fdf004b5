"""
Files of keys and certificates that are changed while the server runs.

Owns: how often is looked; that files which are being written are left in peace.
Knows nothing of: what is in them; how they are read anew (a reload).

Sources: stat(2).

Errors: none; a file that cannot be looked at has not changed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from txmta.config.settings import Settings
from txmta.config.snapshot import Configuration

#: Seconds between looks. Ours.
EVERY = 60.0

#: Files looked at, at most.
MOST = 1000

_PARAMETERS = tuple(
    f"{program}_tls_{name}"
    for program in ("smtpd", "smtp", "lmtp")
    for name in (
        *("chain_files", "cert_file", "key_file", "eccert_file", "eckey_file"),
        "CAfile",
    )
)

_Signature = tuple[int, int, int]


def paths(configuration: Configuration) -> Iterator[str]:
    """
    @return: absolute paths that main.cf and C{-o} of master.cf name.
    """
    yield from _paths(configuration.settings)
    for service in configuration.services:
        if any("_tls_" in name for name in service.overrides):
            yield from _paths(configuration.settings.override(service.overrides))


def _paths(settings: Settings) -> Iterator[str]:
    for name in _PARAMETERS:
        for word in settings.text(name).replace(",", " ").split():
            if word.startswith("/"):
                yield word


class Watch:
    """
    Tells when files have changed, and nobody writes to them any more.
    """

    def __init__(
        self, configuration: Callable[[], Configuration], changed: Callable[[], object]
    ) -> None:
        """
        @param configuration: the one that counts at that time.
        @param changed: reads it anew.
        """
        self._configuration = configuration
        self._changed = changed
        self._known = self._look()
        self._last = self._known

    def look(self) -> None:
        """
        Compare with what was there before.
        """
        found = self._look()
        # A certificate and its key are two files, perhaps.
        settled = found == self._last
        self._last = found
        both = found.keys() & self._known.keys()
        if settled and any(found[path] != self._known[path] for path in both):
            self._known = found
            self._changed()
        elif settled:
            self._known = found

    def _look(self) -> dict[str, _Signature]:
        found: dict[str, _Signature] = {}
        for path in paths(self._configuration()):
            if len(found) < MOST and path not in found:
                try:
                    status = os.stat(path)
                except OSError:
                    continue
                found[path] = status.st_mtime_ns, status.st_size, status.st_ino
        return found


def watch(
    clock: IReactorTime,
    configuration: Callable[[], Configuration],
    changed: Callable[[], object],
) -> LoopingCall:
    """
    Look at intervals, until the result is stopped.
    """
    call = LoopingCall(Watch(configuration, changed).look)
    call.clock = clock
    call.start(EVERY, now=False)
    return call
