"""
Mapped addresses beside Debian's cleanup: the same envelopes, and the same
addresses in headers, for generated addresses, headers and tables.
"""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests import support
from tests.cleanup.mapping_doubles import MappingKitchen
from tests.interop.postfix_instance import PATIENCE, Postfix, free_port
from tests.support import PATH, require, require_root
from txmta.address import parse_path
from txmta.header_addresses import find
from txmta.model import Client, Notify, Recipient

#: Configurations, and messages through each.
CONFIGURATIONS = 12
MESSAGES = 10

CLIENT = Client("127.0.0.1", 1, "localhost")

COMMON = {
    "myhostname": "mx.here.test",
    "mydomain": "here.test",
    "inet_interfaces": "127.0.0.1",
    "inet_protocols": "ipv4",
    "mydestination": "here.test, localhost",
    "compatibility_level": "3.6",
}

_USERS = ("a", "b", "c", "A", "a+x", "b+y", "b-z", '"a b"', "postmaster", "a.b")
_DOMAINS = (
    *("x.test", "y.test", "X.test", "h.x.test", "g.h.x.test", "here.test"),
    *("mx.here.test", "localhost", "[127.0.0.1]", "[192.0.2.1]"),
)
_HEADERS = (
    *("From", "Sender", "Reply-To", "Errors-To", "Return-Receipt-To", "To", "Cc"),
    *("Disposition-Notification-To", "Mail-Followup-To", "Apparently-To"),
    *("Resent-From", "Resent-Sender", "Resent-To", "Resent-Cc", "Resent-Reply-To"),
    *("X-To", "Delivered-To"),
)


_NOTIFY = (
    *(Notify.NEVER, Notify.SUCCESS, Notify.SUCCESS | Notify.FAILURE),
    *(Notify.FAILURE, Notify.FAILURE | Notify.DELAY),
)


def words(notify: int) -> str:
    """
    @return: as RCPT has it.
    """
    names = ("NEVER", "SUCCESS", "FAILURE", "DELAY")
    return ",".join(name for name in names if notify & Notify[name])


