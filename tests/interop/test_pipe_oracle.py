"""
Debian's Postfix as oracle for pipe(8): arguments, environment, octets,
status codes, words.
"""

from __future__ import annotations

import os
import re
import smtplib
import time
from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from tests.delivery.doubles import acting, request
from tests.interop.postfix_instance import PATIENCE, Postfix
from tests.interop.recorder import GID, UID, Record, Recorder, real_context
from tests.support import require, require_root
from txmta.config.master_cf import parse_master_cf
from txmta.delivery.pipe import PipeAgent
from txmta.delivery.rights import Identity
from txmta.model import Action, Outcome

#: Other than the recorder's: what Postfix runs and says.
COMMANDS = {
    "plain": "",
    "code": "exit 1",
    "said": "echo hello; echo two >&2; exit 1",
    "nouser": "exit 67",
    "tempfail": "exit 75",
    "usage": "echo why; exit 64",
    "odd": "exit 79",
    "dsn4": "echo 4.2.2 my text; exit 1",
    "dsn5": "echo 5.7.1 my text; echo more; exit 75",
    "dsn2": "echo 2.7.1 my text; exit 75",
    "blank": 'echo " 5.7.1 x"; exit 75',
    "killed": "echo 5.1.1 out; kill -9 $$$$",
    "happy": "echo fine; echo two; exit 0",
    "strange": r"printf '4.1.1 fine\303\244\001\377 '; exit 0",
    "deaf": "exec 0<&-; exit 0",
    "slow": "echo 4.1.1 hm; sleep 20",
    **{f"exit{n}": f"exit {n}" for n in range(64, 79)},
}

#: Attributes and arguments of the recorder.
ARGUMENTS = "$sender -- $recipient u=$user e=$extension m=$mailbox d=$domain n=$nexthop"
SERVICES = {
    "bare": f"argv=@ {ARGUMENTS} o=$original_recipient",
    "folded": f"flags=hu argv=@ {ARGUMENTS} o=$original_recipient",
    "host": f"flags=h argv=@ {ARGUMENTS}",
    "user": f"flags=u argv=@ {ARGUMENTS}",
    "quoted": f"flags=q argv=@ {ARGUMENTS} o=$original_recipient",
    "all": f"flags=BDFORXhqu.> argv=@ {ARGUMENTS}",
    "wire": f"flags=FR.>B eol=\\r\\n null_sender= argv=@ {ARGUMENTS}",
    "odd": f"flags=FRO eol=\\041\\a\\q\\\\ null_sender=n@x argv=@ {ARGUMENTS}",
    "braces": "{flags=F} argv=@ { a  b } {{x}} $$x ${sender}$$ a$(user)b",
    "client": "argv=@ ${client_address} ${client_helo} ${client_hostname} "
    "${client_protocol} <${sasl_method}> <${sasl_username}> <${sasl_sender}>",
    "folder": "directory=/usr argv=@ x",
    "small": "size=10 argv=@ x",
    "nothing": "argv=/nowhere/x",
    "nopath": "argv=no-such-program",
}

CONTENTS = (
    b"Subject: x\r\n\r\nbody\r\n",
    b"X: y\r\n\r\n.\r\n..two\r\nFrom here\r\n>From there\r\n\r\n8 bit \xe9\xff\t \r\n.",
    b"X: y\r\n",
)
HEADERS = (
    b"From: a@b.test\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n"
    b"Message-ID: <1@b.test>\r\n"
)
LOCALS = ("User+Ext", '"a B$x"', "plain", "+ext", "a+", "a+b+c", '"a@b"', "owner-a+b")
SENDERS = ("S@X.test", "", '"a B"@X.test', "-f@x.test", '"$(x)`"@x.test')

_LINE = re.compile(
    r"to=<[^>]*>, (?:orig_to=<[^>]*>, )?relay=(\S+), .* "
    r"dsn=([\d.]+), status=(\w+) \((.*)\)"
)
_STATUS = {
    Action.DELIVERED: "sent",
    Action.RELAYED: "sent",
    Action.DELAYED: "deferred",
    Action.FAILED: "bounced",
}
_RECEIVED = re.compile(rb"Received: .*?(?=From: a@b)", re.DOTALL)
_STAMP = re.compile(rb"  \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}")


