"""
Servers of others as next hops: Debian's Postfix, smtp-sink, aiosmtpd.
"""

from __future__ import annotations

import email
import email.policy
import re
import smtplib
from email.message import EmailMessage
from typing import Any

from tests.interop.running import RunningTestCase, Txmta
from tests.interop.tools import (
    FAMILIES,
    PATIENCE,
    read_maildir,
    without_trace,
)
from tests.support import require, require_root

HEADERS = (
    b"From: a@from.test\r\nTo: b@there.test\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n"
    b"Message-ID: <1@from.test>\r\n"
)
MESSAGE = (
    HEADERS + b"Subject: dots and octets\r\nX-Folded: a\r\n\tb\r\n\r\n"
    b".\r\n..\r\n.x\r\n\r\nFrom here\r\n8 bit \xe9\xff\tx \r\n\r\n"
)

#: Where mail to here.test is kept.
OWN_BOX = """\
mydestination =
virtual_mailbox_domains = here.test
virtual_mailbox_base = $config_directory/mail
virtual_mailbox_maps = static:box/
virtual_uid_maps = static:@UID@
virtual_gid_maps = static:@GID@
virtual_minimum_uid = 1
"""


def send(
    server: Txmta,
    content: bytes = MESSAGE,
    recipients: tuple[str, ...] = ("b@there.test",),
    sender: str = "a@from.test",
) -> None:
    with smtplib.SMTP("127.0.0.1", server.port, timeout=PATIENCE * 3) as client:
        client.sendmail(sender, recipients, content)


