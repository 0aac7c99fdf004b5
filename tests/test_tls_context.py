"""
Tests for L{txmta.tls_context}: two ends in memory.
"""

from __future__ import annotations

import contextlib

from cryptography.hazmat.primitives.asymmetric import rsa
from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from tests.tls_help import NOW, Authority, pem
from txmta.errors import ConfigError
from txmta.tls_context import Wanted, make_context, trust, use_chains
from txmta.tls_files import chains_of
from txmta.tls_policy import protocols


def wanted(versions: str = ">=TLSv1.2", ciphers: str = "HIGH", *curves: str) -> Wanted:
    return Wanted(protocols(versions.split()), ciphers, curves)


def handshake(client: SSL.Context, server: SSL.Context) -> SSL.Connection:
    """
    @return: the client's end.
    """
    ends = SSL.Connection(client, None), SSL.Connection(server, None)
    ends[0].set_connect_state()
    ends[1].set_accept_state()
    for _ in range(4):
        for one, other in (ends, ends[::-1]):
            with contextlib.suppress(SSL.WantReadError):
                one.do_handshake()
            with contextlib.suppress(SSL.WantReadError):
                other.bio_write(one.bio_read(65536))
    return ends[0]


class ContextTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.ca = Authority()
        texts = [("file", pem(*self.ca.make("mx.example"), self.ca.certificate))]
        self.chains = chains_of(iter(texts), NOW.timestamp())

    def server(self, want: Wanted) -> SSL.Context:
        context = make_context(want, True)
        use_chains(context, self.chains)
        return context

    def test_protocol(self) -> None:
        """
        Both ends keep to the versions that they may use.
        """
        server = self.server(wanted("<=TLSv1.2"))
        end = handshake(make_context(wanted(), False), server)
        self.assertEqual(end.get_protocol_version_name(), "TLSv1.2")
        client = make_context(wanted("!SSLv2 !SSLv3 !TLSv1 !TLSv1.1 !TLSv1.2"), False)
        self.assertRaises(SSL.Error, handshake, client, server)
        self.assertRaises(SSL.Error, handshake, client, self.server(wanted("TLSv1.2")))

    def test_ciphers(self) -> None:
        """
        And to ciphers.
        """
        server = self.server(wanted("TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256"))
        end = handshake(make_context(wanted(), False), server)
        self.assertEqual(end.get_cipher_name(), "ECDHE-ECDSA-AES128-GCM-SHA256")
        error = self.assertRaises(
            ConfigError, make_context, wanted("TLSv1.2", "NO-SUCH"), True
        )
        self.assertEqual(error.problems[0], "there is no cipher in NO-SUCH")

    def test_curves(self) -> None:
        """
        And to curves; those that the library does not know are left out.
        """
        server = self.server(wanted(">=TLSv1.3", "HIGH", "nosuch", "secp384r1"))
        end = handshake(make_context(wanted(), False), server)
        self.assertIn("384", end.get_group_name() or "")
        self.assertRaises(
            ConfigError, make_context, wanted(">=TLSv1", "HIGH", "nosuch"), True
        )

    def test_trust(self) -> None:
        """
        The whole chain is sent; it is verified with the authorities named.
        """
        client = make_context(wanted(), False)
        trust(client, [self.ca.certificate])
        client.set_verify(SSL.VERIFY_PEER)
        end = handshake(client, self.server(wanted()))
        self.assertEqual(len(end.get_peer_cert_chain() or ()), 2)
        stranger = make_context(wanted(), False)
        trust(stranger, [Authority("Other").certificate])
        stranger.set_verify(SSL.VERIFY_PEER)
        self.assertRaises(SSL.Error, handshake, stranger, self.server(wanted()))

    def test_two_keys(self) -> None:
        """
        A server may have one certificate of each kind, each with its chain.
        """
        other = Authority("Other")
        key = rsa.generate_private_key(65537, 2048)
        own = other.sign(other.name, key, is_authority=True)
        texts = [("rsa", pem(key, own, other.certificate))]
        self.chains += chains_of(iter(texts), NOW.timestamp())
        for cipher, issuer in (
            ("ECDHE-ECDSA-AES128-GCM-SHA256", "Test CA"),
            ("ECDHE-RSA-AES128-GCM-SHA256", "Other"),
        ):
            client = make_context(wanted("TLSv1.2", cipher), False)
            chain = handshake(client, self.server(wanted())).get_peer_cert_chain()
            assert chain is not None
            self.assertEqual(chain[0].get_issuer().CN, issuer)
            self.assertEqual(chain[1].get_subject().CN, issuer)
