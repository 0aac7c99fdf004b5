"""
L{txmta.dns.resolver} and L{txmta.dns.exchange} against servers that help, do
not help, or lie.
"""

from __future__ import annotations

import os
import struct
from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.testing import StringTransport
from twisted.names import dns
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.dns.doubles import (
    Net,
    later,
    make_resolver,
    now,
    raw_reply,
    record,
    reply,
    soa,
)
from txmta.dns.exchange import MAX_STRANGE
from txmta.dns.resolver import CACHE_SIZE, DEADLINE, FAILURE_TTL, MAX_QUESTIONS
from txmta.dns.watched import LOOK_INTERVAL
from txmta.errors import ResolverUnavailable
from txmta.interfaces import IResolver
from txmta.model import Answer, Mx

A = record("host.test", dns.Record_A("192.0.2.1"))


class ResolverCase(SynchronousTestCase):
    """
    @ivar conf: the text of resolv.conf.
    """

    conf = ""

    def setUp(self) -> None:
        self.net = Net()
        self.path = self.mktemp()
        self.write_conf(self.conf)
        self.resolver = make_resolver(self.net, self.path)

    def write_conf(self, text: str) -> None:
        with open(self.path, "w") as f:
            f.write(text)

    def ask(self, name: str = "host.test", kind: str = "A") -> Any:
        return later(self.resolver.lookup(name, kind))

    def give(self, *answers: dns.RRHeader, **header: Any) -> None:
        self.net.answer(answers=answers, **header)

    def get(self, kind: str, *answers: dns.RRHeader, **header: Any) -> Answer:
        """
        @return: what the resolver makes of such an answer.
        """
        found = self.ask(kind=kind)
        self.give(*answers, **header)
        answer = self.successResultOf(found)
        assert isinstance(answer, Answer)
        return answer

    def nothing_left(self) -> None:
        self.assertEqual(self.net.getDelayedCalls(), [])
        self.assertEqual([s for s in self.net.sockets if s.open], [])


class AnswerTests(ResolverCase):
    """
    What records become.
    """

    def test_interface(self) -> None:
        verifyObject(IResolver, self.resolver)

    def test_nothing_at_start(self) -> None:
        """
        No question is asked before the first lookup.
        """
        self.assertEqual(self.net.sockets, [])

    def test_a(self) -> None:
        answer = self.get("A", A, record("host.test", dns.Record_A("192.0.2.2")))
        self.assertEqual(answer, Answer(("192.0.2.1", "192.0.2.2"), ttl=300))
        self.nothing_left()

    def test_aaaa(self) -> None:
        answer = self.get("AAAA", record("host.test", dns.Record_AAAA("2001:DB8::1")))
        self.assertEqual(answer.records, ("2001:db8::1",))

    def test_mx(self) -> None:
        answer = self.get(
            "MX",
            record("host.test", dns.Record_MX(20, "B.test")),
            record("host.test", dns.Record_MX(10, "a.test")),
        )
        self.assertEqual(answer.records, (Mx(20, "b.test"), Mx(10, "a.test")))

    def test_null_mx(self) -> None:
        """
        RFC 7505: the root as only exchanger.
        """
        answer = self.get("MX", record("host.test", dns.Record_MX(0, "")))
        self.assertEqual(answer.records, (Mx(0, ""),))

    def test_txt(self) -> None:
        answer = self.get("TXT", record("host.test", dns.Record_TXT(b"a b", b"\xff")))
        self.assertEqual(answer.records, ("a b\udcff",))

    def test_ptr(self) -> None:
        answer = self.get("PTR", record("host.test", dns.Record_PTR("N.test")))
        self.assertEqual(answer.records, ("N.test",))

    def test_cname(self) -> None:
        answer = self.get("CNAME", record("host.test", dns.Record_CNAME("N.test")))
        self.assertEqual(answer.records, ("n.test",))

    def test_tlsa(self) -> None:
        """
        A type that the codec does not know.
        """
        payload = dns.UnknownRecord(b"\x03\x01\x01\xab\xcd")
        row = dns.RRHeader(b"host.test", 52, dns.IN, 300, payload)
        self.assertEqual(self.get("TLSA", row).records, ("3 1 1 abcd",))

    def test_unknown_kind(self) -> None:
        self.assertRaises(ValueError, self.resolver.lookup, "host.test", "ANY")

    def test_nxdomain(self) -> None:
        answer = self.get("A", authority=(soa(),), rCode=3)
        self.assertEqual(answer, Answer((), exists=False, ttl=60))

    def test_no_data(self) -> None:
        answer = self.get("A", authority=(soa(),))
        self.assertEqual(answer, Answer((), exists=True, ttl=60))

    def test_other_records(self) -> None:
        """
        Records of other names, types and classes are not the answer.
        """
        chaos = dns.RRHeader(b"host.test", dns.A, dns.CH, 9, dns.Record_A("192.0.2.9"))
        answer = self.get(
            "A",
            record("other.test", dns.Record_A("192.0.2.9")),
            record("host.test", dns.Record_AAAA("::9")),
            chaos,
            A,
        )
        self.assertEqual(answer.records, ("192.0.2.1",))

    def test_case(self) -> None:
        """
        A server may answer in other letters than we ask in.
        """
        found = self.ask("HOST.test")
        self.give(record("Host.TEST", dns.Record_A("192.0.2.1")))
        self.assertEqual(self.successResultOf(found).records, ("192.0.2.1",))

    def test_not_a_name(self) -> None:
        """
        What DNS cannot hold does not exist, and is not asked for.
        """
        long = ".".join(["a" * 60] * 5)
        bad = ("", "a..b", ".a", "a.", "a b", "a\0b", "\xfc.test", "a" * 64, long)
        for name in bad:
            answer = now(self.resolver.lookup(name, "A"))
            self.assertFalse(answer.exists, name)
        self.assertEqual(self.net.sockets, [])


