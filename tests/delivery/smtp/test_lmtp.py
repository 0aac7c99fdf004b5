"""
Tests of L{txmta.delivery.lmtp}, with the agent that uses it.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.delivery.smtp.doubles import REFUSES, LmtpNetwork, Network, server
from txmta.delivery.lmtp import lmtp_nexthop, split_nexthop
from txmta.errors import ConfigError
from txmta.events import Note, Warn
from txmta.interfaces import IDeliveryAgent
from txmta.model import Action

SPOOL = "/var/spool/mail.test"
DOVECOT = f"{SPOOL}/private/dovecot-lmtp"
UNIX = "unix:private/dovecot-lmtp"
ONE, TWO = "192.0.2.1", "192.0.2.2"

OK = b"250 2.0.0 saved\r\n"
FULL = b"452 4.2.2 full\r\n"
NO = b"550 5.1.1 no\r\n"


class NextHopTests(SynchronousTestCase):
    """
    The forms of a next hop in lmtp(8).
    """

    def test_forms(self) -> None:
        for text, host, port, exact in (
            ("unix:private/x", "private/x", 0, True),
            ("unix:/run/x y,z", "/run/x y,z", 0, True),
            ("inet:mail.test", "mail.test", 24, False),
            ("inet:mail.test:26", "mail.test", 26, False),
            ("inet:[192.0.2.1]:26", "192.0.2.1", 26, True),
            ("inet:[2001:db8::1]", "2001:db8::1", 24, True),
            ("mail.test:lmtp", "mail.test", 24, False),
            ("mail.test", "mail.test", 24, False),
        ):
            found = lmtp_nexthop(text, 24)
            self.assertEqual((found.host, found.port, found.exact), (host, port, exact))

    def test_malformed(self) -> None:
        for text in ("", "unix:", "unix:a\0b", "inet:", "inet:a:b:c", "inet:a:99999"):
            self.assertRaises(ValueError, lmtp_nexthop, text, 24)

    def test_split(self) -> None:
        """
        Several hosts may be named, but only one socket.
        """
        self.assertEqual(split_nexthop("inet:a, inet:b"), ["inet:a", "inet:b"])
        self.assertEqual(split_nexthop("unix:a, b"), ["unix:a, b"])


class AgentCase(SynchronousTestCase):
    """
    An lmtp agent, and a server behind a socket.
    """

    def setUp(self) -> None:
        self.network = self.make()

    def make(self, **settings: str) -> Network:
        return LmtpNetwork(queue_directory=SPOOL, **settings)

    def serve(self, dot: bytes | None = OK, path: str = DOVECOT, **more: bytes) -> None:
        self.network.servers[path] = server(dot=dot, **more)

    def deliver(self, nexthop: str = UNIX, *addresses: str, **envelope: Any) -> None:
        self.successResultOf(self.network.deliver(nexthop, *addresses, **envelope))

    def seen(self) -> list[tuple[int, str, str, str]]:
        outcomes = self.network.outcomes
        return [(o.n, o.action.value, o.status, o.reason) for o in outcomes]


class SocketTests(AgentCase):
    """
    C{lmtp:unix:private/dovecot-lmtp}
    """

    def test_interface(self) -> None:
        verifyObject(IDeliveryAgent, self.network.agent)
        self.assertEqual(self.network.agent.name, "lmtp")

    def test_sent(self) -> None:
        """
        As Postfix logs it: our name, and the path as it was written.
        """
        self.serve()
        self.deliver()
        (outcome,) = self.network.outcomes
        self.assertIs(outcome.action, Action.RELAYED)
        self.assertEqual(outcome.relay, "me.example.org[private/dovecot-lmtp]")
        self.assertEqual((outcome.status, outcome.reason), ("2.0.0", OK.decode()[:-2]))
        self.assertEqual(outcome.remote, "me.example.org")
        self.assertEqual(self.network.lines[DOVECOT][0], "LHLO me.example.org")
        self.assertEqual(self.network.names.asked, [])

    def test_each(self) -> None:
        """
        Each recipient has the server's own word about it.
        """
        self.serve(OK + NO + FULL, rcpt_d=b"550 5.1.1 unknown\r\n")
        self.deliver(UNIX, "a@x.test", "b@x.test", "d@x.test", "c@x.test")
        label = "me.example.org[private/dovecot-lmtp]"
        dot, rcpt = "(in reply to end of DATA command)", "(in reply to RCPT TO command)"
        expected = [
            (2, "failed", "5.1.1", f"host {label} said: 550 5.1.1 unknown {rcpt}"),
            (0, "relayed", "2.0.0", "250 2.0.0 saved"),
            (1, "failed", "5.1.1", f"host {label} said: 550 5.1.1 no {dot}"),
            (3, "delayed", "4.2.2", f"host {label} said: 452 4.2.2 full {dot}"),
        ]
        self.assertEqual(self.seen(), expected)

    def test_reported_when_final(self) -> None:
        """
        A recipient that has its mail is reported at once, not when the last
        one has: a crash in between must not deliver again.
        """
        self.serve(OK)
        self.network.deliver(UNIX, "a@x.test", "b@x.test", "c@x.test")
        self.assertEqual([o.n for o in self.network.outcomes], [0])
        ((connection, _, _),) = self.network.connections
        connection.dataReceived(OK)
        self.assertEqual([o.n for o in self.network.outcomes], [0, 1])
        self.network.hang_up(connection)
        self.assertEqual([o.n for o in self.network.outcomes], [0, 1, 2])
        last = self.network.outcomes[2]
        self.assertEqual((last.action, last.status), (Action.DELAYED, "4.4.2"))
        self.assertIn("message may be sent more than once", last.reason)

    def test_missing(self) -> None:
        """
        Nobody listens: later, and nothing else is tried.
        """
        self.network.servers[DOVECOT] = REFUSES
        self.network.names.host("backup.test", ONE)
        self.deliver()
        (outcome,) = self.network.outcomes
        self.assertEqual((outcome.action, outcome.status), (Action.DELAYED, "4.4.1"))
        words = "connect to me.example.org[private/dovecot-lmtp]: Connection refused"
        self.assertEqual((outcome.reason, outcome.relay), (words, "none"))

    def test_own_name(self) -> None:
        """
        A server on this host has its name: no loop.
        """
        self.serve(lhlo=b"250 me.example.org\r\n")
        self.deliver()
        self.assertEqual(self.network.outcomes[0].status, "2.0.0")

    def test_kept(self) -> None:
        """
        One connection for one message after another.
        """
        self.serve()
        self.deliver()
        self.deliver()
        self.assertEqual(len(self.network.dialled), 1)
        self.assertEqual([o.conn_use for o in self.network.outcomes], [1, 2])
        lines = self.network.lines[DOVECOT]
        self.assertEqual([line for line in lines if line[:4] == "RSET"], [])

    def test_notes(self) -> None:
        """
        It is lmtp that speaks in the log.
        """
        self.deliver("unix:")
        events = [e for e in self.network.sink.events if isinstance(e, Note | Warn)]
        self.assertEqual([e.program for e in events], ["lmtp"])
        self.assertEqual(self.network.outcomes[0].status, "4.3.5")

    def test_needs_smtputf8(self) -> None:
        """
        What needs SMTPUTF8 is not given to a server without it.
        """
        self.serve()
        self.deliver(UNIX, "\xe9@x.test", smtputf8=True)
        (outcome,) = self.network.outcomes
        self.assertEqual((outcome.action, outcome.status), (Action.FAILED, "5.6.7"))
        label = "me.example.org[private/dovecot-lmtp]"
        words = f"SMTPUTF8 is required, but was not offered by host {label}"
        self.assertEqual(outcome.reason, words)


class HostTests(AgentCase):
    """
    C{lmtp:inet:host}
    """

    def test_no_mx(self) -> None:
        """
        The host itself, at port 24, whatever its MX records say.
        """
        self.network.names.mx("mail.test", (10, "other.test"))
        self.network.names.host("mail.test", ONE)
        self.serve(path=ONE)
        self.deliver("inet:mail.test")
        self.assertEqual(self.network.dialled, [(ONE, 24)])
        (outcome,) = self.network.outcomes
        self.assertEqual(outcome.relay, f"mail.test[{ONE}]:24")
        self.assertNotIn(("mail.test", "MX"), self.network.names.asked)

    def test_next_address(self) -> None:
        """
        Who is told "later" after the dot gets another chance elsewhere; who
        has the mail is not given it again.
        """
        self.network.names.host("mail.test", ONE, TWO)
        self.serve(OK + FULL, ONE)
        self.serve(OK, TWO)
        self.deliver("mail.test", "a@x.test", "b@x.test")
        self.assertEqual([o.status for o in self.network.outcomes], ["2.0.0"] * 2)
        rcpts = [line for line in self.network.lines[TWO] if line[:4] == "RCPT"]
        self.assertEqual(rcpts, ["RCPT TO:<b@x.test>"])


class ParametersTests(AgentCase):
    """
    Those of lmtp(8) count, and those of smtp(8) do not.
    """

    def test_names(self) -> None:
        self.network = self.make(
            lmtp_lhlo_name="lm.test",
            smtp_helo_name="sm.test",
            lmtp_discard_lhlo_keywords="pipelining",
            lmtp_tcp_port="2424",
            smtp_tcp_port="2525",
        )
        self.network.names.host("mail.test", ONE)
        self.serve(path=ONE)
        self.deliver("mail.test")
        self.assertEqual(self.network.dialled, [(ONE, 2424)])
        self.assertEqual(self.network.lines[ONE][0], "LHLO lm.test")
        self.assertEqual(self.network.outcomes[0].status, "2.0.0")

    def test_assume_final(self) -> None:
        """
        Without DSN the server is taken for the end of the way, if told so.
        """
        dsn = b"250-mail\r\n250 DSN\r\n"
        for value, offers, action in (
            ("no", b"250 mail\r\n", Action.RELAYED),
            ("yes", b"250 mail\r\n", Action.DELIVERED),
            ("yes", dsn, Action.RELAYED),
        ):
            self.network = self.make(lmtp_assume_final=value)
            self.serve(lhlo=offers)
            self.deliver()
            (outcome,) = self.network.outcomes
            self.assertIs(outcome.action, action)
            self.assertEqual(outcome.dsn_passed, offers == dsn)

    def test_wrong(self) -> None:
        """
        What is wrong is told by the name that stands in main.cf.
        """
        for name, value in (
            ("lmtp_tcp_port", "nonsense"),
            ("lmtp_bind_address", "::1"),
            ("lmtp_bind_address6", "192.0.2.1"),
        ):
            error = self.assertRaises(ConfigError, self.make, **{name: value})
            self.assertIn(f"{name} = {value}: ", str(error))

    def test_fallback(self) -> None:
        self.network = self.make(lmtp_fallback_relay="[192.0.2.2]")
        self.serve(path=TWO)
        self.network.names.host("mail.test", ONE)
        self.network.servers[ONE] = REFUSES
        self.deliver("mail.test")
        self.assertEqual(self.network.dialled, [(ONE, 24), (TWO, 24)])


class DsnTests(AgentCase):
    """
    RFC 3461 by LMTP.
    """

    def test_parameters(self) -> None:
        self.serve(lhlo=b"250-mail\r\n250 DSN\r\n")
        self.deliver(UNIX, "a@x.test", envid="id", ret="HDRS")
        lines = self.network.lines[DOVECOT]
        self.assertEqual(lines[1], "MAIL FROM:<me@example.org> ENVID=id RET=HDRS")
        self.assertEqual(lines[2], "RCPT TO:<a@x.test> ORCPT=rfc822;a@x.test")
        self.assertTrue(self.network.outcomes[0].dsn_passed)
