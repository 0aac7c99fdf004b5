"""
Debian's Postfix as oracle for sendmail -bv and -v: both are asked about the same
recipients, and their reports say the same; nobody gets a probe.
"""

from __future__ import annotations

import os
import pwd
import re
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from functools import partial
from typing import cast

from tests.interop.peers import Postfix
from tests.interop.running import QUEUE_OWNER, ROOT, RunningTestCase, Txmta
from tests.interop.test_bounce_oracle import status
from tests.interop.tools import ENVIRONMENT, OWNER, PATIENCE, combined, wait_for
from tests.support import require, require_root

#: FOLDER is that of the server, HOP the port of the next hop, UID and GID those
#: of virtual mailboxes.
_MAIN_CF = """
myhostname = mx.here.test
mydomain = here.test
myorigin = local.test
mydestination = local.test
local_recipient_maps =
alias_maps = texthash:FOLDER/aliases
notify_classes = 2bounce
2bounce_notice_recipient = box@there.test
enable_threaded_bounces = yes
relayhost = [127.0.0.1]:HOP
relay_domains = dead.test
relay_transport = smtp:[127.0.0.1]:1
virtual_mailbox_domains = there.test
virtual_mailbox_base = FOLDER/mail
virtual_mailbox_maps = inline:{{box@there.test=box/},{file@there.test=mfile}}
virtual_uid_maps = static:UID
virtual_gid_maps = static:GID
virtual_minimum_uid = 1
mail_spool_directory = FOLDER/spool/
recipient_delimiter = +
virtual_alias_domains = va.test
virtual_alias_maps = inline:{{va@va.test=ok@y.test,games@local.test,nosuch@local.test}}
mailbox_transport_maps = inline:{{pipe=thepipe:},{lmtpok=lmtp:[127.0.0.1]:HOP},
 {error=error:5.7.1 go away},{retry=retry:4.2.0 later},{discard=discard:eaten}}
default_privs = games
forward_path = FOLDER/forward-$user
"""

_MASTER_CF = """
pickup unix n - n 60 1 pickup
local unix - n n - - local
thepipe unix - n n - - pipe user=games argv=/bin/touch FOLDER/out/pipe
"""

_OUR_MASTER_CF = """
qmgr unix n - n 300 1 qmgr
virtual unix - n n - - virtual
smtp unix - - n - - smtp
relay unix - - n - - smtp
lmtp unix - - n - - lmtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
"""

_ALIASES = {
    "alias": "ok@y.test",
    "list": "bad@y.test, ok@y.test",
    "command": '"|touch FOLDER/out/command"',
    "file": "FOLDER/out/file",
    "maildir": "FOLDER/out/maildir/",
    "include": ":include:FOLDER/included",
    "absent": ":include:FOLDER/nowhere",
    "user": "games",
    "two": "games, news",
    "mixed": 'games, ok@y.test, "|touch FOLDER/out/mixed", nosuchuser',
    "nested": "alias, user",
    "self": "self",
    "owned": "ok@y.test",
    "owner-owned": "box@there.test",
    "ownedbox": "news",
    "owner-ownedbox": "box@there.test",
}

RECIPIENTS = (
    *("ok@y.test", "bad@y.test", "busy@y.test", "OK@Y.Test"),
    *("box@there.test", "file@there.test", "nobody@there.test", "x@dead.test"),
    *(f"{name}@local.test" for name in _ALIASES if not name.startswith("owner-")),
    *("games@local.test", "Nosuch@local.test", "news@local.test", "games+x@local.test"),
    *("backup@local.test", "pipe@local.test", "lmtpok@local.test"),
    *("error@local.test", "retry@local.test", "discard@local.test"),
    *("va@va.test", "nova@va.test"),
)


