"""
Restrictions that ask the DNS.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.smtp.server.support import FRIEND, Addresses, Listed
from txmta.config.settings import Settings
from txmta.dns_filter import Filtered
from txmta.errors import ResolverUnavailable, TableUnavailable
from txmta.interfaces import IClientList, IResolver, ITable
from txmta.model import Answer, Client, Mx, Reply
from txmta.smtp.access.by_dns_list import problems
from txmta.smtp.access.by_mx_backup import MAX_HOSTS
from txmta.smtp.access.by_server import MAX_TROUBLE
from txmta.smtp.access.check import Check, World
from txmta.smtp.access.kinds import Tools
from txmta.smtp.access.policy import Policy, codes
from txmta.smtp.session import Session

ZONE: dict[tuple[str, str], Sequence[object]] = {
    ("a.test", "A"): ("192.0.2.1",),
    ("six.test", "AAAA"): ("2001:db8::1",),
    ("mx.test", "MX"): (Mx(10, "a.test"),),
    ("null.test", "MX"): (Mx(0, ""),),
    ("text.test", "TXT"): ("only text",),
    ("2.2.0.192.list.test", "A"): ("127.0.0.2", "127.0.0.10"),
    ("2.2.0.192.list.test", "TXT"): ("bad\r\n220 you", "and worse"),
    ("bad.test.list.test", "A"): ("127.0.0.2",),
    ("backup.test", "MX"): (Mx(10, "a.test"), Mx(20, "us.test")),
    ("best.test", "MX"): (Mx(10, "us.test"), Mx(20, "a.test")),
    ("both.test", "MX"): (Mx(10, "us.test"), Mx(20, "us.test")),
    ("us.test", "A"): (FRIEND,),
    ("test", "NS"): ("ns.test",),
    ("ns.test", "A"): ("192.0.2.53",),
}
#: Nobody can say.
AGAIN = {"again.test", "2.2.0.192.down.test", "againmx.test", "bad.test.down.test"}
#: What a filter has dropped.
DROPPED = {("dropped.test", "MX")}


@implementer(IResolver)
class Zone:
    """
    @ivar later: answers come when somebody makes them.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.later: list[Deferred[None]] | None = None

    def lookup(self, name: str, kind: str) -> Answer | Deferred[Answer]:
        self.asked.append((name, kind))
        if self.later is None:
            return self.answer(name, kind)
        waiting: Deferred[None] = Deferred()
        self.later.append(waiting)
        return waiting.addCallback(lambda _: self.answer(name, kind))

    def answer(self, name: str, kind: str) -> Answer:
        if name in AGAIN:
            raise ResolverUnavailable(name, kind, "try again")
        if (name, kind) in DROPPED:
            raise Filtered(name, kind, "DNS reply filter drops all results")
        records = ZONE.get((name, kind), ())
        exists = any(each == name for each, _ in ZONE)
        return Answer(tuple(records), exists=exists)  # type: ignore[arg-type]


class Table:
    def __init__(self, values: dict[str, str]) -> None:
        self.values = values
        self.broken = False

    def lookup(self, key: str) -> str | None:
        if self.broken:
            raise TableUnavailable("hash:/x", "gone")
        return self.values.get(key)


class Questions(SynchronousTestCase):
    def setUp(self) -> None:
        self.zone = Zone()
        self.table = Table({})
        self.addresses = Addresses()
        self.networks: IClientList = Listed(())
        self.client = Client("192.0.2.2", 1)
        self.helo = "a.test"
        self.sender = "s@a.test"
        self.recipient = "user@example.org"
        self.notes: list[str] = []

    def ask(self, restrictions: str, **values: str) -> Reply | None:
        """
        @return: what a list in smtpd_recipient_restrictions says.
        """
        answer = self.begin(restrictions, **values)
        assert not isinstance(answer, Deferred)
        return answer

    def begin(
        self, restrictions: str, **values: str
    ) -> Reply | Deferred[Reply | None] | None:
        settings = Settings.of(
            smtpd_recipient_restrictions=restrictions,
            smtpd_relay_restrictions="",
            smtpd_reject_unlisted_recipient="no",
            **values,
        )
        world = World(
            self.addresses,
            Listed((FRIEND,)),
            {FRIEND},
            codes(settings),
            resolver=self.zone,
        )

        def open_table(item: str) -> ITable:
            return self.table  # type: ignore[return-value]

        tools = Tools(settings, world, open_table, lambda name: self.networks)
        session = Session(self.client, self.helo)
        check = Check(
            world, session, self.recipient, self.recipient, self.sender, self.sender
        )
        answer = Policy.of(settings, tools).judge(check)
        self.notes = [text for _, text in check.notes]
        return answer

    def said(self, restrictions: str, **values: str) -> str:
        answer = self.ask(restrictions, **values)
        if answer is None:
            return "ok"
        return f"{answer.code} {answer.status} {answer.text}"


