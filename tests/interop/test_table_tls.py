"""
TLS to databases: MariaDB, Redis and OpenLDAP with certificates of an authority
of the tests' own.
"""

from __future__ import annotations

import datetime
import ipaddress
import shutil
import tempfile
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from tests.interop import mariadb, openldap
from tests.interop.mariadb import MariaDb
from tests.interop.openldap import BASE, OpenLdap
from tests.interop.test_redis import PASSWORD, Redis
from tests.interop.tools import free_port
from tests.table_contract import context
from txmta.errors import TableUnavailable
from txmta.interfaces import ITableType
from txmta.maps.ldap import LdapType
from txmta.maps.mysql import MysqlType
from txmta.maps.redis import RedisType


def make_certificates(folder: Path) -> None:
    """
    An authority (C{ca.pem}), a server's certificate for C{127.0.0.1}
    (C{cert.pem}, C{key.pem}), and another authority (C{other.pem}).
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    now = datetime.datetime.now(datetime.UTC)
    pem = serialization.Encoding.PEM

    def make(
        name: str, issuer: tuple[x509.Name, ec.EllipticCurvePrivateKey] | None
    ) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        by, with_key = issuer or (subject, key)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(by)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=2))
            .add_extension(x509.BasicConstraints(issuer is None, None), True)
        )
        if issuer is not None:
            address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
            builder = builder.add_extension(
                x509.SubjectAlternativeName([address]), False
            )
        return builder.sign(with_key, hashes.SHA256()), key

    authority, authority_key = make("authority", None)
    other, _key = make("other", None)
    certificate, key = make("server", (authority.subject, authority_key))
    (folder / "ca.pem").write_bytes(authority.public_bytes(pem))
    (folder / "other.pem").write_bytes(other.public_bytes(pem))
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            pem,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    for name in ("ca", "other", "cert", "key"):
        (folder / f"{name}.pem").chmod(0o644)


class TlsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.certificates = Path(tempfile.mkdtemp(prefix="txmta-tls-"))
        self.certificates.chmod(0o755)
        self.addCleanup(shutil.rmtree, self.certificates)
        make_certificates(self.certificates)
        self.port = free_port()

    def check(
        self, kind: ITableType, text: str, names: tuple[str, str], bad: str
    ) -> None:
        """
        With the authority, with the name; not with another authority, nor
        where the name is another one.

        @param text: settings without TLS, with C{HOST} for the host.
        @param names: of the authorities and of whether the name counts.
        @param bad: a host that is this machine and not in the certificate.
        """
        file, verify = names
        cf = self.certificates / "t.cf"

        def lookup(host: str, authority: str, checked: str) -> str | None:
            cf.write_text(
                f"{text.replace('HOST', host)}\n{verify} = {checked}\n"
                f"{file} = {self.certificates}/{authority}.pem\n"
            )
            table = kind.open(str(cf), context(f"{kind.prefix}:{cf}"))
            found = table.lookup("key")
            assert found is None or isinstance(found, str)
            return found

        self.assertEqual(lookup("127.0.0.1", "ca", "yes"), "value")
        self.assertEqual(lookup(bad, "ca", "no"), "value")
        for host, authority in (("127.0.0.1", "other"), (bad, "ca")):
            error = self.assertRaises(TableUnavailable, lookup, host, authority, "yes")
            self.assertIn("certificate verify failed", error.reason)

    def test_mysql(self) -> None:
        """
        MariaDB.
        """
        if mariadb.missing():
            raise SkipTest(mariadb.missing())
        server = MariaDb(
            self,
            *("--bind-address=127.0.0.1,127.0.0.2", f"--port={self.port}"),
            *(f"--ssl-{n}={self.certificates}/{n}.pem" for n in ("ca", "cert", "key")),
        )
        server.begin()
        server.fill("CREATE TABLE t (k text)", "INSERT INTO t VALUES ('value')")
        text = server.settings(f"HOST:{self.port}") + "query = SELECT k FROM t\n"
        names = "tls_CAfile", "tls_verify_cert"
        self.check(MysqlType(), text, names, "127.0.0.2")

    def test_redis(self) -> None:
        """
        Redis.
        """
        server = Redis(self)
        server.options = (
            *("--tls-port", str(self.port), "--tls-auth-clients", "no"),
            *("--tls-ca-cert-file", f"{self.certificates}/ca.pem"),
            *("--tls-cert-file", f"{self.certificates}/cert.pem"),
            *("--tls-key-file", f"{self.certificates}/key.pem"),
        )
        server.begin()
        server.fill("SET key value")
        text = f"hosts = HOST:{self.port}\npassword = {PASSWORD}\nquery = GET %s\n"
        self.check(RedisType(), text, ("tls_CAfile", "tls_verify_cert"), "localhost")

    def test_ldap(self) -> None:
        """
        OpenLDAP, with TLS from the beginning, and begun later.
        """
        if openldap.missing():
            raise SkipTest(openldap.missing())
        plain = free_port()
        server = OpenLdap(
            self,
            f"TLSCACertificateFile {self.certificates}/ca.pem",
            f"TLSCertificateFile {self.certificates}/cert.pem",
            f"TLSCertificateKeyFile {self.certificates}/key.pem",
            urls=(f"ldaps://127.0.0.1:{self.port}/", f"ldap://127.0.0.1:{plain}/"),
        )
        server.fill(
            {
                "cn=key": {
                    "objectClass": ["inetOrgPerson", "mailThing"],
                    "cn": ["key"],
                    "sn": ["x"],
                    "maildrop": ["value"],
                }
            }
        )
        server.begin()
        names = "tls_ca_cert_file", "tls_require_cert"
        rest = f"search_base = {BASE}\nquery_filter = cn=%s\n"
        for host in (f"ldaps://HOST:{self.port}", f"ldap://HOST:{plain}"):
            start = "" if "ldaps" in host else "start_tls = yes\n"
            text = f"server_host = {host}\n{start}{rest}"
            self.check(LdapType(), text, names, "localhost")
