"""
What a kind of restriction is.

Owns: these values.
Knows nothing of: which kinds there are (L{txmta.smtp.access.registry}).

Sources: Postfix C{smtpd/smtpd_check.c} (generic_checks).

Errors: none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from twisted.internet.defer import Deferred

from txmta.config.settings import Settings
from txmta.interfaces import IClientList, ITable
from txmta.smtp.access.check import (
    Answer,
    Check,
    Restriction,
    Step,
    Trouble,
    Verdict,
    World,
)

T = TypeVar("T")
NEXT, PERMIT = Verdict.NEXT, Verdict.PERMIT


def no_table(item: str) -> ITable:
    """
    Of who has no tables.
    """
    raise AssertionError(f"{item}: there are no tables here")


def no_list(parameter: str) -> IClientList:
    """
    Of who has no lists.
    """
    raise AssertionError(f"{parameter}: there are no lists here")


def no_steps(value: str, default: str) -> tuple[Step, ...] | None:
    """
    No value is a list of restrictions.
    """
    return None


@dataclass(frozen=True)
class Tools:
    """
    What restrictions are made of.

    @ivar open_table: opens C{type:name}.
    @ivar open_list: makes a match list of the items of the parameter named.
    @ivar read: compiles the value of an access table that is a list of
        restrictions, given what a table alone means there; L{None}: it is none.
    """

    settings: Settings
    world: World
    open_table: Callable[[str], ITable] = no_table
    open_list: Callable[[str], IClientList] = no_list
    read: Callable[[str, str], tuple[Step, ...] | None] = no_steps


@dataclass(frozen=True)
class Kind:
    """
    A restriction that main.cf can name.

    @ivar name: in lower case.
    @ivar takes: its argument: C{""} none, C{"table"}, C{"name"} of a DNS list
        and the like, C{"server"}, C{"number"}.
    @ivar make: given the argument.
    """

    name: str
    takes: str
    make: Callable[[Tools, str], Restriction]


def plain(restriction: Restriction, name: str = "") -> Kind:
    """
    A restriction that needs no tools.

    @param name: if not that of the function.
    """
    return Kind(name or restriction.__name__, "", lambda tools, argument: restriction)


def chain(
    value: T | Deferred[T], then: Callable[[T], Answer | Deferred[Answer]]
) -> Answer | Deferred[Answer]:
    """
    Go on with a value that is known at once, or later.
    """
    if isinstance(value, Deferred):
        return value.addCallback(then)
    return then(value)


def permit_if(yes: bool) -> Answer:
    return PERMIT if yes else NEXT


def server_error(check: Check, text: str) -> Answer:
    """
    @param text: for the log: what is wrong with the configuration.
    """
    check.note("warning", text)
    return Trouble(451, "4.3.5", "Server configuration error")
