"""
What local(8) says of a recipient that it is only asked about.

Owns: Postfix's words for each place where an expansion ends; how many of them are
    told.
Knows nothing of: how recipients expand, how anything is delivered.

Nothing is written, run or forwarded. Whether we have the rights for a place is
looked at all the same: without them, mail would not get there.

Sources: Postfix C{local/mailbox.c}, C{local/file.c}, C{local/command.c},
C{local/indirect.c}, C{global/deliver_pass.c}.

Errors: none; what is wrong with a place is the answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from txmta.delivery.destinations import (
    Expansion,
    Ties,
    ToCommand,
    ToFile,
    ToMailbox,
    ToTransport,
)
from txmta.delivery.directories import MaildirPath
from txmta.delivery.filesystem import MailboxError
from txmta.delivery.local_leaves import Leaf, Leaves
from txmta.delivery.local_outcome import Done, Summary, not_delivered, one_line
from txmta.model import Action, Branch, DeliveryRequest, Outcome, Recipient

#: Places of one recipient that are told, and characters of all of them. Our own
#: choice: a list of 50,000 makes no report that anybody reads.
MAX_PLACES = 99
MAX_CHARACTERS = 20_000

_GOOD = "2.0.0"
_LONGEST = 500

_Place: TypeAlias = ToMailbox | ToFile | ToCommand


async def answer(
    request: DeliveryRequest,
    recipient: Recipient,
    expansion: Expansion,
    leaves: Leaves,
) -> Outcome:
    """
    @param recipient: one of the request's.
    @return: of a probe; it may send the recipient to another transport, which
        is then asked.
    """
    mailboxes: Sequence[_Place] = expansion.mailboxes
    found = [
        await _of_place(to, leaves)
        for to in (*mailboxes, *expansion.commands, *expansion.files)
    ]
    found += _of_others(expansion)
    transports = expansion.transports
    if len(transports) == 1 and not found:
        passed = Summary(request, recipient, expansion, False).outcome(Done())
        if passed.reroute is not None:
            return passed
    found += [_of_transport(each) for each in transports]
    if not found:
        return Outcome(recipient.n, Action.DELIVERED, _GOOD, "discarded", "local")
    first = found[0]
    plain = not_delivered(recipient.n, first.status, first.reason)
    if len(found) == 1 and first.original and first.address == recipient.address:
        return plain
    return Outcome(
        recipient.n,
        plain.action,
        first.status,
        first.reason,
        "local",
        branches=tuple(_few(found, recipient)),
    )


async def _of_place(to: _Place, leaves: Leaves) -> Branch:
    status = _GOOD
    try:
        reason = _would(to, await leaves.place(to))
    except MailboxError as e:
        status, reason = e.status, e.reason
    return _branch(to.address, bool(to.original), status, reason)


def _would(to: _Place, leaf: object) -> str:
    if isinstance(to, ToCommand):
        return f"delivers to command: {to.command}"
    if isinstance(to, ToFile):
        return f"delivers to file: {to.path}"
    maildir = isinstance(leaf, Leaf) and isinstance(leaf.place, MaildirPath)
    return "delivers to maildir" if maildir else "delivers to mailbox"


def _of_others(expansion: Expansion) -> Iterator[Branch]:
    for key, addresses in expansion.forwards.items():
        ours = key.ties is not Ties.LIST
        for address in addresses[: MAX_PLACES + 1]:
            yield _branch(address, ours, _GOOD, f"forwards to {address}")
    for problem in expansion.problems:
        yield _branch(problem.address, True, problem.status, problem.reason)


def _of_transport(to: ToTransport) -> Branch:
    return _branch(to.address, True, _GOOD, f"passed to transport {to.transport}")


def _branch(address: str, original: bool, status: str, reason: str) -> Branch:
    short = one_line(reason[:_LONGEST])
    return Branch(one_line(address[:_LONGEST]), original, status, short)


def _few(found: list[Branch], recipient: Recipient) -> Iterator[Branch]:
    characters = 0
    for count, branch in enumerate(found):
        characters += len(branch.address) + len(branch.reason) + len(branch.status)
        if count == MAX_PLACES or characters > MAX_CHARACTERS:
            left = "and other places, too many to be told"
            yield _branch(recipient.address, True, _GOOD, left)
            return
        yield branch
