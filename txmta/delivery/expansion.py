"""
What becomes of a local recipient: aliases, lists and .forward files, one after
another, down to mailboxes, files, commands, and addresses elsewhere.

L{expand} is a generator that asks questions (L{txmta.delivery.questions}) and is
sent the answers; so it needs no table, file, resolver or user database to be
tested, and the caller decides how to wait for them.

Owns: order, recursion, its limits; aliases, owner- aliases, C{:include:}
    files; which commands and files are allowed where.
Knows nothing of: tables, files, queue; how an address is resolved; users
    (L{txmta.delivery.user_expansion}).

Sources: Postfix C{local/recipient.c}, C{local/alias.c}, C{local/token.c},
C{local/include.c}, C{local/resolve.c}; aliases(5).

Errors: none; what is wrong with a recipient is a
L{Problem<txmta.delivery.questions.Problem>}.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace

from txmta.address import split
from txmta.delivery.copy import delivered_key
from txmta.delivery.destinations import Expansion, Ties
from txmta.delivery.expansion_state import LEVELS, MAX_LEVEL, Item, State, Steps
from txmta.delivery.questions import (
    Account,
    AliasOwner,
    Answer,
    Listed,
    LookUp,
    Names,
    Question,
    ReadInclude,
    Resolve,
    Resolved,
    Rules,
    Start,
    Trouble,
)
from txmta.delivery.targets import Kind, Target, listed_targets, targets
from txmta.delivery.user_expansion import UserSteps
from txmta.search import split_extension

#: Addresses that one recipient may expand to, all levels together. Our own
#: choice: Postfix has none for aliases, and an alias of aliases of aliases can
#: be made to last for ever.
MAX_ADDRESSES = 50_000

#: Characters of C{:include:} and .forward files read for one recipient. Our own
#: choice: they are held in memory, one inside the other.
MAX_CHARACTERS = 16 << 20


def expand(start: Start, rules: Rules) -> Generator[Question, Answer, Expansion]:
    """
    Ask what is needed, and return what C{start} expands to.
    """
    return _Expander(start, rules).run()


class _Expander:
    def __init__(self, start: Start, rules: Rules) -> None:
        self._start = start
        self._rules = rules
        self._state = State(start, rules)
        self._users = UserSteps(self._state)
        self._characters = 0

    def run(self) -> Generator[Question, Answer, Expansion]:
        start, state = self._start, self._state
        target = Target(Kind.ADDRESS, start.address)
        item = Item(target, start.sender, start.address, start.original)
        # A stack of iterators: members of an alias are made one by one, and an
        # iterator ends when all that came of its members is done.
        stack: list[Iterator[Item]] = [iter((item,))]
        count = 0
        while stack:
            following = next(stack[-1], None)
            if following is None:
                stack.pop()
                continue
            count += 1
            if count > MAX_ADDRESSES or self._characters > MAX_CHARACTERS:
                text = f"unreasonable alias expansion size for {start.address}"
                state.problem(item, start.address, "4.3.0", text)
                break
            more = yield from self._expand(following)
            if more is not None:
                stack.append(more)
        if state.result.is_empty():
            # A luser_relay that leads to itself; mail never just vanishes.
            text = f"mail forwarding loop for {start.address}"
            state.problem(item, start.address, "5.4.6", text)
        return state.result

    def _expand(self, item: Item) -> Steps:
        kind, text = item.target.kind, item.target.text
        if kind is Kind.ADDRESS:
            return (yield from self._address(item))
        if "\0" in text:
            self._state.misconfigured(item, f"null byte in a {kind.value}")
            return None
        if kind is Kind.COMMAND and not text[1:].strip():
            self._state.misconfigured(item, "command without a name")
            return None
        if kind is Kind.FILE and item.where not in self._rules.files:
            return self._state.restricted(item, "file")
        if kind is Kind.COMMAND and item.where not in self._rules.commands:
            return self._state.restricted(item, "command")
        account = yield from self._rights(item)
        if isinstance(account, Trouble):
            return self._state.trouble(item, account)
        if kind is Kind.INCLUDE:
            return (yield from self._include(item, text[len(":include:") :], account))
        if kind is Kind.FILE:
            self._file(item, text, account)
        else:
            assert item.names is not None
            self._state.command(item, item.names, text[1:], account)
        return None

    def _rights(
        self, item: Item
    ) -> Generator[Question, Answer, Account | Trouble | None]:
        if not item.rights_of:
            return item.account
        answer = yield AliasOwner(item.rights_of)
        assert answer is None or isinstance(answer, Account | Trouble)
        return answer

    def _file(self, item: Item, path: str, account: Account | None) -> None:
        if path.startswith("~"):
            if not path.startswith("~/"):
                warning = f"bad home directory syntax for: {path}"
                return self._state.misconfigured(item, warning)
            if account is None:
                warning = f"unknown home directory for: {path}"
                return self._state.misconfigured(item, warning)
            path = account.home.rstrip("/") + path[1:]
        return self._state.file(item, path, account)

    def _include(self, item: Item, path: str, account: Account | None) -> Steps:
        state = self._state
        if item.level - 1 > MAX_LEVEL:
            state.warn(f":include: nesting limit exceeded for {path}")
            reason = ":include: nesting limit exceeded"
            state.problem(item, item.address, "5.4.6", reason)
            return None
        if state.been_here(f"include {account.uid if account else 0}", path):
            return None
        if not path.startswith("/"):
            state.misconfigured(item, f":include:{path} uses a relative path")
            return None
        answer = yield ReadInclude(path, account)
        if isinstance(answer, Trouble):
            return state.trouble(item, answer)
        assert isinstance(answer, Listed)
        self._characters += len(answer.text)
        unmatched = item.unmatched if self._rules.propagate_include else ""
        names = item.names
        item = replace(
            item,
            level=item.level + 1,
            where="include",
            origin=names.local if names else "",
            owner=item.owner or item.address,
            unmatched=unmatched,
            rights_of="",
            account=answer.account or account,
        )
        return self._listed(item, answer)

    def _listed(self, item: Item, listed: Listed) -> Iterator[Item]:
        empty = True
        for target in listed_targets(listed.text, self._rules.line_length_limit):
            empty = False
            yield replace(item, target=target)
        if empty:
            # A list without members: nobody is to get it. Postfix keeps silent.
            self._state.warn(f"no recipient in :include: file {listed.path}")
            self._state.result.discarded = True

    def _address(self, item: Item) -> Steps:
        if not item.where:
            return (yield from self._recipient(item, item.target.text))
        resolved = yield Resolve(item.target.text)
        assert isinstance(resolved, Resolved)
        address = resolved.address
        if item.unmatched:
            local, domain = split(address)
            address = f"{local}{item.unmatched}@{domain}"
        if resolved.local:
            return (yield from self._recipient(item, address))
        self._state.forward(item, address)
        return None

    def _recipient(self, item: Item, address: str) -> Steps:
        state = self._state
        if state.been_here(item.level, address):
            return None
        if self._start.loops and delivered_key(address) in self._start.loops:
            state.problem(item, address, "5.4.6", f"mail forwarding loop for {address}")
            return None
        names = self._names(address)
        if not names.user:
            state.problem(item, address, "5.1.3", f'null username in "{address}"')
            return None
        more = yield from self._aliases(item, names)
        if more is not None:
            return more
        if item.where == "include" or (item.owner and item.owner.lower() != names.user):
            state.forward(item, address)
            return None
        return (yield from self._users.expand(item, names))

    def _names(self, address: str) -> Names:
        local = split(address)[0].lower()
        user, delimiter, extension = split_extension(
            local,
            self._rules.recipient_delimiter,
            owner_request_special=self._rules.owner_request_special,
        )
        if "/" in extension:
            self._state.warn(f"address with illegal extension: {local}")
            return Names(address, user, user)
        return Names(address, local, user, delimiter, extension if delimiter else None)

    def _aliases(self, item: Item, names: Names) -> Steps:
        more = yield from self._alias(replace(item, unmatched=""), names, names.local)
        if more is None and names.delimiter:
            unmatched = names.suffix if self._rules.propagate else ""
            item = replace(item, unmatched=unmatched)
            more = yield from self._alias(item, names, names.user)
        return more

    def _alias(self, item: Item, names: Names, name: str) -> Steps:
        """
        @return: the members of an alias; L{None} if there is no such alias,
            or it contains itself and so means the user of that name.
        """
        if item.origin == name:
            return None
        if item.level + 2 > MAX_LEVEL:
            self._state.warn(f"alias database loop for {name}")
            reason = f"alias database loop for {name}"
            self._state.problem(item, names.address, "5.4.6", reason)
            return iter(())
        value = yield LookUp(name)
        if value is None:
            return None
        assert isinstance(value, str)
        item = replace(
            item,
            level=item.level + LEVELS,
            where="alias",
            origin=name,
            rights_of=name,
            account=None,
            names=names,
        )
        if not self._rules.frozen_delivered_to:
            item = replace(item, delivered=names.address)
        item = yield from self._owner(item, name)
        self._state.expanded(item.ties)
        return self._members(item, value)

    def _members(self, item: Item, value: str) -> Iterator[Item]:
        empty = True
        for target in targets(value):
            empty = False
            yield replace(item, target=target)
        if empty:
            warning = f"no recipient in alias lookup result for {item.origin}"
            trouble = Trouble("4.3.0", "alias database unavailable", warning)
            self._state.trouble(item, trouble)

    def _owner(self, item: Item, name: str) -> Generator[Question, Answer, Item]:
        """
        @return: the item with the sender that the alias' owner gives it.
        """
        if item.ties is Ties.FULL:
            item = replace(item, ties=Ties.ALIAS)
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
                return replace(
                    item, sender=owner, owner=owner, original="", ties=Ties.LIST
                )
        if item.owner and self._rules.reset_owner_alias:
            return replace(item, sender=self._start.sender, owner="")
        return item
