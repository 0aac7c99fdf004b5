"""
L{txmta.cleanup.service}: from envelope and content to a message in the queue.
"""

from __future__ import annotations

import locale
import os
import time
from typing import Any

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.cleanup.doubles import Kitchen, make_envelope
from txmta.cleanup.characters import characters
from txmta.cleanup.dates import mail_date
from txmta.cleanup.internal import internal_head
from txmta.config.settings import Settings
from txmta.errors import StoreUnavailable
from txmta.events import MessageId, Note, Warn
from txmta.interfaces import ICleanup, ICleanupMessage
from txmta.model import LOCAL_CLIENT, Client, Envelope, Login, Recipient, Reply

DATE = b"Tue, 24 Nov 2026 03:50:52 +0000 (UTC)"

#: What a remote client's message gets.
TRACE = (
    b"Received: from client.test (client.test [192.0.2.1])\r\n"
    b"\tby mx.here.test (Postfix) with ESMTP id 4Xyz\r\n"
    b"\tfor <r@y.test>; " + DATE + b"\r\n"
)

#: What a message of a client of ours gets in addition.
MISSING_ID = b"Message-Id: <20261124035052.4Xyz@mx.here.test>\r\n"
MISSING = MISSING_ID + b"Date: " + DATE + b"\r\nFrom: s@x.test\r\n"


def recipients(*addresses: str) -> tuple[Recipient, ...]:
    return tuple(Recipient(n, a, a) for n, a in enumerate(addresses))


class InUTC(SynchronousTestCase):
    zone = "UTC"

    def setUp(self) -> None:
        old = os.environ.get("TZ")
        os.environ["TZ"] = self.zone
        time.tzset()
        mail_date.cache_clear()

        def back() -> None:
            if old is None:
                del os.environ["TZ"]
            else:
                os.environ["TZ"] = old
            time.tzset()
            mail_date.cache_clear()

        self.addCleanup(back)