class ClientTests(Questions):
    def test_names(self) -> None:
        """
        What cannot be found out now is 450, whatever the code.
        """
        for status, reverse, expected in (
            (2, 2, ("ok", "ok")),
            (5, 5, ("554 5.7.25 Client", "554 5.7.1 Client ")),
            (6, 2, ("554 5.7.25 Client", "ok")),
            (4, 4, ("450 4.7.25 Client", "450 4.7.1 Client ")),
        ):
            self.client = Client(
                "192.0.2.2", 1, name_status=status, reverse_status=reverse
            )
            found = [
                self.said(f"reject_unknown_{kind}", unknown_client_reject_code="554")
                for kind in ("client_hostname", "reverse_client_hostname")
            ]
            self.assertEqual(tuple(each[:17] for each in found), expected)
        self.assertEqual(
            found[1],
            "450 4.7.1 Client host rejected: cannot find your reverse hostname, "
            "[192.0.2.2]",
        )


class NameTests(Questions):
    def test_helo(self) -> None:
        words = "Helo command rejected: Host not found"
        for helo, expected in (
            ("a.test", "ok"),
            ("six.test", "ok"),
            ("mx.test", "ok"),
            ("null.test", "ok"),
            ("no.test", f"550 5.7.1 <no.test>: {words}"),
            ("192.0.2.1", f"550 5.7.1 <192.0.2.1>: {words}"),
            ("again.test", f"450 4.7.1 <again.test>: {words}"),
            ("[192.0.2.1]", "ok"),
            ("[x]", "501 5.5.2 <[x]>: Helo command rejected: invalid ip address"),
            ("", "ok"),
        ):
            self.helo = helo
            found = self.said(
                "reject_unknown_helo_hostname", unknown_hostname_reject_code="550"
            )
            self.assertEqual(found, expected)

    def test_domain(self) -> None:
        """
        Of sender and recipient; no record says that mail is taken but MX and
        addresses.
        """
        for domain, of_sender, of_recipient in (
            ("a.test", "ok", "ok"),
            ("mx.test", "ok", "ok"),
            ("no.test", "450 4.1.8", "450 4.1.2"),
            ("text.test", "450 4.1.8", "450 4.1.2"),
            ("again.test", "450 4.1.8", "450 4.1.2"),
            ("null.test", "550 5.7.27", "556 5.1.10"),
            ("dropped.test", "ok", "ok"),
            ("[192.0.2.1]", "ok", "ok"),
            ("example.org", "ok", "ok"),
        ):
            self.sender, self.recipient = f"x@{domain}", "user@example.org"
            found = self.said("reject_unknown_sender_domain")
            self.assertEqual(found.partition(" <")[0], of_sender, domain)
            self.sender, self.recipient = "", f"x@{domain}"
            found = self.said("reject_unknown_recipient_domain")
            self.assertEqual(found.partition(" <")[0], of_recipient, domain)
        self.recipient = "x@null.test"
        self.assertEqual(
            self.said("reject_unknown_recipient_domain"),
            "556 5.1.10 <x@null.test>: Recipient address rejected: Domain null.test "
            "does not accept mail (nullMX)",
        )

    def test_temporary(self) -> None:
        """
        It is only said when nothing else refuses, or at once.
        """
        self.sender = "x@again.test"
        lists = "reject_unknown_sender_domain, reject"
        self.assertEqual(self.said(lists)[:9], "554 5.7.1")
        found = self.said(lists, unknown_address_tempfail_action="defer")
        self.assertEqual(found[:9], "450 4.1.8")

    def test_nobody(self) -> None:
        """
        The null sender has no domain.
        """
        self.sender = ""
        self.assertEqual(self.said("reject_unknown_sender_domain"), "ok")
        self.assertEqual(self.zone.asked, [])

    def test_later(self) -> None:
        """
        The answer may be a while in coming; the client is not known to be good
        before.
        """
        self.zone.later = []
        self.sender = "x@no.test"
        answer = self.begin("reject_unknown_sender_domain")
        assert isinstance(answer, Deferred)
        for _ in range(3):
            self.assertNoResult(answer)
            self.zone.later.pop().callback(None)
        reply = self.successResultOf(answer)
        assert reply is not None
        self.assertEqual(reply.code, 450)
        self.assertEqual(
            self.zone.asked, [("no.test", kind) for kind in ("MX", "A", "AAAA")]
        )


