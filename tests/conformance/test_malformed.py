"""
Odd messages of other projects through whole servers: by DATA and by BDAT, to
Maildirs, mailbox files, a command and other servers, by SMTP and LMTP.

Nothing crashes, nothing is refused, and the octets are those that were sent
but for the closed list of C{docs/content.md}. Debian's Postfix carries the
same messages to the same places.

The data are not part of the project; see C{tests.support.cases}.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.conformance.test_messages import expected, messages
from tests.interop.postfix_instance import Postfix, Sink
from tests.interop.running import RunningTestCase, Txmta, account
from tests.interop.test_pipe import as_owner
from tests.interop.tools import wait_for
from tests.support import SLICE, cases, require, require_root

#: The same for both servers. C{@} is a folder of the user that they deliver as.
MAIN_CF = """
local_header_rewrite_clients =
mydestination = pipe.test
local_recipient_maps =
local_transport = keep
virtual_mailbox_domains = box.test
virtual_mailbox_base = @
virtual_mailbox_maps = texthash:@/boxes
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
smtp_line_length_limit = 998
relay_domains = lmtp.test
relay_transport = lmtp:inet:127.0.0.1:{lmtp}
lmtp_line_length_limit = 998
"""
SERVICES = """
lmtp unix - - n - - lmtp
virtual unix - n n - - virtual
keep unix - n n - - pipe user={user} argv=/bin/sh @/keep ${{user}}
"""

#: What stands above a message, at most once each.
_ABOVE = re.compile(
    rb"(?:From \S* [^\n]*\n)?(?:Return-Path:[^\n]*\n)?(?:X-Original-To:[^\n]*\n)?"
    rb"(?:Delivered-To:[^\n]*\n)?Received: from[^\n]*\n\tby[^\n]*\n\t[^\n]*\n"
)
_BARE_LF = re.compile(rb"(?<!\r)\n")
_STRAY_CR = re.compile(rb"\r(?!\n)")
_LINE_END = re.compile(rb"\r\n|\r|\n")
_FROM = re.compile(rb"^From ", re.MULTILINE)

#: header_size_limit
LIMIT = 102400

#: Where messages go: the first letter of the local part, and the domain.
PLACES = {
    "m": "box.test",
    "f": "box.test",
    "p": "pipe.test",
    "r": "there.test",
    "l": "lmtp.test",
}

#: What Postfix makes of these differs, and why: by DATA, by BDAT.
DIFFERENT: Mapping[bool, Mapping[str, str]] = {
    False: {
        "mail-parser/legacy/049.eml as it is": "CR CR LF: by DATA, Postfix's SMTP"
        " server drops every CR before a LF; the first is stray, and a space here"
    },
    True: dict.fromkeys(
        ("mimekit/multipart-digest.txt", "mimekit/multipart-digest.txt as it is"),
        "a leading From_ line: by BDAT, Postfix's SMTP server does not look for it,"
        " and all headers after it become body; it is X-Mailbox-Line: here",
    ),
}


class Client:
    """
    Sends messages over one connection.
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 30)
        self._replies = self._socket.makefile("rb")
        self._reply()
        self._ask(b"EHLO client.test\r\n")

    def close(self) -> None:
        self._ask(b"QUIT\r\n")
        self._socket.close()

    def send(self, content: bytes, to: list[str], chunked: bool) -> bytes:
        """
        @return: the final reply.
        """
        self._ask(b"MAIL FROM:<s@x.test> BODY=8BITMIME\r\n")
        for address in to:
            self._ask(f"RCPT TO:<{address}>\r\n".encode())
        if chunked:
            half = len(content) // 2
            self._ask(b"BDAT %d\r\n" % half + content[:half])
            rest = content[half:]
            return self._ask(b"BDAT %d LAST\r\n" % len(rest) + rest)
        self._ask(b"DATA\r\n")
        stuffed = re.sub(rb"(?m)^\.", b"..", content)
        end = b".\r\n" if content.endswith(b"\r\n") else b"\r\n.\r\n"
        return self._ask(stuffed + end)

    def _ask(self, command: bytes) -> bytes:
        self._socket.sendall(command)
        return self._reply()

    def _reply(self) -> bytes:
        line = self._replies.readline()
        while line[3:4] == b"-":
            line = self._replies.readline()
        return line