class ReceivedTests(InUTC):
    """
    The Received: header, letter for letter as Postfix 3.7 writes it.
    """

    def trace(self, **envelope: Any) -> bytes:
        out, _ = Kitchen().run(b"A: b\r\n\r\n", **envelope)
        self.assertTrue(out.endswith(b"A: b\r\n\r\n"))
        return out[: -len(b"A: b\r\n\r\n")]

    def test_ordinary(self) -> None:
        self.assertEqual(self.trace(), TRACE)

    def test_login(self) -> None:
        """
        RFC 3848; who it was is told only if that is wanted, and what they are
        called cannot end the comment.
        """
        for protocol, utf8, word in (
            ("ESMTP", False, b"ESMTPA"),
            ("ESMTP", True, b"UTF8SMTPA"),
            ("SMTP", False, b"SMTP"),
        ):
            got = self.trace(
                login=Login("user", "PLAIN"), protocol=protocol, smtputf8=utf8
            )
            self.assertIn(b"(Postfix) with " + word + b" id 4Xyz", got)
            self.assertNotIn(b"user", got)
        for name, shown in (
            ("user@x.test", b"user@x.test"),
            ("a) (b", b"a? (b)"),
            ("\u00e4\\x", b"??x"),
            ("((a)", b"((a))"),
        ):
            kitchen = Kitchen(smtpd_sasl_authenticated_header="yes")
            out, _ = kitchen.run(b"A: b\r\n\r\n", login=Login(name, "PLAIN"))
            self.assertEqual(
                out.splitlines()[1:3],
                [
                    b"\t(Authenticated sender: " + shown + b")",
                    b"\tby mx.here.test (Postfix) with ESMTPA id 4Xyz",
                ],
            )

    def test_unknown_client(self) -> None:
        self.assertIn(
            b"from client.test (unknown [192.0.2.1])\r\n",
            self.trace(client=Client("192.0.2.1", 1)),
        )

    def test_ipv6(self) -> None:
        client = Client("2001:db8::1", 1, "c.test")
        self.assertIn(b"(c.test [IPv6:2001:db8::1])", self.trace(client=client))

    def test_several_recipients(self) -> None:
        """
        Nobody learns from Received: who else got the message.
        """
        got = self.trace(recipients=recipients("a@x.test", "b@x.test"))
        self.assertEqual(
            got,
            b"Received: from client.test (client.test [192.0.2.1])\r\n"
            b"\tby mx.here.test (Postfix) with ESMTP id 4Xyz;\r\n"
            b"\t" + DATE + b"\r\n",
        )

    def test_duplicates_count_as_several(self) -> None:
        got = self.trace(recipients=recipients("a@x.test", "a@x.test"))
        self.assertNotIn(b"for <", got)

    def test_original_recipient(self) -> None:
        row = (Recipient(0, "secret@x.test", "alias@x.test"),)
        self.assertIn(b"for <alias@x.test>; ", self.trace(recipients=row))

    def test_quoted_recipient(self) -> None:
        got = self.trace(recipients=recipients('a "b@y.test'))
        self.assertIn(b'for <"a \\"b"@y.test>; ', got)

    def test_protocols(self) -> None:
        """
        RFC 3848 and RFC 6531 section 4.3.
        """
        for protocol, utf8, expected in (
            ("SMTP", False, b"SMTP"),
            ("ESMTPSA", False, b"ESMTPSA"),
            ("ESMTP", True, b"UTF8SMTP"),
            ("SMTP", True, b"UTF8SMTP"),
            ("ESMTPS", True, b"UTF8SMTPS"),
        ):
            got = self.trace(protocol=protocol, smtputf8=utf8)
            self.assertIn(b"with " + expected + b" id 4Xyz", got)

    def test_no_injection(self) -> None:
        """
        Whatever the client called itself, and whatever PTR or RCPT said: one
        header field of three lines, with two comments.
        """
        evil = 'a\r\nBcc: x\r\n\r\n\0\x1b[31m\x85\u2028)(;\\"<b>@ c'
        rows = (Recipient(0, "x", f"{evil}@y.test"),)
        for changes in (
            {"helo": evil},
            {"recipients": rows},
            {"client": Client("192.0.2.1", 1, evil)},
        ):
            got = self.trace(**changes).decode()
            self.assertEqual(got.count("\n"), 3, got)
            self.assertEqual(got.count("\r"), 3)
            lines = got.splitlines()
            self.assertEqual([line[0] for line in lines], ["R", "\t", "\t"])
            self.assertNotRegex(got, "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028]")

    def test_helo(self) -> None:
        """
        As Postfix writes it: what has a meaning in headers becomes C{?}.
        """
        got = self.trace(helo='foo bar(x)<y>;"z\\\x01\xe9 a@b')
        self.assertIn("from foo?bar?x??y???z??\xe9?a?b (".encode(), got)
        self.assertIn(b"from [192.0.2.1] (", self.trace(helo="[192.0.2.1]"))

    def test_no_helo(self) -> None:
        self.assertIn(b"from client.test (client.test", self.trace(helo=""))

    def test_names_of_ours(self) -> None:
        kitchen = Kitchen(mail_name="Other", myhostname="h.test")
        out, _ = kitchen.run(b"\r\n")
        self.assertIn(b"\tby h.test (Other) with ESMTP", out)


class ZoneTests(InUTC):
    zone = "America/St_Johns"

    def test_local_time(self) -> None:
        """
        Local time with its offset, and the zone's name, under any locale.
        """
        old = locale.setlocale(locale.LC_TIME)
        self.addCleanup(locale.setlocale, locale.LC_TIME, old)
        for name in ("de_DE.UTF-8", "C.UTF-8"):
            try:
                locale.setlocale(locale.LC_TIME, name)
            except locale.Error:
                continue
        out, _ = Kitchen().run(b"\r\n")
        self.assertIn(b"; Tue, 24 Nov 2026 00:20:52 -0330 (NST)\r\n", out)

    def test_one_digit(self) -> None:
        """
        As Postfix pads it.
        """
        out, _ = Kitchen().run(b"\r\n", arrival=1796200000.0)
        self.assertIn(b"; Wed,  2 Dec 2026 04:56:40 -0330 (NST)", out)


