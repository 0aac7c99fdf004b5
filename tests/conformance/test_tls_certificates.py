"""
Certificates of the swaks project: ours and Debian's posttls-finger say the same of
each server, at each level.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet import reactor as _reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.support import PATH, cases, require
from tests.tls_server import TlsServer
from txmta.finger import Finger, read_options, read_settings

reactor: Any = _reactor

#: What follows "-l" and the names, for each server.
QUESTIONS = (
    ("may", ()),
    ("encrypt", ()),
    ("verify", ("hostname",)),
    ("secure", ("{name}",)),
    ("secure", ("other.example.com", ".example.com")),
    ("fingerprint", ("{print}",)),
    ("fingerprint", ("AA:BB",)),
)

_WORD = re.compile(r"(Anonymous|Untrusted|Trusted|Verified) TLS connection")


class TruthTableTests(TestCase):
    timeout = 120

    def setUp(self) -> None:
        require("posttls-finger")
        self.folder = cases("tls-certs-swaks")
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        (Path(home.name) / "main.cf").write_text(
            "compatibility_level = 3.6\nmyhostname = me.test\n"
        )
        self.environment = {"MAIL_CONFIG": home.name, "PATH": PATH}

    def debian(self, arguments: list[str]) -> str:
        done = subprocess.run(
            ["posttls-finger", *arguments],
            capture_output=True,
            text=True,
            timeout=20,
            env={**os.environ, **self.environment},
        )
        return done.stderr + done.stdout

    async def ours(self, arguments: list[str]) -> str:
        said = StringIO()
        with redirect_stderr(said), mock.patch.dict(os.environ, self.environment):
            wish = read_options(arguments)
            await Finger(wish, read_settings(wish), reactor).run()
        return said.getvalue()

    def verdict(self, output: str) -> list[str]:
        """
        @return: what the server is worth, and by which name.
        """
        lines = [line.partition(": ")[2] for line in output.splitlines()]
        names = [line for line in lines if "matched peername" in line]
        return [*_WORD.findall(output), *names]

    async def test_same(self) -> None:
        servers = [
            (path, path.with_suffix(".key"))
            for path in sorted(self.folder.glob("*.crt"))
            if path.with_suffix(".key").exists()
        ]
        key = self.folder / "signed-intermediate.example.com.key"
        servers += [
            (path, key) for path in sorted(self.folder.glob("signed-inter*-chain.pem"))
        ]
        asked = 0
        different = []
        for certificate, key in servers:
            server = TlsServer(str(certificate), str(key))
            where = f"[127.0.0.1]:{server.port}"
            first = await deferToThread(self.debian, ["-c", "-l", "may", where])
            found = re.search(r" fingerprint=([0-9A-F:]+)", first)
            assert found is not None, first
            values = {"name": certificate.stem, "print": found[1]}
            for level, names in QUESTIONS:
                authorities = ["ca.pem"]
                if level in ("may", "secure") and names != QUESTIONS[4][1]:
                    authorities += ["ca-other.pem", ""]
                for authority in authorities:
                    arguments = ["-c", "-l", level]
                    if authority:
                        arguments += ["-F", str(self.folder / authority)]
                    arguments += [where, *(n.format(**values) for n in names)]
                    theirs = self.verdict(await deferToThread(self.debian, arguments))
                    mine = self.verdict(await self.ours(arguments))
                    asked += 1
                    self.assertEqual(len(_WORD.findall(" ".join(theirs)) or [1]), 1)
                    if mine != theirs:
                        different.append((certificate.name, arguments, theirs, mine))
            server.close()
        self.assertEqual(different[:1], [], f"and {len(different)} in all")
        self.assertEqual(different, [])
        self.assertGreater(asked, 100)
