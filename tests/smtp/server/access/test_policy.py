"""
Restriction lists: order, refusals, tables that cannot be asked.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.smtp.server.support import FRIEND, STRANGER, Addresses, Listed
from txmta.config.settings import Settings
from txmta.errors import TableUnavailable
from txmta.model import AddressClass, Client, Reply, Route
from txmta.smtp.access.by_client import permit_mynetworks
from txmta.smtp.access.check import Check, Codes, Verdict, World
from txmta.smtp.access.kinds import Tools
from txmta.smtp.access.policy import Policy, codes
from txmta.smtp.access.registry import KINDS
from txmta.smtp.access.restrictions import CLOSING, authorized
from txmta.smtp.access.validate import problems_of_lists
from txmta.smtp.session import Session

OURS = "user@example.org"
UNKNOWN = "nobody@example.org"
ELSEWHERE = "x@else.where"


def lists(lists: Sequence[Sequence[str]], unlisted: bool) -> Policy:
    """
    A policy with one or both of the lists of RCPT.
    """
    relay, recipient = (*lists, (), ())[:2]
    return Policy.of(
        Settings.of(
            smtpd_relay_restrictions=", ".join(relay),
            smtpd_recipient_restrictions=", ".join(recipient),
            smtpd_reject_unlisted_recipient="yes" if unlisted else "no",
        )
    )


class Questions(SynchronousTestCase):
    def setUp(self) -> None:
        self.addresses = Addresses()
        self.mynetworks = Listed((FRIEND,))
        self.world = World(self.addresses, self.mynetworks, {FRIEND}, Codes())

    def check(self, recipient: str, client: str = STRANGER) -> Check:
        return Check(self.world, Session(Client(client, 1)), recipient, recipient)

    def ask(self, policy: Policy, recipient: str, client: str = STRANGER) -> str:
        """
        @return: code and status, or C{"ok"}.
        """
        answer = policy.judge(self.check(recipient, client))
        assert not isinstance(answer, Deferred)
        return f"{answer.code} {answer.status}" if answer else "ok"


class ListTests(Questions):
    def test_default(self) -> None:
        """
        The three cases of relay control with Postfix's defaults.
        """
        policy = Policy.of(Settings.of())
        for recipient, client, expected in (
            (OURS, STRANGER, "ok"),
            (OURS, FRIEND, "ok"),
            (UNKNOWN, STRANGER, "550 5.1.1"),
            (UNKNOWN, FRIEND, "550 5.1.1"),
            (ELSEWHERE, STRANGER, "454 4.7.1"),
            (ELSEWHERE, FRIEND, "ok"),
            ("r@relay.example", STRANGER, "ok"),
            ("x%else.where@example.org", STRANGER, "454 4.7.1"),
        ):
            self.assertEqual(self.ask(policy, recipient, client), expected, recipient)

    def test_permit_ends_its_list_only(self) -> None:
        policy = lists([["permit"], ["reject"]], True)
        self.assertEqual(self.ask(policy, OURS), "554 5.7.1")

    def test_first_refusal_wins(self) -> None:
        policy = lists([["defer", "reject"]], True)
        self.assertEqual(self.ask(policy, OURS), "450 4.3.2")

    def test_order_of_lists(self) -> None:
        """
        smtpd_relay_before_recipient_restrictions.
        """
        for first, expected in (("yes", "454 4.7.1"), ("no", "554 5.7.1")):
            settings = Settings.of(
                smtpd_recipient_restrictions="reject",
                smtpd_relay_before_recipient_restrictions=first,
            )
            self.assertEqual(self.ask(Policy.of(settings), ELSEWHERE), expected)

    def test_unlisted(self) -> None:
        """
        smtpd_reject_unlisted_recipient, or the restriction, asks the tables,
        and only once.
        """
        self.assertEqual(self.ask(lists([["permit"]], False), UNKNOWN), "ok")
        policy = lists([["reject_unlisted_recipient", "permit"]], False)
        self.assertEqual(self.ask(policy, UNKNOWN), "550 5.1.1")
        asked: list[str] = []
        validate = self.addresses.validate

        def counting(
            address: str, route: Route, as_sender: bool = False
        ) -> bool | Deferred[bool]:
            asked.append(address)
            return validate(address, route)

        self.addresses.validate = counting  # type: ignore[method-assign]
        self.assertEqual(
            self.ask(lists([["reject_unlisted_recipient"]], True), OURS), "ok"
        )
        self.assertEqual(asked, [OURS])

    def test_nowhere(self) -> None:
        """
        Of an address that tables send nowhere, they say why.
        """
        policy = lists([["reject_unlisted_recipient"]], True)
        for transport, nexthop, expected in (
            ("error", "5.1.6 User has moved to x", "550 5.1.6: User has moved to x"),
            ("error", "No mail", "550 5.1.1: No mail"),
            ("error", "5.1.8 a", "550 5.1.2: a"),
            ("error", "4.7.1 a", "550 5.7.1: a"),
            ("retry", "4.7.1 Later", "450 4.7.1: Later"),
            ("smtp", "x", "550 5.1.1: User unknown in relay recipient table"),
        ):
            check = self.check("zz@relay.example")
            recipient = check.recipient
            check.route = Route(AddressClass.RELAY, transport, nexthop, recipient)
            answer = policy.judge(check)
            assert isinstance(answer, Reply)
            text = answer.text.replace(f"<{recipient}>: Recipient address rejected", "")
            self.assertEqual(f"{answer.code} {answer.status}{text}", expected)

    def test_sender(self) -> None:
        """
        Where mail goes may depend on the sender.
        """
        asked: list[str] = []
        resolve = self.addresses.resolve

        def remember(address: str, sender: str = "") -> Route | Deferred[Route]:
            asked.append(sender)
            return resolve(address)

        self.addresses.resolve = remember  # type: ignore[method-assign]
        check = self.check(OURS)
        check.sender = "s@x.example"
        check.resolve()
        self.assertEqual(asked, ["s@x.example"])

    def test_defer_if(self) -> None:
        """
        defer_if_permit turns yes into 450; defer_if_reject turns 5xx into it,
        but no 4xx.
        """
        for items, recipient, expected in (
            (["defer_if_permit", "permit"], OURS, "450 4.7.0"),
            (["defer_if_permit", "reject"], OURS, "554 5.7.1"),
            (["defer_if_reject", "reject"], OURS, "450 4.7.0"),
            (["defer_if_reject", "defer"], OURS, "450 4.3.2"),
            (["defer_if_reject", "permit"], OURS, "ok"),
        ):
            self.assertEqual(self.ask(lists([items], True), recipient), expected, items)

    def test_warn_if_reject(self) -> None:
        check = self.check(OURS)
        policy = lists([["warn_if_reject", "reject", "permit"]], True)
        self.assertIsNone(policy.judge(check))
        self.assertEqual(
            check.notes,
            [
                (
                    "reject_warning",
                    f"554 5.7.1 <{OURS}>: Recipient address rejected: Access denied",
                )
            ],
        )

    def test_codes(self) -> None:
        settings = Settings.of(
            reject_code="521",
            defer_code="451",
            relay_domains_reject_code="550",
            unknown_relay_recipient_reject_code="450",
            show_user_unknown_table_name="no",
        )
        self.world = World(self.addresses, self.mynetworks, (), codes(settings))
        for items, recipient, expected in (
            (["reject"], OURS, "521 5.7.1"),
            (["defer"], OURS, "451 4.3.2"),
            (["reject_unauth_destination"], ELSEWHERE, "550 5.7.1"),
            (["defer_unauth_destination"], ELSEWHERE, "450 4.7.1"),
            (["permit"], "x@relay.example", "450 4.1.1"),
        ):
            self.assertEqual(self.ask(lists([items], True), recipient), expected)


class RestrictionTests(Questions):
    def test_mynetworks_by_name(self) -> None:
        """
        A name in mynetworks is that of a client, if it is verified.
        """
        self.mynetworks.items = ("mail.example.net",)
        for name, reverse, expected in (
            ("mail.example.net", "mail.example.net", Verdict.PERMIT),
            ("unknown", "mail.example.net", Verdict.NEXT),
        ):
            session = Session(Client(STRANGER, 1, name, reverse))
            check = Check(self.world, session, ELSEWHERE, ELSEWHERE)
            answer = permit_mynetworks(check)
            self.assertIs(answer, expected, name)

    def test_each_has_a_case(self) -> None:
        """
        What each restriction says of a stranger and of a friend, for a domain
        of ours and for another.
        """
        n, p = "NEXT", "PERMIT"
        cases = {
            "permit": (p, p, p, p),
            "reject": ("554", "554", "554", "554"),
            "defer": ("450", "450", "450", "450"),
            "permit_mynetworks": (n, n, p, p),
            "permit_inet_interfaces": (n, n, p, p),
            "permit_sasl_authenticated": (n, n, n, n),
            "permit_auth_destination": (p, n, p, n),
            "reject_unauth_destination": (n, "554", n, "554"),
            "defer_unauth_destination": (n, "454", n, "454"),
            "reject_unlisted_recipient": (n, n, n, n),
            "defer_if_permit": (n, n, n, n),
            "defer_if_reject": (n, n, n, n),
            "reject_plaintext_session": ("450", "450", "450", "450"),
            "reject_non_fqdn_recipient": (n, n, n, n),
        }
        tools = Tools(Settings.of(), self.world)
        for name, expected in cases.items():
            got = []
            for client in (STRANGER, FRIEND):
                for recipient in (OURS, ELSEWHERE):
                    ask = KINDS[name].make(tools, "")
                    answer = ask(self.check(recipient, client))
                    assert isinstance(answer, (Reply, Verdict))
                    got.append(
                        str(answer.code) if isinstance(answer, Reply) else answer.name
                    )
            self.assertEqual(tuple(got), expected, name)

    def test_authorized(self) -> None:
        """
        Every class of ours, and nothing that was routed through us.
        """
        for kind in AddressClass:
            route = Route(kind, "t", "n", "r")
            self.assertEqual(authorized(route), kind is not AddressClass.DEFAULT)
            self.assertFalse(authorized(Route(kind, "t", "n", "r", routed=True)))

    def test_closing(self) -> None:
        self.assertLess(CLOSING, set(KINDS))


class UnavailableTests(Questions):
    """
    "Cannot say" is never "no" nor "yes": 451 4.3.0.
    """

    policy = Policy.of(Settings.of())
    expected = Reply(451, "4.3.0", f"<{ELSEWHERE}>: Temporary lookup failure")

    def test_mynetworks(self) -> None:
        self.mynetworks.broken = True
        self.assertEqual(self.policy.judge(self.check(ELSEWHERE)), self.expected)

    def test_no_warning(self) -> None:
        """
        warn_if_reject makes no yes of it.
        """
        self.mynetworks.broken = True
        policy = lists([["warn_if_reject", "permit_mynetworks"]], False)
        self.assertEqual(policy.judge(self.check(ELSEWHERE)), self.expected)

    def test_routes(self) -> None:
        self.addresses.broken = True
        self.assertEqual(self.policy.judge(self.check(ELSEWHERE)), self.expected)

    def test_later(self) -> None:
        self.addresses.later = []
        answer = self.policy.judge(self.check(ELSEWHERE))
        assert isinstance(answer, Deferred)
        self.addresses.later[0].errback(TableUnavailable("x", "y"))
        self.assertEqual(self.successResultOf(answer), self.expected)

    def test_bugs_are_not_hidden(self) -> None:
        """
        Any other error goes through, to be logged by the server.
        """
        self.addresses.later = []
        answer = self.policy.judge(self.check(ELSEWHERE))
        assert isinstance(answer, Deferred)
        self.addresses.later[0].errback(ZeroDivisionError())
        self.failureResultOf(answer, ZeroDivisionError)


class LaterTests(Questions):
    def test_same_answers(self) -> None:
        """
        Answers that come later lead to the same end.
        """
        policy = Policy.of(
            Settings.of(smtpd_recipient_restrictions="warn_if_reject, reject, permit")
        )
        for recipient in (OURS, UNKNOWN, ELSEWHERE):
            for client in (STRANGER, FRIEND):
                self.addresses.later = None
                self.mynetworks.later = False
                now = policy.judge(self.check(recipient, client))
                self.addresses.later = []
                self.mynetworks.later = True
                self.mynetworks.waiting = []
                answer = policy.judge(self.check(recipient, client))
                assert isinstance(answer, Deferred)
                got: list[Reply | None] = []
                answer.addCallback(got.append)
                while not got:
                    if self.mynetworks.waiting:
                        self.mynetworks.waiting.pop().callback(client == FRIEND)
                    else:
                        route = self.addresses.route(recipient)
                        self.addresses.later.pop().callback(route)
                self.assertEqual(got, [now])


class ValidationTests(SynchronousTestCase):
    def problems(self, **values: str) -> list[str]:
        return problems_of_lists(Settings.of(**values))

    def test_default(self) -> None:
        self.assertEqual(self.problems(), [])

    def test_open_relay(self) -> None:
        """
        Lists that refuse nothing do not start (Postfix: fatal).
        """
        for relay, recipient, good in (
            ("", "", False),
            ("permit_mynetworks", "permit_auth_destination", False),
            ("permit_mynetworks", "reject_unauth_destination", True),
            ("", "permit_mynetworks reject", True),
            ("warn_if_reject reject", "", False),
            ("warn_if_reject permit defer", "", True),
            ("Defer_Unauth_Destination", "", True),
        ):
            found = self.problems(
                smtpd_relay_restrictions=relay, smtpd_recipient_restrictions=recipient
            )
            self.assertEqual(not found, good, (relay, recipient, found))

    def test_unknown(self) -> None:
        """
        An unknown name is refused, with the nearest one.
        """
        (problem,) = self.problems(
            smtpd_recipient_restrictions="reject_unlisted_recipients"
        )
        self.assertIn("did you mean reject_unlisted_recipient?", problem)
        (problem,) = self.problems(smtpd_recipient_restrictions="xyzzy")
        self.assertIn("remove it", problem)
        for clients, words in (
            ("permit_tls_clientcerts", "is not supported yet: remove it"),
            ("check_address_map permit_mynetworks", "needs type:table after it"),
            ("check_address_map", "needs type:table after it"),
        ):
            (problem,) = self.problems(local_header_rewrite_clients=clients)
            self.assertIn(words, problem)
        clients = "permit_mynetworks hash:/a check_address_map cidr:/b"
        self.assertEqual(self.problems(local_header_rewrite_clients=clients), [])
        (problem,) = self.problems(local_header_rewrite_clients="permit")
        self.assertIn("local_header_rewrite_clients", problem)

    def test_dangling_warning(self) -> None:
        (problem,) = self.problems(smtpd_recipient_restrictions="warn_if_reject")
        self.assertIn("needs a restriction", problem)
