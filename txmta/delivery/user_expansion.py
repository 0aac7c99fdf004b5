"""
What becomes of mail for a user: .forward file, mailbox, or unknown.

Owns: the order in which the ways to deliver are tried; which .forward file
    counts; what becomes of users that are not known.
Knows nothing of: aliases; how a file is read or a message written.

Sources: local(8); Postfix C{local/dotforward.c}, C{local/mailbox.c},
C{local/unknown.c}.

Errors: none; see L{txmta.delivery.expansion}.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from itertools import chain

from txmta.delivery.destinations import Ties
from txmta.delivery.expansion_state import (
    LEVELS,
    MISCONFIGURED,
    Item,
    State,
    Steps,
)
from txmta.delivery.local_names import Expanded, expand_names
from txmta.delivery.questions import (
    Account,
    Answer,
    CheckHome,
    FindUser,
    Listed,
    LookUp,
    Names,
    Question,
    ReadForward,
    Trouble,
)
from txmta.delivery.targets import Kind, Target, listed_targets

#: Names that every domain must have (RFC 5321 section 4.5.1). Without alias or
#: user, Postfix discards their mail with a warning, lest bounces loop.
_REQUIRED = ("postmaster", "mailer-daemon")


class UserSteps:
    """
    The part of an expansion that is about users.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._rules = state.rules
        # .forward files read, by the paths looked at: a user who lists himself
        # comes here twice.
        self._read: dict[tuple[str, ...], Listed | None] = {}

    def expand(self, item: Item, names: Names) -> Steps:
        """
        @param names: a recipient that is no alias.
        """
        account, asked = None, False
        if self._rules.require_home_directory or self._rules.forward_path:
            account, asked = (yield from self._find(names)), True
        if account is not None and self._rules.require_home_directory:
            trouble = yield CheckHome(account)
            if isinstance(trouble, Trouble):
                alone = item.leads_only_to(names)
                return self._state.trouble(replace(item, names=names), trouble, alone)
        if account is not None and self._rules.forward_path:
            more = yield from self._forward_file(item, names, account)
            if more is not None:
                return more
        return (yield from self._mailbox(item, names, account, asked))

    def _find(self, names: Names) -> Generator[Question, Answer, Account | None]:
        account = yield FindUser(names.user)
        assert account is None or isinstance(account, Account)
        return account

    def _forward_file(self, item: Item, names: Names, account: Account) -> Steps:
        """
        @return: what is in the user's .forward file; L{None} if there is
            none that counts, or if we are in it.
        """
        state = self._state
        candidates = self._candidates(names, account)
        paths = tuple(candidate.text for candidate in candidates)
        if not paths:
            return None
        item = replace(item, names=names)
        if paths not in self._read:
            answer = yield ReadForward(account, paths)
            if isinstance(answer, Trouble):
                return state.trouble(item, answer, item.leads_only_to(names))
            assert answer is None or isinstance(answer, Listed)
            self._read[paths] = answer
        listed = self._read[paths]
        if listed is None:
            return None
        if state.been_here("forward", listed.path):
            return iter(()) if state.seen("forward-done", listed.path) else None
        if listed.warning:
            state.warn(listed.warning)
        members = listed_targets(listed.text, self._rules.line_length_limit)
        first = next(members, None)
        if first is None:
            return None
        if item.where and self._has_transports():
            # Another transport can get only one recipient in place of the one
            # that we were asked for: the others get messages of their own.
            state.forward(item, names.address)
            return iter(())
        extended = candidates[paths.index(listed.path)].with_extension
        keep = self._rules.propagate_forward and not extended
        item = self._inside(item, names, account, names.suffix if keep else "")
        return self._members(item, chain((first,), members), listed.path)

    def _has_transports(self) -> bool:
        rules = self._rules
        return bool(rules.mailbox_transport) or "mailbox_transport_maps" in rules.maps

    def _candidates(self, names: Names, account: Account) -> list[Expanded]:
        rules = self._rules
        candidates = []
        for text in rules.forward_path:
            try:
                candidate = expand_names(
                    text,
                    names,
                    account,
                    rules.recipient_delimiter,
                    rules.forward_expansion_filter,
                )
            except ValueError as e:
                self._state.warn(f"forward_path: {text} {e}")
                continue
            if candidate.complete and candidate.text:
                candidates.append(candidate)
        return candidates

    def _inside(self, item: Item, names: Names, account: Account, more: str) -> Item:
        """
        @return: the item, as it is for what stands in a .forward file.
        """
        ties = Ties.ALIAS if item.ties is Ties.FULL else item.ties
        self._state.expanded(ties)
        if not self._rules.frozen_delivered_to:
            item = replace(item, delivered=names.address)
        return replace(
            item,
            level=item.level + LEVELS,
            where="forward",
            origin=names.local,
            owner=names.user,
            unmatched=more,
            rights_of="",
            account=account,
            ties=ties,
        )

    def _members(
        self, item: Item, members: Iterator[Target], path: str
    ) -> Iterator[Item]:
        for target in members:
            yield replace(item, target=target)
        self._state.been_here("forward-done", path)

    def _map(self, parameter: str, user: str) -> Generator[Question, Answer, str]:
        if parameter not in self._rules.maps:
            return ""
        value = yield LookUp(user, parameter)
        assert value is None or isinstance(value, str)
        return value or ""

    def _mailbox(
        self, item: Item, names: Names, account: Account | None, asked: bool
    ) -> Steps:
        """
        @param account: whose mailbox it is, if somebody has C{asked} already.
        """
        state, rules = self._state, self._rules
        if state.been_here("mailbox", names.local):
            return None
        transport = yield from self._map("mailbox_transport_maps", names.user)
        transport = transport or rules.mailbox_transport
        if transport:
            state.transport(item, names, transport)
            return None
        if not asked:
            account = yield from self._find(names)
        if account is None:
            return (yield from self._unknown(item, names))
        command = yield from self._map("mailbox_command_maps", names.user)
        command = command or rules.mailbox_command
        if command:
            alone = item.leads_only_to(names)
            state.command(item, names, command, account, alone)
        else:
            state.mailbox(item, names, account)
        return None

    def _unknown(self, item: Item, names: Names) -> Steps:
        state, rules = self._state, self._rules
        if state.been_here("unknown", names.local):
            return None
        transport = yield from self._map("fallback_transport_maps", names.user)
        transport = transport or rules.fallback_transport
        if transport:
            state.transport(item, names, transport)
        elif rules.luser_relay:
            return self._luser(item, names)
        elif names.user in _REQUIRED:
            state.warn(f"required alias not found: {names.user}")
            state.result.discarded = True
        else:
            reason = f'unknown user: "{names.user}"'
            alone = item.leads_only_to(names)
            state.problem(item, names.address, "5.1.1", reason, alone)
        return None

    def _luser(self, item: Item, names: Names) -> Iterator[Item]:
        """
        The catch-all address: never a command or a file, whatever it expands
        to.
        """
        rules = self._rules
        delimiters = rules.recipient_delimiter
        item = replace(item, names=names)
        try:
            address = expand_names(rules.luser_relay, names, None, delimiters).text
        except ValueError as e:
            warning = f"luser_relay: {rules.luser_relay} {e}"
            trouble = Trouble("4.3.5", MISCONFIGURED, warning)
            return self._state.trouble(item, trouble)
        # It is in internal form, and not read again as Postfix does: quotes,
        # comments and brackets in a local part would hide the domain.
        if not address:
            trouble = Trouble("5.1.1", f'unknown user: "{names.user}"')
            return self._state.trouble(item, trouble)
        where = item.where or "luser"
        target = Target(Kind.ADDRESS, address)
        level = item.level + LEVELS
        return iter(
            (replace(item, target=target, level=level, where=where, unmatched=""),)
        )
