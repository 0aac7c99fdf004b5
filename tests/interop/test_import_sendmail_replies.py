"""
Debian's Postfix, and txmta, with what was imported from Sendmail: who may send to
whom.
"""

from __future__ import annotations

import socket
import subprocess
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.admin.test_import_sendmail import fill
from tests.interop.postfix_instance import PATIENCE, Postfix
from tests.interop.running import RunningTestCase
from tests.support import PATH, require, require_root
from txmta.admin.import_sendmail import take, write
from txmta.admin.import_sendmail_plan import Plan
from txmta.config.main_cf import read_main_cf

FILES = {
    # Without questions to the DNS, which has no answers here.
    "sendmail.mc": "FEATURE(`access_db')\nFEATURE(`blacklist_recipients')\n"
    "FEATURE(`accept_unresolvable_domains')\nFEATURE(`accept_unqualified_senders')\n",
    "local-host-names": "here.test\nin.sub.test\nshut.test\n",
    "relay-domains": "partner.test\n192.168.7\nall.test\n",
    "virtuser-domains": "virt.test\nfew.test\n",
    "access": "10\tREJECT\nConnect:10.2\tRELAY\nConnect:10.2.9\tREJECT\n"
    "spam.test\tREJECT\nConnect:good.spam.test\tOK\nFrom:good@spam.test\tOK\n"
    "To:closed@here.test\tERROR:5.7.1:550 Closed\nFREE@\t550 No\n"
    "To:backup.test\tRELAY\nTo:one@far.test\tRELAY\n"
    "Connect:trusted.test\tRELAY\nFrom:boss@here.test\tRELAY\n",
    "mailertable": ".sub.test\tsmtp:[192.0.2.1]\nroute.test\tsmtp:[192.0.2.1]\n"
    "no.partner.test\terror:nohost None\nall.test\tlocal:root\n",
    "virtusertable": "info@virt.test\troot\n@virt.test\t%1@else.test\n"
    "gone@virt.test\terror:nouser 550 No such user\nwho@few.test\troot\n"
    "@shut.test\terror:nouser 550 Shut\nopen@shut.test\troot\n",
    "domaintable": "old.test\there.test\n",
    "aliases": "postmaster: root\n",
}

STRANGER = "203.0.113.9 unknown.test"

#: Client's address and name, sender, recipient, and how the reply begins.
CASES = (
    # clients
    (STRANGER, "a@x.test", "b@y.test", "554 5.7.1"),
    ("192.168.7.5 x.test", "a@x.test", "b@y.test", "250"),
    ("192.168.8.5 x.test", "a@x.test", "b@y.test", "554 5.7.1"),
    ("10.2.0.1 x.test", "a@x.test", "b@y.test", "250"),
    ("10.2.9.1 x.test", "a@x.test", "root@here.test", "554 5.7.1"),
    ("10.3.0.1 x.test", "a@x.test", "root@here.test", "554 5.7.1"),
    ("203.0.113.1 h.partner.test", "a@x.test", "b@y.test", "250"),
    ("203.0.113.1 trusted.test", "a@x.test", "b@y.test", "250"),
    ("203.0.113.1 h.spam.test", "a@x.test", "root@here.test", "554 5.7.1"),
    ("203.0.113.1 good.spam.test", "a@x.test", "root@here.test", "250"),
    # senders
    (STRANGER, "bad@spam.test", "root@here.test", "554 5.7.1"),
    (STRANGER, "good@spam.test", "root@here.test", "250"),
    (STRANGER, "free@x.test", "root@here.test", "550 5.7.1"),
    (STRANGER, "boss@here.test", "b@y.test", "554 5.7.1"),
    # recipients
    (STRANGER, "a@x.test", "root@here.test", "250"),
    (STRANGER, "a@x.test", "root+tag@here.test", "250"),
    (STRANGER, "a@x.test", "nobody-like-this@here.test", "550 5.1.1"),
    (STRANGER, "a@x.test", "closed@here.test", "550 5.7.1"),
    (STRANGER, "a@x.test", "b@partner.test", "250"),
    (STRANGER, "a@x.test", "b@h.partner.test", "250"),
    (STRANGER, "a@x.test", "b@no.partner.test", "550 5.1.2"),
    (STRANGER, "a@x.test", "b@backup.test", "250"),
    (STRANGER, "a@x.test", "one@far.test", "250"),
    (STRANGER, "a@x.test", "two@far.test", "554 5.7.1"),
    (STRANGER, "a@x.test", "root@in.sub.test", "250"),
    (STRANGER, "a@x.test", "b@out.sub.test", "554 5.7.1"),
    (STRANGER, "a@x.test", "b@route.test", "554 5.7.1"),
    (STRANGER, "a@x.test", "anybody@all.test", "250"),
    (STRANGER, "a@x.test", "info@virt.test", "250"),
    (STRANGER, "a@x.test", "info+tag@virt.test", "250"),
    (STRANGER, "a@x.test", "anybody@virt.test", "250"),
    (STRANGER, "a@x.test", "gone@virt.test", "550 5.1.1"),
    (STRANGER, "a@x.test", "who@few.test", "250"),
    (STRANGER, "a@x.test", "other@few.test", "550 5.1.1"),
    (STRANGER, "a@x.test", "open@shut.test", "250"),
    (STRANGER, "a@x.test", "root@shut.test", "550 5.1.1"),
    (STRANGER, "a@x.test", "b@old.test", "250"),
)


