"""
Debian's Postfix as oracle for what local(8) and virtual(8) write and say.
"""

from __future__ import annotations

import os
import re
import smtplib
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.delivery.doubles import US, Setting, Table, acting, request
from tests.interop.postfix_instance import PATIENCE, Postfix
from tests.support import require, require_root
from txmta.delivery.local import LocalAgent
from txmta.delivery.questions import Account
from txmta.delivery.virtual import VirtualAgent
from txmta.model import Action, Outcome

#: Beyond what L{Postfix} has.
MAIN_CF = """
myorigin = here.test
mydestination = here.test
alias_maps = texthash:{home}/aliases
mail_spool_directory = {home}/mail/
recipient_delimiter = +
local_recipient_maps =
relayhost =
default_transport = discard:
virtual_mailbox_domains = v.test
virtual_mailbox_maps = texthash:{home}/boxes
virtual_mailbox_base = {home}/virtual
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
smtpd_reject_unlisted_recipient = no
notify_classes =
"""

MASTER_CF = """
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
"""

ALIASES = {
    "alias": "nobody",
    "nested": "alias",
    "a": "b",
    "b": "a",
    "self": "self",
    "list": "nobody",
    "owner-list": "nobody",
    "mixed": "nobody, NOBODY@here.test",
    "broken": "missing",
}
BOXES = {"box@v.test": "v.test/box/", "new+ext@v.test": "newext/"}

HEADERS = (
    b"From: a@b.test\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n"
    b"Message-ID: <1@b.test>\r\n"
)
#: Contents, as sent: line ends are CRLF, and nothing is dot-stuffed.
CONTENTS = (
    HEADERS + b"Subject: plain\r\n\r\nbody\r\n",
    HEADERS + b"\r\n.\r\n..two\r\nFrom here\r\n>From there\r\n\r\n\r\n",
    HEADERS + b"\r\n8 bit \xe9\xff, tab\t, space \r\n",
    HEADERS,
)

DELIVERIES = (
    ("nobody@here.test", "sender@b.test"),
    ("Nobody@Here.test", ""),
    ("nobody+ext@here.test", '"a b"@b.test'),
    ("alias@here.test", "sender@b.test"),
    ("nested@here.test", "Sender@B.test"),
    ("mixed@here.test", "sender@b.test"),
    ("box@v.test", "sender@b.test"),
    ("BOX@V.test", ""),
    ("box+ext@v.test", '"a b"@b.test'),
    ("new+ext@v.test", "sender@b.test"),
)
REFUSALS = (
    "missing@here.test",
    "broken@here.test",
    "a@here.test",
    "b@here.test",
    "self@here.test",
    "missing@v.test",
)

_LINE = re.compile(
    r"to=<[^>]*>, (?:orig_to=<[^>]*>, )?relay=(\w+), .* "
    r"dsn=([\d.]+), status=(\w+) \((.*)\)"
)
_STATUS = {
    Action.DELIVERED: "sent",
    Action.EXPANDED: "sent",
    Action.DELAYED: "deferred",
    Action.FAILED: "bounced",
}


class MailboxPostfix(Postfix):
    """
    One that delivers to Maildirs of nobody's.
    """

    def __init__(self) -> None:
        super().__init__()
        for folder in ("mail", "virtual"):
            (self.home / folder).mkdir()
            os.chown(self.home / folder, 65534, 65534)
        for name, text in (
            ("etc/main.cf", MAIN_CF.format(home=self.home)),
            ("etc/master.cf", MASTER_CF),
            ("aliases", "".join(f"{k} {v}\n" for k, v in ALIASES.items())),
            ("boxes", "".join(f"{k} {v}\n" for k, v in BOXES.items())),
        ):
            with (self.home / name).open("a") as file:
                file.write(text)

    def deliver(
        self, recipient: str, sender: str, content: bytes
    ) -> list[tuple[str, ...]]:
        """
        Send a message, and wait until it is gone.

        @return: what became of its recipients: relay, dsn, status, reason.
        """
        with smtplib.SMTP(
            "127.0.0.1", self.ports[True], "client.test", PATIENCE
        ) as client:
            client.ehlo()
            client.mail(sender)
            client.docmd("RCPT", f"TO:<{recipient}> NOTIFY=NEVER")
            code, text = client.data(content)
        assert code == 250, text
        queue_id = text.decode().rpartition(" ")[2]
        self.wait(queue_id)
        return self.results(queue_id)

    def results(self, queue_id: str) -> list[tuple[str, ...]]:
        """
        @return: what has become of a message's recipients.
        """
        lines = self.log(queue_id, "local") + self.log(queue_id, "virtual")
        return [match.groups() for line in lines if (match := _LINE.match(line))]

    def files(self) -> list[bytes]:
        """
        @return: what is in the Maildirs; they are emptied.
        """
        return taken(self.home / "mail") + taken(self.home / "virtual")


