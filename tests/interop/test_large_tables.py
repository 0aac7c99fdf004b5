"""
A text of more than 20 MB in the running server.
"""

from __future__ import annotations

import os
import signal
import smtplib
from pathlib import Path

from tests.interop.running import RunningTestCase, Txmta
from tests.interop.tools import PATIENCE, wait_for
from tests.support import require_library, require_root

#: Few entries with long values: LMDB takes them quickly.
_ENTRIES, _VALUE = 350, 65_000


class LargeTextTests(RunningTestCase):
    def write(self, server: Txmta, *names: str) -> Path:
        """
        Make the table of recipients.
        """
        filler = (f"filler{n} {'x' * _VALUE}\n" for n in range(_ENTRIES))
        known = (f"{name}@relay.test OK\n" for name in names)
        return server.write("recipients", "".join((*filler, *known)))

    def replies(self, server: Txmta, *names: str) -> list[int]:
        with smtplib.SMTP("127.0.0.1", server.port, timeout=PATIENCE) as client:
            client.ehlo()
            client.mail("a@b.test")
            return [client.rcpt(f"{name}@relay.test")[0] for name in names]

    def test_compiled(self) -> None:
        """
        It is compiled at start, and again by a reload; until then the version
        before counts.
        """
        require_root("starts several processes")
        require_library("lmdb")
        server = self.txmta(
            "relay_domains = relay.test\n"
            "relay_recipient_maps = hash:$config_directory/recipients\n"
        )
        text = self.write(server, "one")
        server.start()
        index = text.with_name("recipients.compiled.lmdb")
        first = index.stat().st_ino
        self.assertEqual(self.replies(server, "one", "two"), [250, 550])
        self.write(server, "one", "two")
        os.utime(text, (1, 1))
        wait_for(
            lambda: self.replies(server, "two") and "postfix reload" in server.log(),
            "a warning",
        )
        self.assertEqual(self.replies(server, "one", "two"), [250, 550])
        server.kill(signal.SIGHUP)
        wait_for(lambda: self.replies(server, "two") == [250], "the new version")
        self.assertNotEqual(index.stat().st_ino, first)
        self.assertNotIn("in the memory of each process", server.log())
