"""
C{resolv.conf}, C{hosts}, files that change, and the cache.
"""

from __future__ import annotations

import os

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txmta.dns.cache import Cache
from txmta.dns.hosts import parse_hosts, shortest
from txmta.dns.resolv_conf import Servers, parse_resolv_conf
from txmta.dns.watched import LOOK_INTERVAL, WatchedFile


class ResolvConfTests(SynchronousTestCase):
    def test_all(self) -> None:
        servers = parse_resolv_conf(
            "# a comment\n; another\nsearch example.test\n"
            "nameserver 192.0.2.1 trailing\nnameserver\t2001:DB8::1\n"
            "options timeout:7 attempts:4 rotate trust-ad edns0 ndots:2\n"
        )
        self.assertEqual(
            servers, Servers(("192.0.2.1", "2001:db8::1"), 7.0, 4, True, True)
        )

    def test_empty(self) -> None:
        """
        resolv.conf(5): the default is the server on this machine.
        """
        self.assertEqual(parse_resolv_conf(""), Servers())
        self.assertEqual(Servers().addresses, ("127.0.0.1",))

    def test_nonsense(self) -> None:
        text = (
            "nameserver\nnameserver example.test\nnameserver 1.2.3\n"
            "options timeout:x attempts: timeout\n options rotate\n\0\xff\n"
        )
        self.assertEqual(parse_resolv_conf(text), Servers())

    def test_bounds(self) -> None:
        """
        glibc: three servers, 30 seconds, 5 attempts at most.
        """
        text = "".join(f"nameserver 192.0.2.{n}\n" for n in range(1, 9))
        servers = parse_resolv_conf(text + "options timeout:99999 attempts:99\n")
        self.assertEqual(servers.addresses, ("192.0.2.1", "192.0.2.2", "192.0.2.3"))
        self.assertEqual((servers.timeout, servers.attempts), (30.0, 5))
        servers = parse_resolv_conf("options timeout:0 attempts:0\n")
        self.assertEqual((servers.timeout, servers.attempts), (1.0, 1))

    def test_scope(self) -> None:
        servers = parse_resolv_conf("nameserver fe80::1%eth0\n")
        self.assertEqual(servers.addresses, ("fe80::1%eth0",))
        self.assertFalse(servers.trusts("fe80::1%eth0"))


class HostsTests(SynchronousTestCase):
    def test_all(self) -> None:
        names = parse_hosts(
            "127.0.0.1 localhost # loopback\n#192.0.2.9 no.test\n"
            "192.0.2.1\tone.test one\n192.0.2.1 two.test\n"
            "2001:DB8:0::1 six.test\n::ffff:192.0.2.7 mapped.test\n"
        )
        self.assertEqual(
            names,
            {
                "127.0.0.1": "localhost",
                "192.0.2.1": "one.test",
                "2001:db8::1": "six.test",
                "192.0.2.7": "mapped.test",
            },
        )

    def test_nonsense(self) -> None:
        text = "localhost 127.0.0.1\n192.0.2.1\n192.0.2.1 a\x1bb\n1.2.3 c\n\n#\n"
        self.assertEqual(parse_hosts(text), {})

    def test_shortest(self) -> None:
        for text, expected in (
            ("::FFFF:192.0.2.1", "192.0.2.1"),
            ("fe80::1%eth0", "fe80::1"),
            ("192.0.2.1", "192.0.2.1"),
            ("example.test", None),
            ("", None),
        ):
            self.assertEqual(shortest(text), expected)


class WatchedFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = self.mktemp()
        self.reads = 0
        self.clock = Clock()
        self.file = WatchedFile(self.path, self.parse, self.clock.seconds)

    def parse(self, text: str) -> str:
        self.reads += 1
        return text

    def write(self, text: str, when: int) -> None:
        with open(self.path, "w") as f:
            f.write(text)
        os.utime(self.path, ns=(when, when))

    def get_later(self) -> str:
        """
        @return: what counts when it is time to look again.
        """
        self.clock.advance(LOOK_INTERVAL)
        return self.file.get()

    def test_read_again_when_changed(self) -> None:
        self.write("one", 1_000_000_000)
        self.assertEqual(self.file.get(), "one")
        self.assertEqual(self.get_later(), "one")
        self.assertEqual(self.reads, 1)
        self.write("two", 2_000_000_000)
        self.assertEqual(self.get_later(), "two")

    def test_one_look_a_second(self) -> None:
        """
        However many clients come.
        """
        looks: list[str] = []
        real = os.stat

        def look(path: str) -> os.stat_result:
            looks.append(path)
            return real(path)

        self.patch(os, "stat", look)
        for _ in range(10):
            self.file.get()
            self.clock.advance(LOOK_INTERVAL / 5)
        self.assertEqual(looks, [self.path] * 2)

    def test_replaced_by_another(self) -> None:
        """
        The usual way to change it: a new file of the same size and time.
        """
        self.write("one", 1_000_000_000)
        self.file.get()
        os.rename(self.path, self.path + ".old")
        self.write("two", 1_000_000_000)
        self.assertEqual(self.get_later(), "two")

    def test_missing(self) -> None:
        self.assertEqual(self.file.get(), "")
        self.assertEqual(self.get_later(), "")
        self.assertEqual(self.reads, 1)
        self.write("one", 1_000_000_000)
        self.assertEqual(self.get_later(), "one")
        os.unlink(self.path)
        self.assertEqual(self.get_later(), "")

    def test_not_text(self) -> None:
        with open(self.path, "wb") as f:
            f.write(b"a\xffb")
        self.assertEqual(self.file.get(), "a\ufffdb")


class CacheTests(SynchronousTestCase):
    def test_age(self) -> None:
        cache: Cache[str, int] = Cache(10)
        cache.put("a", 1, until=5.0)
        self.assertEqual(cache.get("a", 4.9), 1)
        self.assertIsNone(cache.get("a", 5.0))
        self.assertEqual(len(cache), 0)

    def test_size(self) -> None:
        cache: Cache[int, int] = Cache(3)
        for n in range(4):
            cache.put(n, n, until=9.0)
            cache.get(0, 0.0)
        self.assertEqual([cache.get(n, 0.0) for n in range(4)], [0, None, 2, 3])