class PipePostfix(Postfix):
    """
    One that runs commands, each at a domain of its own.
    """

    def __init__(self, recorder: Recorder) -> None:
        names = [*SERVICES, *(f"c-{name}" for name in COMMANDS)]
        super().__init__(
            {
                "recipient_delimiter": "+",
                "notify_classes": "",
                "smtpd_reject_unlisted_recipient": "no",
                "transport_maps": "inline:{"
                + ", ".join(f"{{ {n}.test={n}:NextHop }}" for n in names)
                + "}",
                "relay_domains": "$transport_maps",
                "c-slow_time_limit": "1",
                "fast_flush_domains": "",
                "allow_min_user": "yes",
            }
        )
        with (self.home / "etc/master.cf").open("a") as file:
            for name in names:
                words = " ".join(attributes(name, recorder))
                file.write(f"{name} unix - n n - - pipe user=nobody {words}\n")

    def deliver(self, to: str, sender: str, content: bytes) -> tuple[str, ...]:
        """
        @return: relay, dsn, status, reason.
        """
        with smtplib.SMTP(
            "127.0.0.1", self.ports[True], "client.test", PATIENCE
        ) as client:
            client.ehlo()
            client.mail(f"<{sender}>")
            client.docmd("RCPT", f"TO:<{to}> NOTIFY=NEVER")
            code, text = client.data(content)
        assert code == 250, text
        queue_id = text.decode().rpartition(" ")[2]
        deadline = time.monotonic() + PATIENCE
        while True:
            for line in self.log(queue_id, "pipe"):
                if match := _LINE.match(line):
                    return match.groups()
            assert time.monotonic() < deadline, f"{queue_id} is not delivered"
            time.sleep(0.01)


def attributes(name: str, recorder: Recorder) -> Sequence[str]:
    """
    @return: words of master.cf.
    """
    if name.startswith("c-"):
        return ("argv=/bin/sh", "-c", "{" + COMMANDS[name[2:]] + "}")
    return tuple(SERVICES[name].replace("argv=@", f"argv={recorder.path}").split(" "))


