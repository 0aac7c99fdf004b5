"""
Tests of L{txmta.rewrite.detours}.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.rewrite.test_resolver import Names, Table
from txmta.config.settings import Settings
from txmta.errors import ConfigError, TableUnavailable
from txmta.interfaces import ITable
from txmta.rewrite.classes import DomainLists
from txmta.rewrite.detours import DetourTables
from txmta.rewrite.resolver import AddressResolver


class DetourTestCase(SynchronousTestCase):
    #: How tables answer.
    mode = ""

    def table(self, entries: Mapping[str, str] | None) -> Sequence[ITable]:
        return [Table(entries, self.mode)] if entries else []

    def route(
        self,
        address: str,
        sender: str = "",
        transport: Mapping[str, str] | None = None,
        relocated: Mapping[str, str] | None = None,
        relayhost: Mapping[str, str] | None = None,
        default: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> str:
        """
        @return: C{transport:nexthop}.
        """
        lists = DomainLists(
            Names("mail.example.com"),
            Names("virtual.example"),
            Names("relay.example"),
            frozenset({"192.0.2.1"}),
            Names("alias.example"),
        )
        tables = DetourTables(
            *map(self.table, (transport, relocated, relayhost, default))
        )
        values = {
            "myhostname": "mail.example.com",
            "recipient_delimiter": "+",
            **(settings or {}),
        }
        resolver = AddressResolver(Settings.of(**values), lists, None, tables)
        route = resolver.resolve(address, sender)
        if isinstance(route, Deferred):
            route = self.successResultOf(route)
        self.assertEqual(route.recipient, address)
        return f"{route.transport}:{route.nexthop}"


class TransportTests(DetourTestCase):
    def test_order(self) -> None:
        """
        transport(5), TABLE SEARCH ORDER: from the whole address to C{*}.
        """
        keys = [
            "u+x@a.b.example",
            "u@a.b.example",
            "a.b.example",
            ".b.example",
            ".example",
            "*",
        ]
        table = {key: f"t{i}:" for i, key in enumerate(keys)}
        for i, key in enumerate(keys):
            found = self.route("u+x@a.b.example", transport=table)
            self.assertEqual(found, f"t{i}:a.b.example")
            del table[key]

    def test_parents(self) -> None:
        """
        parent_domain_matches_subdomains: a domain counts for what is below it,
        or one with a dot before it does.
        """
        parents = {"parent_domain_matches_subdomains": "transport_maps"}
        for key, plain, dotted in (
            ("example", "smtp", "x"),
            (".example", "x", "smtp"),
            ("a.example", "x", "x"),
        ):
            found = self.route("u@a.example", transport={key: "x:"})
            self.assertEqual(found, f"{plain}:a.example", key)
            found = self.route("u@a.example", transport={key: "x:"}, settings=parents)
            self.assertEqual(found, f"{dotted}:a.example", key)

    def test_results(self) -> None:
        """
        transport(5), RESULT FORMAT: what is empty stays, but a transport
        forgets the next hop that was there.
        """
        for value, expected in {
            "slow:": "slow:else.example",
            "slow": "slow:else.example",
            "slow:Host:2525": "slow:Host:2525",
            ":[Gate]": "smtp:[Gate]",
            ":": "smtp:[Up]",
            "smtp:a.example, b.example": "smtp:a.example, b.example",
            "error:5.1.2 No Mail here": "error:5.1.2 No Mail here",
            "error:": "error:Address is undeliverable",
            "retry:": "retry:Address is undeliverable",
        }.items():
            found = self.route(
                "u@Else.example",
                transport={"else.example": value},
                settings={"default_transport": "smtp:[Up]"},
            )
            self.assertEqual(found, expected, value)
        found = self.route(
            "u@else.example",
            transport={"*": ":More"},
            settings={"default_transport": "error:No"},
        )
        self.assertEqual(found, "error:More")

    def test_all_classes(self) -> None:
        """
        They all may go elsewhere, but addresses that are nobody's.
        """
        for domain, expected in {
            "mail.example.com": "x:y",
            "virtual.example": "x:y",
            "relay.example": "x:y",
            "else.example": "x:y",
            "[192.0.2.1]": "x:y",
            "alias.example": "error:5.1.1 User unknown in virtual alias table",
            "a..b": "error:5.1.3 bad address syntax",
        }.items():
            found = self.route(f"u@{domain}", transport={"*": "x:y"})
            self.assertEqual(found, expected, domain)

    def test_one_lookup_fails(self) -> None:
        """
        A table that cannot say makes no route.
        """
        lists = DomainLists(Names(), Names(), Names())
        for tables in (
            DetourTables(transport=[Table({}, "broken")]),
            DetourTables(relocated=[Table({}, "broken")]),
            DetourTables(relayhost=[Table({}, "broken")]),
            DetourTables(default_transport=[Table({}, "broken")]),
        ):
            resolver = AddressResolver(Settings.of(), lists, None, tables)
            self.assertRaises(TableUnavailable, resolver.resolve, "u@d.example")


class SenderTests(DetourTestCase):
    def test_relayhost(self) -> None:
        """
        By sender, before relayhost, for the relay and default classes; DUNNO
        is relayhost.
        """
        table = {
            "s@a.example": "[one]:587",
            "@b.example": "[Two]",
            "s@b.example": "dunno",
            "<>": "[null]",
        }
        for sender, expected in {
            "s@a.example": "[one]:587",
            "s+x@a.example": "[one]:587",
            "t@b.example": "[Two]",
            "s@b.example": "",
            "s@c.example": "",
            "": "[null]",
        }.items():
            for domain, transport in (
                ("else.example", "smtp"),
                ("relay.example", "relay"),
            ):
                found = self.route(f"u@{domain}", sender, relayhost=table)
                self.assertEqual(found, f"{transport}:{expected or domain}", sender)
                found = self.route(
                    f"u@{domain}",
                    sender,
                    relayhost=table,
                    settings={"relayhost": "[Up]"},
                )
                self.assertEqual(found, f"{transport}:{expected or '[Up]'}", sender)
            found = self.route("u@virtual.example", sender, relayhost=table)
            self.assertEqual(found, "virtual:virtual.example")

    def test_explicit(self) -> None:
        """
        A next hop in relay_transport comes before any relayhost.
        """
        found = self.route(
            "u@relay.example",
            "s@x",
            relayhost={"@x": "y"},
            settings={"relay_transport": "lmtp:[l]"},
        )
        self.assertEqual(found, "lmtp:[l]")

    def test_default_transport(self) -> None:
        """
        By sender, before default_transport, for that class only; its next hop
        comes before relayhost, and none of default_transport is left.
        """
        table = {"@a": "slow", "@b": "fast:[Hop]", "@c": "DUNNO", "<>": "null:"}
        for sender, expected in {
            "s@a": "slow:else.example",
            "s@b": "fast:[Hop]",
            "s@c": "smtp:[own]",
            "s@d": "smtp:[own]",
            "": "null:else.example",
        }.items():
            own = {"default_transport": "smtp:[own]"}
            found = self.route("u@else.example", sender, default=table, settings=own)
            self.assertEqual(found, expected, sender)
            found = self.route("u@relay.example", sender, default=table, settings=own)
            self.assertEqual(found, "relay:relay.example", sender)

    def test_null_transport(self) -> None:
        """
        What is no transport delivers nothing, but does not bounce either.
        """
        with self.assertRaises(TableUnavailable) as caught:
            self.route("u@else.example", "s@a", default={"@a": ":x"})
        self.assertIn("null transport is not allowed", str(caught.exception))

    def test_keys_of_the_null_sender(self) -> None:
        """
        main.cf may choose what stands for it.
        """
        found = self.route(
            "u@else.example",
            relayhost={"r": "[r]"},
            default={"d": "d"},
            settings={
                "empty_address_relayhost_maps_lookup_key": "r",
                "empty_address_default_transport_maps_lookup_key": "d",
            },
        )
        self.assertEqual(found, "d:[r]")


class RelocatedTests(DetourTestCase):
    def test_moved(self) -> None:
        """
        relocated(5): any class, after transport_maps; local addresses without
        their domain too.
        """
        table = {"u@else.example": "N@New", "l": "X", "@alias.example": "A"}
        for address, new in {
            "u+x@else.example": "N@New",
            "l@mail.example.com": "X",
            "l@[192.0.2.1]": "X",
            "v@alias.example": "A",
        }.items():
            found = self.route(address, relocated=table, transport={"*": "t:"})
            self.assertEqual(found, f"error:5.1.6 User has moved to {new}")
        self.assertEqual(
            self.route("l@else.example", relocated=table), "smtp:else.example"
        )

    def test_no_prefix(self) -> None:
        """
        relocated_prefix_enable: the table may write all of it.
        """
        found = self.route(
            "u@else.example",
            relocated={"u@else.example": "5.2.1 gone"},
            settings={"relocated_prefix_enable": "no"},
        )
        self.assertEqual(found, "error:5.2.1 gone")


class LaterTransportTests(TransportTests):
    mode = "later"


class LaterSenderTests(SenderTests):
    mode = "later"


class LaterRelocatedTests(RelocatedTests):
    mode = "later"


class OpenTests(SynchronousTestCase):
    def test_open(self) -> None:
        """
        Each table knows its parameter; all that is wrong is told at once.
        """

        def table(item: str, parameter: str) -> ITable:
            if item.startswith("bad:"):
                raise ConfigError([f"{parameter}: {item}: no"])
            return Table({"": parameter})

        names = (
            "transport_maps",
            "relocated_maps",
            "sender_dependent_relayhost_maps",
            "sender_dependent_default_transport_maps",
        )
        bad = Settings.of(**dict.fromkeys(names, "bad:x"))
        error = self.assertRaises(ConfigError, DetourTables.open, bad, table)
        self.assertEqual(error.problems, tuple(f"{name}: bad:x: no" for name in names))
        opened = DetourTables.open(Settings.of(transport_maps="hash:/x"), table)
        self.assertTrue(opened)
        self.assertFalse(DetourTables.open(Settings.of(), table))
