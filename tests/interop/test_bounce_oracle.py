"""
The same mail through Debian's Postfix and through us: the notices that the
sender and the postmaster get are the same, but for ids and dates.
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Sequence
from email import message_from_bytes
from email.message import Message
from typing import cast

from tests.interop.peers import Postfix
from tests.interop.running import RunningTestCase, Txmta
from tests.interop.tools import PATIENCE, free_port
from tests.support import require, require_root

CONTENT = b"Subject: hello\r\nMessage-ID: <1@x.test>\r\n\r\nWords.\r\n"

#: Differs from one message to the next.
VARYING = ("X-Postfix-Queue-ID", "Arrival-Date", "Will-Retry-Until")

ALIASES = {
    "alias": "ok@y.test",
    "list": "bad@y.test, ok@y.test",
    "owned": "ok@y.test",
    "owner-owned": "box@there.test",
}

#: Mail for there.test, and so the notices, ends in a Maildir.
MAIN_CF = """
myhostname = mx.here.test
mydomain = here.test
mydestination = local.test
local_recipient_maps =
smtpd_reject_unlisted_recipient = no
alias_maps = texthash:$config_directory/aliases
2bounce_notice_recipient = box@there.test
bounce_notice_recipient = box@there.test
delay_notice_recipient = box@there.test
notify_classes = bounce, 2bounce, delay
enable_threaded_bounces = yes
smtp_helo_timeout = 1s
relayhost = [127.0.0.1]:{port}
"""

OURS = """
virtual_mailbox_domains = there.test
virtual_mailbox_base = $config_directory/mail
virtual_mailbox_maps = static:box/
virtual_uid_maps = static:@UID@
virtual_gid_maps = static:@GID@
virtual_minimum_uid = 1
"""


def play(connection: socket.socket, busy: bool = True) -> None:
    """
    A next hop without DSN that refuses bad@, and has no time for busy@.
    """
    with connection, connection.makefile("rb") as lines:
        connection.sendall(b"220 hop.test ESMTP\r\n")
        for line in lines:
            verb = line.upper()
            reply = b"250 2.0.0 ok\r\n"
            if verb.startswith(b"EHLO"):
                reply = b"250-hop.test\r\n250-ENHANCEDSTATUSCODES\r\n250 8BITMIME\r\n"
            elif verb.startswith(b"RCPT TO:<BAD@"):
                reply = b"550 5.1.1 <bad@y.test>: Recipient address rejected\r\n"
            elif verb.startswith(b"RCPT TO:<BUSY") and busy:
                reply = b"450 4.2.1 mailbox busy\r\n"
            elif verb.startswith(b"DATA"):
                connection.sendall(b"354 go on\r\n")
                while lines.readline() not in (b".\r\n", b""):
                    pass
            connection.sendall(reply)
            if verb.startswith(b"QUIT"):
                return


def silent(connection: socket.socket) -> None:
    """
    A next hop that says nothing.
    """
    with connection:
        connection.settimeout(PATIENCE)
        connection.recv(1)


def status(notice: bytes) -> list[list[tuple[str, str]]]:
    """
    @return: the groups of fields, without what differs each time.
    """
    part = cast("list[Message]", message_from_bytes(notice).get_payload())[1]
    groups = cast("list[Message]", part.get_payload())
    return [
        [
            (name, " ".join(str(v).split()))
            for name, v in g.items()
            if name not in VARYING
        ]
        for g in groups
        if g.keys()
    ]


def frame(notice: bytes) -> list[object]:
    """
    @return: types and descriptions of the parts, and the fixed fields.
    """
    message = message_from_bytes(notice)
    parts = cast("list[Message]", message.get_payload())
    names = ["From", "To", "Subject", "Auto-Submitted", "MIME-Version"]
    names += ["References", "In-Reply-To", "Content-Transfer-Encoding"]
    return [
        message.get_content_type(),
        message.get_param("report-type"),
        [message[name] for name in names],
        [p.items() for p in parts],
        parts[0].get_payload(),
        [name for name, _ in status_items(parts[1])],
    ]


def told(notice: bytes) -> list[str]:
    """
    @return: the paragraphs of the text for people, in an order of their own.
    """
    parts = cast("list[Message]", message_from_bytes(notice).get_payload())
    return sorted(str(parts[0].get_payload()).strip().split("\n\n"))


def status_items(part: Message) -> list[tuple[str, str]]:
    """
    @return: all fields, those that vary too.
    """
    groups = cast("list[Message]", part.get_payload())
    return [(name, str(value)) for g in groups for name, value in g.items()]


def by_content(notice: bytes) -> tuple[str, str]:
    message = message_from_bytes(notice)
    return str(message["To"]), str(message["Subject"])


class OracleCase(RunningTestCase):
    """
    Debian's Postfix and ours, configured alike.
    """

    def setUp(self) -> None:
        require("postfix")
        require_root("Postfix wants to be started by root")
        self.sender = b"<box@there.test>"
        self.content = CONTENT

    def servers(self, main_cf: str, port: int | None = None) -> None:
        """
        Start both.

        @param port: of the next hop.
        """
        if port is None:
            port = self.rogue(play).port
        text = MAIN_CF.format(port=port) + main_cf
        self.theirs = Postfix(text)
        self.addCleanup(self.theirs.close)
        self.ours = self.txmta(text)
        self.ours.add(OURS)
        self.ours.maildir("box")
        for server in (self.theirs, self.ours):
            folder = server.folder
            (folder / "aliases").write_text(
                "".join(
                    # Ours reads the file of alias_maps as aliases(5).
                    f"{name}{':' * (server is self.ours)} {value}\n"
                    for name, value in ALIASES.items()
                )
            )
        with (self.theirs.folder / "master.cf").open("a") as file:
            file.write("local unix - n n - - local\n")
        self.theirs.start()
        self.ours.start()

    def send(self, port: int, recipients: Sequence[bytes]) -> None:
        with (
            socket.create_connection(("127.0.0.1", port), 20) as s,
            s.makefile("rb") as replies,
        ):
            commands = [b"EHLO c.test", b"MAIL FROM:" + self.sender]
            commands += [b"RCPT TO:" + r for r in recipients]
            replies.readline()
            for command in (*commands, b"DATA", self.content + b".", b"QUIT"):
                s.sendall(command + b"\r\n")
                while (line := replies.readline())[3:4] == b"-":
                    pass
                self.assertIn(line[:1], (b"2", b"3"), line)

    def notices(self, server: Postfix | Txmta, count: int) -> list[bytes]:
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
                return sorted(found, key=by_content)
            time.sleep(0.05)
        raise AssertionError(f"not {count} notices:\n{server.log()}")

    def compare(
        self, *recipients: bytes, count: int = 2, any_order: bool = False
    ) -> list[bytes]:
        """
        Send mail to the recipients through both.

        @param any_order: the recipients are those of different agents, and
            stand in the order in which these are done.
        @return: our notices, which are the same as Postfix's.
        """
        for server in (self.theirs, self.ours):
            self.send(server.port, recipients)
        theirs = self.notices(self.theirs, count)
        ours = self.notices(self.ours, count)
        self.assertEqual(len(ours), len(theirs))
        for a, b in zip(ours, theirs, strict=True):
            if any_order:
                self.assertEqual(*map(sorted, (status(a), status(b))))
                self.assertEqual(*map(told, (a, b)))
            else:
                self.assertEqual(status(a), status(b))
                self.assertEqual(frame(a), frame(b))
        return ours

    def subjects(self, notices: Sequence[bytes]) -> list[str]:
        return [str(message_from_bytes(n)["Subject"]) for n in notices]


class BounceOracleTests(OracleCase):
    def test_failures(self) -> None:
        """
        A recipient refused with 550, an unknown user and a loop make the same
        reports, to sender and postmaster; so do RET, ENVID, ORCPT, NOTIFY.
        """
        self.servers("")
        self.compare(b"<bad@y.test>")
        self.compare(b"<nobody-of-this-name@local.test>")
        self.compare(
            b"<bad@y.test>",
            b"<ok@y.test>",
            b"<no-such-user@local.test>",
            any_order=True,
        )
        self.compare(b"<bad@y.test> NOTIFY=NEVER", count=1)
        self.compare(b"<bad@y.test> ORCPT=rfc822;Old+2Bx@o.test NOTIFY=FAILURE")
        self.sender = b"<box@there.test> RET=HDRS ENVID=id+2B7"
        self.compare(b"<bad@y.test>")
        self.sender = b"<box@there.test> BODY=7BIT"
        self.compare(b"<bad@y.test>")
        self.sender = b"<box@there.test>"
        self.content = b"Delivered-To: nobody@local.test\r\n" + CONTENT
        self.compare(b"<nobody@local.test>")
        self.content = CONTENT + b"x" * 70 + b"\r\n" + (b"y" * 70 + b"\r\n") * 800
        self.compare(b"<bad@y.test>")

    def test_double_bounce(self) -> None:
        """
        Mail from the null sender that fails goes to the postmaster alone.
        """
        self.servers("")
        self.sender = b"<>"
        (notice,) = self.compare(b"<bad@y.test>", count=1)
        self.assertIn(b"\nWords.\n", notice)
        self.compare(b"<ok@y.test> NOTIFY=SUCCESS", count=1)

    def test_utf8(self) -> None:
        """
        Reports about SMTPUTF8 mail have the forms of RFC 6533.
        """
        self.servers("")
        self.sender = b"<box@there.test> SMTPUTF8"
        ours = self.compare("<no-\xfc@local.test>".encode())
        self.assertIn("Final-Recipient: utf-8; no-\xfc@local.test\n".encode(), ours[0])

    def test_success(self) -> None:
        """
        Mail relayed, delivered to a mailbox, and to an alias.
        """
        self.servers("")
        ours = self.compare(
            b"<ok@y.test> NOTIFY=SUCCESS ORCPT=rfc822;o@o.test",
            b"<okb@y.test> NOTIFY=SUCCESS,FAILURE",
            b"<okc@y.test>",
            count=1,
        )
        self.assertEqual(self.subjects(ours), ["Successful Mail Delivery Report"])
        self.compare(b"<alias@local.test> NOTIFY=SUCCESS", count=1)
        self.compare(b"<list@local.test> NOTIFY=SUCCESS,FAILURE", count=3)
        self.compare(b"<owned@local.test> NOTIFY=SUCCESS", count=1)

    def test_delay(self) -> None:
        """
        Who waits is told once; who wants it, when it is over.
        """
        self.servers("delay_warning_time = 1s\n")
        ours = self.compare(b"<busy@y.test>", b"<ok@y.test>")
        self.assertEqual(
            self.subjects(ours),
            ["Delayed Mail (still being retried)", "Postmaster Warning: Delayed Mail"],
        )
        for notice in ours:
            found = dict(
                status_items(
                    cast("list[Message]", message_from_bytes(notice).get_payload())[1]
                )
            )
            self.assertTrue(re.match(r"\w{3}, ", found["Will-Retry-Until"]))

    def test_cleared(self) -> None:
        """
        Who was told of a delay hears when it is over, if that is wanted.
        """
        busy = True

        def often_busy(connection: socket.socket) -> None:
            play(connection, busy)

        self.servers(
            "delay_warning_time = 1s\nconfirm_delay_cleared = yes\n"
            "minimal_backoff_time = 1s\nmaximal_backoff_time = 1s\n"
            "queue_run_delay = 1s\n",
            self.rogue(often_busy).port,
        )
        self.compare(b"<busy@y.test>", b"<busyf@y.test> NOTIFY=FAILURE")
        busy = False
        for server in (self.theirs, self.ours):
            (notice,) = self.notices(server, 1)
            self.assertEqual(
                [dict(g)["Final-Recipient"] for g in status(notice)[1:]],
                ["rfc822; busy@y.test"],
            )
            self.assertEqual(
                self.subjects([notice]), ["Successful Mail Delivery Report"]
            )

    def test_expired(self) -> None:
        """
        Mail that is given up, because the recipient, the host or the network
        does not take it.
        """
        self.servers("maximal_queue_lifetime = 0\n")
        self.compare(b"<busy@y.test>")

    def test_refused(self) -> None:
        """
        Nobody listens where the next hop should be.
        """
        self.servers("maximal_queue_lifetime = 0\n", free_port())
        self.compare(b"<a@y.test>")

    def test_timeout(self) -> None:
        """
        The next hop says nothing.
        """
        self.servers("maximal_queue_lifetime = 0\n", self.rogue(silent).port)
        self.compare(b"<a@y.test>")


def words(mail: bytes) -> tuple[str, str, list[str]]:
    """
    @return: recipient, subject and text of a transcript.
    """
    message = message_from_bytes(mail)
    text = str(message.get_payload())
    return (
        str(message["To"]),
        str(message["Subject"]),
        # Not what the servers offer; nor that Postfix says RSET before QUIT.
        [
            line
            for line in text.replace(
                " Out: RSET\n In:  250 2.0.0 ok\n", ""
            ).splitlines()
            if not line.startswith(" Out: 250-")
        ],
    )


class TranscriptTests(OracleCase):
    """
    The postmaster sees the same session.
    """

    WANTED = (
        "notify_classes = policy, protocol\n"
        "error_notice_recipient = box@there.test\n"
        "smtpd_recipient_restrictions = permit_mynetworks, reject\n"
    )

    def talk(self, port: int, *commands: bytes) -> None:
        with (
            socket.create_connection(("127.0.0.1", port), 20) as s,
            s.makefile("rb") as replies,
        ):
            replies.readline()
            for command in commands:
                s.sendall(command + b"\r\n")
                while replies.readline()[3:4] == b"-":
                    pass

    def test_server(self) -> None:
        """
        A client that makes mistakes.
        """
        self.servers(self.WANTED)
        for server in (self.theirs, self.ours):
            self.talk(
                server.port,
                b"EHLO c.test",
                b"FOO",
                b"MAIL FROM:<s@x.test",
                b"RCPT TO:<r@y.test>",
                b"DATA",
                b"QUIT",
            )
        (theirs,) = self.notices(self.theirs, 1)
        (ours,) = self.notices(self.ours, 1)
        self.assertEqual(words(ours), words(theirs))

    def test_client(self) -> None:
        """
        A server that does not understand us.
        """

        def confused(connection: socket.socket) -> None:
            with connection, connection.makefile("rb") as lines:
                connection.sendall(b"220 hop.test ESMTP\r\n")
                for line in lines:
                    if line.startswith(b"RCPT"):
                        connection.sendall(b"501 5.5.4 what\r\n")
                    else:
                        connection.sendall(b"250 2.0.0 ok\r\n")

        self.servers(self.WANTED, self.rogue(confused).port)
        for server in (self.theirs, self.ours):
            self.send(server.port, [b"<a@y.test>"])
        theirs = [m for m in self.notices(self.theirs, 2) if b"Transcript" in m]
        ours = [m for m in self.notices(self.ours, 2) if b"Transcript" in m]
        self.assertEqual([words(m) for m in ours], [words(m) for m in theirs])
