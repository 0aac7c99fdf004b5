"""
Tests of L{txmta.maps.mysql} and L{txmta.maps.client_tls} without a server.
"""

from __future__ import annotations

import ssl
import sys
from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from tests.table_contract import context
from txmta.errors import ConfigError
from txmta.maps.client_file import ClientSettings
from txmta.maps.client_tls import tls_context
from txmta.maps.mysql import SOCKETS, MysqlType, host_parameters


class HostTests(SynchronousTestCase):
    def test_forms(self) -> None:
        """
        All forms of mysql_table(5).
        """
        for item, wanted in (
            ("h", {"host": "h", "port": 3306}),
            ("inet:h:1", {"host": "h", "port": 1}),
            ("/run/x", {"unix_socket": "/run/x"}),
        ):
            self.assertEqual(host_parameters(item), wanted)
        for item in ("localhost", "inet:localhost"):
            self.assertIn(host_parameters(item)["unix_socket"], SOCKETS)


class SettingsTests(SynchronousTestCase):
    def problems(self, text: str) -> str:
        cf = Path(self.mktemp()).absolute()
        cf.write_text(text)
        error = self.assertRaises(
            ConfigError, MysqlType().open, str(cf), context(f"mysql:{cf}")
        )
        return "; ".join(error.problems)

    def test_wrong(self) -> None:
        """
        All that is wrong is told at once, by name; what is not there too.
        """
        try:
            import pymysql  # noqa: F401
        except ImportError:
            self.assertIn("pip install 'txmta[mysql]'", self.problems(""))
            return
        found = self.problems(
            "hosts = h:x\ncharset = gbk\noption_file = /etc/my.cnf\n"
            "option_group = x\ntls_CAfile = /nowhere\ntls_key_file = /x\n"
            "idle_interval = never\nretry_interval = x\nrequire_result_set = maybe\n"
        )
        for name in (
            *("hosts", "charset", "option_file", "option_group", "tls_CAfile"),
            *("tls_cert_file", "idle_interval", "retry_interval"),
            *("require_result_set", "dbname", "query"),
        ):
            self.assertIn(f" {name}: ", found)

    def test_no_library(self) -> None:
        """
        Without PyMySQL the table is refused, and the remedy told.
        """
        with mock.patch.dict(sys.modules, {"pymysql": None}):
            self.assertIn("pip install 'txmta[mysql]'", self.problems(""))


class TlsTests(SynchronousTestCase):
    def context(self, **texts: str) -> ssl.SSLContext | None:
        self.found = ClientSettings("t.cf", texts)
        return tls_context(self.found)

    def test_when(self) -> None:
        """
        TLS is a must if anything of it is set.
        """
        self.assertIsNone(self.context())
        self.assertIsNone(self.context(tls_verify_cert="no"))
        plain = self.context(tls_ciphers="HIGH")
        assert plain is not None
        self.assertEqual(plain.verify_mode, ssl.CERT_NONE)
        self.assertFalse(plain.check_hostname)
        checked = self.context(tls_verify_cert="yes")
        assert checked is not None
        self.assertEqual(checked.verify_mode, ssl.CERT_REQUIRED)
        self.assertTrue(checked.check_hostname)

    def test_authorities(self) -> None:
        """
        With authorities the certificate must be of one of them.
        """
        folder = Path(self.mktemp())
        folder.mkdir()
        checked = self.context(tls_CApath=str(folder))
        assert checked is not None
        self.assertEqual(checked.verify_mode, ssl.CERT_REQUIRED)
        self.assertFalse(checked.check_hostname)

    def test_wrong(self) -> None:
        """
        Files that cannot be read, by name.
        """
        for name in ("tls_CAfile", "tls_cert_file"):
            self.context(**{name: "/nowhere/x.pem"})
            (problem,) = self.found.problems
            self.assertIn(f"t.cf: {name}: /nowhere/x.pem", problem)
        self.context(tls_ciphers="nothing")
        self.assertIn("tls_ciphers", self.found.problems[0])
