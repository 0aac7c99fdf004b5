"""
Tests of L{txmta.maps.redis} without a server.
"""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.table_contract import context
from txmta.errors import ConfigError
from txmta.maps.redis import RedisType, read_query
from txmta.maps.templates import Parts


class SettingsTests(SynchronousTestCase):
    def test_query(self) -> None:
        """
        A word of the query stays one, whatever the key is.
        """
        query = read_query("hget  alias:%d %u")
        self.assertEqual(
            query.bind(Parts.of("a b\r\nDEL@x y")),
            ("hget", "alias:x y", "a b\r\nDEL"),
        )
        for text in ("SET %s 1", "%s", "", "DEL x", "EVAL x 0", "GET %x"):
            self.assertRaises(ValueError, read_query, text)

    def test_wrong(self) -> None:
        """
        All that is wrong is told at once, by name.
        """
        cf = Path(self.mktemp()).absolute()
        cf.write_text(
            "hosts = h:x\ndbname = first\nuser = u\nquery = SET %s 1\n"
            "tls = perhaps\nresult_format = %q\nretry_interval = -1\n"
        )
        error = self.assertRaises(
            ConfigError, RedisType().open, str(cf), context(f"redis:{cf}")
        )
        found = "; ".join(error.problems)
        for name in (
            *("hosts", "dbname", "password", "query", "tls", "result_format"),
            "retry_interval",
        ):
            self.assertIn(f" {name}: ", found)
