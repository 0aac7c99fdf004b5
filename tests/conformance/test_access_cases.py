"""
Postfix's own tests of restrictions: each reply, word for word, and each log line.

The folder C{postfix-access} has scripts and the transcripts of Postfix's test
program, which has no trivial-rewrite server: addresses are resolved by the lists of
domains alone. What it asked of the DNS is in L{ZONE}.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.conformance.access_zone import ZONE, Zone
from tests.support import cases
from txmta.config.settings import Settings
from txmta.errors import ConfigError, TableUnavailable
from txmta.interfaces import IClientList
from txmta.maps.registry import TableRegistry
from txmta.model import Client, TLSInfo
from txmta.roles.shared import Tables
from txmta.smtp.access.check import Check, World
from txmta.smtp.access.judgement import line
from txmta.smtp.access.kinds import Tools
from txmta.smtp.access.policy import Policy, codes
from txmta.smtp.session import Session

#: Where we differ, by file and command, and why.
MISSES = {
    ("smtpd_error.ref", "rewrite"): "asked at MAIL, where it is no restriction",
}

_LISTS = {
    f"{name}_restrictions": f"smtpd_{name}_restrictions"
    for name in ("client", "helo", "sender", "relay", "recipient", "etrn")
}
_DEFAULTS = {
    "myhostname": "spike.porcupine.org",
    "mydomain": "porcupine.org",
    "inet_interfaces": "localhost",
    "mynetworks": "127.0.0.0/8, 168.100.3.0/28",
    "relay_domains": "porcupine.org",
    "mydestination": "localhost.$mydomain, localhost, $mydomain",
    "local_recipient_maps": "",
    "smtpd_relay_restrictions": "",
    "parent_domain_matches_subdomains": "smtpd_access_maps, relay_domains, mynetworks",
    "smtpd_delay_reject": "yes",
}
_CHECKS = ("client", "helo", "mail", "rcpt", "etrn", "rewrite")


@dataclass
class Step:
    """
    A command, and what the transcript answers.
    """

    command: str
    output: list[str] = field(default_factory=list)


def steps(text: str) -> Iterator[Step]:
    """
    @param text: a transcript.
    """
    step: Step | None = None
    for each in text.splitlines():
        if each.startswith(">>> "):
            if step is not None:
                yield step
            step = Step(each[4:])
        elif step is not None:
            step.output.append(each)
    if step is not None:
        yield step


@implementer(IClientList)
class Broken:
    """
    A list that cannot be read.
    """

    def match_client(self, name: str, address: str) -> bool:
        raise TableUnavailable("mynetworks", "table lookup problem")


class Talk:
    """
    A run of Postfix's test program, on our side.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._values = dict(_DEFAULTS)
        self._session = Session(Client("127.0.0.1", 0, "localhost", "localhost"))
        self._said: str | None = None
        self._recipient = ""

    def do(self, command: str) -> list[str]:
        """
        @return: log lines and the reply, as the transcript has them.
        """
        name, *words = shlex.split(command.replace("'", "\\'"), comments=False)
        if name not in _CHECKS:
            self._set(name, command[len(name) :].strip())
            return ["OK"]
        address = words[0] if words else ""
        session = self._session
        stage = {"client": "CONNECT", "mail": "MAIL", "rcpt": "RCPT"}
        if name == "client":
            status = int(words[2]) if words[2:] else 4 if address == "unknown" else 2
            session.client = Client(
                words[1], 0, address, address, "", status, 2 if status == 2 else status
            )
        elif name == "helo":
            session.helo = address
        elif name == "mail":
            self._said, self._recipient = address.strip("<>"), ""
        elif name == "rcpt":
            self._recipient = address
            if address.lower() == "postmaster":
                return ["OK"]
        return self._ask(stage.get(name, name.upper()), address)

    def _set(self, name: str, value: str) -> None:
        if name == "restriction_class":
            name, value = value.split(None, 1)
            self._values["smtpd_restriction_classes"] = (
                f"{self._values.get('smtpd_restriction_classes', '')} {name}"
            )
        elif name == "fingerprint":
            self._session.tls = TLSInfo("TLSv1.3", "x", 1, 1, fingerprint=value)
            return
        elif re.fullmatch(r"smtpd_(delay_reject|reject_unlisted_\w+)", name):
            value = "yes" if value == "1" else "no"
        self._values[_LISTS.get(name, name)] = value

    def _ask(self, stage: str, argument: str) -> list[str]:
        values = {
            name: re.sub(r"\b(hash|regexp|pcre|cidr):(\./)?(?=\w)", self._place, value)
            for name, value in self._values.items()
        }
        if stage != "RCPT":
            values["smtpd_delay_reject"] = "no"
        settings = Settings.of(**values)
        notes: list[str] = []
        registry = TableRegistry(float, notes.append)
        tables, mynetworks = self._tables(settings)
        world = World(
            tables.addresses, mynetworks, (), codes(settings), resolver=Zone(ZONE)
        )
        tools = Tools(
            settings,
            world,
            lambda item: registry.table(item, "smtpd_recipient_restrictions"),
        )
        address = self._recipient
        check = Check(
            world,
            self._session,
            self._recipient,
            tables.addresses.rewrite(address, True) if address else "",
            tables.addresses.rewrite(self._said, True) if self._said else "",
            self._said,
            stage=stage,
            etrn=argument if stage == "ETRN" else "",
        )
        answer = Policy.of(settings, tools).judge(check)
        assert not isinstance(answer, Deferred)
        out = [self._noted(check, verb, text) for verb, text in check.notes]
        if answer is None:
            return [*out, "OK"]
        return [*out, self._logged(check, "reject", line(answer)), line(answer)]

    def _tables(self, settings: Settings) -> tuple[Tables, IClientList]:
        try:
            tables = Tables.open(settings, float, lambda text: None)
            return tables, tables.open_list(settings, "mynetworks")
        except ConfigError:
            good = Settings.of(**{**self._values, "mynetworks": "127.0.0.1"})
            return Tables.open(good, float, lambda text: None), Broken()

    def _place(self, match: re.Match[str]) -> str:
        return f"{match[1]}:{self._folder}/"

    def _noted(self, check: Check, verb: str, text: str) -> str:
        text = text.replace(f"{self._folder}/", "./")
        if verb == "warning":
            return f"./smtpd_check: warning: {text}"
        if verb == "info:":
            return f"./smtpd_check: {text}"
        return self._logged(check, verb, text)

    def _logged(self, check: Check, verb: str, text: str) -> str:
        session = check.session
        out = f"./smtpd_check: <queue id>: {verb}: {check.stage} from "
        out += f"{session.client.label}: {text};"
        if check.said is not None:
            out += f" from=<{check.said}>"
        if check.recipient:
            out += f" to=<{check.recipient}>"
        out += " proto=SMTP"
        return f"{out} helo=<{session.helo}>" if session.helo else out


