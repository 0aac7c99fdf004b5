"""
Twisted's log has no line for each connection.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

from twisted.internet.protocol import AbstractDatagramProtocol, Factory
from twisted.trial.unittest import SynchronousTestCase

import txmta


def ours() -> Iterator[type]:
    """
    @return: all classes that are defined in txmta.
    """
    for info in pkgutil.walk_packages(txmta.__path__, "txmta."):
        module = importlib.import_module(info.name)
        for value in vars(module).values():
            if isinstance(value, type) and value.__module__ == info.name:
                yield value


class QuietTests(SynchronousTestCase):
    def test_not_noisy(self) -> None:
        """
        No factory and no datagram protocol tells that it starts or stops.
        """
        found = [c for c in ours() if issubclass(c, Factory | AbstractDatagramProtocol)]
        self.assertGreaterEqual(len(found), 3)
        noisy = [c.__qualname__ for c in found if getattr(c, "noisy", False)]
        self.assertEqual(noisy, [])
