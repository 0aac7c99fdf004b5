from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

from twisted.trial.unittest import SynchronousTestCase

from txmta.interfaces import IContent
from txmta.master.frames import MAX_FRAME, FrameReader, encode
from txmta.master.wire import MAX_RECIPIENTS, RequestReader, encode_request
from txmta.master.wire_fields import MAX_TEXTS, PART, BadDelivery, Record
from txmta.model import Client, DeliveryRequest, Envelope, Login, Recipient

T = TypeVar("T")

ODD = "\udcff\udc80 ü \U0001f600@example.com"


def no_content() -> IContent:
    raise NotImplementedError


def make_request(*recipients: Recipient, **fields: Any) -> DeliveryRequest:
    recipients = recipients or (Recipient(0, "a@example.com", "a@example.com"),)
    envelope = Envelope(
        "4cQzBn0dLYz1s",
        1795492252.25,
        "sender@example.org",
        recipients,
        Client("192.0.2.1", 4321, "client.example.org", "client.example.org"),
        "client",
        "ESMTP",
    )
    return replace(
        DeliveryRequest(
            "smtp", "example.com", envelope, recipients, 5123, no_content, 0.25, 0.5
        ),
        **fields,
    )


def changed(value: T, name: str, field: Any) -> T:
    """
    @return: a value with another field.
    """
    changes: dict[str, Any] = {name: field}
    return replace(value, **changes)  # type: ignore[type-var]


def through(records: list[Record]) -> list[Record]:
    """
    @return: as the other end has them.
    """
    octets = encode(records)
    assert octets
    return [dict(record) for record in FrameReader().feed(octets)]


class WireCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.opened: list[tuple[int, str]] = []
        self.joined: list[int] = []

    def reader(self) -> RequestReader:
        def content(key: int, queue_id: str) -> IContent:
            self.opened.append((key, queue_id))
            raise NotImplementedError

        return RequestReader(content, self.joined.append)

    def read(self, records: list[Record]) -> tuple[int, DeliveryRequest]:
        reader = self.reader()
        for record in records[:-1]:
            reader.part(record)
        return reader.whole(records[-1])


