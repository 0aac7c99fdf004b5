"""
Debian's Postfix as oracle for C{mailq}, C{postqueue}, C{postsuper} and
C{postcat}: every octet but queue ids, dates and sizes, and every exit status.
"""

from __future__ import annotations

import re
import shutil
import smtplib
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.interop.postfix_instance import Postfix
from tests.interop.running import ROOT, RunningTestCase
from tests.interop.tools import ENVIRONMENT, PATIENCE, wait_for
from tests.support import require, require_root

#: What the oracle lacks.
_MASTER_CF = """\
pickup unix n - n 60 1 pickup
showq unix n - n - - showq
flush unix n - n 1000? 0 flush
"""

#: Nobody listens there; the same for both.
_RELAYHOST = "relayhost = [127.0.0.1]:1"

_CONTENT = (
    "From: s@here.test\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n"
    "Message-ID: <1@here.test>\r\nSubject: one\r\n two\r\n\r\n"
    "body\r\n.dot\r\n\r\nend\r\n"
)

#: Sender and its parameters, recipients, and theirs.
_MESSAGES: Sequence[tuple[str, str, Sequence[tuple[str, str]]]] = (
    ("<s@here.test>", "", [("<one@x.test>", "")]),
    ("<s@here.test>", " SIZE=100", [("<two@x.test>", ""), ("<three@x.test>", "")]),
    ('<"a b"@here.test>', "", [('<"x y"@y.test>', "")]),
    ("<>", "", [("<null@y.test>", "")]),
    (
        "<dsn@here.test>",
        " RET=HDRS ENVID=abc+2Bd BODY=8BITMIME",
        [("<u@x.test>", " NOTIFY=FAILURE,DELAY ORCPT=rfc822;o@x.test")],
    ),
)

#: What txmta does not keep, or (the last) notes elsewhere.
_NOT_KEPT = re.compile(
    r"named_attribute: (?:server_address|server_port|encoding=8bit$)"
)

Ran = tuple[int, str, str]


