"""
Logging in, whatever octets come.
"""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.smtp.server.sasl.support import (
    SCRAM,
    TLS,
    Table,
    at_once,
    b64,
    facts,
    login_world,
    plain,
)
from txmta.smtp.sasl.accounts import Accounts
from txmta.smtp.sasl.moves import Challenge, Done, Failed
from txmta.smtp.sasl.own import OwnMechanisms

LINES = st.sampled_from(
    [
        *(b"AUTH PLAIN", b"AUTH LOGIN", b"AUTH CRAM-MD5", b"AUTH SCRAM-SHA-256"),
        *(b"AUTH SCRAM-SHA-256-PLUS", b"AUTH X", b"AUTH", b"AUTH LOGIN ="),
        *(b"AUTH PLAIN " + plain("user", "x"), b"AUTH LOGIN " + b64("user")),
        *(b64("user"), b64("x"), plain("a", "b"), b64("n,,n=user,r=abcdefghij")),
        *(b"*", b"=", b"", b"====", b"\0", b"A" * 13000, b"A" * 2000, b"\xff\xff"),
        *(b"EHLO x", b"HELO x", b"RSET", b"NOOP", b"MAIL FROM:<a@b.example>", b"DATA"),
        *(b64("user 0123456789abcdef0123456789abcdef"), b64("c=biws,r=x,p=AAAA")),
    ]
)

_REPLY = re.compile(rb"(?:[2-5][0-9]{2}[ -][^\x00-\x1f\x7f]*\r\n)*")


class AnythingTests(SynchronousTestCase):
    @settings(max_examples=40, deadline=None)
    @given(st.lists(LINES | st.binary(max_size=8), max_size=12))
    def test_session(self, lines: list[bytes]) -> None:
        """
        Each line has legal replies, and nobody is somebody without a password.
        """
        w = login_world({"user": SCRAM}, smtpd_hard_error_limit="1000")
        talk = w.talk()
        for line in lines:
            said = talk.say(line.replace(b"\n", b"") + b"\r\n")
            self.assertTrue(_REPLY.fullmatch(said), said)
            self.assertIsNone(talk.server.session.login)
        for each in w.sink.lines:
            self.assertTrue(each.isprintable(), each)
        self.assertEqual(self.flushLoggedErrors(), [])

    @settings(max_examples=150, deadline=None)
    @given(
        st.sampled_from(
            [
                *("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"),
                *("EXTERNAL", "OAUTHBEARER", "XOAUTH2"),
            ]
        ),
        st.lists(
            st.none()
            | st.binary(max_size=40)
            | st.text(alphabet="nyp=,auser\0\1x", max_size=30).map(str.encode),
            min_size=1,
            max_size=4,
        ),
    )
    def test_mechanism(self, name: str, responses: list[bytes | None]) -> None:
        """
        Each ends, without an error, and not well.
        """
        table = Table({"user": SCRAM})
        none = [Table({})]
        keeper = Accounts(table, at_once, self.fail, "", none, none)
        exchange = OwnMechanisms(keeper).start(name, facts(TLS, tls_exporter=b"x"))
        responses = [responses[0], *(each or b"" for each in responses[1:])]
        for response in responses:
            found = exchange.step(response)
            move = self.successResultOf(found) if isinstance(found, Deferred) else found
            self.assertNotIsInstance(move, Done)
            if isinstance(move, Failed):
                self.assertFalse(move.temporary)
                return
            self.assertIsInstance(move, Challenge)
        exchange.abort()
