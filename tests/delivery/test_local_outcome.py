"""
L{txmta.delivery.local_outcome}
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.delivery.doubles import request
from txmta.delivery.destinations import (
    Expansion,
    Onward,
    Problem,
    Ties,
    ToTransport,
)
from txmta.delivery.local_outcome import Done, Summary, not_delivered
from txmta.model import (
    Action,
    AddressClass,
    Forward,
    Notify,
    Outcome,
    Recipient,
    Route,
)

SENDER = "s@x.test"
ALL = "all@here.test"
BOB = "bob@here.test"
FAR = "far@else.test"
HEAD = b"Delivered-To: all@here.test\r\n"


def problem(status: str, address: str = BOB, sender: str = SENDER) -> Problem:
    return Problem(address, status, f"reason {status}", sender)


class SummaryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.expansion = Expansion(ties=Ties.ALIAS)
        self.header = True
        self.recipient = Recipient(7, ALL, "Orig@here.test", "rfc822;o@x")

    def outcome(self, *words: str, problems: tuple[Problem, ...] = ()) -> Outcome:
        asked = request(ALL, sender=SENDER)
        summary = Summary(asked, self.recipient, self.expansion, self.header)
        return summary.outcome(Done(words, problems))

    def forward_to(self, *addresses: str, ties: Ties = Ties.ALIAS) -> None:
        self.expansion.forwards[Onward(ALL, SENDER, ties)] = list(addresses)

    def transport(self, address: str, name: str = "lmtp:unix:/x") -> None:
        self.expansion.transports.append(ToTransport(name, address, SENDER, ALL))

    def test_delivered(self) -> None:
        """
        What was done, each once; an alias is expanded, a user delivered to.
        """
        outcome = self.outcome("delivered to x", "delivered to y", "delivered to x")
        self.assertEqual(
            outcome,
            Outcome(
                7, Action.EXPANDED, "2.0.0", "delivered to x, delivered to y", "local"
            ),
        )
        for ties in (Ties.FULL, Ties.LIST):
            self.expansion.ties = ties
            self.assertIs(self.outcome("delivered to x").action, Action.DELIVERED)

    def test_one_line(self) -> None:
        """
        Names of files and commands come from aliases: no line ends in a log.
        """
        self.assertEqual(self.outcome("to file: a\nb\x7f").reason, "to file: a?b?")
        self.assertEqual(not_delivered(0, "5.0.0", "a\r\nb").reason, "a??b")

    def test_discarded(self) -> None:
        self.assertEqual(self.outcome().reason, "discarded")

    def test_forwarded(self) -> None:
        """
        The queue manager puts the ids behind the last word.
        """
        self.forward_to(FAR)
        outcome = self.outcome("delivered to maildir")
        self.assertEqual(outcome.reason, "delivered to maildir, forwarded")
        (forward,) = outcome.forward
        self.assertEqual((forward.recipients, forward.head), ((FAR,), HEAD))
        self.header = False
        (forward,) = self.outcome().forward
        self.assertEqual(forward.head, b"")

    def test_ties(self) -> None:
        """
        DSN parameters of what is forwarded (RFC 3461 section 5.2.7).
        """
        success = int(Notify.SUCCESS)
        both = int(Notify.SUCCESS | Notify.FAILURE)
        never = int(Notify.NEVER)
        for ties, notify, expected in (
            (Ties.FULL, both, both),
            (Ties.FULL, 0, 0),
            (Ties.ALIAS, both, int(Notify.FAILURE)),
            (Ties.ALIAS, success, never),
            (Ties.ALIAS, never, never),
            (Ties.ALIAS, 0, 0),
            (Ties.LIST, both, 0),
            (Ties.LIST, never, 0),
        ):
            self.expansion = Expansion(ties=ties)
            self.recipient = Recipient(7, ALL, "Orig@here.test", "rfc822;o@x", notify)
            self.forward_to(FAR, ties=ties)
            outcome = self.outcome()
            (forward,) = outcome.forward
            self.assertEqual(forward.notify, expected, (ties, notify))
            kept = ties is not Ties.LIST
            self.assertEqual(forward.keep_envid, kept)
            self.assertEqual(forward.orcpt, "rfc822;o@x" if kept else "")
            self.assertEqual(forward.original, "Orig@here.test" if kept else "")
            self.assertEqual(outcome.dsn_passed, ties is Ties.FULL)

    def test_own_delay(self) -> None:
        """
        A branch of the recipient's own: all of it is tried again.
        """
        self.forward_to(FAR)
        outcome = self.outcome("done", problems=(problem("4.2.0", ALL.upper()),))
        self.assertEqual((outcome.action, outcome.status), (Action.DELAYED, "4.2.0"))
        self.assertEqual(outcome.forward, ())

    def test_other_delay(self) -> None:
        """
        A branch of another: apart, so that nobody gets a second copy.
        """
        outcome = self.outcome("done", problems=(problem("4.2.0"),))
        self.assertIs(outcome.action, Action.EXPANDED)
        (forward,) = outcome.forward
        self.assertEqual((forward.recipients, forward.head), ((BOB,), HEAD))

    def test_not_alone(self) -> None:
        """
        What would be done again with it: not apart.
        """
        for status, action in (("4.2.0", Action.DELAYED), ("5.3.0", Action.FAILED)):
            bad = Problem(BOB, status, "reason", SENDER, alone=False)
            outcome = self.outcome("done", problems=(bad,))
            self.assertEqual((outcome.action, outcome.forward), (action, ()))
        self.expansion.transports.append(ToTransport("t", BOB, SENDER, ALL, False))
        outcome = self.outcome("done")
        assert outcome.reroute is not None
        self.assertEqual(outcome.reroute.recipient, BOB)

    def test_nothing_done(self) -> None:
        """
        Where nothing was done, nothing needs to be apart.
        """
        outcome = self.outcome(problems=(problem("5.1.1"), problem("4.2.0")))
        self.assertEqual((outcome.status, outcome.forward), ("4.2.0", ()))

    def test_own_failure(self) -> None:
        """
        A command that fails: bounced, with its own words, and the others
        have their mail.
        """
        self.forward_to(FAR)
        outcome = self.outcome(
            "delivered to maildir", problems=(problem("5.3.0", ALL), problem("5.1.1"))
        )
        self.assertEqual(
            (outcome.action, outcome.status, outcome.reason),
            (Action.FAILED, "5.3.0", "reason 5.3.0"),
        )
        self.assertEqual([f.recipients for f in outcome.forward], [(FAR,), (BOB,)])

    def test_owner(self) -> None:
        """
        The owner of a list hears of its command.
        """
        for sender, bounce_to in ((SENDER, ""), ("owner@x", "owner@x")):
            outcome = self.outcome(problems=(problem("5.3.0", ALL, sender),))
            self.assertEqual(
                (outcome.action, outcome.bounce_to), (Action.FAILED, bounce_to)
            )

    def test_by_sender(self) -> None:
        """
        Whoever forwards hears of it.
        """
        self.forward_to(FAR)
        outcome = self.outcome(
            problems=(problem("5.1.1"), problem("5.1.1", BOB, "owner@x"))
        )
        self.assertEqual(
            [(forward.sender, forward.original) for forward in outcome.forward],
            [(SENDER, "Orig@here.test"), (SENDER, "Orig@here.test"), ("owner@x", "")],
        )

    def test_transport(self) -> None:
        """
        All of it goes another way; the next hop is that of the request if the
        transport names none.
        """
        for name, nexthop in (("lmtp:unix:/x", "unix:/x"), ("lmtp", "here.test")):
            self.expansion.transports = []
            self.transport(BOB, name)
            outcome = self.outcome()
            self.assertEqual(
                outcome.reroute, Route(AddressClass.LOCAL, "lmtp", nexthop, BOB)
            )
            self.assertEqual(outcome.forward, ())

    def test_transports(self) -> None:
        """
        Of several, each but the recipient's own is a message of its own, with
        Delivered-To whatever the configuration says.
        """
        self.header = False
        self.transport(BOB)
        self.transport("joe@here.test")
        outcome = self.outcome()
        self.assertIsNone(outcome.reroute)
        self.assertEqual(
            [(f.recipients, f.head) for f in outcome.forward],
            [((BOB, "joe@here.test"), HEAD)],
        )
        self.transport(ALL)
        outcome = self.outcome("delivered to command: vacation")
        assert outcome.reroute is not None
        self.assertEqual(outcome.reroute.recipient, ALL)
        self.assertEqual(len(outcome.forward), 1)

    def test_transport_and_other(self) -> None:
        """
        One branch of several is a message of its own.
        """
        for busy in ("words", "forwards", "problems"):
            self.expansion = Expansion(ties=Ties.ALIAS)
            self.transport(BOB)
            if busy == "forwards":
                self.forward_to(FAR)
            outcome = self.outcome(
                *(("done",) if busy == "words" else ()),
                problems=(problem("5.1.1"),) if busy == "problems" else (),
            )
            self.assertIsNone(outcome.reroute, busy)
            addresses = [a for f in outcome.forward for a in f.recipients]
            self.assertIn(BOB, addresses)

    def test_transport_and_failure(self) -> None:
        """
        The recipient's own mailbox counts more than a command that fails.
        """
        self.transport(ALL)
        outcome = self.outcome(problems=(problem("5.3.0", ALL),))
        self.assertIsNotNone(outcome.reroute)
        outcome = self.outcome(problems=(problem("4.3.0", ALL),))
        self.assertIsNone(outcome.reroute)
        self.assertIs(outcome.action, Action.DELAYED)

    def test_forward_is_complete(self) -> None:
        self.forward_to(FAR, "away@else.test")
        self.assertEqual(
            self.outcome().forward,
            (
                Forward(
                    SENDER,
                    (FAR, "away@else.test"),
                    HEAD,
                    0,
                    "rfc822;o@x",
                    "Orig@here.test",
                    True,
                ),
            ),
        )
