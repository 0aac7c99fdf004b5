"""
What policy servers are asked, and what they answer.
"""

from __future__ import annotations

from typing import cast

from twisted.trial.unittest import SynchronousTestCase

from txmta.config.settings import Settings
from txmta.model import Client, Login, TLSInfo
from txmta.smtp.access.check import Check, World
from txmta.smtp.access.policy_request import (
    MAX_ANSWER,
    AnswerReader,
    MissingAction,
    host_and_port,
    read_server,
    request,
)
from txmta.smtp.session import Session

VERSIONS = ("", "3.6", "3.9.1")
NO_WORLD = cast(World, None)

REQUEST = """\
request=smtpd_access_policy
protocol_state=RCPT
protocol_name=ESMTP
client_address=192.0.2.1
client_name=foo.test
client_port=1025
reverse_client_name=foo.test
server_address=192.0.2.9
server_port=25
helo_name=me.test
sender=a b@x.test
recipient=r@y.test
recipient_count=0
queue_id=
instance=7.1.0
size=100
etrn_domain=
stress=
sasl_method=
sasl_username=
sasl_sender=
ccert_subject=
ccert_issuer=
ccert_fingerprint=
ccert_pubkey_fingerprint=
encryption_protocol=
encryption_cipher=
encryption_keysize=0
policy_context=ctx
compatibility_level=3.6
mail_version=3.9.1

"""


def check(stage: str = "RCPT", recipient: str = "r@y.test") -> Check:
    client = Client("192.0.2.1", 1025, "foo.test", "foo.test")
    session = Session(client, "me.test", "ESMTP")
    session.server_address, session.server_port = "192.0.2.9", 25
    return Check(
        NO_WORLD,
        session,
        recipient,
        recipient,
        said="a b@x.test",
        stage=stage,
        recipients=2,
        instance="7.1.0",
        size=100,
    )


def values(asked: Check) -> dict[str, str]:
    lines = request(asked, "", VERSIONS).decode().splitlines()[:-1]
    return dict(line.split("=", 1) for line in lines)


class RequestTests(SynchronousTestCase):
    def test_order(self) -> None:
        """
        Every attribute, in the order in which Postfix sends them.
        """
        self.assertEqual(request(check(), "ctx", VERSIONS).decode(), REQUEST)

    def test_count(self) -> None:
        """
        Recipients are counted when all are there.
        """
        for stage, state, count in (
            ("MAIL", "MAIL", "0"),
            ("DATA", "DATA", "2"),
            ("BDAT", "DATA", "2"),
            ("END-OF-MESSAGE", "END-OF-MESSAGE", "2"),
        ):
            found = values(check(stage))
            self.assertEqual(found["protocol_state"], state)
            self.assertEqual(found["recipient_count"], count, stage)

    def test_identity(self) -> None:
        """
        Names in a certificate that nobody vouches for are not told.
        """
        asked = check()
        asked.session.login = Login("joe", "PLAIN", "s@x.test")
        asked.session.tls = TLSInfo(
            "TLSv1.3", "AES", 128, 256, "me", "ca", "AA:BB", "CC:DD", False
        )
        found = values(asked)
        self.assertEqual(found["sasl_username"], "joe")
        self.assertEqual(found["sasl_method"], "PLAIN")
        self.assertEqual(found["sasl_sender"], "s@x.test")
        self.assertEqual(found["encryption_keysize"], "128")
        self.assertEqual(found["ccert_fingerprint"], "AA:BB")
        self.assertEqual(found["ccert_pubkey_fingerprint"], "CC:DD")
        self.assertEqual((found["ccert_subject"], found["ccert_issuer"]), ("", ""))

    def test_no_line_more(self) -> None:
        """
        Nothing that a client says makes an attribute.
        """
        asked = check(recipient="r\nsasl_username=root\r\0@y.test")
        self.assertEqual(values(asked)["recipient"], "r?sasl_username=root??@y.test")
        self.assertEqual(values(asked)["sasl_username"], "")


class AnswerTests(SynchronousTestCase):
    def test_pieces(self) -> None:
        for answer, action in (
            (b"action=dunno\n\n", "dunno"),
            (b"a=b\naction=550 5.1.1 a=b\nc=d\n\n", "550 5.1.1 a=b"),
            (b"action=one\naction=two\n\n", "one"),
            (b"action=\n\n", ""),
            (b"action=ok\n\nmore", "ok"),
        ):
            self.assertEqual(AnswerReader().feed(answer), action)
            for cut in range(1, answer.index(b"\n\n") + 2):
                reader = AnswerReader()
                self.assertIsNone(reader.feed(answer[:cut]), (answer, cut))
                self.assertEqual(reader.feed(answer[cut:]), action)

    def test_none(self) -> None:
        for answer in (b"\n", b"hello\n\n", b"ACTION=ok\n\n", b"action = ok\n\n"):
            self.assertRaises(MissingAction, AnswerReader().feed, answer)

    def test_endless(self) -> None:
        reader = AnswerReader()
        self.assertIsNone(reader.feed(b"a" * MAX_ANSWER))
        self.assertRaises(ValueError, reader.feed, b"a")


class ServerTests(SynchronousTestCase):
    def test_plain(self) -> None:
        settings = Settings.of(
            smtpd_policy_service_timeout="7s",
            smtpd_policy_service_policy_context="here",
        )
        server = read_server("inet:127.0.0.1:10023", settings)
        self.assertEqual((server.kind, server.where), ("inet", "127.0.0.1:10023"))
        self.assertEqual((server.timeout, server.context), (7.0, "here"))
        self.assertEqual(read_server("unix:private/p", settings).where, "private/p")

    def test_own_values(self) -> None:
        server = read_server(
            "{ inet:host:port, timeout=10s, default_action=DUNNO retry_delay = 2s "
            "{ policy_context = two words }, try_limit=1 max_idle=5 max_ttl=6, "
            "request_limit=9 }".replace(" = 2s", "=2s"),
            Settings.of(),
        )
        self.assertEqual(server.default_action, "DUNNO")
        self.assertEqual(server.context, "two words")
        self.assertEqual((server.timeout, server.retry_delay), (10.0, 2.0))
        self.assertEqual((server.max_idle, server.max_ttl), (5.0, 6.0))
        self.assertEqual((server.try_limit, server.request_limit), (1, 9))

    def test_wrong(self) -> None:
        for text, words in (
            ("tcp:127.0.0.1:1", "write inet:host:port or unix:path"),
            ("unix:", "write inet:host:port or unix:path"),
            ("inet:a b", "write inet:host:port"),
            ("{ }", "names no server"),
            ("{ inet:a:1, timeout=x }", "timeout=x: is not a time"),
            ("{ inet:a:1, try_limit=0 }", "too small"),
            ("{ inet:a:1, patience=1 }", "patience=1"),
            ("{ inet:a:1, timeout }", '"timeout"'),
            ("{ inet:a:1, { timeout } }", '"timeout"'),
        ):
            error = self.assertRaises(ValueError, read_server, text, Settings.of())
            self.assertIn(words, str(error))

    def test_places(self) -> None:
        self.assertEqual(host_and_port("[::1]:25"), ("::1", "25"))
        self.assertEqual(host_and_port("a.test:smtp"), ("a.test", "smtp"))