class NextHopTests(RunningTestCase):
    def test_aiosmtpd(self) -> None:
        """
        In both families; nothing but a Received field is added.
        """
        for address in FAMILIES:
            hop = self.aiosmtpd(address)
            server = self.relay(hop.port, address)
            send(server)
            (message,) = hop.take()
            self.assertEqual(without_trace(message.content), MESSAGE)
            self.assertEqual(message.content.count(b"Received:"), 1)
            self.assertEqual(message.sender, "a@from.test")
            self.assertEqual(message.recipients, ("b@there.test",))
            server.wait_for_log(
                rf"relay=\S*\[{address}\]:{hop.port}, .* dsn=2\.0\.0, status=sent "
                r"\(250 2\.0\.0 OK\)"
            )

    def test_many_recipients(self) -> None:
        """
        Twenty recipients are one transaction.
        """
        hop = self.aiosmtpd()
        server = self.relay(hop.port)
        recipients = tuple(f"r{n}@there.test" for n in range(20))
        send(server, recipients=recipients)
        (message,) = hop.take()
        self.assertEqual(sorted(message.recipients), sorted(recipients))
        server.wait_for_log("status=sent", 20)
        server.wait_until_idle()

    def test_kept(self) -> None:
        """
        A connection is used again, and the log counts.
        """
        hop = self.aiosmtpd()
        server = self.relay(hop.port)
        for count in range(1, 4):
            send(server)
            server.wait_for_log("status=sent", count)
        used = re.findall(r"conn_use=(\d+)", server.log())
        self.assertEqual(used, ["2", "3"])

    def test_smtputf8(self) -> None:
        """
        RFC 6531: an address beyond ASCII, end to end.
        """
        hop = self.aiosmtpd()
        server = self.relay(hop.port)
        message = EmailMessage(policy=email.policy.SMTPUTF8)
        message["From"] = "jörg@from.test"
        message["To"] = "用户@there.test"
        message["Subject"] = "grüße"
        message.set_content("schön\n", cte="8bit")
        with smtplib.SMTP("127.0.0.1", server.port, timeout=PATIENCE) as client:
            client.send_message(message)
        (got,) = hop.take()
        self.assertEqual(got.sender, "jörg@from.test")
        self.assertEqual(got.recipients, ("用户@there.test",))
        self.assertIn("SMTPUTF8", got.options)
        self.assertIn("Subject: grüße\r\n".encode(), got.content)
        self.assertRegex(got.content, rb"with UTF8SMTP id ")
        server.wait_for_log("to=<用户@there.test>, .* status=sent")

    def test_smtputf8_not_offered(self) -> None:
        """
        RFC 6531 section 3.2: what the next hop cannot take, comes back.
        """
        require("smtp-sink")
        sink = self.sink()
        server = self.relay(sink.port)
        with smtplib.SMTP("127.0.0.1", server.port, timeout=PATIENCE) as client:
            client.ehlo()
            client.mail("", ["SMTPUTF8"])
            client.rcpt("用户@there.test")
            client.data(MESSAGE)
        server.wait_for_log(r"dsn=5\.6\.7, status=bounced \(.*SMTPUTF8")

    def test_alias(self) -> None:
        """
        aliases(5) send mail on to elsewhere, with the sender as it was.
        """
        hop = self.aiosmtpd()
        server = self.txmta(
            f"relayhost = [127.0.0.1]:{hop.port}\n"
            "alias_maps = hash:$config_directory/aliases\n"
        )
        server.write("aliases", "team: x@there.test, y@there.test\n")
        server.start()
        send(server, recipients=("team@here.test",))
        (message,) = hop.take()
        self.assertEqual(sorted(message.recipients), ["x@there.test", "y@there.test"])
        self.assertEqual(message.sender, "a@from.test")
        self.assertEqual(without_trace(message.content), MESSAGE)
        self.assertIn(b"Delivered-To: team@here.test\r\n", message.content)
        server.wait_for_log(
            r"to=<team@here\.test>, relay=local, .*\(forwarded as \w+\)"
        )
        server.wait_for_log(
            r"to=<x@there\.test>, orig_to=<team@here\.test>, .*status=sent"
        )

    def test_smtp_sink(self) -> None:
        """
        Two hundred messages; with pipelining and without; both families.
        """
        require("smtp-sink")
        for address, options in ((FAMILIES[0], ()), (FAMILIES[1], ("-p",))):
            sink = self.sink(address, *options)
            server = self.relay(sink.port, address)
            with smtplib.SMTP("::1", server.port, timeout=PATIENCE) as client:
                for _ in range(100):
                    client.sendmail("a@from.test", ["b@there.test"], MESSAGE)
            server.wait_until_idle()
            sink.wait(100)
            self.assertEqual(sink.count, 100, "a message came twice")

    def test_large(self) -> None:
        """
        5 MB arrive as they were.
        """
        hop = self.aiosmtpd()
        server = self.relay(hop.port)
        lines = (b".%d " % n + b"\xe9" * (n % 990) + b"\r\n" for n in range(10_000))
        content = MESSAGE + b"".join(lines)
        send(server, content)
        (message,) = hop.take()
        self.assertEqual(without_trace(message.content), content)

    def test_memory(self) -> None:
        """
        50 MB, without limits, add less than 8 MB to the process.
        """
        require("smtp-sink")
        sink = self.sink()
        server = self.relay(
            sink.port,
            main_cf="message_size_limit = 0\nmailbox_size_limit = 0\n"
            "virtual_mailbox_limit = 0\n",
        )
        send(server)
        server.wait_until_idle()
        before = server.memory("VmHWM")
        content = MESSAGE + (b"x" * 998 + b"\r\n") * 50_000
        send(server, content)
        server.wait_for_log("status=sent", 2)
        added = server.memory("VmHWM") - before
        self.assertLess(added, 8_000_000)