class QueryTests(ResolverCase):
    """
    What we send.
    """

    conf = "nameserver 192.0.2.53\nnameserver 2001:DB8::53\n"

    def test_query(self) -> None:
        """
        RD and AD, EDNS with 1232 octets and DO.
        """
        self.ask("host.test", "MX")
        sent = dns.Message()
        sent.fromStr(self.net.last.sent)
        self.assertEqual(sent.recDes, 1)
        self.assertEqual(sent.authenticData, 1)
        self.assertEqual(sent.queries, [dns.Query(b"host.test", dns.MX)])
        (option,) = sent.additional
        self.assertEqual((option.type, option.cls), (dns.OPT, 1232))
        self.assertEqual(option.ttl, 0x8000)
        self.assertEqual(self.net.last.server, ("192.0.2.53", 53))

    def test_socket_per_query(self) -> None:
        """
        RFC 5452 section 4.5: each query has a port of its own, and an id that
        cannot be guessed.
        """
        for n in range(200):
            self.ask(f"h{n}.test")
        self.assertEqual(len(self.net.sockets), 200)
        ids = {s.sent[:2] for s in self.net.sockets}
        self.assertGreater(len(ids), 190)

    def test_ipv6_server(self) -> None:
        self.ask()
        self.net.last.protocol.connectionRefused()
        self.assertEqual(self.net.last.server, ("2001:db8::53", 53))
        self.assertEqual(self.net.last.interface, "::")


