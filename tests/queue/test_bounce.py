"""
Tests of L{txmta.queue.bounce}: what is made is read with Python's email.
"""

from __future__ import annotations

from dataclasses import replace
from email import policy
from email.message import EmailMessage, Message
from email.parser import BytesParser
from typing import cast

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txmta.config.settings import Settings
from txmta.model import Action, Client, Envelope, Outcome, Recipient
from txmta.queue.bounce import Report, Site, Stamps, notification, safe, wrap
from txmta.queue.notifier import headers
from txmta.queue.templates import load

SITE = Site("mx.here.test", "here.test", "Postfix")

TEMPLATES = {
    name: replace(t, sender=f"Mail Delivery System <{SITE.daemon}>")
    for name, t in load(Settings.of(myhostname="mx.here.test"), print).items()
}

STAMPS = Stamps(
    "4XYZ.1700000000/mx.here.test",
    b"Tue, 24 Nov 2026 04:00:00 +0000 (UTC)",
    b"Tue, 24 Nov 2026 03:50:52 +0000 (UTC)",
    b"Sun, 29 Nov 2026 03:50:52 +0000 (UTC)",
    "<20261124040000.5ABC@mx.here.test>",
)

ENVELOPE = Envelope(
    "4XYZ",
    1.0,
    "from@away.test",
    (Recipient(0, "to@there.test", "to@there.test"),),
    Client("192.0.2.1", 1000),
)

ORIGINAL = b"Subject: hello\r\nFrom: from@away.test\r\n\r\nWords.\r\n"

REFUSED = Outcome(
    0,
    Action.FAILED,
    "5.1.1",
    "host mx.there.test[192.0.2.9] said: 550 5.1.1 no such user (in reply to RCPT TO "
    "command)",
    "mx.there.test[192.0.2.9]:25",
    "mx.there.test",
    "smtp; 550 5.1.1 no such user",
)


def make(
    envelope: Envelope = ENVELOPE,
    outcome: Outcome = REFUSED,
    original: bytes | None = ORIGINAL,
    full: bool = True,
    copy: bool = False,
    kind: str = "failure",
    thread: str = "",
) -> bytes:
    failed = [(r, replace(outcome, n=r.n)) for r in envelope.recipients]
    to = envelope.sender or "postmaster@here.test"
    report = Report(TEMPLATES[kind], to, envelope, failed, original, full, copy, thread)
    return notification(report, SITE, STAMPS)


def parse(octets: bytes) -> EmailMessage:
    return BytesParser(policy=policy.default).parsebytes(octets)


def parts(octets: bytes) -> list[Message]:
    return cast(list[Message], list(parse(octets).iter_parts()))


def groups(octets: bytes) -> list[list[tuple[str, str]]]:
    """
    @return: the fields of the delivery status, one list for the message and
        one for each recipient.
    """
    status = parts(octets)[1]
    return [
        [(name, str(value)) for name, value in group.items()]
        for group in cast(list[Message], status.get_payload())
    ]


def to(*recipients: Recipient) -> Envelope:
    return replace(ENVELOPE, recipients=recipients)