def taken(root: Path) -> list[bytes]:
    found = []
    for path in root.rglob("new/*"):
        found.append(path.read_bytes())
        path.unlink()
    return found


class OracleTests(SynchronousTestCase):
    def setUp(self) -> None:
        require("postfix")
        require_root("starts Postfix")
        self.postfix = MailboxPostfix()
        self.addCleanup(self.postfix.close)
        self.postfix.run("start")
        self.base = Path(self.mktemp()).absolute()
        self.base.mkdir(mode=0o700, parents=True)

    def ours(self, recipient: str, sender: str, content: bytes) -> Outcome:
        """
        Deliver with our agents.
        """
        ids = Table({"box@v.test": "1000", "new+ext@v.test": "1000"})
        tables = {"x:aliases": Table(ALIASES), "x:boxes": Table(BOXES), "x:ids": ids}
        context = Setting(
            tables,
            alias_maps="x:aliases",
            virtual_mailbox_maps="x:boxes",
            virtual_uid_maps="x:ids",
            virtual_gid_maps="x:ids",
            virtual_mailbox_base=str(self.base),
            mail_spool_directory=f"{self.base}/",
            recipient_delimiter="+",
        ).context
        agent: LocalAgent | VirtualAgent
        if recipient.lower().endswith("v.test"):
            agent = VirtualAgent(acting(context, lambda: US))
        else:
            account = Account("nobody", 1000, 1000, "/nowhere")
            users = {"nobody": account}
            agent = LocalAgent(acting(context, lambda: US), users.get)
        outcomes: list[Outcome] = []
        what = request(recipient, sender=sender.replace('"', ""), content=content)
        self.successResultOf(agent.deliver(what, outcomes.append))
        (outcome,) = outcomes
        return outcome

    def check_log(self, outcome: Outcome, log: list[tuple[str, ...]]) -> None:
        ours = (outcome.relay, outcome.status, _STATUS[outcome.action], outcome.reason)
        self.assertEqual({ours}, set(log))

    def test_files(self) -> None:
        """
        The same octets, from the first header to the last line end, and the
        same words in the log.
        """
        for recipient, sender in DELIVERIES:
            for content in CONTENTS:
                log = self.postfix.deliver(recipient, sender, content)
                (theirs,) = self.postfix.files()
                received = re.search(rb"^Received:.*\n(?:[ \t].*\n)*", theirs, re.M)
                assert received is not None
                wire = received[0].replace(b"\n", b"\r\n") + content
                outcome = self.ours(recipient, sender, wire)
                self.assertEqual(taken(self.base), [theirs])
                self.check_log(outcome, log)

    def test_refusals(self) -> None:
        """
        The same words for users that do not exist, and for loops.
        """
        for recipient in REFUSALS:
            log = self.postfix.deliver(recipient, "sender@b.test", CONTENTS[0])
            self.check_log(self.ours(recipient, "sender@b.test", CONTENTS[0]), log)
            self.assertEqual((taken(self.base), self.postfix.files()), ([], []))

    def test_been_here(self) -> None:
        """
        The same recipients are found in Delivered-To headers.
        """
        for recipient in ("nobody@here.test", "alias@here.test"):
            for header in (
                b"Delivered-To: NOBODY@here.test",
                b"delivered-to:\t alias@HERE.test",
                b"Delivered-To: alias@here.test, nobody@here.test",
                b"Delivered-To: <nobody@here.test>",
                b"X-Delivered-To: nobody@here.test",
            ):
                content = b"Subject: x\r\n" + header + b"\r\n" + CONTENTS[0]
                log = self.postfix.deliver(recipient, "sender@b.test", content)
                self.check_log(self.ours(recipient, "sender@b.test", content), log)
                taken(self.base)
                self.postfix.files()