class OracleTests(TestCase):
    timeout = 300

    def setUp(self) -> None:
        require("postfix")
        require_root("starts Postfix")
        # Postfix is started so.
        self.patch(os, "environb", {**os.environb, b"TZ": b"UTC"})
        self.recorder = Recorder()
        self.addCleanup(self.recorder.close)
        self.postfix = PipePostfix(self.recorder)
        self.addCleanup(self.postfix.close)
        self.postfix.run("start")

    def agent(self, name: str) -> PipeAgent:
        words = " ".join(attributes(name, self.recorder))
        text = f"{name} unix - n n - - pipe user=nobody {words}\n"
        (service,) = parse_master_cf("master.cf", text)
        settings = {
            "recipient_delimiter": "+",
            "queue_directory": str(self.postfix.home / "spool"),
            "config_directory": str(self.postfix.home / "etc"),
            "c-slow_time_limit": "1",
        }
        us = Identity(UID, frozenset((GID,)))
        context = real_context(name, service.arguments, settings)
        return PipeAgent(acting(context, lambda: us))

    async def ours(self, to: str, sender: str, content: bytes) -> tuple[str, ...]:
        name = to.rpartition("@")[2].removesuffix(".test")
        what = request(
            unquoted(to), sender=unquoted(sender), content=content, nexthop="NextHop"
        )
        outcomes: list[Outcome] = []
        await self.agent(name).deliver(what, outcomes.append)
        (outcome,) = outcomes
        status = _STATUS[outcome.action]
        return outcome.relay, outcome.status, status, outcome.reason

    async def both(
        self, to: str, sender: str, content: bytes
    ) -> tuple[Record | None, Record | None]:
        """
        Compare what is said.

        @return: how Postfix and we have run it.
        """
        theirs = self.postfix.deliver(to, sender, content)
        their_record = self.recorder.take()
        ours = await self.ours(to, sender, content)
        self.assertEqual(ours, theirs, (to, sender))
        return their_record, self.recorder.take()

    async def same(self, to: str, sender: str, content: bytes) -> None:
        theirs, ours = await self.both(to, sender, content)
        assert theirs is not None and ours is not None, to
        self.assertEqual(ours.argv, theirs.argv, (to, sender))
        self.assertEqual(normal(ours.input), normal(theirs.input), (to, sender))
        self.assertEqual(ours.environ, theirs.environ)
        for part in ("directory", "umask", "leads", "blocked", "ids", "files"):
            self.assertEqual(getattr(ours, part), getattr(theirs, part), part)

    async def test_addresses(self) -> None:
        """
        Every kind of address through every kind of flag.
        """
        for name in ("bare", "folded", "host", "user", "quoted"):
            for local in LOCALS:
                await self.same(f"{local}@{name}.test", "S@X.test", HEADERS)
            for sender in SENDERS:
                await self.same(f"a@{name}.test", sender, HEADERS)

    async def test_octets(self) -> None:
        """
        Every kind of content, with all that can be done to it.
        """
        for name in ("bare", "all", "wire", "odd"):
            for content in CONTENTS:
                for sender in SENDERS[:3]:
                    # Postfix's smtpd ends the last line.
                    whole = HEADERS + content
                    whole += b"" if whole.endswith(b"\r\n") else b"\r\n"
                    await self.same(f"User+Ext@{name}.test", sender, whole)

    async def test_more(self) -> None:
        for name in ("braces", "folder"):
            await self.same(f"User+Ext@{name}.test", "s@x.test", HEADERS)
        # Postfix has a size of its own, that of its queue file.
        self.assertEqual(
            await self.both("a@small.test", "s@x.test", HEADERS), (None, None)
        )

    async def test_client(self) -> None:
        """
        The macros of the client: named as Postfix names them.
        """
        theirs, _ours = self.postfix.deliver("a@client.test", "s@x.test", HEADERS), None
        self.assertEqual(theirs[1], "2.0.0")
        record = self.recorder.take()
        assert record is not None
        self.assertEqual(
            record.argv,
            [b"127.0.0.1", b"client.test", b"localhost", b"ESMTP", b"<>", b"<>", b"<>"],
        )
        await Deferred.fromCoroutine(self.ours("a@client.test", "s@x.test", HEADERS))
        record = self.recorder.take()
        assert record is not None
        self.assertEqual(
            record.argv, [b"127.0.0.1", b"", b"localhost", b"", b"<>", b"<>", b"<>"]
        )

    async def test_diagnostic(self) -> None:
        """
        The Diagnostic-Code of bounces.
        """
        for name in ("code", "said", "nouser", "usage", "odd", "dsn5", "dsn2", "slow"):
            with smtplib.SMTP(
                "127.0.0.1", self.postfix.ports[True], "client.test", PATIENCE
            ) as client:
                client.sendmail("s@else.test", [f"a@c-{name}.test"], HEADERS)
            notice = self.postfix.sink.take()
            match = re.search(rb"\nDiagnostic-Code: (.*(?:\r\n .*)*)", notice)
            assert match is not None, notice
            theirs = b" ".join(match[1].split()).decode()
            what = request(f"a@c-{name}.test", content=HEADERS, nexthop="NextHop")
            outcomes: list[Outcome] = []
            await self.agent(f"c-{name}").deliver(what, outcomes.append)
            self.assertEqual(outcomes[0].diagnostic, theirs, name)

    async def test_ends(self) -> None:
        """
        However a command ends.
        """
        for name in COMMANDS:
            await self.both(f"a@c-{name}.test", "s@x.test", HEADERS + b"\r\n")
        for name in ("nothing", "nopath"):
            theirs = self.postfix.deliver(f"a@{name}.test", "s@x.test", HEADERS)
            ours = await self.ours(f"a@{name}.test", "s@x.test", HEADERS)
            # Theirs ends with the line end of the child's message.
            self.assertEqual([*ours[:3], ours[3] + " "], list(theirs))


def unquoted(address: str) -> str:
    return address.replace('"', "")


def normal(octets: bytes) -> bytes:
    """
    @return: without Postfix's Received, and without time.
    """
    return _STAMP.sub(b"  NOW", _RECEIVED.sub(b"", octets))
