"""
Delivery requests as records that pass over a link between processes.

Owns: what the records C{recipients} and C{deliver} hold.
Knows nothing of: links, frames, who sends; which transports there are.

A request for many recipients goes in parts: C{recipients} records, then
C{deliver} with the rest. The parts of one request follow each other. At the
other end, C{envelope.recipients} are those of the request, not all that are
still to do.

Sources: Postfix C{global/deliver_request.c}, C{global/rcpt_print.c}.

Errors: L{BadDelivery}.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from txmta.master.wire_fields import (
    MAX_NUMBER,
    MAX_SECONDS,
    MAX_SIZE,
    MAX_TEXTS,
    PART,
    BadDelivery,
    Record,
    check_fields,
    check_list,
    check_number,
    check_queue_id,
    check_seconds,
    check_texts,
    field,
    key_of,
    plain,
    seconds_within,
)
from txmta.model import Client, DeliveryRequest, Envelope, Login, Recipient

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from txmta.interfaces import IContent

#: Recipients in one request. smtpd takes 1,000 in a message, an alias has
#: 50,000 at most.
MAX_RECIPIENTS = 100_000

#: Characters of all their addresses: 320 for each of so many.
MAX_ADDRESSES = 32_000_000

_ENVELOPE = 20

#: Names and values of what XFORWARD said.
MAX_FORWARDED = 32


def encode_request(key: int, request: DeliveryRequest) -> list[Record]:
    """
    @param key: names the delivery; of one life of the queue manager.
    @raise BadDelivery: it cannot pass.
    """
    recipients = request.recipients
    if not 0 < len(recipients) <= MAX_RECIPIENTS:
        raise BadDelivery("too many recipients")
    check_number(request.size, MAX_SIZE)
    times = [
        seconds_within(request.before_queue_manager),
        seconds_within(request.in_queue_manager),
    ]
    envelope = _encode_envelope(request.envelope)
    _check_texts((request.transport, request.nexthop), envelope)
    _check_envelope(envelope)
    # Where there are few, no record could hold so much.
    if len(recipients) > PART and _length(recipients) > MAX_ADDRESSES:
        raise BadDelivery("addresses are too long")
    parts = list(_parts(recipients))
    last = parts.pop()
    records: list[Record] = [
        {"t": "recipients", "key": key, "recipients": part} for part in parts
    ]
    records.append(
        {
            "t": "deliver",
            "key": key,
            "transport": request.transport,
            "nexthop": request.nexthop,
            "size": request.size,
            "times": times,
            "envelope": envelope,
            "recipients": last,
        }
    )
    return records


def _length(recipients: Sequence[Recipient]) -> int:
    """
    @return: characters of all addresses.
    """
    return sum(len(r.address) + len(r.original) + len(r.orcpt) for r in recipients)


def _parts(recipients: Sequence[Recipient]) -> Iterator[list[list[Any]]]:
    """
    @return: at least one part, none empty.
    """
    part: list[list[Any]] = []
    texts: list[str] = []
    characters = 0
    for r in recipients:
        n, address = r.n, r.address
        check_number(n, MAX_NUMBER)
        if r.original == address and not r.orcpt and not r.notify:
            item: list[Any] = [n, address]
            own: tuple[str, ...] = (address,)
        else:
            own = (address, r.original, r.orcpt)
            item = [n, *own, check_number(int(r.notify), 256)]
        size = sum(map(len, own))
        if part and (len(part) == PART or characters + size > MAX_TEXTS):
            check_texts(texts)
            yield part
            part, texts, characters = [], [], 0
        part.append(item)
        texts.extend(own)
        characters += size
    check_texts(texts)
    yield part


#: In place of who logged in: an empty method says that nobody did.
_NOBODY = Login("", "")


def _encode_envelope(envelope: Envelope) -> list[Any]:
    client, login = envelope.client, envelope.login or _NOBODY
    return [
        envelope.queue_id,
        envelope.sender,
        envelope.helo,
        envelope.protocol,
        envelope.body,
        envelope.ret,
        envelope.envid,
        client.address,
        client.name,
        client.reverse_name,
        client.label,
        login.username,
        login.method,
        login.sender,
        client.port,
        envelope.arrival,
        envelope.smtputf8,
        envelope.local_origin,
        int(envelope.trace),
        [text for pair in envelope.forwarded for text in pair],
    ]


def _check_texts(route: tuple[object, object], envelope: list[Any]) -> None:
    texts = envelope[:14]
    if not plain((*route, *texts)):
        check_texts(route)
        check_texts(texts)


def _check_envelope(items: list[Any]) -> None:
    """
    All but its texts.
    """
    check_queue_id(items[0])
    port, arrival, smtputf8, local_origin, trace, forwarded = items[14:]
    check_number(port, 65536)
    if forwarded != []:
        if len(check_list(forwarded, 0, MAX_FORWARDED)) % 2:
            raise BadDelivery("an attribute without value")
        check_texts(forwarded)
    check_seconds(arrival, -MAX_SECONDS)
    if type(smtputf8) is not bool or type(local_origin) is not bool:
        raise BadDelivery("a flag is none")
    check_number(trace, 4)


def wanted_content(record: Record) -> tuple[str, int] | None:
    """
    @param record: of any kind, not looked at yet.
    @return: queue id and size of the message that it wants delivered. What is
        wrong with it is for L{RequestReader} to say.
    """
    if record["t"] != "deliver":
        return None
    try:
        queue_id = check_queue_id(record["envelope"][0])
        return queue_id, check_number(record["size"], MAX_SIZE)
    except (BadDelivery, LookupError, TypeError):
        return None


#: Gives the content of a delivery, by its key and queue id.
Opener = Callable[[int, str], "IContent | Deferred[IContent]"]


class RequestReader:
    """
    Puts requests together from the records of one link.
    """

    def __init__(self, content: Opener, joins: Callable[[int], None]) -> None:
        """
        @param content: opens content, when an agent asks for it.
        @param joins: told when an agent calls C{joins} of a request, with its
            key.
        """
        self._content = content
        self._joins = joins
        self._key = -1
        self._parts: list[Recipient] = []
        self._characters = 0

    def part(self, record: Record) -> None:
        """
        Take a C{recipients} record.

        @raise BadDelivery: and the reader must be thrown away.
        """
        check_fields(record, 3)
        key = key_of(record)
        if self._parts and key != self._key:
            raise BadDelivery("parts of two requests")
        self._key = key
        recipients = _decode_recipients(field(record, "recipients"))
        if not self._parts:
            self._characters = 0
        self._parts += recipients
        self._characters += _length(recipients)
        if len(self._parts) > MAX_RECIPIENTS or self._characters > MAX_ADDRESSES:
            raise BadDelivery("too many recipients")

    def whole(self, record: Record) -> tuple[int, DeliveryRequest]:
        """
        Take a C{deliver} record.

        @return: its key, and what it asks for.
        @raise BadDelivery: and the reader must be thrown away.
        """
        check_fields(record, 8)
        try:
            items = check_list(record["envelope"], _ENVELOPE, _ENVELOPE)
            transport, nexthop = record["transport"], record["nexthop"]
            before, within = check_list(record["times"], 2, 2)
            size = check_number(record["size"], MAX_SIZE)
            recipients = _decode_recipients(record["recipients"])
        except KeyError as e:
            raise BadDelivery(f"no {e}") from None
        key = key_of(record)
        if self._parts:
            if key != self._key:
                raise BadDelivery("parts of two requests")
            recipients, self._parts = self._parts + recipients, []
            if len(recipients) > MAX_RECIPIENTS:
                raise BadDelivery("too many recipients")
        if len(recipients) > 1 and len({r.n for r in recipients}) < len(recipients):
            raise BadDelivery("a recipient twice")
        _check_texts((transport, nexthop), items)
        envelope = _decode_envelope(items, tuple(recipients))
        return key, DeliveryRequest(
            transport,
            nexthop,
            envelope,
            envelope.recipients,
            size,
            partial(self._content, key, envelope.queue_id),
            check_seconds(before),
            check_seconds(within),
            partial(self._joins, key),
        )


def _decode_recipients(items: object) -> list[Recipient]:
    recipients: list[Recipient] = []
    texts: list[str] = []
    for item in check_list(items, 1, PART):
        if type(item) is not list:
            raise BadDelivery("not a recipient")
        if len(item) == 2:
            n, address = item
            texts.append(address)
            recipient = Recipient(n, address, address)
        elif len(item) == 5:
            n, address, original, orcpt, notify = item
            texts += address, original, orcpt
            check_number(notify, 256)
            recipient = Recipient(n, address, original, orcpt, notify)
        else:
            raise BadDelivery("not a recipient")
        check_number(n, MAX_NUMBER)
        recipients.append(recipient)
    check_texts(texts)
    return recipients


def _decode_envelope(items: list[Any], recipients: tuple[Recipient, ...]) -> Envelope:
    """
    @param items: their texts are checked.
    """
    _check_envelope(items)
    queue_id, sender, helo, protocol, body, ret, envid = items[:7]
    address, name, reverse_name, label = items[7:11]
    login = Login(*items[11:14]) if items[12] else None
    port, arrival, smtputf8, local_origin, trace, forwarded = items[14:]
    return Envelope(
        queue_id,
        arrival,
        sender,
        recipients,
        Client(address, port, name, reverse_name, label),
        helo,
        protocol,
        body,
        smtputf8,
        ret,
        envid,
        local_origin,
        trace,
        tuple(zip(forwarded[::2], forwarded[1::2], strict=True)),
        login,
    )
