"""
Mail by LMTP: to a real Dovecot, beside Debian's Postfix, and to servers that
do odd things, where Postfix says what is right.
"""

from __future__ import annotations

import contextlib
import os
import re
import smtplib
import socket
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, execute
from twisted.internet.threads import deferToThread

from tests.delivery.doubles import NOW, Sink
from tests.delivery.smtp.doubles import Names
from tests.interop.dovecot import Dovecot
from tests.interop.listening import serve_each
from tests.interop.postfix_instance import PATIENCE, Postfix
from tests.interop.running import _MASTER_CF as DEFAULT
from tests.interop.running import RunningTestCase, Txmta
from tests.interop.test_smtp_client import AgentCase, reactor
from tests.interop.tools import read_maildir, wait_for, without_trace
from tests.support import require, require_root
from txmta.config.settings import Settings
from txmta.delivery.context import AgentContext
from txmta.delivery.smtp import SmtpAgent, lmtp_agent
from txmta.model import Action

MASTER_CF = DEFAULT + "lmtp unix - - n - - lmtp\n"

VIRTUAL = """\
virtual_mailbox_domains = v.test
virtual_mailbox_maps =
virtual_transport = {transport}
"""

MESSAGE = (
    b"From: s@here.test\r\nTo: a@v.test\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n"
    b"Message-Id: <1@here.test>\r\nSubject: dots and octets\r\n\r\n"
    b".\r\n..\r\n.x\r\n\r\nFrom here\r\n8 bit \xe9\xff\tx \r\n\r\n"
)

EVERYBODY = ("a@v.test", "b@v.test", "full@v.test", "nobody@v.test")

_LINE = re.compile(
    r"to=<(?P<to>[^>]*)>, (?:orig_to=\S+ )?relay=(?P<relay>\S+), .*"
    r"dsn=(?P<status>\S+), status=(?P<fate>\w+) \((?P<reason>.*)\)"
)
_SESSION = re.compile(r"[A-Za-z0-9+/]{22}\b")


def fates(lines: Sequence[str]) -> dict[str, tuple[str, str, str, str]]:
    """
    @param lines: of a mail log.
    @return: relay, status, fate and reason by recipient, as last said;
        Dovecot's session identifiers are C{ID}.
    """
    found: dict[str, tuple[str, str, str, str]] = {}
    for line in lines:
        match = _LINE.search(line)
        if match is not None:
            to, *rest = match.group("to", "relay", "status", "fate", "reason")
            found[to] = (rest[0], rest[1], rest[2], _SESSION.sub("ID", rest[3]))
    return found


