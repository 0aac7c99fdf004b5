"""
Which messages the queue manager may claim next, and which it has.

Owns: claims; the messages just committed, which need no reading back; and how
    far the rows have been looked at.
Knows nothing of: SQL, threads, clocks; every call is told the time.

A claim is not written: there is one queue manager, and what it had not
recorded when it died is found in the rows again.

The rows are read behind two cursors. While the cursor for new messages is
set, messages just committed are left to it, so that nobody overtakes.

Errors: none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from txmta.model import QueuedMessage, QueueName, RecipientState, Result
from txmta.queue.store import ids

#: Messages, and recipients of them, kept after their commit without being
#: claimed; what does not fit is read back later.
FRESH = 10_000
FRESH_RECIPIENTS = 100_000

#: Least number of messages to read in one go.
PAGE = 100

#: Messages of other processes that are read in one go.
RANG = 200

#: Seconds after which the rows are looked at in any case: another process
#: may have written, and its doorbell been lost.
POLL = 5.0

_START = (-2, 0)  # before any time and number: "expire" is stored as -1


@dataclass(slots=True)
class Page:
    """
    @ivar bad: numbers of rows that cannot be messages, and why.
    @ivar seen: how many of the numbers asked for were looked at.
    """

    messages: list[QueuedMessage] = field(default_factory=list)
    bad: list[tuple[int, str]] = field(default_factory=list)
    seen: int = 0


@dataclass(frozen=True, slots=True)
class Scan:
    """
    What to look for.

    @ivar now: wall time.
    @ivar new_after: number after which new messages are wanted, or L{None}.
    @ivar due_after: time and number after which due ones are wanted, or
        L{None}.
    @ivar count: of each.
    @ivar skip: numbers that are in hand.
    @ivar rang: numbers of new messages, in order.
    """

    now: int
    new_after: int | None
    due_after: tuple[int, int] | None
    count: int
    skip: frozenset[int]
    rang: tuple[int, ...] = ()


@dataclass(slots=True)
class Found:
    """
    @ivar new_after: where to go on; L{None}: there is nothing more.
    @ivar due_after: the same for due ones.
    @ivar next_due: time of the next deferred message after C{now}, or
        L{None}.
    @ivar rang: those of C{Scan.rang} that are there and new.
    """

    new: Page
    due: Page
    new_after: int | None = None
    due_after: tuple[int, int] | None = None
    next_due: int | None = None
    rang: Page = field(default_factory=Page)


class Claim:
    """
    A message in hand.

    @ivar queue: where its row is.
    @ivar outstanding: recipients without a result yet.
    @ivar deferred: some recipient has one that leaves it in the queue.
    @ivar pending: records on their way to disk.
    @ivar due: as the last record left it, or L{None}.
    """

    __slots__ = ("deferred", "due", "message", "outstanding", "pending", "queue")

    def __init__(self, message: QueuedMessage) -> None:
        self.message = message
        self.queue = message.queue
        self.outstanding = len(message.envelope.recipients)
        self.deferred = False
        self.pending = 0
        self.due: float | None = None

    def record(self, results: Sequence[Result]) -> bool:
        """
        Results are on their way.

        @return: nothing will be left to do, and nothing else is on its way.
        """
        self.pending += 1
        self.outstanding -= len(results)
        for result in results:
            if result.state is RecipientState.DEFERRED:
                self.deferred = True
        return self.outstanding <= 0 and not self.deferred and self.pending == 1

    def recorded(self, due: float | None) -> bool:
        """
        Results are on disk.

        @return: the claim is at an end.
        """
        self.pending -= 1
        if due is not None:
            self.due = due
        return self.outstanding <= 0 and not self.pending

    def failed(self, results: Sequence[Result]) -> None:
        """
        Results did not get there, and will be recorded again.
        """
        self.pending -= 1
        self.outstanding += len(results)


class Intake:
    """
    @ivar claims: by message number.
    @ivar scanning: the rows are being read.
    """

    def __init__(self) -> None:
        self.claims: dict[int, Claim] = {}
        self.scanning = False
        self._new: dict[int, QueuedMessage] = {}
        self._due: dict[int, QueuedMessage] = {}
        self._new_recipients = 0
        self._rang: dict[int, None] = {}
        self._new_after: int | None = 0
        self._due_after: tuple[int, int] | None = _START
        self._next_due: float | None = None
        self._polled = 0.0
        # What happens while the rows are read, which may be too old by then.
        self._touched: set[int] = set()
        self._missed_new: int | None = None
        self._missed_due: float | None = None

    def arrived(self, number: int, message: QueuedMessage) -> None:
        """
        A message was committed.
        """
        if (
            self._new_after is not None
            or self.scanning
            or len(self._new) >= FRESH
            or self._new_recipients >= FRESH_RECIPIENTS
        ):
            self.behind(number)
            return
        self._new[number] = message
        self._new_recipients += len(message.envelope.recipients)

    def rang(self, numbers: Iterable[int]) -> None:
        """
        Another process says that these are new. They are read by their
        numbers, unless the cursor is going to find them.
        """
        for number in numbers:
            if number in self.claims or number in self._new:
                continue
            if self._new_after is not None or len(self._rang) >= FRESH:
                self.behind(number)
            else:
                self._rang[number] = None

    def behind(self, number: int) -> None:
        """
        A new message is in the rows and not here.
        """
        if self._new_after is None or number <= self._new_after:
            self._new_after = number - 1
        if self.scanning:
            self._missed_new = min(number, self._missed_new or number)

    def deferred(self, due: float) -> None:
        """
        A message is, or will be, due then.
        """
        if self._due_after is not None and due <= self._due_after[0]:
            self._due_after = (int(due) - 1, 0)
        if self._next_due is None or due < self._next_due:
            self._next_due = due
        if self.scanning:
            missed = self._missed_due
            self._missed_due = due if missed is None else min(missed, due)

    def withdraw(self, numbers: Iterable[int]) -> None:
        """
        The rows of these messages have changed: what is here of them, and
        not claimed, is out of date.
        """
        for number in numbers:
            if self.scanning:
                self._touched.add(number)
            message = self._new.pop(number, None)
            if message is not None:
                self._new_recipients -= len(message.envelope.recipients)
            self._due.pop(number, None)

    def end(self, number: int) -> None:
        """
        The message is gone, or nobody's any more.
        """
        self.claims.pop(number, None)
        if self.scanning:
            self._touched.add(number)

    def take(self, limit: int) -> list[QueuedMessage]:
        """
        Claim what is here: half of each kind when there is enough of both.
        """
        due = min(len(self._due), max(limit // 2, limit - len(self._new)))
        taken: list[QueuedMessage] = []
        for _ in range(min(len(self._new), limit - due)):
            number = next(iter(self._new))
            message = self._new.pop(number)
            self._new_recipients -= len(message.envelope.recipients)
            self.claims[number] = Claim(message)
            taken.append(message)
        for _ in range(due):
            number = next(iter(self._due))
            message = self._due.pop(number)
            self.claims[number] = Claim(message)
            taken.append(message)
        return taken

    def wanted(self, limit: int, now: float, seconds: float) -> bool:
        """
        Whether the rows must be read before C{limit} messages are claimed.

        @param now: wall time, to which times due belong.
        @param seconds: monotonic time.
        """
        new, due = len(self._new), len(self._due)
        if self._next_due is not None and self._next_due <= now:
            self._due_after = self._due_after or _START
        if new + due < limit and seconds - self._polled >= POLL:
            self._new_after, self._due_after = 0, _START
        half = limit // 2
        return (
            (self._new_after is not None or bool(self._rang))
            and new < max(limit - half, limit - due)
        ) or (self._due_after is not None and due < max(half, limit - new))

    def start(self, limit: int, now: float, seconds: float) -> Scan:
        """
        The rows are going to be read.
        """
        self.scanning = True
        self._missed_new = self._missed_due = None
        self._touched = set()
        if self._new_after == 0 and self._due_after == _START:
            self._polled = seconds
        if self._new_after is not None and self._rang:
            self._new_after = min(self._new_after, min(self._rang) - 1)
            self._rang.clear()
        skip = frozenset((*self.claims, *self._new, *self._due))
        rang = tuple(sorted(islice(self._rang, RANG)))
        count = max(limit, PAGE)
        return Scan(int(now), self._new_after, self._due_after, count, skip, rang)

    def found(self, scan: Scan, found: Found) -> None:
        """
        The rows have been read.
        """
        self.scanning = False
        if scan.new_after is not None:
            self._take_in(found.new)
            self._new_after = found.new_after
        if scan.rang:
            self._take_in(found.rang)
            for number in scan.rang[: found.rang.seen]:
                self._rang.pop(number, None)
        if scan.due_after is not None:
            self._due.update(self._usable(found.due.messages))
            self._due_after = found.due_after
            self._next_due = found.next_due
        self._touched = set()
        if self._missed_new is not None:
            self.behind(self._missed_new)
        if self._missed_due is not None:
            self.deferred(self._missed_due)

    def _take_in(self, page: Page) -> None:
        for number, message in self._usable(page.messages):
            if number not in self._new:
                self._new[number] = message
                self._new_recipients += len(message.envelope.recipients)

    def failed(self) -> None:
        """
        The rows could not be read: look again next time.
        """
        self.scanning = False

    def _usable(
        self, messages: Iterable[QueuedMessage]
    ) -> Iterable[tuple[int, QueuedMessage]]:
        for message in messages:
            number = ids.decode(message.envelope.queue_id)
            if (
                number is not None
                and number not in self._touched
                and number not in self.claims
            ):
                yield number, message

    def active(self) -> dict[QueueName, int]:
        """
        @return: for each queue, how many messages with a row there are in
            hand.
        """
        counts: dict[QueueName, int] = {}
        for claim in self.claims.values():
            counts[claim.queue] = counts.get(claim.queue, 0) + 1
        return counts