class FormTests(SynchronousTestCase):
    def test_header(self) -> None:
        """
        The header is that of an automatic reply by the mail system.
        """
        message = parse(make())
        self.assertEqual(message.defects, [])
        self.assertEqual(
            message["From"], "Mail Delivery System <MAILER-DAEMON@here.test>"
        )
        self.assertEqual(message["To"], "from@away.test")
        self.assertEqual(message["Subject"], "Undelivered Mail Returned to Sender")
        self.assertEqual(message["Auto-Submitted"], "auto-replied")
        self.assertEqual(message["MIME-Version"], "1.0")
        self.assertEqual(message["Message-Id"], STAMPS.message_id)
        self.assertEqual(
            message["Date"].datetime.isoformat(), "2026-11-24T04:00:00+00:00"
        )
        for name in message:
            self.assertEqual(len(message.get_all(name, [])), 1, name)

    def test_structure(self) -> None:
        """
        A multipart/report of delivery-status: words, status, original.
        """
        message = parse(make())
        self.assertEqual(message.get_content_type(), "multipart/report")
        self.assertEqual(message.get_param("report-type"), "delivery-status")
        self.assertEqual(
            [p.get_content_type() for p in parts(make())],
            ["text/plain", "message/delivery-status", "message/rfc822"],
        )
        self.assertEqual(
            [p["Content-Description"] for p in parts(make())],
            ["Notification", "Delivery report", "Undelivered Message"],
        )

    def test_lines(self) -> None:
        """
        Every line ends with CRLF, and none is too long.
        """
        octets = make(outcome=replace(REFUSED, reason="word " * 500))
        self.assertTrue(octets.endswith(b"--\r\n"))
        for line in octets.split(b"\r\n"):
            self.assertNotIn(b"\n", line)
            self.assertNotIn(b"\r", line)
            self.assertLessEqual(len(line), 100)

    def test_words(self) -> None:
        """
        The reader learns who speaks, which recipient failed, and why.
        """
        text = cast(str, parts(make())[0].get_payload())
        self.assertIn("This is the mail system at host mx.here.test.", text)
        said = " ".join(text.split())
        self.assertIn(f"<to@there.test>: {REFUSED.reason}", said)

    def test_expanded(self) -> None:
        """
        An alias is named by what the sender wrote.
        """
        octets = make(to(Recipient(0, "bob@inside.test", "list@here.test")))
        text = " ".join(cast(str, parts(octets)[0].get_payload()).split())
        self.assertIn("<bob@inside.test> (expanded from <list@here.test>):", text)

    def test_postmaster_copy(self) -> None:
        """
        The postmaster's copy says so, and is no reply.
        """
        message = parse(make(replace(ENVELOPE, sender=""), copy=True))
        self.assertEqual(message["Subject"], "Postmaster Copy: Undelivered Mail")
        self.assertEqual(message["Auto-Submitted"], "auto-generated")
        self.assertEqual(message["To"], "postmaster@here.test")


class StatusTests(SynchronousTestCase):
    def test_fields(self) -> None:
        """
        All fields of RFC 3464, in Postfix's order.
        """
        about, one = groups(make())
        self.assertEqual(
            about,
            [
                ("Reporting-MTA", "dns; mx.here.test"),
                ("X-Postfix-Queue-ID", "4XYZ"),
                ("X-Postfix-Sender", "rfc822; from@away.test"),
                ("Arrival-Date", STAMPS.arrival.decode()),
            ],
        )
        self.assertEqual(
            one,
            [
                ("Final-Recipient", "rfc822; to@there.test"),
                ("Original-Recipient", "rfc822;to@there.test"),
                ("Action", "failed"),
                ("Status", "5.1.1"),
                ("Remote-MTA", "dns; mx.there.test"),
                ("Diagnostic-Code", "smtp; 550 5.1.1 no such user"),
            ],
        )

    def test_groups(self) -> None:
        """
        Each recipient has a group of fields.
        """
        octets = make(to(*(Recipient(n, f"r{n}@there.test", "") for n in range(3))))
        finals = [dict(g)["Final-Recipient"] for g in groups(octets)[1:]]
        self.assertEqual(finals, [f"rfc822; r{n}@there.test" for n in range(3)])

    def test_original_recipient(self) -> None:
        """
        ORCPT is given back as it came; without it, the address of RCPT.
        """
        octets = make(
            to(
                Recipient(0, "bob@in.test", "list@here.test", "rfc822;LIST@old.test"),
                Recipient(1, "joe@in.test", "list@here.test"),
                Recipient(2, "ann@in.test", ""),
            )
        )
        found = [dict(g).get("Original-Recipient") for g in groups(octets)[1:]]
        self.assertEqual(found, ["rfc822;LIST@old.test", "rfc822;list@here.test", None])

    def test_no_remote(self) -> None:
        """
        What no remote server said names none.
        """
        outcome = Outcome(0, Action.FAILED, "5.1.1", "unknown user: bob", "local")
        one = dict(groups(make(outcome=outcome))[1])
        self.assertNotIn("Remote-MTA", one)
        self.assertEqual(one["Diagnostic-Code"], "X-Postfix; unknown user: bob")

    def test_delayed_status(self) -> None:
        """
        A message that expired failed with the status of its last attempt.
        """
        outcome = Outcome(0, Action.DELAYED, "4.4.1", "connect to there: timed out")
        one = dict(groups(make(outcome=outcome))[1])
        self.assertEqual((one["Action"], one["Status"]), ("failed", "4.4.1"))

    def test_envelope_id(self) -> None:
        """
        ENVID is given back.
        """
        about = dict(groups(make(replace(ENVELOPE, envid="QQ314159")))[0])
        self.assertEqual(about["Original-Envelope-Id"], "QQ314159")

    def test_utf8(self) -> None:
        """
        A report about SMTPUTF8 mail has the types of RFC 6533.
        """
        envelope = replace(
            to(Recipient(0, "bøb@there.test", "bøb@there.test")), smtputf8=True
        )
        octets = make(envelope)
        self.assertEqual(
            [p.get_content_type() for p in parts(octets)],
            ["text/plain", "message/global-delivery-status", "message/global"],
        )
        self.assertIn("Final-Recipient: utf-8; bøb@there.test\r\n".encode(), octets)

    def test_null_sender(self) -> None:
        """
        A double bounce names the sender as Postfix does.
        """
        about = dict(groups(make(replace(ENVELOPE, sender=""), copy=True))[0])
        self.assertEqual(about["X-Postfix-Sender"], "rfc822; MAILER-DAEMON@here.test")


