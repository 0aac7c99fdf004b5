"""
The same messages through Debian's Postfix and through cleanup.
"""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from tests.cleanup.doubles import Kitchen
from tests.interop.postfix_instance import Postfix
from tests.support import require, require_root
from txmta.events import MessageId, Note
from txmta.model import Client

CLIENT = Client("127.0.0.1", 1, "localhost")

#: Each ends in CRLF or is empty, for that is what DATA can carry.
MESSAGES = (
    b"From: a@b.test\r\nTo: c\r\nSubject: x\r\n\r\nbody\r\n",
    b"",
    b"\r\n",
    b"\r\n\r\n\r\n",
    b"\r\nhello\r\n",
    b"Subject: x\r\n",
    b"X:\r\nSubject:\r\n\r\nb\r\n",
    b"Message-Id:\r\nFrom:\r\nDate:\r\nTo:\r\n\r\nb\r\n",
    b"Date: now\r\nFrom: me@x.test\r\nMessage-ID: <a>\r\n\r\n",
    # What is no header
    b"this is no header\r\nSubject: x\r\n\r\nbody\r\n",
    b"Subject: x\r\nthis is no header\r\nTo: x@y.test\r\n\r\nbody\r\n",
    b"X: y\r\na\r\n",
    b"a b: c\r\n\r\nz\r\n",
    b": x\r\nSubject: x\r\n\r\nb\r\n",
    b"S\xc3\xa9: x\r\n\r\nb\r\n",
    b"X-A\x01: y\r\n\r\nz\r\n",
    b" cont\r\nSubject: x\r\n\r\nbody\r\n",
    b"   \r\nTo: a@b.test\r\n\r\nb\r\n",
    b"Subject: x\r\n \r\n\t\r\nTo: a@b.test\r\n\r\nb\r\n",
    b"Subject : x\r\nX-Foo\t: a\r\nFrom : a\r\n\r\n",
    # mbox
    b"From foo@bar Tue Nov 24\r\nSubject: x\r\n\r\nbody\r\n",
    b">From foo@bar Tue Nov 24\r\nSubject: x\r\n\r\nbody\r\n",
    b"From foo@bar Tue\r\nFrom bar\r\nSubject: x\r\n\r\nbody\r\n",
    b"From foo: a\r\n cont\r\nX: y\r\n\r\n",
    b"From : a\r\nX: y\r\n\r\n",
    b"From foo\r\n\r\nbody\r\n",
    b"From foo\r\n",
    b"From \r\n",
    b"From\r\n",
    b">From\r\n",
    b"Subject: x\r\nFrom bar\r\nTo: a@b.test\r\n\r\nbody\r\n",
    # Dropped, noted, resent
    b"Bcc: q@x.test,\r\n r@x.test\r\nbCC : x@x.test\r\n\r\nBcc: z\r\n",
    b"Return-Path: <x>\r\nContent-Length: 5\r\n\r\n",
    b"Message-Id: <1@x>\r\nmessage-id:  <2@x>  \r\nSubject: x\r\n\r\n",
    b"Message-Id:\r\n <1@x> \r\n\r\n",
    b"Message-Id: <1@x>\r\nResent-Message-ID: <r@x>\r\nResent-From: foo\r\n\r\n",
    b"Resent-To: x@y.test\r\n\r\n",
    b"Resent-Reply-To: x@y.test\r\n\r\n",
    b"Resent-Sender: x@y.test\r\n\r\n",
    b"Resent-Bcc: x@y.test\r\n\r\n",
    b"Cc: x@y.test\r\n\r\n",
    b"Bcc: x@y.test\r\n\r\n",
    b"Apparently-To: x@y.test\r\n\r\n",
    b"Sender: a@b.test\r\nReply-To: c\r\n\r\n",
    # Limits
    b"Received: x\r\n" * 48 + b"Subject: x\r\n\r\n",
    b"Received: x\r\n" * 49 + b"Subject: x\r\n\r\n",
    b"X-Long: " + b"a" * 110_000 + b"\r\nSubject: x\r\n\r\nb\r\n",
    # Strays in front of a line end are dropped by Postfix's SMTP server
    b"Subject: a\rb\rc\r\n\r\nb\rc\rd\r\n..\r\n.e\r\n",
    # Addresses
    b"To: foo, bar\r\nFrom: A <b>\r\nCc: group: a, b;\r\n\r\n",
    b'To: "a b"\r\nFrom: "a b" <"c d">\r\nCc: a@b, a@[1.2.3.4]\r\n\r\n',
    b"".join(
        b"%s: foo\r\n" % name
        for name in (
            *(b"From", b"Reply-To", b"Sender", b"To", b"Cc", b"Errors-To"),
            *(b"Return-Receipt-To", b"Disposition-Notification-To", b"Return-Path"),
            *(b"Apparently-To", b"Mail-Followup-To", b"X-To", b"Delivered-To"),
            *(b"Resent-From", b"Resent-Sender", b"Resent-Reply-To"),
            *(b"Resent-To", b"Resent-Cc", b"List-Post"),
        )
    ),
)