class ListTests(Questions):
    def test_client(self) -> None:
        self.assertEqual(
            self.said("reject_rbl_client list.test"),
            "554 5.7.1 Service unavailable; Client host [192.0.2.2] blocked using "
            "list.test; bad__220 you / and worse",
        )
        for restriction, expected in (
            ("reject_rbl_client list.test=127.0.0.[9..11]", "554 5.7.1"),
            ("reject_rbl_client list.test=127.0.0.3", "ok"),
            ("reject_rbl_client other.test", "ok"),
            ("reject_rbl_client down.test", "ok"),
        ):
            self.assertEqual(self.said(restriction)[:9], expected, restriction)
        self.assertEqual(
            self.notes,
            [
                "2.2.0.192.down.test: RBL lookup error: Host or domain name not found. "
                "Name service error for name=2.2.0.192.down.test type=A: Host not "
                "found, try again"
            ],
        )

    def test_domains(self) -> None:
        """
        The name, the sender, the recipient ... and none of them that is an
        address or unknown.
        """
        bad = "bad.test"
        self.client = Client("192.0.2.9", 1, bad, bad)
        self.helo, self.sender, self.recipient = bad, f"x@{bad}", f"y@{bad}"
        for kind, what in (
            ("client", "Client host [bad.test]"),
            ("reverse_client", "Unverified Client host [bad.test]"),
            ("helo", "Helo command [bad.test]"),
            ("sender", "Sender address [x@bad.test]"),
            ("recipient", "Recipient address [y@bad.test]"),
        ):
            found = self.said(f"reject_rhsbl_{kind} list.test")
            self.assertEqual(
                found, f"554 5.7.1 Service unavailable; {what} blocked using list.test"
            )
        self.zone.asked.clear()
        self.client, self.helo = Client("192.0.2.9", 1), "192.0.2.9"
        self.sender = "x@[192.0.2.9]"
        for kind in ("client", "reverse_client", "helo", "sender"):
            self.assertEqual(self.said(f"reject_rhsbl_{kind} list.test"), "ok")
        self.assertEqual(self.zone.asked, [])

    def test_reply_maps(self) -> None:
        """
        A text by list; one that makes no sense gives way.
        """
        values = {"rbl_reply_maps": "hash:/x"}
        lists = "reject_rbl_client list.test=127.0.0.2"
        self.table.values = {"list.test": "$rbl_code 4.7.9 $helo_name$client_port"}
        self.assertEqual(self.said(lists, **values), "554 5.7.9 a.test1")
        self.table.values["list.test=127.0.0.2"] = "451 Later, $sender_domain"
        self.assertEqual(self.said(lists, **values), "451 4.7.1 Later, a.test")
        self.table.values["list.test=127.0.0.2"] = "Go away"
        self.assertEqual(self.said(lists, **values)[:9], "450 4.7.1")
        self.table.values["list.test=127.0.0.2"] = "554 ${rbl_code"
        self.assertEqual(self.said(lists, **values)[:23], "554 5.7.1 Service unava")
        self.table.broken = True
        self.assertEqual(
            self.said(lists, **values), "451 4.3.5 Server configuration error"
        )

    def test_white(self) -> None:
        """
        Who is in a list may go on, but may not relay.
        """
        lists = "permit_dnswl_client list.test, reject"
        self.assertEqual(self.said(lists), "ok")
        self.assertEqual(self.said("permit_dnswl_client no.test, reject")[:3], "554")
        found = self.said("permit_dnswl_client down.test, reject")
        self.assertEqual(
            found,
            "450 4.7.1 <192.0.2.2>: Client host rejected: Service unavailable",
        )
        self.recipient = "x@else.where"
        self.assertEqual(self.said(lists)[:3], "554")
        self.client = Client("192.0.2.9", 1, "bad.test", "bad.test")
        self.recipient = "user@example.org"
        self.assertEqual(self.said("permit_rhswl_client list.test, reject"), "ok")

    def test_problems(self) -> None:
        """
        Filters that make no sense are told before anything starts.
        """
        settings = Settings.of(
            smtpd_client_restrictions="reject_rbl_client a.test=127.0.0",
            smtpd_recipient_restrictions="reject_rhsbl_helo a..b, permit_mynetworks",
        )
        names = ("smtpd_client_restrictions", "smtpd_recipient_restrictions")
        found = problems(settings, names)
        self.assertEqual(len(found), 2)
        self.assertIn('a.test=127.0.0: need "." at "127.0.0><"', found[0])