class Boxes:
    """
    A folder for everything that is delivered, and the tables for it.
    """

    def __init__(self, count: int) -> None:
        self.user = account()
        self.lmtp = Sink("8BITMIME")
        self.folder = Path(tempfile.mkdtemp(prefix="txmta-boxes-"))
        self.folder.chmod(0o755)
        (self.folder / "out").mkdir()
        lines = [f"m{n}@box.test m{n}/\nf{n}@box.test f{n}\n" for n in range(count)]
        self._write("boxes", "".join(lines))
        self._write("keep", f'exec cat >"{self.folder}/out/$1"\n')
        for path in (self.folder, self.folder / "out"):
            shutil.chown(path, self.user.pw_uid, self.user.pw_gid)

    def _write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(0o644)

    def close(self) -> None:
        self.lmtp.close()
        shutil.rmtree(self.folder)

    def filled(self, text: str) -> str:
        """
        @param text: of a configuration.
        """
        user = self.user
        names = {"user": user.pw_name, "uid": user.pw_uid, "gid": user.pw_gid}
        filled = text.format(**names, lmtp=self.lmtp.port)
        return filled.replace("@", str(self.folder))

    def read(self, place: str, n: int) -> bytes:
        """
        @return: what was delivered, when all is.
        """
        if place == "m":
            (path,) = (self.folder / f"m{n}" / "new").glob("*")
        else:
            path = self.folder / (f"f{n}" if place == "f" else f"out/p{n}")
        return path.read_bytes()


def below(content: bytes) -> bytes:
    """
    @return: what stands below the headers that servers add.
    """
    above = _ABOVE.match(content)
    assert above is not None, content[:300]
    return content[above.end() :]


def wire(content: bytes, chunked: bool) -> bytes:
    """
    @return: as cleanup gets it: bare LF are line ends, and there is a last one,
        which DATA cannot do without.
    """
    if not chunked and not content.endswith(b"\r\n"):
        content += b"\r\n"
    content = _BARE_LF.sub(b"\r\n", content)
    return content if content.endswith(b"\r\n") else content + b"\r\n"


def delivered(place: str, content: bytes, chunked: bool) -> bytes:
    """
    @param content: as sent.
    @return: what is to be found there.
    """
    out = cut(expected(_STRAY_CR.sub(b" ", wire(content, chunked))))
    if place in "rl":
        return folded(out)
    out = out.replace(b"\r\n", b"\n")
    if place == "f":
        return _FROM.sub(b">From ", out) + b"\n"
    return out


def cut(content: bytes) -> bytes:
    """
    @return: with header_size_limit.
    """
    head, empty, body = content.partition(b"\r\n\r\n")
    out: list[bytes] = []
    for header in re.split(rb"\r\n(?![ \t])", head):
        text = header.replace(b"\r\n", b"\n")
        if len(text) > LIMIT:
            kept, _, rest = text[: LIMIT + 1].rpartition(b"\n")
            text = text[:LIMIT] if len(rest) > LIMIT // 10 else kept
        out.append(text.replace(b"\n", b"\r\n"))
    return b"\r\n".join(out) + empty + body


def folded(content: bytes) -> bytes:
    """
    @return: no line over 998 octets.
    """
    out: list[bytes] = []
    for line in content.splitlines(keepends=True):
        while len(line) > 998 + 2:
            out.append(line[:998] + b"\r\n")
            line = b" " + line[998:]
        out.append(line)
    return b"".join(out)


def forms() -> Iterator[tuple[str, bytes]]:
    """
    Every message with good line ends, and as it is.
    """
    for path in messages():
        name = str(path.relative_to(cases("messages-malformed")))
        content = path.read_bytes()
        yield name, _LINE_END.sub(b"\r\n", content)
        yield f"{name} as it is", content


class MalformedTests(RunningTestCase):
    """
    What comes out is what went in, but for the closed list.
    """

    def setUp(self) -> None:
        if os.getuid() == 0:
            require("setpriv")
        self.forms = list(forms())[:: 10 if SLICE else 1]
        self.assertTrue(self.forms)

    def test_by_data(self) -> None:
        self.carried(False)

    def test_by_bdat(self) -> None:
        self.carried(True)

    def carried(self, chunked: bool) -> None:
        boxes = Boxes(len(self.forms))
        self.addCleanup(boxes.close)
        sink = Sink("8BITMIME", "SMTPUTF8")
        self.addCleanup(sink.close)
        server = start(self.txmta, boxes, sink)
        send(server.port, self.forms, chunked)
        server.wait_for_log(": removed", len(self.forms))
        for n, (name, content) in enumerate(self.forms):
            for place in PLACES:
                octets = arrived(boxes, sink, place, n)
                self.assertEqual(
                    below(octets),
                    delivered(place, content, chunked),
                    f"{name} at {place}",
                )
        self.assertNotIn("Traceback", server.output())
        self.assertEqual(server.log().count("status=sent"), 5 * len(self.forms))