class ReplyTests(SynchronousTestCase):
    def setUp(self) -> None:
        require("postfix", "postmap")
        require_root("Postfix is started by root")
        with tempfile.TemporaryDirectory() as folder:
            fill(Path(folder), FILES)
            written = take(Plan(), folder)
            output = Path(folder, "output")
            write(str(output), written)
            own = read_main_cf(str(output / "main.cf")).definitions
            values = {name: d.text.replace("\n", " ") for name, d in own.items()}
            self.postfix = Postfix(
                {
                    **values,
                    "relayhost": "",
                    "inet_interfaces": "127.0.0.1",
                    "smtpd_authorized_xclient_hosts": "127.0.0.1",
                }
            )
            self.addCleanup(self.postfix.close)
            write(
                str(self.postfix.home / "etc"),
                {name: text for name, text in written.items() if name != "main.cf"},
            )
        for name in written:
            if name not in ("main.cf", "virtual_regexp") and ".cidr" not in name:
                tool = "postalias" if name == "aliases" else "postmap"
                path = str(self.postfix.home / "etc" / name)
                folder = str(self.postfix.home / "etc")
                subprocess.run(
                    [tool, "-c", folder, f"hash:{path}"],
                    env={"PATH": PATH},
                    check=True,
                    capture_output=True,
                    timeout=20,
                )
        self.postfix.run("start")

    def test_replies(self) -> None:
        """
        Who is refused by Sendmail is refused, and nobody else.
        """
        for client, sender, recipient, wanted in CASES:
            said = reply(self.postfix.ports[True], client, sender, recipient)
            self.assertTrue(said.startswith(wanted), f"{client} {recipient}: {said}")


class OwnReplyTests(RunningTestCase):
    def test_replies(self) -> None:
        """
        txmta says the same of recipients, as far as it has what their tables
        ask for.
        """
        files = {
            name: text
            for name, text in FILES.items()
            if name not in ("access", "sendmail.mc", "relay-domains")
        }
        files["virtusertable"] = "".join(
            line
            for line in files["virtusertable"].splitlines(keepends=True)
            if "error:" not in line
        )
        server = self.txmta()
        with tempfile.TemporaryDirectory() as folder:
            fill(Path(folder), files)
            written = take(Plan(), folder)
        for name, text in written.items():
            if name != "main.cf":
                server.write(name, text)
        # Who asks is a stranger, and the users are those of this machine.
        others = "mynetworks = [::1]/128\nlocal_recipient_maps = unix:passwd.byname\n"
        server.add(f"{written['main.cf']}\n{others}")
        server.start()
        for recipient, wanted in (
            ("root@here.test", "250"),
            ("root+tag@here.test", "250"),
            ("nobody-like-this@here.test", "550 5.1.1"),
            ("root@in.sub.test", "250"),
            ("b@out.sub.test", "454 4.7.1"),
            ("b@route.test", "454 4.7.1"),
            ("info@virt.test", "250"),
            ("info+tag@virt.test", "250"),
            ("anybody@virt.test", "250"),
            ("who@few.test", "250"),
            ("other@few.test", "550 5.1.1"),
            ("root@shut.test", "250"),
            ("b@old.test", "250"),
            ("b@y.test", "454 4.7.1"),
        ):
            said = reply(server.port, "", "a@x.test", recipient)
            self.assertTrue(said.startswith(wanted), f"{recipient}: {said}")


def reply(port: int, client: str, sender: str, recipient: str) -> str:
    """
    @param client: as whom we talk, address and name; C{""} is as ourselves.
    @return: the reply to RCPT.
    """
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE) as s,
        s.makefile("rb") as replies,
    ):

        def answer() -> str:
            line = replies.readline()
            while line[3:4] == b"-":
                line = replies.readline()
            return line.decode().rstrip()

        answer()
        commands = [
            "EHLO client.test",
            f"MAIL FROM:<{sender}>",
            f"RCPT TO:<{recipient}>",
        ]
        if client:
            address, name = client.split()
            commands.insert(0, f"XCLIENT ADDR={address} NAME={name}")
        for command in commands:
            s.sendall(command.encode() + b"\r\n")
            said = answer()
        s.sendall(b"QUIT\r\n")
    return said
