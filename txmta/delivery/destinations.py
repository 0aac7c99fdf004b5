"""
What a local recipient expands to.

Sources: Postfix C{local/local.h}; RFC 3461 section 5.2.7.

Errors: none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from txmta.delivery.questions import Account, Names


class Ties(Enum):
    """
    What binds a new message to the old recipient (RFC 3461 section 5.2.7).
    """

    FULL = "full"  # it is the same recipient, elsewhere
    ALIAS = "alias"  # whoever sent it hears of all but success
    LIST = "list"  # the list's owner is the sender


@dataclass(frozen=True, slots=True)
class Onward:
    """
    What addresses elsewhere must share to share a message.

    @ivar delivered: for Delivered-To.
    """

    delivered: str
    sender: str
    ties: Ties = Ties.ALIAS


@dataclass(frozen=True, slots=True)
class ToMailbox:
    """
    Put it into a user's mailbox.

    @ivar address: of the mailbox.
    @ivar sender: envelope sender, which an owner- alias may have changed.
    @ivar delivered: for Delivered-To.
    @ivar original: for X-Original-To, or C{""}.
    @ivar alone: who asks for C{address} gets this, and nothing else; not so
        for users who list themselves in an alias or .forward file.
    """

    account: Account
    address: str
    sender: str
    delivered: str
    original: str
    alone: bool = True


@dataclass(frozen=True, slots=True)
class ToFile:
    """
    Append it to a file, or put it into a Maildir.

    @ivar account: with whose rights; L{None} for those of default_privs.
    """

    path: str
    account: Account | None
    address: str
    sender: str
    delivered: str
    original: str

    @property
    def alone(self) -> bool:
        """
        What stands beside it in an alias or file may be more.
        """
        return False


@dataclass(frozen=True, slots=True)
class ToCommand:
    """
    Run a command.

    @ivar account: with whose rights; L{None} for those of default_privs.
    @ivar names: on whose behalf.
    @ivar alone: as in L{ToMailbox}.
    """

    command: str
    account: Account | None
    names: Names
    sender: str
    delivered: str
    original: str
    alone: bool = False

    @property
    def address(self) -> str:
        """
        As in C{names}.
        """
        return self.names.address


@dataclass(frozen=True, slots=True)
class ToTransport:
    """
    Let another transport deliver it.

    @ivar transport: C{name} or C{name:nexthop}.
    @ivar alone: as in L{ToMailbox}.
    """

    transport: str
    address: str
    sender: str
    delivered: str
    alone: bool = True


@dataclass(frozen=True, slots=True)
class Problem:
    """
    A branch of the expansion that comes to nothing.

    @ivar address: to which it would have gone.
    @ivar status: 5.x.x bounces, 4.x.x defers.
    @ivar sender: who hears of it.
    @ivar alone: as in L{ToMailbox}.
    @ivar diagnostic: as in L{Outcome<txmta.model.Outcome>}.
    """

    address: str
    status: str
    reason: str
    sender: str
    alone: bool = True
    diagnostic: str = ""


@dataclass(slots=True)
class Expansion:
    """
    All that a recipient expands to.

    @ivar forwards: addresses elsewhere.
    @ivar warnings: for the log.
    @ivar discarded: mail for a required name that nobody reads.
    @ivar ties: what became of the recipient itself: an alias, a list, or
        nothing of the kind.
    """

    mailboxes: list[ToMailbox] = field(default_factory=list)
    files: list[ToFile] = field(default_factory=list)
    commands: list[ToCommand] = field(default_factory=list)
    transports: list[ToTransport] = field(default_factory=list)
    forwards: dict[Onward, list[str]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    discarded: bool = False
    ties: Ties = Ties.FULL

    def is_empty(self) -> bool:
        """
        Nobody gets it, and nobody is told.
        """
        leaves = self.mailboxes or self.files or self.commands or self.transports
        return not (leaves or self.forwards or self.problems or self.discarded)