class Oracle(Postfix):
    """
    With the daemons that the queue tools ask.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "enable_long_queue_ids": "yes",
                "fast_flush_domains": "flush.test",
            }
        )
        main_cf = self.home / "etc/main.cf"
        text = re.sub("^relayhost = .*", _RELAYHOST, main_cf.read_text(), flags=re.M)
        main_cf.write_text(text)
        with (self.home / "etc/master.cf").open("a") as file:
            file.write(_MASTER_CF)


class OracleTests(RunningTestCase):
    maxDiff = None

    def setUp(self) -> None:
        require("postfix", "postqueue", "postsuper", "postcat")
        require_root("Postfix is started by root only")
        self.theirs = Oracle()
        self.addCleanup(self.theirs.close)
        self.theirs.run("start")
        self.ours = self.running(
            f"{_RELAYHOST}\nfast_flush_domains = flush.test\n"
            "mydestination =\nmyhostname = mx.here.test\n"
        )
        self.ids: dict[str, list[str]] = {"theirs": [], "ours": []}

    def tool(self, tool: str, *arguments: str, given: str = "") -> dict[str, Ran]:
        """
        Run it on both. C{@0} stands for the id of the first message, and so on.
        """
        commands = {
            "theirs": [tool, "-c", str(self.theirs.home / "etc")],
            "ours": [
                *(sys.executable, "-m", f"txmta.admin.{tool}"),
                *("-c", str(self.ours.folder)),
            ],
        }
        found = {}
        for who, command in commands.items():
            done = subprocess.run(
                [*command, *(self._named(who, a) for a in arguments)],
                input=self._named(who, given).encode(),
                capture_output=True,
                cwd="/",
                env={**ENVIRONMENT, "PYTHONPATH": str(ROOT), "TZ": "UTC"},
                timeout=PATIENCE,
            )
            out, err = (self._unnamed(who, t) for t in (done.stdout, done.stderr))
            found[who] = (done.returncode, out, err)
        return found

    def _named(self, who: str, text: str) -> str:
        return re.sub(r"@(\d+)", lambda m: self.ids[who][int(m[1])], text)

    def _unnamed(self, who: str, octets: bytes) -> str:
        text = octets.decode("utf-8", "surrogateescape")
        for n, queue_id in enumerate(self.ids[who]):
            text = _without_id(text, queue_id, f"@{n}")
        return text

    def send(self) -> None:
        """
        The same messages to both; wait until all are deferred.
        """
        for who, port in (
            ("theirs", self.theirs.ports[True]),
            ("ours", self.ours.port),
        ):
            with smtplib.SMTP("127.0.0.1", port, "client.test") as client:
                client.ehlo()
                for sender, parameters, recipients in _MESSAGES:
                    client.docmd("MAIL", f"FROM:{sender}{parameters}")
                    for recipient, more in recipients:
                        client.docmd("RCPT", f"TO:{recipient}{more}")
                    code, said = client.data(_CONTENT)
                    self.assertEqual(code, 250, said)
                    self.ids[who].append(said.decode().rpartition(" ")[2])
        for log in (self.theirs.home / "mail.log", self.ours.folder / "mail.log"):
            self.wait_deferred(log)

    def wait_deferred(self, log: Path) -> None:
        count = sum(len(recipients) for *_, recipients in _MESSAGES)
        wait_for(
            lambda: log.read_text().count("status=deferred") >= count,
            lambda: log.read_text()[-3000:],
        )

    def same(
        self,
        tool: str,
        *arguments: str,
        given: str = "",
        plain: Callable[[str], str] = str,
    ) -> str:
        """
        @param plain: takes out of what is said what may differ.
        @return: what both say on standard output.
        """
        found = self.tool(tool, *arguments, given=given)
        theirs, ours = found["theirs"], found["ours"]
        what = f"{tool} {arguments}"
        self.assertEqual(ours[0], theirs[0], f"{what}: {ours[2]}")
        self.assertEqual(plain(ours[1]), plain(theirs[1]), what)
        self.assertEqual(ours[2], theirs[2], what)
        return plain(ours[1])

    def test_listing(self) -> None:
        """
        An empty queue, a full one, one with messages on hold and expired; for
        people and as JSON.
        """
        self.assertEqual(self.same("postqueue", "-p"), "Mail queue is empty\n")
        self.assertEqual(self.same("postqueue", "-j"), "")
        self.send()
        wait_for(lambda: "*" not in self.same_listing(), "still active")
        self.same("postsuper", "-h", "@0", "-h", "@2")
        self.same("postsuper", "-e", "@2")
        text = self.same_listing()
        self.assertIn("\n@0! ", text)
        self.assertIn("\n@2!# ", text)
        self.same("postqueue", "-j", plain=json_listing)

    def same_listing(self) -> str:
        return self.same("postqueue", "-p", plain=listing)

    def test_postsuper(self) -> None:
        """
        What is said of each message, and how many there were.
        """
        self.send()
        for arguments in (
            ("-h", "@0", "-h", "@1"),
            ("-h", "@0"),
            ("-H", "@0"),
            ("-H", "@0"),
            ("-e", "@1", "hold"),
            ("-e", "@1", "hold"),
            ("-f", "@1"),
            ("-h", "@2"),
            ("-f", "@2"),
            ("-d", "@3", "hold"),
            ("-d", "@3", "deferred", "active", "incoming"),
            ("-d", "@3"),
            ("-d", "nosuch", "-r", "nosuch", "-h", "nosuch", "-H", "nosuch"),
            ("-d", "bad/id", "-d", ""),
            ("-e", "@0", "-h", "@2", "-d", "@2", "-h", "@4", "-H", "@4"),
            ("-h", "ALL"),
            ("-H", "ALL"),
            ("-d", "ALL"),
            ("-x",),
            ("-d",),
            ("-d", "@0", "nowhere"),
        ):
            self.same("postsuper", *arguments)

    def test_standard_input(self) -> None:
        self.send()
        self.same("postsuper", "-h", "-", given="@0\n@1\nno such\n\n@4\n")
        self.same("postsuper", "-d", "-", given="@1\n@2")

    def test_postcat(self) -> None:
        """
        All of a message, and parts of it.
        """
        self.send()
        wait_for(lambda: "*" not in self.same_listing(), "still active")
        for n in range(len(_MESSAGES)):
            self.same("postcat", "-q", f"@{n}", plain=message)
        for options in ("-qh", "-qb", "-qe", "-qbh", "-qd", "-qdb"):
            self.same("postcat", options, "@4", plain=message)
        self.same("postcat", "-q", "nosuch")
        self.same("postcat", "-x")

    def test_mistakes(self) -> None:
        """
        The same words, to which ours may add what to do, and the same status.
        """
        for arguments in (
            (),
            ("-x",),
            ("-p", "-f"),
            ("-p", "more"),
            ("-i", ""),
            ("-i", "nosuch"),
            ("-s", "bad..name"),
            ("-s", "[bad]"),
            ("-s", "x" * 200),
            ("-s", "elsewhere.test"),
            ("-s", "flush.test"),
            ("-f",),
        ):
            found = self.tool("postqueue", *arguments)
            theirs, ours = found["theirs"], found["ours"]
            self.assertEqual(ours[:2], theirs[:2], arguments)
            self.assertTrue(
                ours[2].startswith(theirs[2].rstrip("\n")),
                f"{arguments}: {ours[2]!r}, not {theirs[2]!r}",
            )

    def test_down(self) -> None:
        """
        With no server running root still sees and changes the queue.
        """
        self.send()
        wait_for(lambda: "*" not in self.same_listing(), "still active")
        self.theirs.run("stop")
        # Without postlogd the command writes the log itself.
        shutil.chown(self.theirs.home / "mail.log", "postfix")
        self.addCleanup(self.theirs.run, "start")
        self.ours.stop()
        self.same("postsuper", "-h", "@0")
        text = self.same("postqueue", "-p", plain=listing)
        self.assertIn("\n@0! ", text)
        self.same("postqueue", "-j", plain=json_listing)
        self.same("postsuper", "-e", "@1", "-d", "@2", "-d", "nosuch")
        self.same("postcat", "-q", "@1", plain=message)
        self.same("postsuper", "-h", "ALL")
        self.same("postsuper", "-d", "ALL")
        self.assertEqual(self.same("postqueue", "-p"), "Mail queue is empty\n")
        found = self.tool("postqueue", "-f")
        self.assertEqual(found["ours"][0], found["theirs"][0])
        self.assertTrue(found["ours"][2].startswith(found["theirs"][2].rstrip()))


def _without_id(text: str, queue_id: str, name: str) -> str:
    def in_column(match: re.Match[str]) -> str:
        return f"{name}{match[1]}".ljust(17)

    column = rf"^{queue_id}([*!#]*) *(?= [\d ]{{8}} )"
    text = re.sub(column, in_column, text, flags=re.M)
    return re.sub(rf"\b(?:\w/)?{queue_id}\b", name, text)


def listing(text: str) -> str:
    """
    @return: without sizes and dates; messages and recipients in order.
    """
    lines = [
        f"{line[:17]}{'':>29}{line[46:]}" if line.startswith("@") else line
        for line in text.splitlines()
    ]
    text = re.sub(r"^-- \d+ Kbytes", "-- Kbytes", "\n".join(lines), flags=re.M)
    head, _, rest = text.partition("\n")
    *blocks, foot = rest.split("\n\n")
    blocks = ["\n".join(_in_order(block.split("\n"))) for block in blocks]
    return "\n".join((head, "\n\n".join(sorted(blocks)), foot))


def _in_order(lines: Sequence[str]) -> Sequence[str]:
    """
    Which recipient was tried first is chance. What is refused later is refused
    with other words.
    """
    first, *rest = (
        line.replace("(delivery temporarily suspended: ", "(").rjust(78)
        if line.startswith(("(", " " * 10)) and line.endswith(")")
        else line
        for line in lines
    )
    return [first, *sorted(rest)]


def json_listing(text: str) -> str:
    """
    @return: as L{listing}.
    """
    text = re.sub(r'("(?:arrival_time|message_size)": )\d+', r"\1N", text)
    text = text.replace("delivery temporarily suspended: ", "")
    lines = []
    for line in text.splitlines():
        start, there, recipients = line.partition('"recipients": [')
        parts = recipients.removesuffix("]}").split("}, {")
        lines.append(start + there + str(sorted(p.strip("{}") for p in parts)))
    return "\n".join(sorted(lines))


def message(text: str) -> str:
    """
    @return: what postcat says of a message, without what may differ.
    """
    text = re.sub(r"(message_size:).*", r"\1 N", text)
    text = re.sub(r"(_time: )\w{3} \w{3} .*", r"\1 T", text)
    text = re.sub(r"(client_port=)\d+", r"\1N", text)
    text = re.sub(r"\w{3}, \d\d? \w{3} \d{4} [\d:]{8} \+0000 \(UTC\)", "D", text)
    # Postfix makes up an ORCPT, from what RCPT said.
    text = re.sub(
        r"(?: 65 )?named_attribute: dsn_orig_rcpt=rfc822;([^o].*|one@.*)\n", "", text
    )
    return "".join(x for x in text.splitlines(True) if not _NOT_KEPT.search(x.rstrip()))