class OriginalTests(SynchronousTestCase):
    def test_whole(self) -> None:
        """
        The original is returned octet for octet, after its Return-Path.
        """
        octets = make()
        self.assertIn(b"\r\n\r\nReturn-Path: <from@away.test>\r\n" + ORIGINAL, octets)

    def test_not_parsed(self) -> None:
        """
        Octets that are no mail at all change nothing but themselves.
        """
        strange = bytes(range(256)) * 3
        octets = make(original=strange)
        self.assertIn(strange, octets)
        self.assertEqual(len(groups(octets)), 2)

    def test_headers_only(self) -> None:
        """
        Headers are returned as text/rfc822-headers.
        """
        octets = make(original=headers(ORIGINAL), full=False)
        part = parts(octets)[2]
        self.assertEqual(part.get_content_type(), "text/rfc822-headers")
        self.assertEqual(part["Content-Description"], "Undelivered Message Headers")
        self.assertIn("Subject: hello", cast(str, part.get_payload()))
        self.assertNotIn(b"Words.", octets)

    def test_unreadable(self) -> None:
        """
        Without the original the rest is told, and that it is missing.
        """
        octets = make(original=None)
        self.assertEqual(len(parts(octets)), 2)
        self.assertIn(b"could not be read from the queue", octets)

    def test_headers(self) -> None:
        """
        Headers end at the first empty line; cut-off ones at a whole line.
        """
        for octets, head in (
            (ORIGINAL, b"Subject: hello\r\nFrom: from@away.test\r\n"),
            (b"A: b\r\nC: dddd", b"A: b\r\n"),
            (b"\r\nbody\r\n\r\nmore", b""),
            (b"no end", b""),
            (b"", b""),
        ):
            self.assertEqual(headers(octets), head, octets)


hostile = st.text(
    st.sampled_from('\r\n\t\0\x85\u2028\udc80 :;<>@.-ab"\\') | st.characters(),
    min_size=1,
    max_size=200,
)


class InjectionTests(SynchronousTestCase):
    @given(hostile)
    def test_reason(self, text: str) -> None:
        """
        No reply of a remote server adds a line, a field or a part.
        """
        outcome = replace(REFUSED, reason=text, diagnostic=f"smtp; {text}", remote=text)
        octets = make(outcome=outcome)
        expected = [[name for name, _ in group] for group in groups(make())]
        found = [[name for name, _ in group] for group in groups(octets)]
        self.assertEqual(found, expected)
        self.assertEqual(len(parts(octets)), 3)

    @given(hostile)
    def test_addresses(self, text: str) -> None:
        """
        Nor does an address, an ENVID or an ORCPT.
        """
        clean = replace(ENVELOPE, envid="x")
        envelope = replace(
            clean,
            sender=f"{text}@away.test",
            envid=text,
            recipients=(Recipient(0, f"{text}@b", f"{text}@c", f"rfc822;{text}"),),
        )
        octets = make(envelope)
        expected = [[name for name, _ in group] for group in groups(make(clean))]
        found = [[name for name, _ in group] for group in groups(octets)]
        self.assertEqual(found, expected)
        names = octets.partition(b"\r\n\r\n")[0].split(b"\r\n")
        self.assertEqual(len(names), 10)

    def test_controls(self) -> None:
        """
        What is no printable character becomes a question mark.
        """
        self.assertEqual(safe("a\r\nb\0c\x85d\u2028e\udc80"), "a??b?c?d?e?")

    @given(hostile)
    def test_wrap(self, text: str) -> None:
        """
        Wrapping changes spaces only, and a continuation is never a field.
        """
        wrapped = wrap(text)
        first, *others = wrapped.removesuffix("\r\n").split("\r\n")
        self.assertTrue(all(line.startswith("    ") for line in others))
        self.assertEqual(
            "".join([first, *others]).replace(" ", ""), safe(text).replace(" ", "")
        )
