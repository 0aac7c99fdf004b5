"""
pickup: what sendmail has left in maildrop becomes mail in the queue.

Owns: when to look, how many messages are on their way at once, the order of commit
    and removal, what is told of whom.
Knows nothing of: who may open a file (L{txmta.queue.handed_in}), headers, the
    store.

A file is removed after its message is committed, not before: if we die between
the two, the message is there twice, and never not at all. A file that cannot be
removed is not taken again while this process lives.

A directory watch tells of new files; the directory is read at start, at each
wake-up (master.cf) and whenever the watch may have missed something.

Sources: Postfix C{pickup/pickup.c}; inotify(7).

Errors: none leave; what goes wrong is in the log, and the file is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, ensureDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from txmta.config.settings import Settings
from txmta.errors import MailError
from txmta.events import Note, Warn
from txmta.interfaces import (
    IAddressResolver,
    ICleanup,
    ICleanupMessage,
    IEventSink,
    IQueueEntrance,
)
from txmta.model import LOCAL_CLIENT, Envelope, Recipient, Reply, Submission, Trace
from txmta.queue.handed_in import (
    BLOCK,
    MAX_NAMES,
    Bad,
    HandedIn,
    Maildrop,
    NotNow,
    Strange,
)

#: Messages on their way at once: their commits share a flush of the disk.
AT_ONCE = 20

#: Names that wait to be looked at; for more, the directory is read again.
MAX_WAITING = 10_000

#: Seconds after trouble of ours.
RETRY = 10.0

#: Octets of one message after which others have their turn.
TURN = 4 * BLOCK

_TOO_BIG = Reply(552, "5.3.4", "Error: message file too big")

_TRACE = {"": Trace.NOTHING, "verify": Trace.VERIFY, "record": Trace.RECORD}

#: Gives a message back to its sender.
Return = Callable[[Envelope, Reply, HandedIn], Deferred[None]]

#: Whether a user may hand in mail.
MaySubmit = Callable[[int], "bool | Deferred[bool]"]


@dataclass(frozen=True)
class PickupParts:
    """
    What pickup is made from.

    @ivar cleanup: takes the messages.
    @ivar entrance: makes queue ids, and says when no mail is taken.
    @ivar returned: for messages that cleanup refuses.
    @ivar may_submit: authorized_submit_users, by uid; L{None}: everybody.
    @ivar clock: monotonic.
    @ivar now: wall time.
    """

    settings: Settings
    cleanup: ICleanup
    entrance: IQueueEntrance
    addresses: IAddressResolver
    returned: Return
    may_submit: MaySubmit | None
    clock: IReactorTime
    now: Callable[[], float]
    sink: IEventSink


class Pickup(Service):
    """
    Takes messages from one maildrop.
    """

    log = Logger()

    def __init__(self, parts: PickupParts, maildrop: Maildrop, wakeup: float) -> None:
        """
        @param wakeup: seconds between looks at the whole directory.
        """
        self._parts = parts
        self._maildrop = maildrop
        self._wakeup = wakeup
        self._waiting: dict[str, None] = {}
        self._taking: dict[str, Deferred[None]] = {}
        self._taken: dict[str, int] = {}  # names that could not be removed
        self._told: set[str] = set()  # names of which it was said that they are kept
        self._missed = False
        self._timer: IDelayedCall | None = None

    def startService(self) -> None:
        super().startService()
        self.look()

    def stopService(self) -> Deferred[None]:
        """
        @return: fires when what is on its way has arrived.
        """
        super().stopService()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        under_way = DeferredList(list(self._taking.values()))
        return under_way.addCallback(lambda _: self._maildrop.close())

    def look(self, delay: float | None = None) -> None:
        """
        Read the directory now, and again later.

        @param delay: seconds to wait first.
        """
        if not self.running:
            return
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if delay is None:
            try:
                names = self._maildrop.names()
            except OSError as e:
                self._warn(f"{self._maildrop.path}: {e.strerror}")
                names = []
            self._missed = len(names) == MAX_NAMES
            for name in names:
                self.arrived(name)
        self._timer = self._parts.clock.callLater(delay or self._wakeup, self.look)

    def arrived(self, name: str | None) -> None:
        """
        There may be something to take.

        @param name: in the directory; L{None} if something was missed.
        """
        if name is None or len(self._waiting) >= MAX_WAITING:
            self._missed = True
        elif name not in self._taking:
            self._waiting[name] = None
        self._go_on()

    def _go_on(self) -> None:
        while self.running and len(self._taking) < AT_ONCE:
            if not self._waiting:
                if self._missed and not self._taking:
                    self._missed = False
                    self._parts.clock.callLater(0, self.look)
                return
            if self._parts.entrance.refusal() is not None:
                # The queue takes nothing now, and says so itself.
                self._waiting.clear()
                self.look(RETRY)
                return
            name = next(iter(self._waiting))
            del self._waiting[name]
            taking = ensureDeferred(self._take(name))
            if not taking.called:
                self._taking[name] = taking
                taking.addBoth(self._took, name)

    def _took(self, _: object, name: str) -> None:
        del self._taking[name]
        self._go_on()

    async def _take(self, name: str) -> None:
        """
        Never fails.
        """
        try:
            await self._take_file(name)
        except Exception:
            self.log.failure("cannot take {name}", name=name)
            self._kept(name, "internal error")

    async def _take_file(self, name: str) -> None:
        maildrop = self._maildrop
        try:
            file = maildrop.open(name, self._parts.now())
        except NotNow:
            return
        except Strange as e:
            self._discard(name, str(e))
            return
        except Bad as e:
            self._put_aside(name, e)
            return
        except OSError as e:
            self._kept(name, e.strerror)
            return
        try:
            if self._taken.get(name) == file.inode:
                self._remove(name)
            else:
                await self._submit(name, file)
        except Bad as e:
            self._put_aside(name, e)
        except OSError as e:
            self._kept(name, e.strerror)
        except MailError as e:
            self._kept(name, e)
            self.look(RETRY)
        finally:
            file.close()

    async def _submit(self, name: str, file: HandedIn) -> None:
        if not await self._allowed(file.uid):
            self._discard(name, f"uid={file.uid} is not allowed to submit mail")
            return
        envelope = self._envelope(file)
        queue_id, submitted = envelope.queue_id, file.submitted
        self._parts.sink.emit(
            Note("pickup", f"{queue_id}: uid={file.uid} from=<{submitted.sender}>")
        )
        limit = self._parts.settings.message_size_limit
        if limit and file.size > limit:
            reply = _TOO_BIG
        else:
            submission = Submission(file.uid, submitted.full_name)
            message = self._parts.cleanup.open(envelope, submission)
            reply = await self._copy(file, message)
        if 400 <= reply.code < 500:
            # Told by whoever has the trouble.
            self.look(RETRY)
            return
        if reply.code >= 500:
            await self._parts.returned(envelope, reply, file)
        self._taken[name] = file.inode
        self._remove(name)

    async def _allowed(self, uid: int) -> bool:
        if self._parts.may_submit is None:
            return True
        allowed = self._parts.may_submit(uid)
        return await allowed if isinstance(allowed, Deferred) else allowed

    def _envelope(self, file: HandedIn) -> Envelope:
        parts, submitted = self._parts, file.submitted
        rewrite = parts.addresses.rewrite
        nobody = parts.settings.empty_address_recipient
        fields, notify = submitted.fields, submitted.notify
        return Envelope(
            queue_id=parts.entrance.new_id(),
            arrival=min(file.arrival, parts.now()),
            sender=rewrite(submitted.sender, True) if submitted.sender else "",
            recipients=tuple(
                Recipient(n, rewrite(each or nobody, True), each, notify=notify)
                for n, each in enumerate(submitted.recipients)
            ),
            client=LOCAL_CLIENT,
            body=fields.get("body", ""),
            ret=fields.get("ret", ""),
            envid=fields.get("envid", ""),
            local_origin=fields.get("context") != "remote",
            trace=_TRACE[fields.get("trace", "")],
        )

    async def _copy(self, file: HandedIn, message: ICleanupMessage) -> Reply:
        finished = False
        try:
            written = 0
            for block in file.blocks():
                message.write(block)
                written += len(block)
                if written >= TURN:
                    written = 0
                    await deferLater(self._parts.clock, 0)
            finished = True
        finally:
            if not finished:
                message.abort()
        reply = message.finish()
        return await reply if isinstance(reply, Deferred) else reply

    def _discard(self, name: str, why: str) -> None:
        try:
            self._maildrop.remove(name)
        except OSError as e:
            self._kept(name, f"{why}: cannot be removed: {e.strerror}")
        else:
            self._warn(f"maildrop/{name}: {why}: removed")

    def _remove(self, name: str) -> None:
        """
        It is in the queue.
        """
        try:
            self._maildrop.remove(name)
        except OSError as e:
            if len(self._taken) >= MAX_WAITING:
                self._taken.pop(next(iter(self._taken)))
            self._warn(f"maildrop/{name}: cannot be removed: {e.strerror}")
        else:
            self._taken.pop(name, None)

    def _put_aside(self, name: str, why: Bad) -> None:
        try:
            done = self._maildrop.put_aside(name)
        except OSError as e:
            done = f"kept: {e.strerror}"
        self._warn(f"maildrop/{name}: {why}: {done}")

    def _kept(self, name: str, why: object) -> None:
        """
        Said once, and not at every look.
        """
        if name not in self._told:
            if len(self._told) >= MAX_WAITING:
                self._told.clear()
            self._told.add(name)
            self._warn(f"maildrop/{name}: kept: {why}")

    def _warn(self, text: str) -> None:
        self._parts.sink.emit(Warn("pickup", text))


def by_name(
    match: Callable[[str], bool | Deferred[bool]], user_name: Callable[[int], str]
) -> MaySubmit:
    """
    @param match: authorized_submit_users.
    @param user_name: of a uid.
    """
    return lambda uid: match(user_name(uid))
