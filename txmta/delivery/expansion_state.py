"""
What an expansion of a local recipient knows on its way.

Owns: duplicate suppression; how a branch ends: in a mailbox, a file, a command,
    another transport, another message, or a problem.
Knows nothing of: which branches there are.

Sources: Postfix C{local/local.h}, C{global/been_here.c}, C{local/indirect.c}.

Errors: none.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from txmta.delivery.destinations import (
    Expansion,
    Onward,
    Problem,
    Ties,
    ToCommand,
    ToFile,
    ToMailbox,
    ToTransport,
)
from txmta.delivery.questions import (
    Account,
    Answer,
    Names,
    Question,
    Rules,
    Start,
    Trouble,
)
from txmta.delivery.targets import Target

#: Postfix's levels of recursion; an alias, a .forward file or a luser_relay
#: inside another is four of them, an C{:include:} file one.
MAX_LEVEL = 100
LEVELS = 4

#: What Postfix tells the sender of what only the administrator can mend.
MISCONFIGURED = "mail system configuration error"


@dataclass(frozen=True, slots=True)
class Item:
    """
    One thing still to be expanded.

    @ivar level: see L{MAX_LEVEL}.
    @ivar where: what it stands in: C{"alias"}, C{"forward"}, C{"include"},
        C{"luser"}; C{""} at the start.
    @ivar origin: the name, folded, whose alias or .forward file that is: there
        it means the user, not the alias.
    @ivar owner: who forwards: nobody, C{""}, the owner- address that replaces
        the sender, or the user whose .forward file it is. Users but the owner
        get messages of their own.
    @ivar unmatched: C{+extension} to be added, or C{""}.
    @ivar rights_of: the alias whose table's owner's rights count, or C{""}.
    @ivar account: whose rights count, if C{rights_of} is C{""}; L{None} for
        default_privs.
    @ivar names: the recipient on whose behalf.
    """

    target: Target
    sender: str
    delivered: str
    original: str
    level: int = 1
    where: str = ""
    origin: str = ""
    owner: str = ""
    unmatched: str = ""
    rights_of: str = ""
    account: Account | None = None
    names: Names | None = None
    ties: Ties = Ties.FULL

    @property
    def address(self) -> str:
        """
        The recipient in whose place it stands.
        """
        return self.names.address if self.names else self.target.text

    def leads_only_to(self, names: Names) -> bool:
        """
        @param names: of the user that the branch has come to.
        @return: whether who asks for the user gets nothing else; else it was
            by way of the user's own alias or .forward file.
        """
        return not self.owner and self.origin not in (names.local, names.user)


More: TypeAlias = Iterator[Item] | None
Steps: TypeAlias = Generator[Question, Answer, More]


class State:
    """
    @ivar result: what has been found so far.
    """

    def __init__(self, start: Start, rules: Rules) -> None:
        self.start = start
        self.rules = rules
        self.result = Expansion()
        self._seen: set[tuple[int | str, str]] = set()

    def been_here(self, what: int | str, text: str) -> bool:
        """
        Folded, as Postfix's duplicate filter does.

        @return: whether it has been asked before.
        """
        key = (what, text.lower())
        if key in self._seen:
            return True
        self._seen.add(key)
        return False

    def seen(self, what: str, text: str) -> bool:
        """
        As L{been_here}, leaving no trace.
        """
        return (what, text.lower()) in self._seen

    def expanded(self, ties: Ties) -> None:
        """
        The recipient itself turns out to be an alias or a list; what is
        nested in it changes nothing any more.
        """
        if self.result.ties is Ties.FULL:
            self.result.ties = ties

    def mailbox(self, item: Item, names: Names, account: Account) -> None:
        """
        The branch ends in a user's mailbox.
        """
        delivered = item.delivered
        if not self.rules.frozen_delivered_to:
            delivered = names.address
        self.result.mailboxes.append(
            ToMailbox(
                account,
                names.address,
                item.sender,
                delivered,
                item.original,
                item.leads_only_to(names),
            )
        )

    def file(self, item: Item, path: str, account: Account | None) -> None:
        """
        The branch ends in a file or a Maildir.
        """
        if not self.been_here(f"file {account.uid if account else 0}", path):
            self.result.files.append(
                ToFile(
                    path,
                    account,
                    item.address,
                    item.sender,
                    item.delivered,
                    item.original,
                )
            )

    def command(
        self,
        item: Item,
        names: Names,
        command: str,
        account: Account | None,
        alone: bool = False,
    ) -> None:
        """
        The branch ends in a command.
        """
        who = f"command {names.user}:{account.uid if account else 0}"
        if not self.been_here(who, command):
            self.result.commands.append(
                ToCommand(
                    command,
                    account,
                    names,
                    item.sender,
                    item.delivered,
                    item.original,
                    alone,
                )
            )

    def transport(self, item: Item, names: Names, transport: str) -> None:
        """
        The branch ends in another transport.
        """
        alone = item.leads_only_to(names)
        self.result.transports.append(
            ToTransport(transport, names.address, item.sender, item.delivered, alone)
        )

    def forward(self, item: Item, address: str) -> None:
        """
        The branch ends in another message.
        """
        if not self.been_here("indirect", address):
            key = Onward(item.delivered, item.sender, item.ties)
            self.result.forwards.setdefault(key, []).append(address)

    def problem(
        self, item: Item, address: str, status: str, reason: str, alone: bool = True
    ) -> None:
        """
        The branch ends badly.
        """
        problem = Problem(address, status, reason, item.sender, alone)
        self.result.problems.append(problem)

    def trouble(
        self, item: Item, trouble: Trouble, alone: bool = False
    ) -> Iterator[Item]:
        """
        As L{problem}, with a warning.

        @return: nothing more to expand.
        """
        if trouble.warning:
            self.warn(trouble.warning)
        self.problem(item, item.address, trouble.status, trouble.reason, alone)
        return iter(())

    def restricted(self, item: Item, what: str) -> Iterator[Item]:
        """
        It may not stand where it does.

        @return: nothing more to expand.
        """
        reason = f"mail to {what} is restricted"
        return self.trouble(item, Trouble("5.7.1", reason))

    def misconfigured(self, item: Item, warning: str) -> None:
        """
        The branch is a mistake of whoever wrote it; bounced as by Postfix.
        """
        self.warn(warning)
        self.problem(item, item.address, "5.3.5", MISCONFIGURED, False)

    def warn(self, text: str) -> None:
        """
        For the log.
        """
        self.result.warnings.append(text)
