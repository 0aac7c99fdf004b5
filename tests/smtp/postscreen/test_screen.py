"""
Which clients pass, and what becomes of the others; words and log are Postfix's.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txmta.config.settings import Settings
from txmta.smtp.postscreen.effects import (
    Arrival,
    Effect,
    End,
    Keep,
    Log,
    Look,
    Pass,
    Say,
    Score,
    Wait,
)
from txmta.smtp.postscreen.results import NEW, Stamps, parse, text
from txmta.smtp.postscreen.rules import ScreenRules, problems
from txmta.smtp.postscreen.screen import Screen

WALL = 1_700_000_000.0
DEEP = {
    "postscreen_pipelining_enable": "yes",
    "postscreen_non_smtp_command_enable": "yes",
    "postscreen_bare_newline_enable": "yes",
}
LISTED = {"postscreen_dnsbl_sites": "a.test*2, b.test*-1"}


def arrival(
    listed: str = "dunno",
    stamps: Stamps | None = None,
    together: int = 1,
    tested: int = 1,
    here: bool = True,
) -> Arrival:
    server = ("192.0.2.9", 25)
    return Arrival("192.0.2.1", 77, server, listed, together, tested, stamps, here)


class Client:
    """
    One client, and all that was done.
    """

    def __init__(self, come: Arrival | None = None, /, **values: str) -> None:
        values = {"myhostname": "mx.test", "smtpd_banner": "mx.test", **values}
        self.rules = ScreenRules.of(Settings.of(**values))
        self.screen = Screen(self.rules, come or arrival())
        self.screen.begin(0.0, WALL)
        self.effects: list[Effect] = []
        self.did()

    def did(self) -> list[Effect]:
        new = list(self.screen.take())
        self.effects += new
        return new

    def say(self, octets: bytes, now: float = 1.0) -> str:
        self.screen.heard(octets, now)
        return "".join(e.octets.decode() for e in self.did() if isinstance(e, Say))

    def wait(self, score: int = 0, ttl: float = 100.0) -> None:
        self.screen.waited(Score(score, "a.test", ttl), 6.0)
        self.did()

    @property
    def log(self) -> list[str]:
        label = self.screen.label
        found = [e.text for e in self.effects if isinstance(e, Log)]
        return [each.replace(label, "C") for each in found]

    @property
    def said(self) -> str:
        return "".join(e.octets.decode() for e in self.effects if isinstance(e, Say))

    @property
    def kept(self) -> str:
        return "".join(text(e.stamps) for e in self.effects if isinstance(e, Keep))

    @property
    def passed(self) -> bool:
        return any(isinstance(e, Pass) for e in self.effects)

    @property
    def ended(self) -> bool:
        return any(isinstance(e, End) for e in self.effects)


CONNECT = "CONNECT from C to [192.0.2.9]:25"
FULL = (b"EHLO me\r\n", b"MAIL FROM:<a@x.test>\r\n", b"RCPT TO:<r@y.test>\r\n")


class EarlyTests(SynchronousTestCase):
    def test_good(self) -> None:
        """
        Who waits for its turn has smtpd, and need not wait the next time.
        """
        client = Client()
        self.assertEqual(client.said, "220-mx.test\r\n")
        self.assertIn(Wait(6.0), client.effects)
        self.assertFalse(client.passed)
        client.wait()
        self.assertTrue(client.passed)
        self.assertEqual(client.log, [CONNECT, "PASS NEW C"])
        self.assertEqual(client.kept, f"{int(WALL) + 86400};1;1;1;1")
        again = Client(arrival(stamps=parse(client.kept)))
        self.assertEqual(again.log, [CONNECT, "PASS OLD C"])
        self.assertTrue(again.passed)
        self.assertEqual(again.said, "")

    def test_expired(self) -> None:
        stamps = {**NEW, "pregreet": int(WALL) - 1}
        client = Client(arrival(stamps=stamps))
        client.wait()
        self.assertEqual(client.log[1], "PASS OLD C")

    def test_access_list(self) -> None:
        client = Client(arrival("permit"))
        self.assertEqual(client.log, [CONNECT, "ALLOWLISTED C"])
        self.assertTrue(client.passed)
        self.assertEqual(client.kept, "")
        client = Client(arrival("reject"), postscreen_denylist_action="drop")
        self.assertEqual(client.log, [CONNECT, "DENYLISTED C", "DISCONNECT C"])
        self.assertEqual(client.said, "521 5.3.2 Service currently unavailable\r\n")
        self.assertTrue(client.ended)
        client = Client(arrival("reject"))
        client.wait()
        self.assertTrue(client.passed, "ignored")

    def test_denied_and_enforced(self) -> None:
        """
        It is not let in even when it was before.
        """
        known = arrival("reject", {**NEW, "pregreet": int(WALL) + 99})
        client = Client(known, postscreen_denylist_action="enforce")
        client.wait()
        for line in FULL:
            last = client.say(line)
        self.assertEqual(last, "550 5.3.2 Service currently unavailable\r\n")
        client.say(b"QUIT\r\n")
        self.assertFalse(client.passed)
        self.assertEqual(client.kept, "")

    def test_pregreet(self) -> None:
        for action, last in (
            ("ignore", ""),
            ("drop", "521 5.5.1 Protocol error\r\n"),
            ("enforce", "250 CHUNKING\r\n"),
        ):
            client = Client(postscreen_greet_action=action)
            client.say(b"EHLO me\r\n")
            self.assertEqual(client.log[1], "PREGREET 9 after 1 from C: EHLO me\\r\\n")
            self.assertEqual(client.passed, action == "ignore")
            self.assertEqual(client.kept, "")
            self.assertTrue(client.said[13:].endswith(last))
            if action == "ignore":
                self.assertIn(Pass(b"EHLO me\r\n"), client.effects)

    def test_hang_up(self) -> None:
        client = Client()
        client.screen.hung_up(0.25)
        client.did()
        where = "in tests before SMTP handshake"
        self.assertEqual(
            client.log, [CONNECT, f"HANGUP after 0.25 from C {where}", "DISCONNECT C"]
        )

    def test_crowds(self) -> None:
        client = Client(
            arrival(together=4), postscreen_client_connection_count_limit="3"
        )
        self.assertEqual(client.said, "421 4.7.0 Error: too many connections\r\n")
        self.assertIn(
            "NOQUEUE: reject: CONNECT from C: too many connections", client.log
        )
        client = Client(arrival(tested=9), postscreen_pre_queue_limit="8")
        self.assertEqual(client.said, "421 4.3.2 All screening ports are busy\r\n")

    def test_together(self) -> None:
        """
        What is known counts for one connection at a time only.
        """
        known = arrival(stamps={**NEW, "pregreet": int(WALL) + 99}, together=2)
        self.assertFalse(Client(known).passed)

    def test_backup(self) -> None:
        """
        Nobody comes to be known at an address that is not in the list.
        """
        client = Client(arrival(here=False))
        client.wait()
        for line in FULL:
            last = client.say(line)
        self.assertEqual(last, "450 4.3.2 Service currently unavailable\r\n")
        client.say(b"QUIT\r\n")
        self.assertIn("ALLOWLIST VETO C", client.log)
        self.assertEqual(client.kept, "")


class ListTests(SynchronousTestCase):
    def test_good(self) -> None:
        client = Client(**LISTED)
        self.assertIn(Look(), client.effects)
        client.screen.scored(Score(0, "", 9.0), 1.0)
        client.did()
        self.assertFalse(client.passed, "it may yet speak too early")
        client.wait(0, 9.0)
        self.assertTrue(client.passed)
        self.assertEqual(client.kept, f"{int(WALL) + 86400};{int(WALL) + 60};1;1;1")

    def test_listed(self) -> None:
        words = "5.7.1 Service unavailable; client [192.0.2.1] blocked using a.test"
        client = Client(postscreen_dnsbl_action="drop", **LISTED)
        client.wait(2)
        self.assertEqual(client.log[1:], ["DNSBL rank 2 for C", "DISCONNECT C"])
        self.assertTrue(client.said.endswith(f"521 {words}\r\n"))
        client = Client(postscreen_dnsbl_action="enforce", **LISTED)
        client.wait(2)
        for line in FULL:
            last = client.say(line)
        self.assertEqual(last, f"550 {words}\r\n")
        client = Client(postscreen_dnsbl_threshold="3", **LISTED)
        client.wait(2)
        self.assertTrue(client.passed)

    def test_well_known(self) -> None:
        """
        A good name stands for the tests after the greeting.
        """
        values = {**LISTED, **DEEP, "postscreen_dnsbl_allowlist_threshold": "-1"}
        client = Client(**values)
        client.wait(-1)
        self.assertTrue(client.passed)
        client = Client(**values)
        client.wait(0)
        self.assertFalse(client.passed)

    def test_first_answer(self) -> None:
        """
        Who spoke too early need not wait for more than the lists.
        """
        client = Client(postscreen_greet_action="enforce", **LISTED)
        client.say(b"x\r\n")
        self.assertEqual(client.said, "220-mx.test\r\n")
        client.screen.scored(Score(), 2.0)
        client.did()
        self.assertIn("502 5.5.2", client.said)


class DeepTests(SynchronousTestCase):
    def deep(self, **values: str) -> Client:
        client = Client(**{**DEEP, **values})
        client.wait()
        self.assertTrue(client.said.endswith("220-mx.test\r\n220 mx.test\r\n"))
        return client

    def test_good(self) -> None:
        client = self.deep()
        for line in FULL:
            last = client.say(line)
        self.assertEqual(last, "450 4.3.2 Service currently unavailable\r\n")
        self.assertEqual(client.say(b"QUIT\r\n"), "221 2.0.0 Bye\r\n")
        self.assertEqual(
            client.log[1:],
            [
                "NOQUEUE: reject: RCPT from C: 450 4.3.2 Service currently "
                "unavailable; from=<a@x.test>, to=<r@y.test>, proto=ESMTP, helo=<me>",
                "PASS NEW C",
                "DISCONNECT C",
            ],
        )
        month = int(WALL) + 30 * 86400
        self.assertEqual(client.kept, f"{int(WALL) + 86400};1;{month};{month};{month}")
        again = Client(arrival(stamps=parse(client.kept)), **DEEP)
        self.assertTrue(again.passed)

    def test_before_rcpt(self) -> None:
        """
        Who has not come to RCPT has passed none of them.
        """
        client = self.deep()
        client.say(b"QUIT\r\n")
        self.assertEqual(client.kept, f"{int(WALL) + 86400};1;0;0;0")
        self.assertNotIn("PASS NEW C", client.log)

    def test_pipelining(self) -> None:
        client = self.deep()
        client.say(b"EHLO a\r\nMAIL FROM:<a>\r\n")
        self.assertIn(
            "COMMAND PIPELINING from C after EHLO: MAIL FROM:<a>\\r\\n", client.log
        )
        self.assertEqual(client.say(b"RCPT TO:<b>\r\n"), "550 5.5.1 Protocol error\r\n")
        client.say(b"QUIT\r\n")
        self.assertEqual(client.kept, "")

    def test_other_protocols(self) -> None:
        for line in (b"GET / HTTP/1.0\r\n", b"Subject: x\r\n"):
            client = self.deep()
            self.assertEqual(
                client.say(line),
                "521 5.7.0 Error: I can break rules, too. Goodbye.\r\n",
            )
            self.assertTrue(client.ended)

    def test_bare_newline(self) -> None:
        client = self.deep(postscreen_bare_newline_action="drop")
        self.assertEqual(client.say(b"NOOP\n"), "521 5.5.1 Protocol error\r\n")
        self.assertIn("BARE NEWLINE from C after NOOP", client.log)
        client = self.deep()
        self.assertEqual(client.say(b"NOOP\n"), "250 2.0.0 Ok\r\n")
        for line in (*FULL, b"QUIT\r\n"):
            client.say(line)
        self.assertIn("PASS NEW C", client.log)
        self.assertTrue(client.kept.endswith(f";{int(WALL) + 3600}"), "not for long")

    def test_limits(self) -> None:
        busy = "421 mx.test Service unavailable - try again later\r\n"
        client = self.deep(postscreen_command_count_limit="2")
        for _ in range(2):
            self.assertEqual(client.say(b"NOOP\r\n"), "250 2.0.0 Ok\r\n")
        self.assertEqual(client.say(b"NOOP\r\n"), busy)
        self.assertIn("COMMAND COUNT LIMIT from C after NOOP", client.log)
        client = self.deep()
        self.assertEqual(client.say(b"x" * 5000), busy)
        self.assertIn("COMMAND LENGTH LIMIT from C after CONNECT", client.log)
        client = self.deep()
        client.screen.late(400.0)
        client.did()
        self.assertIn("COMMAND TIME LIMIT from C after CONNECT", client.log)
        self.assertTrue(client.ended)

    def test_words(self) -> None:
        client = self.deep()
        for line, reply in (
            (b"HELO", "501 Syntax: HELO hostname"),
            (b"RCPT TO:<a>", "503 5.5.1 Error: need MAIL command"),
            (b"MAIL", "501 5.5.4 Syntax: MAIL FROM:<address>"),
            (b"MAIL FROM:<>", "250 2.1.0 Ok"),
            (b"MAIL FROM:<>", "503 5.5.1 Error: nested MAIL command"),
            (b"VRFY", "501 5.5.4 Syntax: VRFY address"),
            (b"VRFY x", "450 4.3.2 Service currently unavailable"),
            (b"STARTTLS", "502 5.5.1 Error: command not implemented"),
            (b"AUTH PLAIN", "502 5.5.2 Error: command not recognized"),
            (b"RSET", "250 2.0.0 Ok"),
            (b"DATA", "503 5.5.1 Error: need RCPT command"),
        ):
            self.assertEqual(client.say(line + b"\r\n"), f"{reply}\r\n", line)
        self.assertTrue(client.ended)

    def test_cut_anywhere(self) -> None:
        """
        However its octets come, the end is the same.
        """
        octets = b"".join((*FULL, b"QUIT\r\n"))
        expected = self.deep(postscreen_pipelining_enable="no")
        expected.say(octets)
        for cut in range(1, len(octets)):
            client = self.deep(postscreen_pipelining_enable="no")
            client.say(octets[:cut])
            client.say(octets[cut:])
            self.assertEqual(client.said, expected.said, cut)
            self.assertEqual(client.log, expected.log, cut)


class ResultTests(SynchronousTestCase):
    def test_nonsense(self) -> None:
        for line in ("", "1;2;3", "a;b;c;d;e", "1;2;3;4;5;6", "-1;0;0;0;0"):
            self.assertIsNone(parse(line), line)

    def test_form(self) -> None:
        stamps = parse("1;2;3;4;5")
        assert stamps is not None
        self.assertEqual(text(stamps), "1;2;3;4;5")
        self.assertEqual(stamps["bare_newline"], 5)


class ProblemTests(SynchronousTestCase):
    def test_all(self) -> None:
        self.assertEqual(problems(Settings.of(**LISTED)), [])
        for name, value in (
            ("postscreen_access_list", "perhaps"),
            ("postscreen_dnsbl_sites", "a.test=1.2"),
            ("postscreen_dnsbl_sites", "a.test*x"),
            ("postscreen_forbidden_commands", "hash:/x"),
        ):
            (problem,) = problems(Settings.of(**{name: value}))
            self.assertTrue(problem.startswith(f"{name}: "), problem)

    def test_ehlo(self) -> None:
        """
        Nothing is offered that would be refused.
        """
        rules = ScreenRules.of(Settings.of(myhostname="mx.test"))
        self.assertEqual(rules.ehlo[0], "mx.test")
        self.assertNotIn("PIPELINING", rules.ehlo)