class ServerTests(ResolverCase):
    """
    Several servers, some of them dead.
    """

    conf = "nameserver 192.0.2.1\nnameserver 192.0.2.2\noptions timeout:3 attempts:2\n"

    def server(self) -> str:
        return self.net.last.server[0]

    def test_second_after_timeout(self) -> None:
        found = self.ask()
        self.net.advance(2.9)
        self.assertEqual(self.server(), "192.0.2.1")
        self.net.advance(0.2)
        self.assertEqual(self.server(), "192.0.2.2")
        self.give(A)
        self.assertEqual(self.successResultOf(found).records, ("192.0.2.1",))
        self.nothing_left()

    def test_second_at_once_when_refused(self) -> None:
        found = self.ask()
        self.net.last.protocol.connectionRefused()
        self.assertEqual(self.server(), "192.0.2.2")
        self.give(A)
        self.successResultOf(found)

    def test_second_when_the_socket_is_gone(self) -> None:
        """
        A refusal closes the socket, if the reactor is made with epoll.
        """
        self.ask()
        self.net.last.protocol.doStop()
        self.assertEqual(self.server(), "192.0.2.2")

    def test_the_one_that_answered_is_first(self) -> None:
        """
        A dead server costs its time-out once.
        """
        self.ask()
        self.net.last.protocol.connectionRefused()
        self.give(A)
        self.ask("other.test")
        self.assertEqual(self.server(), "192.0.2.2")

    def test_useless_answers(self) -> None:
        """
        SERVFAIL, REFUSED and a referral are no answers: ask the next server.
        """
        for n, header in enumerate(({"rCode": 2}, {"rCode": 5}, {"recAv": 0})):
            found = self.ask(f"h{n}.test")
            first = self.server()
            self.give(**header)
            self.assertNotEqual(self.server(), first)
            self.give(record(f"h{n}.test", dns.Record_A("192.0.2.1")))
            self.successResultOf(found)

    def test_all_fail(self) -> None:
        """
        SERVFAIL of all is "cannot say", never "does not exist".
        """
        found = self.ask("host.test", "MX")
        for _ in range(4):
            self.assertNoResult(found)
            self.give(rCode=2)
        error = self.failureResultOf(found, ResolverUnavailable).value
        self.assertIn(
            "Name service error for name=host.test type=MX: Host not found, try again",
            str(error),
        )
        self.assertEqual(len(self.net.sockets), 4)
        self.nothing_left()

    def test_silence(self) -> None:
        """
        Nobody answers: the lookup ends in time.
        """
        found = self.ask()
        self.net.pump([1] * 12)
        self.failureResultOf(found, ResolverUnavailable)
        self.nothing_left()

    def test_failure_is_kept_for_a_while(self) -> None:
        """
        RFC 9520 section 3.2.
        """
        found = self.ask()
        self.net.pump([1] * 12)
        self.failureResultOf(found, ResolverUnavailable)
        asked = len(self.net.sockets)
        for _ in range(2):
            self.assertRaises(
                ResolverUnavailable, self.resolver.lookup, "host.test", "A"
            )
        self.assertEqual(len(self.net.sockets), asked)
        self.net.advance(FAILURE_TTL)
        self.ask()
        self.assertEqual(len(self.net.sockets), asked + 1)

    def test_no_socket(self) -> None:
        """
        No descriptor left is a failure of ours: temporary.
        """
        self.net.full = True
        self.failureResultOf(self.ask(), ResolverUnavailable)
        self.nothing_left()

    def test_resolv_conf_changes(self) -> None:
        self.ask("one.test")
        self.write_conf("nameserver 192.0.2.77\n# longer than before, longer\n")
        self.net.advance(LOOK_INTERVAL)
        self.ask("two.test")
        self.assertEqual(self.server(), "192.0.2.77")

    def test_resolv_conf_goes(self) -> None:
        """
        Without the file the server is on this machine, as for libc.
        """
        os.unlink(self.path)
        self.ask("one.test")
        self.assertEqual(self.server(), "127.0.0.1")


class DeadlineTests(ResolverCase):
    conf = "options timeout:30 attempts:5\nnameserver 192.0.2.1\n"

    def test_total(self) -> None:
        """
        One lookup has one deadline, whatever resolv.conf says.
        """
        found = self.ask()
        self.net.advance(DEADLINE - 1)
        self.assertNoResult(found)
        self.net.advance(1)
        self.failureResultOf(found, ResolverUnavailable)
        self.nothing_left()

    def test_aliases_share_it(self) -> None:
        """
        A chain of aliases, each told slowly, buys no more time.
        """
        found = self.ask("a0.test")
        for n in range(6):
            self.net.advance(6)
            if self.net.last.open:
                alias = record(f"a{n}.test", dns.Record_CNAME(f"a{n + 1}.test"))
                self.give(alias)
        self.failureResultOf(found, ResolverUnavailable)
        self.nothing_left()


class RotateTests(ResolverCase):
    conf = "nameserver 192.0.2.1\nnameserver 192.0.2.2\noptions rotate\n"

    def test_rotate(self) -> None:
        for n in range(4):
            self.ask(f"h{n}.test")
        servers = [s.server[0][-1] for s in self.net.sockets]
        self.assertEqual(servers, ["2", "1", "2", "1"])