class MissingTests(InUTC):
    """
    Headers for mail of our own clients; nothing is added for others.
    """

    def added(self, content: bytes, **envelope: Any) -> bytes:
        envelope = {"local_origin": True, **envelope}
        out, _ = Kitchen().run(content, **envelope)
        self.assertTrue(out.startswith(TRACE))
        return out.removeprefix(TRACE)

    def test_all(self) -> None:
        """
        After the headers that are there, before the body.
        """
        self.assertEqual(
            self.added(b"Subject: x\r\n\r\nbody\r\n"),
            b"Subject: x\r\n" + MISSING + b"\r\nbody\r\n",
        )

    def test_no_body(self) -> None:
        self.assertEqual(self.added(b"Subject: x\r\n"), b"Subject: x\r\n" + MISSING)
        self.assertEqual(self.added(b""), MISSING)

    def test_no_headers(self) -> None:
        self.assertEqual(self.added(b"\r\nbody\r\n"), MISSING + b"\r\nbody\r\n")
        self.assertEqual(self.added(b"body\r\n"), MISSING + b"\r\nbody\r\n")

    def test_none(self) -> None:
        content = b"from: a@b.test\r\nDATE: x\r\nmessage-ID: y\r\n\r\n"
        self.assertEqual(self.added(content), content)

    def test_empty_ones_are_there(self) -> None:
        content = b"From:\r\nDate:\r\nMessage-Id:\r\n\r\n"
        self.assertEqual(self.added(content), content)

    def test_resent(self) -> None:
        """
        A message that was sent again lacks Resent- headers.
        """
        self.assertEqual(
            self.added(b"Resent-To: a@b.test\r\n\r\n"),
            b"Resent-To: a@b.test\r\nResent-"
            + MISSING.replace(b"\r\nDate", b"\r\nResent-Date").replace(
                b"\r\nFrom", b"\r\nResent-From"
            )
            + b"\r\n",
        )

    def test_null_sender(self) -> None:
        self.assertIn(b"From: MAILER-DAEMON\r\n", self.added(b"\r\n", sender=""))

    def test_quoted_sender(self) -> None:
        got = self.added(b"\r\n", sender="a\r\n b@x.test")
        self.assertIn(b'From: "a\\?? b"@x.test\r\n', got)

    def test_not_for_strangers(self) -> None:
        out, _ = Kitchen().run(b"Subject: x\r\n\r\n")
        self.assertEqual(out, TRACE + b"Subject: x\r\n\r\n")

    def test_always(self) -> None:
        out, _ = Kitchen(always_add_missing_headers="yes").run(b"\r\n")
        self.assertEqual(out, TRACE + MISSING + b"\r\n")

    def test_undisclosed(self) -> None:
        """
        undisclosed_recipients_header, where no recipient is to be seen.
        """
        header = "To: undisclosed-recipients:;"
        kitchen = Kitchen(undisclosed_recipients_header=header)
        for content, added in (
            (b"Subject: x\r\n\r\n", True),
            (b"Bcc: a@b.test\r\n\r\n", True),
            (b"Apparently-To: a@b.test\r\n\r\n", True),
            (b"To: a@b.test\r\n\r\n", False),
            (b"Cc: a@b.test\r\n\r\n", False),
            (b"Resent-Cc: a@b.test\r\n\r\n", False),
        ):
            out, _ = kitchen.run(content, local_origin=True)
            self.assertEqual(out.endswith(header.encode() + b"\r\n\r\n"), added)
            out, _ = kitchen.run(content)
            self.assertNotIn(b"undisclosed", out)


class RewriteTests(InUTC):
    def test_our_clients(self) -> None:
        """
        myorigin completes what our own clients leave out.
        """
        kitchen = Kitchen(myorigin="here.test")
        content = b"From: A <a>\r\nTo: b\r\nX: c\r\n\r\nTo: d\r\n"
        out, _ = kitchen.run(content, local_origin=True)
        self.assertIn(b"From: A <a@here.test>\r\nTo: b@here.test\r\nX: c\r\n", out)
        self.assertTrue(out.endswith(b"\r\nTo: d\r\n"))

    def test_daemon(self) -> None:
        """
        MAILER-DAEMON of this machine is the null sender.
        """
        for sender, expected in (
            ("Mailer-Daemon@mx.here.test", ""),
            ("mailer-daemon@x.test", "mailer-daemon@x.test"),
        ):
            kitchen = Kitchen()
            kitchen.run(b"\r\n", sender=sender)
            self.assertEqual(kitchen.store.messages[0].envelope.sender, expected)

    def test_strangers(self) -> None:
        content = b"From: A <a>\r\nTo: b\r\n\r\n"
        self.assertEqual(Kitchen().run(content)[0], TRACE + content)

    def test_domain_for_strangers(self) -> None:
        """
        remote_header_rewrite_domain: headers are completed, and missing ones
        are added.
        """
        kitchen = Kitchen(remote_header_rewrite_domain="domain.invalid")
        out, _ = kitchen.run(b"From: A <a>\r\n\r\n")
        start = TRACE + b"From: A <a@domain.invalid>\r\nMessage-Id: "
        self.assertTrue(out.startswith(start))


