"""
Addresses are mapped on their way through the running server: virtual aliases,
canonical addresses in envelope and headers, copies; in one process and in several.
"""

from __future__ import annotations

import smtplib
import socket
import subprocess
import sys
import time

from tests.interop.listening import serve_each
from tests.interop.peers import Message
from tests.interop.running import RunningTestCase, Txmta
from tests.interop.tools import ENVIRONMENT, PATIENCE, free_port, wait_for
from tests.support import require_root

_MAIN_CF = """\
mydestination = here.test
myorigin = here.test
relayhost = [127.0.0.1]:{hop}
recipient_delimiter = +
virtual_alias_domains = alias.test
virtual_alias_maps = hash:$config_directory/virtual
masquerade_domains = corp.test
always_bcc = archive@bcc.test
alias_maps = inline:{{list=team@alias.test}}
"""

_VIRTUAL = """\
team@alias.test  anna@one.test, bob@two.test
loop1@alias.test loop2@alias.test
loop2@alias.test loop1@alias.test
"""

_CANONICAL = """\
jo@here.test  Jo.Doe@corp.test
"""

_MASTER_CF = """\
127.0.0.1:{plain} inet n - n - - smtpd
    -o receive_override_options=no_address_mappings
cleanup unix n - n - 0 cleanup
    -o canonical_maps=hash:$config_directory/canonical
pickup unix n - n 60 1 pickup
smtp unix - - n - - smtp
local unix - n n - - local
error unix - - n - - error
retry unix - - n - - error
"""

TEAM = ("anna@one.test", "bob@two.test")

_CONTENT = (
    b'From: "Doe, Jo" <jo@here.test> (office)\r\n'
    b"To: Undisclosed Friends: jo@here.test,\r\n\tx@a.corp.test;\r\n"
    b"Subject: jo@here.test\r\n\r\njo@here.test\r\n"
)


class Case(RunningTestCase):
    model = "process_model = single\n"

    def setUp(self) -> None:
        super().setUp()
        self.hop = self.aiosmtpd()
        self.plain = free_port()

    def server(self, main_cf: str = "") -> Txmta:
        server = self.txmta(
            _MAIN_CF.format(hop=self.hop.port) + self.model + main_cf,
            master_cf=_MASTER_CF.format(plain=self.plain),
        )
        server.write("virtual", _VIRTUAL)
        server.write("canonical", _CANONICAL)
        server.start()
        return server

    def send(
        self, port: int, sender: str, *recipients: str, content: bytes = _CONTENT
    ) -> tuple[int, bytes]:
        with smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE) as client:
            client.ehlo()
            self.assertEqual(client.mail(sender)[0], 250)
            for recipient in recipients:
                self.assertEqual(client.rcpt(recipient)[0], 250)
            return client.data(content)

    def taken(self, *recipients: str) -> Message:
        """
        @param recipients: all that get something, each once.
        @return: the last of these messages.
        """

        def got() -> list[str]:
            return sorted(to for each in self.hop.messages for to in each.recipients)

        wait_for(lambda: len(got()) >= len(recipients), lambda: f"only {got()}")
        self.assertEqual(got(), sorted(recipients))
        return self.hop.messages[-1]


class MappingTests(Case):
    def test_all(self) -> None:
        """
        Headers are edited in place, and nothing else of the content.
        """
        server = self.server()
        code, _text = self.send(server.port, "jo+x@here.test", "team@alias.test")
        self.assertEqual(code, 250)
        message = self.taken(*TEAM, "archive@bcc.test")
        self.assertEqual(message.sender, "Jo.Doe+x@corp.test")
        self.assertIn(
            b'\r\nFrom: "Doe, Jo" <Jo.Doe@corp.test> (office)\r\n'
            b"To: Undisclosed Friends: Jo.Doe@corp.test,\r\n\tx@corp.test;\r\n"
            b"Subject: jo@here.test\r\n",
            message.content,
        )
        self.assertTrue(message.content.endswith(b"\r\n\r\njo@here.test\r\n"))
        lines = server.wait_for_log(r"orig_to=<team@alias.test>", 2)
        self.assertEqual(len(lines), 2)

    def test_made_here(self) -> None:
        """
        A local alias may lead to a virtual one; mail made here is not copied.
        """
        server = self.server()
        code, _text = self.send(server.port, "s@from.test", "list@here.test")
        self.assertEqual(code, 250)
        self.taken(*TEAM, "archive@bcc.test")

    def test_sendmail(self) -> None:
        server = self.server()
        subprocess.run(
            [
                *(sys.executable, "-m", "txmta.admin.sendmail"),
                *("-C", str(server.folder), "-f", "jo", "team@alias.test"),
            ],
            input=b"To: jo\n\nhello\n",
            check=True,
            timeout=PATIENCE,
            env=ENVIRONMENT,
        )
        message = self.taken(*TEAM, "archive@bcc.test")
        self.assertEqual(message.sender, "Jo.Doe@corp.test")
        self.assertIn(b"\r\nTo: Jo.Doe@corp.test\r\n", message.content)


