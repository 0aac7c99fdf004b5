"""
Debian's Postfix as oracle for aliases, lists, .forward files, commands and
files: which place gets which octets, what is forwarded to whom, and the words
and codes for what does not work.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import smtplib
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.delivery.doubles import Content, Table, acting, request
from tests.interop.local_cases import ALIASES, VARIANTS, Case, File
from tests.interop.postfix_instance import PATIENCE, Postfix
from tests.interop.recorder import GID, UID, real_context
from tests.support import require, require_root
from txmta.delivery.local import LocalAgent
from txmta.delivery.questions import Account
from txmta.delivery.rights import Identity
from txmta.model import Action, Outcome

_MAIN_CF = """
myorigin = here.test
local_recipient_maps =
default_transport = discard:
smtpd_reject_unlisted_recipient = no
notify_classes =
"""

#: For both; HOME as in L{tests.interop.local_cases}.
_SETTINGS = {
    "recipient_delimiter": "+",
    "mail_spool_directory": "HOME/mail/",
    "forward_path": "HOME/users/$user/.forward${recipient_delimiter}${extension}, "
    "HOME/users/$user/.forward",
}

_MASTER_CF = """
discard unix - - n - - discard
other unix - - n - - discard
local unix - n n - - local
"""

USERS = {"news": 9, "games": 5}

CONTENT = (
    b"From: a@b.test\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n"
    b"Message-ID: <1@b.test>\r\n\r\nbody\r\nFrom here\r\n"
)

_LINE = re.compile(
    r"to=<(.*?)>, (?:orig_to=<.*?>, )?relay=(\w+), .*?"
    r"dsn=([\d.]+), status=(\w+) \((.*)\)$"
)
_RECEIVED = re.compile(rb"^Received:.*\n(?:[ \t].*\n)*", re.M)
_FROM = re.compile(rb"^(From \S+  ).*$", re.M)

#: What we defer and Postfix bounces: a place that is not there, or is
#: something else than it should be, is more often a file system that is not
#: mounted than a choice. Nothing is lost by waiting.
PATIENT = {
    "cannot append message to file",
}


@dataclass
class Result:
    """
    @ivar files: what is in mailboxes, files and Maildirs, by path.
    @ivar elsewhere: addresses that mail is forwarded to, or transports.
    @ivar reasons: what is said, and the status code.
    """

    files: dict[str, list[bytes]] = field(default_factory=dict)
    elsewhere: list[str] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)

    @property
    def codes(self) -> set[str]:
        return set(self.reasons.values())


def stage(home: Path, case: Case) -> None:
    """
    Make the world of a case.
    """
    for name in ("users", "mail", "out"):
        shutil.rmtree(home / name, ignore_errors=True)
        (home / name).mkdir()
        (home / name).chmod(0o1777)
    for name, uid in USERS.items():
        (home / "users" / name).mkdir()
        os.chown(home / "users" / name, uid, uid)
    for path, file in case.files.items():
        _make(home, home / path, file)


def _make(home: Path, path: Path, file: File) -> None:
    text = file.text.replace("HOME", str(home))
    if path.is_symlink() or path.is_file() or path.is_fifo():
        path.unlink()
    elif path.is_dir():
        path.rmdir()
    if file.kind == "link":
        path.symlink_to(text)
    elif file.kind == "fifo":
        os.mkfifo(path)
    elif file.kind == "directory":
        path.mkdir()
    else:
        path.write_text(text)
        path.chmod(file.mode)
    if path.parent.name in USERS:
        uid = 65534 if file.foreign else USERS[path.parent.name]
        os.chown(path, uid, uid, follow_symlinks=False)


def unstage(home: Path, case: Case) -> None:
    for path in case.files:
        if "/" not in path:
            target = home / path
            target.rmdir() if target.is_dir() else target.unlink()


def found(home: Path) -> dict[str, list[bytes]]:
    """
    @return: what was delivered; what differs by nature is cut out.
    """
    files: dict[str, list[bytes]] = {}
    for folder in ("mail", "out", "users"):
        for path in (home / folder).rglob("*"):
            if (
                path.is_file()
                and ".forward" not in path.name
                and path.name
                not in (
                    "list",
                    "tilde",
                )
            ):
                name = str(path.relative_to(home))
                name = re.sub(r"/(new|cur|tmp)/.*", r"/\1", name)
                octets = _RECEIVED.sub(b"", path.read_bytes())
                octets = _FROM.sub(rb"\1DATE", octets)
                octets = octets.replace(str(home).encode(), b"HOME")
                files.setdefault(name, []).append(octets)
    return files


class LocalPostfix(Postfix):
    """
    One that delivers for all cases.
    """

    def __init__(self) -> None:
        super().__init__()
        self._main_cf = (self.home / "etc/main.cf").read_text()
        self._main_cf = re.sub(
            r"^(mydestination|alias_maps|relayhost) =.*\n",
            "",
            self._main_cf,
            flags=re.M,
        )
        self._main_cf += "mydestination = here.test\n"
        self._main_cf += f"alias_maps = texthash:{self.home}/aliases\n"
        aliases = "".join(f"{name} {value}\n" for name, value in ALIASES.items())
        home = str(self.home)
        (self.home / "aliases").write_text(aliases.replace("HOME", home))
        with (self.home / "etc/master.cf").open("a") as file:
            file.write(_MASTER_CF)

    def configure(self, settings: Mapping[str, str]) -> None:
        text = "".join(f"{name} = {value}\n" for name, value in settings.items())
        text = text.replace("HOME", str(self.home))
        (self.home / "etc/main.cf").write_text(self._main_cf + _MAIN_CF + text)

    def deliver(self, case: Case) -> Result:
        stage(self.home, case)
        start = len(self._lines())
        with smtplib.SMTP("127.0.0.1", self.ports[True], "c.test", PATIENCE) as client:
            client.ehlo()
            recipient = f"{_quoted(case.recipient)} NOTIFY=NEVER"
            for verb, what in (
                ("MAIL", f"FROM:{_quoted(case.sender)}"),
                ("RCPT", f"TO:{recipient}"),
            ):
                code, text = client.docmd(verb, what)
                assert code == 250, text
            code, text = client.data(CONTENT)
        assert code == 250, text
        queue_id = text.decode().rpartition(" ")[2]
        result = self._result(self._wait(queue_id, start), case)
        result.files = found(self.home)
        unstage(self.home, case)
        return result

    def _lines(self) -> list[str]:
        return (self.home / "mail.log").read_text("utf-8", "replace").splitlines()

    def _wait(self, queue_id: str, start: int) -> list[str]:
        """
        @return: the log, once the message and all that came of it is gone, or
            deferred, which we then end.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            lines = self._lines()[start:]
            ids = {queue_id}
            for line in lines:
                ids |= set(re.findall(r"forwarded as (\w+)", line))
            done = {
                match[1]
                for line in lines
                if (match := re.search(r": (\w+): (?:removed|.*status=deferred)", line))
            }
            if ids <= done:
                return lines
            assert time.monotonic() < deadline, f"{ids - done} is still there"
            time.sleep(0.02)

    def _result(self, lines: list[str], case: Case) -> Result:
        result = Result()
        for line in lines:
            match = _LINE.search(line)
            if match is None:
                continue
            address, relay, code, _status, reason = match.groups()
            if relay == "none":
                if address != case.sender:
                    result.elsewhere.append(_unquoted(address))
                continue
            reason = re.sub("forwarded as .*", "forwarded", reason)
            result.reasons[reason.replace(str(self.home), "HOME")] = code
        return result