class AccessCases(SynchronousTestCase):
    def test_replies(self) -> None:
        """
        At least 98 of 100 checks; what differs is named in L{MISSES}.
        """
        folder = cases("postfix-access")
        scratch = Path(mkdtemp())
        for each in (*folder.glob("*"), *folder.glob("dns/*")):
            if each.is_file():
                (scratch / each.name).write_bytes(each.read_bytes())
        checks, lines = 0, [0, 0]
        missed: list[tuple[str, str, list[str], list[str]]] = []
        for path in sorted(folder.glob("*.ref*")):
            talk = Talk(scratch)
            for step in steps(path.read_text("utf-8")):
                name = step.command.split(" ")[0]
                if not name or name.startswith("#"):
                    continue
                got = talk.do(step.command)
                if name not in _CHECKS:
                    continue
                checks += 1
                if got[-1:] != step.output[-1:]:
                    missed.append((path.name, step.command, step.output, got))
                lines[0] += got[:-1] == step.output[:-1]
                lines[1] += 1
        unnamed = [m for m in missed if (m[0], m[1]) not in MISSES]
        self.assertEqual(unnamed, [])
        self.assertLessEqual(len(missed), checks // 50)
        self.assertGreater(checks, 100)
        self.assertGreaterEqual(lines[0], lines[1] * 0.9, "lines in the log")
