"""
Accounts of our own: effort, trouble, SCRAM.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.smtp.server.sasl.support import (
    SCRAM,
    TLS,
    Table,
    at_once,
    cram,
    facts,
    login_world,
    plain,
)
from tests.support import require_library
from txmta import passwords
from txmta.config.settings import Settings
from txmta.errors import TableUnavailable
from txmta.interfaces import ITable
from txmta.smtp.sasl.accounts import Accounts
from txmta.smtp.sasl.moves import Challenge, Done, Facts, Failed, Move
from txmta.smtp.sasl.own import OwnExchange, OwnMechanisms
from txmta.smtp.sasl.questions import CannotSay
from txmta.smtp.sasl.workers import WAITING, Bounded


@implementer(ITable)
class Broken:
    def lookup(self, key: str) -> str:
        raise TableUnavailable("ldap:/x", "no answer")


class EffortTests(SynchronousTestCase):
    """
    How long an answer takes tells nothing.
    """

    def setUp(self) -> None:
        self.hashed: list[tuple[Any, ...]] = []
        self.table = Table({"user": SCRAM, "other": "{SSHA256}" + "A" * 44})
        self.keeper = Accounts(self.table, self.run_it, self.fail)

    def run_it(self, work: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        self.hashed.append((work, arguments[0]))
        return at_once(work, *arguments)

    def log_in(self, name: str, password: str) -> Move:
        exchange = OwnMechanisms(self.keeper).start("PLAIN", facts())
        response = base64.b64decode(plain(name, password))
        move = exchange.step(response)
        assert isinstance(move, Deferred)
        return self.successResultOf(move)

    def test_unknown_user(self) -> None:
        """
        For somebody who does not exist, a hash is computed like that of the one who
        was there last.
        """
        self.assertEqual(self.log_in("nobody", "x"), Failed(username="nobody"))
        ((work, stored),) = self.hashed
        self.assertIs(work, passwords.verify)
        self.assertIn(f"}}{passwords.ROUNDS},", stored)
        self.assertEqual(self.log_in("user", "x"), Failed(username="user"))
        self.assertEqual(self.log_in("nobody", "wonderland"), Failed(username="nobody"))
        self.assertEqual(self.hashed[-1], self.hashed[-2])

    def test_challenge(self) -> None:
        """
        SCRAM: somebody who does not exist has a salt, the same each time.
        """
        first = self.keeper._keys("nobody", None)
        self.assertEqual(first.salt, self.keeper._keys("nobody", None).salt)
        self.assertNotEqual(first.salt, self.keeper._keys("noone", None).salt)
        self.assertEqual(len(first.salt), 16)
        self.assertFalse(first.real)


class TroubleTests(SynchronousTestCase):
    """
    Our own trouble is temporary, and nobody is let in.
    """

    def test_table(self) -> None:
        w = login_world()
        keeper = Accounts(Broken(), at_once, w.sink.warn)
        w.use(OwnMechanisms(keeper))
        talk = w.talk()
        said = talk.say(b"AUTH PLAIN " + plain("user", "wonderland") + b"\r\n")
        self.assertEqual(
            said,
            b"454 4.7.0 Temporary authentication failure: Authentication backend "
            b"error\r\n",
        )
        self.assertIsNone(talk.server.session.login)

    def test_bad_hash(self) -> None:
        w = login_world({"user": "{NOSUCH}wonderland", "two": "wonderland"})
        for name in ("user", "two"):
            said = w.talk().say(b"AUTH PLAIN " + plain(name, "wonderland") + b"\r\n")
            self.assertIn(b"454 4.7.0", said)
        self.assertNotIn("wonderland", "\n".join(w.sink.lines))
        self.assertIn(f"the entry of {name!r}: no {{SCHEME}}", w.sink.lines[-2])

    def test_cram_needs_the_password(self) -> None:
        """
        Of a hash nothing can be made: the client fails, and no more.
        """
        talk = login_world({"user": SCRAM}).talk()
        challenge = base64.b64decode(talk.say(b"AUTH CRAM-MD5\r\n").split()[1])
        for secret in ("wonderland", ""):
            said = talk.say(cram("user", secret, challenge) + b"\r\n")
            self.assertIn(b"535 5.7.8", said)
            talk.say(b"AUTH CRAM-MD5\r\n")

    def test_certificate(self) -> None:
        """
        EXTERNAL: whose certificate it is; nobody without one, or with another's.
        """
        maps = Table({TLS.fingerprint: "user"})
        keeper = Accounts(Table({}), at_once, self.fail, certificates=[maps])

        def log_in(response: bytes, known: Facts) -> object:
            exchange = OwnMechanisms(keeper).start("EXTERNAL", known)
            move = exchange.step(response)
            return self.successResultOf(move) if isinstance(move, Deferred) else move

        self.assertEqual(log_in(b"", facts(TLS)), Done("user"))
        self.assertEqual(log_in(b"user", facts(TLS)), Done("user"))
        self.assertIsInstance(log_in(b"root", facts(TLS)), Failed)
        self.assertIsInstance(log_in(b"user", facts()), Failed)
        names = [each.name for each in keeper.offers(facts())]
        self.assertNotIn("EXTERNAL", names)


class SecretsTests(SynchronousTestCase):
    def test_offers(self) -> None:
        """
        Nothing is offered that an account is not good for.
        """
        keeper = Accounts(Table({}), at_once, self.fail)
        for secrets, expected in (
            ("scram", ["SCRAM-SHA-256", "PLAIN", "LOGIN"]),
            ("plain", ["SCRAM-SHA-256", "PLAIN", "LOGIN", "CRAM-MD5"]),
            ("other", ["PLAIN", "LOGIN"]),
        ):
            keeper.secrets = secrets
            names = [each.name for each in keeper.offers(facts())]
            self.assertEqual(names, expected)

    def test_default(self) -> None:
        self.assertEqual(Settings.of().smtpd_sasl_account_secrets, "scram")
        self.assertEqual(Accounts.secrets, "scram")


class TokenTests(SynchronousTestCase):
    """
    OAUTHBEARER and XOAUTH2: whose token is it?
    """

    def setUp(self) -> None:
        maps = Table({"t0k.en": "user@here.test"})
        self.keeper = Accounts(Table({}), at_once, self.fail, tokens=[maps])

    def log_in(self, mechanism: str, response: bytes) -> list[Move]:
        exchange = OwnMechanisms(self.keeper).start(mechanism, facts())
        moves: list[Move] = []
        while not moves or isinstance(moves[-1], Challenge):
            move = exchange.step(response)
            done = self.successResultOf(move) if isinstance(move, Deferred) else move
            moves.append(done)
            response = b"\1"
        return moves

    def test_oauthbearer(self) -> None:
        """
        RFC 7628 section 3.1; a name, if there is one, must be the token's.
        """
        good = b"\1auth=Bearer t0k.en\1\1"
        for head in (b"n,,", b"y,,", b"n,a=user@here.test,"):
            found = self.log_in("OAUTHBEARER", head + b"\1host=x\1port=587" + good)
            self.assertEqual(found, [Done("user@here.test")])
        error = Challenge(b'{"status": "invalid_token", "schemes": "bearer"}')
        for said, name in (
            (b"n,a=root," + good, "root"),
            (b"n,,\1auth=Bearer another\1\1", None),
            (b"n,,\1auth=Basic t0k.en\1\1", None),
            (b"n,,\1\1", None),
        ):
            if said.endswith(b",\1\1"):
                self.assertEqual(self.log_in("OAUTHBEARER", said), [Failed()])
            else:
                expected = [error, Failed(username=name)]
                self.assertEqual(self.log_in("OAUTHBEARER", said), expected)
        for said in (b"", b"n,,", b"p,,\1auth=Bearer t0k.en\1\1", b"n,," + good[:-1]):
            self.assertEqual(self.log_in("OAUTHBEARER", said), [Failed()])

    def test_xoauth2(self) -> None:
        """
        As Google's mail programs say it.
        """
        good = b"\1auth=Bearer t0k.en\1\1"
        found = self.log_in("XOAUTH2", b"user=user@here.test" + good)
        self.assertEqual(found, [Done("user@here.test")])
        for name in ("root", "user@here.tes"):
            found = self.log_in("XOAUTH2", b"user=" + name.encode() + good)
            self.assertEqual(found[1:], [Failed(username=name)])
        self.assertEqual(self.log_in("XOAUTH2", good), [Failed()])

    def test_offer(self) -> None:
        names = [each.name for each in self.keeper.offers(facts())]
        self.assertEqual(names[-2:], ["OAUTHBEARER", "XOAUTH2"])
        names = [
            each.name
            for each in Accounts(Table({}), at_once, self.fail).offers(facts())
        ]
        self.assertNotIn("XOAUTH2", names)


class BoundedTests(SynchronousTestCase):
    def test_limit(self) -> None:
        """
        So many at a time, so many wait, and more are told to come again.
        """
        begun: list[Deferred[str]] = []

        def start() -> Deferred[str]:
            begun.append(Deferred())
            return begun[-1]

        bounded = Bounded(2)
        results = [bounded.run(start) for _ in range(2 + 2 * WAITING)]
        self.assertEqual(len(begun), 2)
        self.failureResultOf(bounded.run(start), CannotSay)
        begun[0].callback("done")
        self.assertEqual(self.successResultOf(results[0]), "done")
        self.assertEqual(len(begun), 3)

    def test_client_gone(self) -> None:
        """
        Who waits may go away; what is under way still counts.
        """
        begun: list[Deferred[str]] = []

        def start() -> Deferred[str]:
            begun.append(Deferred())
            return begun[-1]

        bounded = Bounded(1)
        first, second, third = (bounded.run(start) for _ in range(3))
        for each in (first, second):
            each.cancel()
            self.failureResultOf(each, CancelledError)
        self.assertEqual(len(begun), 1)
        begun[0].callback("x")
        self.assertEqual(len(begun), 2)
        begun[1].callback("y")
        self.assertEqual(self.successResultOf(third), "y")


class ScramTests(SynchronousTestCase):
    """
    SCRAM, with the client of the library that has the arithmetic.
    """

    def setUp(self) -> None:
        require_library("scramp")

    def converse(
        self, known: Facts, name: str = "user", password: str = "wonderland"
    ) -> Move:
        from scramp import (  # type: ignore[import-untyped]  # no annotations
            ScramClient,
        )

        exchange = self.start("SCRAM-SHA-256", known)
        client = ScramClient(["SCRAM-SHA-256"], name, password)
        move = self.move(exchange, client.get_client_first().encode())
        assert isinstance(move, Challenge)
        client.set_server_first(move.octets.decode())
        move = self.move(exchange, client.get_client_final().encode())
        if not isinstance(move, Challenge):
            return move
        client.set_server_final(move.octets.decode())
        return self.move(exchange, b"")

    stored = SCRAM

    def start(self, mechanism: str, known: Facts) -> OwnExchange:
        keeper = Accounts(Table({"user": self.stored}), at_once, self.fail)
        return OwnMechanisms(keeper).start(mechanism, known)

    def bound(self, known: Facts, name: str, binding: bytes) -> Move:
        """
        A client of our own: that library knows only old bindings.
        """
        header = f"p={name},,"
        exchange = self.start("SCRAM-SHA-256-PLUS", known)
        bare = "n=user,r=abcdefghijklmnop"
        move = self.move(exchange, f"{header}{bare}".encode())
        if not isinstance(move, Challenge):
            return move
        first = move.octets.decode()
        nonce, salt, rounds = (part[2:] for part in first.split(","))
        end = base64.b64encode(header.encode() + binding).decode()
        final = f"c={end},r={nonce}"
        said = f"{bare},{first},{final}".encode()
        salted = hashlib.pbkdf2_hmac(
            "sha256", b"wonderland", base64.b64decode(salt), int(rounds)
        )
        key = hmac.digest(salted, b"Client Key", "sha256")
        signature = hmac.digest(hashlib.sha256(key).digest(), said, "sha256")
        proof = bytes(a ^ b for a, b in zip(key, signature, strict=True))
        final += f",p={base64.b64encode(proof).decode()}"
        move = self.move(exchange, final.encode())
        return self.move(exchange, b"") if isinstance(move, Challenge) else move

    def move(self, exchange: OwnExchange, response: bytes) -> Move:
        move = exchange.step(response)
        return self.successResultOf(move) if isinstance(move, Deferred) else move

    def test_login(self) -> None:
        """
        Both prove that they know the password.
        """
        self.assertEqual(self.converse(facts()), Done("user"))

    def test_from_a_password(self) -> None:
        """
        Whoever keeps the password itself can make the keys of it.
        """
        self.stored = "{PLAIN}wonderland"
        self.patch(passwords, "ROUNDS", 4096)
        self.assertEqual(self.converse(facts()), Done("user"))
        self.assertEqual(self.converse(facts(), password="x"), Failed(username="user"))

    def test_wrong(self) -> None:
        for name, password in (("user", "x"), ("nobody", "wonderland")):
            found = self.converse(facts(), name, password)
            self.assertEqual(found, Failed(username=name))

    def test_binding(self) -> None:
        """
        -PLUS: both are at the ends of the same encrypted session.
        """
        for name in ("tls-exporter", "tls-unique"):
            known = facts(TLS, **{name.replace("-", "_"): b"secret"})
            self.assertEqual(self.bound(known, name, b"secret"), Done("user"))
            bad = self.bound(known, name, b"another")
            self.assertEqual(bad, Failed(username="user"))

    def test_no_binding(self) -> None:
        """
        A binding that we do not have binds nobody.
        """
        for name in ("tls-exporter", "tls-server-end-point"):
            bad = self.bound(facts(TLS, tls_unique=b"x"), name, b"")
            self.assertEqual(bad, Failed(username="user"))
        known = facts(TLS, tls_exporter=b"secret")
        names = [e.name for e in Accounts(Table({}), at_once, self.fail).offers(known)]
        self.assertEqual(names[:2], ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"])

    def test_taken_off_the_list(self) -> None:
        """
        A client that has bindings, and was told that we have none, was told so by
        somebody else (RFC 5802 section 6).
        """
        keeper = Accounts(Table({"user": SCRAM}), at_once, self.fail)
        for known, refused in (
            (facts(TLS, tls_exporter=b"secret"), True),
            (facts(), False),
        ):
            exchange = OwnMechanisms(keeper).start("SCRAM-SHA-256", known)
            move = self.move(exchange, b"y,,n=user,r=abcdefghijklmnop")
            self.assertEqual(isinstance(move, Failed), refused)

    def test_malformed(self) -> None:
        keeper = Accounts(Table({"user": SCRAM}), at_once, self.fail)
        for first in (
            *(b"", b"n", b"n,,", b"n,,n=,r=x", b"n,,n=user", b"n,,n=user,r="),
            *(b"n,a=root,n=user,r=x", b"n,,m=x,n=user,r=x", b"n,,n=a=b,r=x"),
            *(b"p=tls-unique,,n=user,r=x", b"\xff", b"n,,n=us\0er,r=x", b"x,,n=u,r=x"),
            b"n,,n=" + b"x" * 9000 + b",r=x",
        ):
            exchange = OwnMechanisms(keeper).start("SCRAM-SHA-256", facts())
            move = self.move(exchange, first)
            if isinstance(move, Challenge):
                move = self.move(exchange, b"c=biws,r=x,p=AAAA")
            self.assertIsInstance(move, Failed, first)
