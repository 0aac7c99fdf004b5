"""
Tests of L{txmta.delivery.smtp_dane}, and of certificates that TLSA records name.
"""

from __future__ import annotations

from hashlib import sha256

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.tls_help import Authority
from txmta.config.settings import Settings
from txmta.delivery.smtp_dane import Dane
from txmta.delivery.smtp_hosts import Destination
from txmta.errors import ResolverUnavailable
from txmta.interfaces import IResolver
from txmta.model import Answer, Mx
from txmta.smtp.client_certificate import Presented, judge
from txmta.smtp.client_dane import Tlsa
from txmta.smtp.client_events import Target
from txmta.smtp.client_tls import Material
from txmta.smtp.client_tls_level import Level
from txmta.smtp.client_tls_policy import Policy
from txmta.smtp.client_trouble import Trouble

TLSA = "3 1 1 " + "ab" * 32


@implementer(IResolver)
class Zone:
    """
    Answers by name and kind; what is not there does not exist.
    """

    def __init__(self, *records: tuple[str, str, tuple[object, ...], bool]) -> None:
        self.records = {(name, kind): (rows, ad) for name, kind, rows, ad in records}
        self.broken: set[str] = set()

    def lookup(self, name: str, kind: str) -> Answer | Deferred[Answer]:
        if name in self.broken:
            raise ResolverUnavailable(name, kind, "SERVFAIL")
        rows, authentic = self.records.get((name, kind), ((), True))
        return Answer(rows, bool(rows), authentic)  # type: ignore[arg-type]


def zone(
    mx: bool = True, host: bool = True, tlsa: bool = True, row: str = TLSA
) -> Zone:
    return Zone(
        ("example.com", "MX", (Mx(10, "mx.test"),), mx),
        ("mx.test", "A", ("192.0.2.1",), host),
        ("_25._tcp.mx.test", "TLSA", (row,), tlsa),
    )


class DaneTests(SynchronousTestCase):
    def apply(
        self, names: Zone, level: Level = Level.DANE, **settings: str
    ) -> Policy | Trouble:
        values = {
            "smtp_dns_support_level": "dnssec",
            "smtp_tls_security_level": "dane",
            **settings,
        }
        self.warnings: list[str] = []
        dane = Dane(Settings.of(**values), names, self.warnings.append)
        found = dane.apply(
            Policy(level),
            Destination("example.com", "example.com", 25, False),
            Target("mx.test", "192.0.2.1", 25),
        )
        return self.successResultOf(Deferred.fromCoroutine(found))

    def level(self, names: Zone, level: Level = Level.DANE, **settings: str) -> object:
        found = self.apply(names, level, **settings)
        return found.status if isinstance(found, Trouble) else found.level

    def test_signed(self) -> None:
        found = self.apply(zone())
        assert isinstance(found, Policy)
        self.assertIs(found.level, Level.DANE)
        self.assertEqual(found.match, ("mx.test", "example.com"))
        self.assertEqual(found.servername, "mx.test")
        self.assertEqual(len(found.tlsa), 1)

    def test_not_signed(self) -> None:
        """
        Records that nobody has signed are worth nothing: dane is then may, and
        dane-only waits.
        """
        for names in (zone(host=False), zone(tlsa=False)):
            self.assertIs(self.level(names), Level.MAY)
            self.assertEqual(self.level(names, Level.DANE_ONLY), "4.7.5")

    def test_insecure_mx(self) -> None:
        for policy, expected in (
            ("dane", Level.HALF_DANE),
            ("encrypt", Level.ENCRYPT),
            ("may", Level.MAY),
        ):
            names = zone(mx=False)
            found = self.level(names, smtp_tls_dane_insecure_mx_policy=policy)
            self.assertIs(found, expected)
        self.assertEqual(self.level(zone(mx=False), Level.DANE_ONLY), "4.7.5")

    def test_unusable(self) -> None:
        """
        There is TLS, they say, but not with whom (RFC 7672 section 2.2).
        """
        names = zone(row="1 1 1 " + "ab" * 32)
        self.assertIs(self.level(names), Level.ENCRYPT)
        self.assertEqual(self.level(names, Level.DANE_ONLY), "4.7.5")

    def test_no_answer(self) -> None:
        """
        An attacker who keeps the answer from us must not get the mail.
        """
        names = zone()
        names.broken.add("_25._tcp.mx.test")
        found = self.apply(names)
        self.assertEqual(found, Trouble("4.7.5", "TLSA lookup error for mx.test:25"))

    def test_disabled(self) -> None:
        self.assertIs(self.level(zone(), smtp_dns_support_level=""), Level.MAY)
        self.assertIn("dnssec lookups disabled", self.warnings[0])


class JudgeTests(SynchronousTestCase):
    def test_usages(self) -> None:
        """
        The server's own key, whatever the name; an authority, and the name.
        """
        authority = Authority()
        _, own = authority.make("mx.test")
        key = own.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
        above = authority.certificate.public_bytes(Encoding.DER)
        ours = Tlsa(3, 1, 1, sha256(key).digest())
        theirs = Tlsa(2, 0, 1, sha256(above).digest())
        wrong = Tlsa(3, 1, 1, bytes(32))
        for record, name, good in (
            (ours, "other.test", True),
            (theirs, "mx.test", True),
            (theirs, "other.test", False),
            (wrong, "mx.test", False),
            (Tlsa(2, 0, 1, bytes(32)), "mx.test", False),
        ):
            policy = Policy(Level.DANE, match=(name,), tlsa=(record,))
            chain = Presented((own, authority.certificate), (20,))
            verdict = judge(chain, policy, Material({}))
            self.assertEqual(verdict.matched, good, (record.usage, name))
