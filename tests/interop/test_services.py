"""
Services of master.cf in the running server, in one process and in several:
what C{-o} says counts there, and only there.
"""

from __future__ import annotations

import smtplib

from tests.interop import running
from tests.interop.postfix_instance import Sink
from tests.interop.running import RunningTestCase
from tests.interop.tools import answers, free_port, wait_for

MAIN_CF = """\
relayhost = [127.0.0.1]:{sink}
relay_domains = relayed.example
smtpd_banner = $myhostname here
"""

MASTER_CF = """\
127.0.0.1:{port} inet n - n - - smtpd
  -o syslog_name=postfix/$service_name -o cleanup_service_name=out
  -o {{ smtpd_banner = $myhostname there }}
  -o message_drop_headers=subject
cleanup unix n - n - 0 cleanup
out     unix n - n - 0 cleanup -o message_drop_headers=x-inside,bcc
  -o syslog_name=postfix/out
anvil   unix - - n - 1 anvil
tlsmgr  unix - - n 1000? 1 tlsmgr
smtp    unix - - n - - smtp
relay   unix - - n - - smtp -o syslog_name=postfix/$service_name
local   unix - n n - - local
virtual unix - n n - - virtual
error   unix - - n - - error
retry   unix - - n - - error
"""

MESSAGE = "Subject: s\nX-Inside: y\nMessage-ID: <{id}>\n\ntext\n"


class ServiceTests(RunningTestCase):
    def test_single(self) -> None:
        self.serves("single")

    def test_multi(self) -> None:
        self.serves("multi")

    def serves(self, model: str) -> None:
        self.patch(running, "MODEL", model)
        sink = Sink()
        self.addCleanup(sink.close)
        port = free_port()
        main_cf = MAIN_CF.format(sink=sink.port) + f"process_model = {model}\n"
        server = self.txmta(main_cf, master_cf=MASTER_CF.format(port=port))
        server.start()
        wait_for(lambda: answers(port, "127.0.0.1"), "the second does not listen")
        self.send(server.port, "here", "a@elsewhere.example")
        self.send(port, "there", "b@relayed.example")
        server.wait_for_log("status=sent", 2)
        here, there = (
            sink.kept[name] for name in ("a@elsewhere.example", "b@relayed.example")
        )
        # cleanup's own, not that of smtpd and not that of the other.
        self.assertIn(b"\nX-Inside: y\r\n", here)
        self.assertNotIn(b"X-Inside", there)
        self.assertIn(b"\nSubject: s\r\n", there)
        log = server.log()
        for pattern, count in (
            (rf" postfix/127.0.0.1:{port}/smtpd\[\d+\]: \w+: client=", 1),
            (r" postfix/smtpd\[\d+\]: \w+: client=", 1),
            (r" postfix/out/cleanup\[\d+\]: \w+: message-id=<2@", 1),
            (r" postfix/cleanup\[\d+\]: \w+: message-id=<1@", 1),
            (r" postfix/relay/smtp\[\d+\]: \w+: to=<b@", 1),
            (r" postfix/smtp\[\d+\]: \w+: to=<a@", 1),
            (r"not processes: anvil, tlsmgr", 1),
        ):
            self.assertEqual(len(server.wait_for_log(pattern)), count, log)

    def send(self, port: int, banner: str, recipient: str) -> None:
        number = 1 if recipient.startswith("a@") else 2
        with smtplib.SMTP(timeout=20) as client:
            _code, text = client.connect("127.0.0.1", port)
            self.assertIn(f" {banner}", text.decode())
            content = MESSAGE.format(id=f"{number}@client.example")
            client.sendmail("s@client.example", [recipient], content)
