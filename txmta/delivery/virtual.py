"""
The virtual(8) agent: mailboxes of domains whose users have no accounts.

Owns: finding mailbox and owner of a recipient.
Knows nothing of: how a Maildir (L{txmta.delivery.mailbox}) or a mailbox file
    (L{txmta.delivery.mboxes}) is written.

Sources: virtual(8); Postfix C{virtual/mailbox.c}, C{virtual/unknown.c}.

Errors: none of its own; L{StoreUnavailable<txmta.errors.StoreUnavailable>} and
L{MessageDamaged<txmta.errors.MessageDamaged>} pass through.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred
from zope.interface import implementer

from txmta.delivery.context import AgentContext
from txmta.delivery.copy import Stamp
from txmta.delivery.directories import MaildirPath
from txmta.delivery.filesystem import FileSystem, MailboxError
from txmta.delivery.mailbox import DELIVERED, Mailboxes, make_maildirs, outcome
from txmta.delivery.mbox_open import MboxFile
from txmta.delivery.mboxes import Mboxes
from txmta.delivery.message import Message
from txmta.delivery.rights import Owner
from txmta.delivery.together import all_done
from txmta.errors import TableUnavailable
from txmta.events import Warn
from txmta.interfaces import IDeliveryAgent, ITable
from txmta.model import DeliveryRequest, Outcome, Recipient
from txmta.search import address_keys, search

#: What Postfix tells the sender of what only the administrator can mend.
_MISCONFIGURED = "mail system configuration error"


@implementer(IDeliveryAgent)
class VirtualAgent:
    """
    Delivers to virtual mailboxes.
    """

    name = "virtual"
    answers_probes = True

    def __init__(self, context: AgentContext, fs: FileSystem | None = None) -> None:
        """
        @param fs: for tests.
        """
        self._settings = context.settings
        self._sink = context.sink
        self._rights = context.rights
        maildirs = make_maildirs(context, fs)
        limit = self._settings.virtual_mailbox_limit
        self._mailboxes = Mailboxes(maildirs, limit)
        self._mboxes = Mboxes(context, fs)

        def tables(items: Sequence[str], parameter: str) -> list[ITable]:
            return [context.table(item, parameter) for item in items]

        settings = self._settings
        self._maps = tables(settings.virtual_mailbox_maps, "virtual_mailbox_maps")
        self._uids = tables(settings.virtual_uid_maps, "virtual_uid_maps")
        self._gids = tables(settings.virtual_gid_maps, "virtual_gid_maps")

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

        async def one(recipient: Recipient) -> None:
            status, reason = await self._recipient(request, message, recipient)
            report(outcome(recipient.n, status, reason, self.name))

        try:
            # All at once: a mailbox whose disk hangs holds up nobody else's.
            await all_done([one(recipient) for recipient in request.recipients])
        finally:
            message.close()

    async def _recipient(
        self, request: DeliveryRequest, message: Message, recipient: Recipient
    ) -> tuple[str, str]:
        """
        @return: status and reason.
        """
        address = recipient.address.lower()
        delimiters = self._settings.recipient_delimiter
        keys = tuple(address_keys(address, delimiters=delimiters))
        try:
            found = await _find(self._maps, keys)
            if found is None:
                return "5.1.1", f'unknown user: "{address}"'
            uid, gid = await self._ids(address, keys)
            if request.envelope.is_probe:
                return "2.0.0", self._would(found, Owner(uid, gid))
            stamp = self._stamp(request, recipient)
            if found.endswith("/"):
                maildir = self._maildir(found, Owner(uid, gid))
                await self._mailboxes.deliver(message, maildir, stamp)
                return "2.0.0", DELIVERED
            await self._to_file(message, self._file(found, uid, gid), stamp)
        except TableUnavailable as e:
            self._sink.emit(Warn(self.name, f"lookup {address}: {e}"))
            return "4.3.0", _MISCONFIGURED
        except MailboxError as e:
            return e.status, e.reason
        return "2.0.0", "delivered to mailbox"

    def _would(self, found: str, owner: Owner) -> str:
        """
        @return: what is said of a probe.
        @raise MailboxError: mail would get nowhere.
        """
        if found.endswith("/"):
            self._maildir(found, owner)
            return "delivers to maildir"
        self._file(found, owner.uid, owner.gid)
        return "delivers to mailbox"

    async def _to_file(self, message: Message, file: MboxFile, stamp: Stamp) -> None:
        try:
            await self._mboxes.deliver(message, file, stamp)
        except MailboxError as e:
            reason = f"delivery failed to mailbox {file.path}: {e.reason}"
            raise MailboxError(e.status, reason) from e

    async def _ids(self, address: str, keys: Sequence[str]) -> tuple[int, int]:
        """
        @return: user and group of the mailbox, which are ours too.
        """
        uid = await self._id(address, keys, self._uids, "uid")
        if uid < self._settings.virtual_minimum_uid:
            raise self._misconfigured(f"bad uid {uid} in virtual_uid_maps", address)
        gid = await self._id(address, keys, self._gids, "gid")
        if gid <= 0:
            raise self._misconfigured(f"bad gid {gid} in virtual_gid_maps", address)
        whose = f"mailbox of {address} belongs to"
        self._rights.check(
            uid,
            f"{whose} uid {uid}",
            "run txmta as that user, or change virtual_uid_maps",
        )
        self._rights.check_group(
            gid,
            f"{whose} gid {gid}",
            "run it in that group, or change virtual_gid_maps",
        )
        return uid, gid

    async def _id(
        self, address: str, keys: Sequence[str], tables: Sequence[ITable], kind: str
    ) -> int:
        text = await _find(tables, keys)
        if text is None:
            where = f"virtual_{kind}_maps"
            raise self._misconfigured(f"{kind} not found in {where}", address)
        if not (text.isascii() and text.isdigit() and len(text) < 11):
            raise self._misconfigured(f"bad {kind} {text}", address)
        return int(text)

    def _misconfigured(self, trouble: str, address: str) -> MailboxError:
        self._sink.emit(Warn(self.name, f"recipient {address}: {trouble}"))
        return MailboxError("4.3.5", _MISCONFIGURED)

    def _maildir(self, found: str, owner: Owner) -> MaildirPath:
        return MaildirPath(self._base(), self._below(found), True, owner)

    def _file(self, found: str, uid: int, gid: int) -> MboxFile:
        settings = self._settings
        return MboxFile(
            "/".join((self._base().rstrip("/"), *self._below(found))),
            uid,
            gid,
            settings.virtual_mailbox_limit,
            settings.strict_mailbox_ownership,
            True,
            settings.virtual_mailbox_lock,
        )

    def _base(self) -> str:
        base = self._settings.virtual_mailbox_base or "/"
        if not base.startswith("/"):
            raise MailboxError(
                "4.3.5", f"virtual_mailbox_base = {base}: must be an absolute path"
            )
        return base

    def _below(self, found: str) -> tuple[str, ...]:
        """
        @return: names of directories, and of the mailbox.
        """
        below = tuple(name for name in found.split("/") if name not in ("", "."))
        if ".." in below or not below or "\0" in found:
            raise MailboxError("4.3.5", f'bad path "{found}" in virtual_mailbox_maps')
        return below

    def _stamp(self, request: DeliveryRequest, recipient: Recipient) -> Stamp:
        original = recipient.original or recipient.address
        return Stamp(
            request.envelope.sender,
            original if self._settings.enable_original_recipient else "",
            recipient.address,
        )


async def _find(tables: Sequence[ITable], keys: Sequence[str]) -> str | None:
    found = search(tables, keys)
    return await found if isinstance(found, Deferred) else found
