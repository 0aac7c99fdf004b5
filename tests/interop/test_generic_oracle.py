"""
Debian's Postfix as oracle for what is changed in mail that leaves: generic
tables over generated addresses, in commands and headers, and delivery status
filters.
"""

from __future__ import annotations

import os
import random
import re
import smtplib
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests import support
from tests.interop.peers import Postfix
from tests.interop.running import RunningTestCase, Txmta
from tests.interop.tools import PATIENCE, combined, wait_for
from tests.support import require, require_root

#: PORT and OTHER are those of the next hops of two transports.
_MAIN_CF = """
myhostname = mx.here.test
mydomain = here.test
myorigin = origin.test
mydestination = local.test
local_recipient_maps =
alias_maps =
relayhost = [127.0.0.1]:PORT
relay_domains = b.test
relay_transport = relay:[127.0.0.1]:OTHER
recipient_delimiter = +-
smtpd_recipient_limit = 100
smtp_generic_maps = texthash:FOLDER/generic, regexp:FOLDER/patterns
smtp_delivery_status_filter = regexp:FOLDER/statuses
smtp_header_checks = regexp:FOLDER/checks
smtp_reply_filter = regexp:FOLDER/replies
default_delivery_status_filter =
notify_classes =
smtputf8_enable = no
"""

_RELAY = """relay unix - - n - - smtp
  -o smtp_generic_maps=texthash:FOLDER/other
  -o { propagate_unmatched_extensions = generic, canonical }
"""

_OURS = """smtp unix - - n - - smtp
local unix - n n - - local
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
"""

_PATTERNS = r"""
/^(p[a-z]*)([+-].*)?@c\.test$/ $1$2.mapped@patterns.test
/^@/ at@never.test
/^many@/ one@x.test, two@x.test
"""

_STATUSES = r"""
/^5(\S+ .*gone for good.*)/ 5.9.9 filtered: $1
/^4(\S+ .*soon.*)/ 5.8.8 no patience
/^5(\S+ .*perhaps.*)/ 4.7.7 wait
/^2(\S+ .*)/ 2.6.6 taken
/^(5\S+ .*wrong.*)/ 2.0.0 $1
"""

_CHECKS = r"""
/^Cc: ([a-z]+@[a-z.]+),/ REPLACE Cc: $1
/^Errors-To: a/ IGNORE
/^Sender: /m PREPEND Reply-To: a@a.test
/^Resent-Sender:/ STRIP it
/^List-Post:/ REPLACE To: a@a.test, pat@c.test
/^X-To:.*\n/ REPLACE X-Folded: yes
/^Delivered-To:/ PREPEND nothing
/^Apparently-To:/ REJECT
"""

_REPLY_FILTER = r"""
/^550 5\.4\.0 (.*)/ 450 4.4.9 turned: $1
/^250 8BITMIME/ 250 DSN
"""

USERS = ("a", "b", "pat", "x y", "postmaster", "owner-l", "many")
EXTENSIONS = ("", "", "", "+e", "-f", "+e-f")
DOMAINS = ("a.test", "b.test", "c.test", "local.test", "origin.test", "A.Test")
HEADERS = (
    *("From", "Sender", "Reply-To", "To", "Cc", "Errors-To", "Return-Receipt-To"),
    *("Resent-From", "Resent-To", "Resent-Cc", "Resent-Sender", "Resent-Reply-To"),
    *("Disposition-Notification-To", "Apparently-To", "Mail-Followup-To"),
    *("Delivered-To", "X-To", "List-Post"),
)

#: Messages of one run; with some ten addresses each.
MESSAGES = 60


@dataclass
class Delivered:
    """
    One transaction.
    """

    sender: str = ""
    recipients: list[str] = field(default_factory=list)
    content: bytes = b""


