"""
The pipe(8) agent: mail for commands that master.cf names.

Owns: one command for all recipients of a request, and what becomes of them.
Knows nothing of: how a command is run (L{txmta.delivery.command}), attributes
    and macros (L{txmta.delivery.pipe_attributes}, L{txmta.delivery.pipe_macros}).

Sources: pipe(8); Postfix C{pipe/pipe.c}.

Errors: L{ConfigError<txmta.errors.ConfigError>} when it is made;
L{StoreUnavailable<txmta.errors.StoreUnavailable>} and
L{MessageDamaged<txmta.errors.MessageDamaged>} of a delivery.
"""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from twisted.internet.defer import Deferred
from zope.interface import implementer

from txmta.config.settings import Settings
from txmta.delivery.command import (
    Command,
    Commands,
    Runner,
    encode,
    from_line,
    printable_address,
)
from txmta.delivery.context import AgentContext
from txmta.delivery.copy import delivered_key
from txmta.delivery.filesystem import MailboxError
from txmta.delivery.message import Message
from txmta.delivery.pipe_attributes import BadAttributes, PipeAttributes, parse
from txmta.delivery.pipe_macros import Addresses, arguments
from txmta.delivery.probes import answer
from txmta.errors import ConfigError
from txmta.events import Warn
from txmta.interfaces import IDeliveryAgent
from txmta.model import Action, DeliveryRequest, Outcome

#: What Postfix tells the sender of what only the administrator can mend.
_MISCONFIGURED = MailboxError("4.3.5", "mail system configuration error")

_FAILED = {"4": Action.DELAYED, "5": Action.FAILED}


@dataclass(frozen=True, slots=True)
class Account:
    """
    Whose rights a command gets.
    """

    uid: int
    gid: int


class UnknownAccount(Exception):
    """
    There is no such user or group.
    """


def account(user: str, group: str) -> Account:
    """
    Ask the system; it may ask a network.

    @raise UnknownAccount: a name is not known.
    """
    try:
        found = pwd.getpwnam(user)
    except KeyError as e:
        raise UnknownAccount(f"unknown username: {user}") from e
    try:
        gid = grp.getgrnam(group).gr_gid if group else found.pw_gid
    except KeyError as e:
        raise UnknownAccount(f"unknown group: {group}") from e
    return Account(found.pw_uid, gid)


def problems(
    name: str,
    words: Sequence[str],
    settings: Settings,
    accounts: Callable[[str, str], Account] = account,
    root: bool | None = None,
) -> list[str]:
    """
    What is wrong with a service of master.cf. An account that does not exist
    is not: Postfix's own master.cf names several.

    @param name: of the service.
    @param words: what follows C{pipe}.
    @param root: we were started by root, and will become mail_owner.
    """
    try:
        attributes = parse(words)
    except BadAttributes as e:
        return [f"service {name}: {problem}" for problem in e.problems]
    try:
        user = accounts(attributes.user, attributes.group)
    except UnknownAccount:
        return []
    as_root = os.geteuid() == 0 if root is None else root
    trouble = _too_powerful(user, settings, accounts if as_root else None)
    if not trouble:
        return []
    return [
        f"service {name}: user= command-line attribute specifies {trouble}: "
        "write an account that is for this command only"
    ]


def _too_powerful(
    user: Account,
    settings: Settings,
    accounts: Callable[[str, str], Account] | None,
) -> str:
    """
    @param accounts: L{None} if mail_owner counts for nothing.
    @return: in Postfix's words, why a command may not have these rights.
    """
    if user.uid == 0:
        return "root privileges"
    if user.gid == 0:
        return "privileged group id 0"
    if accounts is None:
        return ""
    name = settings.mail_owner
    try:
        owner = accounts(name, "")
    except UnknownAccount:
        return ""
    if user.uid == owner.uid:
        return f"mail system owner {name}"
    if user.gid == owner.gid:
        return f"mail system owner {name} group id {user.gid}"
    try:
        setgid = accounts(name, settings.setgid_group).gid
    except UnknownAccount:
        return ""
    if user.gid == setgid:
        return f"mail system {settings.setgid_group} group id {user.gid}"
    return ""


