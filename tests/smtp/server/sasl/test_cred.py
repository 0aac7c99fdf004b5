"""
Portals and checkers of twisted.cred.
"""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.mail.smtp import IMessageDelivery, SMTPBadSender
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.smtp.server.sasl.support import TLS, cram, login_world, plain
from tests.smtp.server.support import Talk, world
from txmta.config.settings import Settings
from txmta.smtp.commands import State
from txmta.smtp.sasl.backends import portal_logins, problems
from txmta.smtp.sasl.cred import keeper
from txmta.smtp.sasl.own import OwnMechanisms

FAILED = b"535 5.7.8 Error: authentication failed: authentication failure\r\n"
OK = b"235 2.7.0 Authentication successful\r\n"


@implementer(IMessageDelivery)
class Delivery:
    """
    Takes mail from its owner only.
    """

    def __init__(self, name: bytes) -> None:
        self.name = name

    def receivedHeader(self, helo: object, origin: object, recipients: object) -> str:
        return ""

    def validateFrom(self, helo: object, origin: Any) -> Any:
        if origin.local != self.name:
            raise SMTPBadSender(origin, 553, "not yours")
        return origin

    def validateTo(self, user: object) -> Any:
        raise NotImplementedError


class PortalTests(SynchronousTestCase):
    """
    Somebody's own portal: whoever logs in has a delivery of their own.
    """

    def connect(self) -> Talk:
        self.left: list[bytes] = []

        @implementer(IRealm)
        class Realm:
            def requestAvatar(realm, name: Any, mind: Any, *interfaces: Any) -> Any:
                return IMessageDelivery, Delivery(name), lambda: self.left.append(name)

        checker = InMemoryUsernamePasswordDatabaseDontUse(user=b"wonderland")
        portal = Portal(Realm(), [checker])
        w = world()
        factory: Any = w.factory
        context = factory._context
        rules = replace(context.rules, auth=True)
        logins = portal_logins(portal, w.clock)
        factory._context = replace(context, rules=rules, logins=logins)
        factory._deliveries = None
        factory.portal = portal
        talk = w.connect()
        talk.say(b"EHLO x\r\n")
        self.clock = w.clock
        return talk

    def test_avatar(self) -> None:
        """
        The avatar takes the mail; it is told when the session is over.
        """
        talk = self.connect()
        self.assertEqual(
            talk.say(b"AUTH PLAIN " + plain("user", "wonderland") + b"\r\n"), OK
        )
        self.assertIn(b"250 2.1.0 Ok", talk.say(b"MAIL FROM:<user@b.example>\r\n"))
        talk.say(b"RSET\r\n")
        self.assertIn(b"553", talk.say(b"MAIL FROM:<other@b.example>\r\n"))
        self.assertEqual(self.left, [])
        talk.hang_up()
        self.assertEqual(self.left, [b"user"])

    def test_cram_md5(self) -> None:
        talk = self.connect()
        challenge = talk.say(b"AUTH CRAM-MD5\r\n").split()[1]
        said = cram("user", "wonderland", base64.b64decode(challenge))
        self.assertEqual(talk.say(said + b"\r\n"), OK)

    def test_nobody(self) -> None:
        """
        Who has not logged in gets nothing; who fails, neither.
        """
        talk = self.connect()
        said = talk.say(b"MAIL FROM:<user@b.example>\r\n")
        self.assertEqual(said, b"530 5.7.0 Authentication required\r\n")
        talk.say(b"AUTH PLAIN " + plain("user", "x") + b"\r\n")
        self.clock.advance(2)
        self.assertIn(b"535 5.7.8", talk.heard())
        said = talk.say(b"MAIL FROM:<user@b.example>\r\n")
        self.assertEqual(said, b"530 5.7.0 Authentication required\r\n")

    def test_tls(self) -> None:
        """
        STARTTLS forgets who logged in, with all that this gave.
        """
        talk = self.connect()
        talk.say(b"AUTH PLAIN " + plain("user", "wonderland") + b"\r\n")
        engine = talk.server._engine
        engine.state = State.TLS
        engine.secured(TLS)
        talk.server._pump()
        self.assertEqual(self.left, [b"user"])
        self.assertIsNone(talk.server.session.login)
        talk.say(b"EHLO x\r\n")
        self.assertIn(b"530 5.7.0", talk.say(b"MAIL FROM:<user@b.example>\r\n"))


class CheckerTests(SynchronousTestCase):
    def test_plug_in(self) -> None:
        """
        C{smtpd_sasl_type = cred}: any checker that is a plug-in.
        """
        path = Path(self.mktemp())
        path.write_text("user:wonderland\nb@here.test:secret\n")
        for realm, name, password, answer in (
            ("", "user", "wonderland", OK),
            ("", "b", "secret", FAILED),
            ("here.test", "b", "secret", OK),
        ):
            w = login_world()
            w.use(OwnMechanisms(keeper(f"file:{path}", realm)))
            said = b"AUTH PLAIN " + plain(name, password) + b"\r\n"
            self.assertEqual(w.talk().say(said), answer)

    def test_problems(self) -> None:
        def told(path: str) -> list[str]:
            return problems(
                Settings.of(
                    smtpd_sasl_auth_enable="yes",
                    smtpd_sasl_type="cred",
                    smtpd_sasl_path=path,
                )
            )

        self.assertEqual(told("memory:a:b"), [])
        (problem,) = told("nosuch:x")
        self.assertIn("smtpd_sasl_path: nosuch:x: no plug-in makes such", problem)
        self.assertIn("memory", problem)