def _quoted(address: str) -> str:
    local, at, domain = address.rpartition("@")
    return f'<"{local}"@{domain}>' if at else "<>"


def _unquoted(address: str) -> str:
    return address.replace('"', "").replace("\\", "")


class Ours:
    """
    Our agent, and as much of a queue manager as forwards need.
    """

    def __init__(self, home: Path, settings: Mapping[str, str]) -> None:
        self._home = home
        here = str(home)
        aliases = {k: v.replace("HOME", here) for k, v in ALIASES.items()}
        chosen = {name: text.replace("HOME", here) for name, text in settings.items()}
        context = real_context(
            "local",
            settings={
                "queue_directory": here,
                "alias_maps": "fake:aliases",
                "strict_mailbox_ownership": "no",
                **chosen,
            },
            tables={"fake:aliases": Table(aliases)},
        )
        accounts = {
            name: Account(name, UID, GID, entry.pw_dir, entry.pw_shell)
            for name in (*USERS, "nobody")
            if (entry := pwd.getpwnam(name))
        }
        identity = Identity(UID, frozenset((GID,)))
        self.agent = LocalAgent(acting(context, lambda: identity), accounts.get)

    async def deliver(self, case: Case) -> Result:
        stage(self._home, case)
        for path in (self._home / "users").rglob("*"):
            if path.lstat().st_uid in USERS.values():  # all are one user here
                os.chown(path, UID, GID, follow_symlinks=False)
            elif ".forward" in path.name:
                os.chown(path, 1, 1)
        result = Result()
        await self._one(case.recipient, case.recipient, case.sender, CONTENT, result)
        result.files = found(self._home)
        unstage(self._home, case)
        return result

    async def _one(
        self, recipient: str, original: str, sender: str, content: bytes, result: Result
    ) -> None:
        outcomes: list[Outcome] = []
        what = request(recipient, sender=sender, content=Content(content))
        recipients = (replace(what.recipients[0], original=original),)
        envelope = replace(
            what.envelope, recipients=recipients, helo="c.test", protocol="ESMTP"
        )
        what = replace(what, recipients=recipients, envelope=envelope)
        await self.agent.deliver(what, outcomes.append)
        (outcome,) = outcomes
        if outcome.reroute is None:
            reason = outcome.reason.replace(str(self._home), "HOME")
            result.reasons[reason] = outcome.status
        else:
            result.elsewhere.append(outcome.reroute.recipient)
            if outcome.forward:
                result.reasons["forwarded"] = "2.0.0"
        if outcome.action is Action.DELAYED and outcome.reroute is None:
            return
        for forward in outcome.forward:
            head = forward.head + content
            for address in forward.recipients:
                if address.lower().endswith("@here.test"):
                    first = forward.original or address
                    await self._one(address, first, forward.sender, head, result)
                else:
                    result.elsewhere.append(address)


