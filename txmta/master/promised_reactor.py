"""
Import what wants a reactor at import, and have none.

C{twisted.mail.smtp} has C{from twisted.internet import reactor} at its top,
which would make one, with its descriptors, in the process that all others are
copies of. So it gets a promise, which leads to the reactor as soon as there is
one: after a fork, in the child.

Owns: the place of the reactor among the modules.
Knows nothing of: forking.

Sources: C{twisted.internet.main.installReactor}.

Errors: C{RuntimeError} for a use of the reactor that is not there.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, cast

import twisted.internet

#: The name of the module that is the reactor.
NAME = "twisted.internet.reactor"


class Promise(ModuleType):
    """
    Leads to the reactor.
    """

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)  # the import system asks
        real = sys.modules.get(NAME, self)
        if real is self:
            raise RuntimeError(f"reactor.{name} is used where there is no reactor")
        return getattr(real, name)


def promise() -> None:
    """
    From here on, who imports the reactor gets a promise.

    @raise RuntimeError: there is one.
    """
    if NAME in sys.modules:
        raise RuntimeError("there is a reactor already")
    made = Promise(NAME)
    sys.modules[NAME] = made
    cast(Any, twisted.internet).reactor = made


def is_promised() -> bool:
    """
    @return: whoever imported the reactor has got a promise.
    """
    return isinstance(sys.modules.get(NAME), Promise)


def withdraw() -> None:
    """
    Make room for the reactor; it is to be installed at once.
    """
    if is_promised():
        del sys.modules[NAME]
        del cast(Any, twisted.internet).reactor