class RequestTests(WireCase):
    def test_login(self) -> None:
        """
        Who logged in is told to the agent, for its command.
        """
        request = make_request()
        for login in (None, Login("user", "PLAIN"), Login("", "X", "a@b")):
            envelope = replace(request.envelope, login=login)
            records = encode_request(1, replace(request, envelope=envelope))
            _key, got = self.read(through(records))
            self.assertEqual(got.envelope.login, login)

    def same(self, request: DeliveryRequest) -> list[Record]:
        records = encode_request(7, request)
        key, read = self.read(through(records))
        self.assertEqual(key, 7)
        self.assertEqual(
            replace(read, open_content=request.open_content, joins=request.joins),
            request,
        )
        return records

    def test_one_recipient(self) -> None:
        """
        The usual request is one record.
        """
        self.assertEqual(len(self.same(make_request())), 1)

    def test_every_field(self) -> None:
        """
        Nothing of a request is lost on the way.
        """
        recipients = (
            Recipient(3, "a@example.com", "b@example.com", "rfc822;c", 6),
            Recipient(5, ODD, ODD),
        )
        envelope = Envelope(
            "4cQzBn0dLYz1s",
            -1.5,
            "",
            recipients,
            Client("2001:db8::1", 0, "unknown", "n.example.org", "label"),
            "helo",
            "ESMTPSA",
            "8BITMIME",
            True,
            "HDRS",
            "envid\udcfe",
            True,
        )
        self.same(
            make_request(*recipients, nexthop="[x]:25", envelope=envelope, size=0)
        )

    def test_parts(self) -> None:
        """
        Many recipients go in records of at most 500.
        """
        for count in (PART, PART + 1, 3 * PART):
            recipients = [Recipient(n, f"{n}@x", f"{n}@x") for n in range(count)]
            records = self.same(make_request(*recipients))
            self.assertEqual(len(records), -(-count // PART))

    def test_largest(self) -> None:
        """
        Whatever is taken fits into a frame, whatever its characters are.
        """
        for text in ("a", "\udcff", "\U0001f600"):
            long = text * MAX_TEXTS
            some = tuple(
                Recipient(n, text * (MAX_TEXTS // PART), text * (MAX_TEXTS // PART))
                for n in range(PART)
            )
            request = make_request(*some, nexthop=long[4:], transport="smtp")
            request = replace(
                request, envelope=replace(request.envelope, sender=long[200:])
            )
            for record in encode_request(2**53 - 1, request):
                self.assertLess(len(encode([record])), MAX_FRAME)

    def test_content_and_joins(self) -> None:
        """
        Both know which delivery they are for.
        """
        _, request = self.read(through(encode_request(9, make_request())))
        self.assertRaises(NotImplementedError, request.open_content)
        self.assertEqual(self.opened, [(9, "4cQzBn0dLYz1s")])
        request.joins()
        self.assertEqual(self.joined, [9])

    def test_odd_times(self) -> None:
        """
        Clocks that jump do not keep a message from being delivered.
        """
        for odd in (-1.0, math.nan, math.inf, 1e300):
            request = make_request(before_queue_manager=odd, in_queue_manager=odd)
            self.read(through(encode_request(1, request)))

    def test_cannot_pass(self) -> None:
        """
        What the other end would not take is not sent.
        """
        one = Recipient(0, "a@example.com", "a@example.com")
        bad = [
            make_request(replace(one, address="a\n")),
            make_request(replace(one, address="a\0")),
            make_request(replace(one, original="\ud800")),
            make_request(replace(one, original="\udc7f")),
            make_request(replace(one, original="\udd00")),
            make_request(replace(one, address="a" * (MAX_TEXTS + 1))),
            make_request(replace(one, n=-1)),
            make_request(replace(one, n=1 << 31)),
            make_request(replace(one, notify=256)),
            make_request(nexthop="x\r\ny"),
            make_request(nexthop="x" * (MAX_TEXTS + 1)),
            make_request(size=-1),
            make_request(recipients=()),
            make_request(recipients=(one,) * (MAX_RECIPIENTS + 1)),
        ]
        fields: dict[str, Any] = {
            "queue_id": "../x",
            "sender": "a\rb",
            "helo": "a" * MAX_TEXTS,
            "arrival": math.nan,
        }
        for name, value in fields.items():
            request = make_request()
            envelope = changed(request.envelope, name, value)
            bad.append(replace(request, envelope=envelope))
        for request in bad:
            self.assertRaises(BadDelivery, encode_request, 1, request)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """
    @return: the way to every value in a record.
    """
    if path:
        yield path
    if isinstance(value, dict):
        for name in value:
            yield from places(value[name], (*path, name))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from places(each, (*path, index))


#: What no field holds, of any kind.
NEVER: tuple[Any, ...] = (
    None,
    -1,
    1 << 60,
    1e300,
    -1e300,
    math.nan,
    {},
    [],
    [[]],
    {"a": 1},
    [None] * 3,
    "x\ny",
    "\ud800",
    "x" * (MAX_TEXTS + 1),
)


def spoilt(record: Record) -> Iterator[tuple[Any, Record]]:
    """
    @return: a record with one thing wrong with it, each, and what.
    """
    for path in places(record):
        if path == ("t",):
            continue
        for value in NEVER:
            bad = copy.deepcopy(record)
            inner: Any = bad
            for step in path[:-1]:
                inner = inner[step]
            inner[path[-1]] = value
            yield (path, value), bad
        bad = copy.deepcopy(record)
        inner = bad
        for step in path[:-1]:
            inner = inner[step]
        del inner[path[-1]]
        yield (path, "missing"), bad
        if isinstance(inner, list):
            inner.extend([1, 1])
            yield (path, "more"), bad
    yield "unknown field", {**record, "more": 1}


def refused(
    case: SynchronousTestCase,
    record: Record,
    read: Callable[[Record], object],
    *but: Any,
) -> None:
    """
    Every way to spoil a record is noticed, but some.
    """
    for what, bad in spoilt(record):
        if what in but:
            continue
        try:
            read(bad)
        except BadDelivery:
            continue
        case.fail(f"{what!r:.200} is taken")


class BadRequestTests(WireCase):
    """
    Whoever sends requests may be in the hands of somebody else.
    """

    def test_deliver(self) -> None:
        """
        Every field is checked.
        """
        one = Recipient(3, "a@example.com", "b@example.com", "rfc822;c", 6)
        (record,) = encode_request(7, make_request(one, Recipient(4, "a", "a")))
        refused(
            self,
            record,
            lambda bad: self.reader().whole(bad),
            # Before 1970, nothing forwarded, and all of a list of two are one.
            (("envelope", 15), -1),
            (("envelope", 19), []),
            (("recipients", 0), "missing"),
            (("recipients", 1), "missing"),
        )

    def test_recipients(self) -> None:
        record = {"t": "recipients", "key": 1, "recipients": [[1, "a"], [2, "b"]]}
        refused(
            self,
            record,
            lambda bad: self.reader().part(bad),
            (("recipients", 0), "missing"),
            (("recipients", 1), "missing"),
        )

    def test_too_many_in_a_part(self) -> None:
        many = [[n, "a"] for n in range(PART + 1)]
        record = {"t": "recipients", "key": 1, "recipients": many}
        self.assertRaises(BadDelivery, self.reader().part, record)

    def test_parts_without_end(self) -> None:
        """
        Parts are gathered up to a bound.
        """
        reader = self.reader()

        def endless() -> None:
            for start in range(0, 2 * MAX_RECIPIENTS, PART):
                part = [[n, "a"] for n in range(start, start + PART)]
                reader.part({"t": "recipients", "key": 1, "recipients": part})

        self.assertRaises(BadDelivery, endless)

    def test_parts_of_two(self) -> None:
        """
        The parts of one request follow each other.
        """
        for last in ("part", "whole"):
            reader = self.reader()
            reader.part({"t": "recipients", "key": 1, "recipients": [[1, "a"]]})
            (record,) = encode_request(2, make_request())
            if last == "part":
                record = {"t": "recipients", "key": 2, "recipients": [[1, "a"]]}
            self.assertRaises(BadDelivery, getattr(reader, last), record)

    def test_twice(self) -> None:
        """
        A recipient number comes once.
        """
        one = Recipient(3, "a", "a")
        (record,) = encode_request(7, make_request(one, one))
        self.assertRaises(BadDelivery, self.reader().whole, record)