class ServerTests(Questions):
    """
    check_*_{a,mx,ns}_access
    """

    def test_servers(self) -> None:
        """
        The table is asked for names and addresses of servers; a name without MX
        is its own, one without NS has those of its parent.
        """
        self.client = Client("192.0.2.9", 1, "a.test", "mx.test")
        self.helo, self.sender, self.recipient = "six.test", "s@mx.test", "r@six.test"
        for restriction, key, about in (
            ("client_a", "192.0.2.1", "<a.test[192.0.2.9]>: Client host"),
            ("client_ns", "ns.test", "<a.test[192.0.2.9]>: Client host"),
            (
                "reverse_client_hostname_mx",
                "a.test",
                "<mx.test>: Unverified Client host",
            ),
            ("helo_a", "2001:db8", "<six.test>: Helo command"),
            ("helo_mx", "six.test", "<six.test>: Helo command"),
            ("sender_mx", "192.0.2", "<s@mx.test>: Sender address"),
            ("recipient_mx", "2001:db8::1", "<r@six.test>: Recipient address"),
        ):
            name = f"check_{restriction}_access hash:/x"
            self.table.values = {"other": "REJECT"}
            self.assertEqual(self.said(name), "ok", name)
            self.table.values = {key: "REJECT no"}
            self.assertEqual(self.said(name), f"554 5.7.1 {about} rejected: no")

    def test_addresses_only(self) -> None:
        """
        check_*_a_access asks for no names.
        """
        self.table.values = {"a.test": "REJECT"}
        self.assertEqual(self.said("check_helo_a_access hash:/x"), "ok")
        self.assertEqual(self.said("check_helo_mx_access hash:/x")[:3], "554")

    def test_first_entry(self) -> None:
        """
        The first that the table has counts, also if it says nothing.
        """
        self.sender = "s@mx.test"
        self.table.values = {"a.test": "DUNNO", "192.0.2.1": "REJECT"}
        self.assertEqual(self.said("check_sender_mx_access hash:/x"), "ok")

    def test_never_permit(self) -> None:
        """
        Anybody may name any server.
        """
        self.sender = "s@mx.test"
        self.table.values = {"a.test": "OK"}
        self.assertEqual(
            self.said("check_sender_mx_access hash:/x, reject"),
            "451 4.3.5 Server configuration error",
        )
        self.assertEqual(
            self.notes[0], "restriction check_sender_mx_access returns OK for s@mx.test"
        )
        self.table.values = {"a.test": "permit"}
        found = self.said("check_sender_mx_access hash:/x, reject")
        self.assertEqual(found[:9], "451 4.3.5")

    def test_literals(self) -> None:
        self.helo = "[192.0.2.77]"
        self.table.values = {"192.0.2": "REJECT"}
        for kind, expected in (("a", "554"), ("mx", "554"), ("ns", "ok")):
            found = self.said(f"check_helo_{kind}_access hash:/x")
            self.assertEqual(found[:3].strip(), expected)

    def test_not_found(self) -> None:
        """
        The log says so.
        """
        self.client = Client("192.0.2.9", 1)
        self.assertEqual(self.said("check_client_a_access hash:/x"), "ok")
        self.assertEqual(self.notes, [])
        self.sender = "s@again.test"
        self.assertEqual(self.said("check_sender_ns_access hash:/x"), "ok")
        self.assertEqual(
            self.notes,
            ["Unable to look up NS host for again.test: Host not found, try again"],
        )
        self.sender = "s@no.test"
        self.assertEqual(self.said("check_sender_mx_access hash:/x"), "ok")
        self.assertEqual(
            self.notes,
            [
                "Unable to look up MX host no.test for Sender address s@no.test: "
                "Name or service not known"
            ],
        )

    def test_trouble(self) -> None:
        """
        Servers that nobody can find now hold up a session only so long, and
        what was not asked is not permitted.
        """
        few, many = range(MAX_TROUBLE - 1), range(50)
        for hosts, expected, asked in (
            (few, "ok", len(few)),
            (many, "450 4.7.1 <s@slow.test>: Sender address rejected", MAX_TROUBLE),
        ):
            names = [f"h{i}.again.test" for i in hosts]
            mx = [Mx(1, name) for name in names]
            self.patch(self.zone, "lookup", self.slow(names, mx))
            self.sender = "s@slow.test"
            self.zone.asked.clear()
            found = self.said("check_sender_mx_access hash:/x")
            self.assertEqual(found[: len(expected)], expected)
            self.assertEqual(len(self.zone.asked), 1 + 2 * asked)

    def slow(
        self, names: Sequence[str], exchangers: Sequence[Mx]
    ) -> Callable[[str, str], Answer]:
        def lookup(name: str, kind: str) -> Answer:
            self.zone.asked.append((name, kind))
            if name in names:
                raise ResolverUnavailable(name, kind, "try again")
            return Answer(tuple(exchangers))

        return lookup


