"""
What becomes of a local recipient: aliases, one after another, down to
mailboxes and addresses elsewhere.

L{expand} is a generator that asks questions (L{txmta.delivery.questions}) and is
sent the answers; so it needs no table, resolver or user database to be tested,
and the caller decides how to wait for them.

Owns: order, recursion, its limits, duplicate suppression, owner- aliases.
Knows nothing of: tables, files, queue; how an address is resolved.

Sources: Postfix C{local/recipient.c}, C{local/alias.c}, C{local/resolve.c},
C{local/indirect.c}, C{local/unknown.c}; aliases(5).

Errors: none; what is wrong with a recipient is a
L{Problem<txmta.delivery.questions.Problem>}.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from txmta.address import split
from txmta.delivery.copy import delivered_key
from txmta.delivery.questions import (
    Account,
    Answer,
    Expansion,
    FindUser,
    LookUp,
    Problem,
    Question,
    Resolve,
    Resolved,
    Rules,
    Start,
    ToMailbox,
)
from txmta.delivery.targets import Kind, Target, targets
from txmta.search import split_extension

#: Aliases inside aliases: what Postfix's 100 levels, four an alias, come to.
MAX_DEPTH = 25

#: Addresses that one recipient may expand to, all levels together. Our own
#: choice: Postfix has none for aliases, and an alias of aliases of aliases can
#: be made to last for ever.
MAX_ADDRESSES = 50_000

#: Names that every domain must have (RFC 5321 section 4.5.1). Without alias or
#: user, Postfix discards their mail with a warning, lest bounces loop.
_REQUIRED = ("postmaster", "mailer-daemon")


@dataclass(frozen=True, slots=True)
class _Item:
    """
    One thing still to be expanded.

    @ivar alias: the alias that it stands in, folded; C{""} at the start.
    @ivar owner: owner- address that replaces the sender, or C{""}.
    @ivar unmatched: C{+extension} to be added, or C{""}.
    """

    target: Target
    sender: str
    delivered: str
    original: str
    depth: int = 0
    alias: str = ""
    owner: str = ""
    unmatched: str = ""


@dataclass(frozen=True, slots=True)
class _Local:
    """
    A recipient of ours; its names are folded.

    @ivar extension: with its delimiter, or C{""}.
    """

    address: str
    local: str
    user: str
    extension: str


_More: TypeAlias = Iterator[_Item] | None
_Steps: TypeAlias = Generator[Question, Answer, _More]


def expand(start: Start, rules: Rules) -> Generator[Question, Answer, Expansion]:
    """
    Ask what is needed, and return what C{start} expands to.
    """
    return _Expander(start, rules).run()


class _Expander:
    def __init__(self, start: Start, rules: Rules) -> None:
        self._start = start
        self._rules = rules
        self._result = Expansion()
        # What has been done, folded as Postfix's duplicate filter does.
        self._seen: set[tuple[int | str, str]] = set()

    def run(self) -> Generator[Question, Answer, Expansion]:
        start = self._start
        target = Target(Kind.ADDRESS, start.address)
        item = _Item(target, start.sender, start.address, start.original)
        # A stack of iterators: members of an alias are made one by one.
        stack: list[Iterator[_Item]] = [iter((item,))]
        count = 0
        while stack:
            following = next(stack[-1], None)
            if following is None:
                stack.pop()
                continue
            count += 1
            if count > MAX_ADDRESSES:
                text = f"unreasonable alias expansion size for {start.address}"
                self._problem(item, start.address, "4.3.0", text)
                break
            more = yield from self._expand(following)
            if more is not None:
                stack.append(more)
        return self._result

    def _expand(self, item: _Item) -> _Steps:
        target = item.target
        if target.kind is not Kind.ADDRESS:
            self._problem(
                item,
                item.delivered,
                "4.3.5",
                f"alias {item.alias}: delivery to a {target.kind.value} "
                "is not supported yet",
            )
            return None
        if not item.alias:
            return (yield from self._recipient(item, target.text))
        resolved = yield Resolve(target.text)
        assert isinstance(resolved, Resolved)
        address = resolved.address
        if item.unmatched:
            local, domain = split(address)
            address = f"{local}{item.unmatched}@{domain}"
        if resolved.local:
            return (yield from self._recipient(item, address))
        self._forward(item, address)
        return None

    def _recipient(self, item: _Item, address: str) -> _Steps:
        if self._been_here(item.depth, address):
            return None
        if self._start.loops and delivered_key(address) in self._start.loops:
            self._problem(item, address, "5.4.6", f"mail forwarding loop for {address}")
            return None
        at = self._names(address)
        if not at.user:
            self._problem(item, address, "5.1.3", f'null username in "{address}"')
            return None
        more = yield from self._alias(replace(item, unmatched=""), at, at.local)
        if more is None and at.extension:
            if self._rules.propagate:
                item = replace(item, unmatched=at.extension)
            more = yield from self._alias(item, at, at.user)
        if more is not None:
            return more
        if item.owner and item.owner.lower() != at.user:
            self._forward(item, address)
            return None
        return (yield from self._user(item, at))

    def _names(self, address: str) -> _Local:
        local = split(address)[0].lower()
        user, delimiter, extension = split_extension(
            local,
            self._rules.recipient_delimiter,
            owner_request_special=self._rules.owner_request_special,
        )
        if "/" in extension:
            self._result.warnings.append(f"address with illegal extension: {local}")
            return _Local(address, user, user, "")
        return _Local(address, local, user, delimiter + extension)

    def _alias(self, item: _Item, at: _Local, name: str) -> _Steps:
        """
        @return: the members of an alias; L{None} if there is no such alias,
            or it contains itself and so means the user of that name.
        """
        if item.alias == name:
            return None
        if item.depth >= MAX_DEPTH:
            self._result.warnings.append(f"alias database loop for {name}")
            self._problem(item, at.address, "5.4.6", f"alias database loop for {name}")
            return iter(())
        value = yield LookUp(name)
        if value is None:
            return None
        assert isinstance(value, str)
        item = replace(item, alias=name, depth=item.depth + 1)
        if not self._rules.frozen_delivered_to:
            item = replace(item, delivered=at.address)
        item = yield from self._owner(item, name)
        return self._members(item, at, value)

    def _members(self, item: _Item, at: _Local, value: str) -> Iterator[_Item]:
        empty = True
        for target in targets(value):
            empty = False
            yield replace(item, target=target)
        if empty:
            warning = f"no recipient in alias lookup result for {item.alias}"
            self._result.warnings.append(warning)
            self._problem(item, at.address, "4.3.0", "alias database unavailable")

    def _owner(self, item: _Item, name: str) -> Generator[Question, Answer, _Item]:
        """
        @return: the item with the sender that the alias' owner gives it.
        """
        if self._rules.owner_request_special:
            owner = f"owner-{name}"
            value = yield LookUp(owner)
            if value is not None:
                if self._rules.expand_owner_alias:
                    assert isinstance(value, str)
                    addresses = (t for t in targets(value) if t.kind is Kind.ADDRESS)
                    first = next(addresses, None)
                    owner = first.text if first else owner
                resolved = yield Resolve(owner)
                assert isinstance(resolved, Resolved)
                owner = resolved.address
                return replace(item, sender=owner, owner=owner, original="")
        if item.owner and self._rules.reset_owner_alias:
            return replace(item, sender=self._start.sender, owner="")
        return item

    def _user(self, item: _Item, at: _Local) -> _Steps:
        if self._been_here("mailbox", at.local):
            return None
        account = yield FindUser(at.user)
        if isinstance(account, Account):
            delivered = item.delivered
            if not self._rules.frozen_delivered_to:
                delivered = at.address
            self._result.mailboxes.append(
                ToMailbox(account, at.address, item.sender, delivered, item.original)
            )
        elif at.user in _REQUIRED:
            self._result.warnings.append(f"required alias not found: {at.user}")
            self._result.discarded = True
        else:
            self._problem(item, at.address, "5.1.1", f'unknown user: "{at.user}"')
        return None

    def _forward(self, item: _Item, address: str) -> None:
        if not self._been_here("indirect", address):
            key = (item.delivered, item.sender)
            self._result.forwards.setdefault(key, []).append(address)

    def _been_here(self, what: int | str, address: str) -> bool:
        key = (what, address.lower())
        if key in self._seen:
            return True
        self._seen.add(key)
        return False

    def _problem(self, item: _Item, address: str, status: str, reason: str) -> None:
        self._result.problems.append(Problem(address, status, reason, item.sender))