class OracleTests(TestCase):
    timeout = 600

    def setUp(self) -> None:
        require("postfix")
        require_root("starts Postfix")
        self.postfix = LocalPostfix()
        self.addCleanup(self.postfix.close)
        self.postfix.configure(_SETTINGS)
        self.postfix.run("start")
        self.home = Path(tempfile.mkdtemp(prefix="txmta-local-"))
        self.home.chmod(0o755)
        self.addCleanup(shutil.rmtree, self.home)

    async def test_cases(self) -> None:
        """
        The same octets in the same places, the same addresses elsewhere, the
        same codes and words.
        """
        different: list[str] = []
        for settings, cases in VARIANTS:
            settings = {**_SETTINGS, **settings}
            self.postfix.configure(settings)
            self.postfix.run("reload")
            time.sleep(1)
            for case in cases:
                theirs = self.postfix.deliver(case)
                ours = Ours(self.home, settings)
                self.addCleanup(ours.agent.stop)
                result = await ours.deliver(case)
                different += compare(case, result, theirs)
        self.assertEqual(different, [], "\n".join(different))


def compare(case: Case, ours: Result, theirs: Result) -> list[str]:
    """
    @return: what differs.
    """
    what = f"{case.recipient} {case.files}"[:300]
    different = []
    for name in sorted({*ours.files, *theirs.files}):
        a, b = ours.files.get(name, []), theirs.files.get(name, [])
        if sorted(a) != sorted(b):
            different.append(f"{what}: {name}:\n{a}\nfor\n{b}")
    if sorted(ours.elsewhere) != sorted(theirs.elsewhere):
        different.append(f"{what}: elsewhere {ours.elsewhere} for {theirs.elsewhere}")
    if (
        not theirs.reasons and not theirs.elsewhere
    ):  # an empty list: we say what becomes of the mail
        theirs.reasons["discarded"] = "2.0.0"
    worst = max(theirs.reasons, default="", key=lambda reason: theirs.reasons[reason])
    if any(text in worst for text in PATIENT):
        return different
    # One recipient has one outcome here, the worst of those that Postfix has.
    if max(ours.codes, default="") != max(theirs.codes, default=""):
        different.append(f"{what}: {ours.codes} for {theirs.codes}: {ours.reasons}")
    said = "\n".join(ours.reasons)
    expected = theirs.reasons if theirs.codes == {"2.0.0"} else [worst]
    for reason in expected:
        if reason not in said:
            different.append(f"{what}: lacks {reason}: {said}")
    return different