class ForgeryTests(ResolverCase):
    """
    RFC 5452 section 9: what is not the answer to our question is not looked at.
    """

    conf = "nameserver 192.0.2.53\n"

    def setUp(self) -> None:
        super().setUp()
        self.found = self.ask()
        self.sent = self.net.last.sent
        self.good = reply(self.sent, (A,))

    def still_waits(self, data: bytes, addr: tuple[str, int] | None = None) -> None:
        self.net.last.receive(data, addr)
        self.assertNoResult(self.found)
        self.net.last.receive(self.good)
        self.assertEqual(self.successResultOf(self.found).records, ("192.0.2.1",))

    def forged(self, offset: int, octet: int) -> bytes:
        changed = bytearray(self.good)
        changed[offset] ^= octet
        return bytes(changed)

    def test_wrong_id(self) -> None:
        self.still_waits(self.forged(0, 1))

    def test_wrong_source(self) -> None:
        self.still_waits(self.good, ("192.0.2.54", 53))

    def test_wrong_port(self) -> None:
        self.still_waits(self.good, ("192.0.2.53", 5353))

    def test_wrong_question_name(self) -> None:
        self.still_waits(self.forged(13, 1))

    def test_wrong_question_type(self) -> None:
        self.still_waits(self.forged(12 + 11 + 1, 2))

    def test_no_question(self) -> None:
        data = bytearray(self.good)
        data[4:6] = b"\0\0"
        self.still_waits(bytes(data))

    def test_a_query(self) -> None:
        """
        Our own query comes back: it is not an answer.
        """
        self.still_waits(self.sent)

    def test_other_opcode(self) -> None:
        self.still_waits(self.forged(2, 0x10))

    def test_short(self) -> None:
        for size in range(12):
            self.net.last.receive(self.good[:size])
        self.assertNoResult(self.found)

    def test_guessing(self) -> None:
        """
        RFC 5452 section 9.2: many wrong answers to one query are an attack;
        go on over TCP, where they cannot be forged.
        """
        for _ in range(MAX_STRANGE):
            self.assertEqual(self.net.tcpClients, [])
            self.net.last.receive(self.forged(0, 1))
        self.assertEqual(len(self.net.tcpClients), 1)
        self.assertNoResult(self.found)