class TransparencyTests(InUTC):
    @given(
        st.lists(st.binary(max_size=40), max_size=8).map(
            lambda lines: b"".join(
                b"X-%d:" % n + line.replace(b"\r", b"").replace(b"\n", b"") + b"\r\n"
                for n, line in enumerate(lines)
            )
        ),
        st.binary(max_size=200).map(
            lambda body: b"\r\n".join(
                line.replace(b"\r", b"") for line in body.split(b"\n")
            )
        ),
        st.integers(0, 400),
    )
    @hypothesis_settings(max_examples=300, deadline=None)
    def test_octet_for_octet(self, headers: bytes, body: bytes, cut: int) -> None:
        """
        Where nothing of the list is in it, a message is as it came: any
        octets, NUL among them.
        """
        content = headers + b"\r\n" + body
        out, _ = Kitchen().run(content[:cut], content[cut:])
        self.assertEqual(out, TRACE + content)

    def test_strays(self) -> None:
        out, _ = Kitchen().run(b"A: b\rc\r\n\r", b"\nd\n.", b"\r\n\re\r")
        self.assertEqual(out, TRACE + b"A: b c\r\n\r\nd .\r\n e ")

    def test_strays_kept(self) -> None:
        kitchen = Kitchen(cleanup_replace_stray_cr_lf="no")
        content = b"A: b\rc\r\n\r\nd\n.\r\r\n\re\r"
        self.assertEqual(kitchen.run(content)[0], TRACE + content)

    def test_body_is_not_copied(self) -> None:
        """
        Blocks of the body go to the store as they are: a large message costs
        no memory here.
        """
        kitchen = Kitchen()
        block = b"x" * 65536
        kitchen.run(b"A: b\r\n\r\n", *[block] * 100)
        blocks = kitchen.store.messages[0].blocks
        self.assertEqual(len(blocks), 101)
        self.assertTrue(all(each is block for each in blocks[1:]))

    def test_header_without_end(self) -> None:
        """
        A million header lines go through as they come.
        """
        kitchen = Kitchen(header_size_limit="1000")
        message = kitchen.cleanup.open(make_envelope())
        incoming = kitchen.store.messages[0]
        for _ in range(1000):
            message.write(b"A: " + b"x" * 100 + b"\r\n" + b"B: y\r\n C" * 9)
        self.assertGreater(len(incoming.content), 150_000)


class LoopTests(InUTC):
    """
    hopcount_limit
    """

    def test_too_many(self) -> None:
        """
        Our own counts: the 50th is refused, as Postfix does.
        """
        kitchen = Kitchen()
        content = b"Received: x\r\n" * 48 + b"\r\n"
        self.assertEqual(kitchen.run(content)[1].code, 250)
        _, reply = kitchen.run(b"Received: x\r\n" + content, b"more", b"and more")
        self.assertEqual(reply.encode(), b"554 5.4.0 Error: too many hops\r\n")
        incoming = kitchen.store.messages[-1]
        self.assertTrue(incoming.aborted)
        self.assertIsNone(incoming.committed)
        self.assertEqual(incoming.blocks, [])
        self.assertEqual(
            kitchen.sink.events[-1],
            Warn("cleanup", "4Xyz: message rejected: hopcount exceeded"),
        )

    def test_limit(self) -> None:
        kitchen = Kitchen(hopcount_limit="2")
        self.assertEqual(kitchen.run(b"Received: x\r\n")[1].code, 554)
        self.assertEqual(kitchen.run(b"X-Received: x\r\n")[1].code, 250)
        self.assertEqual(kitchen.run(b"\r\nReceived: x\r\n")[1].code, 250)


class EventTests(InUTC):
    """
    What Postfix's cleanup logs.
    """

    def events(self, content: bytes, **envelope: Any) -> list[object]:
        kitchen = Kitchen()
        kitchen.run(content, **envelope)
        return list(kitchen.sink.events)

    def test_message_id(self) -> None:
        self.assertEqual(
            self.events(b"Message-ID:  <1@x> \r\n\r\n"),
            [MessageId("cleanup", "4Xyz", "<1@x> ")],
        )

    def test_none(self) -> None:
        self.assertEqual(self.events(b""), [MessageId("cleanup", "4Xyz", "<>")])

    def test_added(self) -> None:
        value = "<20261124035052.4Xyz@mx.here.test>"
        self.assertEqual(
            self.events(b"\r\n", local_origin=True),
            [MessageId("cleanup", "4Xyz", value)],
        )

    def test_resent(self) -> None:
        self.assertEqual(
            self.events(b"Message-ID: <1@x>\r\nResent-Message-Id: <2@x>\r\n\r\n"),
            [
                MessageId("cleanup", "4Xyz", "<1@x>"),
                Note("cleanup", "4Xyz: resent-message-id=<2@x>"),
            ],
        )

    def test_resent_added(self) -> None:
        value = "<20261124035052.4Xyz@mx.here.test>"
        self.assertEqual(
            self.events(b"Resent-To: a@b.test\r\n\r\n", local_origin=True),
            [
                Note("cleanup", f"4Xyz: resent-message-id={value}"),
                MessageId("cleanup", "4Xyz", "<>"),
            ],
        )

    def test_octets(self) -> None:
        self.assertEqual(
            self.events(b"Message-ID: <\xff\0\r\n x>\r\n\r\n"),
            [MessageId("cleanup", "4Xyz", "<\udcff\0\n x>")],
        )