class Hop:
    """
    A next hop that keeps what it is told, and takes mail.
    """

    def __init__(self) -> None:
        self.commands: list[bytes] = []
        self.messages = 0
        self._lock = threading.Lock()

    def has(self, count: int) -> bool:
        return self.messages == count

    def play(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            connection.sendall(b"220 hop.test ESMTP\r\n")
            for line in iter(lines.readline, b""):
                with self._lock:
                    self.commands.append(line)
                verb = line.upper()
                connection.sendall(self._answer(verb, connection, iter(lines)))
                if verb.startswith(b"QUIT"):
                    return

    def _answer(
        self, verb: bytes, connection: socket.socket, lines: Iterator[bytes]
    ) -> bytes:
        if verb.startswith((b"EHLO", b"LHLO")):
            return b"250-hop.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
        if verb.startswith(b"RCPT TO:<BAD@"):
            return b"550 5.1.1 <bad@y.test>: Recipient rejected\r\n"
        if verb.startswith(b"RCPT TO:<BUSY"):
            return b"450 4.2.1 mailbox busy\r\n"
        if verb.startswith(b"RCPT"):
            return b"250 2.1.5 taken\r\n"
        if verb.startswith(b"DATA"):
            connection.sendall(b"354 go on\r\n")
            while next(lines) != b".\r\n":
                pass
            with self._lock:
                self.messages += 1
        return b"250 2.0.0 ok\r\n"


class VerifyOracleTests(RunningTestCase):
    maxDiff = None

    def setUp(self) -> None:
        require("postfix")
        require_root("starts a Postfix of its own, and becomes users")
        owner = pwd.getpwnam(OWNER)
        self.hops: dict[Postfix | Txmta, Hop] = {}
        self.ports: dict[Postfix | Txmta, int] = {}
        self.theirs, self.ours = Postfix(), self.txmta(master_cf="")
        self.addCleanup(self.theirs.close)
        for server in (self.theirs, self.ours):
            hop = self.hops[server] = Hop()
            port = self.ports[server] = self.rogue(hop.play).port
            folder = server.folder
            for name in ("spool", "out", "mail"):
                (folder / name).mkdir(exist_ok=True)
                (folder / name).chmod(0o1777)
            os.chown(folder / "mail", owner.pw_uid, owner.pw_gid)
            self._configure(server, port, owner)
            server.start()

    def _configure(
        self, server: Postfix | Txmta, port: int, owner: pwd.struct_passwd
    ) -> None:
        folder, ours = server.folder, isinstance(server, Txmta)

        def local(text: str) -> str:
            for word, value in (
                ("FOLDER", folder),
                ("HOP", port),
                ("UID", owner.pw_uid),
                ("GID", owner.pw_gid),
            ):
                text = text.replace(word, str(value))
            return text

        for name, text in (
            ("included", "games\nok@y.test\n"),
            ("forward-backup", "ok@y.test, \backup\n"),
            # Ours reads the file of alias_maps as aliases(5).
            ("aliases", "".join(f"{k}{':' * ours} {v}\n" for k, v in _ALIASES.items())),
        ):
            (folder / name).write_text(local(text))
        backup = pwd.getpwnam("backup")
        os.chown(folder / "forward-backup", backup.pw_uid, backup.pw_gid)
        main_cf, master_cf = local(_MAIN_CF), local(_MASTER_CF)
        if isinstance(server, Txmta):
            main_cf += "process_model = multi\nprocesses_per_role = 1\n"
            main_cf += f"mail_owner = {QUEUE_OWNER}\n"
            log = server.write("mail.log", "")
            os.chown(log, pwd.getpwnam(QUEUE_OWNER).pw_uid, server.user.pw_gid)
            server.add(main_cf)
            master_cf += _OUR_MASTER_CF
        else:
            path = folder / "main.cf"
            path.write_text(combined(path.read_text(), main_cf))
        with (folder / "master.cf").open("a") as file:
            file.write(master_cf)

    def submit(
        self, server: Postfix | Txmta, *arguments: str, content: bytes = b""
    ) -> None:
        ours = [sys.executable, "-m", "txmta.admin.sendmail"]
        command = ours if server is self.ours else ["/usr/sbin/sendmail"]
        done = subprocess.run(
            [*command, "-C", str(server.folder), "-f", "box@there.test", *arguments],
            input=content,
            capture_output=True,
            env=ENVIRONMENT,
            cwd=ROOT,
            timeout=PATIENCE,
        )
        self.assertEqual(
            (done.returncode, done.stdout, done.stderr),
            (
                0,
                b"Mail Delivery Status Report will be mailed to <box@there.test>.\n",
                b"",
            ),
        )

    def reports(self, server: Postfix | Txmta, count: int) -> list[bytes]:
        """
        @return: what the Maildir has got, when it has got C{count}.
        """
        new = server.folder / "mail" / "box" / "new"
        end = time.monotonic() + PATIENCE * 2
        while time.monotonic() < end:
            names = os.listdir(new) if new.exists() else []
            if len(names) >= count:
                found = [(new / name).read_bytes() for name in names]
                for name in names:
                    (new / name).unlink()
                return found
            time.sleep(0.05)
        raise AssertionError(f"not {count} reports:\n{server.log()}")

    def told(self, server: Postfix | Txmta, report: bytes) -> list[str]:
        """
        @return: the text for people and the fields for programs, paragraph by
            paragraph, without what is different for each server, sorted: agents
            answer in any order.
        """
        message = message_from_bytes(report)
        names = ("From", "To", "Subject", "Auto-Submitted", "Content-Type")
        found = [f"{name}: {message[name]}" for name in names]
        parts = cast("list[Message]", message.get_payload())
        found += str(parts[0].get_payload()).split("\n\n")
        found += [repr(group) for group in status(report)]
        found += [repr(part.items()) for part in parts]
        # Folded in any way.
        original = str(parts[2].get_payload())
        found += re.sub(r"\n[ \t]+", " ", original).splitlines()
        general = []
        for text in found:
            for pattern, word in (
                (re.escape(str(server.folder)), "FOLDER"),
                (rf":{self.ports[server]}\b", ":HOP"),
                (r"forwarded as \w+", "forwarded as ID"),
                (r"<\d{14}\.\w+@", "<ID@"),
                (r"boundary=\"[^\"]*\"", "boundary"),
                (r"\w{3}, +\d+ \w{3} \d{4} [\d:]+ \S+ \(\w+\)", "DATE"),
            ):
                text = re.sub(pattern, word, " ".join(text.split()))
            if not text.startswith("Received:"):
                general.append(text)
        return sorted(general)

    def compare(self, count: int = 1) -> None:
        theirs, ours = (
            [self.told(server, each) for each in self.reports(server, count)]
            for server in (self.theirs, self.ours)
        )
        self.assertEqual(len(ours), len(theirs))
        for a, b in zip(sorted(ours), sorted(theirs), strict=True):
            self.assertEqual(
                list((Counter(a) - Counter(b)).elements()),
                list((Counter(b) - Counter(a)).elements()),
            )

    def test_probe(self) -> None:
        """
        Everything that a recipient can lead to: the same is said of it, nothing
        is written, run, sent or forwarded, and the next hop is asked in the
        same words.
        """
        for server in (self.theirs, self.ours):
            self.submit(server, "-bv", *RECIPIENTS)
        self.compare()
        for server in (self.theirs, self.ours):
            folder, hop = server.folder, self.hops[server]
            self.assertEqual(os.listdir(folder / "spool"), [])
            self.assertEqual(os.listdir(folder / "out"), [])
            self.assertEqual(os.listdir(folder / "mail"), ["box"])
            self.assertEqual(hop.messages, 0)
            self.assertNotIn(b"DATA\r\n", hop.commands)
        # Ours may keep the connection.
        said = ({*self.hops[s].commands} - {b"QUIT\r\n"} for s in self.hops)
        self.assertEqual(*said)

    def test_record(self) -> None:
        """
        A message that is delivered, and a report of everything that was done.
        """
        recipients = (
            *("ok@y.test", "busy@y.test", "file@there.test", "games@local.test"),
            *("command@local.test", "alias@local.test", "retry@local.test"),
        )
        for server in (self.theirs, self.ours):
            self.submit(server, "-v", *recipients, content=b"Subject: x\n\nbody\n")
        self.compare()
        for server in (self.theirs, self.ours):
            self.assertEqual(os.listdir(server.folder / "spool"), ["games"])
            self.assertEqual(os.listdir(server.folder / "out"), ["command"])
            hop = self.hops[server]
            wait_for(partial(hop.has, 2), "two messages")
