"""
Logging in to servers, good and bad: what Debian's Postfix does and says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from zope.interface import implementer

from tests.interop import test_smtp_client_words as words
from tests.interop.postfix_instance import Postfix
from tests.interop.test_smtp_client import AgentCase
from tests.support import require, require_root
from txmta.delivery.context import AgentContext
from txmta.delivery.smtp import SmtpAgent
from txmta.interfaces import ITable


def offer(mechanisms: str) -> bytes:
    return f"250-mail\r\n250-AUTH{mechanisms}\r\n250 8BITMIME\r\n".encode()


OK = b"235 2.7.0 ok\r\n"

#: The answers to challenges of LOGIN: C{me} and C{pw}.
NAME, PASSWORD = "bWU=", "cHc="

#: What differs from a friendly server.
CASES: Mapping[str, Mapping[str, bytes | None]] = {
    "no AUTH": {},
    "PLAIN": {"EHLO": offer(" PLAIN"), "AUTH": OK},
    "AUTH=PLAIN": {"EHLO": offer("=PLAIN"), "AUTH": OK},
    "in the middle": {
        "EHLO": b"250-mail\r\n250-AUTH PLAIN X\r\n250 SIZE 100000\r\n",
        "AUTH": OK,
    },
    "LOGIN": {
        "EHLO": offer(" LOGIN"),
        "AUTH": b"334 VXNlcm5hbWU6\r\n",
        NAME: b"334 UGFzc3dvcmQ6\r\n",
        PASSWORD: OK,
    },
    "LOGIN refused": {
        "EHLO": offer(" LOGIN"),
        "AUTH": b"334 VXNlcm5hbWU6\r\n",
        NAME: b"334 UGFzc3dvcmQ6\r\n",
        PASSWORD: b"535 5.7.8 Error: authentication failed: no\r\n",
    },
    "535": {"EHLO": offer(" PLAIN"), "AUTH": b"535 5.7.8 no\r\n"},
    "535, no status": {"EHLO": offer(" PLAIN"), "AUTH": b"535 no\r\n"},
    "454": {"EHLO": offer(" PLAIN"), "AUTH": b"454 4.7.0 later\r\n"},
    "lines": {"EHLO": offer(" PLAIN"), "AUTH": b"535-5.7.8 a\r\n535 5.7.8 b\r\n"},
    "421": {"EHLO": offer(" PLAIN"), "AUTH": b"421 4.3.2 bye\r\n"},
    "nothing offered": {"EHLO": offer("")},
    "nothing that we have": {"EHLO": offer(" FOO-1 BAR")},
    "lost": {"EHLO": offer(" PLAIN"), "AUTH": None},
}

SETTINGS = {
    "smtp_sasl_auth_enable": "yes",
    "smtp_sasl_security_options": "noanonymous",
    "smtp_sasl_password_maps": "inline:{127.0.0.1=me:pw}",
}

_NONE = re.compile(r"(cannot authenticate to server \S+): .*")


@implementer(ITable)
class Passwords:
    def lookup(self, key: str) -> str | None:
        return "me:pw" if key == "127.0.0.1" else None


class LoginWordsTests(AgentCase):
    """
    Each case in both.
    """

    timeout = 300
    # In the same way as for servers without AUTH.
    ours: Any = words.WordsTests.ours
    theirs: Any = words.WordsTests.theirs

    def make(self, **settings: str) -> SmtpAgent:
        def with_table(*arguments: object) -> AgentContext:
            parts = list(arguments)
            parts[7] = lambda item, parameter: Passwords()
            return AgentContext(*parts)  # type: ignore[arg-type]

        with mock.patch("tests.interop.test_smtp_client.AgentContext", with_table):
            return super().make(**settings)

    async def test_words(self) -> None:
        """
        The agent says of each server what Postfix says.
        """
        require("postfix")
        require_root("to run a Postfix of its own")
        script = words.Script()
        self.addCleanup(script.close)
        postfix = Postfix(
            {
                **SETTINGS,
                "relayhost": f"[127.0.0.1]:{script.port}",
                "smtp_destination_concurrency_failed_cohort_limit": "1000",
                "relay_destination_concurrency_failed_cohort_limit": "1000",
                "smtp_tls_security_level": "none",
            }
        )
        await deferToThread(postfix.run, "start")
        self.addCleanup(deferToThread, postfix.close)
        self.agent = self.make(smtp_connection_cache_on_demand="no", **SETTINGS)
        different = []
        for name, replies in CASES.items():
            script.replies = {**words.FRIENDLY, **replies}
            theirs = await deferToThread(self.theirs, postfix)
            ours = await Deferred.fromCoroutine(self.ours(script.port))
            for each in (theirs, ours):
                # In the words of a library, and of ours.
                each["reason"] = _NONE.sub(r"\1: why", each["reason"])
            if ours != theirs:
                different.append((name, theirs, ours))
        self.assertEqual(different, [])
        self.assertEqual(len(CASES), 14)