class FinishTests(InUTC):
    """
    The reply, and when.
    """

    def setUp(self) -> None:
        super().setUp()
        self.kitchen = Kitchen()
        self.message = self.kitchen.cleanup.open(make_envelope())
        self.message.write(b"A: b\r\n\r\n")
        self.incoming = self.kitchen.store.messages[0]

    def finish(self) -> Deferred[Reply]:
        reply = self.message.finish()
        assert isinstance(reply, Deferred)
        assert self.incoming.committed is not None
        return reply

    def fail_with(self, error: Exception) -> bytes:
        reply = self.finish()
        assert self.incoming.committed is not None
        self.incoming.committed.errback(error)
        return self.successResultOf(reply).encode()

    def test_interfaces(self) -> None:
        verifyObject(ICleanup, self.kitchen.cleanup)
        verifyObject(ICleanupMessage, self.message)

    def test_not_before_the_commit(self) -> None:
        """
        The promise: 250 is said only when the store has committed.
        """
        reply = self.finish()
        self.assertNoResult(reply)
        assert self.incoming.committed is not None
        self.incoming.committed.callback("4Xyz")
        self.assertEqual(
            self.successResultOf(reply).encode(),
            b"250 2.0.0 Ok: queued as 4Xyz\r\n",
        )

    def test_nothing_is_committed_early(self) -> None:
        self.assertIsNone(self.incoming.committed)

    def test_store_unavailable(self) -> None:
        self.assertEqual(
            self.fail_with(StoreUnavailable("I/O error")),
            b"451 4.3.0 Error: queue file write error\r\n",
        )
        self.assertEqual(
            self.kitchen.sink.events[-1],
            Warn("cleanup", "4Xyz: write queue file: I/O error"),
        )

    def test_disk_full(self) -> None:
        self.assertEqual(
            self.fail_with(StoreUnavailable("disk full", 452, "4.3.1")),
            b"452 4.3.1 Insufficient system storage\r\n",
        )

    def test_a_fault_of_ours(self) -> None:
        """
        A bug refuses no mail for good, and the reply never fails.
        """
        self.assertEqual(
            self.fail_with(ZeroDivisionError()),
            b"451 4.3.0 Error: queue file write error\r\n",
        )
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_abort(self) -> None:
        self.message.abort()
        self.assertTrue(self.incoming.aborted)
        self.assertIsNone(self.incoming.committed)

    def test_duplicates(self) -> None:
        kitchen = Kitchen()
        kitchen.run(b"\r\n", recipients=recipients("a@x", "b@x", "A@X"))
        self.assertEqual(
            kitchen.store.messages[0].envelope.recipients, recipients("a@x", "b@x")
        )


class InternalTests(InUTC):
    """
    Mail made here.
    """

    def test_head(self) -> None:
        settings = Settings.of(myhostname="mx.here.test")
        expected = (
            b"Received: by mx.here.test (Postfix)\r\n\tid 4Xyz; " + DATE + b"\r\n"
        )
        # A forward may keep what the envelope says of the first hop.
        for protocol in ("", "ESMTP"):
            envelope = make_envelope(protocol=protocol, client=LOCAL_CLIENT)
            self.assertEqual(internal_head(envelope, settings), expected)

    def test_local_submission(self) -> None:
        out, _ = Kitchen().run(b"A: b\r\n", protocol="", client=LOCAL_CLIENT)
        self.assertTrue(out.startswith(b"Received: by mx.here.test (Postfix)\r\n\tid "))


