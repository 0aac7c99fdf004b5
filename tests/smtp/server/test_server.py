"""
The adapter: time, back-pressure, errors, deliveries of others.
"""

from __future__ import annotations

from typing import Any

from twisted.cred.checkers import AllowAnonymousAccess
from twisted.cred.portal import IRealm, Portal
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.mail.smtp import (
    ESMTP,
    IMessage,
    IMessageDelivery,
    IMessageDeliveryFactory,
    SMTPBadRcpt,
    SMTPBadSender,
    SMTPFactory,
    SMTPServerError,
)
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.smtp.server.support import (
    FRIEND,
    HOST,
    STRANGER,
    Taken,
    Talk,
    World,
    world,
)
from txmta.errors import StoreUnavailable
from txmta.model import ClientName, Envelope, Reply, Submission
from txmta.smtp.factory import plain_address
from txmta.smtp.unhurried import MAX_WAITING

HELLO = b"EHLO client.example\r\n"
ENVELOPE = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<user@example.org>\r\n"


def talk(w: World, address: str = STRANGER) -> Talk:
    """
    After EHLO.
    """
    t = w.connect(address)
    t.say(HELLO)
    return t


class TimeTests(SynchronousTestCase):
    def test_idle(self) -> None:
        """
        Each octet buys smtpd_timeout seconds; silence ends in 421.
        """
        w = world(smtpd_timeout="300s")
        t = talk(w)
        w.clock.advance(299)
        self.assertEqual(t.say(b"N"), b"")
        w.clock.advance(299)
        self.assertFalse(t.transport.disconnecting)
        w.clock.advance(1)
        expected = f"421 4.4.2 {HOST} Error: timeout exceeded\r\n"
        self.assertEqual(t.heard(), expected.encode())
        self.assertTrue(t.transport.disconnecting)
        t.hang_up()
        self.assertIn("timeout after EHLO from unknown[192.0.2.1]", w.sink.lines)
        self.assertEqual(w.clock.getDelayedCalls(), [])

    def test_not_while_we_are_slow(self) -> None:
        """
        The time that we need ourselves is not the client's.
        """
        w = world(smtpd_timeout="300s")
        w.addresses.later = []
        t = talk(w)
        t.say(ENVELOPE)
        for _ in range(10):
            w.clock.advance(299)
        self.assertFalse(t.transport.disconnecting)
        (answer,) = w.addresses.later
        answer.callback(w.addresses.route("user@example.org"))
        self.assertEqual(t.heard(), b"250 2.1.5 Ok\r\n")
        w.clock.advance(299)
        self.assertFalse(t.transport.disconnecting)
        w.clock.advance(2)
        self.assertTrue(t.transport.disconnecting)

    def test_drip(self) -> None:
        """
        smtpd_per_request_deadline: an octet now and then buys nothing.
        """
        w = world(smtpd_timeout="100s", smtpd_per_request_deadline="yes")
        t = talk(w)
        for _ in range(9):
            w.clock.advance(10)
            t.say(b"x")
        self.assertFalse(t.transport.disconnecting)
        w.clock.advance(10)
        self.assertIn(b"421 4.4.2", t.heard())

    def test_drip_of_content(self) -> None:
        """
        smtpd_min_data_rate: content buys a second for so many octets, and no
        more time than smtpd_timeout at once.
        """
        w = world(
            smtpd_timeout="100s",
            smtpd_per_request_deadline="yes",
            smtpd_min_data_rate="10",
        )
        t = talk(w)
        t.say(ENVELOPE)
        t.say(b"DATA\r\n")
        for _ in range(50):
            w.clock.advance(10)
            t.say(b"x" * 98 + b"\r\n")
        self.assertFalse(t.transport.disconnecting)
        t.say(b"x" * 100000)
        w.clock.advance(99)
        self.assertFalse(t.transport.disconnecting)
        w.clock.advance(2)
        self.assertIn(b"421 4.4.2", t.heard())

    def test_last_words_unread(self) -> None:
        """
        A peer that does not read does not keep a connection.
        """
        w = world()
        t = talk(w)
        t.say(b"QUIT\r\n")
        self.assertFalse(t.transport.aborted)
        w.clock.advance(6)
        self.assertTrue(t.transport.aborted)

    def test_last_words_sent(self) -> None:
        """
        Where the transport ends at once, nobody has to watch it.
        """
        w = world()
        t = talk(w)
        t.transport.ending = True
        t.say(b"QUIT\r\n")
        self.assertTrue(t.transport.disconnecting)
        self.assertEqual(w.clock.getDelayedCalls(), [])

    def test_replies_unread(self) -> None:
        """
        A peer that does not read is not read either; it has smtpd_timeout
        seconds to change its mind, and is cut off then.
        """
        w = world(smtpd_timeout="300s")
        t = talk(w)
        self.assertIs(t.transport.producer, t.server)
        for _ in range(2):
            t.server.pauseProducing()
            self.assertEqual(t.transport.producerState, "paused")
            t.server.resumeProducing()
            self.assertEqual(t.transport.producerState, "producing")
        t.server.pauseProducing()
        w.clock.advance(299)
        self.assertFalse(t.transport.aborted)
        w.clock.advance(1)
        self.assertTrue(t.transport.aborted)

    def test_talks_on(self) -> None:
        """
        A peer that does not stop to talk after our last words gains no time.
        """
        w = world()
        t = talk(w)
        t.say(b"QUIT\r\n")
        for _ in range(5):
            w.clock.advance(1)
            t.say(b"NOOP\r\n")
        self.assertTrue(t.transport.aborted)

    def test_errors_slow_down(self) -> None:
        """
        smtpd_error_sleep_time passes on the clock, and nothing is done before.
        """
        w = world(smtpd_error_sleep_time="1s", smtpd_soft_error_limit="2")
        t = talk(w)
        self.assertIn(b"500", t.say(b"FOO\r\n"))
        self.assertEqual(t.say(b"FOO\r\nRSET\r\n"), b"")
        w.clock.advance(1)
        self.assertEqual(t.heard(), b"500 5.5.2 Error: command not recognized\r\n")
        w.clock.advance(1)
        self.assertEqual(t.heard(), b"250 2.0.0 Ok\r\n")
        t.hang_up()
        self.assertEqual(w.clock.getDelayedCalls(), [])

    def test_hung_up_asleep(self) -> None:
        w = world(smtpd_error_sleep_time="1s", smtpd_soft_error_limit="1")
        t = talk(w)
        t.say(b"FOO\r\n")
        t.hang_up()
        self.assertEqual(w.clock.getDelayedCalls(), [])