class HostileTests(ResolverCase):
    """
    The right server says strange things.
    """

    conf = "nameserver 192.0.2.53\noptions attempts:1\n"

    def test_lying_counts(self) -> None:
        """
        The codec stops in silence at the end; half an answer is none.
        """
        found = self.ask(kind="MX")
        rows = [record("host.test", dns.Record_MX(n, f"m{n}.test")) for n in range(3)]
        data = bytearray(reply(self.net.last.sent, tuple(rows)))
        data[6:8] = struct.pack("!H", 4)
        self.net.last.receive(bytes(data))
        self.failureResultOf(found, ResolverUnavailable)

    def test_truncated_without_saying_so(self) -> None:
        """
        An answer cut at any octet is never taken for a whole one.
        """
        rows = (A, record("host.test", dns.Record_A("192.0.2.2")))
        found = self.ask()
        data = reply(self.net.last.sent, rows)
        start = 12 + 11 + 4
        self.net.last.receive(data)
        self.successResultOf(found)
        for cut in range(start, len(data)):
            self.net.advance(400)
            found = self.ask()
            whole = reply(self.net.last.sent, rows)
            self.net.last.receive(whole[:cut])
            self.failureResultOf(found, ResolverUnavailable)

    def test_alias_loop(self) -> None:
        found = self.ask()
        self.give(
            record("host.test", dns.Record_CNAME("b.test")),
            record("b.test", dns.Record_CNAME("host.test")),
        )
        self.failureResultOf(found, ResolverUnavailable)

    def test_alias_loop_over_messages(self) -> None:
        found = self.ask("a.test")
        for n in range(20):
            if not self.net.last.open:
                break
            name, other = ("a.test", "b.test") if n % 2 == 0 else ("b.test", "a.test")
            self.give(record(name, dns.Record_CNAME(other)))
        self.failureResultOf(found, ResolverUnavailable)
        self.assertLess(n, 19)
        self.nothing_left()

    def test_alias_to_control_octets(self) -> None:
        found = self.ask()
        self.give(record("host.test", dns.Record_CNAME("a\r\nb.test")))
        self.failureResultOf(found, ResolverUnavailable)

    def test_many_mx(self) -> None:
        """
        10,000 exchangers: some are taken, in bounded time and space.
        """
        found = self.ask(kind="MX")
        row = (
            b"\xc0\x0c"
            + struct.pack("!HHIHH", dns.MX, 1, 300, 6, 10)
            + b"\x01a\xc0\x0c"
        )
        data = raw_reply(self.net.last.sent, (10_000, 0, 0), row * 10_000)
        self.net.last.receive(data)
        self.assertEqual(self.successResultOf(found).records, (Mx(10, "a.host.test"),))

    def test_pointer_loop(self) -> None:
        found = self.ask()
        end = self.net.last.sent.index(b"\0", 12) + 5
        pointer = struct.pack("!H", 0xC000 | end)
        self.net.last.receive(raw_reply(self.net.last.sent, (1, 0, 0), pointer * 2))
        self.failureResultOf(found, ResolverUnavailable)

    def test_pointer_chain(self) -> None:
        """
        A long chain of pointers in each of many names.
        """
        found = self.ask()
        end = self.net.last.sent.index(b"\0", 12) + 5
        chain = b"".join(
            struct.pack("!H", 0xC000 | (end + 2 * n + 2)) for n in range(1500)
        )
        self.net.last.receive(
            raw_reply(self.net.last.sent, (256, 0, 0), chain + b"\0" * 10)
        )
        self.failureResultOf(found, ResolverUnavailable)

    def test_long_text(self) -> None:
        strings = [b"x" * 255] * 200
        answer = self.get("TXT", record("host.test", dns.Record_TXT(*strings)))
        self.assertEqual(answer.records, ("x" * 16384,))

    def test_nul_in_names(self) -> None:
        found = self.ask(kind="MX")
        self.give(record("host.test", dns.Record_MX(1, "a\0b.test")))
        self.failureResultOf(found, ResolverUnavailable)

    def test_good_and_bad_mx(self) -> None:
        """
        A malformed exchanger is left out, and is no reason to take the
        address of the domain instead.
        """
        answer = self.get(
            "MX",
            record("host.test", dns.Record_MX(1, "a b.test")),
            record("host.test", dns.Record_MX(2, "good.test")),
        )
        self.assertEqual(answer.records, (Mx(2, "good.test"),))

    def test_ptr_with_control_octets(self) -> None:
        for bad in ("a\r\nb.test", "a\x1b[31m.test", "a\0.test", "a b", "a;b", "a/b"):
            name = f"{len(self.net.sockets)}.test"
            found = self.ask(name, "PTR")
            self.give(record(name, dns.Record_PTR(bad)))
            self.assertEqual(self.successResultOf(found).records, (), bad)

    def test_noise(self) -> None:
        """
        Any octets after a good header and question are survived.
        """
        for seed in range(300):
            found = self.ask(f"h{seed}.test")
            noise = bytes((seed * 7 + n * n * (seed + 3)) & 255 for n in range(60))
            counts = (1 + seed % 4, 0, 0)
            self.net.last.receive(raw_reply(self.net.last.sent, counts, noise))
            self.failureResultOf(found, ResolverUnavailable)
        self.nothing_left()


class EdnsTests(ResolverCase):
    conf = "nameserver 192.0.2.53\noptions attempts:1\n"

    def test_server_without_edns(self) -> None:
        """
        RFC 6891 section 7: FORMERR, perhaps a bare header, means: without.
        """
        for n, code in enumerate((1, 4)):
            for bare in (False, True):
                name = f"h{n}{bare}.test"
                found = self.ask(name)
                refusal = reply(self.net.last.sent, rCode=code)
                self.net.last.receive(refusal[:12] if bare else refusal)
                self.assertNoResult(found)
                again = dns.Message()
                again.fromStr(self.net.last.sent)
                self.assertEqual(again.additional, [])
                self.give(record(name, dns.Record_A("192.0.2.1")))
                self.successResultOf(found)

    def test_bare_header_is_no_answer(self) -> None:
        """
        A header alone cannot say "there is none".
        """
        found = self.ask()
        self.net.last.receive(reply(self.net.last.sent)[:12])
        self.assertNoResult(found)


