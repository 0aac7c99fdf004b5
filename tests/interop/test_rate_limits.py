"""
check_rate_limit in the running server: all processes, a restart, the hold queue, the
postmaster.
"""

from __future__ import annotations

import re
import smtplib

from tests.interop.running import RunningTestCase, Txmta
from tests.interop.tools import PATIENCE, wait_for
from tests.support import require_root

MAIN_CF = """\
process_model = multi
processes_per_role = 2
mydestination =
relayhost = [127.0.0.1]:{port}
error_notice_recipient = admin@far.test
smtpd_data_restrictions =
    check_rate_limit {{ sender 5 messages/1h defer }}
    check_rate_limit {{ sender_domain 7 messages/1h hold }}
"""


class RateLimitTests(RunningTestCase):
    def send(self, server: Txmta, sender: str) -> int:
        """
        @return: code of the reply to DATA or to its end.
        """
        with smtplib.SMTP("127.0.0.1", server.port, timeout=PATIENCE) as smtp:
            try:
                smtp.sendmail(sender, ["x@far.test"], b"Subject: x\r\n\r\nx\r\n")
            except smtplib.SMTPDataError as e:
                return e.smtp_code
        return 250

    def test_limits(self) -> None:
        """
        Two processes count as one, also after a restart; what is held waits,
        and the postmaster hears of each limit once.
        """
        require_root("to run several processes")
        hop = self.aiosmtpd()
        server = self.running(MAIN_CF.format(port=hop.port))
        codes = [self.send(server, "a@x.test") for _ in range(7)]
        self.assertEqual(codes, [250] * 5 + [450] * 2)
        server.stop()
        server.start()
        self.assertEqual(self.send(server, "a@x.test"), 450)
        # Five of x.test were taken. Those that were deferred come first in the
        # list, and are not asked about the second limit.
        self.assertEqual([self.send(server, "b@x.test") for _ in range(3)], [250] * 3)
        held = server.wait_for_log("rate limit exceeded: sender_domain")
        self.assertIn("hold", held[0])

        def told() -> list[bytes]:
            contents = [bytes(m.content) for m in hop.messages]
            return [c for c in contents if b"Out: rate limit exceeded" in c]

        wait_for(lambda: len(told()) >= 2, lambda: server.log()[-3000:])
        self.assertEqual(len(told()), 2)
        self.assertEqual(len(re.findall(r"smtpd\[\d+\]: .*: hold: ", server.log())), 1)
