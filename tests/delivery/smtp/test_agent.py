"""
Tests of the smtp agent as a whole: L{txmta.delivery.smtp} and what it drives.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.delivery.doubles import Content
from tests.delivery.smtp.doubles import OWN, REFUSES, Network, server
from txmta.errors import ConfigError, MessageDamaged, StoreUnavailable
from txmta.interfaces import IDeliveryAgent
from txmta.model import Action, DeliveryRequest

ONE, TWO, THREE = "192.0.2.1", "192.0.2.2", "192.0.2.3"
SIX = "2001:db8::1"


class AgentCase(SynchronousTestCase):
    """
    C{example.com} has two mail hosts, C{one} before C{two}.
    """

    def setUp(self) -> None:
        self.network = self.make()

    def make(self, **settings: str) -> Network:
        network = Network(**settings)
        network.names.mx("example.com", (10, "one.test"), (20, "two.test"))
        network.names.host("one.test", ONE)
        network.names.host("two.test", TWO)
        return network

    def seen(self) -> list[tuple[int, str, str, str, str]]:
        """
        The outcomes, without times.
        """
        return [
            (o.n, o.action.value, o.status, o.relay, o.reason)
            for o in self.network.outcomes
        ]

    def deliver(self, nexthop: str = "example.com", *addresses: str) -> None:
        """
        To the end.
        """
        self.successResultOf(self.network.deliver(nexthop, *addresses))


class DeliveryTests(AgentCase):
    """
    Mail that arrives, or not.
    """

    def test_interface(self) -> None:
        verifyObject(IDeliveryAgent, self.network.agent)

    def test_sent(self) -> None:
        """
        To the best host, with what the log and a DSN need to know.
        """
        self.network.servers[ONE] = server()
        self.deliver()
        (outcome,) = self.network.outcomes
        self.assertIs(outcome.action, Action.RELAYED)
        self.assertEqual(outcome.status, "2.0.0")
        self.assertEqual(outcome.reason, "250 2.0.0 Ok: queued as X")
        self.assertEqual(outcome.relay, f"one.test[{ONE}]:25")
        self.assertEqual(outcome.remote, "one.test")
        self.assertEqual(outcome.diagnostic, "smtp; 250 2.0.0 Ok: queued as X")
        self.assertEqual(outcome.conn_use, 1)
        self.assertEqual(self.network.content, [b"Subject: x\r\n\r\nbody\r\n.\r\n"])
        self.assertEqual(self.network.notes, [])

    def test_dsn(self) -> None:
        """
        Whether the host reports success itself.
        """
        offers = (b"250-mail\r\n250 DSN\r\n", b"250-mail\r\n250 SIZE\r\n")
        for greeting, passed in zip(offers, (True, False), strict=True):
            self.network = self.make()
            self.network.servers[ONE] = server(ehlo=greeting)
            self.deliver()
            (outcome,) = self.network.outcomes
            self.assertIs(outcome.dsn_passed, passed)

    def test_times(self) -> None:
        """
        The time until MAIL, and from there to the reply.
        """
        self.network.servers[ONE] = server(greeting=b"", dot=b"")
        done = self.network.deliver("example.com")
        self.network.reactor.advance(3)
        ((connection, _, _),) = self.network.connections
        connection.dataReceived(b"220 mail\r\n")
        self.network.run()
        self.network.reactor.advance(4)
        connection.dataReceived(b"250 ok\r\n")
        self.network.run()
        self.successResultOf(done)
        (outcome,) = self.network.outcomes
        self.assertEqual((outcome.setup, outcome.transmission), (3, 4))

    def test_all_refuse(self) -> None:
        """
        No host answers: deferred, in Postfix's words for the last one; each
        is in the log.
        """
        self.network.servers.update({ONE: REFUSES, TWO: REFUSES})
        self.deliver()
        words = [
            f"connect to {name}.test[{address}]:25: Connection refused"
            for name, address in (("one", ONE), ("two", TWO))
        ]
        self.assertEqual(self.network.notes, words)
        self.assertEqual(self.seen(), [(0, "delayed", "4.4.1", "none", words[1])])

    def test_next_host(self) -> None:
        """
        What is said for now leads to the next host; the log says why.
        """
        for name, bad in {
            "no connection": REFUSES,
            "greeting": server(greeting=b"421 4.3.2 busy\r\n"),
            "greeting 5xx": server(greeting=b"554 5.7.1 no\r\n"),
            "hangs up": server(greeting=None),
            "hangs up at EHLO": server(ehlo=None),
            "garbage": server(greeting=b"999 x\r\n"),
            "endless": server(greeting=b"x" * 40000),
            "MAIL": server(mail=b"451 4.3.0 later\r\n"),
            "RCPT": server(rcpt=b"450 4.2.0 later\r\n"),
            "DATA": server(data=b"451 4.3.0 later\r\n"),
            "dot": server(dot=b"451 4.3.0 later\r\n"),
            "dot lost": server(dot=None),
            "RCPT lost": server(rcpt=None),
            "421": server(rcpt=b"421 4.3.2 bye\r\n"),
        }.items():
            self.setUp()
            self.network.servers.update({ONE: bad, TWO: server()})
            self.deliver()
            (outcome,) = self.network.outcomes
            self.assertEqual(outcome.relay, f"two.test[{TWO}]:25", name)
            self.assertIs(outcome.action, Action.RELAYED, name)
            (note,) = self.network.notes
            self.assertIn(f"one.test[{ONE}]", note, name)
            if bad is not REFUSES:
                self.assertTrue(note.startswith("QID: "), note)

    def test_for_good(self) -> None:
        """
        What is said for good is not asked of another host.
        """
        for name, bad, text, request in (
            ("mail", server(mail=b"550 5.7.1 no\r\n"), "550 5.7.1 no", "MAIL FROM"),
            ("rcpt", server(rcpt=b"550 5.1.1 no\r\n"), "550 5.1.1 no", "RCPT TO"),
            ("data", server(data=b"554 5.5.1 no\r\n"), "554 5.5.1 no", "DATA"),
            ("dot", server(dot=b"550-a\r\n550 b\r\n"), "550-a 550 b", "end of DATA"),
        ):
            self.setUp()
            self.network.servers.update({ONE: bad, TWO: server()})
            self.deliver()
            (outcome,) = self.network.outcomes
            self.assertIs(outcome.action, Action.FAILED, name)
            self.assertEqual(
                outcome.reason,
                f"host one.test[{ONE}] said: {text} (in reply to {request} command)",
            )
            self.assertEqual(outcome.relay, f"one.test[{ONE}]:25")
            self.assertEqual(outcome.remote, "one.test")
            self.assertEqual(outcome.diagnostic, f"smtp; {text}")
            self.assertEqual(self.network.dialled, [(ONE, 25)])

    def test_each_recipient(self) -> None:
        """
        Each recipient has its own fate, and only who is left goes on to the
        next host.
        """
        self.network.servers[ONE] = server(
            rcpt_a=b"550 5.1.1 no\r\n", rcpt_b=b"450 4.2.0 later\r\n"
        )
        self.network.servers[TWO] = server()
        self.deliver("example.com", "a@example.com", "b@example.com", "c@example.com")
        relays = {o.n: (o.action, o.relay[:3]) for o in self.network.outcomes}
        self.assertEqual(
            relays,
            {
                0: (Action.FAILED, "one"),
                1: (Action.RELAYED, "two"),
                2: (Action.RELAYED, "one"),
            },
        )
        self.assertEqual([o.n for o in self.network.outcomes], [0, 2, 1])
        rcpts = [line for line in self.network.lines[TWO] if line[:4] == "RCPT"]
        self.assertEqual(rcpts, ["RCPT TO:<b@example.com>"])

    def test_last_word(self) -> None:
        """
        Deferred by all: the last word of a host counts.
        """
        self.network.servers[ONE] = server(rcpt=b"450 4.2.0 one\r\n")
        self.network.servers[TWO] = server(rcpt=b"450 4.2.1 two\r\n")
        self.deliver()
        reason = (
            f"host two.test[{TWO}] said: 450 4.2.1 two (in reply to RCPT TO command)"
        )
        self.assertEqual(
            self.seen(), [(0, "delayed", "4.2.1", f"two.test[{TWO}]:25", reason)]
        )

    def test_session_limit(self) -> None:
        """
        smtp_mx_session_limit: two sessions; handshakes that fail do not count.
        """
        self.network.names.mx("example.com", *[(n, f"h{n}.test") for n in range(1, 6)])
        for n in range(1, 6):
            self.network.names.host(f"h{n}.test", f"198.51.100.{n}")
            bad = server(greeting=None) if n == 1 else server(rcpt=b"450 x\r\n")
            self.network.servers[f"198.51.100.{n}"] = bad
        self.deliver()
        self.assertEqual(len(self.network.dialled), 3)
        self.assertEqual(self.network.outcomes[0].relay, "h3.test[198.51.100.3]:25")

    def test_address_limit(self) -> None:
        """
        smtp_mx_address_limit: five addresses.
        """
        addresses = [f"198.51.100.{n}" for n in range(1, 9)]
        self.network.names.mx("example.com", (1, "many.test"))
        self.network.names.host("many.test", *addresses)
        self.network.servers.update(dict.fromkeys(addresses, REFUSES))
        self.deliver()
        self.assertEqual(len(self.network.dialled), 5)
        self.network = self.make(smtp_mx_address_limit="0")
        self.network.names.mx("example.com", (1, "many.test"))
        self.network.names.host("many.test", *addresses)
        self.network.servers.update(dict.fromkeys(addresses, REFUSES))
        self.deliver()
        self.assertEqual(len(self.network.dialled), 8)

    def test_silent(self) -> None:
        """
        A server that stops talking is left after the time of its stage.
        """
        self.network = self.make(smtp_mail_timeout="7s")
        silent = server(ehlo=b"250 mail\r\n", mail=b"")
        self.network.servers.update({ONE: silent, TWO: silent})
        done = self.network.deliver("example.com")
        self.network.reactor.advance(7)
        self.network.run()
        self.assertNoResult(done)
        self.network.reactor.advance(7)
        self.network.run()
        self.successResultOf(done)
        reason = f"conversation with two.test[{TWO}] timed out while sending MAIL FROM"
        self.assertEqual(
            self.seen(), [(0, "delayed", "4.4.2", f"two.test[{TWO}]:25", reason)]
        )

    def test_too_big(self) -> None:
        """
        Over the server's limit: returned without trying, or asking others.
        """
        self.network.servers[ONE] = server(ehlo=b"250-one\r\n250 SIZE 9\r\n")
        self.deliver()
        (outcome,) = self.network.outcomes
        self.assertEqual((outcome.action, outcome.status), (Action.FAILED, "5.3.4"))
        self.assertEqual((outcome.remote, outcome.diagnostic), ("", ""))
        self.assertNotIn("MAIL", str(self.network.lines[ONE]))

    def test_smtputf8(self) -> None:
        """
        A message that needs SMTPUTF8 goes to the host that has it; where none
        has, it is returned.
        """
        utf8 = server(ehlo=b"250-two\r\n250-PIPELINING\r\n250 SMTPUTF8\r\n")
        for second, action, status in (
            (utf8, Action.RELAYED, "2.0.0"),
            (server(), Action.FAILED, "5.6.7"),
        ):
            self.setUp()
            self.network.servers.update({ONE: server(), TWO: second})
            done = self.network.deliver(
                "example.com", "\xe9@example.com", smtputf8=True
            )
            self.successResultOf(done)
            (outcome,) = self.network.outcomes
            self.assertEqual((outcome.action, outcome.status), (action, status))
        self.assertNotIn("MAIL", str(self.network.lines))

    def test_smtputf8_not_needed(self) -> None:
        """
        SMTPUTF8 that was asked for and is not needed is no obstacle; a header
        that is not ASCII makes it needed.
        """
        for content, action in (
            (b"Subject: x\r\n\r\n\xc3\xa9\r\n", Action.RELAYED),
            (b"Subject: \xc3\xa9\r\n\r\nx\r\n", Action.FAILED),
            (b"Subject: \xc3\xa9\r\n\r\n" + b"x\r\n" * 30_000, Action.FAILED),
            (
                b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
                b"--b\r\nX: \xc3\xa9\r\n\r\n",
                Action.FAILED,
            ),
        ):
            self.setUp()
            self.network.servers.update({ONE: server(), TWO: server()})
            done = self.network.deliver("example.com", content=content, smtputf8=True)
            self.successResultOf(done)
            self.assertIs(self.network.outcomes[0].action, action)

    def test_eight_bit(self) -> None:
        """
        BODY=8BITMIME where content has 8-bit octets, or the client said so.
        """
        for content, body, parameter in (
            (b"\xff\r\n", "", " BODY=8BITMIME"),
            (b"x\r\n", "8BITMIME", " BODY=8BITMIME"),
            (b"x\r\n", "7BIT", " BODY=7BIT"),
            (b"\xff\r\n", "7BIT", " BODY=8BITMIME"),
            (b"x\r\n", "", ""),
        ):
            self.setUp()
            self.network.servers[ONE] = server()
            self.network.deliver("example.com", content=content, body=body)
            self.assertIn(
                f"MAIL FROM:<me@example.org>{parameter}", self.network.lines[ONE]
            )

    def test_large(self) -> None:
        """
        A large message is sent block by block.
        """
        self.network.servers[ONE] = server()
        content = Content(b"x" * 78 + b"\r\n" + b".y\r\n" * 60000)
        self.successResultOf(self.network.deliver("example.com", content=content))
        self.assertIs(self.network.outcomes[0].action, Action.RELAYED)
        wire = b"x" * 78 + b"\r\n" + b"..y\r\n" * 60000 + b".\r\n"
        self.assertEqual(b"".join(self.network.content), wire)
        self.assertLessEqual(content.largest, 65536)
        self.assertEqual(content.closed, 1)

    def test_long_lines(self) -> None:
        """
        Lines that are broken are told of once, as Postfix does; small content
        and large.
        """
        for lines in (2, 100):
            self.setUp()
            self.network.servers[ONE] = server()
            self.network.deliver("example.com", content=(b"x" * 999 + b"\r\n") * lines)
            self.assertEqual(
                self.network.notes,
                ["QID: breaking line > 998 bytes with <CR><LF>SPACE"],
            )

    @settings(deadline=None, max_examples=60)
    @given(
        st.lists(
            st.dictionaries(
                st.sampled_from(
                    ["greeting", "ehlo", "mail", "rcpt_a", "rcpt", "data", "dot"]
                ),
                st.sampled_from(
                    [
                        None,
                        b"250 ok\r\n",
                        b"354 go\r\n",
                        b"421 bye\r\n",
                        b"450 x\r\n",
                        b"550 x\r\n",
                        b"999 x\r\n",
                        b"x" * 3000,
                        b"250 a\r\n250 b\r\n",
                    ]
                ),
                max_size=3,
            ),
            min_size=2,
            max_size=2,
        )
    )
    def test_total(self, replies: list[dict[str, bytes | None]]) -> None:
        """
        Whatever servers do, each recipient has one outcome, mail is sent at
        most once, and nothing is left behind.
        """
        self.network = self.make()
        self.network.servers[ONE] = server(**replies[0])
        self.network.servers[TWO] = server(**replies[1])
        done = self.network.deliver("example.com", "a@example.com", "b@example.com")
        for _ in range(6):
            self.network.reactor.advance(600)
            self.network.run()
        self.successResultOf(done)
        self.assertEqual(sorted(o.n for o in self.network.outcomes), [0, 1])
        for outcome in self.network.outcomes:
            first = {Action.RELAYED: "2", Action.DELAYED: "4", Action.FAILED: "5"}
            self.assertEqual(outcome.status[0], first[outcome.action])
            self.assertTrue(outcome.reason.isprintable() and outcome.reason)
        self.assertEqual(self.network.reactor.getDelayedCalls(), [])
        self.assertEqual(len(self.network.agent.kept), 0)


class StoreTests(AgentCase):
    """
    Trouble of ours: no outcome, but a failure of the agent.
    """

    def deliver_failing(
        self, content: Content | Exception, nexthop: str = "example.com"
    ) -> Deferred[None]:
        def give() -> Content:
            if isinstance(content, Exception):
                raise content
            return content

        from tests.delivery.doubles import request

        made = request("a@example.com", nexthop=nexthop)
        size = 10 if isinstance(content, Exception) else content.size
        made = DeliveryRequest(
            "smtp", nexthop, made.envelope, made.recipients, size, give
        )
        done = self.network.agent.deliver(made, self.network.outcomes.append)
        self.network.run()
        return done

    def test_not_opened(self) -> None:
        """
        Content that cannot be had: no server is bothered.
        """
        for error in (MessageDamaged("QID", "checksum"), StoreUnavailable("disk")):
            done = self.deliver_failing(error)
            self.failureResultOf(done, type(error))
        self.assertEqual((self.network.outcomes, self.network.dialled), ([], []))

    def test_read_fails(self) -> None:
        """
        Content that stops in the middle: the server gets no dot.
        """
        self.network.servers.update({ONE: server(), TWO: server()})
        content = Content(b"x\r\n" * 30000, size=100000)
        self.failureResultOf(self.deliver_failing(content), StoreUnavailable)
        self.assertEqual(self.network.outcomes, [])
        self.assertNotIn(b"\n.\r\n", b"".join(self.network.content))
        self.assertEqual(content.closed, 1)
        self.assertEqual(self.network.dialled, [(ONE, 25)])

    def test_short(self) -> None:
        """
        So does small content that is shorter than its size.
        """
        self.network.servers[ONE] = server()
        content = Content(b"x\r\n", size=100)
        self.failureResultOf(self.deliver_failing(content), StoreUnavailable)
        self.assertNotIn(b".\r\n", b"".join(self.network.content))


class KeptTests(AgentCase):
    """
    Connections that serve for more than one message.
    """

    def setUp(self) -> None:
        super().setUp()
        self.network.servers[ONE] = server()

    def test_reused(self) -> None:
        """
        A second message takes the connection of the first: no lookup, no
        handshake, no RSET; the log says that it was used before.
        """
        self.deliver()
        asked = len(self.network.names.asked)
        self.deliver()
        self.assertEqual(self.network.dialled, [(ONE, 25)])
        self.assertEqual(len(self.network.names.asked), asked)
        self.assertEqual([o.conn_use for o in self.network.outcomes], [1, 2])
        commands = [line[:4] for line in self.network.lines[ONE]]
        self.assertEqual(commands, ["EHLO"] + ["MAIL", "RCPT", "DATA", "."] * 2)

    def test_at_once(self) -> None:
        """
        With a kept connection all commands are written before C{deliver}
        returns.
        """
        self.deliver()
        ((_, wire, _),) = self.network.connections
        run, self.network.run = self.network.run, lambda: None  # type: ignore[method-assign]
        done = self.network.deliver("example.com")
        self.assertTrue(wire.value().startswith(b"MAIL FROM:"))
        self.assertTrue(wire.value().endswith(b"DATA\r\n"))
        self.network.run = run  # type: ignore[method-assign]
        self.network.run()
        self.successResultOf(done)

    def test_same_host(self) -> None:
        """
        Another domain with the same host takes it as well.
        """
        self.network.names.mx("example.net", (10, "one.test"))
        self.deliver()
        self.deliver("example.net")
        self.assertEqual(self.network.dialled, [(ONE, 25)])

    def test_backup_not_preferred(self) -> None:
        """
        A connection to a backup host does not keep mail from the best one.
        """
        self.network.servers.update({ONE: REFUSES, TWO: server()})
        self.deliver()
        self.network.servers[ONE] = server()
        self.deliver()
        relays = [o.relay[:3] for o in self.network.outcomes]
        self.assertEqual(relays, ["two", "one"])

    def test_idle(self) -> None:
        """
        smtp_connection_cache_time_limit: then QUIT.
        """
        self.deliver()
        self.network.reactor.advance(1.9)
        self.assertEqual(len(self.network.agent.kept), 1)
        self.network.reactor.advance(0.1)
        self.network.run()
        self.assertEqual(self.network.lines[ONE][-1], "QUIT")
        self.assertEqual(self.network.reactor.getDelayedCalls(), [])

    def test_gone(self) -> None:
        """
        A server that hangs up on an idle connection is forgotten.
        """
        self.deliver()
        self.network.hang_up(self.network.connections[0][0])
        self.assertEqual(len(self.network.agent.kept), 0)
        self.deliver()
        self.assertEqual([o.conn_use for o in self.network.outcomes], [1, 1])

    def test_died(self) -> None:
        """
        A connection that proves dead when it is used costs nothing: a new
        one is made to the same host.
        """
        for how in (None, b"421 4.4.2 idle too long\r\n"):
            self.setUp()
            self.deliver()
            self.network.servers[ONE] = server(mail=how)
            run, self.network.run = self.network.run, lambda: None  # type: ignore[method-assign]
            done = self.network.deliver("example.com")
            ((connection, wire, address),) = self.network.connections
            wire.told()
            self.network._say(connection, wire, address, how)
            self.network.servers[ONE] = server()
            self.network.run = run  # type: ignore[method-assign]
            self.network.run()
            self.successResultOf(done)
            self.assertEqual(
                [o.action for o in self.network.outcomes], [Action.RELAYED] * 2
            )
            self.assertEqual(self.network.dialled, [(ONE, 25)] * 2)
            self.assertEqual(self.network.notes, [])

    def test_refused_on_kept(self) -> None:
        """
        What a kept connection's server says for now leads to the other host,
        not to the same address again.
        """
        self.deliver()
        self.network.servers[ONE] = server(rcpt=b"450 4.2.0 later\r\n")
        self.network.servers[TWO] = server()
        self.deliver()
        self.assertEqual(self.network.dialled, [(ONE, 25), (TWO, 25)])
        self.assertEqual(self.network.outcomes[1].relay, f"two.test[{TWO}]:25")

    def test_reset(self) -> None:
        """
        RSET only where a transaction was left open.
        """
        self.network.servers[ONE] = server(
            rcpt=b"550 5.1.1 no\r\n", data=b"554 5.5.1 nobody\r\n"
        )
        self.deliver()
        self.network.servers[ONE] = server()
        self.deliver()
        self.assertEqual(
            self.network.lines[ONE][4:6], ["RSET", "MAIL FROM:<me@example.org>"]
        )
        self.assertIs(self.network.outcomes[1].action, Action.RELAYED)

    def test_not_kept(self) -> None:
        """
        smtp_connection_cache_on_demand = no: QUIT at once, but for
        smtp_connection_cache_destinations.
        """
        self.network = self.make(
            smtp_connection_cache_on_demand="no",
            smtp_connection_cache_destinations="one.test",
        )
        self.network.servers[ONE] = server()
        self.deliver()
        self.assertEqual(self.network.lines[ONE][-1], "QUIT")
        for nexthop in ("[one.test]", "[one.test]:25"):
            self.deliver(nexthop)
            self.assertEqual(self.network.lines[ONE][-1], ".")

    def test_limits(self) -> None:
        """
        smtp_connection_reuse_count_limit and smtp_connection_reuse_time_limit
        """
        self.network = self.make(smtp_connection_reuse_count_limit="2")
        self.network.servers[ONE] = server()
        for _ in range(3):
            self.deliver()
        self.assertEqual([o.conn_use for o in self.network.outcomes], [1, 2, 1])
        self.network = self.make(smtp_connection_reuse_time_limit="3s")
        self.network.servers[ONE] = server()
        for _ in range(4):
            self.deliver()
            self.network.reactor.advance(1.5)
            self.network.run()
        self.assertEqual([o.conn_use for o in self.network.outcomes], [1, 2, 3, 1])

    def test_stop(self) -> None:
        """
        At shutdown idle connections end; a delivery in hand goes on.
        """
        self.deliver()
        self.network.servers[ONE] = server(dot=b"")
        first = self.network.deliver("example.com")
        second = self.network.deliver("example.com")
        self.network.agent.stop()
        self.network.run()
        for connection, _, _ in list(self.network.connections):
            connection.dataReceived(b"250 2.0.0 ok\r\n")
        self.network.run()
        self.successResultOf(first)
        self.successResultOf(second)
        self.assertEqual(len(self.network.agent.kept), 0)
        self.assertEqual(self.network.lines[ONE][-1], "QUIT")
        self.assertEqual(self.network.reactor.getDelayedCalls(), [])


class NexthopTests(AgentCase):
    """
    Where mail goes, and what may be wrong with that.
    """

    def test_forms(self) -> None:
        """
        Hosts and addresses in brackets are not looked up for MX records.
        """
        for nexthop, dialled, relay in (
            ("[one.test]", (ONE, 25), f"one.test[{ONE}]:25"),
            ("[one.test]:2525", (ONE, 2525), f"one.test[{ONE}]:2525"),
            ("[one.test]:submission", (ONE, 587), f"one.test[{ONE}]:587"),
            (f"[{ONE}]", (ONE, 25), f"{ONE}[{ONE}]:25"),
            (f"[{ONE}]:2525", (ONE, 2525), f"{ONE}[{ONE}]:2525"),
            (f"[{SIX}]", (SIX, 25), f"{SIX}[{SIX}]:25"),
            (f"[IPv6:{SIX}]:26", (SIX, 26), f"{SIX}[{SIX}]:26"),
            ("one.test", (ONE, 25), f"one.test[{ONE}]:25"),
            ("example.com:2525", (ONE, 2525), f"one.test[{ONE}]:2525"),
            ("example.com.", (ONE, 25), f"one.test[{ONE}]:25"),
        ):
            self.setUp()
            self.network.servers.update({ONE: server(), SIX: server()})
            self.deliver(nexthop)
            self.assertEqual(self.network.dialled, [dialled], nexthop)
            self.assertEqual(self.network.outcomes[0].relay, relay)
            if nexthop.startswith("["):
                self.assertNotIn("MX", [kind for _, kind in self.network.names.asked])

    def test_list(self) -> None:
        """
        A list of next hops: one after the other.
        """
        self.network.servers.update({ONE: REFUSES, TWO: server()})
        self.deliver("[one.test], nowhere.test [two.test]")
        self.assertEqual(self.network.outcomes[0].relay, f"two.test[{TWO}]:25")

    def test_list_uncertain(self) -> None:
        """
        While one of the list may still take it, mail is not returned.
        """
        self.network.servers[ONE] = REFUSES
        self.deliver("[one.test] nowhere.test")
        self.assertEqual(self.seen()[0][1:3], ("delayed", "4.4.1"))

    def test_not_found(self) -> None:
        """
        A domain that does not exist: returned, in Postfix's words.
        """
        self.deliver("nowhere.test")
        reason = (
            "Host or domain name not found. Name service error for"
            " name=nowhere.test type=AAAA: Host not found"
        )
        self.assertEqual(self.seen(), [(0, "failed", "5.4.4", "none", reason)])

    def test_not_known_now(self) -> None:
        """
        A name server that does not answer: deferred.
        """
        self.network.names.records["example.com", "MX"] = "Host not found, try again"
        for later in (False, True):
            self.network.names.later = later
            self.network.outcomes.clear()
            self.deliver()
            reason = (
                "Host or domain name not found. Name service error for"
                " name=example.com type=MX: Host not found, try again"
            )
            self.assertEqual(self.seen(), [(0, "delayed", "4.4.3", "none", reason)])

    def test_null_mx(self) -> None:
        """
        A domain that wants no mail (RFC 7505): Postfix's words and code.
        """
        self.network.names.mx("example.com", (0, ""))
        self.network.names.host("example.com", ONE)
        self.deliver()
        reason = "Domain example.com does not accept mail (nullMX)"
        self.assertEqual(self.seen(), [(0, "failed", "5.1.0", "none", reason)])
        self.assertEqual(self.network.dialled, [])

    def test_loops(self) -> None:
        """
        We are the best host ourselves: returned; behind others: only those
        are tried, even if they do not answer.
        """
        for mine in OWN:
            self.setUp()
            self.network.names.host("one.test", mine)
            self.deliver()
            reason = "mail for example.com loops back to myself"
            self.assertEqual(self.seen(), [(0, "failed", "5.4.6", "none", reason)])
            self.setUp()
            self.network.names.host("two.test", mine)
            self.network.servers[ONE] = REFUSES
            self.deliver()
            self.assertEqual(self.network.dialled, [(ONE, 25)])
            self.assertEqual(self.seen()[0][1:3], ("delayed", "4.4.1"))

    def test_proxy(self) -> None:
        """
        proxy_interfaces are our addresses too.
        """
        self.network = self.make(proxy_interfaces=f"[{ONE}]")
        self.deliver()
        self.assertEqual(self.seen()[0][1:3], ("failed", "5.4.6"))

    def test_other_port(self) -> None:
        """
        At another port we may well send to ourselves: a content filter.
        """
        self.network.servers[OWN[0]] = server()
        self.deliver(f"[{OWN[0]}]:10025")
        self.assertIs(self.network.outcomes[0].action, Action.RELAYED)

    def test_relayhost(self) -> None:
        """
        A mistake in relayhost is no reason to return mail.
        """
        self.network = self.make(relayhost="nowhere.test")
        self.deliver("nowhere.test")
        self.assertEqual(self.seen()[0][1:3], ("delayed", "4.3.5"))
        self.assertEqual(
            self.network.sink.warnings, ["relayhost configuration problem"]
        )

    def test_fallback(self) -> None:
        """
        smtp_fallback_relay takes what has no host, or none that answers; and
        a mistake in it returns no mail.
        """
        for nexthop in ("nowhere.test", "example.com"):
            self.network = self.make(smtp_fallback_relay="[three.test]")
            self.network.names.host("three.test", THREE)
            self.network.servers.update({ONE: REFUSES, TWO: REFUSES, THREE: server()})
            self.deliver(nexthop)
            self.assertEqual(self.network.outcomes[0].relay, f"three.test[{THREE}]:25")
        self.network = self.make(smtp_fallback_relay="missing.test")
        self.deliver("nowhere.test")
        self.assertEqual(self.seen()[0][1:3], ("delayed", "4.3.5"))

    def test_fallback_not_for_mx(self) -> None:
        """
        A backup host must not give mail to a fallback relay: it would come
        back; nor does mail that loops go there.
        """
        for mine, dialled in (("two.test", [(ONE, 25)]), ("one.test", [])):
            self.network = self.make(smtp_fallback_relay="[three.test]")
            self.network.names.host("three.test", THREE)
            self.network.names.host(mine, OWN[0])
            self.network.servers.update({ONE: REFUSES, THREE: server()})
            self.deliver()
            self.assertEqual(self.network.dialled, dialled)

    def test_malformed(self) -> None:
        """
        A next hop that cannot be understood: deferred, and said why.
        """
        for nexthop in ("[one.test", "a:b:c", "[one.test]:nosuch", "[]", "x:0"):
            self.setUp()
            self.deliver(nexthop)
            self.assertEqual(self.seen()[0][1:3], ("delayed", "4.3.5"), nexthop)
            self.assertEqual(len(self.network.sink.warnings), 1)

    def test_settings(self) -> None:
        """
        Settings that cannot be used are found when the agent is made.
        """
        for name, text in (
            ("smtp_tcp_port", "nosuch"),
            ("smtp_bind_address", "2001:db8::1"),
            ("smtp_bind_address6", "example.com"),
        ):
            error = self.assertRaises(ConfigError, self.make, **{name: text})
            self.assertIn(name, str(error))

    def test_source(self) -> None:
        """
        smtp_bind_address; or, where mail comes in at one address only, that.
        """
        for values, source in (
            ({"smtp_bind_address": "192.0.2.98"}, ("192.0.2.98", 0)),
            ({"inet_interfaces": OWN[0]}, (OWN[0], 0)),
            ({}, None),
        ):
            self.network = self.make(**values)
            self.network.servers[ONE] = server()
            self.deliver()
            self.assertEqual(self.network.reactor.tcpClients[0][4], source)