class DovecotTests(RunningTestCase):
    """
    Dovecot's LMTP server behind us.
    """

    def setUp(self) -> None:
        require("dovecot")

    def start(self, main_cf: str) -> tuple[Txmta, Dovecot]:
        """
        @param main_cf: C{{port}} is that of Dovecot.
        """
        server = self.txmta("", master_cf=MASTER_CF)
        private = server.folder / "queue/private"
        private.mkdir(parents=True, mode=0o700)
        for path in (private, private.parent):
            path.chmod(0o700)
            os.chown(path, server.user.pw_uid, server.user.pw_gid)
        dovecot = self.dovecot(private / "dovecot-lmtp", *EVERYBODY[:3])
        server.add(main_cf.format(port=dovecot.port))
        server.start()
        return server, dovecot

    def dovecot(self, path: Path, *users: str) -> Dovecot:
        dovecot = Dovecot(path, *users, full="full@v.test")
        self.addCleanup(dovecot.close)
        dovecot.start()
        return dovecot

    def send(self, port: int, recipients: Sequence[str], content: bytes) -> None:
        with smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE) as client:
            client.sendmail("s@there.test", recipients, content)

    def arrived(self, dovecot: Dovecot, user: str, count: int = 1) -> list[bytes]:
        return [
            without_trace(content)
            for content in read_maildir(dovecot.maildir(user), count, dovecot.log)
        ]

    def test_as_postfix(self) -> None:
        """
        One message for four: two get it, octet for octet, one has no room and
        one is not known. The log says of each what that of Debian's Postfix
        says, by the same socket path.
        """
        require("postfix")
        require_root("to run a Postfix of its own")
        main_cf = VIRTUAL.format(transport="lmtp:unix:private/dovecot-lmtp")
        server, dovecot = self.start(main_cf + "myhostname = mx.here.test\n")
        self.send(server.port, EVERYBODY, MESSAGE)
        server.wait_for_log(r"postfix/lmtp\[\d+\]: .* to=<", 4)
        server.wait_for_log("removed")
        ours = fates(server.log().splitlines())
        for user in EVERYBODY[:2]:
            (content,) = self.arrived(dovecot, user)
            self.assertEqual(content, MESSAGE.replace(b"\r\n", b"\n"))
        theirs = self.theirs()
        for name in EVERYBODY:
            self.assertEqual(ours[name], theirs[name])
        self.assertEqual(ours["full@v.test"][1:3], ("5.2.2", "bounced"))
        self.assertEqual(ours["nobody@v.test"][1:3], ("5.1.1", "bounced"))
        self.assertEqual(ours["a@v.test"][0], "mx.here.test[private/dovecot-lmtp]")

    def theirs(self) -> Mapping[str, tuple[str, str, str, str]]:
        postfix = Postfix(
            {
                "virtual_mailbox_domains": "v.test",
                "virtual_transport": "lmtp:unix:private/dovecot-lmtp",
            }
        )
        with (postfix.home / "etc/master.cf").open("a") as master_cf:
            master_cf.write("lmtp unix - - n - - lmtp\n")
        postfix.run("start")
        self.addCleanup(postfix.close)
        self.dovecot(postfix.home / "spool/private/dovecot-lmtp", *EVERYBODY[:3])
        self.send(postfix.ports[True], EVERYBODY, MESSAGE)
        log = postfix.home / "mail.log"

        def complete() -> Mapping[str, tuple[str, str, str, str]]:
            found = fates(log.read_text().splitlines())
            return found if len(found) >= len(EVERYBODY) else {}

        return wait_for(complete, log.read_text)

    def test_inet(self) -> None:
        """
        By TCP, a large message too; one connection for several messages.
        """
        transport = "lmtp:inet:127.0.0.1:{port}"
        server, dovecot = self.start(VIRTUAL.format(transport=transport))
        large = MESSAGE + b"%072d\r\n" % 7 * 20000
        for content in (MESSAGE, large, MESSAGE):
            self.send(server.port, ["a@v.test"], content)
        got = self.arrived(dovecot, "a@v.test", 3)
        expected = [c.replace(b"\r\n", b"\n") for c in (MESSAGE, MESSAGE, large)]
        self.assertEqual(sorted(got, key=len), expected)
        sent = server.wait_for_log(r"lmtp\[\d+\].* status=sent", 3)
        relay = f"relay=127.0.0.1[127.0.0.1]:{dovecot.port}, "
        self.assertTrue(all(relay in line for line in sent), sent)

    def test_mailbox_transport(self) -> None:
        """
        Mailboxes of local users, as the documentation of Dovecot sets it up;
        aliases are still ours.
        """
        server, dovecot = self.start(
            "mydestination = v.test\n"
            "alias_maps = inline:{{root=a@v.test}}\n"
            "mailbox_transport = lmtp:unix:private/dovecot-lmtp\n"
        )
        self.send(server.port, ["b@v.test", "root@v.test"], MESSAGE)
        for user in ("a@v.test", "b@v.test"):
            (content,) = self.arrived(dovecot, user)
            self.assertEqual(content, MESSAGE.replace(b"\r\n", b"\n"))
        server.wait_for_log(r"lmtp\[\d+\].* status=sent", 2)

    def test_not_running(self) -> None:
        """
        Dovecot stands still: mail waits.
        """
        main_cf = VIRTUAL.format(transport="lmtp:unix:private/nobody")
        server, _ = self.start(main_cf)
        self.send(server.port, ["a@v.test"], MESSAGE)
        (line,) = server.wait_for_log("to=<a@v.test>")
        words = "connect to mail.here.test[private/nobody]: No such file or directory"
        self.assertIn(f"dsn=4.4.1, status=deferred ({words})", line)


