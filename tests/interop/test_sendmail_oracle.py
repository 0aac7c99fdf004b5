"""
The same messages through Debian's Postfix (sendmail, pickup, cleanup) and ours.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.interop.postfix_instance import Postfix
from tests.interop.test_cleanup_oracle import constant
from tests.queue.pickup_doubles import Desk
from tests.support import require, require_root
from txmta.address import quote
from txmta.model import Envelope

#: Arguments, and what is handed in with them.
CASES: tuple[tuple[tuple[str, ...], bytes], ...] = (
    (("r@y.test",), b"Subject: x\n\nhello\n"),
    (("r@y.test",), b"From: me\nTo: bob\n\nhello\nno end"),
    (("r@y.test",), b""),
    (("r@y.test",), b"\n"),
    (("r@y.test",), b"no header\n\nx\n"),
    (("-i", "r@y.test"), b"S: x\n\n" + b"y" * 5000 + b"\n.\nz\n"),
    # What ends a message, and what does not
    (("r@y.test",), b"S: x\n\na\n.\nb\n"),
    (("r@y.test",), b"S: x\n\na\n."),
    (("r@y.test",), b"S: x\n\na\n..\n. \n .\nb\n"),
    (("r@y.test",), b"S: x\r\n\r\na\r\n.\r\nb\r\n"),
    (("-oi", "r@y.test"), b"S: x\n\na\n.\nb\n"),
    (("-t", "-i"), b"To: r@y.test\n.\nCc: q@y.test\n\nx\n"),
    # Line ends
    (("-i", "r@y.test"), b"S: x\r\n\r\na\r\nb\nc\r\n"),
    (("-i", "r@y.test"), b"S: x\r\n\r\nbare\nboth\r\r\n"),
    (("-i", "r@y.test"), b"\r\nx\r\n"),
    # mbox
    (("r@y.test",), b"From a b\nS: x\n\nFrom c\n"),
    (("r@y.test",), b">From a b\n>>From q\nS: x\n\n"),
    (("r@y.test",), b"From a b\r\nS: x\r\n\r\nx\r\n"),
    (("-t",), b"From a\nTo: r@y.test\n\nx\n"),
    # Senders and names
    (("-f", "", "r@y.test"), b"S: x\n\n"),
    (("-f", "<>", "r@y.test"), b"S: x\n\n"),
    (("-f", "a@b.test", "r@y.test"), b"S: x\n\n"),
    (("-f", "John Q <jq>", "r@y.test"), b"S: x\n\n"),
    (("-f", "jq (John)", "r@y.test"), b"S: x\n\n"),
    (("-r", '"a b"@c.test', "r@y.test"), b"S: x\n\n"),
    (("-F", "Plain Name", "r@y.test"), b"S: x\n\n"),
    (("-FA.B Name", "r@y.test"), b"S: x\n\n"),
    (("-F", 'Quote "x" \\y', "r@y.test"), b"S: x\n\n"),
    (("-F", "Paren (x)", "-f", "a@b.test", "r@y.test"), b"S: x\n\n"),
    (("-F", "Bär Ä", "r@y.test"), b"S: x\n\n"),
    (("-F", "a@b, c;", "r@y.test"), b"S: x\n\n"),
    (("-F", " lead  two ", "r@y.test"), b"S: x\n\n"),
    (("-F", "O'Neil-x", "r@y.test"), b"From: here\n\n"),
    # Recipients in headers
    (("-t",), b"To: r@y.test\nBcc: q@y.test\nCc: p@y.test\n\nx\n"),
    (("-t",), b"To: r@y.test,\n q@y.test\n\t, p@y.test\nCc : s@y.test\n\nx\n"),
    (("-t",), b'To: Joe <r@y.test>, (c) "q r"@y.test, grp: u1@y.test, u2@y.test;\n\n'),
    (("-t",), b"Bcc: a b\nbcc: c.d@y.test e@y.test\n\n"),
    (("-t",), b'To: "Doe, Joe" <r@y.test>, <q@y.test> (x, y)\n\n'),
    (("-t",), b"Bcc: <@one.test,@two.test:r@y.test>, @a.test:q@y.test\n\n"),
    (("-t",), b"To: r@y.test\nTo: q@y.test\nX-To: z@y.test\n\nTo: b@y.test\n"),
    (("-t", "extra@y.test", "two@y.test, three@y.test"), b"To: r@y.test\n\n"),
    (("-t",), b"Resent-To: r@y.test\nTo: q@y.test\nResent-Bcc: p@y.test\n\n"),
    (("-t",), b"To: q@y.test\nResent-Cc: r@y.test\nBcc: p@y.test\n\n"),
    (("-t",), b"Apparently-To: a@y.test\nTo: r@y.test\n\n"),
    (("-t",), b"To: r@y.test\nnot a header\nCc: q@y.test\n"),
    (("-t",), b"To: undisclosed-recipients:;\nBcc: r@y.test\n\nx\n"),
    (("-t",), b"to: R@Y.test\nTO: r@y.test\n\nx\n"),
    (("-ti",), b"To: r@[192.0.2.9]\n\nx\n"),
    (("-t",), b"To: " + b", ".join(b"u%d@y.test" % n for n in range(40)) + b"\n\n"),
    # Recipients as arguments
    (("r@y.test", "r@y.test", "q"), b"S: x\n\n"),
    (("Joe <r@y.test>", "(x) q@y.test", "a, b"), b"S: x\n\n"),
    (("--", "r@y.test"), b"S: x\n\n"),
    (("r@y.test", "a?f", "q"), b"To: z@y.test\n\n"),
    # The rest of the options
    (("-G", "r@y.test"), b"To: bob\n\nhello\n"),
    (("-oem", "-om", "-o7", "-e", "m", "-h", "3", "r@y.test"), b"S: x\n\n"),
    (("-mnowhere", "r@y.test"), b"S: x\n\n"),
    (("-A", "x", "-L", "tag", "-p", "smtp:x", "-U", "-c", "-x", "r"), b"S: x\n\n"),
    (("-O", "RunAsUser=x", "-ORun=y", "r@y.test"), b"S: x\n\n"),
    (("-B", "8BITMIME", "r@y.test"), b"S: x\n\n\xc3\xa4\n"),
    (("-B7BIT", "r@y.test"), b"S: x\n\n"),
    (("-N", "never", "r@y.test"), b"S: x\n\n"),
    (("-N", "success,delay", "-R", "hdrs", "-V", "id7", "r@y.test"), b"S: x\n\n"),
    (("-N", "what", "-R", "what", "r@y.test"), b"S: x\n\n"),
    # Refused
    (("-Z", "r@y.test"), b"S: x\n\n"),
    (("-bt",), b""),
    (("-bZ",), b""),
    (("-n", "r@y.test"), b"S: x\n\n"),
    (("-B", "BINARY", "r@y.test"), b"S: x\n\n"),
    (("-X", "/tmp/log", "r@y.test"), b"S: x\n\n"),
    (("-qSite",), b""),
    (("-qI",), b""),
    (("-qR",), b""),
    (("-q", "r@y.test"), b""),
    (("-bp", "r@y.test"), b""),
    (("-bi", "r@y.test"), b""),
    (("-bd", "r@y.test"), b""),
    ((), b"S: x\n\n"),
    (("-t",), b"S: x\n\n"),
    (("-t",), b"To: :;\n\n"),
    (("-f",), b"S: x\n\n"),
)


class OracleTests(SynchronousTestCase):
    def setUp(self) -> None:
        require("postfix", "postconf")
        require_root("starts a Postfix of its own")
        self.postfix = Postfix(offers=("8BITMIME", "SMTPUTF8", "DSN"))
        self.addCleanup(self.postfix.close)
        self.postfix.run("start")
        self.desk = Desk(Path(tempfile.mkdtemp(prefix="tx")), myhostname="mx.here.test")
        self.addCleanup(self.desk.close)

    def ours(
        self, arguments: tuple[str, ...], content: bytes
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [
                *(sys.executable, "-m", "txmta.admin.sendmail"),
                *("-C", str(self.desk.folder), *arguments),
            ],
            input=content,
            capture_output=True,
            timeout=20,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )

    def test_same(self) -> None:
        """
        Content, sender, recipients and DSN parameters are the same, but for ids
        and dates; and what is refused by one is refused by the other.
        """
        wrong: list[tuple[object, ...]] = []
        for arguments, content in CASES:
            theirs = self.postfix.submit(arguments, content)
            ours = self.ours(arguments, content)
            if (theirs.returncode == 0) != (ours.returncode == 0):
                wrong.append((arguments, content, theirs.stderr, ours.stderr))
                if theirs.returncode == 0:
                    self.postfix.sink.take()
                self.desk.taken()
                continue
            if theirs.returncode:
                continue
            expected = _constant(self.postfix.sink.take())
            mail, self.postfix.sink.mail = self.postfix.sink.mail, {}
            message = self.desk.taken()
            assert message is not None, arguments
            envelope = message.envelope
            found = _constant(message.content)
            if found != expected:
                wrong.append((arguments, content, expected, found))
            said = {self.mail_command(envelope)}
            recipients = {quote(r.address) for r in envelope.recipients}
            if recipients != set(mail) or said != set(mail.values()):
                wrong.append((arguments, content, mail, recipients, said))
        text = "\n".join("\n    ".join(map(str, each)) for each in wrong)
        self.assertEqual(wrong, [], text)

    def mail_command(self, envelope: Envelope) -> str:
        """
        As Postfix's SMTP client says it of a message that pickup had.
        """
        parameters = "".join(
            (
                f" BODY={envelope.body}" if envelope.body else "",
                f" ENVID={envelope.envid}" if envelope.envid else "",
                f" RET={envelope.ret}" if envelope.ret else "",
            )
        )
        return f"MAIL FROM:<{quote(envelope.sender)}>{parameters}"


def _constant(content: bytes) -> bytes:
    return re.sub(rb"\tid \w+;", b"\tid ID;", constant(content))
