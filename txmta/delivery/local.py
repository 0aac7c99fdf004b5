"""
The local(8) agent: aliases, .forward files, and mailboxes of system users.

Owns: the order of work; one copy for each place, however many recipients of a
    request lead there.
Knows nothing of: what an expansion asks (L{txmta.delivery.local_answers}), how
    anything is delivered (L{txmta.delivery.local_leaves}), what that comes to
    (L{txmta.delivery.local_outcome}).

Sources: local(8); Postfix C{local/local.c}, C{local/recipient.c}.

Errors: L{ConfigError<txmta.errors.ConfigError>} when it cannot be made;
L{StoreUnavailable<txmta.errors.StoreUnavailable>} and
L{MessageDamaged<txmta.errors.MessageDamaged>} pass through.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from zope.interface import implementer

from txmta.config.declare import to_words
from txmta.config.settings import Settings
from txmta.delivery.command import Runner
from txmta.delivery.context import AgentContext
from txmta.delivery.destinations import Expansion, Problem, ToCommand, ToFile, ToMailbox
from txmta.delivery.expansion import expand
from txmta.delivery.filesystem import FileSystem, MailboxError
from txmta.delivery.local_answers import Answers, TableFailure
from txmta.delivery.local_leaves import CommandLeaf, Leaf, Leaves
from txmta.delivery.local_outcome import Done, Summary, not_delivered
from txmta.delivery.local_probes import answer
from txmta.delivery.message import Message
from txmta.delivery.questions import Account, Rules, Start
from txmta.delivery.together import all_done
from txmta.delivery.users import (
    UserDatabaseError,
    Users,
    find_account,
    find_account_of,
)
from txmta.events import Warn
from txmta.interfaces import IDeliveryAgent
from txmta.model import DeliveryRequest, Outcome, Recipient

#: Questions of an expansion after which other work gets a turn: 50,000 of
#: them would hold the reactor for half a second.
TURN = 500


@implementer(IDeliveryAgent)
class LocalAgent:
    """
    Delivers to aliases and system users.
    """

    name = "local"
    answers_probes = True

    def __init__(
        self,
        context: AgentContext,
        find: Callable[[str], Account | None] = find_account,
        fs: FileSystem | None = None,
        commands: Runner | None = None,
        find_uid: Callable[[int], Account | None] = find_account_of,
    ) -> None:
        """
        @param find: the user database.
        @param fs: for tests.
        @param commands: for tests.
        @param find_uid: the user database, by number.
        """
        users = Users(context.in_thread, context.clock, find)
        self._context = context
        self._settings = context.settings
        self._answers = Answers(context, users, find_uid)
        self._leaves = Leaves(context, users, fs, commands)
        self._rules = make_rules(context.settings, self._answers.user_maps)

    def deliver(
        self, request: DeliveryRequest, report: Callable[[Outcome], None]
    ) -> Deferred[None]:
        """
        See L{IDeliveryAgent.deliver}.
        """
        return Deferred.fromCoroutine(self._deliver(request, report))

    def stop(self) -> None:
        """
        Kill the commands that still run: their mail stays in the queue.
        """
        self._leaves.stop()

    async def _deliver(
        self, request: DeliveryRequest, report: Callable[[Outcome], None]
    ) -> None:
        message = await Message.open(request)
        delivery = _Delivery(request, message, self._leaves)
        try:
            for recipient in request.recipients:
                report(await self._recipient(request, delivery, recipient))
        finally:
            message.close()

    async def _recipient(
        self, request: DeliveryRequest, delivery: _Delivery, recipient: Recipient
    ) -> Outcome:
        original = recipient.original or recipient.address
        probe = request.envelope.is_probe
        told = self._settings.enable_original_recipient or probe
        start = Start(
            recipient.address,
            request.envelope.sender,
            original if told else "",
            delivery.message.delivered,
        )
        try:
            expansion = await self._expand(start)
            for warning in expansion.warnings:
                self._warn(f"{request.envelope.queue_id}: {warning}")
            if probe:
                return await answer(request, recipient, expansion, self._leaves)
            return await self._carry_out(expansion, delivery, recipient)
        except TableFailure as e:
            self._warn(str(e))
            return not_delivered(recipient.n, "4.3.0", e.reason)
        except UserDatabaseError as e:
            self._warn(str(e))
            return not_delivered(recipient.n, "4.3.0", "user lookup error")

    def _warn(self, text: str) -> None:
        self._context.sink.emit(Warn(self.name, text))

    async def _expand(self, start: Start) -> Expansion:
        steps = expand(start, self._rules)
        asked = 0
        try:
            question = next(steps)
            while True:
                asked += 1
                if asked % TURN == 0:
                    await deferLater(self._context.clock, 0)
                question = steps.send(await self._answers.answer(question))
        except StopIteration as stop:
            result: Expansion = stop.value
            return result

    async def _carry_out(
        self, expansion: Expansion, delivery: _Delivery, recipient: Recipient
    ) -> Outcome:
        request = delivery.request
        header = "forward" in self._settings.prepend_delivered_header
        summary = Summary(request, recipient, expansion, header)
        commands, boxes, unplaced = await delivery.plan(expansion)
        problems = [*expansion.problems, *unplaced]
        words: list[str] = []
        if any(summary.repeats(problem) for problem in problems):
            # Nothing has been done yet: all of it is tried again.
            return summary.outcome(Done(words, problems))
        # Commands first, one by one: they are likelier to need another attempt
        # than mailboxes, and nothing can be taken back from those.
        for command in commands:
            result = await delivery.run(command)
            _sort(result, words, problems)
            if isinstance(result, Problem) and summary.repeats(result):
                return summary.outcome(Done(words, problems))
        for result in await delivery.put(boxes):
            _sort(result, words, problems)
        outcome = summary.outcome(Done(words, problems))
        if outcome.reroute is not None and problems:
            # Only one of the two can be reported.
            queue_id = request.envelope.queue_id
            self._warn(f"{queue_id}: {recipient.address}: {problems[0].reason}")
        return outcome


def _sort(result: str | Problem, words: list[str], problems: list[Problem]) -> None:
    if isinstance(result, Problem):
        problems.append(result)
    else:
        words.append(result)


def make_rules(settings: Settings, user_maps: frozenset[str]) -> Rules:
    """
    @param user_maps: names of the parameters with tables by user that are set.
    """
    propagate = settings.propagate_unmatched_extensions
    return Rules(
        settings.recipient_delimiter,
        settings.owner_request_special,
        settings.expand_owner_alias,
        settings.reset_owner_alias,
        settings.frozen_delivered_to,
        "alias" in propagate,
        "forward" in propagate,
        "include" in propagate,
        frozenset(settings.allow_mail_to_commands),
        frozenset(settings.allow_mail_to_files),
        user_maps,
        to_words(settings.forward_path),
        settings.forward_expansion_filter,
        settings.mailbox_transport,
        settings.mailbox_command,
        settings.fallback_transport,
        settings.luser_relay,
        settings.require_home_directory,
        settings.line_length_limit,
    )


class _Delivery:
    """
    One message, brought to each place once.
    """

    def __init__(
        self, request: DeliveryRequest, message: Message, leaves: Leaves
    ) -> None:
        self.request = request
        self.message = message
        self._leaves = leaves
        # By place, or by recipient, rights and command: what was said of it.
        self._done: dict[object, str | Problem] = {}

    async def plan(
        self, expansion: Expansion
    ) -> tuple[list[CommandLeaf], list[Leaf], list[Problem]]:
        """
        Nothing is delivered yet.

        @return: commands; mailboxes and files; and what has no place, or none
            that is ours.
        """
        commands: list[CommandLeaf] = []
        boxes: list[Leaf] = []
        problems: list[Problem] = []
        wanted: list[_To] = [*expansion.commands, *expansion.mailboxes]
        for to in (*wanted, *expansion.files):
            try:
                leaf = await self._leaves.place(to)
            except MailboxError as e:
                problems.append(_problem(to, e))
                continue
            if isinstance(leaf, Leaf):
                boxes.append(leaf)
            else:
                commands.append(leaf)
        return commands, boxes, problems

    async def put(self, leaves: list[Leaf]) -> list[str | Problem]:
        """
        All at once.

        @return: for each, what was done, or why it was not.
        """
        new = {leaf.place: leaf for leaf in leaves}
        await all_done(
            [self._put(leaf) for place, leaf in new.items() if place not in self._done]
        )
        return [_of(leaf.to, self._done[leaf.place]) for leaf in leaves]

    async def _put(self, leaf: Leaf) -> None:
        try:
            result: str | Problem = await self._leaves.put(self.message, leaf)
        except MailboxError as e:
            result = _problem(leaf.to, e)
        self._done[leaf.place] = result

    async def run(self, leaf: CommandLeaf) -> str | Problem:
        """
        As L{put}, for one command.
        """
        to = leaf.to
        key = (to.address.lower(), leaf.account, to.command)
        if key not in self._done:
            try:
                envelope = self.request.envelope
                self._done[key] = await self._leaves.run(self.message, envelope, leaf)
            except MailboxError as e:
                self._done[key] = _problem(to, e)
        return _of(to, self._done[key])


_To: TypeAlias = ToMailbox | ToFile | ToCommand


def _problem(to: _To, error: MailboxError) -> Problem:
    return Problem(
        to.address, error.status, error.reason, to.sender, to.alone, error.diagnostic
    )


def _of(to: _To, result: str | Problem) -> str | Problem:
    """
    @return: what was said of a place, now of another branch that leads there.
    """
    if isinstance(result, Problem):
        return replace(result, address=to.address, sender=to.sender, alone=to.alone)
    return result