OK = b"250 2.0.0 ok\r\n"
NO = b"550 5.1.1 no\r\n"
LATER = b"450 4.2.0 later\r\n"
LHLO = b"250-lmtp.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n"


@dataclass(frozen=True)
class Script:
    """
    How a server answers.

    @ivar recipients: replies to RCPT, by the first letter.
    @ivar after: replies to the dot.
    @ivar hang_up: after those.
    """

    after: Sequence[bytes] = (OK, OK, OK)
    greeting: bytes = b"220 lmtp.test\r\n"
    lhlo: bytes = LHLO
    mail: bytes = OK
    recipients: Mapping[bytes, bytes] = field(default_factory=dict)
    data: bytes = b"354 go\r\n"
    hang_up: bool = False


CASES: Mapping[str, Script] = {
    "sent": Script((b"250 2.0.0 <a> 1\r\n", b"250 2\r\n", b"250 2.1.5 3\r\n")),
    "sent, lines": Script((b"250-2.0.0 a\r\n250 2.0.0 b\r\n", OK, OK)),
    "sent, one by one": Script(lhlo=b"250 lmtp.test\r\n"),
    "sent, our own name": Script(lhlo=b"250-mx.here.test\r\n250 PIPELINING\r\n"),
    "mixed": Script((OK, NO, b"452 4.2.2 full\r\n")),
    "all refused after the dot": Script((NO, NO, NO)),
    "one RCPT refused": Script((OK, NO), recipients={b"b": NO}),
    "two RCPT refused": Script((LATER,), recipients={b"a": NO, b"b": LATER}),
    "all RCPT refused": Script(
        recipients={b"a": NO, b"b": NO, b"c": LATER}, data=b"503 5.5.1 nobody\r\n"
    ),
    "all RCPT refused, 354": Script(
        (b"503 5.5.1 nobody\r\n",), recipients={b"a": NO, b"b": NO, b"c": LATER}
    ),
    "MAIL refused": Script(mail=b"550 5.7.1 no\r\n"),
    "MAIL later": Script(mail=b"451 4.3.0 later\r\n"),
    "DATA later": Script(data=b"451 4.3.0 later\r\n"),
    "lost at once": Script((), hang_up=True),
    "lost after one": Script((OK,), hang_up=True),
    "lost after two": Script((OK, NO), hang_up=True),
    "421, lost": Script((OK, b"421 4.3.2 bye\r\n"), hang_up=True),
    "421, more": Script((OK, b"421 4.3.2 bye\r\n", OK)),
    "421 for all": Script((b"421 4.3.2 bye\r\n",) * 3),
    "too many": Script((OK,) * 5),
    "LHLO 5xx": Script(lhlo=b"500 5.5.1 what\r\n"),
    "LHLO 4xx": Script(lhlo=b"421 4.3.2 busy\r\n"),
    "greeting 4xx": Script(greeting=b"421 4.3.2 busy\r\n"),
    "greeting 5xx": Script(greeting=b"554 5.7.1 go away\r\n"),
    "DSN": Script(lhlo=b"250-lmtp.test\r\n250-PIPELINING\r\n250 DSN\r\n"),
}