class Hop:
    """
    A next hop that keeps transactions by the number that is in their Subject.
    """

    def __init__(self) -> None:
        self.kept: dict[int, Delivered] = {}
        self.commands: list[bytes] = []
        self._lock = threading.Lock()

    def play(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            connection.sendall(b"220 hop.test ESMTP\r\n")
            now = Delivered()
            for line in iter(lines.readline, b""):
                verb = line[:4].upper()
                self.commands.append(line)
                reply = b"250 2.0.0 ok\r\n"
                path = line.partition(b"<")[2].rpartition(b">")[0].decode()
                if verb == b"EHLO":
                    reply = b"250-hop.test\r\n250 8BITMIME\r\n"
                elif verb == b"MAIL":
                    now = Delivered(path)
                elif verb == b"RCPT":
                    reply = _REPLIES.get(path.partition("@")[0], reply)
                    if reply.startswith(b"2"):
                        now.recipients.append(path)
                elif verb == b"DATA":
                    connection.sendall(b"354 go on\r\n")
                    now.content = b"".join(_content(lines.readline))
                    number = re.search(rb"^Subject: (\d+)\r$", now.content, re.M)
                    with self._lock:
                        if number is not None:
                            self.kept[int(number[1])] = now
                connection.sendall(reply)
                if verb == b"QUIT":
                    return


_REPLIES = {
    "gone": b"550 5.1.1 gone for good\r\n",
    "soon": b"450 4.2.0 soon\r\n",
    "perhaps": b"550 5.2.0 perhaps\r\n",
    "wrong": b"550 5.3.0 wrong\r\n",
    "plain": b"550 5.4.0 no\r\n",
}


def _content(readline: object) -> Iterator[bytes]:
    assert callable(readline)
    while (line := readline()) not in (b".\r\n", b""):
        yield line


def quoted(user: str) -> str:
    return f'"{user}"' if " " in user else user


class Questions:
    """
    Tables, and messages with addresses that they may have.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def address(self, domains: Sequence[str] = DOMAINS) -> str:
        pick = self._random.choice
        user = pick(USERS) + pick(EXTENSIONS)
        if pick((True, *[False] * 9)):
            user = user.upper()
        return f"{quoted(user)}@{pick(domains)}"

    def table(self) -> str:
        pick = self._random.choice
        entries: dict[str, tuple[str, str]] = {}
        for _ in range(25):
            domain = pick(DOMAINS).lower()
            user = quoted(pick(USERS) + pick(EXTENSIONS))
            key = pick((f"{user}@{domain}",) * 4 + (f"@{domain}", user))
            value = pick(
                (
                    f"{quoted(pick(USERS))}@m{pick('123')}.test",
                    f"new{pick('123')}@m.test",
                    f"@d{pick('123')}.test",
                    "bare",
                    '"q r"@q.test',
                    f"kept+ext@{domain}",
                )
            )
            entries.setdefault(key.replace('"', "").lower(), (key, value))
        return "".join(f"{k}\t{v}\n" for k, v in entries.values() if '"' not in k)

    def header(self) -> str:
        pick = self._random.choice
        return pick(
            (
                "{0}",
                "<{0}>",
                "Name of Some <{0}>",
                '"Doe, J." <{0}>',
                "{0}, {1}",
                "A <{0}>, {1},\r\n\tB <{2}>",
                "group: {0}, {1};",
                "{0} (a comment), {1}",
                "undisclosed-recipients:;",
                "Two Words <{0}> , <{1}>,",
            )
        ).format(self.address(), self.address(), self.address())

    def content(self, number: int) -> bytes:
        names = self._random.sample(HEADERS, 5)
        lines = [f"{name}: {self.header()}\r\n" for name in names]
        text = f"Subject: {number}\r\n" + "".join(lines)
        for name, value in (("From", "z@z.test"), ("To", "y@y.test")):
            if name not in names:
                text += f"{name}: {value}\r\n"
        fixed = "Date: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <1@x.test>\r\n"
        return f"{text}{fixed}\r\nTo: {self.address()}\r\n".encode()


def general(content: bytes) -> list[str]:
    """
    @return: the headers less trace headers, and the body; without white space,
        which Postfix puts elsewhere in what it rewrites.
    """
    head, _, body = content.decode().partition("\r\n\r\n")
    fields = re.split(r"\r\n(?![ \t])", head)
    made = ("Received:", "Resent-Message-Id:", "Resent-Date:")
    return [*(re.sub(r"\s+", "", f) for f in fields if not f.startswith(made)), body]


def filled(text: str, words: Mapping[str, object]) -> str:
    for word, value in words.items():
        text = text.replace(word, str(value))
    return text


class OracleCase(RunningTestCase):
    """
    Both servers, each with its own next hops.
    """

    def servers(self, questions: Questions) -> None:
        require("postfix")
        require_root("starts a Postfix of its own")
        self.theirs, self.ours = Postfix(), self.txmta(master_cf="")
        self.addCleanup(self.theirs.close)
        self.hops: dict[Postfix | Txmta, tuple[Hop, Hop]] = {}
        tables = (questions.table(), questions.table())
        for server in (self.theirs, self.ours):
            folder = server.folder
            for name, text in (
                ("generic", tables[0]),
                ("other", tables[1]),
                ("patterns", _PATTERNS),
                ("statuses", _STATUSES),
                ("replies", _REPLY_FILTER),
                ("checks", _CHECKS),
            ):
                (folder / name).write_text(text)
            hops = self.hops[server] = Hop(), Hop()
            ports = [self.rogue(hop.play).port for hop in hops]

            words = {"FOLDER": folder, "PORT": ports[0], "OTHER": ports[1]}
            path = folder / "main.cf"
            path.write_text(combined(path.read_text(), filled(_MAIN_CF, words)))
            master = folder / "master.cf"
            text = master.read_text()
            if server is self.theirs:
                text = re.sub(r"^relay .*\n", "", text, flags=re.M)
            else:
                text += _OURS
            master.write_text(text + filled(_RELAY, words))
            server.start()

    def send(
        self, server: Postfix | Txmta, sender: str, to: Sequence[str], content: bytes
    ) -> None:
        with smtplib.SMTP("127.0.0.1", server.port, timeout=PATIENCE) as client:
            client.ehlo("client.test")
            for command in (f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{t}>" for t in to)):
                code, text = client.docmd(command)
                self.assertEqual(code, 250, (command, text))
            code, text = client.data(content)
            self.assertEqual(code, 250, text)


class GenericOracleTests(OracleCase):
    maxDiff = None

    def test_addresses(self) -> None:
        """
        What leaves is the same, through two transports with tables of their
        own, one of which adds extensions to what it finds.
        """
        seed = int(os.environ.get("TXMTA_ORACLE_SEED", "1"))
        questions = Questions(seed)
        self.servers(questions)
        expected: list[set[int]] = [set(), set()]
        asked = 0
        for number in range(MESSAGES):
            sender = questions.address()
            to = [questions.address(("a.test", "c.test"))]
            to.append(questions.address(("b.test",)))
            content = questions.content(number)
            for server in (self.theirs, self.ours):
                self.send(server, sender, to, content)
            for each in expected:
                each.add(number)
            asked += 2 * (2 + content.count(b"@"))
        self.assertGreater(asked, 300)
        for server, hops in self.hops.items():
            for hop, numbers in zip(hops, expected, strict=True):

                def arrived(hop: Hop = hop, numbers: set[int] = numbers) -> bool:
                    return set(hop.kept) == numbers

                wait_for(arrived, server.log)
        different = []
        for theirs, ours in zip(*(self.hops[s] for s in self.hops), strict=True):
            for number, one in sorted(theirs.kept.items()):
                other = ours.kept[number]
                a = [other.sender, *other.recipients, *general(other.content)]
                b = [one.sender, *one.recipients, *general(one.content)]
                if a != b:
                    different.append((number, set(a) - set(b), set(b) - set(a)))
        self.assertEqual(different, [], f"seed {seed}")
        support.asked(asked)

    def test_statuses(self) -> None:
        """
        Codes and words of deliveries, in the log; soft becomes hard and the other
        way round, but no failure a success. Replies are changed before that.
        """
        self.servers(Questions(1))
        to = [f"{name}@w.test" for name in (*_REPLIES, "good")]
        lines = []
        found = re.compile(r"to=<(\w+)@w.test>.*(dsn=\S+, status=.*)")
        for server in (self.theirs, self.ours):
            self.send(server, "", to, b"Subject: 1\r\nFrom: a@w.test\r\n\r\nbody\r\n")

            def logged(server: Postfix | Txmta = server) -> list[str]:
                every = map(found.search, server.log().splitlines())
                told = sorted({f"{m[1]}: {m[2]}" for m in every if m})
                return told if len(told) == len(to) else []

            lines.append(
                [
                    re.sub(r"queued as \w+|\]:\d+", "", line)
                    for line in wait_for(logged, server.log)
                ]
            )
        self.assertEqual(*lines)
        self.assertIn("soon: dsn=5.8.8, status=bounced (no patience)", lines[0])
        self.assertIn("450 4.4.9 turned: no (in reply to RCPT TO", str(lines[0]))
        for hops in self.hops.values():
            # What the server was taken to offer.
            self.assertTrue(any(b" ORCPT=" in c for c in hops[0].commands))