class AuthenticTests(ResolverCase):
    """
    RFC 6840 section 5.7, and the AD bit of strangers.
    """

    def ad(self, conf: str) -> bool:
        self.write_conf(conf)
        return self.get("A", A, authenticData=1).authentic

    def test_loopback(self) -> None:
        self.assertTrue(self.ad("nameserver 127.0.0.53\n"))

    def test_ipv6_loopback(self) -> None:
        self.assertTrue(self.ad("nameserver ::1\n"))

    def test_network(self) -> None:
        self.assertFalse(self.ad("nameserver 192.0.2.1\n"))

    def test_declared(self) -> None:
        self.assertTrue(self.ad("nameserver 192.0.2.1\noptions trust-ad\n"))

    def test_not_set(self) -> None:
        self.assertFalse(self.get("A", A).authentic)

    def test_alias_in_another_message(self) -> None:
        """
        What vouches for the target does not vouch for the way there.
        """
        found = self.ask()
        self.give(record("host.test", dns.Record_CNAME("b.test")), authenticData=1)
        self.give(record("b.test", dns.Record_A("192.0.2.1")), authenticData=1)
        self.assertFalse(self.successResultOf(found).authentic)


class StreamTests(ResolverCase):
    """
    TCP after TC.
    """

    conf = "nameserver 192.0.2.53\nnameserver 192.0.2.54\noptions timeout:3\n"

    def connect(self) -> tuple[Any, StringTransport]:
        host, port, factory, _timeout, _bind = self.net.tcpClients[-1]
        self.assertEqual((host, port), ("192.0.2.53", 53))
        protocol: Any = factory.buildProtocol(None)
        transport = StringTransport()
        protocol.makeConnection(transport)
        return protocol, transport

    def truncated(self) -> Any:
        found = self.ask()
        self.give(trunc=1)
        self.assertNoResult(found)
        return found

    def test_answer(self) -> None:
        found = self.truncated()
        protocol, transport = self.connect()
        query = transport.value()
        self.assertEqual(struct.unpack_from("!H", query)[0], len(query) - 2)
        data = reply(query[2:], (A,))
        framed = struct.pack("!H", len(data)) + data
        for octet in framed:
            protocol.dataReceived(bytes([octet]))
        self.assertEqual(self.successResultOf(found).records, ("192.0.2.1",))
        self.nothing_left()

    def test_partial_answer_is_not_used(self) -> None:
        """
        What a truncated answer holds does not count.
        """
        found = self.ask()
        self.give(A, trunc=1)
        self.assertNoResult(found)

    def test_forged(self) -> None:
        found = self.truncated()
        protocol, transport = self.connect()
        data = bytearray(reply(transport.value()[2:], (A,)))
        data[0] ^= 1
        protocol.dataReceived(struct.pack("!H", len(data)) + bytes(data))
        self.assertEqual(self.net.last.server[0], "192.0.2.54")
        self.assertNoResult(found)

    def test_silence(self) -> None:
        self.truncated()
        self.connect()
        self.net.advance(3)
        self.assertEqual(self.net.last.server[0], "192.0.2.54")

    def test_hang_up(self) -> None:
        self.truncated()
        protocol, _ = self.connect()
        protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.net.last.server[0], "192.0.2.54")

    def test_refused(self) -> None:
        self.truncated()
        factory = self.net.tcpClients[-1][2]
        factory.clientConnectionFailed(
            self.net.connectors[-1], Failure(ConnectionRefusedError())
        )
        self.assertEqual(self.net.last.server[0], "192.0.2.54")