class ScriptedServer:
    """
    LMTP behind a socket.

    @ivar script: of the connections that come.
    @ivar commands: what clients said, since it was last cleared.
    """

    def __init__(self, path: str) -> None:
        self.script = Script()
        self.commands: list[str] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen()
        os.chmod(path, 0o666)
        serve_each(self._listener, self._converse)

    def close(self) -> None:
        self._listener.close()

    def _converse(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.settimeout(PATIENCE)
            with connection.makefile("rb") as lines:
                self._serve(connection, lines)

    def _serve(self, connection: socket.socket, lines: Any) -> None:
        script = self.script
        connection.sendall(script.greeting)
        verbs = {b"LHLO": script.lhlo, b"MAIL": script.mail, b"DATA": script.data}
        for line in lines:
            self.commands.append(line.decode().strip())
            verb = line[:4].strip().upper()
            reply = verbs.get(verb, OK)
            if verb == b"RCPT":
                reply = script.recipients.get(line[9:10], OK)
            connection.sendall(reply)
            if verb == b"DATA" and reply[:1] == b"3":
                while lines.readline() not in (b".\r\n", b""):
                    pass
                connection.sendall(b"".join(script.after))
                if script.hang_up:
                    return
            elif verb == b"QUIT":
                return


FATES = {
    Action.RELAYED: "sent",
    Action.DELAYED: "deferred",
    Action.FAILED: "bounced",
}

RECIPIENTS = ("a@v.test", "b@v.test", "c@v.test")


class WordsTests(AgentCase):
    """
    Each script for the agent and for Postfix.
    """

    timeout = 300

    def make(self, **settings: str) -> SmtpAgent:
        """
        See L{AgentCase.make}.
        """
        context = AgentContext(
            "lmtp",
            Settings.of(myhostname="mx.here.test", **settings),
            reactor,
            reactor,
            lambda: NOW,
            Names(),
            Sink(),
            lambda item, parameter: None,  # type: ignore[arg-type,return-value]
            execute,
        )
        agent = lmtp_agent(context)
        self.addCleanup(agent.stop)
        return agent

    async def test_words(self) -> None:
        """
        The same fate, status, relay, words, and the same commands.
        """
        require("postfix")
        require_root("to run a Postfix of its own")
        path = Path(tempfile.mkdtemp(prefix="txmta-lmtp-")) / "socket"
        path.parent.chmod(0o755)
        server = ScriptedServer(str(path))
        self.addCleanup(server.close)
        postfix = Postfix(
            {
                "virtual_mailbox_domains": "v.test",
                "virtual_transport": f"lmtp:unix:{path}",
                "lmtp_destination_concurrency_failed_cohort_limit": "1000",
                "lmtp_connection_cache_on_demand": "no",
            }
        )
        with (postfix.home / "etc/master.cf").open("a") as master_cf:
            master_cf.write("lmtp unix - - n - - lmtp\n")
        await deferToThread(postfix.run, "start")
        self.addCleanup(deferToThread, postfix.close)
        self.agent = self.make(lmtp_connection_cache_on_demand="no")
        different: list[tuple[str, object, object]] = []
        for name, script in CASES.items():
            server.script = script
            server.commands = []
            theirs = await deferToThread(self.theirs, postfix)
            their_commands = server.commands
            server.commands = []
            ours = await Deferred.fromCoroutine(self.ours(str(path)))
            await deferToThread(time.sleep, 0.05)  # QUIT is on its way
            if ours != theirs:
                different.append((name, theirs, ours))
            # Postfix says RSET before QUIT where that makes no difference.
            wanted = [c for c in their_commands if c not in ("RSET", "QUIT")]
            said = [c for c in server.commands if c not in ("RSET", "QUIT")]
            if said != wanted:
                different.append((name, wanted, said))
        self.assertEqual(different, [])

    async def ours(self, path: str) -> dict[str, tuple[str, str, str, str]]:
        self.outcomes.clear()
        content = b"Subject: x\r\n\r\nbody\r\n"
        await self.deliver(f"unix:{path}", content, *RECIPIENTS, sender="")
        return {
            RECIPIENTS[o.n]: (o.relay, o.status, FATES[o.action], o.reason)
            for o in self.outcomes
        }

    def theirs(self, postfix: Postfix) -> dict[str, tuple[str, str, str, str]]:
        port = postfix.ports[True]
        with smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE) as client:
            client.ehlo()
            client.mail("")
            for recipient in RECIPIENTS:
                client.rcpt(recipient)
            _code, text = client.data(b"Subject: x\r\n\r\nbody\r\n")
        queue_id = text.decode().split()[-1]
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            found = fates(postfix.log(queue_id, "lmtp"))
            if len(found) == len(RECIPIENTS):
                return found
            time.sleep(0.02)
        raise AssertionError(f"Postfix says nothing of {queue_id}")
