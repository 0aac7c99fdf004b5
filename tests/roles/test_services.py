"""
Tests of what counts for each service of master.cf.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txmta.config.master_cf import Service, parse_master_cf
from txmta.config.settings import Settings
from txmta.maps.context import PLAIN
from txmta.model import Route
from txmta.roles.services import cleanup_settings
from txmta.roles.shared import Shared

ROWS = """\
smtp inet n - n - - smtpd
587 inet n - n - - smtpd
 -o cleanup_service_name=out -o myhostname=mx.example.com
 -o hopcount_limit=7 -o receive_override_options=no_address_mappings
pickup unix n - n 60 1 pickup -o content_filter=
cleanup unix n - n - 0 cleanup
out unix n - n - 0 cleanup
 -o message_drop_headers=x -o header_size_limit=99 -o content_filter=y:z
qmgr unix n - n 300 1 qmgr -o queue_run_delay=7m
relay unix - - n - - smtp -o syslog_name=postfix/$service_name
"""


class ServicesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.use(ROWS)

    def use(self, rows: str, **values: str) -> None:
        services = parse_master_cf("master.cf", rows)
        nothing = cast(Any, None)
        self.shared = Shared(
            Settings.of(**values), services, nothing, float, nothing, nothing
        )

    def service(self, name: str) -> Service:
        return next(s for s in self.shared.services if s.name == name)

    def test_main_cf_only(self) -> None:
        """
        Without C{-o} there is one snapshot for all.
        """
        settings = self.shared.of(self.service("smtp"))
        self.assertIs(settings, self.shared.settings)
        self.assertIs(
            cleanup_settings(self.shared, self.service("smtp")), self.shared.settings
        )

    def test_own(self) -> None:
        settings = self.shared.of(self.service("587"))
        self.assertEqual(settings.hopcount_limit, 7)

    def test_name(self) -> None:
        """
        $service_name is that of the service, in C{-o} and in main.cf.
        """
        settings = self.shared.of(self.service("relay"))
        self.assertEqual(settings.syslog_name, "postfix/relay")
        self.use(ROWS, syslog_name="${process_name}.$service_name")
        for name, expected in (("smtp", "smtpd.smtp"), ("qmgr", "qmgr.qmgr")):
            settings = self.shared.of(self.service(name))
            self.assertEqual(settings.syslog_name, expected)

    def test_program(self) -> None:
        found = self.shared.of_program("qmgr", "qmgr")
        self.assertEqual(found.queue_run_delay, 420)
        found = self.shared.of_program("qmgr", "nosuch")
        self.assertIs(found, self.shared.settings)

    def test_rewrite(self) -> None:
        """
        C{-o} of the trivial-rewrite service that counts says where mail goes;
        that of another one does not.
        """
        rows = (
            "rewrite unix - - n - - trivial-rewrite -o mydestination=a.example\n"
            " -o default_transport=slow:x\n"
            "other unix - - n - - trivial-rewrite -o mydestination=b.example\n"
        )
        self.use(rows, mydestination="c.example", relayhost="")
        route = self.routed("u@a.example", "local")
        self.routed("u@b.example", "slow")
        route = self.routed("u@c.example", "slow")
        self.assertEqual(route.nexthop, "x")
        self.use(rows, rewrite_service_name="other", mydestination="c.example")
        self.routed("u@b.example", "local")
        self.routed("u@a.example", "smtp")

    def routed(self, address: str, transport: str) -> Route:
        shared = replace(self.shared, reactor=cast(Any, Clock()), ways=PLAIN)
        route = shared.open_tables().addresses.resolve(address)
        assert isinstance(route, Route)
        self.assertEqual(route.transport, transport, address)
        return route

    def test_recipients(self) -> None:
        """
        Which recipients there are is asked by smtpd: its C{-o} counts.
        """
        self.use(
            "smtp inet n - n - - smtpd\n"
            "10025 inet n - n - - smtpd -o local_recipient_maps=\n",
            mydestination="a.example",
            local_recipient_maps="inline:{alice=x}",
            alias_maps="",
        )
        shared = replace(self.shared, reactor=cast(Any, Clock()), ways=PLAIN)
        tables = shared.open_tables()
        one, other = (
            tables.addresses_for(shared.of(service)) for service in shared.services
        )
        self.assertIs(one, tables.addresses)
        for name, known in (("alice", True), ("bob", False)):
            address = f"{name}@a.example"
            route = one.resolve(address)
            assert isinstance(route, Route)
            self.assertEqual(one.validate(address, route), known)
            self.assertEqual(other.validate(address, route), True)

    def test_cleanup(self) -> None:
        """
        cleanup_service_name chooses whose C{-o} count for what is taken; what
        smtpd is told of its own name and filters is smtpd's, the rest is not.
        """
        found = cleanup_settings(self.shared, self.service("587"))
        self.assertEqual(found.header_size_limit, 99)
        self.assertEqual(found.myhostname, "mx.example.com")
        self.assertEqual(
            found.definitions["receive_override_options"].text, "no_address_mappings"
        )
        self.assertEqual(found.hopcount_limit, Settings().hopcount_limit)
        self.assertNotIn("content_filter", found.definitions)

    def test_pickup(self) -> None:
        found = cleanup_settings(self.shared, self.service("pickup"))
        self.assertEqual(found.definitions["content_filter"].text, "")
        self.assertEqual(found.header_size_limit, Settings().header_size_limit)

    def test_no_cleanup_service(self) -> None:
        """
        What master.cf does not name is there all the same.
        """
        self.use("smtp inet n - n - - smtpd\n")
        found = cleanup_settings(self.shared, self.service("smtp"))
        self.assertIs(found, self.shared.settings)

    def test_usual_cleanup(self) -> None:
        """
        C{-o} of cleanup counts for who names no other.
        """
        self.use(
            "smtp inet n - n - - smtpd\n"
            "cleanup unix n - n - 0 cleanup -o header_size_limit=98\n"
        )
        found = cleanup_settings(self.shared, self.service("smtp"))
        self.assertEqual(found.header_size_limit, 98)
