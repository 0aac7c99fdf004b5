"""
Postfix's own tests of filters on answers of DNS lists.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.support import cases
from txmta.smtp.access.dns_lists import FilterError, read_filter


class FilterCases(SynchronousTestCase):
    def test_transcript(self) -> None:
        """
        What is understood, each complaint, and each match.
        """
        folder = cases("postfix-tables") / "util"
        got = []
        for line in (folder / "ip_match.in").read_text().splitlines():
            got.append(f"> {line}")
            words = line.split()
            try:
                found = read_filter(words[0])
            except FilterError as e:
                got.append(f"Error: {e}")
                continue
            got.append(f"Code: {found.text}")
            for address in words[1:]:
                yes = "yes" if found.matches(address) else "no"
                got.append(f"Match {address}: {yes}")
        expected = (folder / "ip_match.ref").read_text().splitlines()
        self.assertEqual(got, expected)