class PressureTests(SynchronousTestCase):
    def test_stop_reading(self) -> None:
        """
        While an answer is outstanding, no more than a bound is taken in.
        """
        w = world(smtpd_junk_command_limit="1000000")
        w.addresses.later = []
        t = talk(w)
        t.say(ENVELOPE)
        self.assertEqual(t.transport.producerState, "producing")
        t.say(b"RSET\r\n" * (MAX_WAITING // 6 + 1))
        self.assertEqual(t.transport.producerState, "paused")
        w.addresses.later[0].callback(w.addresses.route("user@example.org"))
        self.assertEqual(t.transport.producerState, "producing")
        said = t.heard()
        self.assertEqual(said.count(b"250 2.0.0 Ok\r\n"), MAX_WAITING // 6 + 1)

    def test_one_write_for_a_read(self) -> None:
        """
        Replies to a pipelined group go out together.
        """
        w = world()
        t = talk(w)
        writes: list[bytes] = []
        t.transport.write = writes.append  # type: ignore[method-assign]
        t.server.dataReceived(ENVELOPE + b"DATA\r\n")
        self.assertEqual(len(writes), 1)


class NameTests(SynchronousTestCase):
    def test_banner_waits_for_the_name(self) -> None:
        w = world()
        w.names.later = Deferred()
        t = w.connect()
        self.assertEqual(t.heard(), b"")
        w.names.later.callback(ClientName("host.example", "host.example"))
        self.assertEqual(t.heard(), f"220 {HOST} ESMTP Postfix\r\n".encode())
        self.assertEqual(w.sink.lines, ["connect from host.example[192.0.2.1]"])

    def test_why_there_is_none(self) -> None:
        """
        Restrictions tell a client without a name from one whose name cannot be
        found now.
        """
        for status, code in ((4, b"450"), (5, b"554"), (6, b"554")):
            w = world(
                smtpd_recipient_restrictions="reject_unknown_client_hostname",
                unknown_client_reject_code="554",
            )
            w.names.later = Deferred()
            t = w.connect()
            w.names.later.callback(ClientName("unknown", "a.test", status, 2))
            self.assertEqual(t.server.client.reverse_name, "a.test")
            said = t.say(HELLO) + t.say(ENVELOPE)
            self.assertIn(code + b" ", said)

    def test_gone_before_the_name(self) -> None:
        w = world()
        w.names.later = Deferred()
        t = w.connect()
        t.hang_up()
        w.names.later.callback(ClientName("host.example", "host.example"))
        self.assertEqual(
            w.sink.lines,
            [
                "connect from unknown[192.0.2.1]",
                "lost connection after CONNECT from unknown[192.0.2.1]",
                "disconnect from unknown[192.0.2.1] commands=0/0",
            ],
        )
        self.assertEqual(w.factory.connections, set())

    def test_early_talker(self) -> None:
        """
        Who talks before the greeting gets 554 instead.
        """
        w = world()
        w.names.later = Deferred()
        t = w.connect()
        self.assertEqual(t.say(b"EHLO x\r\n"), b"")
        w.names.later.callback(ClientName("unknown", "unknown"))
        said = t.heard()
        self.assertEqual(said, b"554 5.5.0 Error: SMTP protocol synchronization\r\n")
        self.assertIn(
            "improper command pipelining after CONNECT from unknown[192.0.2.1]: "
            "EHLO x\\r\\n",
            w.sink.lines,
        )

    def test_no_lookup(self) -> None:
        w = world(smtpd_peername_lookup="no")
        w.names.later = Deferred()
        self.assertIn(b"220", w.connect(FRIEND).heard())
        self.assertEqual(w.sink.lines, ["connect from unknown[127.0.0.1]"])


class LossTests(SynchronousTestCase):
    def test_in_content(self) -> None:
        """
        A client that goes away in DATA: the message is forgotten, once.
        """
        w = world()
        t = talk(w)
        t.say(ENVELOPE)
        t.say(b"DATA\r\n")
        t.say(b"Subject: x\r\n")
        t.hang_up()
        (message,) = w.cleanup.messages
        self.assertTrue(message.aborted)
        self.assertFalse(message.finished)
        self.assertIn("lost connection after DATA (10 bytes)", "\n".join(w.sink.lines))

    def test_while_asking(self) -> None:
        """
        The question that was open is cancelled, and nobody is told.
        """
        w = world()
        w.addresses.later = []
        t = talk(w)
        t.say(ENVELOPE)
        t.hang_up()
        self.assertTrue(w.addresses.later[0].called)
        self.assertEqual(t.heard(), b"")
        self.assertEqual(w.sink.lines[-1][:10], "disconnect")

    def test_while_committing(self) -> None:
        """
        A complete message is committed even if nobody hears of it.
        """
        w = world()
        answer: Deferred[Reply] = Deferred()
        w.cleanup.answer = lambda: answer
        t = talk(w)
        t.say(ENVELOPE)
        t.say(b"DATA\r\n")
        t.say(b".\r\n")
        t.hang_up()
        (message,) = w.cleanup.messages
        self.assertFalse(message.aborted)
        self.assertFalse(answer.called)
        answer.callback(Reply(250, "2.0.0", "Ok: queued as X"))


class CommitTests(SynchronousTestCase):
    def test_reply_waits_for_the_commit(self) -> None:
        """
        250 is said after the store has said so, and not before.
        """
        w = world()
        answer: Deferred[Reply] = Deferred()
        w.cleanup.answer = lambda: answer
        t = talk(w)
        t.say(ENVELOPE)
        t.say(b"DATA\r\n")
        self.assertEqual(t.say(b"x\r\n.\r\nQUIT\r\n"), b"")
        answer.callback(Reply(250, "2.0.0", "Ok: queued as X"))
        said = t.heard()
        self.assertEqual(said, b"250 2.0.0 Ok: queued as X\r\n221 2.0.0 Bye\r\n")

    def test_refused(self) -> None:
        w = world()
        w.cleanup.answer = lambda: Reply(452, "4.3.1", "Insufficient system storage")
        t = talk(w)
        t.say(ENVELOPE)
        t.say(b"DATA\r\n")
        said = t.say(b"x\r\n.\r\n")
        self.assertEqual(said, b"452 4.3.1 Insufficient system storage\r\n")
        self.assertEqual(t.say(ENVELOPE), b"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n")

    def test_bug_in_cleanup(self) -> None:
        """
        A fault of ours is temporary, is logged, and leaves the session usable.
        """
        w = world()

        def bug() -> Reply:
            raise ZeroDivisionError

        w.cleanup.answer = bug
        t = talk(w)
        t.say(ENVELOPE)
        t.say(b"DATA\r\n")
        self.assertEqual(t.say(b".\r\n"), b"451 4.3.0 Error: internal error\r\n")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(t.say(b"NOOP\r\n"), b"250 2.0.0 Ok\r\n")

    def test_store_unavailable(self) -> None:
        w = world()

        def full() -> Reply:
            raise StoreUnavailable("disk full", 452, "4.3.1")

        w.cleanup.answer = full
        t = talk(w)
        t.say(ENVELOPE)
        t.say(b"DATA\r\n")
        said = t.say(b".\r\n")
        self.assertEqual(said, b"452 4.3.1 Error: queue file write error\r\n")

    def test_cannot_open(self) -> None:
        """
        A queue that cannot begin a message says so at DATA, or after the
        chunk of BDAT, which is no command.
        """
        w = world()

        def full(envelope: Envelope, submission: Submission | None = None) -> Taken:
            raise StoreUnavailable("disk full", 452, "4.3.1")

        w.cleanup.open = full  # type: ignore[method-assign]
        t = talk(w)
        t.say(ENVELOPE)
        expected = b"452 4.3.1 Error: queue file write error\r\n"
        self.assertEqual(t.say(b"DATA\r\n"), expected)
        self.assertEqual(t.say(b"BDAT 6\r\nQUIT\r\n"), expected)
        said = t.say(b"BDAT 6 LAST\r\nQUIT\r\n")
        self.assertEqual(said, b"551 5.0.0 Discarded 6 bytes after earlier error\r\n")
        self.assertEqual(t.say(b"MAIL FROM:<>\r\n"), b"250 2.1.0 Ok\r\n")

    def test_bug_in_abort(self) -> None:
        w = world()
        t = talk(w)
        t.say(ENVELOPE)
        t.say(b"DATA\r\n")
        t.say(b"x")
        w.cleanup.messages[0].aborted = True
        t.hang_up()
        self.assertEqual(len(self.flushLoggedErrors(AssertionError)), 1)
        self.assertIn("disconnect", w.sink.lines[-1])

    def test_bug_in_write(self) -> None:
        """
        The rest of the content is still read as content.
        """
        w = world()
        t = talk(w)
        t.say(ENVELOPE)
        t.say(b"DATA\r\n")
        (message,) = w.cleanup.messages

        def bug(block: bytes) -> None:
            raise ZeroDivisionError

        t.server._exchange._message.chunkReceived = bug  # type: ignore
        self.assertEqual(t.say(b"a\r\nRSET\r\n"), b"")
        self.assertEqual(
            t.say(b"RSET\r\n.\r\n"), b"451 4.3.0 Error: internal error\r\n"
        )
        self.assertTrue(message.aborted)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


@implementer(IMessage)
class Lines:
    def __init__(self, outcome: Any = None) -> None:
        self.lines: list[bytes] = []
        self.ended = self.lost = 0
        self.outcome = outcome

    def lineReceived(self, line: bytes) -> None:
        if isinstance(self.outcome, ZeroDivisionError):
            raise self.outcome
        self.lines.append(line)

    def eomReceived(self) -> Any:
        self.ended += 1
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    def connectionLost(self) -> None:
        self.lost += 1


@implementer(IMessageDelivery, IMessageDeliveryFactory)
class Classic:
    """
    A delivery as anybody may have written it for twisted.mail.
    """

    def __init__(self) -> None:
        self.messages: list[Lines] = []
        self.shared: Lines | None = None
        self.sender: Any = None
        self.rcpt: Any = None
        self.outcome: Any = None
        self.seen: list[Any] = []

    def getMessageDelivery(self) -> Any:
        return self

    def receivedHeader(self, helo: Any, origin: Any, recipients: Any) -> bytes:
        self.seen.append((helo, str(origin), [str(r.dest) for r in recipients]))
        return b"Received: from classic"

    def validateFrom(self, helo: Any, origin: Any) -> Any:
        self.seen.append((helo, origin.local, origin.domain, bytes(origin)))
        if isinstance(self.sender, Exception):
            raise self.sender
        return self.sender if self.sender is not None else origin

    def validateTo(self, user: Any) -> Any:
        self.seen.append((user.dest.local, str(user), user.helo, user.orig.domain))
        if isinstance(self.rcpt, Exception):
            raise self.rcpt
        return self.rcpt if self.rcpt is not None else self.make

    def make(self) -> Lines:
        if self.shared is not None:
            return self.shared
        message = Lines(self.outcome)
        self.messages.append(message)
        return message


class ClassicTests(SynchronousTestCase):
    """
    Deliveries for twisted.mail work as they are.
    """

    def setUp(self) -> None:
        self.world = world()
        self.delivery = Classic()
        self.world.factory._deliveries = self.delivery
        self.talk = talk(self.world)

    def test_classes(self) -> None:
        """
        To the outside we are twisted.mail's classes.
        """
        self.assertIsInstance(self.talk.server, ESMTP)
        self.assertIsInstance(self.world.factory, SMTPFactory)

    def send(self, content: bytes = b"Subject: x\r\n\r\n..\r\nbody\r\n") -> bytes:
        self.assertEqual(
            self.talk.say(ENVELOPE + b"RCPT TO:<other@example.org>\r\n"),
            b"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n250 2.1.5 Ok\r\n",
        )
        self.talk.say(b"DATA\r\n")
        self.talk.say(content[:7])
        return self.talk.say(content[7:] + b".\r\n")

    def test_message_for_each_recipient(self) -> None:
        self.assertEqual(self.send(), b"250 2.0.0 Ok\r\n")
        one, two = self.delivery.messages
        for message in (one, two):
            self.assertEqual(
                message.lines,
                [b"Received: from classic", b"Subject: x", b"", b".", b"body"],
            )
            self.assertEqual((message.ended, message.lost), (1, 0))
        client = (b"client.example", b"192.0.2.1")
        self.assertEqual(
            self.delivery.seen[0], (client, b"a", b"b.example", b"a@b.example")
        )
        self.assertEqual(
            self.delivery.seen[1], (b"user", "user@example.org", client, b"b.example")
        )
        self.assertEqual(
            self.delivery.seen[3],
            (client, "a@b.example", ["user@example.org", "other@example.org"]),
        )

    def test_shared_message(self) -> None:
        """
        An object that two recipients share gets content once.
        """
        self.delivery.shared = Lines()
        self.send()
        self.assertEqual(self.delivery.shared.lines.count(b"Subject: x"), 1)
        self.assertEqual(self.delivery.shared.ended, 1)

    def test_later(self) -> None:
        """
        Every answer may be a Deferred.
        """
        sender: Deferred[Any] = Deferred()
        rcpt: Deferred[Any] = Deferred()
        done: Deferred[Any] = Deferred()
        self.delivery.sender, self.delivery.rcpt = sender, rcpt
        self.delivery.outcome = done
        self.assertEqual(self.talk.say(ENVELOPE + b"DATA\r\n"), b"")
        sender.callback(None)
        self.assertEqual(self.talk.heard(), b"250 2.1.0 Ok\r\n")
        rcpt.callback(self.delivery.make)
        self.assertIn(b"354", self.talk.heard())
        self.assertEqual(self.talk.say(b".\r\n"), b"")
        done.callback(None)
        self.assertEqual(self.talk.heard(), b"250 2.0.0 Ok\r\n")

    def test_refusals(self) -> None:
        """
        The exceptions of twisted.mail are replies, whether text or octets.
        """
        for error, expected in (
            (SMTPBadSender("x", 550, b"go away"), b"550 5.0.0 go away\r\n"),
            (SMTPBadSender("x", 451, "4.7.1 later"), b"451 4.7.1 later\r\n"),
            (
                SMTPServerError(552, "5.3.4 too\r\nmuch"),
                b"552-5.3.4 too\r\n552 5.3.4 much\r\n",
            ),
            (SMTPServerError(250, "fine?"), b"451 4.0.0 fine?\r\n"),
            (SMTPServerError(550, "2.1.0 what"), b"550 5.0.0 2.1.0 what\r\n"),
        ):
            self.delivery.sender = error
            self.assertEqual(self.talk.say(b"MAIL FROM:<a@b.example>\r\n"), expected)
        self.delivery.sender = None
        self.delivery.rcpt = SMTPBadRcpt("user@example.org", 550, "5.1.1 who?")
        said = self.talk.say(ENVELOPE)
        self.assertEqual(said, b"250 2.1.0 Ok\r\n550 5.1.1 who?\r\n")
        self.assertIn(
            "NOQUEUE: reject: RCPT from unknown[192.0.2.1]: 550 5.1.1 who?; "
            "from=<a@b.example> to=<user@example.org> proto=ESMTP "
            "helo=<client.example>",
            self.world.sink.lines,
        )

    def test_bugs(self) -> None:
        """
        Any other exception is 451, never 550, and is logged.
        """
        self.delivery.sender = ZeroDivisionError()
        said = self.talk.say(b"MAIL FROM:<a@b.example>\r\n")
        self.assertEqual(said, b"451 4.3.0 Error: internal error\r\n")
        self.delivery.sender = None
        self.delivery.rcpt = AttributeError()
        self.assertIn(b"451 4.3.0", self.talk.say(ENVELOPE))
        self.assertEqual(len(self.flushLoggedErrors()), 2)

    def test_message_refused(self) -> None:
        for outcome, expected in (
            (SMTPServerError(451, "4.3.1 full"), b"451 4.3.1 full\r\n"),
            (SMTPServerError(552, b"too big"), b"552 5.0.0 too big\r\n"),
        ):
            self.delivery.outcome = outcome
            self.assertEqual(self.send(), expected)

    def test_lines_refused(self) -> None:
        """
        A message object that breaks in the middle is told so once.
        """
        self.delivery.outcome = ZeroDivisionError()
        self.assertEqual(self.send(), b"451 4.3.0 Error: internal error\r\n")
        self.flushLoggedErrors(ZeroDivisionError)
        for message in self.delivery.messages:
            self.assertEqual((message.ended, message.lost), (0, 1))

    def test_forgotten(self) -> None:
        self.talk.say(ENVELOPE)
        self.talk.say(b"DATA\r\n")
        self.talk.hang_up()
        (message,) = self.delivery.messages
        self.assertEqual((message.ended, message.lost), (0, 1))

    def test_verify(self) -> None:
        """
        A delivery that cannot verify says neither yes nor no.
        """
        self.assertEqual(self.talk.say(b"VRFY user\r\n"), b"252 2.0.0 user\r\n")

    def test_nothing_there(self) -> None:
        self.talk.server.deliveryFactory = None
        said = self.talk.say(b"MAIL FROM:<>\r\n")
        self.assertEqual(said, b"451 4.3.0 Error: no mail delivery\r\n")


class PortalTests(SynchronousTestCase):
    """
    Without deliveries of its own, a factory asks its portal.
    """

    def connect(self, checkers: list[Any], delivery: Any) -> Talk:
        @implementer(IRealm)
        class Realm:
            def requestAvatar(self, avatar: Any, mind: Any, *interfaces: Any) -> Any:
                return IMessageDelivery, delivery, lambda: None

        w = world()
        w.factory._deliveries = None
        w.factory.portal = Portal(Realm(), checkers)
        return talk(w)

    def test_anonymous(self) -> None:
        delivery = Classic()
        t = self.connect([AllowAnonymousAccess()], delivery)
        self.assertEqual(t.say(ENVELOPE), b"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n")

    def test_not_welcome(self) -> None:
        t = self.connect([], Classic())
        self.assertIn(b"451 4.3.0", t.say(b"MAIL FROM:<>\r\n"))
        self.assertEqual(len(self.flushLoggedErrors()), 1)


class AddressTests(SynchronousTestCase):
    def test_addresses(self) -> None:
        """
        IPv4 in IPv6 is IPv4; a scope is no part of an address.
        """
        for host, expected in (
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("::FFFF:192.0.2.1", "192.0.2.1"),
            ("fe80::1%eth0", "fe80::1"),
            ("2001:db8::1", "2001:db8::1"),
        ):
            self.assertEqual(plain_address(host), expected)

    def test_no_address(self) -> None:
        """
        A UNIX socket is this machine.
        """
        w = world()
        server = w.factory.buildProtocol(object())
        self.assertEqual(server.client.address, "127.0.0.1")
        w.factory.buildProtocol(IPv4Address("TCP", STRANGER, 1))