class Generator:
    """
    Makes up what is asked.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.choice = self._random.choice
        self.chance = lambda odds: self._random.random() < odds

    def address(self) -> str:
        """
        In external form.
        """
        if self.chance(0.1):
            return self.choice(_USERS)
        if self.chance(0.06):
            return self.choice(
                ("y.test!a", "a%y.test", "a%y.test@here.test", "b@x", "a@x.test.")
            )
        return f"{self.choice(_USERS)}@{self.choice(_DOMAINS)}"

    def header(self) -> str:
        """
        The value of one: well formed, or nearly so.
        """
        out: list[str] = []
        for _ in range(self._random.randint(1, 4)):
            address = self.address()
            out.append(
                self.choice(
                    (
                        address,
                        f"<{address}>",
                        f"Some Body <{address}>",
                        f'"B, Some" <{address}> (c)',
                        f"{address} (Some (nested) Body)",
                        f"(before) {address}",
                        f"list: {address}, {self.address()};",
                        f"\r\n {address}",
                        f"=?utf-8?q?x?= <{address}>",
                        "undisclosed-recipients:;",
                    )
                )
            )
        return ", ".join(out)

    def table(self, several: bool, plain: bool) -> str:
        """
        @param several: values may be lists.
        @param plain: values are nothing but an address without quotes. Of
            another one Postfix takes quotes and comments into the address.
        """
        lines: dict[str, str] = {}
        for _ in range(8):
            user, domain = self.choice(_USERS), self.choice(_DOMAINS)
            key = self.choice((f"{user}@{domain}", user, f"@{domain}"))
            value = self.choice(
                (self.address(), self.address(), f"@{self.choice(_DOMAINS)}")
            )
            if several and self.chance(0.4):
                value = f"{value}, {self.address()} {self.address()}"
            elif not plain and self.chance(0.1):
                value = self.choice((f"Some Body <{value}>", f"{value} (c)"))
            if not (plain and '"' in value):
                lines.setdefault(key.lower(), value)
        return "".join(f"{key} {value}\n" for key, value in lines.items())

    def parameters(self, folder: Path) -> dict[str, str]:
        """
        @param folder: for tables.
        """
        found: dict[str, str] = {}

        def add(name: str, several: bool = False) -> None:
            path = folder / name
            path.write_text(self.table(several, name.endswith("_bcc_maps")))
            path.chmod(0o644)
            found[name] = f"texthash:{path}"

        for name in ("canonical", "sender_canonical", "recipient_canonical"):
            if self.chance(0.4):
                add(f"{name}_maps")
                if name == "canonical" and self.chance(0.4):
                    classes = ("envelope_sender", "header_sender")
                    others = ("envelope_recipient", "header_recipient")
                    some = (self.choice(classes), self.choice(others))
                    found["canonical_classes"] = ", ".join(some)
        if self.chance(0.6):
            add("virtual_alias_maps", True)
        for name in ("sender_bcc_maps", "recipient_bcc_maps"):
            if self.chance(0.3):
                add(name)
        if self.chance(0.3):
            found["always_bcc"] = self.choice(("all", "all@y.test", "a@x.test"))
        if self.chance(0.5):
            found["masquerade_domains"] = self.choice(
                ("x.test", "!h.x.test X.test", "h.x.test, x.test", "test")
            )
            if self.chance(0.5):
                found["masquerade_exceptions"] = self.choice(("a", "b, postmaster"))
            if self.chance(0.3):
                found["masquerade_classes"] = "envelope_recipient, header_sender"
        if self.chance(0.7):
            found["recipient_delimiter"] = self.choice(("+", "-", "+-"))
        if self.chance(0.3):
            found["propagate_unmatched_extensions"] = self.choice(
                ("", "canonical", "virtual")
            )
        if self.chance(0.2):
            found["enable_original_recipient"] = "no"
        if self.chance(0.2):
            found["virtual_alias_expansion_limit"] = "5"
        if self.chance(0.1):
            found["receive_override_options"] = "no_address_mappings"
        found.setdefault("virtual_alias_recursion_limit", "30")
        return found

    def message(self) -> Question:
        """
        Envelope and headers.
        """
        recipients = [
            (self.address(), self.choice(_NOTIFY) if self.chance(0.2) else 0)
            for _ in range(self._random.randint(1, 6))
        ]
        names = [name for name in _HEADERS if self.chance(0.5)]
        return Question(
            self.address()
            if self.chance(0.85)
            else self.choice(("", "MAILER-DAEMON", "mailer-daemon@x.test")),
            recipients,
            [(name, self.header()) for name in names],
            self.chance(0.8),
        )


@dataclass(frozen=True)
class Question:
    """
    @ivar sender: in external form.
    @ivar recipients: in external form, and NOTIFY.
    @ivar local: the client is one of local_header_rewrite_clients.
    """

    sender: str
    recipients: Sequence[tuple[str, int]]
    headers: Sequence[tuple[str, str]]
    local: bool

    @property
    def content(self) -> bytes:
        lines = [f"{name}: {value}\r\n" for name, value in self.headers]
        return "".join([*lines, "Subject: x\r\n\r\nbody\r\n"]).encode()

    def count(self) -> int:
        """
        @return: how many addresses are in it.
        """
        found = sum(len(find(value.encode(), 0)) for _, value in self.headers)
        return 1 + len(self.recipients) + found


@dataclass(frozen=True)
class Result:
    """
    What becomes of one message.

    @ivar recipients: address, original recipient, NOTIFY.
    @ivar expanded: the sender is told that an alias was.
    @ivar headers: name and addresses of each that may hold some.
    """

    reply: str
    sender: str = ""
    recipients: Sequence[tuple[str, str, int]] = ()
    headers: Sequence[tuple[str, Sequence[str]]] = ()
    expanded: bool = False


def headers_of(content: bytes) -> list[tuple[str, Sequence[str]]]:
    """
    @param content: with LF or CRLF.
    """
    head = content.replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    found: list[tuple[str, Sequence[str]]] = []
    for line in head.replace(b"\n ", b" ").replace(b"\n\t", b" ").split(b"\n"):
        name, _, value = line.partition(b":")
        if name.decode() in _HEADERS:
            addresses = [each.internal(value) for each in find(value, 0)]
            found.append((name.decode(), addresses))
    return found


class Cleanups(Postfix):
    """
    A Postfix with a cleanup for each configuration, and nobody who delivers.
    """

    def __init__(
        self, common: Mapping[str, str], variants: Sequence[Mapping[str, str]]
    ) -> None:
        super().__init__(
            {
                **common,
                "smtpd_reject_unlisted_recipient": "no",
                # Else each message waits for a queue manager.
                "in_flow_delay": "0",
                "smtpd_relay_restrictions": "",
                "smtpd_recipient_restrictions": "permit_mynetworks, reject",
            }
        )
        path = self.home / "etc/master.cf"
        lines = path.read_text().splitlines(keepends=True)
        text = "".join(each for each in lines if not each.startswith("qmgr "))
        self.servers: list[Mapping[bool, int]] = []
        free: set[int] = set(self.ports.values())
        while len(free) < 2 * len(variants) + 2:
            free.add(free_port())
        free -= set(self.ports.values())
        for n, parameters in enumerate(variants):
            own = dict(parameters)
            override = own.pop("receive_override_options", "")
            ports = {True: free.pop(), False: free.pop()}
            self.servers.append(ports)
            for local, port in ports.items():
                text += f"127.0.0.1:{port} inet n - n - - smtpd"
                text += f" -o cleanup_service_name=cleanup{n}"
                text += f" -o receive_override_options={override}"
                text += "" if local else " -o local_header_rewrite_clients="
                text += "\n"
            text += f"cleanup{n} unix n - n - 0 cleanup"
            for name, value in own.items():
                text += f"\n  -o {{ {name} = {value} }}"
            text += "\n"
        path.write_text(text)

    def results(self, n: int, questions: Sequence[Question]) -> list[Result]:
        """
        @param n: which configuration.
        """
        replies = [self._reply(n, question) for question in questions]
        spool = self.home / "spool/incoming"
        paths = {path.name: path for path in spool.rglob("*") if path.is_file()}
        ids = {reply.split()[-1] for reply in replies if reply.startswith("250")}
        told = self._postcat([paths[each] for each in ids])
        return [
            self._result(reply, told.get(reply.split()[-1], b"")) for reply in replies
        ]

    def _reply(self, n: int, question: Question) -> str:
        port = self.servers[n][question.local]
        with (
            socket.create_connection(("127.0.0.1", port), PATIENCE) as s,
            s.makefile("rb") as replies,
        ):

            def reply() -> bytes:
                line = replies.readline()
                while line[3:4] == b"-":
                    line = replies.readline()
                return line

            reply()
            for command in (
                "EHLO client.test",
                f"MAIL FROM:<{question.sender}>",
                *(
                    f"RCPT TO:<{each}>" + (f" NOTIFY={words(notify)}" if notify else "")
                    for each, notify in question.recipients
                ),
                "DATA",
            ):
                s.sendall(command.encode() + b"\r\n")
                answer = reply()
                assert answer[:1] in b"23", f"{command}: {answer!r}"
            s.sendall(question.content + b".\r\n")
            return reply().decode().rstrip()

    def _postcat(self, paths: Sequence[Path]) -> Mapping[str, bytes]:
        done = subprocess.run(
            ["postcat", "-c", str(self.home / "etc"), "-eh", *map(str, paths)],
            env={**os.environ, "PATH": PATH},
            check=True,
            capture_output=True,
            timeout=60,
        )
        found: dict[str, bytes] = {}
        mark = b"*** ENVELOPE RECORDS "
        for part in done.stdout.split(mark)[1:]:
            path, _, rest = part.partition(b" ***\n")
            found[path.decode().rpartition("/")[2]] = rest
        return found

    def _result(self, reply: str, told: bytes) -> Result:
        if not reply.startswith("250"):
            return Result(reply)
        envelope, _, rest = told.partition(b"*** MESSAGE CONTENTS ")
        content = rest.partition(b"***\n")[2].partition(b"*** HEADER EXTRACTED")[0]
        extracted = rest.partition(b"*** HEADER EXTRACTED")[2]
        sender, original, notify = "", "", 0
        recipients: list[tuple[str, str, int]] = []
        for line in (envelope + extracted).decode().splitlines():
            name, _, value = line.partition(": ")
            if name == "sender":
                sender = value
            elif value.startswith("notify_flags="):
                notify = int(value.partition("=")[2])
            elif name == "original_recipient":
                original = value
            elif name == "recipient":
                recipients.append((value, original, notify))
                notify, original = 0, ""
        expanded = (self.home / "spool/trace" / reply.split()[-1]).exists()
        return Result("250", sender, recipients, headers_of(content), expanded)


def our_result(kitchen: MappingKitchen, question: Question) -> Result:
    rewrite = kitchen.addresses.rewrite
    recipients = [
        (parse_path(f"<{each}>"), notify) for each, notify in question.recipients
    ]
    sender = parse_path(f"<{question.sender}>")
    content, reply = kitchen.run(
        question.content,
        sender=rewrite(sender, True) if sender else "",
        recipients=tuple(
            Recipient(n, rewrite(each, True), each, notify=notify)
            for n, (each, notify) in enumerate(recipients)
        ),
        client=CLIENT,
        local_origin=question.local,
    )
    if reply.code != 250:
        return Result(reply.encode().decode().rstrip())
    envelope = kitchen.store.messages[-1].envelope
    return Result(
        "250",
        envelope.sender,
        [
            (each.address, each.original, int(each.notify))
            for each in envelope.recipients
            if each.notify < Notify.EXPANDED
        ],
        headers_of(content),
        any(each.notify >= Notify.EXPANDED for each in envelope.recipients),
    )


def without_originals(result: Result) -> Result:
    """
    Debian's cleanup writes them down all the same; nobody looks at them.
    """
    recipients = [(address, "", notify) for address, _, notify in result.recipients]
    return replace(result, recipients=recipients)


class MappingOracleTests(SynchronousTestCase):
    common = COMMON
    first_seed = 1

    def test_generated(self) -> None:
        """
        Each address comes out as in Postfix.
        """
        require("postfix", "postcat")
        require_root("starts a Postfix of its own")
        folder = Path(tempfile.mkdtemp(prefix="txmta-mapping-"))
        self.addCleanup(shutil.rmtree, folder)
        folder.chmod(0o755)
        start = int(os.environ.get("TXMTA_ORACLE_SEED", self.first_seed))
        asked: list[tuple[dict[str, str], list[Question]]] = []
        for seed in range(start, start + CONFIGURATIONS):
            generator = Generator(seed)
            tables = folder / str(seed)
            tables.mkdir()
            parameters = generator.parameters(tables)
            asked.append((parameters, [generator.message() for _ in range(MESSAGES)]))
        postfix = Cleanups(self.common, [parameters for parameters, _ in asked])
        self.addCleanup(postfix.close)
        postfix.run("start")
        count = 0
        for n, (parameters, questions) in enumerate(asked):
            values = {**self.common, "myorigin": "mx.here.test", **parameters}
            kitchen = MappingKitchen(None, **values)
            theirs = postfix.results(n, questions)
            for question, expected in zip(questions, theirs, strict=True):
                count += question.count()
                got = our_result(kitchen, question)
                if not kitchen.settings.enable_original_recipient:
                    got, expected = without_originals(got), without_originals(expected)
                self.assertEqual(got, expected, f"{parameters}\n{question}")
        self.assertGreater(count, 2000)
        support.asked(count)


class StrangersTests(MappingOracleTests):
    """
    The same, where headers of others are completed too.
    """

    common = {**COMMON, "remote_header_rewrite_domain": "domain.invalid"}
    first_seed = 1001
