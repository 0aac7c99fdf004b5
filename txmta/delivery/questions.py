"""
What the expansion of a local recipient asks, is told, and comes to.

Sources: Postfix C{local/local.h}.

Errors: none.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class LookUp:
    """
    A question: what has alias_maps for C{name}? Answer: text or L{None}.
    """

    name: str


@dataclass(frozen=True, slots=True)
class Resolve:
    """
    A question: what is C{address} in standard form, and do we deliver it?
    Answer: a L{Resolved}.
    """

    address: str


@dataclass(frozen=True, slots=True)
class FindUser:
    """
    A question: who is C{name}? Answer: an L{Account} or L{None}.
    """

    name: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """
    @ivar address: in standard form.
    @ivar local: delivered by this agent.
    """

    address: str
    local: bool


@dataclass(frozen=True, slots=True)
class Account:
    """
    A system user.
    """

    name: str
    uid: int
    gid: int
    home: str


Question: TypeAlias = LookUp | Resolve | FindUser
Answer: TypeAlias = str | Resolved | Account | None


@dataclass(frozen=True, slots=True)
class Rules:
    """
    The parameters that matter here, by their names; C{propagate} says whether
    propagate_unmatched_extensions has C{alias}.
    """

    recipient_delimiter: str = ""
    owner_request_special: bool = True
    expand_owner_alias: bool = False
    reset_owner_alias: bool = False
    frozen_delivered_to: bool = True
    propagate: bool = False


@dataclass(frozen=True, slots=True)
class Start:
    """
    The recipient to expand.

    @ivar sender: envelope sender.
    @ivar original: for X-Original-To, or C{""}.
    @ivar loops: what L{txmta.delivery.copy.delivered_to} found.
    """

    address: str
    sender: str
    original: str = ""
    loops: Set[bytes] = frozenset()


@dataclass(frozen=True, slots=True)
class ToMailbox:
    """
    Put it into a user's mailbox.

    @ivar address: of the mailbox.
    @ivar sender: envelope sender, which an owner- alias may have changed.
    @ivar delivered: for Delivered-To.
    @ivar original: for X-Original-To, or C{""}.
    """

    account: Account
    address: str
    sender: str
    delivered: str
    original: str


@dataclass(frozen=True, slots=True)
class Problem:
    """
    A branch of the expansion that comes to nothing.

    @ivar address: to which it would have gone.
    @ivar status: 5.x.x bounces, 4.x.x defers.
    @ivar sender: who hears of it.
    """

    address: str
    status: str
    reason: str
    sender: str


@dataclass(slots=True)
class Expansion:
    """
    All that a recipient expands to.

    @ivar forwards: addresses elsewhere, by (Delivered-To, sender).
    @ivar warnings: for the log.
    @ivar discarded: mail for a required name that nobody reads.
    """

    mailboxes: list[ToMailbox] = field(default_factory=list)
    forwards: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    discarded: bool = False