@implementer(IDeliveryAgent)
class PipeAgent:
    """
    Delivers to one command.
    """

    name = "pipe"
    answers_probes = True

    def __init__(
        self,
        context: AgentContext,
        commands: Runner | None = None,
        accounts: Callable[[str, str], Account] = account,
    ) -> None:
        """
        @param commands: for tests; so is the other.
        @raise ConfigError: the attributes in master.cf are wrong.
        """
        self._service = context.service
        try:
            self._attributes = parse(context.arguments)
        except BadAttributes as e:
            raise ConfigError(
                [f"{context.where}: service {self._service}: {p}" for p in e.problems]
            ) from e
        settings = context.settings
        self._time_limit = settings.transport_time(self._service, "time_limit")
        self._addresses = self._attributes.addresses(
            settings.recipient_delimiter,
            settings.owner_request_special,
            settings.enable_original_recipient,
        )
        self._sink, self._now, self._clock = context.sink, context.now, context.clock
        self._in_thread = context.in_thread
        self._commands = commands or context.commands or Commands(context)
        self._rights, self._accounts = context.rights, accounts

    def deliver(
        self, request: DeliveryRequest, report: Callable[[Outcome], None]
    ) -> Deferred[None]:
        """
        See L{IDeliveryAgent.deliver}.
        """
        return Deferred.fromCoroutine(self._deliver(request, report))

    def stop(self) -> None:
        """
        End the commands that still run.
        """
        self._commands.stop()

    async def _deliver(
        self, request: DeliveryRequest, report: Callable[[Outcome], None]
    ) -> None:
        start = self._clock.seconds()
        try:
            self._check_size(request)
            if request.envelope.is_probe:
                reason = f"delivers to command: {self._attributes.argv[0]}"
                answer(request, report, reason, self._service)
                return
            said = await self._run(request)
        except MailboxError as e:
            action, status, reason = _FAILED[e.status[0]], e.status, e.reason
            diagnostic = e.diagnostic
        else:
            final = "X" in self._attributes.flags
            action = Action.DELIVERED if final else Action.RELAYED
            status, reason = "2.0.0", f"delivered via {self._service} service"
            diagnostic = ""
            if said:
                reason += f" ({said})"
        took = self._clock.seconds() - start
        for recipient in request.recipients:
            report(
                Outcome(
                    recipient.n,
                    action,
                    status,
                    reason,
                    self._service,
                    diagnostic=diagnostic,
                    transmission=took,
                )
            )

    def _check_size(self, request: DeliveryRequest) -> None:
        """
        @raise MailboxError: there is too much of it.
        """
        attributes = self._attributes
        if attributes.single and len(request.recipients) > 1:
            self._warn(
                f"pipe flag `{attributes.single}' requires "
                f"{self._service}_destination_recipient_limit = 1"
            )
            raise _MISCONFIGURED
        if attributes.size and request.size > attributes.size:
            raise MailboxError("5.2.3", "message too large")

    async def _run(self, request: DeliveryRequest) -> str:
        """
        @return: what the command said.
        @raise MailboxError: it did not take the message.
        """
        attributes = self._attributes
        message = await Message.open(request)
        try:
            self._check_loop(request, message)
            user = await self._user()
            return await self._commands.run(
                self._command(request, user),
                head(request, attributes, self._addresses, self._now()),
                message,
                attributes.style(),
            )
        finally:
            message.close()

    def _check_loop(self, request: DeliveryRequest, message: Message) -> None:
        if "D" in self._attributes.flags:
            address = request.recipients[0].address
            if delivered_key(address) in message.delivered:
                raise MailboxError("5.4.6", f"mail forwarding loop for {address}")

    async def _user(self) -> Account:
        """
        @raise MailboxError: we cannot run anything as that user.
        """
        attributes = self._attributes
        service = f"service {self._service}"
        try:
            user: Account = await self._in_thread(
                self._accounts, attributes.user, attributes.group
            )
        except UnknownAccount as e:
            self._warn(str(e))
            raise MailboxError(
                "4.3.5", f"{service}: {e}: make it, or change user= in master.cf"
            ) from e
        self._rights.check(
            user.uid,
            f"{service}: user={attributes.user} is uid {user.uid}",
            "run it as that user, or change user= in master.cf",
        )
        self._rights.check_group(
            user.gid,
            f"{service}: its group is gid {user.gid}",
            "run it in that group, or change user= in master.cf",
        )
        if attributes.chroot and not self._rights.powerful:
            raise MailboxError(
                "4.3.5",
                f"{service}: chroot={attributes.chroot} needs the rights of root, "
                "which one process does not keep: remove it from master.cf",
            )
        return user

    def _command(self, request: DeliveryRequest, user: Account) -> Command:
        argv = tuple(arguments(self._attributes.argv, request, self._addresses))
        return Command(
            tuple(map(encode, argv)),
            argv[0],
            directory=self._attributes.directory,
            chroot=self._attributes.chroot,
            time_limit=self._time_limit,
            uid=user.uid,
            gid=user.gid,
            agent="pipe",
        )

    def _warn(self, text: str) -> None:
        self._sink.emit(Warn("pipe", text))


def head(
    request: DeliveryRequest,
    attributes: PipeAttributes,
    addresses: Addresses,
    now: float,
) -> bytes:
    """
    @param now: wall time.
    @return: what stands before the content.
    """
    flags = attributes.flags
    first = request.recipients[0]
    sender = request.envelope.sender or attributes.null_sender
    lines = []
    if "F" in flags:
        lines.append(from_line(sender or "MAILER-DAEMON", now))
    if "R" in flags:
        lines.append(encode(f"Return-Path: <{printable_address(sender)}>"))
    if "O" in flags and (original := addresses.original(first)):
        lines.append(encode(f"X-Original-To: {printable_address(original)}"))
    if "D" in flags:
        lines.append(encode(f"Delivered-To: {printable_address(first.address)}"))
    return b"".join(line + attributes.eol for line in lines)
