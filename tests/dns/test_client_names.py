"""
L{txmta.dns.client_names}
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from txmta.dns.client_names import CACHE_SIZE, DEADLINE, MIN_TTL, ClientNames
from txmta.dns.watched import LOOK_INTERVAL
from txmta.errors import ResolverUnavailable
from txmta.interfaces import IClientNames, IResolver
from txmta.model import Answer, ClientName

PTR = ("1.2.0.192.in-addr.arpa", "PTR")
UNKNOWN = ("unknown", "unknown", 5, 5)
UNCERTAIN = ("unknown", "unknown", 4, 4)


@implementer(IResolver)
class Resolver:
    """
    Answers from a table; what is not there is asked and never answered.
    """

    def __init__(self) -> None:
        self.table: dict[tuple[str, str], Answer | None] = {}
        self.asked: list[tuple[str, str]] = []
        self.waiting: dict[tuple[str, str], Deferred[Answer]] = {}

    def lookup(self, name: str, kind: str) -> Answer | Deferred[Answer]:
        self.asked.append((name, kind))
        if (name, kind) not in self.table:
            self.waiting[name, kind] = Deferred()
            return self.waiting[name, kind]
        answer = self.table[name, kind]
        if answer is None:
            raise ResolverUnavailable(name, kind, "try again")
        return answer


class ClientNamesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.resolver = Resolver()
        self.hosts = self.mktemp()
        self.write_hosts("192.0.2.200 hosted.test other.test\n::1 six.test\n")
        self.names = ClientNames(self.resolver, self.clock, self.hosts)

    def write_hosts(self, text: str) -> None:
        with open(self.hosts, "w") as f:
            f.write(text)

    def pointer(self, *names: str, ttl: float = 300) -> None:
        self.resolver.table[PTR] = Answer(names, ttl=ttl)

    def forward(self, *addresses: str, name: str = "a.test", kind: str = "A") -> None:
        self.resolver.table[name, kind] = Answer(addresses, ttl=300)

    def name(self, address: str = "192.0.2.1") -> ClientName:
        found = self.names.name(address)
        return self.successResultOf(found) if isinstance(found, Deferred) else found

    def test_interface(self) -> None:
        verifyObject(IClientNames, self.names)

    def test_hosts(self) -> None:
        """
        The hosts file answers at once, and nobody is asked.
        """
        names = ("hosted.test", "hosted.test", 2, 2)
        self.assertEqual(self.names.name("192.0.2.200"), names)
        self.assertEqual(self.names.name("::ffff:192.0.2.200"), names)
        self.assertEqual(self.names.name("0:0::1"), ("six.test", "six.test", 2, 2))
        self.assertEqual(self.resolver.asked, [])

    def test_hosts_changes(self) -> None:
        """
        A change counts a second later: no look at the file for each client.
        """
        self.assertEqual(self.name("192.0.2.200")[0], "hosted.test")
        self.write_hosts("192.0.2.200 changed.test with.more.text\n")
        self.assertEqual(self.name("192.0.2.200")[0], "hosted.test")
        self.clock.advance(LOOK_INTERVAL)
        self.assertEqual(
            self.name("192.0.2.200"), ("changed.test", "changed.test", 2, 2)
        )

    def test_verified(self) -> None:
        self.pointer("a.test", "b.test")
        self.forward("192.0.2.9", "192.0.2.1")
        self.assertEqual(self.name(), ("a.test", "a.test", 2, 2))
        self.assertEqual(self.resolver.asked, [PTR, ("a.test", "A")])

    def test_ipv6(self) -> None:
        pointer = "1." + "0." * 23 + "8.b.d.0.1.0.0.2.ip6.arpa"
        self.resolver.table[pointer, "PTR"] = Answer(("a.test",), ttl=300)
        self.forward("2001:db8::1", kind="AAAA")
        self.assertEqual(self.name("2001:DB8:0::1"), ("a.test", "a.test", 2, 2))

    def test_claim_does_not_lead_back(self) -> None:
        """
        Anybody can claim any name.
        """
        self.pointer("bank.test")
        self.forward("192.0.2.9", name="bank.test")
        self.assertEqual(self.name(), ("unknown", "bank.test", 6, 2))

    def test_claim_leads_nowhere(self) -> None:
        self.pointer("a.test")
        self.resolver.table["a.test", "A"] = Answer((), exists=False)
        self.assertEqual(self.name(), ("unknown", "a.test", 6, 2))

    def test_claim_cannot_be_checked(self) -> None:
        self.pointer("a.test")
        self.resolver.table["a.test", "A"] = None
        self.assertEqual(self.name(), ("unknown", "a.test", 4, 2))

    def test_no_claim(self) -> None:
        self.resolver.table[PTR] = Answer((), exists=False)
        self.assertEqual(self.name(), UNKNOWN)

    def test_no_dns(self) -> None:
        self.resolver.table[PTR] = None
        self.assertEqual(self.name(), UNCERTAIN)

    def test_strange_claims(self) -> None:
        """
        What is no host name, or looks like an address, is no name.
        """
        for n, claim in enumerate(("192.0.2.1", "a\r\nb", "a b", "x]", "-a", "")):
            address = f"192.0.2.{n + 10}"
            pointer = f"{n + 10}.2.0.192.in-addr.arpa"
            self.resolver.table[pointer, "PTR"] = Answer((claim,), ttl=300)
            self.resolver.table[claim, "A"] = Answer((address,), ttl=300)
            self.assertEqual(self.name(address), UNKNOWN, claim)

    def test_no_address(self) -> None:
        self.assertEqual(self.names.name("unknown"), UNKNOWN)
        self.assertEqual(self.resolver.asked, [])

    def test_deadline(self) -> None:
        """
        Silent servers do not hold up a session; what they say later is for
        the next one.
        """
        found = self.names.name("192.0.2.1")
        assert isinstance(found, Deferred)
        self.clock.advance(DEADLINE - 1)
        self.assertNoResult(found)
        self.clock.advance(1)
        self.assertEqual(self.successResultOf(found), UNCERTAIN)
        self.forward("192.0.2.1")
        self.resolver.waiting[PTR].callback(Answer(("a.test",), ttl=300))
        self.assertEqual(self.names.name("192.0.2.1"), ("a.test", "a.test", 2, 2))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_deadline_is_of_each_session(self) -> None:
        """
        Who comes while a search is under way joins it, with a time of its own.
        """
        first = self.names.name("192.0.2.1")
        self.clock.advance(DEADLINE - 1)
        second = self.names.name("192.0.2.1")
        self.clock.advance(1)
        assert isinstance(first, Deferred) and isinstance(second, Deferred)
        self.successResultOf(first)
        self.assertNoResult(second)
        self.assertEqual(self.resolver.asked, [PTR])
        self.clock.advance(DEADLINE)
        self.assertEqual(self.successResultOf(second), UNCERTAIN)

    def test_kept(self) -> None:
        """
        Both outcomes are remembered, and answered at once.
        """
        self.pointer("a.test")
        self.forward("192.0.2.1")
        self.name()
        self.resolver.table["9.2.0.192.in-addr.arpa", "PTR"] = Answer(())
        self.name("192.0.2.9")
        asked = len(self.resolver.asked)
        self.assertEqual(self.names.name("192.0.2.1"), ("a.test", "a.test", 2, 2))
        self.assertEqual(self.names.name("192.0.2.9"), UNKNOWN)
        self.assertEqual(len(self.resolver.asked), asked)
        self.clock.advance(MIN_TTL)
        self.name("192.0.2.9")
        self.assertEqual(self.names.name("192.0.2.1"), ("a.test", "a.test", 2, 2))
        self.assertEqual(len(self.resolver.asked), asked + 1)
        self.clock.advance(300 - MIN_TTL)
        self.name()
        self.assertEqual(len(self.resolver.asked), asked + 3)

    def test_bounded(self) -> None:
        """
        Clients from very many addresses do not fill the memory.
        """
        self.resolver.table = {}
        answer = Answer((), ttl=3600)
        for n in range(CACHE_SIZE + 100):
            address = f"2001:db8::{n + 1:x}"
            self.names.name(address)
            self.resolver.waiting.popitem()[1].callback(answer)
            self.resolver.asked.clear()
        self.assertEqual(len(self.names._cache), CACHE_SIZE)
        self.assertEqual(self.names._waiting, {})

    def test_a_fault_of_ours(self) -> None:
        """
        Even a broken resolver leaves a session without name, not without end.
        """
        found = self.names.name("192.0.2.1")
        assert isinstance(found, Deferred)
        self.resolver.waiting[PTR].errback(ZeroDivisionError())
        self.assertEqual(self.successResultOf(found), UNCERTAIN)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
