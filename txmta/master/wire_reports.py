"""
What becomes of a delivery, as records that pass over a link.

Owns: what the records C{outcome}, C{forward} and C{failed} hold; that a
    recipient has one outcome, and is one of the request.
Knows nothing of: links, frames, who sends; what an outcome leads to.

The messages that an outcome brings along (aliases, .forward files) come before
it, in C{forward} records: one for each 500 addresses.

Sources: Postfix C{global/deliver_completed.c}, C{global/dsn_print.c}.

Errors: L{BadDelivery<txmta.master.wire_fields.BadDelivery>}.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from txmta.errors import MailError, MessageDamaged, StoreUnavailable
from txmta.master.wire_fields import (
    MAX_NUMBER,
    MAX_TEXTS,
    PART,
    BadDelivery,
    Record,
    check_fields,
    check_list,
    check_number,
    check_seconds,
    check_texts,
    clean,
    field,
    plain,
    seconds_within,
)
from txmta.model import Action, AddressClass, Branch, Forward, Outcome, Route

#: Characters of a reason or a Diagnostic-Code that pass; of a name that is
#: only shown.
MAX_REASON = 5000
MAX_NAME = 1000

#: New messages in place of one recipient, and addresses of all of them; an
#: alias leads to 50,000 at most.
MAX_FORWARDS = 10_000
MAX_ADDRESSES = 100_000

#: Places that the recipient of a probe leads to, of which it is told.
MAX_BRANCHES = 100

#: Texts of an outcome that are mended if need be, by their places.
_MENDED = ((2, MAX_REASON), (3, MAX_NAME), (4, MAX_NAME), (5, MAX_REASON))

_MAX_USES = 1 << 31
_OUTCOME, _HEAD, _ROUTE = 15, 6, 5
_ACTIONS = {action.value: action for action in Action}
_CLASSES = {each.value: each for each in AddressClass}
_STATUS = frozenset("0123456789.")
_BRANCH_STATUS = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}")


def encode_outcome(key: int, outcome: Outcome) -> list[Record]:
    """
    @param outcome: of whoever wrote the agent; a reason that is no line of
        text is mended.
    @raise BadDelivery: it is none, or cannot pass.
    """
    try:
        return _encode_outcome(key, outcome)
    except (AttributeError, TypeError) as e:
        raise BadDelivery(f"not an outcome: {e}") from None


def _encode_outcome(key: int, outcome: Outcome) -> list[Record]:
    n = check_number(outcome.n, MAX_NUMBER)
    records = list(_encode_forwards(key, n, outcome.forward)) if outcome.forward else []
    status = outcome.status
    route = outcome.reroute
    texts: list[Any] = [
        outcome.action.value,
        status if len(status) < 12 and _STATUS.issuperset(status) else "",
        outcome.reason,
        outcome.relay,
        outcome.remote,
        outcome.diagnostic,
        outcome.bounce_to,
    ]
    if not plain(texts):
        for place, limit in _MENDED:
            texts[place] = clean(texts[place], limit)
        check_texts(texts)
    items = [
        *texts,
        n,
        seconds_within(outcome.setup),
        seconds_within(outcome.transmission),
        check_number(outcome.conn_use, _MAX_USES),
        bool(outcome.dsn_passed),
        len(outcome.forward),
        None if route is None else _encode_route(route),
        _encode_branches(outcome.branches) if outcome.branches else [],
    ]
    records.append({"t": "outcome", "key": key, "outcome": items})
    return records


def _encode_branches(branches: tuple[Branch, ...]) -> list[list[Any]]:
    items = [
        [clean(b.address, MAX_NAME), b.status, clean(b.reason, MAX_NAME), b.original]
        for b in branches
    ]
    _check_branches(items)
    return items


def _check_branches(value: object) -> list[list[Any]]:
    texts: list[Any] = []
    items = check_list(value, 0, MAX_BRANCHES)
    for item in items:
        address, status, reason, original = check_list(item, 4, 4)
        texts += address, status, reason
        if type(original) is not bool:
            raise BadDelivery("a flag is none")
    check_texts(texts)
    if any(not _BRANCH_STATUS.fullmatch(item[1]) for item in items):
        raise BadDelivery("not a status")
    return items


def _encode_route(route: Route) -> list[Any]:
    texts = [route.address_class.value, route.transport, route.nexthop, route.recipient]
    check_texts(texts)
    return [*texts, bool(route.routed)]


def _encode_forwards(
    key: int, n: int, forwards: tuple[Forward, ...]
) -> Iterator[Record]:
    if len(forwards) > MAX_FORWARDS:
        raise BadDelivery("too many forwards")
    if sum(len(forward.recipients) for forward in forwards) > MAX_ADDRESSES:
        raise BadDelivery("too many addresses")
    for forward in forwards:
        head: list[Any] | None = [
            forward.sender,
            forward.orcpt,
            forward.original,
            forward.head.decode("latin-1"),
            check_number(int(forward.notify), 256),
            bool(forward.keep_envid),
        ]
        _check_head(head)
        for part in _address_parts(forward.recipients):
            yield {
                "t": "forward",
                "key": key,
                "n": n,
                "head": head,
                "addresses": part,
            }
            head = None


def _address_parts(addresses: tuple[str, ...]) -> Iterator[list[str]]:
    part: list[str] = []
    characters = 0
    for address in addresses:
        characters += len(address)
        if part and (len(part) == PART or characters > MAX_TEXTS):
            _check_addresses(part)
            yield part
            part, characters = [], len(address)
        part.append(address)
    _check_addresses(part)
    yield part


def _check_addresses(part: list[str]) -> None:
    check_texts(part)
    if not part or not all(part):
        raise BadDelivery("a forward to nobody")


def _check_head(value: object) -> list[Any]:
    items = check_list(value, _HEAD, _HEAD)
    check_texts(items[:3])
    head = items[3]
    if type(head) is not str or len(head) > MAX_TEXTS:
        raise BadDelivery("not header lines")
    check_number(items[4], 256)
    if type(items[5]) is not bool:
        raise BadDelivery("a flag is none")
    return items


class Awaited:
    """
    What is awaited of one delivery.

    @ivar left: numbers of recipients without outcome.
    """

    __slots__ = ("_addresses", "_forwards", "_n", "_onward", "left")

    def __init__(self, numbers: Iterable[int], onward: bool) -> None:
        """
        @param onward: its agent may make new messages and send recipients
            another way. Others could send what they like, to whom they like.
        """
        self.left = set(numbers)
        self._onward = onward
        self._n = -1
        self._forwards: list[tuple[list[Any], list[str]]] = []
        self._addresses = 0

    def forward(self, record: Record) -> None:
        """
        Take a C{forward} record.
        """
        check_fields(record, 5)
        n = check_number(field(record, "n"), MAX_NUMBER)
        if not self._onward or n not in self.left:
            raise BadDelivery("a forward that nobody asked for")
        if self._forwards and n != self._n:
            raise BadDelivery("forwards of two recipients")
        self._n = n
        addresses = check_list(field(record, "addresses"), 1, PART)
        _check_addresses(addresses)
        head = field(record, "head")
        if head is not None:
            self._forwards.append((_check_head(head), addresses))
        elif self._forwards:
            self._forwards[-1][1].extend(addresses)
        else:
            raise BadDelivery("a forward without beginning")
        self._addresses += len(addresses)
        if len(self._forwards) > MAX_FORWARDS or self._addresses > MAX_ADDRESSES:
            raise BadDelivery("too many forwards")

    def outcome(self, record: Record) -> Outcome:
        """
        Take an C{outcome} record.
        """
        check_fields(record, 3)
        items = check_list(field(record, "outcome"), _OUTCOME, _OUTCOME)
        if not plain(items[:7]):
            check_texts(items[:7])
        action, status, reason, relay, remote, diagnostic, bounce_to = items[:7]
        n, setup, transmission, uses, dsn_passed, forwards, route, branches = items[7:]
        # Looked up only when known to be a number: a list has no hash.
        if check_number(n, MAX_NUMBER) not in self.left:
            raise BadDelivery(f"recipient {n} twice or unasked")
        if action not in _ACTIONS or not _STATUS.issuperset(status):
            raise BadDelivery("not an action, or not a status")
        if type(dsn_passed) is not bool:
            raise BadDelivery("a flag is none")
        if not self._onward and (route is not None or bounce_to):
            raise BadDelivery("an agent that has no other way for mail")
        outcome = Outcome(
            n,
            _ACTIONS[action],
            status,
            reason,
            relay,
            remote,
            diagnostic,
            check_seconds(setup),
            check_seconds(transmission),
            check_number(uses, _MAX_USES),
            self._take_forwards(n, check_number(forwards, MAX_FORWARDS + 1)),
            dsn_passed,
            None if route is None else _decode_route(route),
            bounce_to,
            () if branches == [] else _decode_branches(branches),
        )
        self.left.remove(n)
        return outcome

    def _take_forwards(self, n: int, count: int) -> tuple[Forward, ...]:
        found = self._forwards
        if len(found) != count or (found and n != self._n):
            raise BadDelivery("forwards are missing")
        if not found:
            return ()
        self._forwards, self._addresses = [], 0
        return tuple(_decode_forward(head, addresses) for head, addresses in found)


def _decode_forward(head: list[Any], addresses: list[str]) -> Forward:
    sender, orcpt, original, lines, notify, keep_envid = head
    try:
        octets = lines.encode("latin-1")
    except UnicodeEncodeError:
        raise BadDelivery("not header lines") from None
    return Forward(
        sender, tuple(addresses), octets, notify, orcpt, original, keep_envid
    )


def _decode_branches(value: object) -> tuple[Branch, ...]:
    return tuple(
        Branch(address, original, status, reason)
        for address, status, reason, original in _check_branches(value)
    )


def _decode_route(value: object) -> Route:
    items = check_list(value, _ROUTE, _ROUTE)
    check_texts(items[:4])
    name, transport, nexthop, recipient, routed = items
    if name not in _CLASSES or type(routed) is not bool:
        raise BadDelivery("not a route")
    return Route(_CLASSES[name], transport, nexthop, recipient, routed)


def encode_failed(key: int, error: BaseException) -> Record:
    """
    @param error: what the agent failed with.
    """
    kind = "agent"
    if isinstance(error, StoreUnavailable):
        kind = "queue"
    elif isinstance(error, MessageDamaged):
        kind = "damaged"
    reason = error.reason if isinstance(error, MessageDamaged) else str(error)
    if kind == "agent" and not isinstance(error, MailError):
        reason = f"{type(error).__name__}: {reason}"
    reason = clean(reason, MAX_REASON) or "unknown error"
    return {"t": "failed", "key": key, "kind": kind, "reason": reason}


def decode_failed(record: Record, queue_id: str) -> MailError:
    """
    @return: what L{encode_failed} was given, or a
        L{MailError<txmta.errors.MailError>} for what is none of ours.
    """
    check_fields(record, 4)
    kind, reason = field(record, "kind"), field(record, "reason")
    check_texts((kind, reason))
    if kind == "queue":
        return StoreUnavailable(reason)
    if kind == "damaged":
        return MessageDamaged(queue_id, reason)
    if kind != "agent":
        raise BadDelivery("fails in a way that nobody knows")
    return MailError(reason)
