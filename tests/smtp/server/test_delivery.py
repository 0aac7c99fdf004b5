"""
Our own delivery: envelope, queue id, refusals.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.smtp.server.support import FRIEND, STRANGER, Talk, World, world
from txmta.errors import TableUnavailable
from txmta.interfaces import ITxmtaDelivery, ITxmtaMessage
from txmta.model import LOCAL_CLIENT, Envelope, Recipient, Reply
from txmta.smtp.delivery import Deliveries
from txmta.smtp.plain import PlainMessage
from txmta.smtp.service import desk
from txmta.smtp.space import FULL, TOO_BIG, Space
from txmta.smtp.taking import Message


def talk(w: World, address: str = STRANGER) -> Talk:
    t = w.connect(address)
    t.say(b"EHLO client.example\r\n")
    return t


class InterfaceTests(SynchronousTestCase):
    def test_provided(self) -> None:
        w = world()
        delivery = Deliveries(desk(w.settings, w.services())).getMessageDelivery()
        verifyObject(ITxmtaDelivery, delivery)
        taken = w.cleanup.open(Envelope("ID", 0, "", (), LOCAL_CLIENT))
        message = Message(taken)
        verifyObject(ITxmtaMessage, message)
        verifyObject(ITxmtaMessage, PlainMessage([], b""))
        message.lineReceived(b"a")
        self.assertEqual(taken.content, b"a\r\n")


class EnvelopeTests(SynchronousTestCase):
    def test_everything_arrives(self) -> None:
        """
        What the client said about a message is in its envelope.
        """
        w = world()
        t = talk(w)
        t.say(
            b"MAIL FROM:<a@b.example> BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=x+20y\r\n"
            b"RCPT TO:<user@example.org> NOTIFY=SUCCESS,FAILURE\r\n"
            b"RCPT TO:<nobody@example.org>\r\n"
            b"RCPT TO:<other> ORCPT=rfc822;o+2Bx@c.example\r\n"
            b"RCPT TO:<user@example.org>\r\n"
        )
        t.say(b"DATA\r\n")
        t.say(b".\r\n")
        (message,) = w.cleanup.messages
        e = message.envelope
        self.assertEqual(
            e.recipients,
            (
                Recipient(0, "user@example.org", "user@example.org", "", 6),
                Recipient(
                    1, "other@mx.example.org", "other", "rfc822;o+x@c.example", 0
                ),
                Recipient(2, "user@example.org", "user@example.org", "", 0),
            ),
        )
        self.assertEqual(
            (e.queue_id, e.arrival, e.sender, e.helo, e.protocol),
            ("ID1", 1_700_000_000.0, "a@b.example", "client.example", "ESMTP"),
        )
        self.assertEqual(
            (e.body, e.smtputf8, e.ret, e.envid, e.local_origin),
            ("8BITMIME", True, "HDRS", "x y", False),
        )
        self.assertEqual(e.client.label, "unknown[192.0.2.1]")

    def test_queue_id_at_the_first_recipient(self) -> None:
        """
        As Postfix: a new one for each transaction, none for nothing.
        """
        w = world()
        t = talk(w)
        t.say(b"MAIL FROM:<>\r\nRCPT TO:<x@else.where>\r\nRSET\r\n")
        self.assertEqual(w.store.ids, 0)
        for _ in range(2):
            t.say(b"MAIL FROM:<>\r\nRCPT TO:<user@example.org>\r\nRSET\r\n")
        known = [line for line in w.sink.lines if "client=" in line]
        self.assertEqual(known, [f"ID{n}: client=unknown[192.0.2.1]" for n in (1, 2)])

    def test_null_sender_stays(self) -> None:
        w = world()
        t = talk(w, FRIEND)
        t.say(b"MAIL FROM:<>\r\nRCPT TO:<user>\r\n")
        t.say(b"DATA\r\n")
        self.assertEqual(w.cleanup.messages[0].envelope.sender, "")

    def test_local_origin(self) -> None:
        """
        local_header_rewrite_clients.
        """
        for clients, address, expected in (
            ("permit_inet_interfaces", FRIEND, True),
            ("permit_inet_interfaces", STRANGER, False),
            ("permit_mynetworks", FRIEND, True),
            ("permit_mynetworks", STRANGER, False),
            ("permit_sasl_authenticated", FRIEND, False),
            ("", FRIEND, False),
        ):
            w = world(local_header_rewrite_clients=clients)
            t = talk(w, address)
            t.say(b"MAIL FROM:<>\r\nRCPT TO:<user>\r\n")
            t.say(b"DATA\r\n")
            envelope = w.cleanup.messages[0].envelope
            self.assertIs(envelope.local_origin, expected, clients)

    def test_local_origin_by_table(self) -> None:
        """
        By the address of the client; a table that cannot say makes it wait.
        """
        table = f"inline:{{{STRANGER}=x}}"
        for clients, address, expected in (
            (table, STRANGER, True),
            (table, FRIEND, False),
            (f"check_address_map {table}", STRANGER, True),
            (f"permit_mynetworks fail:x {table}", FRIEND, True),
            (f"permit_mynetworks {table}", STRANGER, True),
        ):
            w = world(local_header_rewrite_clients=clients)
            t = talk(w, address)
            t.say(b"MAIL FROM:<>\r\nRCPT TO:<user>\r\n")
            t.say(b"DATA\r\n")
            envelope = w.cleanup.messages[0].envelope
            self.assertIs(envelope.local_origin, expected, clients)
        t = talk(world(local_header_rewrite_clients="fail:x"))
        said = t.say(b"MAIL FROM:<>\r\n")
        self.assertEqual(said, b"451 4.3.0 Temporary lookup error\r\n")

    def test_local_origin_by_name(self) -> None:
        w = world(local_header_rewrite_clients="permit_mynetworks")
        w.lists["mynetworks"].items = ("localhost",)
        t = talk(w, FRIEND)
        t.say(b"MAIL FROM:<>\r\nRCPT TO:<user>\r\n")
        t.say(b"DATA\r\n")
        self.assertTrue(w.cleanup.messages[0].envelope.local_origin)

    def test_local_origin_later(self) -> None:
        w = world(local_header_rewrite_clients="permit_mynetworks")
        networks = w.lists["mynetworks"]
        t = talk(w)
        networks.later = True
        self.assertEqual(t.say(b"MAIL FROM:<>\r\n"), b"")
        networks.later = False
        networks.waiting[0].callback(True)
        self.assertEqual(t.heard(), b"250 2.1.0 Ok\r\n")
        t.say(b"RCPT TO:<user>\r\n")
        t.say(b"DATA\r\n")
        self.assertTrue(w.cleanup.messages[0].envelope.local_origin)

    def test_local_origin_unknown(self) -> None:
        """
        A table that cannot be read is no reason to lose mail.
        """
        w = world(local_header_rewrite_clients="permit_mynetworks")
        t = talk(w)
        w.lists["mynetworks"].broken = True
        said = t.say(b"MAIL FROM:<>\r\n")
        self.assertEqual(said, b"451 4.3.0 Temporary lookup error\r\n")


class RefusalTests(SynchronousTestCase):
    def test_store(self) -> None:
        """
        A queue that takes nothing says so at MAIL.
        """
        w = world()
        w.store.full = Reply(451, "4.3.0", "Error: queue file write error")
        t = talk(w)
        said = t.say(b"MAIL FROM:<a@b.example>\r\n")
        self.assertEqual(said, b"451 4.3.0 Error: queue file write error\r\n")
        self.assertIn(
            "NOQUEUE: reject: MAIL from unknown[192.0.2.1]: 451 4.3.0 Error: queue "
            "file write error; from=<a@b.example> proto=ESMTP helo=<client.example>",
            w.sink.lines,
        )

    def test_later(self) -> None:
        """
        A recipient that is judged later is refused or taken all the same.
        """
        w = world()
        w.addresses.later = []
        t = talk(w)
        t.say(b"MAIL FROM:<>\r\nRCPT TO:<user@example.org>\r\nRCPT TO:<x@else>\r\n")
        w.addresses.later[0].callback(w.addresses.route("user@example.org"))
        w.addresses.later[1].errback(TableUnavailable("hash:/x", "gone"))
        self.assertEqual(
            t.heard(),
            b"250 2.1.5 Ok\r\n451 4.3.0 <x@else>: Temporary lookup failure\r\n",
        )

    def test_verify_later(self) -> None:
        w = world()
        w.addresses.later = []
        t = talk(w)
        self.assertEqual(t.say(b"VRFY user@example.org\r\n"), b"")
        w.addresses.later[0].callback(w.addresses.route("user@example.org"))
        self.assertEqual(t.heard(), b"252 2.0.0 user@example.org\r\n")


class PostmasterTests(SynchronousTestCase):
    def test_always_welcome(self) -> None:
        """
        RFC 5321 section 4.5.1: postmaster without domain is taken, even if
        myorigin is not ours.
        """
        w = world()
        w.addresses.classes = {}
        t = talk(w)
        t.say(b"MAIL FROM:<>\r\n")
        self.assertEqual(t.say(b"RCPT TO:<Postmaster>\r\n"), b"250 2.1.5 Ok\r\n")
        said = t.say(b"RCPT TO:<user>\r\n")
        self.assertEqual(said, b"454 4.7.1 <user>: Relay access denied\r\n")
        t.say(b"DATA\r\n")
        (recipient,) = w.cleanup.messages[0].envelope.recipients
        self.assertEqual(recipient.original, "Postmaster")


class SpaceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.free: int | None = 10**9
        self.warnings: list[str] = []

    def space(self, least: int = 0, largest: int = 1000) -> Space:
        return Space((least, largest), lambda: self.free, self.warnings.append)

    def test_largest(self) -> None:
        """
        A declared size over message_size_limit never fits.
        """
        self.assertIs(self.space().refusal(1001), TOO_BIG)
        self.assertIsNone(self.space().refusal(1000))
        self.assertIsNone(self.space(largest=0).refusal(10**8))

    def test_room(self) -> None:
        """
        queue_minfree, one and a half messages, and the message itself; a file
        system that does not answer has no room.
        """
        for free, least, largest, size, expected in (
            (1500, 0, 1000, None, None),
            (1499, 0, 1000, None, FULL),
            (5000, 6000, 1000, None, FULL),
            (6000, 6000, 1000, None, None),
            (5000, 0, 0, 5000, None),
            (5000, 0, 0, 5001, FULL),
            (0, 0, 0, None, None),
            (None, 0, 0, None, FULL),
        ):
            self.free = free
            self.assertIs(self.space(least, largest).refusal(size), expected, free)

    def test_warning(self) -> None:
        """
        Said once, until there is room again.
        """
        space = self.space(2000)
        for self.free in (1999, 1998, 2000, None):
            space.refusal(None)
        self.assertEqual(
            self.warnings,
            [
                f"not enough free space in mail queue: {free} bytes < 2000: "
                "new mail is refused"
                for free in ("1999", "unknown")
            ],
        )

    def test_session(self) -> None:
        """
        MAIL is refused, and the log says why.
        """
        w = world(queue_minfree="20000000", message_size_limit="1000")
        w.store.free = 19999999
        t = talk(w)
        full = b"452 4.3.1 Insufficient system storage\r\n"
        self.assertEqual(t.say(b"MAIL FROM:<a@b.example>\r\n"), full)
        self.assertIn(
            "warning: not enough free space in mail queue: 19999999 bytes < 20000000: "
            "new mail is refused",
            w.sink.lines,
        )
        w.store.free = 20000000
        self.assertEqual(
            t.say(b"MAIL FROM:<a@b.example> SIZE=1001\r\n"),
            b"552 5.3.4 Message size exceeds fixed limit\r\n",
        )
        self.assertEqual(t.say(b"MAIL FROM:<a@b.example>\r\n"), b"250 2.1.0 Ok\r\n")
