"""
UTF-8 in addresses, beside Debian's Postfix: which domains are ours, and what a
next hop is told.
"""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Sequence
from typing import Any

from tests.interop.listening import serve_each
from tests.interop.postfix_instance import PATIENCE, Postfix
from tests.interop.running import RunningTestCase
from tests.interop.tools import wait_for
from tests.support import require, require_root

DOMAINS = """\
mydestination = b\xfccher.test
local_recipient_maps =
virtual_mailbox_domains = xn--grn-hoa.test, stra\xdfe.test
virtual_mailbox_maps =
relay_domains = rel\xe4y.test
relay_recipient_maps =
local_transport = error:5.0.0 local
virtual_transport = error:5.0.0 virtual
relay_transport = error:5.0.0 relay
smtpd_relay_restrictions = reject_unauth_destination
mynetworks =
notify_classes =
"""

#: Of which each is asked for; all but the first of a kind are other forms.
NAMES = (
    *("b\xfccher.test", "B\xdcCHER.test", "xn--bcher-kva.test"),
    *("xn--grn-hoa.test", "XN--GRN-HOA.test", "gr\xfcn.test"),
    *("stra\xdfe.test", "strasse.test", "STRASSE.test", "xn--strae-oqa.test"),
    *("rel\xe4y.test", "sub.rel\xe4y.test", "xn--rely-moa.test"),
    "other.test",
)

#: RCPT commands: UTF-8 in addresses and in ORCPT (RFC 6533 section 3).
RECIPIENTS = (
    "<\xe9@y.test>",
    "<\xe9@y.test> NOTIFY=SUCCESS,DELAY",
    "<a@y.test>",
    "<e+=\xfc\\\\x@y.test>",
    '<"e \xfc"@y.test>',
    "<b@y.test> ORCPT=rfc822;b+2Bb@y.test",
    "<c@y.test> ORCPT=utf-8;\\x{E9}c+2B@y.test",
    "<d@y.test> ORCPT=utf-8;\xe9d@y.test",
    "<\u65e5\u672c@\u65e5\u672c.test>",
)

FEATURES = b"250-hop\r\n250-8BITMIME\r\n250-DSN\r\n250 SMTPUTF8\r\n"
MINIMAL = b"250-hop\r\n250-DSN\r\n250 8BITMIME\r\n"

_KIND = re.compile(r"ORCPT=([^;]*);")


def known(commands: Sequence[str]) -> list[str]:
    """
    @return: the same, in order, without the ORCPT of UTF-8 addresses.
    """
    return sorted(
        line if line.isascii() else re.sub(r" ORCPT=\S+", "", line) for line in commands
    )


class NextHop:
    """
    An SMTP server that keeps the commands it hears.
    """

    def __init__(self) -> None:
        self.ehlo = FEATURES
        self.commands: list[str] = []
        self.messages = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        serve_each(self._listener, self._serve)

    def close(self) -> None:
        self._listener.close()

    def take(self) -> list[str]:
        """
        @return: MAIL and RCPT of one message, in an order of their own.
        """
        wait_for(lambda: self.messages, lambda: f"no message: {self.commands}")
        heard, self.commands, self.messages = self.commands, [], 0
        return sorted(heard)

    def _serve(self, connection: socket.socket) -> None:
        # Whoever has said QUIT does not wait for the answer.
        with (
            contextlib.suppress(ConnectionError),
            connection,
            connection.makefile("rb") as lines,
        ):
            connection.sendall(b"220 hop\r\n")
            for line in lines:
                verb, reply = line[:4].upper(), b"250 2.0.0 ok\r\n"
                if verb == b"EHLO":
                    reply = self.ehlo
                elif verb in (b"MAIL", b"RCPT"):
                    self.commands.append(line.decode().strip())
                elif verb == b"DATA":
                    connection.sendall(b"354 go\r\n")
                    while lines.readline() not in (b".\r\n", b""):
                        pass
                    self.messages += 1
                connection.sendall(reply)