def start(make: Callable[..., Txmta], boxes: Boxes, sink: Sink) -> Txmta:
    """
    @param make: L{RunningTestCase.txmta}.
    @return: a server that listens, as an ordinary user.
    """
    services = "".join(
        f"{name} unix - - n - - {program}\n"
        for name, program in (
            *(("smtp", "smtp"), ("relay", "smtp")),
            *(("error", "error"), ("retry", "error")),
        )
    )
    server = make(
        boxes.filled(MAIN_CF) + f"relayhost = [127.0.0.1]:{sink.port}\n",
        master_cf=services + boxes.filled(SERVICES),
    )
    server.start(*as_owner())
    return server


def send(port: int, what: list[tuple[str, bytes]], chunked: bool) -> None:
    client = Client(port)
    for n, (name, content) in enumerate(what):
        to = [f"{place}{n}@{domain}" for place, domain in PLACES.items()]
        reply = client.send(content, to, chunked)
        assert re.match(rb"250 2\.0\.0 Ok: .*queued as", reply), (name, reply)
    client.close()


def arrived(boxes: Boxes, sink: Sink, place: str, n: int) -> bytes:
    if place == "r":
        return sink.kept[f"r{n}@there.test"]
    if place == "l":
        return boxes.lmtp.kept[f"l{n}@lmtp.test"]
    return boxes.read(place, n)


class OracleTests(RunningTestCase):
    """
    Debian's Postfix with the same messages.
    """

    def setUp(self) -> None:
        require("postfix", "postconf")
        require_root("starts a Postfix of its own")
        self.forms = list(forms())[:: 10 if SLICE else 1]

    def test_by_data(self) -> None:
        """
        All but what L{DIFFERENT} names is the same everywhere.
        """
        self.compared(False)

    def test_by_bdat(self) -> None:
        self.compared(True)

    def compared(self, chunked: bool) -> None:
        boxes = Boxes(len(self.forms))
        self.addCleanup(boxes.close)
        postfix = self.oracle(boxes, "8BITMIME", "SMTPUTF8")
        self.carry(postfix, chunked)
        different = set()
        for n, (name, content) in enumerate(self.forms):
            for place in PLACES:
                octets = arrived(boxes, postfix.sink, place, n)
                if below(octets) != delivered(place, content, chunked):
                    different.add(name)
        wanted = {name for name, _ in self.forms} & set(DIFFERENT[chunked])
        self.assertEqual(different, wanted)

    def test_seven_bit(self) -> None:
        """
        A next hop without 8BITMIME gets the same conversion from both.
        """
        boxes, own = Boxes(len(self.forms)), Boxes(len(self.forms))
        sink = Sink()
        for each in (boxes, own, sink):
            self.addCleanup(each.close)
        postfix = self.oracle(boxes)
        self.carry(postfix, False)
        server = start(self.txmta, own, sink)
        send(server.port, self.forms, False)
        server.wait_for_log(": removed", len(self.forms))
        for n, (name, _) in enumerate(self.forms):
            theirs = arrived(boxes, postfix.sink, "r", n)
            ours = arrived(own, sink, "r", n)
            if name not in DIFFERENT[False]:
                self.assertEqual(below(ours), below(theirs), name)

    def oracle(self, boxes: Boxes, *offers: str) -> Postfix:
        """
        @param offers: EHLO keywords of its next hop.
        """
        postfix = Postfix({}, offers)
        self.addCleanup(postfix.close)
        for name, text in (("main.cf", MAIN_CF), ("master.cf", SERVICES)):
            with (postfix.home / "etc" / name).open("a") as file:
                file.write(boxes.filled(text))
        postfix.run("start")
        return postfix

    def carry(self, postfix: Postfix, chunked: bool) -> None:
        send(postfix.ports[False], self.forms, chunked)
        log = postfix.home / "mail.log"
        wait_for(
            lambda: log.read_text().count(": removed") >= len(self.forms),
            "Postfix has not delivered everything",
        )
