"""
Where local deliveries end: mailboxes, files, commands.

Owns: which file a mailbox is; whose rights each needs; what Postfix says of
    each, well or not.
Knows nothing of: how recipients expand to these; how a Maildir or mailbox
    file is written, or a command run.

Sources: Postfix C{local/mailbox.c}, C{local/file.c}, C{local/command.c}.

Errors: L{MailboxError<txmta.delivery.filesystem.MailboxError>};
L{StoreUnavailable<txmta.errors.StoreUnavailable>} and
L{MessageDamaged<txmta.errors.MessageDamaged>} pass through.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TypeAlias

from txmta.delivery.command import Command, Commands, Runner, shell_command
from txmta.delivery.context import AgentContext
from txmta.delivery.copy import Stamp
from txmta.delivery.destinations import ToCommand, ToFile, ToMailbox
from txmta.delivery.directories import MaildirPath
from txmta.delivery.expansion_state import MISCONFIGURED
from txmta.delivery.filesystem import FileSystem, MailboxError
from txmta.delivery.local_names import environment, expand_names
from txmta.delivery.mailbox import DELIVERED, Mailboxes, make_maildirs
from txmta.delivery.mbox import head
from txmta.delivery.mbox_open import MboxFile
from txmta.delivery.mboxes import Mboxes
from txmta.delivery.message import Message
from txmta.delivery.questions import Account
from txmta.delivery.rights import Owner
from txmta.delivery.users import Users
from txmta.events import Warn
from txmta.model import Envelope

Place: TypeAlias = MaildirPath | MboxFile


@dataclass(frozen=True, slots=True)
class Leaf:
    """
    A mailbox or file, and where that is.
    """

    to: ToMailbox | ToFile
    place: Place


@dataclass(frozen=True, slots=True)
class CommandLeaf:
    """
    A command, and with whose rights it is run.
    """

    to: ToCommand
    account: Account


class Leaves:
    """
    Delivers for one local(8) service.
    """

    def __init__(
        self,
        context: AgentContext,
        users: Users,
        fs: FileSystem | None = None,
        commands: Runner | None = None,
    ) -> None:
        """
        @param fs: for tests.
        @param commands: for tests.
        """
        settings = context.settings
        self._context = context
        self._settings = settings
        self._users = users
        self._rights = context.rights
        limit = settings.mailbox_size_limit
        self._mailboxes = Mailboxes(make_maildirs(context, fs), limit)
        self._mboxes = Mboxes(context, fs)
        self._commands = commands or context.commands or Commands(context)

    async def place(self, to: ToMailbox | ToFile | ToCommand) -> Leaf | CommandLeaf:
        """
        @raise MailboxError: there is no such place, or it is not ours.
        """
        if isinstance(to, ToCommand):
            account = await self._account(to.account, f"run {to.command}")
            return CommandLeaf(to, account)
        if isinstance(to, ToMailbox):
            return Leaf(to, self._mailbox(to.account))
        account = await self._account(to.account, f"write {to.path}")
        owner = Owner(account.uid, account.gid)
        if to.path.endswith("/"):
            return Leaf(to, _maildir(*os.path.split(to.path.rstrip("/")), owner))
        return Leaf(to, self._mbox(to.path, owner, False))

    async def put(self, message: Message, leaf: Leaf) -> str:
        """
        @return: what was done, in Postfix's words.
        @raise MailboxError: the message is not there.
        """
        to, place = leaf.to, leaf.place
        stamp = self._stamp("file", to)
        if isinstance(place, MaildirPath):
            await self._mailboxes.deliver(message, place, stamp)
            return DELIVERED
        mailbox = isinstance(to, ToMailbox)
        try:
            await self._mboxes.deliver(message, place, stamp)
        except MailboxError as e:
            what = f"cannot append message to file {place.path}: "
            if isinstance(to, ToMailbox):
                user = to.account.name
                what = f"cannot update mailbox {place.path} for user {user}. "
            raise MailboxError(e.status, what + e.reason) from e
        return "delivered to mailbox" if mailbox else f"delivered to file: {place.path}"

    async def run(self, message: Message, envelope: Envelope, leaf: CommandLeaf) -> str:
        """
        As L{put}.
        """
        settings = self._settings
        to, account = leaf.to, leaf.account
        stamp = self._stamp("command", to)
        date = time.asctime(time.localtime(self._context.now()))
        command = Command(
            shell_command(to.command, settings.local_command_shell),
            to.command,
            environment(to, envelope, settings.command_expansion_filter),
            self._directory(to),
            settings.command_time_limit,
            account.uid,
            account.gid,
            builtin=not settings.local_command_shell,
        )
        await self._commands.run(command, head(stamp, date), message)
        return f"delivered to command: {to.command}"

    def stop(self) -> None:
        """
        Kill what still runs: its mail stays in the queue.
        """
        self._commands.stop()

    def _stamp(self, kind: str, to: ToMailbox | ToFile | ToCommand) -> Stamp:
        header = kind in self._settings.prepend_delivered_header
        return Stamp(to.sender, to.original, to.delivered if header else "")

    async def _account(self, account: Account | None, what: str) -> Account:
        """
        @param account: L{None} for default_privs, which also stand in for
            root.
        @return: whose rights count.
        @raise MailboxError: we do not have these rights.
        """
        rights = self._rights
        remedy = "run txmta as that user"
        if account is None or rights.is_replaced(account.uid):
            name = self._settings.default_privs
            account = await self._users.find(name)
            if account is None or account.uid == 0:
                raise MailboxError("4.3.5", f"default_privs = {name}: no such user")
            remedy += ", or set default_privs to the one it runs as"
        uid = account.uid
        rights.check(uid, f"the right to {what} belongs to uid {uid}", remedy)
        return account

    def _directory(self, to: ToCommand) -> str:
        settings = self._settings
        text = settings.command_execution_directory
        try:
            return expand_names(
                text,
                to.names,
                to.account,
                settings.recipient_delimiter,
                settings.execution_directory_expansion_filter,
            ).text
        except ValueError as e:
            warning = f"command_execution_directory: {text} {e}"
            self._context.sink.emit(Warn("local", warning))
            raise MailboxError("4.3.5", MISCONFIGURED) from e

    def _mailbox(self, account: Account) -> Place:
        settings = self._settings
        if settings.home_mailbox:
            base, below = account.home, settings.home_mailbox
        else:
            base, below = settings.mail_spool_directory, account.name
            below += "/" if base.endswith("/") else ""
        uid, gid = account.uid, account.gid
        self._rights.check(
            uid,
            f"mailbox of {account.name} belongs to uid {uid}",
            "run txmta as that user, or use virtual mailboxes of its own user",
        )
        if below.endswith("/"):
            return _maildir(base, below, Owner(uid, gid))
        if not _is_path(base, below):
            raise MailboxError("4.3.5", f"bad mailbox path {base}/{below}")
        if not settings.home_mailbox:
            gid = self._rights.group_for(base, gid)
        return self._mbox(f"{base.rstrip('/')}/{below}", Owner(uid, gid), True)

    def _mbox(self, path: str, owner: Owner, spool: bool) -> MboxFile:
        settings = self._settings
        return MboxFile(
            path,
            owner.uid,
            owner.gid,
            settings.mailbox_size_limit,
            settings.strict_mailbox_ownership,
            spool,
            settings.mailbox_delivery_lock,
        )


def _maildir(base: str, below: str, owner: Owner) -> MaildirPath:
    if not _is_path(base, below):
        raise MailboxError("4.3.5", f"bad mailbox path {base}/{below}")
    names = tuple(name for name in below.split("/") if name not in ("", "."))
    return MaildirPath(base, names, owner=owner)


def _is_path(base: str, below: str) -> bool:
    """
    @return: whether C{below} is a place in C{base}.
    """
    names = [name for name in below.split("/") if name not in ("", ".")]
    return bool(names) and ".." not in names and base.startswith("/")
