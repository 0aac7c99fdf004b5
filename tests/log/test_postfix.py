"""
The words of the log, against lines that Postfix 3.7 wrote.
"""

from __future__ import annotations

import unicodedata
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txmta import events
from txmta.log.postfix import MAX_LINE, delay, line, safe
from txmta.model import (
    Action,
    Client,
    DeliveryRequest,
    Envelope,
    Outcome,
    Recipient,
)

CLIENT = Client("192.0.2.7", 4711, "mail.example.com")


def _unopened() -> None:
    raise AssertionError("the log reads no content")


def request(recipient: Recipient, a: float = 0.0, b: float = 0.0) -> DeliveryRequest:
    envelope = Envelope("4bXyZ12345zABC", 0.0, "a@b.c", (recipient,), CLIENT)
    return DeliveryRequest(
        "smtp",
        "example.org",
        envelope,
        (recipient,),
        100,
        _unopened,  # type: ignore[arg-type]
        a,
        b,
    )


class LineTests(SynchronousTestCase):
    def test_connect(self) -> None:
        self.assertEqual(
            line(events.Connected("smtpd", CLIENT)),
            "connect from mail.example.com[192.0.2.7]",
        )

    def test_disconnect(self) -> None:
        """
        A verb that was refused at times shows accepted and all; so does the
        total.
        """
        counts = {"ehlo": (1, 1), "mail": (1, 1), "rcpt": (0, 1), "quit": (1, 1)}
        self.assertEqual(
            line(events.Disconnected("smtpd", CLIENT, counts)),
            "disconnect from mail.example.com[192.0.2.7] "
            "ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4",
        )

    def test_trouble(self) -> None:
        self.assertEqual(
            line(events.SessionTrouble("smtpd", "lost connection", "DATA", CLIENT)),
            "lost connection after DATA from mail.example.com[192.0.2.7]",
        )

    def test_reject(self) -> None:
        self.assertEqual(
            line(
                events.Rejected(
                    "smtpd",
                    "",
                    "RCPT",
                    CLIENT,
                    "554 5.7.1 <x@y.z>: Relay access denied",
                    "a@b.c",
                    "x@y.z",
                    "ESMTP",
                    "mail.example.com",
                )
            ),
            "NOQUEUE: reject: RCPT from mail.example.com[192.0.2.7]: 554 5.7.1 "
            "<x@y.z>: Relay access denied; from=<a@b.c> to=<x@y.z> proto=ESMTP "
            "helo=<mail.example.com>",
        )

    def test_reject_before_mail(self) -> None:
        """
        What is not known yet is left out.
        """
        text = line(
            events.Rejected(
                "smtpd", "", "CONNECT", CLIENT, "421 4.7.0 no", None, None, "SMTP", ""
            )
        )
        self.assertEqual(
            text,
            "NOQUEUE: reject: CONNECT from mail.example.com[192.0.2.7]: "
            "421 4.7.0 no; proto=SMTP",
        )

    def test_message(self) -> None:
        """
        The lines of one message, from client to removed.
        """
        got = [
            line(events.ClientKnown("smtpd", "ID", CLIENT)),
            line(events.MessageId("cleanup", "ID", "<1@b.c>")),
            line(events.Activated("qmgr", "ID", "a@b.c", 1234, 2)),
            line(events.Expired("qmgr", "ID", "a@b.c")),
            line(events.Notified("bounce", "ID", "sender non-delivery", "ID2")),
            line(events.Removed("qmgr", "ID")),
        ]
        self.assertEqual(
            got,
            [
                "ID: client=mail.example.com[192.0.2.7]",
                "ID: message-id=<1@b.c>",
                "ID: from=<a@b.c>, size=1234, nrcpt=2 (queue active)",
                "ID: from=<a@b.c>, status=expired, returned to sender",
                "ID: sender non-delivery notification: ID2",
                "ID: removed",
            ],
        )

    def test_sent(self) -> None:
        recipient = Recipient(0, "x@y.z", "x@y.z")
        outcome = Outcome(
            0,
            Action.RELAYED,
            "2.0.0",
            "250 2.0.0 Ok: queued as 1",
            "mx.y.z[192.0.2.9]:25",
            setup=0.02,
            transmission=0.3,
        )
        self.assertEqual(
            line(
                events.Delivery(
                    "smtp",
                    request(recipient, 0.1, 0.01),
                    outcome=outcome,
                    recipient=recipient,
                )
            ),
            "4bXyZ12345zABC: to=<x@y.z>, relay=mx.y.z[192.0.2.9]:25, delay=0.43, "
            "delays=0.1/0.01/0.02/0.3, dsn=2.0.0, "
            "status=sent (250 2.0.0 Ok: queued as 1)",
        )

    def test_alias_and_reuse(self) -> None:
        """
        orig_to when the address changed; conn_use from the second delivery on.
        """
        recipient = Recipient(0, "x@y.z", "list@y.z")
        outcome = Outcome(0, Action.DELAYED, "4.4.1", "down", "none", conn_use=3)
        text = line(events.Delivery("smtp", request(recipient), recipient, outcome))
        self.assertIn("to=<x@y.z>, orig_to=<list@y.z>, relay=none, conn_use=3,", text)
        self.assertIn("dsn=4.4.1, status=deferred (down)", text)

    def test_bounced(self) -> None:
        recipient = Recipient(0, "x@y.z", "x@y.z")
        outcome = Outcome(0, Action.FAILED, "5.1.1", "no", "none", conn_use=1)
        text = line(events.Delivery("smtp", request(recipient), recipient, outcome))
        self.assertNotIn("conn_use", text)
        self.assertIn("delays=0/0/0/0, dsn=5.1.1, status=bounced (no)", text)

    def test_one_after_the_other(self) -> None:
        """
        A line says nothing of the delivery before it, whatever differs.
        """
        recipient = Recipient(0, "x@y.z", "x@y.z")
        like = Outcome(0, Action.RELAYED, "2.0.0", "250 ok", "mx", "", "", 1, 2, 2)
        before = events.Delivery("smtp", request(recipient, 1, 1), recipient, like)
        outcomes = (
            replace(like, setup=3.0),
            replace(like, transmission=3.0),
            replace(like, relay="other"),
            replace(like, conn_use=3),
            replace(like, status="2.1.0"),
            replace(like, reason="250 well"),
            replace(like, action=Action.DELAYED),
        )
        others = [
            events.Delivery("smtp", request(recipient, 1, 1), recipient, outcome)
            for outcome in outcomes
        ]
        others.append(
            events.Delivery("smtp", request(recipient, 2, 1), recipient, like)
        )
        others.append(
            events.Delivery("smtp", request(recipient, 1, 2), recipient, like)
        )
        others.append(replace(before, word="SOFTBOUNCE"))
        texts = set()
        for other in others:
            first = line(before)
            texts.add(line(other))
            self.assertEqual(line(before), first)
        self.assertEqual(len(texts - {line(before)}), len(others))

    def test_quoted(self) -> None:
        """
        Addresses are shown in external form (info_log_address_format).
        """
        text = line(events.Activated("qmgr", "ID", "a b@b.c", 1, 1))
        self.assertIn('from=<"a b"@b.c>', text)


