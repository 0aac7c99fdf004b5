"""
Debian's Postfix as oracle for mailbox files: octets, and the words for what
cannot be written to.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.delivery.doubles import US, Setting, Table, acting, request
from tests.interop.test_maildir_oracle import (
    CONTENTS,
    HEADERS,
    MailboxPostfix,
)
from tests.support import require, require_root
from txmta.delivery.copy import Stamp
from txmta.delivery.filesystem import MailboxError
from txmta.delivery.mbox_open import MboxFile
from txmta.delivery.mboxes import Mboxes
from txmta.delivery.message import Message
from txmta.delivery.rights import Identity
from txmta.delivery.virtual import VirtualAgent
from txmta.model import Outcome

NOBODY = 65534
LIMIT = 100_000

MAIN_CF = """
deliver_lock_attempts = 1
message_size_limit = 90000
mailbox_size_limit = {limit}
virtual_mailbox_limit = {limit}
"""

#: Odd lines; long ones that Postfix keeps in pieces.
MORE = (
    HEADERS + b"\r\nFrom a\r\n>From b\r\n>>From c\r\nfrom d\r\nFrom\r\n From e\r\n",
    HEADERS + b"\r\nFrom no end of the line but that of the message\r\n\r\n\r\n",
    HEADERS + b"From-: x\r\nX: y\r\n From z\r\n\r\nFrom \r\nFrom\t\r\n",
    HEADERS + b"\r\n" + b"From " * 500 + b"\r\n" + b"x" * 2048 + b"From y\r\n",
    HEADERS + b"\r\n" + b"x" * 4094 + b"\r\nFrom z\r\n",
    HEADERS + b"\r\n\0\x01\xff lone \r CR\r\n",
    b"",
)
SENDERS = ("sender@b.test", "", '"a b"@b.test', "A@B.test", '"From x"@b.test')

#: What stands in place of a mailbox.
THINGS = (
    "missing",
    "directory",
    "fifo",
    "hard",
    "link",
    "root_link",
    "dangling",
    "others",
    "locked",
    "full",
    "no/directory",
    "read_only",
    "executable",
)


class MboxPostfix(MailboxPostfix):
    """
    One that appends to files.
    """

    def __init__(self) -> None:
        super().__init__()
        config = self.home / "etc/main.cf"
        text = config.read_text().replace(f"{self.home}/mail/", f"{self.home}/mail")
        config.write_text(text + MAIN_CF.format(limit=LIMIT))
        for name, line in (
            ("boxes", "{0}@v.test {0}\n"),
            ("aliases", "file-{0} {1}/virtual/{0}\n"),
        ):
            with (self.home / name).open("a") as file:
                for thing in (*THINGS, "mbox"):
                    file.write(line.format(thing, self.home))

    def over(self, queue_id: str) -> bool:
        """
        What is deferred stays.
        """
        return bool(self.results(queue_id))


def furnish(base: Path) -> None:
    """
    Make L{THINGS}; all belong to nobody, as virtual users do.
    """
    (base / "directory").mkdir()
    os.mkfifo(base / "fifo")
    (base / "target").write_bytes(b"")
    (base / "hard").write_bytes(b"")
    os.link(base / "hard", base / "hard2")
    (base / "link").symlink_to(base / "target")
    (base / "dangling").symlink_to(base / "nowhere")
    (base / "locked").write_bytes(b"")
    (base / "locked.lock").write_bytes(b"")
    (base / "full").write_bytes(b"x" * (LIMIT - 100))
    (base / "read_only").write_bytes(b"")
    (base / "read_only").chmod(0o400)
    (base / "executable").write_bytes(b"")
    (base / "executable").chmod(0o755)
    for path in (base, *base.iterdir()):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    (base / "others").write_bytes(b"")
    (base / "others").chmod(0o666)
    (base / "root_link").symlink_to(base / "target")


class OracleTests(SynchronousTestCase):
    def setUp(self) -> None:
        require("postfix")
        require_root("starts Postfix")
        self.postfix = MboxPostfix()
        self.addCleanup(self.postfix.close)
        self.postfix.run("start")
        self.theirs = self.postfix.home / "virtual"
        self.base = self.postfix.home / "ours"
        self.base.mkdir(mode=0o755)
        furnish(self.theirs)
        furnish(self.base)

    def as_nobody(self) -> None:
        os.setegid(NOBODY)
        os.seteuid(NOBODY)

    def as_root(self) -> None:
        os.seteuid(0)
        os.setegid(0)

    def ours(self, recipient: str, sender: str, content: bytes) -> Outcome:
        """
        Deliver with our agent, and nobody's rights.
        """
        boxes = {f"{thing}@v.test": thing for thing in (*THINGS, "mbox")}
        ids = Table(dict.fromkeys(boxes, str(NOBODY)))
        setting = Setting(
            {"x:boxes": Table(boxes), "x:ids": ids},
            "virtual",
            virtual_mailbox_maps="x:boxes",
            virtual_uid_maps="x:ids",
            virtual_gid_maps="x:ids",
            virtual_mailbox_base=str(self.base),
            virtual_mailbox_limit=str(LIMIT),
            deliver_lock_attempts="1",
        )
        identity = Identity(NOBODY, US.groups | {NOBODY})
        agent = VirtualAgent(acting(setting.context, lambda: identity))
        what = request(recipient, sender=sender.replace('"', ""), content=content)
        outcomes: list[Outcome] = []
        self.as_nobody()
        try:
            self.successResultOf(agent.deliver(what, outcomes.append))
        finally:
            self.as_root()
        (outcome,) = outcomes
        return outcome

    def test_octets(self) -> None:
        """
        The same, from the From_ line to the empty line at the end; only its
        date is another.
        """
        date = re.compile(
            rb"^(From .*  )\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}$", re.M
        )
        mbox = self.theirs / "mbox"
        for sender in SENDERS:
            for content in CONTENTS + MORE if sender == SENDERS[0] else CONTENTS[:1]:
                ((relay, *_, reason),) = self.postfix.deliver(
                    "mbox@v.test", sender, content
                )
                self.assertEqual((relay, reason), ("virtual", "delivered to mailbox"))
                theirs = mbox.read_bytes()
                mbox.unlink()
                received = re.search(rb"^Received:.*\n(?:[ \t].*\n)*", theirs, re.M)
                assert received is not None
                # What follows is what cleanup made of it; that is tested elsewhere.
                body = theirs[received.start() : -1].replace(b"\n>From ", b"\nFrom ")
                if b">From " in content:
                    body = received[0] + content.replace(b"\r\n", b"\n")
                wire = body.replace(b"\n", b"\r\n")
                outcome = self.ours("mbox@v.test", sender, wire)
                self.assertEqual(outcome.reason, reason)
                ours = (self.base / "mbox").read_bytes()
                (self.base / "mbox").unlink()
                self.assertEqual(date.sub(rb"\1", ours), date.sub(rb"\1", theirs))
                self.assertRegex(ours, date)

    def test_virtual(self) -> None:
        """
        The same status and words for what is not a mailbox.
        """
        for thing in THINGS:
            ((_, dsn, _, reason),) = self.postfix.deliver(
                f"{thing}@v.test", "sender@b.test", CONTENTS[0]
            )
            outcome = self.ours(f"{thing}@v.test", "sender@b.test", CONTENTS[0])
            theirs = reason.replace(str(self.theirs), str(self.base))
            self.assertEqual((outcome.status, outcome.reason), (dsn, theirs), thing)
            if not dsn.startswith("2"):
                self.check_untouched(thing)

    def check_untouched(self, thing: str) -> None:
        for base in (self.theirs, self.base):
            for name in ("target", "others", "hard2", "read_only"):
                self.assertEqual((base / name).stat().st_size, 0, thing)
            self.assertFalse((base / "nowhere").exists())
            self.assertEqual((base / "full").stat().st_size, LIMIT - 100)

    def test_files(self) -> None:
        """
        The same words for /file/name destinations; where Postfix bounces
        because of what the file is, we defer.
        """
        for thing in THINGS:
            if thing == "locked":  # would be waited for by two
                continue
            ((_, dsn, _, reason),) = self.postfix.deliver(
                f"file-{thing}@here.test", "sender@b.test", CONTENTS[0]
            )
            status, words = self.to_file(thing)
            if dsn == "5.2.0":
                dsn = "4.2.0"
            theirs = reason.replace(str(self.theirs), str(self.base))
            theirs = theirs.removeprefix(
                f"cannot append message to file {self.base}/{thing}: "
            ).removesuffix(f"delivered to file: {self.base}/{thing}")
            self.assertEqual((status, words), (dsn, theirs), thing)

    def to_file(self, thing: str) -> tuple[str, str]:
        mboxes = Mboxes(Setting(None, "local", deliver_lock_attempts="1").context)
        locks = ("fcntl", "dotlock")
        path = str(self.base / thing)
        file = MboxFile(path, NOBODY, NOBODY, LIMIT, True, False, locks)
        what = request("a@here.test", content=CONTENTS[0])
        message = self.successResultOf(Deferred.fromCoroutine(Message.open(what)))
        stamp = Stamp("sender@b.test", "", "")
        self.as_nobody()
        errors: list[Failure] = []
        try:
            done = Deferred.fromCoroutine(mboxes.deliver(message, file, stamp))
            done.addErrback(errors.append)
            self.successResultOf(done)
        finally:
            self.as_root()
        if not errors:
            return "2.0.0", ""
        error = errors[0].value
        assert isinstance(error, MailboxError)
        return error.status, error.reason
