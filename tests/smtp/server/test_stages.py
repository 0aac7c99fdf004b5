"""
Restrictions at each stage of a session, and what access tables do with messages.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.smtp.server.support import FRIEND, Talk, World, world
from txmta.model import Client, Reply
from txmta.smtp.delivery import Deliveries
from txmta.smtp.service import desk
from txmta.smtp.session import Session

_HELO = b"EHLO client.example\r\n"
_MAIL = b"MAIL FROM:<a@b.example>\r\n"
_RCPT = b"RCPT TO:<user@example.org>\r\n"


def talk(w: World) -> Talk:
    t = w.connect()
    t.say(_HELO)
    return t


def send(w: World, *commands: bytes) -> list[bytes]:
    """
    @return: the replies to MAIL, RCPT and what follows.
    """
    t = talk(w)
    return [t.say(each).rstrip() for each in (_MAIL, _RCPT, *commands)]


class AtOnceTests(SynchronousTestCase):
    """
    smtpd_delay_reject = no.
    """

    def test_client(self) -> None:
        """
        554 in place of the greeting, and nothing but QUIT is obeyed then.
        """
        w = world(
            smtpd_delay_reject="no",
            smtpd_client_restrictions="permit_mynetworks, reject",
        )
        t = w.connect()
        refusal = b"<unknown[192.0.2.1]>: Client host rejected: Access denied\r\n"
        self.assertEqual(t.heard(), b"554 5.7.1 " + refusal)
        denied = b"503 5.7.0 Error: access denied for unknown[192.0.2.1]\r\n"
        for command in (_HELO, b"NOOP\r\n", b"XYZZY\r\n"):
            self.assertEqual(t.say(command), denied)
        self.assertEqual(t.say(b"QUIT\r\n"), b"221 2.0.0 Bye\r\n")
        self.assertIn(
            "NOQUEUE: reject: CONNECT from unknown[192.0.2.1]: 554 5.7.1 "
            "<unknown[192.0.2.1]>: Client host rejected: Access denied; proto=SMTP",
            w.sink.lines,
        )
        self.assertEqual(w.connect(FRIEND).heard()[:4], b"220 ")

    def test_helo(self) -> None:
        """
        Who is refused is not greeted, and may try again.
        """
        w = world(
            smtpd_delay_reject="no",
            smtpd_helo_required="yes",
            smtpd_helo_restrictions="reject_invalid_helo_hostname",
        )
        t = w.connect()
        t.heard()
        self.assertEqual(
            t.say(b"EHLO a..b\r\n"),
            b"501 5.5.2 <a..b>: Helo command rejected: Invalid name\r\n",
        )
        self.assertEqual(t.say(_MAIL), b"503 5.5.1 Error: send HELO/EHLO first\r\n")
        self.assertEqual(t.say(b"HELO good.example\r\n"), b"250 mx.example.org\r\n")
        self.assertEqual(t.say(_MAIL), b"250 2.1.0 Ok\r\n")
        (line,) = [each for each in w.sink.lines if "reject:" in each]
        self.assertIn("EHLO from", line)
        self.assertIn("helo=<a..b>", line)

    def test_sender(self) -> None:
        w = world(
            smtpd_delay_reject="no", smtpd_sender_restrictions="reject_non_fqdn_sender"
        )
        t = talk(w)
        self.assertEqual(
            t.say(b"MAIL FROM:<a@b>\r\n"),
            b"504 5.5.2 <a@b>: Sender address rejected: need fully-qualified address"
            b"\r\n",
        )
        self.assertEqual(t.say(_RCPT)[:4], b"503 ")
        self.assertEqual(t.say(_MAIL), b"250 2.1.0 Ok\r\n")

    def test_deferred(self) -> None:
        """
        What defer_if_permit says early counts at RCPT.
        """
        for name in ("client", "helo", "sender"):
            w = world(
                smtpd_delay_reject="no",
                **{f"smtpd_{name}_restrictions": "defer_if_permit"},
            )
            self.assertEqual(send(w)[1][:10], b"450 4.7.0 ", name)

    def test_actions_without_a_message(self) -> None:
        """
        A client that is to be put on hold is not, but is warned of.
        """
        w = world(
            smtpd_delay_reject="no",
            smtpd_client_restrictions="check_client_access static:HOLD",
        )
        send(w, b"DATA\r\n", b".\r\n")
        self.assertFalse(w.cleanup.queued[0].envelope.hold)
        (line,) = [each for each in w.sink.lines if "always skipped" in each]
        self.assertIn("warning: access table static:HOLD: with ", line)


class DelayedTests(SynchronousTestCase):
    def test_at_rcpt(self) -> None:
        for name, refused in (
            ("client", b"<unknown[192.0.2.1]>: Client host rejected"),
            ("helo", b"<client.example>: Helo command rejected"),
            ("sender", b"<a@b.example>: Sender address rejected"),
            ("recipient", b"<user@example.org>: Recipient address rejected"),
        ):
            w = world(**{f"smtpd_{name}_restrictions": "reject"})
            mail, rcpt = send(w)
            self.assertEqual(mail, b"250 2.1.0 Ok")
            self.assertEqual(rcpt, b"554 5.7.1 " + refused + b": Access denied")
            t = w.connect()
            self.assertEqual(t.heard()[:4], b"220 ")
            self.assertEqual(t.say(b"RCPT TO:<postmaster>\r\n")[:4], b"503 ")

    def test_verify(self) -> None:
        """
        VRFY is asked as RCPT is, and logged so.
        """
        w = world(smtpd_client_restrictions="reject")
        reply = talk(w).say(b"VRFY user@example.org\r\n")
        self.assertEqual(reply[:10], b"554 5.7.1 ")
        self.assertIn("reject: VRFY from", w.sink.lines[-1])


class PermitTests(SynchronousTestCase):
    def test_logged(self) -> None:
        """
        smtpd_log_access_permit_actions, word for word.
        """
        w = world(
            smtpd_log_access_permit_actions="!permit, static:all",
            smtpd_client_restrictions="check_client_access static:OK",
            smtpd_helo_restrictions="permit",
            smtpd_recipient_restrictions="permit_auth_destination",
        )
        send(w)
        start = "NOQUEUE: permit: RCPT from unknown[192.0.2.1]: action="
        end = (
            "; from=<a@b.example> to=<user@example.org> proto=ESMTP "
            "helo=<client.example>"
        )
        self.assertEqual(
            [each for each in w.sink.lines if ": permit: " in each],
            [
                f"{start}OK for Client host=unknown[192.0.2.1] from static:OK{end}",
                f"{start}permit_auth_destination for Recipient "
                f"address=user@example.org {end}",
            ],
        )

    def test_overruled(self) -> None:
        """
        Who is refused all the same was not permitted.
        """
        w = world(
            smtpd_log_access_permit_actions="static:all",
            smtpd_recipient_restrictions="defer_if_permit, permit",
        )
        send(w)
        self.assertEqual([each for each in w.sink.lines if ": permit: " in each], [])


class EtrnTests(SynchronousTestCase):
    def test_lists(self) -> None:
        """
        Those of clients, of HELO and its own; not those of recipients.
        """
        for name, refused in (
            ("client", "<unknown[192.0.2.1]>: Client host rejected: Access denied"),
            ("etrn", "<a.example>: Etrn command rejected: Access denied"),
            ("recipient", ""),
            ("sender", ""),
        ):
            w = world(**{f"smtpd_{name}_restrictions": "reject"})
            deliveries = Deliveries(desk(w.settings, w.services()))
            session = Session(Client("192.0.2.1", 1), "x")
            reply = deliveries.greeted(session, "ETRN", "a.example")
            if not refused:
                self.assertIsNone(reply)
                continue
            assert isinstance(reply, Reply)
            self.assertEqual((reply.code, reply.text), (554, refused))
            self.assertIn("reject: ETRN from", w.sink.lines[-1])
        w = world(
            smtpd_etrn_restrictions="check_etrn_access inline:{{example = HOLD}}, defer"
        )
        deliveries = Deliveries(desk(w.settings, w.services()))
        reply = deliveries.greeted(session, "ETRN", "a.example")
        assert isinstance(reply, Reply)
        self.assertEqual(reply.code, 450)
        self.assertTrue(any("HOLD is unavailable in" in each for each in w.sink.lines))


class WholeTests(SynchronousTestCase):
    def test_data(self) -> None:
        """
        DATA is refused, and the transaction goes on.
        """
        w = world(smtpd_data_restrictions="reject_multi_recipient_bounce, reject")
        replies = send(w, b"DATA\r\n", b"RSET\r\n")
        self.assertEqual(
            replies[2:],
            [
                b"554 5.7.1 <DATA>: Data command rejected: Access denied",
                b"250 2.0.0 Ok",
            ],
        )
        (line,) = [each for each in w.sink.lines if "reject:" in each]
        self.assertTrue(line.startswith("ID1: reject: DATA from "))
        self.assertIn("to=<user@example.org>", line)
        self.assertEqual(w.cleanup.messages, [])

    def test_chunk(self) -> None:
        """
        So is BDAT: the chunk is not taken for commands.
        """
        w = world(smtpd_data_restrictions="reject")
        replies = send(w, b"BDAT 6 LAST\r\nQUIT\r\n", b"NOOP\r\n")
        self.assertEqual(replies[2][:10], b"554 5.7.1 ")
        self.assertEqual(replies[3], b"250 2.0.0 Ok")

    def test_multi_recipient_bounce(self) -> None:
        w = world(smtpd_data_restrictions="reject_multi_recipient_bounce")
        t = talk(w)
        t.say(b"MAIL FROM:<>\r\n" + _RCPT)
        self.assertEqual(t.say(b"DATA\r\n")[:4], b"354 ")
        t.say(b".\r\nMAIL FROM:<>\r\n" + _RCPT + b"RCPT TO:<other@example.org>\r\n")
        self.assertEqual(t.say(b"DATA\r\n")[:10], b"550 5.5.3 ")

    def test_end(self) -> None:
        """
        The whole message is refused, and forgotten.
        """
        w = world(smtpd_end_of_data_restrictions="reject")
        replies = send(w, b"DATA\r\n", b"x\r\n.\r\n")
        self.assertEqual(
            replies[3],
            b"554 5.7.1 <END-OF-MESSAGE>: End-of-data rejected: Access denied",
        )
        self.assertTrue(w.cleanup.messages[0].aborted)
        self.assertIn("reject: END-OF-MESSAGE from", w.sink.lines[-1])

    def test_end_permits(self) -> None:
        w = world(smtpd_end_of_data_restrictions="permit")
        self.assertEqual(send(w, b"DATA\r\n", b"x\r\n.\r\n")[3][:10], b"250 2.0.0 ")
        self.assertEqual(w.cleanup.queued[0].content, b"x\r\n")


class ActionTests(SynchronousTestCase):
    def sent(self, action: str, at: str = "recipient") -> World:
        table = f"inline:{{{{user@example.org = {action}}}}}"
        w = world(
            **{f"smtpd_{at}_restrictions": f"check_recipient_access {table}"},
        )
        replies = send(w, b"DATA\r\n", b"x\r\n.\r\n")
        self.assertEqual(replies[3], b"250 2.0.0 Ok: queued as ID1")
        return w

    def test_each(self) -> None:
        """
        At RCPT, at DATA and at the end; each is in the log.
        """
        for at in ("recipient", "data", "end_of_data"):
            envelope = self.sent("HOLD", at).cleanup.queued[0].envelope
            self.assertTrue(envelope.hold, at)
            w = self.sent("REDIRECT new@b.example", at)
            (recipient,) = w.cleanup.queued[0].envelope.recipients
            self.assertEqual(recipient.address, "new@b.example")
            self.assertEqual(recipient.original, "user@example.org")
            w = self.sent("BCC copy@b.example", at)
            envelope = w.cleanup.queued[0].envelope
            self.assertEqual(
                [r.address for r in envelope.recipients],
                ["user@example.org", "copy@b.example"],
            )
            w = self.sent("FILTER scan:[127.0.0.1]:10025", at)
            envelope = w.cleanup.queued[0].envelope
            self.assertEqual(envelope.filter, "scan:[127.0.0.1]:10025")

    def test_discard(self) -> None:
        """
        Taken, and nobody gets it.
        """
        for at in ("recipient", "data", "end_of_data"):
            w = self.sent("DISCARD", at)
            self.assertEqual(w.cleanup.queued, [], at)
            (line,) = [each for each in w.sink.lines if ": discard: " in each]
            self.assertIn("address triggers DISCARD action; from=<a@b.example>", line)

    def test_prepend(self) -> None:
        w = self.sent("PREPEND X-Seen: yes")
        envelope = w.cleanup.queued[0].envelope
        self.assertEqual(envelope.prepend, ("X-Seen: yes",))
        w = self.sent("PREPEND X-Seen: yes", "end_of_data")
        self.assertEqual(w.cleanup.queued[0].envelope.prepend, ())
        self.assertTrue(any("must be used before" in each for each in w.sink.lines))

    def test_forgotten(self) -> None:
        """
        What was to be done with one message is not done with the next.
        """
        w = world(
            smtpd_recipient_restrictions="check_recipient_access "
            "inline:{{user@example.org = HOLD}}"
        )
        t = talk(w)
        for recipient in (b"user", b"other"):
            t.say(_MAIL + b"RCPT TO:<" + recipient + b"@example.org>\r\nDATA\r\n")
            t.say(b".\r\n")
        self.assertEqual([m.envelope.hold for m in w.cleanup.queued], [True, False])