class DelayTests(SynchronousTestCase):
    def test_digits(self) -> None:
        """
        Two significant digits, none finer than a hundredth, as format_tv.
        """
        for seconds, text in (
            (-1.0, "0"),
            (0.0, "0"),
            (0.004, "0"),
            (0.0051, "0.01"),
            (0.0234, "0.02"),
            (0.0949, "0.09"),
            (0.0951, "0.1"),
            (0.43, "0.43"),
            (0.996, "1"),
            (1.24, "1.2"),
            (9.94, "9.9"),
            (9.96, "10"),
            (12.4, "12"),
            (86400.7, "86401"),
        ):
            self.assertEqual(delay(seconds), text, seconds)


class SafeTests(SynchronousTestCase):
    @given(st.text(alphabet=st.characters(), max_size=200))
    def test_one_printable_line(self, text: str) -> None:
        """
        Whatever a client sends, a log entry is one printable line.
        """
        shown = safe(text)
        self.assertEqual(len(shown), len(text))
        for c in shown:
            self.assertNotIn(unicodedata.category(c), ("Cc", "Cs", "Zl", "Zp"), shown)

    def test_octets(self) -> None:
        """
        Octets that are not UTF-8, and the separators that terminals or log
        readers take for line ends.
        """
        hostile = b"a\r\nb\x00\x1b[2J\xff\xc2\x85\xe2\x80\xa8c".decode(
            "utf-8", "surrogateescape"
        )
        self.assertEqual(safe(hostile), "a??b??[2J???c")

    def test_utf8_stays(self) -> None:
        """
        Readable UTF-8 is shown, as Postfix does with smtputf8_enable.
        """
        self.assertEqual(safe("π@例え.jp"), "π@例え.jp")

    def test_bounded(self) -> None:
        self.assertEqual(len(safe("x" * 100000)), MAX_LINE)
