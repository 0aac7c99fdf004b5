"""
The local(8) agent: aliases, and mailboxes of system users.

Owns: asking tables, resolver and user database what
    L{txmta.delivery.expansion} wants to know; turning an expansion into one outcome.
Knows nothing of: how a Maildir is written (L{txmta.delivery.mailbox}).

Sources: local(8); Postfix C{local/recipient.c}, C{local/mailbox.c}.

Errors: L{ConfigError<txmta.errors.ConfigError>} when it cannot be made;
L{StoreUnavailable<txmta.errors.StoreUnavailable>} and
L{MessageDamaged<txmta.errors.MessageDamaged>} pass through.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from zope.interface import implementer

from txmta.delivery.context import AgentContext
from txmta.delivery.copy import Stamp, delivered_head
from txmta.delivery.directories import MaildirPath
from txmta.delivery.expansion import expand
from txmta.delivery.filesystem import FileSystem, MailboxError
from txmta.delivery.mailbox import (
    DELIVERED,
    Identity,
    Mailboxes,
    make_maildirs,
    outcome,
)
from txmta.delivery.message import Message
from txmta.delivery.questions import (
    Account,
    Answer,
    Expansion,
    LookUp,
    Problem,
    Question,
    Resolve,
    Resolved,
    Rules,
    Start,
    ToMailbox,
)
from txmta.delivery.together import all_done
from txmta.delivery.users import UserDatabaseError, Users, find_account
from txmta.errors import ConfigError, TableUnavailable
from txmta.events import Warn
from txmta.interfaces import IDeliveryAgent
from txmta.model import Action, DeliveryRequest, Forward, Outcome, Recipient
from txmta.search import search

#: Questions of an expansion after which other work gets a turn: 50,000 of
#: them would hold the reactor for half a second.
TURN = 500


@implementer(IDeliveryAgent)
class LocalAgent:
    """
    Delivers to aliases and system users.
    """

    name = "local"

    def __init__(
        self,
        context: AgentContext,
        find: Callable[[str], Account | None] = find_account,
        identity: Callable[[], Identity] = Identity.current,
        fs: FileSystem | None = None,
    ) -> None:
        """
        @param find: the user database.
        @param identity: whose rights we have.
        @param fs: for tests.
        """
        if context.addresses is None:
            raise ConfigError([f"service {context.service}: needs an address resolver"])
        settings = context.settings
        self._context = context
        self._settings = settings
        self._addresses = context.addresses
        self._users = Users(context.in_thread, context.clock, find)
        maildirs = make_maildirs(context, fs)
        limit = settings.mailbox_size_limit
        self._mailboxes = Mailboxes(maildirs, limit, identity)
        self._aliases = [
            context.table(item, "alias_maps") for item in settings.alias_maps
        ]
        self._rules = Rules(
            settings.recipient_delimiter,
            settings.owner_request_special,
            settings.expand_owner_alias,
            settings.reset_owner_alias,
            settings.frozen_delivered_to,
            "alias" in settings.propagate_unmatched_extensions,
        )

    def deliver(
        self, request: DeliveryRequest, report: Callable[[Outcome], None]
    ) -> Deferred[None]:
        """
        See L{IDeliveryAgent.deliver}.
        """
        return Deferred.fromCoroutine(self._deliver(request, report))

    async def _deliver(
        self, request: DeliveryRequest, report: Callable[[Outcome], None]
    ) -> None:
        message = await Message.open(request)
        delivery = _Delivery(message, self._mailboxes, self._path)
        try:
            for recipient in request.recipients:
                result = await self._recipient(request, delivery, recipient)
                report(result)
        finally:
            message.close()

    async def _recipient(
        self, request: DeliveryRequest, delivery: _Delivery, recipient: Recipient
    ) -> Outcome:
        original = recipient.original or recipient.address
        start = Start(
            recipient.address,
            request.envelope.sender,
            original if self._settings.enable_original_recipient else "",
            delivery.message.delivered,
        )
        try:
            expansion = await self._expand(start)
        except TableUnavailable as e:
            self._warn(str(e))
            reason = "alias database unavailable"
            return outcome(recipient.n, "4.3.0", reason, self.name)
        except UserDatabaseError as e:
            self._warn(str(e))
            return outcome(recipient.n, "4.3.0", "user lookup error", self.name)
        for warning in expansion.warnings:
            self._warn(f"{request.envelope.queue_id}: {warning}")
        return await self._carry_out(expansion, delivery, start, recipient.n)

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
                question = steps.send(await self._answer(question))
        except StopIteration as stop:
            result: Expansion = stop.value
            return result

    async def _answer(self, question: Question) -> Answer:
        if isinstance(question, LookUp):
            value = search(self._aliases, (question.name,))
            return await value if isinstance(value, Deferred) else value
        if isinstance(question, Resolve):
            return await self._resolve(question.address)
        return await self._users.find(question.name)

    async def _resolve(self, address: str) -> Resolved:
        address = self._addresses.rewrite(address, True)
        route = self._addresses.resolve(address)
        if isinstance(route, Deferred):
            route = await route
        local = route.transport == self._context.service
        return Resolved(route.recipient, local)

    async def _carry_out(
        self, expansion: Expansion, delivery: _Delivery, start: Start, n: int
    ) -> Outcome:
        for problem in expansion.problems:
            if problem.status[0] == "4":
                # Nothing has been done yet: all of it is tried again.
                return outcome(n, problem.status, problem.reason, self.name)
        boxes = expansion.mailboxes
        results = await all_done([delivery.put(b, self._stamp(b)) for b in boxes])
        late = [problem for problem in results if problem is not None]
        forwards = self._forwards(expansion)
        problems = late + expansion.problems
        problems.sort(key=lambda problem: problem.status[0])
        delivered = len(late) < len(boxes)
        if problems and (forwards or (delivered and problems[0].status[0] == "4")):
            forwards += _apart(problems, start.address)
        elif problems:
            return outcome(n, problems[0].status, problems[0].reason, self.name)
        if forwards:
            return Outcome(
                n, Action.EXPANDED, "2.0.0", "forwarded", self.name, forward=forwards
            )
        if expansion.discarded and not boxes:
            return outcome(n, "2.0.0", "discarded", self.name)
        return outcome(n, "2.0.0", DELIVERED, self.name)

    def _forwards(self, expansion: Expansion) -> tuple[Forward, ...]:
        header = "forward" in self._settings.prepend_delivered_header
        return tuple(
            Forward(
                sender, tuple(addresses), delivered_head(delivered) if header else b""
            )
            for (delivered, sender), addresses in expansion.forwards.items()
        )

    def _stamp(self, box: ToMailbox) -> Stamp:
        header = "file" in self._settings.prepend_delivered_header
        return Stamp(box.sender, box.original, box.delivered if header else "")

    def _path(self, account: Account) -> MaildirPath:
        """
        @raise MailboxError: it is not a Maildir, or not ours.
        """
        settings = self._settings
        if settings.home_mailbox:
            base, mailbox = account.home, settings.home_mailbox
            below = mailbox
        else:
            base, mailbox = settings.mail_spool_directory, settings.mail_spool_directory
            below = account.name
        if not mailbox.endswith("/"):
            raise MailboxError(
                "4.3.5",
                f"mailbox file of {account.name} is not supported yet: "
                "for a Maildir, set home_mailbox = Maildir/",
            )
        self._mailboxes.check_owner(
            account.uid,
            f"mailbox of {account.name}",
            "run txmta as that user, or use virtual mailboxes of its own user",
        )
        names = tuple(name for name in below.split("/") if name not in ("", "."))
        if ".." in names or not names or not base.startswith("/"):
            raise MailboxError("4.3.5", f"bad mailbox path {base}/{below}")
        return MaildirPath(base, names)


def _apart(problems: Sequence[Problem], delivered: str) -> tuple[Forward, ...]:
    """
    Let branches that fail be messages of their own, so that they are deferred
    or bounced alone, and nobody else's copy is lost or repeated for them.

    @param delivered: always in a Delivered-To, whatever the configuration
        says: it ends the loop that a branch may be.
    """
    groups: dict[str, dict[str, None]] = {}
    for problem in problems:
        groups.setdefault(problem.sender, {})[problem.address] = None
    head = delivered_head(delivered)
    return tuple(
        Forward(sender, tuple(addresses), head) for sender, addresses in groups.items()
    )


class _Delivery:
    """
    One message, brought to each mailbox once, however many recipients of a
    request lead there.
    """

    def __init__(
        self,
        message: Message,
        mailboxes: Mailboxes,
        path: Callable[[Account], MaildirPath],
    ) -> None:
        self.message = message
        self._mailboxes = mailboxes
        self._path = path
        self._done: dict[MaildirPath, Problem | None] = {}

    async def put(self, box: ToMailbox, stamp: Stamp) -> Problem | None:
        """
        @return: why it is not in the mailbox.
        """
        try:
            path = self._path(box.account)
        except MailboxError as e:
            return Problem(box.address, e.status, e.reason, box.sender)
        if path not in self._done:
            self._done[path] = None
            try:
                await self._mailboxes.deliver(self.message, path, stamp)
            except MailboxError as e:
                reason = e.reason
                self._done[path] = Problem(box.address, e.status, reason, box.sender)
        return self._done[path]
