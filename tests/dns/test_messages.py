"""
L{txmta.dns.messages}: whatever a server says, there is an answer or a reason.
"""

from __future__ import annotations

import struct

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.names import dns
from twisted.trial.unittest import SynchronousTestCase

from tests.dns.doubles import raw_reply, record, reply, soa
from txmta.dns.messages import (
    MAX_ANSWERS,
    TYPES,
    AliasElsewhere,
    BadMessage,
    Question,
    askable,
    belongs,
    is_host,
    parse,
)
from txmta.model import Answer

QUESTION = Question("host.test", "MX")
QUERY = QUESTION.encode(7, True)
ROWS = (
    record("host.test", dns.Record_CNAME("b.test")),
    record("b.test", dns.Record_MX(10, "m.test")),
    record("b.test", dns.Record_A("192.0.2.1")),
    record("b.test", dns.Record_AAAA("::1")),
    record("b.test", dns.Record_TXT(b"text")),
    record("b.test", dns.Record_PTR("p.test")),
    dns.RRHeader(b"b.test", 52, dns.IN, 9, dns.UnknownRecord(b"\3\1\1abc")),
    record("b.test", dns.Record_NAPTR(1, 2, b"f", b"s", b"r", "n.test")),
    record("b.test", dns.Record_SRV(1, 2, 3, "t.test")),
)
GOOD = reply(QUERY, ROWS, (soa(),))


def outcome(data: bytes, kind: str) -> None:
    """
    A legal outcome, or the test ends with the error.
    """
    try:
        answer = parse(data, Question("host.test", kind), False)
    except (BadMessage, AliasElsewhere):
        return
    assert isinstance(answer, Answer)
    assert len(answer.records) <= MAX_ANSWERS
    assert 0 <= answer.ttl < float("inf") or not answer.records


class TotalityTests(SynchronousTestCase):
    @given(st.binary(max_size=300), st.sampled_from(sorted(TYPES)))
    @settings(max_examples=300, deadline=None)
    def test_noise(self, tail: bytes, kind: str) -> None:
        outcome(raw_reply(QUERY, (3, 1, 0), tail), kind)
        outcome(struct.pack("!H", 7) + tail + b"\0" * 12, kind)

    @given(
        st.lists(
            st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), max_size=6
        ),
        st.sampled_from(sorted(TYPES)),
    )
    @settings(max_examples=1000, deadline=None)
    def test_mutations(self, changes: list[tuple[int, int]], kind: str) -> None:
        data = bytearray(GOOD)
        for at, octet in changes:
            data[at] = octet
        outcome(bytes(data), kind)
        belongs(bytes(data), QUERY)


class NameTests(SynchronousTestCase):
    def test_is_host(self) -> None:
        for name in ("a", "a.b", "A-1.b", "_x._tcp.b", "1.2.3.4", "a" * 63):
            self.assertTrue(is_host(name), name)
        for name in ("", "-a", "a-", "a..b", "a.", ".a", "a b", "a\nb", "a\n", "\xe9"):
            self.assertFalse(is_host(name), name)
        self.assertFalse(is_host("a" * 64))
        self.assertFalse(is_host(".".join(["a" * 60] * 5)))

    def test_askable(self) -> None:
        """
        More than hosts: RFC 2317 delegation, DKIM, DANE.
        """
        for name in ("0/25.2.0.192.in-addr.arpa", "s._domainkey.b", "_25._tcp.b"):
            self.assertTrue(askable(name), name)
        for name in ("", "a..b", "a b", "a\n", "\x7f", "a" * 64):
            self.assertFalse(askable(name), name)