HELOS = ("HELO foo", "EHLO [127.0.0.1]", 'EHLO foo bar(x)<y>;"z\\\x01\xe9 a@b')

#: What differs from one run to the next.
_VARIABLE = (
    (re.compile(rb"\d{14}\.\w+@"), b"ID@"),
    (re.compile(rb"( with \w+| ) ?id \w+"), rb"\1 id ID"),
    (re.compile(rb"\w{3}, [ \d]\d \w{3} \d{4} \d\d:\d\d:\d\d \S+ \(\w+\)"), b"DATE"),
)


def constant(content: bytes) -> bytes:
    for pattern, text in _VARIABLE:
        content = pattern.sub(text, content)
    return content


class OracleTests(SynchronousTestCase):
    parameters: dict[str, str] = {}

    def setUp(self) -> None:
        require("postfix", "postconf")
        require_root("starts a Postfix of its own")
        self.postfix = Postfix(self.parameters)
        self.addCleanup(self.postfix.close)
        self.postfix.run("start")

    def compare(
        self, content: bytes, local: bool, helo: str = "EHLO client.test"
    ) -> None:
        reply = self.postfix.send(content, local, helo)
        verb, _, name = helo.partition(" ")
        kitchen = Kitchen(None, **self.parameters)
        ours, our_reply = kitchen.run(
            content,
            local_origin=local,
            client=CLIENT,
            helo=name,
            protocol="ESMTP" if verb == "EHLO" else "SMTP",
        )
        label = f"{content[:60]!r} {local} {helo}"
        if not reply.startswith("250"):
            self.assertEqual(our_reply.encode().decode(), reply, label)
            return
        self.assertEqual(our_reply.code, 250, label)
        theirs = self.postfix.sink.take()
        self.assertEqual(constant(ours), constant(theirs), label)
        queue_id = reply.split()[-1]
        self.postfix.wait(queue_id)
        logged = self.postfix.log(queue_id, "cleanup")
        told = [
            f"message-id={event.message_id}"
            if isinstance(event, MessageId)
            else getattr(event, "text", "").partition(": ")[2]
            for event in kitchen.sink.events
            if isinstance(event, MessageId | Note)
        ]
        self.assertEqual(
            [constant(line.encode()) for line in told],
            [constant(line.encode()) for line in logged],
            label,
        )

    def test_messages(self) -> None:
        """
        What the next hop gets, and the log of cleanup, are the same: for our
        clients and for strangers.
        """
        for content in MESSAGES:
            for local in (True, False):
                self.compare(content, local)

    def test_helo(self) -> None:
        for helo in HELOS:
            self.compare(b"Subject: x\r\n\r\n", False, helo)


class LongHeaderTests(OracleTests):
    """
    header_size_limit cuts at the same octet.
    """

    parameters = {"header_size_limit": "1000"}

    def test_messages(self) -> None:
        for room in (0, 1, 5, 99, 100, 101, 500):
            first = b"X: " + b"x" * (996 - room)
            for more in (b"x" * 90, b"\r\n y", b"\r\n " + b"y" * 3000, b"\r\n y" * 400):
                self.compare(first + more + b"\r\nTo: a@b.test\r\n\r\n", False)
        for size in (975, 980, 3000):
            self.compare(b"From " + b"x" * size + b"\r\nX: y\r\n\r\n", False)


class CharacterTests(OracleTests):
    """
    Characters that are refused or taken out.
    """

    parameters = {
        "message_reject_characters": "\\0\\a",
        "message_strip_characters": "\\1q",
    }

    def test_messages(self) -> None:
        for content in (
            b"X: y\0\r\n\r\n",
            b"X: y\r\n\r\nz\a\r\n",
            b"X: aq\1b\r\nqY: q\r\n\r\nqq\r\nqx\r\n",
            b"X: y\r\nq\r\nz\r\n",
        ):
            self.compare(content, False)


class OtherSettingsTests(OracleTests):
    """
    The same with other settings.
    """

    parameters = {
        "undisclosed_recipients_header": "To: undisclosed-recipients:;",
        "always_add_missing_headers": "yes",
        "remote_header_rewrite_domain": "domain.invalid",
        "message_drop_headers": "subject",
        "hopcount_limit": "10",
        "mail_name": "Other",
    }