class BounceTests(RunningTestCase):
    def test_refused_recipient(self) -> None:
        """
        What the next hop refuses comes back to the sender's Maildir, as RFC
        3464 wants it; the other recipient gets the mail.
        """
        hop = self.aiosmtpd(refuses=["nosuch"])
        server = self.txmta(f"relayhost = [127.0.0.1]:{hop.port}\n")
        box = server.maildir("box")
        server.add(OWN_BOX)
        server.start()
        send(
            server,
            recipients=("nosuch@there.test", "b@there.test"),
            sender="me@here.test",
        )
        (message,) = hop.take()
        self.assertEqual(message.recipients, ("b@there.test",))
        (octets,) = read_maildir(box, 1, server.log)
        self.check(email.message_from_bytes(octets))
        server.wait_for_log(r"to=<nosuch@there\.test>, .*dsn=5\.1\.1, status=bounced ")
        server.wait_for_log(r"bounce\[\d+\]: \w+: sender non-delivery notification: ")
        server.wait_until_idle()
        self.assertEqual(len(hop.messages), 1)

    def check(self, bounce: Any) -> None:
        self.assertEqual(bounce["Return-Path"], "<>")
        self.assertEqual(bounce["To"], "me@here.test")
        self.assertEqual(bounce["Auto-Submitted"], "auto-replied")
        self.assertEqual(bounce.get_content_type(), "multipart/report")
        self.assertEqual(bounce.get_param("report-type"), "delivery-status")
        text, status, original = bounce.get_payload()
        self.assertIn("nosuch@there.test", text.get_payload())
        self.assertEqual(status.get_content_type(), "message/delivery-status")
        per_message, recipient = status.get_payload()
        self.assertEqual(per_message["Reporting-MTA"], "dns; mail.here.test")
        self.assertEqual(per_message["X-Postfix-Sender"], "rfc822; me@here.test")
        self.assertEqual(recipient["Final-Recipient"], "rfc822; nosuch@there.test")
        self.assertEqual(recipient["Action"], "failed")
        self.assertEqual(recipient["Status"], "5.1.1")
        self.assertEqual(
            recipient["Diagnostic-Code"], "smtp; 550 5.1.1 no such user here"
        )
        self.assertEqual(original.get_content_type(), "message/rfc822")
        (inner,) = original.get_payload()
        self.assertEqual(inner["Message-ID"], "<1@from.test>")

    def test_refused_null_sender(self) -> None:
        """
        A bounce that cannot be delivered is not bounced.
        """
        hop = self.aiosmtpd(refuses=["nosuch"])
        server = self.relay(hop.port)
        send(server, recipients=("nosuch@there.test",), sender="")
        server.wait_until_idle()
        self.assertNotIn("non-delivery notification", server.log())
        self.assertEqual(hop.messages, [])


class PostfixTests(RunningTestCase):
    def setUp(self) -> None:
        require("postfix", "postcat", "postqueue")
        require_root("starts a Postfix of its own")

    def test_delivered(self) -> None:
        """
        Postfix takes what we send, in both families, and keeps every octet.
        """
        postfix = self.postfix()
        for address in FAMILIES:
            server = self.relay(postfix.port, address)
            send(server, recipients=tuple(f"r{n}@there.test" for n in range(20)))
            server.wait_for_log("status=sent", 20)
        for got in read_maildir(postfix.box, 40, postfix.log):
            self.assertEqual(without_trace(got), MESSAGE.replace(b"\r\n", b"\n"))
        self.assertNotIn("improper command pipelining", postfix.log())

    def test_dsn(self) -> None:
        """
        RFC 3461 section 5.2: what the client asked for is passed on.
        """
        postfix = self.postfix(
            "smtpd_sender_restrictions = check_sender_access static:hold\n"
        )
        server = self.relay(postfix.port)
        with smtplib.SMTP("127.0.0.1", server.port, timeout=PATIENCE) as client:
            client.ehlo()
            client.mail("a@from.test", ["RET=HDRS", "ENVID=QQ+2B314159"])
            client.rcpt(
                "b@elsewhere.test",
                ["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;Bob+2B@elsewhere.test"],
            )
            client.data(MESSAGE)
        (line,) = server.wait_for_log("status=sent")
        queue_id = line.rpartition("queued as ")[2].rstrip(")")
        envelope = postfix.run("postcat", "-eq", queue_id)
        for line in (
            "envelope_id=QQ+314159",
            "dsn_orig_rcpt=rfc822;Bob+@elsewhere.test",
            "notify_flags=10",
            "ret_flags=2",
        ):
            self.assertIn(f"named_attribute: {line}\n", envelope)
