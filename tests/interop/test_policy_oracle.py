"""
check_policy_service, compared with Debian's Postfix, and with policy servers that
people use.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.interop.listening import serve_each
from tests.interop.policy_server import ANSWERS, PolicyServer
from tests.interop.postfix_instance import Postfix, Sink, free_port
from tests.interop.running import RunningTestCase, Txmta
from tests.interop.tools import wait_for
from tests.support import require

COMMON = {
    "myhostname": "mx.here.test",
    "smtpd_peername_lookup": "no",
    "mydestination": "y.test",
    "local_recipient_maps": "",
    "smtpd_authorized_xclient_hosts": "127.0.0.1",
    "smtpd_hard_error_limit": "100",
    "smtpd_soft_error_limit": "100",
    "smtpd_policy_service_policy_context": "here  now",
}

Pair = tuple[Postfix, PolicyServer, Txmta, PolicyServer]

#: The stages in which a list is asked.
LISTS = ("client", "helo", "sender", "recipient", "data", "end_of_data")


def talk(port: int, commands: Sequence[str]) -> list[str]:
    """
    @param commands: one that starts with a space is content.
    @return: the last line of each reply, without a queue id.
    """
    with (
        socket.create_connection(("127.0.0.1", port), 20) as s,
        s.makefile("rb") as lines,
    ):

        def reply() -> str:
            line = lines.readline()
            while line[3:4] == b"-":
                line = lines.readline()
            return re.sub(r"(queued as ).*", r"\1ID", line.decode().rstrip())

        reply()
        found = []
        for command in commands:
            text = command[1:] + "\r\n." if command[0] == " " else command
            s.sendall(text.encode() + b"\r\n")
            found.append(reply())
        return found


def listens(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def lines(parameters: dict[str, str]) -> str:
    return "".join(f"{name} = {value}\n" for name, value in parameters.items())


def normal(request: str) -> str:
    """
    @return: without what differs in each run, and what Postfix 3.8 added.
    """
    request = re.sub(r"(?m)^(client_port|server_port)=.*$", r"\1=N", request)
    # After XCLIENT, Postfix names the command as the stage.
    request = request.replace("protocol_state=XCLIENT", "protocol_state=CONNECT")
    request = re.sub(r"(?m)^(instance|queue_id)=.+$", r"\1=X", request)
    return re.sub(r"(?m)^(compatibility_level|mail_version)=.*\n", "", request)


def warned(log: str, names: dict[str, str]) -> list[str]:
    for old, new in names.items():
        log = log.replace(old, new)
    return re.findall(r"smtpd\[\d+\]: (?:warning: )?(.*(?:P1|P2|nowhere).*)", log)


class PolicyOracleTests(RunningTestCase):
    def pair(self, parameters: Callable[[int], dict[str, str]]) -> Pair:
        """
        @param parameters: given the port of the policy server.
        @return: Postfix, its policy server, ours, its policy server.
        """
        require("postfix")
        servers = PolicyServer(), PolicyServer()
        for server in servers:
            self.addCleanup(server.close)
        postfix = Postfix({**COMMON, **parameters(servers[0].port)})
        self.addCleanup(postfix.close)
        postfix.run("start")
        wanted = {**COMMON, **parameters(servers[1].port)}
        wanted["relayhost"] = "[127.0.0.1]:1"
        return postfix, servers[0], self.running(lines(wanted)), servers[1]

    def test_requests(self) -> None:
        """
        Every attribute of every stage.
        """

        def parameters(port: int) -> dict[str, str]:
            asked = f"check_policy_service inet:127.0.0.1:{port}"
            found = {f"smtpd_{name}_restrictions": asked for name in LISTS}
            return {**found, "smtpd_delay_reject": "no"}

        postfix, theirs, ours, mine = self.pair(parameters)
        commands = [
            "XCLIENT NAME=foo.test ADDR=192.0.2.1 PORT=77",
            "EHLO me.test",
            'MAIL FROM:<"a b"@x.test> SIZE=100',
            "RCPT TO:<r@y.test>",
            'RCPT TO:<"q s"@y.test>',
            "VRFY r2@y.test",
            "DATA",
            " Subject: x\r\n\r\nb",
            "MAIL FROM:<>",
            "RCPT TO:<a@Y.test>",
            "DATA",
            " Subject: x\r\n\r\nb",
            "QUIT",
        ]
        for server in (theirs, mine):
            # Somebody has asked whether it listens.
            server.requests.clear()
        expected = talk(postfix.ports[True], commands)
        self.assertEqual(talk(ours.port, commands), expected)
        asked, wanted = (
            [normal(each) for each in server.requests] for server in (mine, theirs)
        )
        for one, other in zip(asked, wanted, strict=False):
            self.assertEqual(one.splitlines(), other.splitlines())
        self.assertEqual(len(asked), len(wanted))
        self.assertGreater(len(asked), 10)

    def test_answers(self) -> None:
        """
        What each answer does, what becomes of servers that cannot be asked, and
        what the log says.
        """
        refused = free_port()

        def parameters(port: int) -> dict[str, str]:
            one = f"inet:127.0.0.1:{port}"
            classes = {
                "c_asked": f"check_policy_service {{ {one}, timeout=5s }}",
                "c_none": f"check_policy_service inet:127.0.0.1:{refused}",
                "c_unix": "check_policy_service unix:private/nowhere",
                "c_own": f"check_policy_service {{ inet:127.0.0.1:{refused} "
                "try_limit=1 { default_action = 450 4.7.1 come later } }",
            }
            pairs = [f"{name}@=c_asked" for name in ANSWERS]
            pairs += [f"{name[2:]}@={name}" for name in classes]
            return {
                **classes,
                "smtpd_restriction_classes": " ".join(classes),
                "smtpd_recipient_restrictions": "check_recipient_access inline:{"
                + ", ".join(pairs)
                + "}, reject",
            }

        postfix, theirs, ours, mine = self.pair(parameters)
        names = [*ANSWERS, "none", "unix", "own"]
        commands = ["EHLO me.test", "MAIL FROM:<a@x.test>"]
        commands += [f"RCPT TO:<{name}@y.test>" for name in names]
        expected = talk(postfix.ports[True], commands)
        found = talk(ours.port, commands)
        self.assertEqual(
            dict(zip(names, found[2:], strict=True)),
            dict(zip(names, expected[2:], strict=True)),
        )
        log = postfix.home / "mail.log"
        at, here = f"127.0.0.1:{theirs.port}", f"127.0.0.1:{mine.port}"
        wait_for(lambda: "<own@y.test>" in log.read_text(), "Postfix logs nothing")
        ours.wait_for_log("<own@y.test>")
        away = f"127.0.0.1:{refused}"
        told = warned(log.read_text(), {at: "P1", away: "P2"})
        said = warned(ours.log(), {here: "P1", away: "P2"})
        self.assertEqual(said, told)
        self.assertGreater(len(said), 10)


class PeerTests(RunningTestCase):
    def setUp(self) -> None:
        self.behind = Sink()
        self.addCleanup(self.behind.close)
        self.folder = Path(tempfile.mkdtemp(prefix="txmta-policy-"))
        self.folder.chmod(0o777)
        self.addCleanup(subprocess.run, ["rm", "-rf", str(self.folder)])

    def server(self, policy: str) -> int:
        server = self.running(
            lines({**COMMON, "relayhost": f"[127.0.0.1]:{self.behind.port}"})
            + "relay_domains = y.test\nmydestination =\n"
            + "smtpd_recipient_restrictions = "
            + f"reject_unauth_destination, check_policy_service {policy}\n"
        )
        return server.port

    def mail(self, port: int, client: str = "198.51.100.1") -> list[str]:
        return talk(
            port,
            [
                f"XCLIENT NAME=foo.test ADDR={client}",
                "EHLO foo.test",
                "MAIL FROM:<a@x.test>",
                "RCPT TO:<r@y.test>",
                "DATA",
                " Subject: x\r\n\r\nb",
            ],
        )

    def test_postgrey(self) -> None:
        """
        A stranger is told to come again, and let in when he does.
        """
        require("postgrey")
        port = free_port()
        daemon = subprocess.Popen(
            [
                "postgrey",
                f"--inet=127.0.0.1:{port}",
                f"--dbdir={self.folder}",
                "--delay=2",
                f"--pidfile={self.folder}/pid",
                f"--user={'postgrey' if os.getuid() == 0 else os.getlogin()}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.addCleanup(daemon.wait, 20)
        self.addCleanup(daemon.terminate)
        wait_for(lambda: listens(port), "postgrey does not listen")
        mx = self.server(f"inet:127.0.0.1:{port}")
        first = self.mail(mx)
        self.assertRegex(
            first[3],
            r"^450 4\.2\.0 <r@y\.test>: Recipient address rejected: Greylisted",
        )
        wait_for(lambda: self.mail(mx)[5][:3] == "250", "never let in")
        self.assertIn(b"X-Greylist: delayed", self.behind.take())

    def test_policyd_spf(self) -> None:
        """
        It looks at HELO and sender, and its header comes with the message.
        """
        require("policyd-spf")
        conf = self.folder / "spf.conf"
        conf.write_text("debugLevel = 1\nWhitelist = 198.51.100.0/24\n")
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def spawn(connection: socket.socket) -> None:
            with connection:
                command = ["policyd-spf", str(conf)]
                subprocess.run(
                    command,
                    stdin=connection.fileno(),
                    stdout=connection.fileno(),
                    stderr=subprocess.DEVNULL,
                )

        serve_each(listener, spawn)
        mx = self.server(f"inet:127.0.0.1:{listener.getsockname()[1]}")
        self.assertEqual(self.mail(mx)[5], "250 2.0.0 Ok: queued as ID")
        self.assertIn(b"SPF", self.behind.take())