def talk(port: int, commands: Sequence[str], content: bytes = b"") -> list[str]:
    """
    @param commands: after EHLO.
    @return: the last line of each reply to them.
    """
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE) as s,
        s.makefile("rb") as replies,
    ):

        def reply() -> str:
            while (line := replies.readline())[3:4] == b"-":
                pass
            return line.decode().strip()

        def ask(command: str) -> str:
            s.sendall(command.encode() + b"\r\n")
            return reply()

        reply()
        ask("EHLO client.test")
        said = [ask(command) for command in commands]
        if content:
            ask("DATA")
            s.sendall(content)
            said.append(ask("."))
        ask("QUIT")
        return said


class Utf8Tests(RunningTestCase):
    def setUp(self) -> None:
        require("postfix")
        require_root("to run a Postfix of its own")

    def theirs(self, main_cf: str) -> int:
        """
        @return: the port of a Postfix that runs.
        """
        lines = (line.partition(" = ") for line in main_cf.splitlines())
        postfix = Postfix({name.removesuffix(" ="): text for name, _, text in lines})
        postfix.run("start")
        self.addCleanup(postfix.close)
        return postfix.ports[True]

    def test_domains(self) -> None:
        """
        A domain is ours in the form in which it is written, in any case of
        letters. U-labels and A-labels are not the same: write both.
        """
        commands = ["MAIL FROM:<s@x.test> SMTPUTF8"]
        commands += [f"RCPT TO:<a@{name}>" for name in NAMES]
        theirs = talk(self.theirs(DOMAINS), commands)
        ours = talk(self.running(DOMAINS).port, commands)
        for name, our, their in zip(NAMES, ours[1:], theirs[1:], strict=True):
            self.assertEqual((name, our[:3]), (name, their[:3]))
        # 550: an address of ours that is refused; 554: relaying denied
        self.assertEqual({reply[:3] for reply in ours[1:]}, {"550", "554"})

    def test_commands(self) -> None:
        """
        The next hop gets the same MAIL and RCPT, with and without SMTPUTF8;
        but for the ORCPT that is made where a client gave none: Postfix 3.7
        writes a UTF-8 address as rfc822, where RFC 6533 section 3 has utf-8.
        """
        hop = NextHop()
        self.addCleanup(hop.close)
        main_cf = f"relayhost = [127.0.0.1]:{hop.port}\n"
        main_cf += "smtp_connection_cache_on_demand = no\n"
        servers = (self.theirs(main_cf), self.running(main_cf).port)
        for ehlo, mail, recipients, content in CASES:
            hop.ehlo = ehlo
            commands = [f"MAIL FROM:{mail}", *(f"RCPT TO:{r}" for r in recipients)]
            heard: list[Any] = []
            for port in servers:
                said = talk(port, commands, content)
                heard.append((said[:-1], hop.take()))
            theirs, ours = heard
            self.assertEqual([r[:9] for r in ours[0]], [r[:9] for r in theirs[0]])
            self.assertEqual(known(ours[1]), known(theirs[1]))
            made = [line for line in ours[1] if not line.isascii()]
            kinds = {t for line in made for t in _KIND.findall(line)}
            self.assertLessEqual(kinds, {"utf-8"})


HEAD = b"From: s@x.test\r\nTo: a@y.test\r\nSubject: "

CASES: Sequence[tuple[bytes, str, Sequence[str], bytes]] = (
    (FEATURES, "<s@x.test> SMTPUTF8", RECIPIENTS, HEAD + b"x\r\n\r\nb\r\n"),
    (
        FEATURES,
        "<\xdf@x.test> SMTPUTF8 BODY=8BITMIME RET=HDRS ENVID=a+2Bb",
        ["<a@y.test>"],
        HEAD + "\xe9\r\n\r\n\xe9\r\n".encode(),
    ),
    (FEATURES, "<s@x.test>", ["<a@y.test>"], HEAD + b"x\r\n\r\nb\r\n"),
    (MINIMAL, "<s@x.test> SMTPUTF8", ["<a@y.test>"], HEAD + b"x\r\n\r\nb\r\n"),
    (
        MINIMAL,
        "<s@x.test> SMTPUTF8",
        ["<a@y.test> ORCPT=utf-8;\\x{E9}c@y.test"],
        HEAD + b"x\r\n\r\nb\r\n",
    ),
)
