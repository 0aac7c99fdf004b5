"""
Strings made to break things, as addresses that commands get to see.

What runs is a program that writes down its arguments. The data are not part
of the project; see L{tests.support.cases}.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.delivery.doubles import Content, acting, request
from tests.interop.recorder import GID, UID, Recorder, real_context
from tests.support import SLICE, cases
from txmta.delivery.command import Command, Commands, encode, shell_command
from txmta.delivery.filesystem import MailboxError
from txmta.delivery.message import Message
from txmta.delivery.pipe import Account, PipeAgent
from txmta.delivery.rights import Identity
from txmta.model import Outcome

#: What some of the strings would make.
CANARY = Path("/tmp/blns.fail")

CONTENT = b"Subject: x\r\n\r\nbody\r\n"

#: Strings of our own: what ends options, words, commands, variables, lines.
MORE = (
    "-rf",
    "--help",
    "-",
    "a b",
    "a\tb\nc\r\nd",
    "$(touch /tmp/blns.fail)",
    "`touch /tmp/blns.fail`",
    "; touch /tmp/blns.fail;",
    "| touch /tmp/blns.fail",
    "&& touch /tmp/blns.fail #",
    '"; touch /tmp/blns.fail; "',
    "'; touch /tmp/blns.fail; '",
    "() { :;}; touch /tmp/blns.fail",
    "${IFS}$IFS$9*?[a]~!%n%s\\",
    "${recipient} $sender $$ $(size) ${x",
    "{ a b }",
    "\udcff\udc80",
    "x" * 60_000,
)


def seeds() -> list[str]:
    text = (cases("fuzz-seeds") / "blns.json").read_text("utf-8")
    found = [seed for seed in json.loads(text) if seed]
    assert len(found) > 400
    if SLICE:
        found = found[::10]
    return [*MORE, *found]


class SeedTests(TestCase):
    timeout = 300

    def setUp(self) -> None:
        self.seeds = seeds()
        self.recorder = Recorder()
        self.addCleanup(self.recorder.close)
        if CANARY.exists():
            CANARY.unlink()
        self.before = self.files()

    def files(self) -> set[str]:
        """
        @return: what is where the commands are run.
        """
        return {str(p) for p in self.recorder.folder.rglob("*")}

    def check_nothing_else_ran(self, seed: str) -> None:
        self.assertFalse(CANARY.exists(), repr(seed))
        self.assertEqual(self.files(), self.before, repr(seed))

    async def test_pipe(self) -> None:
        """
        Through pipe(8): each argument is octet for octet what stands in the
        address, and only the configured program has run.
        """
        words = (
            f"user=x directory={self.recorder.folder}/out argv={self.recorder.path}",
            "$sender -$recipient u=$user $extension m=$mailbox,$original_recipient end",
        )
        context = real_context(
            "mine", tuple(" ".join(words).split()), {"recipient_delimiter": "+"}
        )
        agent = PipeAgent(
            acting(context, lambda: Identity(UID, frozenset((GID,)))),
            accounts=lambda user, group: Account(UID, GID),
        )
        for seed in self.seeds:
            local = f"user+{seed}"
            address, sender = f"{local}@x.test", f"{seed}@y.test"
            outcomes: list[Outcome] = []
            await agent.deliver(
                request(address, sender=sender, content=CONTENT), outcomes.append
            )
            record = self.recorder.take()
            self.check_nothing_else_ran(seed)
            if "\0" in seed:
                self.assertEqual(outcomes[0].status, "5.1.3")
                self.assertIsNone(record)
                continue
            self.assertEqual(outcomes[0].status, "2.0.0", repr(seed))
            assert record is not None
            expected = (
                *(sender, f"-{address}", "u=user", seed),
                *(f"m={local},{address}", "end"),
            )
            self.assertEqual(record.argv, list(map(encode, expected)), repr(seed))
            self.assertEqual(record.input, CONTENT.replace(b"\r\n", b"\n"))

    async def test_environment(self) -> None:
        """
        In the environment of a user's command, with a shell and without one:
        octet for octet, and a shell that expands it runs nothing of it.
        """
        commands = Commands(real_context())
        path = self.recorder.path
        plain = f"{path} a b"
        quoted = f'exec {path} "$SENDER" "$LOCAL"'
        for seed in self.seeds:
            octets = encode(seed)
            for text, argv in ((plain, [b"a", b"b"]), (quoted, [octets, octets])):
                command = Command(
                    shell_command(text, ""),
                    text,
                    ((b"SENDER", octets), (b"LOCAL", octets), (b"EXTENSION", octets)),
                    directory=f"{self.recorder.folder}/out",
                    uid=UID,
                    gid=GID,
                    builtin=True,
                )
                message = Message(Content(CONTENT), b"")
                if "\0" in seed:
                    d = commands.run(command, b"", message)
                    try:
                        await d
                    except MailboxError as e:
                        self.assertEqual(e.status, "5.1.3")
                    self.assertIsNone(self.recorder.take())
                    continue
                await commands.run(command, b"", message)
                record = self.recorder.take()
                self.check_nothing_else_ran(seed)
                assert record is not None
                self.assertEqual(record.argv, argv, repr(seed))
                for name in ("SENDER", "LOCAL", "EXTENSION"):
                    found = record.environ[name].encode("latin-1")
                    self.assertEqual(found, octets)
                extra = set(record.environ) - {"SENDER", "LOCAL", "EXTENSION"}
                shells_own = {"PWD", "OLDPWD", "SHLVL", "_"}
                known = {"PATH", "LANG", "TZ", "MAIL_CONFIG"}
                self.assertLessEqual(extra, known | shells_own)

    def test_no_shell_by_accident(self) -> None:
        """
        A command is given to a shell, as one argument, or split at spaces;
        whatever it is, nothing is added or lost.
        """
        for seed in self.seeds:
            if not seed.strip(" \t"):
                continue
            argv = shell_command(seed, "")
            if argv[0] == b"/bin/sh" and len(argv) == 3:
                self.assertEqual(argv, (b"/bin/sh", b"-c", encode(seed)))
            else:
                self.assertEqual(b" ".join(argv), b" ".join(encode(seed).split()))
            shelled = shell_command(seed, "/x/sh -c")
            self.assertEqual(shelled, (b"/x/sh", b"-c", encode(seed)))

    def test_canary(self) -> None:
        """
        The canary would sing: one of the strings, run by a shell, makes it.
        """
        os.system("/bin/sh -c '$(touch /tmp/blns.fail)'")
        self.assertTrue(CANARY.exists())
        CANARY.unlink()
