"""
Strings made to break things, as local parts, extensions and senders of local
delivery: nothing outside the user's home is looked at, nothing is run but what
is configured.

The data are not part of the project; see L{tests.support.cases}.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.conformance.test_command_seeds import CANARY, seeds
from tests.delivery.doubles import Setting, Table, acting, request
from tests.interop.recorder import GID, UID, Recorder, real_context
from txmta.delivery.local import LocalAgent
from txmta.delivery.questions import Account
from txmta.delivery.rights import Identity
from txmta.model import Action, Outcome

#: Names that lead out of a directory.
MORE = (
    "../../etc/passwd",
    "..",
    ".",
    "/etc/passwd",
    "/",
    "a/../../b",
    "\0/etc/passwd",
    "~root",
    "%2e%2e%2f",
    "..\udcc0\udcaf",
    "x" * 300,
)

USERS = Identity(UID, frozenset((GID,)))


def accounts(home: Path) -> dict[str, Account]:
    return {"user": Account("user", UID, GID, str(home), "/bin/sh")}


def spellings(seed: str) -> Iterator[str]:
    """
    @return: local parts.
    """
    yield f"user+{seed}"
    yield f"user.{seed}"
    yield seed


class PathTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.base = Path(self.mktemp()).absolute()
        self.home = self.base / "home" / "user"
        self.home.mkdir(parents=True)
        (self.home / ".forward").write_text("\\user\n")
        # What an escape would find.
        for name in ("etc", "home"):
            (self.base / name / "passwd").parent.mkdir(exist_ok=True)
            (self.base / name / "passwd").write_text("stolen@else.test\n")
        self.looked: list[str] = []
        for name in ("lstat", "stat", "open"):
            self.patch(os, name, self.watched(getattr(os, name)))

    def watched(self, real: Any) -> Any:
        def call(path: Any, *args: Any, **kwargs: Any) -> Any:
            if isinstance(path, str) and kwargs.get("dir_fd") is None:
                self.looked.append(path)
            return real(path, *args, **kwargs)

        return call

    def test_forward_and_mailboxes(self) -> None:
        """
        With paths that have $extension and $local in them, whatever the
        delimiter: every path is below the home, and exactly where the
        address says.
        """
        setting = Setting(
            {"fake:aliases": Table({})},
            recipient_delimiter="+.",
            home_mailbox="Maildir/",
            forward_path="$home/.forward${recipient_delimiter}${extension} "
            "$home/lists/$extension $home/.forward",
            luser_relay="catch+$local@else.test",
        )
        users = accounts(self.home)
        agent = LocalAgent(acting(setting.context, lambda: USERS), users.get)
        read = 0
        for seed in (*seeds(), *MORE):
            for local in spellings(seed):
                read += f"{self.home}/.forward" in self.looked
                self.looked.clear()
                outcomes: list[Outcome] = []
                what = request(f"{local}@here.test", sender=f"{seed}@else.test")
                done = agent.deliver(what, outcomes.append)
                setting.clock.advance(0)
                self.successResultOf(done)
                (outcome,) = outcomes
                self.assertIsNot(outcome.action, Action.DELAYED, repr(local))
                for forward in outcome.forward:
                    for address in forward.recipients:
                        self.assertTrue(address.endswith("@else.test"))
                        self.assertNotIn("stolen", address)
                self.check_paths(local)
        self.assertGreater(read, len(MORE))

    def check_paths(self, local: str) -> None:
        for path in self.looked:
            real = os.path.normpath(path)
            inside = real == str(self.home) or real.startswith(f"{self.home}/")
            self.assertTrue(inside, f"{local!r}: {path}")


class CommandTests(TestCase):
    timeout = 300

    def setUp(self) -> None:
        self.recorder = Recorder()
        self.addCleanup(self.recorder.close)
        if CANARY.exists():
            CANARY.unlink()

    async def test_run(self) -> None:
        """
        Through aliases, .forward and mailbox_command, with a shell that
        expands what it is told: only the configured program runs, and it is
        told nothing that is not allowed.
        """
        path = self.recorder.path
        home = self.recorder.folder / "home"
        home.mkdir()
        out = f"{self.recorder.folder}/out"
        script = f'exec {path} "$SENDER" $EXTENSION "$LOCAL"'
        aliases = {"list": f'"|{path} a b"', "shell": f'"|{_escaped(script)}"'}
        context = real_context(
            "local",
            (),
            {
                "alias_maps": "fake:aliases",
                "recipient_delimiter": "+",
                "mailbox_command": script,
                "default_privs": "user",
                "command_execution_directory": out,
                "forward_path": "$home/.forward",
            },
            {"fake:aliases": Table(aliases)},
        )
        agent = LocalAgent(acting(context, lambda: USERS), accounts(home).get)
        self.addCleanup(agent.stop)
        allowed = set(context.settings.command_expansion_filter.encode() + b"_")
        for seed in (*seeds()[::3], *MORE):
            if seed == "x" * 60_000:
                continue
            for user in ("list", "shell", "user"):
                outcomes: list[Outcome] = []
                what = request(f"{user}+{seed}@here.test", sender=f"{seed}@else.test")
                await agent.deliver(what, outcomes.append)
                self.assertEqual(outcomes[0].status, "2.0.0", outcomes)
                self.assertFalse(CANARY.exists(), repr(seed))
                record = self.recorder.take()
                assert record is not None, repr(seed)
                self.check(user, record.argv, allowed)

    def check(self, user: str, argv: list[bytes], allowed: set[int]) -> None:
        if user == "list":
            self.assertEqual(argv, [b"a", b"b"])
            return
        for argument in argv:
            self.assertLessEqual(set(argument), allowed)
        # No blank survives, so that even without quotes it is one word.
        self.assertLessEqual(len(argv), 3)


def _escaped(script: str) -> str:
    return script.replace("\\", "\\\\").replace('"', '\\"')
