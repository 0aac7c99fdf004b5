"""
Tests for L{txmta.tls_files} and L{txmta.admin.self_signed}.
"""

from __future__ import annotations

import datetime
import os
from pathlib import Path

from cryptography import x509
from twisted.trial.unittest import SynchronousTestCase

from tests.tls_help import NOW, Authority, pem, write
from txmta.admin.self_signed import make_self_signed
from txmta.errors import ConfigError
from txmta.tls_files import authorities, chains, fingerprint, pair

MOMENT = NOW.timestamp()


class FileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.ca = Authority()

    def refusal(self, *paths: str) -> str:
        """
        @return: why these files cannot be used; it names the file.
        """
        error = self.assertRaises(ConfigError, chains, paths, MOMENT)
        problem: str = error.problems[0]
        self.assertTrue(any(path in problem for path in paths), problem)
        return problem

    def test_chain_files(self) -> None:
        """
        Keys are followed by their certificates, in one file or several.
        """
        one, two = self.ca.make("one.example"), self.ca.make("two.example")
        first = write(self.folder / "a", *one, self.ca.certificate, two[0])
        second = write(self.folder / "b", two[1])
        found = chains([first, second], MOMENT)
        self.assertEqual(
            [each.certificates for each in found],
            [(one[1], self.ca.certificate), (two[1],)],
        )

    def test_pair(self) -> None:
        """
        Certificate and key can be in two files.
        """
        key, own = self.ca.make("one.example")
        certificate = write(self.folder / "cert", own, self.ca.certificate)
        found = pair(certificate, write(self.folder / "key", key), MOMENT)
        self.assertEqual(found.certificates, (own, self.ca.certificate))

    def test_refused(self) -> None:
        """
        What cannot be used is refused, with the file's name and a remedy.
        """
        key, own = self.ca.make("one.example")
        other, _ = self.ca.make("two.example")
        old = self.ca.make("old.example", NOW - datetime.timedelta(days=1))
        folder = self.folder
        for path, words in (
            (str(folder / "none"), "there is no such file"),
            (write(folder / "order", own, key), "put the key first"),
            (write(folder / "alone", key), "no certificate follows the key"),
            (write(folder / "other", other, own), "is not of the key"),
            (write(folder / "old", *old), "expired on 2026-10-31: renew it"),
            (write(folder / "empty"), "there is no private key in it"),
        ):
            self.assertIn(words, self.refusal(path))

    def test_passphrase(self) -> None:
        """
        A key with a passphrase cannot be used.
        """
        key, own = self.ca.make("one.example")
        path = self.folder / "secret"
        path.write_bytes(pem(key, own, secret=b"1234"))
        self.assertIn("has a passphrase", self.refusal(str(path)))

    def test_damaged(self) -> None:
        """
        So it is with damaged ones.
        """
        key, own = self.ca.make("one.example")
        path = self.folder / "damaged"
        lines = pem(key, own).splitlines()
        second = lines.index(b"-----BEGIN CERTIFICATE-----") + 1
        for n, words in ((1, "the key in it"), (second, "a certificate in it")):
            changed = [*lines]
            changed[n] = b"A" * len(lines[n])
            path.write_bytes(b"\n".join(changed) + b"\n")
            self.assertIn(words, self.refusal(str(path)))

    def test_unreadable(self) -> None:
        """
        Who cannot read a file is named.
        """
        path = write(self.folder / "mine", *self.ca.make("one.example"))
        os.chmod(path, 0)
        if os.geteuid() == 0:
            os.seteuid(65534)
            self.addCleanup(os.seteuid, 0)
        self.assertIn("cannot be read", self.refusal(path))

    def test_authorities(self) -> None:
        """
        Authorities are in a file, or in a directory under hashed names.
        """
        certificate = self.ca.certificate
        path = write(self.folder / "0123abcd.0", certificate)
        write(self.folder / "README", self.ca.make("x")[1])
        self.assertEqual(authorities(path), [certificate])
        self.assertEqual(authorities(str(self.folder)), [certificate])

    def test_fingerprint(self) -> None:
        """
        Octets in upper case, with colons, as Postfix has them.
        """
        self.assertEqual(
            fingerprint(b"", "md5"), "D4:1D:8C:D9:8F:00:B2:04:E9:80:09:98:EC:F8:42:7E"
        )

    def test_self_signed(self) -> None:
        """
        What is made for a new server can be used by it; its key is secret; nothing
        is written over.
        """
        certificate, key = self.folder / "cert.pem", self.folder / "key.pem"
        make_self_signed("mx.example.com", certificate, key, NOW)
        found = pair(str(certificate), str(key), MOMENT)
        names = found.certificates[0].extensions.get_extension_for_oid(
            _alternative_names()
        )
        self.assertIn("mx.example.com", str(names.value))
        self.assertEqual(key.stat().st_mode & 0o777, 0o600)
        self.assertEqual(certificate.stat().st_mode & 0o777, 0o644)
        before = key.read_bytes()
        again = ("mx.example.com", certificate, key, NOW)
        self.assertRaises(FileExistsError, make_self_signed, *again)
        self.assertEqual(key.read_bytes(), before)


def _alternative_names() -> x509.ObjectIdentifier:
    return x509.OID_SUBJECT_ALTERNATIVE_NAME
