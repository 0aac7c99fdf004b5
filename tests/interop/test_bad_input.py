"""
Peers, files and settings that behave badly: the running server ends each with
the right reply or a deferral, says why in its log, and goes on.

The decisions are tested one by one elsewhere; here the whole is.
"""

from __future__ import annotations

import os
import shutil
import smtplib
import socket
import time
from collections.abc import Callable

from tests.interop.running import RunningTestCase, Txmta
from tests.interop.test_next_hops import OWN_BOX, send
from tests.interop.tools import PATIENCE, free_port
from tests.support import require_root

Play = Callable[[socket.socket], None]

MEGABYTE = 1_000_000

#: Time limits that a test can wait for.
HASTE = "".join(
    f"smtp_{name}_timeout = 2s\n"
    for name in (
        "connect",
        "helo",
        "mail",
        "rcpt",
        "data_init",
        "data_xfer",
        "data_done",
    )
)


def hangs_up(connection: socket.socket) -> None:
    pass


def silent(connection: socket.socket) -> None:
    connection.recv(1)


def says(*replies: bytes) -> Play:
    """
    @return: says one thing after each command, and hangs up after the last.
    """

    def play(connection: socket.socket) -> None:
        for n, reply in enumerate(replies):
            if n:
                connection.recv(65536)
            connection.sendall(reply)

    return play


