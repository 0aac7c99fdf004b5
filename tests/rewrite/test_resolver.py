"""
Tests of L{txmta.rewrite.resolver} and L{txmta.rewrite.classes}.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from txmta.config.settings import Settings
from txmta.errors import ConfigError, TableUnavailable
from txmta.interfaces import IAddressResolver, IMatchList, ITable
from txmta.model import AddressClass, Route
from txmta.rewrite.classes import DomainLists, RecipientTables
from txmta.rewrite.resolver import BAD_ADDRESS, AddressResolver


@implementer(IMatchList)
class Names:
    """
    A list of names; C{"later"} makes answers come later, C{"broken"} not at
    all.
    """

    def __init__(self, *names: str, mode: str = "") -> None:
        self.names = names
        self.mode = mode

    def match(self, item: str) -> bool | Deferred[bool]:
        if self.mode == "broken":
            return fail(TableUnavailable("test:", "is down"))
        found = item.lower() in self.names
        return succeed(found) if self.mode == "later" else found


@implementer(ITable)
class Table:
    def __init__(self, entries: Mapping[str, str], mode: str = "") -> None:
        self.entries = entries
        self.mode = mode

    def lookup(self, key: str) -> str | Deferred[str | None] | None:
        if self.mode == "broken":
            raise TableUnavailable("test:", "is down")
        found = self.entries.get(key.lower())
        return succeed(found) if self.mode == "later" else found


class ResolverTestCase(SynchronousTestCase):
    #: How the lists answer.
    mode = ""

    def make(
        self, tables: RecipientTables | None = None, **settings: str
    ) -> AddressResolver:
        lists = DomainLists(
            Names("mail.example.com", "localhost", mode=self.mode),
            Names("virtual.example", mode=self.mode),
            Names("relay.example", mode=self.mode),
            frozenset({"192.0.2.1", "2001:db8::1"}),
            Names("alias.example", mode=self.mode),
        )
        values = {"myhostname": "mail.example.com", "mydomain": "example.com"}
        return AddressResolver(Settings.of(**(values | settings)), lists, tables)

    def resolve(self, address: str, **settings: str) -> Route:
        route = self.make(None, **settings).resolve(address)
        if isinstance(route, Deferred):
            answer = self.successResultOf(route)
            assert isinstance(answer, Route)
            return answer
        return route


class ResolveTests(ResolverTestCase):
    def test_interface(self) -> None:
        """
        A resolver is what the server and the queue manager expect.
        """
        verifyObject(IAddressResolver, self.make())

    def test_classes(self) -> None:
        """
        ADDRESS_CLASS_README: the domain decides on class, transport and next
        hop.
        """
        for address, expected in {
            "user@mail.example.com": (AddressClass.LOCAL, "local", "mail.example.com"),
            "User@LOCALHOST": (AddressClass.LOCAL, "local", "mail.example.com"),
            "user@[192.0.2.1]": (AddressClass.LOCAL, "local", "mail.example.com"),
            "user@[IPv6:2001:DB8:0::1]": (
                AddressClass.LOCAL,
                "local",
                "mail.example.com",
            ),
            "user@virtual.example": (
                AddressClass.VIRTUAL_MAILBOX,
                "virtual",
                "virtual.example",
            ),
            "user@relay.example": (AddressClass.RELAY, "relay", "relay.example"),
            "user@alias.example": (
                AddressClass.VIRTUAL_ALIAS,
                "error",
                "5.1.1 User unknown in virtual alias table",
            ),
            "user@Else.example": (AddressClass.DEFAULT, "smtp", "else.example"),
            "user@[192.0.2.2]": (AddressClass.DEFAULT, "smtp", "[192.0.2.2]"),
        }.items():
            self.assertEqual(
                self.resolve(address), Route(*expected, address, False), address
            )

    def test_relayhost(self) -> None:
        """
        relayhost is the next hop of the relay and default classes only; a
        transport with a next hop of its own comes first.
        """
        for address, nexthop in {
            "user@mail.example.com": "mail.example.com",
            "user@virtual.example": "virtual.example",
            "user@relay.example": "[up.example]:587",
            "user@else.example": "[up.example]:587",
            "user@[192.0.2.2]": "[up.example]:587",
        }.items():
            route = self.resolve(address, relayhost="[up.example]:587")
            self.assertEqual(route.nexthop, nexthop)
        explicit = self.resolve(
            "user@relay.example",
            relayhost="[up.example]",
            relay_transport="lmtp:inet:127.0.0.1:24",
        )
        self.assertEqual(
            (explicit.transport, explicit.nexthop), ("lmtp", "inet:127.0.0.1:24")
        )

    def test_transports(self) -> None:
        """
        C{transport:nexthop} in the four parameters.
        """
        route = self.resolve("user@localhost", local_transport="local")
        self.assertEqual((route.transport, route.nexthop), ("local", "localhost"))
        route = self.resolve("user@else.example", default_transport="error:5.1.2 no")
        self.assertEqual((route.transport, route.nexthop), ("error", "5.1.2 no"))

    def test_null_transport(self) -> None:
        """
        An empty transport is refused at start, all of them at once.
        """
        error = self.assertRaises(
            ConfigError, self.make, None, relay_transport="", default_transport=":x"
        )
        self.assertEqual(len(error.problems), 2)
        self.assertIn("relay_transport = : null transport is not allowed", str(error))

    def test_behind_our_domain(self) -> None:
        """
        C{user%elsewhere@ours} is mail for elsewhere, with its class.
        """
        for address in (
            "user%else.example@localhost",
            "user@else.example@localhost",
            "else.example!user@localhost",
            "user%else.example@[192.0.2.1]",
        ):
            route = self.resolve(address)
            self.assertEqual(
                route,
                Route(
                    AddressClass.DEFAULT, "smtp", "else.example", "user@else.example"
                ),
            )

    def test_routed(self) -> None:
        """
        C{user%elsewhere@relay.domain} must not pass as mail for the relay
        domain: the next hop might follow the operator.
        """
        self.assertTrue(self.resolve("user%else.example@relay.example").routed)
        self.assertFalse(self.resolve("user@relay.example").routed)
        route = self.resolve("user%else.example@localhost", allow_percent_hack="no")
        self.assertEqual(
            (route.address_class, route.routed), (AddressClass.LOCAL, True)
        )

    def test_bad_syntax(self) -> None:
        """
        An address that cannot be goes to the error transport, in Postfix's
        words; so does one that a command could take for an option.
        """
        for address in (
            "u@a..b",
            "u@192.0.2.9",
            "u@",
            "-u@else.example",
            "-u@localhost",
        ):
            route = self.resolve(address)
            self.assertEqual((route.transport, route.nexthop), ("error", BAD_ADDRESS))
        allowed = self.resolve("-u@else.example", allow_min_user="yes")
        self.assertEqual(allowed.transport, "smtp")

    def test_null_sender(self) -> None:
        """
        Mail to nobody is mail to empty_address_recipient.
        """
        self.assertEqual(self.resolve("").recipient, "MAILER-DAEMON@mail.example.com")

    def test_no_domain(self) -> None:
        """
        It is this machine, whatever class that has; and so is what stands for
        nobody, unless it says where.
        """
        self.assertEqual(self.resolve("user").address_class, AddressClass.LOCAL)
        route = self.resolve("user", myhostname="mx.else.example")
        self.assertEqual(
            (route.address_class, route.recipient),
            (AddressClass.DEFAULT, "user@mx.else.example"),
        )
        nobody = {"empty_address_recipient": "nobody@relay.example"}
        route = self.resolve("", **nobody)
        self.assertEqual(
            (route.address_class, route.recipient),
            (AddressClass.RELAY, "nobody@relay.example"),
        )

    def test_rewrite(self) -> None:
        """
        Local addresses are completed with myorigin, those of remote clients
        with remote_header_rewrite_domain.
        """
        resolver = self.make(remote_header_rewrite_domain="invalid.example")
        self.assertEqual(resolver.rewrite("user", True), "user@mail.example.com")
        self.assertEqual(resolver.rewrite("user", False), "user@invalid.example")
        self.assertEqual(self.make().rewrite("user", False), "user")
        plain = self.make(append_at_myorigin="no", append_dot_mydomain="yes")
        self.assertEqual(plain.rewrite("user", True), "user")
        self.assertEqual(plain.rewrite("user@host", True), "user@host.example.com")


class LaterTests(ResolveTests):
    """
    The same answers when the lists answer later.
    """

    mode = "later"


class BrokenTests(ResolverTestCase):
    mode = "broken"

    def test_cannot_say(self) -> None:
        """
        A list that cannot say makes no route: mail waits.
        """
        for address in ("user@else.example", "user%x@localhost"):
            self.assertRaises(TableUnavailable, self.make().resolve, address)

    def test_cannot_say_later(self) -> None:
        """
        The same when the list finds out later.
        """
        waiting: Deferred[bool] = Deferred()

        @implementer(IMatchList)
        class Waiting:
            def match(self, item: str) -> Deferred[bool]:
                return waiting

        lists = DomainLists(Waiting(), Names(), Names())
        route = AddressResolver(Settings.of(), lists).resolve("user@else.example")
        assert isinstance(route, Deferred)
        self.assertNoResult(route)
        waiting.errback(TableUnavailable("test:", "is down"))
        self.failureResultOf(route, TableUnavailable)


class ValidateTests(ResolverTestCase):
    table_mode = ""

    def tables(self) -> RecipientTables:
        def table(*keys: str) -> Sequence[ITable]:
            return [Table(dict.fromkeys(keys, "x"), self.table_mode)]

        return RecipientTables(
            table("joe", "list-request", "full@localhost", '"a b"'),
            table("box@virtual.example", "@relay.example"),
            table("known@relay.example"),
            [table("was@relay.example"), table("v@alias.example", "w@else.example")],
            table("s@relay.example"),
        )

    def valid(
        self, address: str, tables: RecipientTables | None = None, **settings: str
    ) -> bool:
        resolver = self.make(tables or self.tables(), **settings)
        route = resolver.resolve(address)
        assert not isinstance(route, Deferred)
        answer = resolver.validate(address, route)
        if isinstance(answer, Deferred):
            found = self.successResultOf(answer)
            assert isinstance(found, bool)
            return found
        return answer

    def test_tables(self) -> None:
        """
        Each class has its tables; a local name may stand alone in them.
        """
        for address, expected in {
            "joe@localhost": True,
            "JOE@[192.0.2.1]": True,
            "full@localhost": True,
            "full@mail.example.com": False,
            "a b@localhost": True,
            "ann@localhost": False,
            "joe%localhost@mail.example.com": True,
            "box@virtual.example": True,
            "joe@virtual.example": False,
            "known@relay.example": True,
            "box@relay.example": False,
            "anybody@else.example": True,
        }.items():
            self.assertEqual(self.valid(address), expected, address)

    def test_rewritten(self) -> None:
        """
        Who is rewritten is known, whatever the class; a sender also by what
        is for senders.
        """
        for address, expected in {
            "was@relay.example": True,
            "v@alias.example": True,
            "u@alias.example": False,
            "s@relay.example": False,
        }.items():
            self.assertEqual(self.valid(address), expected, address)
        nowhere = {"default_transport": "error:x", "relay_transport": "retry:x"}
        self.assertTrue(self.valid("w@else.example", None, **nowhere))
        self.assertFalse(self.valid("u@else.example", None, **nowhere))
        self.assertFalse(self.valid("known@relay.example", None, **nowhere))
        resolver = self.make(self.tables())
        route = Route(AddressClass.RELAY, "relay", "x", "s@relay.example")
        answer = resolver.validate("s@relay.example", route, as_sender=True)
        self.assertTrue(answer)

    def test_no_tables(self) -> None:
        """
        An empty parameter: everybody is known.
        """
        for domain in ("localhost", "virtual.example", "relay.example"):
            self.assertTrue(self.valid(f"any@{domain}", RecipientTables()))

    def test_always(self) -> None:
        """
        postmaster, the mailer daemon and the address of double bounces are
        known without any table; in other classes they are not special.
        """
        for name in ("postmaster", "Postmaster", "MAILER-DAEMON", "double-bounce"):
            self.assertTrue(self.valid(f"{name}@localhost"), name)
        self.assertFalse(self.valid("postmaster@virtual.example"))

    def test_extension(self) -> None:
        """
        recipient_delimiter: joe+anything is joe.
        """
        self.assertFalse(self.valid("joe+x@localhost"))
        self.assertTrue(self.valid("joe+x@localhost", recipient_delimiter="+"))
        self.assertTrue(self.valid("joe-x+y@localhost", recipient_delimiter="+-"))
        self.assertTrue(self.valid("box+x@virtual.example", recipient_delimiter="+"))

    def test_error(self) -> None:
        """
        What goes to the error transport is nobody's address.
        """
        self.assertFalse(self.valid("u@a..b"))

    def test_cannot_say(self) -> None:
        """
        A table that cannot say is neither yes nor no.
        """
        broken = RecipientTables([Table({}, "broken")])
        self.assertRaises(TableUnavailable, self.valid, "joe@localhost", broken)


class LaterValidateTests(ValidateTests):
    """
    The same answers from tables that answer later.
    """

    table_mode = "later"


class OpenTests(SynchronousTestCase):
    def test_open(self) -> None:
        """
        The tables of the parameters, with their names for messages;
        all that is wrong is said at once.
        """
        asked: list[tuple[str, str]] = []

        def table(item: str, parameter: str) -> ITable:
            asked.append((item, parameter))
            if item.startswith("bad:"):
                raise ConfigError([f"{parameter}: {item}: no"])
            return Table({})

        settings = Settings.of(
            local_recipient_maps="static:a, static:b",
            virtual_mailbox_maps="bad:one",
            relay_recipient_maps="bad:two static:c",
        )
        error = self.assertRaises(ConfigError, RecipientTables.open, settings, table)
        self.assertEqual(len(error.problems), 2)
        self.assertIn(("static:b", "local_recipient_maps"), asked)
        self.assertIn(("static:c", "relay_recipient_maps"), asked)
        empty = RecipientTables.open(Settings.of(local_recipient_maps=""), table)
        self.assertEqual(list(empty.local), [])