class NeedsTests(InUTC):
    """
    detect_8bit_encoding_header, smtputf8_autodetect_classes
    """

    def envelope(
        self, content: bytes, parameters: dict[str, str] | None = None, **fields: Any
    ) -> Envelope:
        """
        @return: as it was committed, however the content was cut.
        """
        found = set()
        for size in (len(content), 1):
            kitchen = Kitchen(None, **(parameters or {}))
            pieces = [content[i : i + size] for i in range(0, len(content), size)]
            kitchen.run(*pieces, **fields)
            found.add(kitchen.store.messages[0].envelope)
        (envelope,) = found
        return envelope

    def test_eight_bit(self) -> None:
        """
        Whatever the client said: octets tell.
        """
        for body in ("", "7BIT", "8BITMIME"):
            for content in (b"A: b\r\n\r\n\xe9\r\n", b"A: \xe9\r\n\r\n"):
                self.assertEqual(self.envelope(content, body=body).body, "8BITMIME")
            envelope = self.envelope(b"A: b\r\n\r\nx\r\n", body=body)
            self.assertEqual(envelope.body, body)

    def test_eight_bit_as_declared(self) -> None:
        off = {"detect_8bit_encoding_header": "no"}
        envelope = self.envelope(b"A: b\r\n\r\n\xe9\r\n", off, body="7BIT")
        self.assertEqual(envelope.body, "7BIT")

    def test_smtputf8(self) -> None:
        """
        For the classes that are named, octets that are not ASCII count in an
        address or a header, of a part too; in the body they do not.
        """
        utf8, latin = b"A: \xc3\xa9\r\n\r\n", b"A: \xe9\r\n\r\n"
        parts = b"Content-Type: multipart/x; boundary=b\r\n\r\n--b\r\n" + utf8
        for classes in ("smtpd", "all"):
            on = {"smtputf8_autodetect_classes": classes}
            self.assertTrue(self.envelope(utf8, on).smtputf8)
            self.assertTrue(self.envelope(b"\r\n", on, sender="\xe9@x").smtputf8)
            to = recipients("a@x", "\xe9@x")
            self.assertTrue(self.envelope(b"\r\n", on, recipients=to).smtputf8)
            self.assertTrue(self.envelope(latin, on).smtputf8)
            self.assertTrue(self.envelope(parts, on).smtputf8)
            self.assertFalse(self.envelope(b"A: b\r\n\r\n\xc3\xa9", on).smtputf8)
        self.assertFalse(self.envelope(utf8).smtputf8)
        self.assertTrue(self.envelope(utf8, protocol="").smtputf8)
        off = {"smtputf8_autodetect_classes": "all", "smtputf8_enable": "no"}
        self.assertFalse(self.envelope(utf8, off).smtputf8)

    def test_said(self) -> None:
        """
        What the client said stays, and Received: tells.
        """
        out, _ = Kitchen().run(b"A: b\r\n", smtputf8=True)
        self.assertIn(b" with UTF8SMTP id ", out)
        self.assertTrue(self.envelope(b"A: b\r\n", smtputf8=True).smtputf8)


class CharacterTests(InUTC):
    """
    message_strip_characters, message_reject_characters
    """

    def test_escapes(self) -> None:
        self.assertEqual(characters("a\\0\\101\\t\\\\\\q\xe9"), b"a\0A\t\\q\xc3\xa9")

    def test_strip(self) -> None:
        kitchen = Kitchen(None, message_strip_characters="\\0b\\r\\n")
        out, _ = kitchen.run(b"A: a\0\r\nB: b\r\n\r\nab\0", b"\0c\r\n")
        self.assertEqual(out, TRACE + b"A: a\r\nB: \r\n\r\nac\r\n")

    def test_reject(self) -> None:
        kitchen = Kitchen(None, message_reject_characters="\\0")
        _, reply = kitchen.run(b"A: b\r\n\r\nx\r\na", b"b\0c\r\n", b"more")
        self.assertEqual(reply, Reply(550, "5.7.1", "disallowed character"))
        self.assertTrue(kitchen.store.messages[0].aborted)
        note = kitchen.sink.events[-1]
        assert isinstance(note, Note)
        self.assertEqual(
            note.text,
            "4Xyz: reject: content b from client.test[192.0.2.1]; from=<s@x.test>"
            " to=<r@y.test> proto=ESMTP helo=<client.test>: 5.7.1 disallowed character",
        )

    def test_default(self) -> None:
        """
        Every octet may be there.
        """
        body = bytes(range(256)).replace(b"\r", b"").replace(b"\n", b"") + b"\r\n"
        out, _ = Kitchen().run(b"\r\n" + body)
        self.assertEqual(out, TRACE + b"\r\n" + body)
