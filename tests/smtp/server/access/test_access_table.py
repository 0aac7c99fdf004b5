"""
Access tables, classes, logins, and who watches.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.smtp.server.support import Addresses, Listed
from txmta.config.declare import System
from txmta.config.main_cf import parse_main_cf
from txmta.config.settings import Settings
from txmta.errors import TableUnavailable
from txmta.interfaces import ITable
from txmta.maps.registry import TableRegistry
from txmta.model import Client, Login, Reply, TLSInfo
from txmta.smtp.access.access_table import address_parents, domain_keys
from txmta.smtp.access.check import Answer, Check, World
from txmta.smtp.access.judgement import line
from txmta.smtp.access.kinds import Tools
from txmta.smtp.access.policy import Policy
from txmta.smtp.access.validate import problems_of_lists, tables_of
from txmta.smtp.session import Session

CLIENT = Client("192.0.2.1", 1, "mail.a.example", "mail.a.example")
RECIPIENT = "user@example.org"


class Late:
    """
    A table whose answers come later.
    """

    def __init__(self, found: dict[str, str]) -> None:
        self.found = found
        self.broken = False

    def lookup(self, key: str) -> Deferred[str | None]:
        answer: Deferred[str | None] = Deferred()
        if self.broken:
            answer.errback(TableUnavailable("late:", "no"))
        else:
            answer.callback(self.found.get(key))
        return answer


class Watcher:
    def __init__(self) -> None:
        self.seen: list[str] = []

    def enter(self, name: str) -> None:
        self.seen.append(f"> {name}")

    def tried(self, name: str, argument: str, answer: Answer) -> None:
        said = line(answer) if isinstance(answer, Reply) else answer.name
        self.seen.append(f"{name}: {said}")

    def asked(self, table: str, key: str, value: str | None) -> None:
        self.seen.append(f"{key} = {value}")


class Questions(SynchronousTestCase):
    def setUp(self) -> None:
        self.session = Session(CLIENT, "client.example")
        self.late: Late | None = None

    def settings(self, text: str) -> Settings:
        """
        @param text: restrictions, or lines of main.cf.
        """
        if "\n" not in text:
            text = f"smtpd_recipient_restrictions = {text}\n"
        head = "smtpd_relay_restrictions =\nsmtpd_reject_unlisted_recipient = no\n"
        return Settings(parse_main_cf("main.cf", head + text).definitions, System())

    def ask(self, text: str, said: str = "x+y@sub.b.example") -> str:
        answer, _ = self.judge(text, said)
        return line(answer) if answer else "ok"

    def judge(
        self, text: str, said: str = "", watcher: Watcher | None = None
    ) -> tuple[Reply | None, Check]:
        settings = self.settings(text)
        registry = TableRegistry(float, lambda text: None)

        def table(item: str) -> ITable:
            return self.late or registry.table(item, "x")  # type: ignore[return-value]

        world = World(Addresses(), Listed(()), ())
        policy = Policy.of(settings, Tools(settings, world, table))
        check = Check(world, self.session, RECIPIENT, RECIPIENT, said, said)
        answer = policy.judge(check, watcher)
        if isinstance(answer, Deferred):
            answer = self.successResultOf(answer)
        return answer, check


class KeyTests(SynchronousTestCase):
    def test_domains(self) -> None:
        self.assertEqual(
            list(domain_keys("a.b.test", True)), ["a.b.test", "b.test", "test"]
        )
        self.assertEqual(
            list(domain_keys("a.b.test", False)), ["a.b.test", ".b.test", ".test"]
        )
        self.assertEqual(list(domain_keys("192.0.2.1", True)), ["192.0.2.1"])
        self.assertEqual(list(domain_keys("", True)), [])

    def test_networks(self) -> None:
        self.assertEqual(
            list(address_parents("192.0.2.1")), ["192.0.2.1", "192.0.2", "192.0", "192"]
        )
        self.assertEqual(
            list(address_parents("2001:db8::1")),
            ["2001:db8::1", "2001:db8:", "2001:db8", "2001"],
        )


class TableTests(Questions):
    def test_results(self) -> None:
        about = "<x+y@sub.b.example>: Sender address rejected: "
        for value, expected in (
            ("OK", "ok"),
            ("12345", "ok"),
            ("550", "ok"),
            ("RELAY", "ok"),
            (
                "DUNNO",
                "554 5.7.1 <user@example.org>: Recipient address rejected: ",
            ),
            ("reject", f"554 5.7.1 {about}Access denied"),
            ("REJECT 5.1.1 Away", f"554 5.1.7 {about}Away"),
            ("DEFER", f"450 4.7.1 {about}Access denied"),
            ("451 4.4.9 Wait", f"451 4.4.9 {about}Wait"),
            ("551 Gone", f"551 5.7.1 {about}Gone"),
            ("DEFER_IF_REJECT", f"450 4.7.1 {about}Service unavailable"),
            ("permit", "ok"),
            ("reject_unauth_destination, permit", "ok"),
            ("nonsense", "451 4.3.5 Server configuration error"),
            ("check_client_access static:x", "451 4.3.5 Server configuration error"),
        ):
            text = f"check_sender_access static:{{{value}}}, reject"
            self.assertTrue(self.ask(text).startswith(expected), (value, expected))

    def test_orders(self) -> None:
        """
        The most exact key counts.
        """
        for table, expected in (
            ("{192.0.2 = 550 a}, {192.0.2.1 = 550 b}", "b"),
            ("{192.0.2 = 550 a}, {a.example = 550 b}", "b"),
            ("{192.0 = 550 a}, {192 = 550 b}", "a"),
        ):
            said = self.ask(f"check_client_access inline:{{{table}}}")
            self.assertTrue(said.endswith(f"rejected: {expected}"), said)
        for table, expected in (
            ("{x+@sub.b.example = 550 a}, {sub.b.example = 550 b}", "b"),
            ("{b.example = 550 a}, {x+y@ = 550 b}", "a"),
            ("{x+y@sub.b.example = 550 a}, {b.example = 550 b}", "a"),
        ):
            said = self.ask(f"check_sender_access inline:{{{table}}}")
            self.assertTrue(said.endswith(f"rejected: {expected}"), said)
        said = self.ask("check_sender_access inline:{{<> = 550 null}}", "")
        self.assertEqual(said, "550 5.7.1 <>: Sender address rejected: null")

    def test_recursion(self) -> None:
        """
        A class in a table that leads to the table again comes to an end.
        """
        said = self.ask(
            "smtpd_restriction_classes = one\n"
            "one = check_helo_access static:one\n"
            "smtpd_recipient_restrictions = one\n"
        )
        self.assertEqual(said, "451 4.3.5 Server configuration error")

    def test_unavailable(self) -> None:
        """
        Neither yes nor no: 451, and warn_if_reject applies.
        """
        for text, expected in (
            ("check_helo_access late:x", "451 4.3.5 <client.example>: Helo command"),
            ("warn_if_reject check_helo_access late:x", "ok"),
        ):
            self.late = Late({})
            self.late.broken = True
            self.assertTrue(self.ask(text).startswith(expected), text)

    def test_later(self) -> None:
        """
        Answers that come later lead to the same end.
        """
        self.late = Late({"a.example": "two", "user@example.org": "REJECT Late"})
        said = self.ask(
            "smtpd_restriction_classes = two\ntwo = permit_mynetworks\n"
            "smtpd_recipient_restrictions = check_client_access late:a,"
            " check_recipient_access late:b\n"
        )
        self.assertEqual(
            said, "554 5.7.1 <user@example.org>: Recipient address rejected: Late"
        )

    def test_unverified_names_permit_nothing(self) -> None:
        """
        Whatever PTR says, no table may take it for a permission, nor a list in it.
        """
        for value in ("OK", "permit"):
            said = self.ask(f"check_reverse_client_hostname_access static:{value}")
            self.assertEqual(said, "451 4.3.5 Server configuration error")

    def test_routed(self) -> None:
        """
        A table does not vouch for where mail goes that is routed through us.
        """
        settings = self.settings("check_recipient_access static:OK, reject")
        registry = TableRegistry(float, lambda text: None)
        world = World(Addresses(), Listed(()), ())
        tools = Tools(settings, world, lambda item: registry.table(item, "x"))
        for recipient, refused in ((RECIPIENT, False), ("a%b.x@example.org", True)):
            check = Check(world, self.session, recipient, recipient)
            answer = Policy.of(settings, tools).judge(check)
            self.assertEqual(answer is not None, refused, recipient)

    def test_watched(self) -> None:
        """
        A tracer sees lists, restrictions and keys.
        """
        watcher = Watcher()
        self.judge(
            "smtpd_restriction_classes = two\ntwo = permit_mynetworks, defer\n"
            "smtpd_recipient_restrictions = permit_mynetworks,"
            " check_client_access inline:{{a.example = two}}\n",
            "",
            watcher,
        )
        self.assertEqual(
            watcher.seen,
            [
                "> smtpd_recipient_restrictions",
                "permit_mynetworks: NEXT",
                "mail.a.example = None",
                "a.example = two",
                "> two",
                "> two",
                "permit_mynetworks: NEXT",
                "defer: 450 4.3.2 <mail.a.example[192.0.2.1]>: Client host rejected: "
                "Try again later",
            ],
        )


class LoginTests(Questions):
    def test_mismatch(self) -> None:
        """
        Who may send as whom.
        """
        maps = "inline:{{x@b.example = ann, bob}, {y@b.example = carl}}"
        owner, other = "not owned by user Bob", "not logged in"
        for name, sender, login, expected in (
            ("reject_sender_login_mismatch", "x@b.example", "Bob", ""),
            ("reject_sender_login_mismatch", "y@b.example", "Bob", owner),
            ("reject_sender_login_mismatch", "z@b.example", "Bob", owner),
            ("reject_sender_login_mismatch", "y@b.example", "", other),
            ("reject_sender_login_mismatch", "z@b.example", "", ""),
            ("reject_known_sender_login_mismatch", "z@b.example", "Bob", ""),
            ("reject_known_sender_login_mismatch", "y@b.example", "Bob", owner),
            ("reject_authenticated_sender_login_mismatch", "y@b.example", "", ""),
            ("reject_unauthenticated_sender_login_mismatch", "y@b.example", "Bob", ""),
            ("reject_unauthenticated_sender_login_mismatch", "y@b.example", "", other),
            ("reject_sender_login_mismatch", "", "Bob", ""),
        ):
            self.session.login = Login(login, "PLAIN") if login else None
            said = self.ask(
                f"smtpd_sender_login_maps = {maps}\n"
                f"smtpd_recipient_restrictions = {name}\n",
                sender,
            )
            words = f"553 5.7.1 <{sender}>: Sender address rejected: {expected}"
            self.assertEqual(said, words if expected else "ok", (name, sender, login))

    def test_login(self) -> None:
        text = "permit_sasl_authenticated, check_sasl_access static:REJECT, reject"
        self.assertEqual(self.ask(text)[:3], "554")
        self.session.login = Login("bob", "PLAIN")
        self.assertEqual(self.ask(text), "ok")
        self.assertEqual(
            self.ask("check_sasl_access inline:{bob=REJECT}"),
            "554 5.7.1 <bob>: SASL login name rejected: Access denied",
        )

    def test_certificates(self) -> None:
        """
        A fingerprint that is listed; a certificate that was verified.
        """
        mine = "relay_clientcerts = inline:{AA:BB=x}\nsmtpd_recipient_restrictions = "
        listed, verified = (
            f"{mine}permit_tls_clientcerts, reject\n",
            f"{mine}permit_tls_all_clientcerts, reject\n",
        )
        info = TLSInfo("TLSv1.3", "x", 256, 256)
        for tls, expected in (
            (None, (False, False)),
            (info, (False, False)),
            (replace(info, fingerprint="AA:BB"), (True, False)),
            (replace(info, key_fingerprint="AA:BB"), (True, False)),
            (replace(info, fingerprint="CC", trusted=True), (False, True)),
        ):
            self.session.tls = tls
            got = (self.ask(listed) == "ok", self.ask(verified) == "ok")
            self.assertEqual(got, expected, tls)
        self.assertEqual(self.ask("reject_plaintext_session"), "ok")
        self.assertEqual(
            self.ask("check_ccert_access inline:{CC=REJECT}"),
            "554 5.7.1 <mail.a.example[192.0.2.1]>: Client certificate rejected: "
            "Access denied",
        )


class ProblemTests(Questions):
    def test_each(self) -> None:
        """
        Place and remedy, one line each.
        """
        for text, words in (
            ("check_client_access", "needs type:table after it"),
            ("check_client_access reject", "needs type:table after it"),
            ("sleep x", "needs a number after it"),
            ("permit_naked_ip_address", "Postfix has it no more: write permit_my"),
            ("smtpd_data_restrictions = hash:/x\n", "say what is looked up"),
            ("smtpd_restriction_classes = a\n", "a: this class has no list"),
            ("smtpd_restriction_classes = a\na = xyzzy\n", "a: xyzzy: no such"),
            ("smtpd_restriction_classes = a\na = permit a\n", "contains itself"),
            ("smtpd_restriction_classes = reject\nreject = permit\n", "another name"),
            ("smtpd_etrn_restrictions = rejct\n", "did you mean reject?"),
        ):
            relay = "smtpd_relay_restrictions = reject\n"
            if "\n" not in text:
                text = f"smtpd_recipient_restrictions = {text}\n"
            (problem,) = problems_of_lists(self.settings(text + relay))
            self.assertIn(words, problem)

    def test_relay(self) -> None:
        """
        What stands after permit closes nothing, what a class says does.
        """
        for text, closed in (
            ("permit, reject", False),
            (
                "smtpd_restriction_classes = a\na = reject\n"
                "smtpd_recipient_restrictions = a\n",
                True,
            ),
        ):
            self.assertEqual(problems_of_lists(self.settings(text)) == [], closed, text)

    def test_tables(self) -> None:
        settings = self.settings(
            "smtpd_restriction_classes = a\na = check_helo_access hash:/b\n"
            "smtpd_client_restrictions = hash:/a\n"
        )
        self.assertEqual(
            list(tables_of(settings)),
            [("smtpd_client_restrictions", "hash:/a"), ("a", "hash:/b")],
        )
