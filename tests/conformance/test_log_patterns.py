"""
fail2ban's current filter for Postfix, on lines as we write them.

The filter is not part of the project; see C{tests.support.cases}.
"""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from tests.support import cases

ID = "4jYX7s5lgHz00"


class Fail2banTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = cases("log-patterns")
        self.filter = (folder / "fail2ban-filter-postfix.conf").read_text()
        self.log = folder / "fail2ban-postfix-log"

    def setting(self, name: str) -> str:
        match = re.search(rf"^{name} *= *(.*(?:\n[ \t]+\S.*)*)", self.filter, re.M)
        assert match is not None, name
        return re.sub(
            r"%\(([\w-]+)\)s",
            lambda m: self.setting(m[1]),
            match[1].partition("  ;")[0],
        )

    def host(self, text: str) -> str | None:
        """
        @param text: what stands after "postfix/smtpd[1]: ".
        @return: whom the filter would ban.
        """
        prefix = rf"(?:{self.setting('_pref')}){self.setting('mdpr-normal')} (.+?)\s*$"
        found = re.match(prefix, text)
        if found is None:
            return None
        for pattern in self.setting("mdre-normal").splitlines():
            pattern = pattern.strip().replace("<HOST>", r"(?P<host>[\w.:]+)")
            if (match := re.match(pattern, found[1])) is not None:
                return match["host"]
        return None

    def test_theirs(self) -> None:
        """
        The reading of the filter is right: lines of its own test match.
        """
        lines = self.log.read_text("utf-8", "replace").splitlines()
        texts = [re.split(r"smtpd\[\d+\]: ", x)[-1] for x in lines if "smtpd[" in x]
        self.assertGreater(sum(self.host(x) is not None for x in texts), 10)

    def test_ours(self) -> None:
        """
        With our queue ids and without.
        """
        for prefix in ("NOQUEUE", ID):
            for reply in (
                "454 4.7.1 <x@y.test>: Relay access denied",
                "550 5.1.1 <x@y.test>: Recipient address rejected: User unknown in "
                "local recipient table",
            ):
                text = (
                    f"{prefix}: reject: RCPT from unknown[192.0.2.1]: {reply}; "
                    "from=<a@b.test> to=<x@y.test> proto=ESMTP helo=<h>"
                )
                self.assertEqual(self.host(text), "192.0.2.1", text)
        text = "improper command pipelining after DATA from unknown[192.0.2.1]: x"
        self.assertEqual(self.host(text), "192.0.2.1")
        self.assertIsNone(self.host(f"{ID}: client=unknown[192.0.2.1]"))
