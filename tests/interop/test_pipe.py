"""
Transports that run commands, in a whole server.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import smtplib
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.interop.recorder import Recorder
from tests.interop.running import RunningTestCase, Txmta, account
from tests.interop.tools import PATIENCE, wait_for
from tests.support import require, require_root

CONTENT = b"Subject: x\r\n\r\n.dot\r\nFrom here\r\n"

_AGENTS = """\
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
smtp unix - - n - - smtp
relay unix - - n - - smtp
virtual unix - n n - - virtual
local unix - n n - - local
"""


def as_owner() -> Sequence[str]:
    """
    @return: a command that runs another as whom a server may not be if root
        starts it: mail_owner, here an ordinary user with commands.
    """
    if os.getuid() != 0:
        return ()
    user = account()
    return (
        "setpriv",
        f"--reuid={user.pw_uid}",
        f"--regid={user.pw_gid}",
        "--clear-groups",
        "--inh-caps=-all",
    )


class PipeTests(RunningTestCase):
    def setUp(self) -> None:
        if os.getuid() == 0:
            require("setpriv")
        self.recorder = Recorder()
        self.addCleanup(self.recorder.close)

    def server(self, words: str, main_cf: str = "", user: str = "") -> Txmta:
        """
        @param words: of service "mine", which gets all mail; C{argv=@} is the
            recorder.
        @return: a server that listens, as an ordinary user.
        """
        words = words.replace("argv=@", f"argv={self.recorder.path}")
        service = f"mine unix - n n - - pipe user={user or account().pw_name} {words}\n"
        server = self.txmta(
            "default_transport = mine:hop\nrelayhost =\nrecipient_delimiter = +\n"
            + main_cf,
            master_cf=_AGENTS + service,
        )
        server.start(*as_owner())
        return server

    def send(self, server: Txmta, *to: str, content: bytes = CONTENT) -> None:
        with smtplib.SMTP("127.0.0.1", server.port, timeout=PATIENCE) as client:
            self.assertEqual(client.sendmail("s@x.test", to, content), {})

    def test_delivered(self) -> None:
        """
        One command for all recipients of a message; it gets nothing of the
        server but what it is to get.
        """
        server = self.server("flags=Fq.> argv=@ -f $sender -- $recipient u=$user")
        self.send(server, "a+b@y.test", "c@y.test")
        lines = server.wait_for_log(r"relay=mine, .*status=sent", 2)
        for line in lines:
            self.assertIn("dsn=2.0.0, status=sent (delivered via mine service)", line)
            self.assertIn(" postfix/pipe[", line)
        server.wait_until_idle()
        record = self.recorder.take()
        assert record is not None
        self.assertEqual(
            record.argv,
            [b"-f", b"s@x.test", b"--", b"a+b@y.test", b"c@y.test", b"u=a", b"u=c"],
        )
        self.assertTrue(record.input.startswith(b"From s@x.test  "))
        self.assertTrue(record.input.endswith(b"\n\n..dot\n>From here\n"))
        self.assertLessEqual(set(record.environ), {"LANG", "PATH", "TZ", "MAIL_CONFIG"})
        self.assertEqual(record.environ["MAIL_CONFIG"], str(server.folder))
        self.assertEqual(record.files[:3], [0, 1, 2])
        self.assertEqual(len(record.files), 4)
        self.assertEqual(record.umask, 0o077)
        self.assertTrue(record.leads)
        self.assertEqual(record.directory, str(server.folder / "queue"))

    def test_one_by_one(self) -> None:
        """
        <transport>_destination_recipient_limit = 1, as flags D and O need it.
        """
        server = self.server(
            "flags=DRO argv=@ $recipient", "mine_destination_recipient_limit = 1\n"
        )
        self.send(server, "a@y.test", "b@y.test")
        server.wait_for_log(r"relay=mine, .*status=sent", 2)
        record = self.recorder.take()
        assert record is not None
        self.assertEqual(len(record.argv), 1)
        self.assertIn(b"Delivered-To: " + record.argv[0], record.input)

    def test_large(self) -> None:
        """
        More than is held in memory, octet for octet.
        """
        body = (b"%08d" * 100 + b"\r\n") % tuple(range(100)) * 10_000
        server = self.server("argv=@")
        self.send(server, "a@y.test", content=b"Subject: x\r\n\r\n" + body)
        server.wait_for_log(r"relay=mine, .*status=sent")
        record = self.recorder.take()
        assert record is not None
        _head, _gap, found = record.input.partition(b"\n\n")
        self.assertTrue(found == body.replace(b"\r\n", b"\n"))

    def test_fails(self) -> None:
        """
        Bounced or deferred, for all recipients.
        """
        server = self.server("argv=/bin/sh -c {cat >/dev/null; exit 67}")
        self.send(server, "a@y.test", "b@y.test")
        for line in server.wait_for_log("relay=mine, .*status=bounced", 2):
            self.assertIn("dsn=5.1.1, status=bounced (user unknown)", line)

    def test_hangs(self) -> None:
        """
        A command that hangs holds up no other mail, and is killed in time.
        """
        server = self.server(
            "argv=/bin/sh -c {test $$0 != slow@y.test || sleep 4567} $recipient",
            "mine_time_limit = 2s\n",
        )
        start = time.monotonic()
        self.send(server, "slow@y.test")
        self.send(server, "quick@y.test")
        server.wait_for_log("to=<quick@y.test>.*status=sent")
        self.assertLess(time.monotonic() - start, 2)
        (line,) = server.wait_for_log("to=<slow@y.test>.*status=")
        self.assertIn(
            'dsn=5.3.0, status=bounced (Command time limit exceeded: "/bin/sh")', line
        )

    def test_other_user(self) -> None:
        """
        One process has one user's rights.
        """
        server = self.server("argv=@", user="daemon")
        self.send(server, "a@y.test")
        (line,) = server.wait_for_log("to=<a@y.test>.*status=")
        self.assertRegex(
            line,
            r"dsn=4\.3\.5, status=deferred \(service mine: user=daemon is uid \d+, but "
            r"txmta runs as uid \d+ in one process: run it as that user, or change "
            r"user= in master\.cf\)",
        )
        self.assertIsNone(self.recorder.take())

    def test_crash(self) -> None:
        """
        Killed while a command runs, the server delivers again: the message
        is not lost.
        """
        flag = Path(tempfile.mkdtemp(prefix="txmta-flag-"))
        self.addCleanup(shutil.rmtree, flag)
        flag.chmod(0o777)
        words = (
            f"argv=/bin/sh -c {{cat >/dev/null; test -e {flag}/go || "
            f"{{ echo $$$$ >{flag}/pid; sleep 5678; }} }}"
        )
        server = self.server(words)
        self.send(server, "a@y.test")
        wait_for(lambda: (flag / "pid").exists(), "the command does not run")
        server.kill(signal.SIGKILL)
        server.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int((flag / "pid").read_text()), signal.SIGKILL)
        (flag / "go").touch()
        server.start(*as_owner())
        server.wait_for_log("to=<a@y.test>.*status=sent")
        server.wait_until_idle()


class StartTests(RunningTestCase):
    def refused(self, line: str) -> str:
        server = self.txmta(master_cf=_AGENTS + line + "\n")
        done = server.run()
        self.assertEqual(done.returncode, 1)
        return done.stderr

    def test_root(self) -> None:
        """
        No commands as root.
        """
        told = self.refused("mine unix - n n - - pipe user=root argv=/bin/true")
        self.assertRegex(
            told,
            r"txmta: fatal: \S+master\.cf, line \d+: service mine: user= command-line "
            r"attribute specifies root privileges: ",
        )

    def test_owner(self) -> None:
        """
        Nor as the owner of the queue, if root starts the server.
        """
        require_root("becomes mail_owner")
        name = account().pw_name
        told = self.refused(f"mine unix - n n - - pipe user={name} argv=/bin/true")
        self.assertIn(f"specifies mail system owner {name}: ", told)

    def test_attributes(self) -> None:
        told = self.refused("mine unix - n n - - pipe user=daemon flags=z argv=x $foo")
        self.assertIn("service mine: unknown flag: z: ", told)
        self.assertIn("service mine: unknown macro name: foo: ", told)

    def test_postfix_own(self) -> None:
        """
        The master.cf that Debian's Postfix is installed with starts.
        """
        stock = Path("/usr/share/postfix/master.cf.dist")
        if not stock.exists():
            require("postfix")
        lines = stock.read_text().splitlines(keepends=True)
        server = self.txmta(
            "maillog_file_prefixes = /tmp\n",
            master_cf="".join(x for x in lines if not x.startswith("smtp      inet")),
        )
        server.start()
        self.assertIn("daemon started", server.log())