class CacheTests(ResolverCase):
    def asked(self) -> int:
        return len(self.net.sockets)

    def test_kept(self) -> None:
        self.get("A", A)
        self.net.advance(299)
        self.assertEqual(now(self.resolver.lookup("HOST.test", "A")).ttl, 300)
        self.net.advance(1)
        self.ask()
        self.assertEqual(self.asked(), 2)

    def test_kinds_are_apart(self) -> None:
        self.get("A", A)
        self.ask(kind="MX")

    def test_zero_ttl(self) -> None:
        """
        TTL 0 answers those who wait, and is forgotten.
        """
        first, second = self.ask(), self.ask()
        self.give(record("host.test", dns.Record_A("192.0.2.1"), 0))
        self.successResultOf(first)
        self.successResultOf(second)
        self.assertEqual(self.asked(), 1)
        self.ask()
        self.assertEqual(self.asked(), 2)

    def test_least_ttl(self) -> None:
        """
        The aliases' TTL bounds the answer's.
        """
        answer = self.get(
            "A",
            record("host.test", dns.Record_CNAME("b.test"), 10),
            record("b.test", dns.Record_A("192.0.2.1"), 100),
        )
        self.assertEqual(answer.ttl, 10)

    def test_bounds(self) -> None:
        """
        A year is too long; for "there is none" more than an hour is.
        """
        year = 31_536_000
        long = record("host.test", dns.Record_A("192.0.2.1"), year)
        self.assertEqual(self.get("A", long).ttl, 86_400)
        none = self.get("MX", authority=(soa(year, year),))
        self.assertEqual(none.ttl, 3_600)

    def test_negative(self) -> None:
        self.get("A", authority=(soa(60),), rCode=3)
        self.net.advance(59)
        self.assertFalse(now(self.resolver.lookup("host.test", "A")).exists)
        self.net.advance(1)
        self.ask()

    def test_negative_without_soa(self) -> None:
        """
        RFC 2308 section 5: not kept.
        """
        self.get("A", rCode=3)
        self.ask()

    def test_size(self) -> None:
        """
        The cache is bounded; the least used go first.
        """
        for n in range(CACHE_SIZE + 10):
            found = self.ask(f"h{n}.test")
            self.give(record(f"h{n}.test", dns.Record_A("192.0.2.1")))
            self.successResultOf(found)
            now(self.resolver.lookup("h0.test", "A"))
            self.net.sockets.clear()
        now(self.resolver.lookup("h0.test", "A"))
        self.ask("h1.test")

    def test_one_question_at_a_time(self) -> None:
        """
        Those who ask the same wait for the same answer, each in its own way.
        """
        one, two, three = self.ask(), self.ask("Host.Test"), self.ask()
        three.cancel()
        self.failureResultOf(three)
        self.assertEqual(self.asked(), 1)
        self.give(A)
        self.assertEqual(self.successResultOf(one), self.successResultOf(two))

    def test_failure_reaches_all(self) -> None:
        one, two = self.ask(), self.ask()
        self.net.pump([1] * 12)
        self.failureResultOf(one, ResolverUnavailable)
        self.failureResultOf(two, ResolverUnavailable)

    def test_many_questions(self) -> None:
        """
        Sockets are bounded; the rest waits for its turn.
        """
        found = [self.ask(f"h{n}.test") for n in range(MAX_QUESTIONS + 5)]
        self.assertEqual(self.asked(), MAX_QUESTIONS)
        for n, socket in enumerate(self.net.sockets):
            name = f"h{n}.test"
            row = record(name, dns.Record_A("192.0.2.1"))
            socket.receive(reply(socket.sent, (row,)))
        for each in found:
            self.assertEqual(self.successResultOf(each).records, ("192.0.2.1",))
        self.nothing_left()


class AliasTests(ResolverCase):
    def test_in_one_message(self) -> None:
        answer = self.get(
            "A",
            record("host.test", dns.Record_CNAME("B.test")),
            record("b.test", dns.Record_CNAME("c.test")),
            record("c.test", dns.Record_A("192.0.2.3")),
        )
        self.assertEqual(answer.records, ("192.0.2.3",))

    def test_target_elsewhere(self) -> None:
        found = self.ask()
        self.give(record("host.test", dns.Record_CNAME("b.test"), 20))
        self.assertNoResult(found)
        self.give(record("b.test", dns.Record_A("192.0.2.3")))
        answer = self.successResultOf(found)
        self.assertEqual((answer.records, answer.ttl), (("192.0.2.3",), 20))

    def test_target_without_data(self) -> None:
        answer = self.get(
            "A",
            record("host.test", dns.Record_CNAME("b.test")),
            authority=(soa(),),
        )
        self.assertEqual(answer.records, ())
        self.assertTrue(answer.exists)

    def test_target_does_not_exist(self) -> None:
        alias = record("host.test", dns.Record_CNAME("b.test"))
        answer = self.get("A", alias, rCode=3)
        self.assertFalse(answer.exists)