class BackupTests(Questions):
    def test_backup(self) -> None:
        """
        We must be named, and must not be the best.
        """
        for domain, expected in (
            ("backup.test", "ok"),
            ("best.test", "554 5.7.1"),
            ("both.test", "554 5.7.1"),
            ("mx.test", "554 5.7.1"),
            ("no.test", "554 5.7.1"),
            ("again.test", "450 4.4.4"),
            ("example.org", "ok"),
            ("[192.0.2.1]", "554 5.7.1"),
        ):
            self.recipient = f"x@{domain}"
            found = self.said("permit_mx_backup, reject")
            self.assertEqual(found[:9].strip(), expected, domain)
        self.recipient = "x%backup.test@example.org"
        self.assertEqual(self.said("permit_mx_backup, reject")[:9], "554 5.7.1")

    def test_trouble(self) -> None:
        """
        Exchangers that nobody can find now hold up a session only so long, and
        permit nothing.
        """
        hosts = [Mx(i, f"h{i}.test") for i in range(MAX_HOSTS - 1)]

        def lookup(name: str, kind: str) -> Answer:
            self.zone.asked.append((name, kind))
            if kind != "MX":
                raise ResolverUnavailable(name, kind, "try again")
            return Answer((*hosts, Mx(99, "us.test")))

        self.patch(self.zone, "lookup", lookup)
        self.recipient = "x@slow.test"
        self.assertEqual(self.said("permit_mx_backup, reject")[:9], "450 4.4.4")
        self.assertLess(len(self.zone.asked), MAX_HOSTS)

    def test_networks(self) -> None:
        """
        The best must be in them.
        """
        self.recipient = "x@backup.test"
        values = {"permit_mx_backup_networks": "192.0.2.0/24"}
        self.assertEqual(self.said("permit_mx_backup, reject", **values)[:3], "554")
        self.networks = Listed(("192.0.2.1",))
        self.assertEqual(self.said("permit_mx_backup, reject", **values), "ok")