class MultiMappingTests(MappingTests):
    model = "process_model = multi\n"

    def setUp(self) -> None:
        require_root("starts several processes")
        super().setUp()


class LateTableTests(Case):
    """
    A table that answers over the network, and later.
    """

    def setUp(self) -> None:
        super().setUp()
        self.broken = False
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        self.table_port = listener.getsockname()[1]
        serve_each(listener, self.serve)

    def serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            for line in lines:
                key = line.split()[1].decode()
                time.sleep(0.02)
                value = {
                    "jo@here.test": "200 late@corp.test",
                    "x@else.test": "200 one@else.test,two@else.test",
                }.get(key, "500 none")
                answer = "400 broken" if self.broken else value
                connection.sendall(f"{answer}\n".encode())

    def test_answers(self) -> None:
        """
        Envelope and headers wait for it, and so does the reply; nothing is lost
        of what comes in meanwhile. When it cannot say, the client keeps it.
        """
        table = f"tcp:127.0.0.1:{self.table_port}"
        server = self.server(
            f"virtual_alias_maps = {table}\nsender_canonical_maps = {table}\n"
            "always_bcc =\nsmtpd_reject_unlisted_recipient = no\n"
        )
        long = _CONTENT + (b"x" * 70 + b"\r\n") * 5000
        reply = self.send(server.port, "jo@here.test", "x@else.test", content=long)
        self.assertEqual(reply[0], 250, reply)
        message = self.taken("one@else.test", "two@else.test")
        self.assertEqual(message.sender, "late@corp.test")
        self.assertIn(b'From: "Doe, Jo" <late@corp.test> (office)', message.content)
        body = long.partition(b"\r\n\r\n")[2]
        self.assertEqual(message.content.partition(b"\r\n\r\n")[2], body)
        self.broken = True
        reply = self.send(server.port, "", "y@else.test")
        self.assertEqual(reply, (451, b"4.3.0 Error: queue file write error"))


class MultiLateTableTests(LateTableTests):
    model = "process_model = multi\n"

    def setUp(self) -> None:
        require_root("starts several processes")
        super().setUp()


class OtherWaysTests(Case):
    def test_switched_off(self) -> None:
        """
        receive_override_options = no_address_mappings, for one service.
        """
        self.server()
        code, _text = self.send(self.plain, "jo@here.test", "jo@else.test")
        self.assertEqual(code, 250)
        message = self.taken("jo@else.test")
        self.assertEqual(message.sender, "jo@here.test")
        self.assertIn(b'\r\nFrom: "Doe, Jo" <jo@here.test> (office)', message.content)

    def test_not_accepted(self) -> None:
        """
        Neither a loop nor a table that does not answer loses or passes a
        message: its client keeps it.
        """
        server = self.server("virtual_alias_recursion_limit = 20\n")
        reply = self.send(server.port, "s@from.test", "loop1@alias.test")
        self.assertEqual(reply, (451, b"4.6.0 Alias expansion error"))
        server.wait_for_log("unreasonable virtual_alias_maps map nesting for loop1@")

    def test_unavailable(self) -> None:
        server = self.server(
            "recipient_bcc_maps = fail:x\nsmtpd_reject_unlisted_recipient = no\n"
        )
        reply = self.send(server.port, "s@from.test", "x@else.test")
        self.assertEqual(reply, (451, b"4.3.0 Error: queue file write error"))
        server.wait_for_log("recipient_bcc_maps map lookup problem -- message not")
