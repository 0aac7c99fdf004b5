"""
Mail goes where tables say: transport_maps, relocated_maps, relayhost and transport
by sender, the virtual alias class; in one process and in several.
"""

from __future__ import annotations

import smtplib

from tests.interop.running import RunningTestCase, Txmta
from tests.interop.tools import PATIENCE
from tests.support import require_root

_MAIN_CF = """\
mydestination =
local_transport = error:nobody here
relay_domains = inside.test
virtual_alias_domains = alias.test
relayhost = [127.0.0.1]:{other}
transport_maps = inline:{{
 {{Inside.test = smtp:[127.0.0.1]:{first}}}
 {{.down.test = error:5.7.1 No Mail for *.down.test}}
 {{late.test = retry:4.7.1 Not Now}} {{keep.test = :}} {{nowhere.test = none:}} }}
relocated_maps = inline:{{ {{anna@inside.test = Anna@New.test}} }}
sender_dependent_relayhost_maps = inline:{{ {{@gate.test = [127.0.0.1]:{first}}} }}
sender_dependent_default_transport_maps = inline:{{
 {{no@gate.test = error:5.7.9 Not You}} }}
smtpd_reject_unlisted_recipient = {unlisted}
"""

UNKNOWN = "User unknown in virtual alias table"


class RoutingTests(RunningTestCase):
    model = "process_model = single\n"

    def server(self, unlisted: str) -> Txmta:
        self.first, self.other = self.aiosmtpd(), self.aiosmtpd()
        text = _MAIN_CF.format(
            first=self.first.port, other=self.other.port, unlisted=unlisted
        )
        return self.running(text + self.model)

    def send(self, server: Txmta, sender: str, *recipients: str) -> dict[str, str]:
        """
        @return: who was refused, and how.
        """
        with smtplib.SMTP("127.0.0.1", server.port, timeout=PATIENCE) as client:
            client.ehlo()
            client.mail(sender)
            refused: dict[str, str] = {}
            for recipient in recipients:
                code, text = client.rcpt(recipient)
                if code != 250:
                    refused[recipient] = f"{code} {text.decode()}"
            if len(refused) < len(recipients):
                self.assertEqual(client.data(b"Subject: x\r\n\r\nx\r\n")[0], 250)
            return refused

    def test_ways(self) -> None:
        """
        Each recipient of a message goes its way; some come back, some wait.
        """
        server = self.server("no")
        recipients = (
            *("u@inside.test", "anna@inside.test", "u@a.down.test", "u@late.test"),
            *("u@keep.test", "u@nowhere.test", "u@alias.test", "u@else.test"),
        )
        self.assertEqual(self.send(server, "s@from.test", *recipients), {})
        for recipient, end in {
            "anna@inside.test": r"dsn=5\.1\.6, status=bounced "
            r"\(User has moved to Anna@New\.test\)",
            "u@a.down.test": r"dsn=5\.7\.1, status=bounced "
            r"\(No Mail for \*\.down\.test\)",
            "u@alias.test": rf"dsn=5\.1\.1, status=bounced \({UNKNOWN}\)",
            "u@late.test": r"dsn=4\.7\.1, status=deferred \(Not Now\)",
            "u@nowhere.test": r"dsn=4\.3\.0, status=deferred "
            r"\(mail transport unavailable\)",
            "u@inside.test": rf"127\.0\.0\.1\]:{self.first.port}, .* status=sent",
            "u@keep.test": rf"127\.0\.0\.1\]:{self.other.port}, .* status=sent",
            "u@else.test": rf"127\.0\.0\.1\]:{self.other.port}, .* status=sent",
        }.items():
            server.wait_for_log(rf"to=<{recipient}>, .*{end}")
        (inside,) = self.first.take()
        self.assertEqual(inside.recipients, ("u@inside.test",))
        # The other one, and the notice to the sender.
        found = {m.recipients for m in self.other.take(2)}
        self.assertEqual(found, {("u@keep.test", "u@else.test"), ("s@from.test",)})

    def test_senders(self) -> None:
        """
        The relayhost, and the transport, may be the sender's.
        """
        server = self.server("no")
        self.send(server, "s@gate.test", "u@else.test")
        (message,) = self.first.take()
        self.assertEqual(message.sender, "s@gate.test")
        self.send(server, "s@from.test", "u@else.test")
        (message,) = self.other.take()
        self.assertEqual(message.sender, "s@from.test")
        self.send(server, "no@gate.test", "u@else.test")
        server.wait_for_log(
            r"to=<u@else.test>.*dsn=5\.7\.9, status=bounced \(Not You\)"
        )

    def test_unlisted(self) -> None:
        """
        smtpd refuses at once whoever is known to go nowhere.
        """
        server = self.server("yes")
        for sender, recipient, status, words in (
            (
                "a@b.test",
                "anna@inside.test",
                "550 5.1.6",
                "User has moved to Anna@New.test",
            ),
            ("a@b.test", "u@a.down.test", "550 5.7.1", "No Mail for *.down.test"),
            ("a@b.test", "u@late.test", "450 4.7.1", "Not Now"),
            ("a@b.test", "u@alias.test", "550 5.1.1", UNKNOWN),
            ("no@gate.test", "u@else.test", "550 5.7.9", "Not You"),
        ):
            reply = f"{status} <{recipient}>: Recipient address rejected: {words}"
            self.assertEqual(self.send(server, sender, recipient), {recipient: reply})


class MultiRoutingTests(RoutingTests):
    model = "process_model = multi\n"

    def setUp(self) -> None:
        require_root("starts several processes")
        super().setUp()
