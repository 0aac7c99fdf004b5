"""
What the expansion of a local recipient asks, and is told.

Sources: Postfix C{local/local.h}.

Errors: none.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from typing import TypeAlias

from txmta.address import split


@dataclass(frozen=True, slots=True)
class LookUp:
    """
    A question: what have the tables of C{parameter} for C{name}? Answer: text
    or L{None}.
    """

    name: str
    parameter: str = "alias_maps"


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
class AliasOwner:
    """
    A question: who owns the table that has the alias C{name}? Answer: an
    L{Account}, L{None} for the superuser, or L{Trouble}.
    """

    name: str


@dataclass(frozen=True, slots=True)
class CheckHome:
    """
    A question: is there the home of C{account}? Answer: L{None} or
    L{Trouble}.
    """

    account: Account


@dataclass(frozen=True, slots=True)
class ReadForward:
    """
    A question: what is in the first of C{paths} that exists? Answer: a
    L{Listed}, L{None} if none exists, or L{Trouble}.

    @ivar account: the user whose .forward file it is, and whose rights count.
    """

    account: Account
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReadInclude:
    """
    A question: what is in this C{:include:} file? Answer: a L{Listed} or
    L{Trouble}.

    @ivar account: with whose rights it is read; L{None} for the superuser's.
    """

    path: str
    account: Account | None


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
    shell: str = ""


@dataclass(frozen=True, slots=True)
class Listed:
    """
    @ivar path: of the file.
    @ivar text: what is in it; C{""} if it is not to be used.
    @ivar account: who owns an C{:include:} file that the superuser's alias
        names, if that is somebody else.
    @ivar warning: why it is not used, or C{""}.
    """

    path: str
    text: str
    account: Account | None = None
    warning: str = ""


@dataclass(frozen=True, slots=True)
class Trouble:
    """
    A question that has no good answer.

    @ivar status: RFC 3463 code.
    @ivar warning: for the log, or C{""}.
    """

    status: str
    reason: str
    warning: str = ""


Question: TypeAlias = (
    LookUp | Resolve | FindUser | AliasOwner | CheckHome | ReadForward | ReadInclude
)
Answer: TypeAlias = str | Resolved | Account | Listed | Trouble | None


@dataclass(frozen=True, slots=True)
class Rules:
    """
    The parameters that matter here, by their names.

    @ivar propagate: propagate_unmatched_extensions has C{alias}.
    @ivar propagate_forward: it has C{forward}.
    @ivar propagate_include: it has C{include}.
    @ivar commands: allow_mail_to_commands.
    @ivar files: allow_mail_to_files.
    @ivar maps: names of the parameters with tables by user that are set.
    """

    recipient_delimiter: str = ""
    owner_request_special: bool = True
    expand_owner_alias: bool = False
    reset_owner_alias: bool = False
    frozen_delivered_to: bool = True
    propagate: bool = False
    propagate_forward: bool = False
    propagate_include: bool = False
    commands: Set[str] = frozenset(("alias", "forward"))
    files: Set[str] = frozenset(("alias", "forward"))
    maps: Set[str] = frozenset()
    forward_path: tuple[str, ...] = ()
    forward_expansion_filter: str = ""
    mailbox_transport: str = ""
    mailbox_command: str = ""
    fallback_transport: str = ""
    luser_relay: str = ""
    require_home_directory: bool = False
    line_length_limit: int = 2048


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
class Names:
    """
    A recipient of ours, taken apart; folded, but for C{address}.

    @ivar delimiter: between user and extension, or C{""}.
    @ivar extension: L{None} if there is none.
    """

    address: str
    local: str
    user: str
    delimiter: str = ""
    extension: str | None = None

    @property
    def suffix(self) -> str:
        """
        The extension with its delimiter.
        """
        return self.delimiter + (self.extension or "")

    @property
    def domain(self) -> str:
        """
        Folded.
        """
        return split(self.address)[1].lower()