def endless(what: bytes) -> Play:
    """
    @return: says this again and again, until nobody listens.
    """

    def play(connection: socket.socket) -> None:
        while True:
            connection.sendall(what * (65536 // len(what)))

    return play


def reads_little(connection: socket.socket) -> None:
    """
    Takes a message, and stops reading in the midst of it.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.sendall(b"220 x ESMTP\r\n")
    for reply in (b"250-x\r\n250 8BITMIME\r\n", *[b"250 ok\r\n"] * 2, b"354 go on\r\n"):
        connection.recv(4096)
        connection.sendall(reply)
    time.sleep(PATIENCE)


OK = b"250 ok\r\n"
HELLO = (b"220 x ESMTP\r\n", b"250 x\r\n", OK, OK)

#: What a next hop plays, and what the log says of the recipient.
NEXT_HOPS: dict[str, tuple[Play, str]] = {
    "hangs up": (
        hangs_up,
        r"deferred \(lost connection with \S+ while receiving the initial server "
        r"greeting\)",
    ),
    "silent": (
        silent,
        r"deferred \(conversation with \S+ timed out while receiving the initial "
        r"server greeting\)",
    ),
    "another protocol": (
        says(b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n"),
        r"deferred \(",
    ),
    "binary": (endless(bytes(range(256))), r"deferred \("),
    "endless line": (endless(b"x"), r"deferred \("),
    "endless reply": (endless(b"220-x\r\n"), r"deferred \("),
    "busy": (says(b"421 too busy\r\n"), r"deferred \(.* 421 too busy"),
    "unwilling": (says(b"554 no\r\n"), r"deferred \(.*refused to talk to me: 554 no\)"),
    "hangs up at EHLO": (says(b"220 x ESMTP\r\n", b""), r"deferred \(lost connection"),
    "hangs up after DATA": (
        says(*HELLO, b"354 go on\r\n"),
        r"deferred \(lost connection with \S+ while sending "
        r"(message body|end of data -- message may be sent more than once)\)",
    ),
    "odd words": (
        says(b"220 x ESMTP\r\n", b"250 x\r\n", OK, b"450 a\x00\x1b[31mb\xff\n\r\n"),
        r"deferred \(host \S+ said: 450 a[?][?]\[31mb\S* \(in reply to RCPT TO",
    ),
    "reads little": (
        reads_little,
        r"deferred \(conversation with \S+ timed out while sending message body\)",
    ),
}


class NextHopTests(RunningTestCase):
    def test_refused(self) -> None:
        """
        Nobody listens.
        """
        port = free_port()
        server = self.relay(port)
        send(server)
        server.wait_for_log(
            r"relay=none, .*dsn=4\.4\.1, status=deferred \(connect to "
            rf"127\.0\.0\.1\[127\.0\.0\.1\]:{port}: Connection refused\)"
        )

    def play(self, name: str) -> None:
        part, words = NEXT_HOPS[name]
        hop = self.rogue(part)
        server = self.relay(hop.port, main_cf=HASTE)
        before = server.memory("VmRSS")
        size = 5_000_000 if part is reads_little else 10
        send(server, b"Subject: x\r\n\r\n" + b"x" * 70 * (size // 70) + b"\r\n")
        (line,) = server.wait_for_log(r"to=<b@there\.test>, .*status=")[:1]
        self.assertRegex(line, f"status={words}", name)
        self.assertTrue(line.isascii() and line.isprintable(), line)
        self.assertLess(server.memory("VmHWM") - before, 20 * MEGABYTE, name)
        with smtplib.SMTP("127.0.0.1", server.port, timeout=PATIENCE) as client:
            self.assertEqual(client.noop()[0], 250)
        self.assertNotIn("Traceback", server.output())

    def test_all(self) -> None:
        """
        Each next hop is ended in bounded memory and time.
        """
        failures = []
        for name in NEXT_HOPS:
            try:
                self.play(name)
            except AssertionError as e:
                failures.append(f"{name}: {e}")
        self.assertEqual(failures, [], "\n".join(failures))


class ClientTests(RunningTestCase):
    def setUp(self) -> None:
        self.server = self.running(
            "smtpd_timeout = 2s\ndefault_transport = retry\n"
            "smtpd_reject_unlisted_recipient = no\n"
        )

    def connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.server.port), PATIENCE)
        self.addCleanup(connection.close)
        self.assertRegex(connection.recv(1000), b"^220 ")
        return connection

    def until_closed(self, connection: socket.socket) -> bytes:
        said = b""
        while data := connection.recv(65536):
            said += data
        return said

    def test_hangs_up(self) -> None:
        """
        A message that ends in the midst is no message.
        """
        connection = self.connect()
        for command in (b"EHLO x", b"MAIL FROM:<a@b.test>", b"RCPT TO:<c@d.test>"):
            connection.sendall(command + b"\r\n")
            connection.recv(1000)
        connection.sendall(b"DATA\r\n")
        self.assertRegex(connection.recv(1000), b"^354 ")
        connection.sendall(b"Subject: half\r\n\r\nhalf a line")
        connection.close()
        self.server.wait_for_log(r"lost connection after DATA \(\d+ bytes\) from local")
        self.assertNotIn("qmgr", self.server.log())

    def test_silent(self) -> None:
        said = self.until_closed(self.connect())
        self.assertRegex(said, rb"^421 4\.4\.2 \S+ Error: timeout exceeded\r\n$")
        self.server.wait_for_log("timeout after CONNECT from localhost")

    def test_endless_line(self) -> None:
        """
        Memory does not grow; what follows is understood again.
        """
        before = self.server.memory("VmRSS")
        connection = self.connect()
        for _ in range(200):
            connection.sendall(b"EHLO" * 25_000)
        connection.sendall(b"\r\n")
        self.assertRegex(connection.recv(1000), rb"^5\d\d ")
        connection.sendall(b"QUIT\r\n")
        self.assertRegex(connection.recv(1000), rb"^221 ")
        self.assertLess(self.server.memory("VmHWM") - before, 10 * MEGABYTE)
        self.server.wait_for_log(r"request longer than \d+: EHLO")

    def test_endless_header(self) -> None:
        """
        Nor with an endless line in a message, which goes to a file.
        """
        with smtplib.SMTP("127.0.0.1", self.server.port, timeout=PATIENCE) as client:
            client.ehlo()
            client.mail("a@b.test")
            client.rcpt("c@d.test")
            client.docmd("DATA")
            before = self.server.memory("VmRSS")
            for _ in range(80):
                client.send(b"x" * 100_000)
            client.send(b"\r\n.\r\n")
            self.assertEqual(client.getreply()[0], 250)
        self.assertLess(self.server.memory("VmHWM") - before, 10 * MEGABYTE)

    def test_slow_reader(self) -> None:
        """
        One that asks and asks and never reads gets no more memory than the
        kernel's, and is ended.
        """
        before = self.server.memory("VmRSS")
        connection = self.connect()
        connection.settimeout(PATIENCE)
        begin = time.monotonic()
        with self.assertRaises(OSError):
            while time.monotonic() - begin < PATIENCE * 2:
                connection.sendall(b"EHLO x\r\n" + b"VRFY <a@b.test>\r\n" * 1000)
        self.assertLess(self.server.memory("VmHWM") - before, 10 * MEGABYTE)

    def test_binary(self) -> None:
        connection = self.connect()
        connection.sendall(bytes(range(256)) * 10 + b"\r\n" + b"\xff\r\n" * 50)
        said = self.until_closed(connection)
        self.assertRegex(said, rb"^221 2\.7\.0 Error: I can break rules, too")
        for line in self.server.log().splitlines():
            self.assertTrue(line.isascii() and line.isprintable(), line)


class FileTests(RunningTestCase):
    def test_unwritable_mailbox(self) -> None:
        """
        The mail stays; when the mailbox can be written again, it is delivered.
        """
        server = self.txmta(
            "minimal_backoff_time = 1s\nmaximal_backoff_time = 1s\n"
            "queue_run_delay = 1s\n"
        )
        server.maildir("box")
        base = server.folder / "mail"
        server.add(OWN_BOX)
        base.chmod(0o555)
        server.start()
        send(server, recipients=("me@here.test",))
        server.wait_for_log(
            r"to=<me@here\.test>, relay=virtual, .*dsn=4\.\d\.\d, status=deferred \(.*"
            r"[Pp]ermission denied"
        )
        base.chmod(0o755)
        server.wait_for_log(r"status=sent \(delivered to maildir\)")

    def test_mailbox_of_another(self) -> None:
        require_root("makes a directory of root's")
        server = self.txmta()
        server.maildir("box")
        server.add(OWN_BOX)
        (server.folder / "mail" / "box").mkdir(mode=0o700)
        server.start()
        send(server, recipients=("me@here.test",))
        server.wait_for_log("status=deferred .*[Pp]ermission denied")

    def with_aliases(self, aliases: str) -> Txmta:
        server = self.txmta(
            "alias_maps = hash:$config_directory/aliases\n"
            "local_recipient_maps = $alias_maps\ndefault_transport = discard\n"
        )
        server.write("aliases", aliases)
        server.start()
        return server

    def test_alias_loop(self) -> None:
        """
        Aliases that come back to themselves, at once or by a detour, end; so
        does an alias of too many.
        """
        server = self.with_aliases(
            "a: b\nb: c\nc: a\nself: self\nmail: mail@here.test\n"
            + "".join(f"deep{n}: deep{n + 1}\n" for n in range(200))
        )
        for name in ("a", "self", "mail", "deep0"):
            send(server, recipients=(f"{name}@here.test",))
            line, *_ = server.wait_for_log(
                rf"local\[\d+\]: \w+: to=<{name}@here\.test>.* status="
            )
            self.assertRegex(line, r"status=(bounced|deferred|sent) \(.+\)")
        server.wait_for_log(r"to=<deep0@.*status=bounced \(.*(nest|loop)")
        time.sleep(1)
        self.assertLess(len(server.log().splitlines()), 200, server.log()[-3000:])

    def test_table_taken_away(self) -> None:
        """
        A table whose file is gone knows what it knew, or says "cannot say":
        never "not found".
        """
        server = self.with_aliases("known: x@elsewhere.test\n")
        send(server, recipients=("known@here.test",))
        server.wait_for_log("status=sent")
        (server.folder / "aliases").unlink()
        time.sleep(1.5)
        with smtplib.SMTP("127.0.0.1", server.port, timeout=PATIENCE) as client:
            client.ehlo()
            client.mail("a@b.test")
            code, text = client.rcpt("known@here.test")
            self.assertIn(code, (250, 451), text)
        server.wait_for_log(r"warning: .*aliases.*No such file or directory")

    def test_nonsense_in_table(self) -> None:
        """
        Lines that make no sense are named, and the others count.
        """
        server = self.with_aliases("good: x@elsewhere.test\nnonsense\n: y\n\x00\n")
        server.wait_for_log(r"warning: .*aliases.* line 2")
        send(server, recipients=("good@here.test",))
        server.wait_for_log("status=sent")

    def test_queue_taken_away(self) -> None:
        """
        No 250 when there is nowhere to write.
        """
        server = self.running(
            "default_transport = retry\nsmtpd_reject_unlisted_recipient = no\n"
        )
        queue = server.folder / "queue"
        send(server)
        os.rename(queue, queue.with_name("away"))
        shutil.rmtree(queue.with_name("away"))
        with smtplib.SMTP("127.0.0.1", server.port, timeout=PATIENCE) as client:
            client.ehlo()
            client.mail("a@b.test")
            client.rcpt("c@d.test")
            code, text = client.data(b"Subject: x\r\n\r\n" + b"x\r\n" * 100_000)
            self.assertTrue(400 <= code < 500, (code, text))
        server.wait_for_log("warning|error|fatal")
