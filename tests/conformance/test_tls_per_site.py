"""
Postfix's own test of smtp_tls_per_site: host, next hop, main.cf.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.support import cases
from txmta.smtp.client_tls_level import Level
from txmta.smtp.client_tls_policy import per_site

LEVELS = {
    "-": Level.NONE,
    "none": Level.NONE,
    "may": Level.MAY,
    "must_nopeermatch": Level.ENCRYPT,
    "must": Level.VERIFY,
}


class PerSiteTests(SynchronousTestCase):
    def test_all(self) -> None:
        path = cases("postfix-tables") / "smtp" / "tls_policy.ref"
        rows = [line.split() for line in path.read_text().splitlines()[1:] if line]
        for host, nexthop, general, expected in rows:
            found, _ = per_site(
                LEVELS[general],
                None if nexthop == "-" else nexthop,
                None if host == "-" else host,
            )
            self.assertIs(found, LEVELS[expected], (host, nexthop, general))
        self.assertGreater(len(rows), 50)
