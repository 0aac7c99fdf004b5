"""
Debian's C{postconf} as oracle for main.cf, macros and mynetworks.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import rmtree

from twisted.trial.unittest import SynchronousTestCase

from tests.config.test_expansion import BAD, GOOD
from tests.support import PATH, require
from txmta.config.main_cf import parse_main_cf
from txmta.config.settings import Settings
from txmta.config.system import this_machine
from txmta.errors import ConfigError

#: Combinations of who we are and whom we trust.
NETWORKS = (
    "mynetworks_style = host\n",
    "mynetworks_style = subnet\n",
    "mynetworks_style = class\n",
    "compatibility_level = 1\n",
    "compatibility_level = 2\n",
    "mynetworks_style = subnet\ninet_interfaces = loopback-only\n",
    "mynetworks_style = subnet\ninet_interfaces = 127.0.0.1\n",
    "mynetworks_style = subnet\ninet_interfaces = localhost\n",
    "mynetworks_style = subnet\ninet_protocols = ipv4\n",
    "mynetworks_style = host\ninet_protocols = ipv6\n",
    "inet_interfaces =\n",
    "mynetworks = 127.0.0.0/8 [::1]/128\n",
    "mydomain = example.com\n",
    "myhostname = mail.example.com\n",
    "myhostname = mail\n",
)

#: Files whose syntax is the point.
SYNTAX = (
    "relayhost = 1\n   2\n\n# c\n  # d\n\t3  \nmydomain= x.y\n",
    "relayhost\n = x\n",
    "relayhost =  \n  b\n",
    "relayhost = x = y\n",
    "relayhost = x # y\n",
    "relayhost = x\r\nmydomain = a.b\r\n",
    "relayhost = x\n#\n\n   \n y",
    "relayhost = a\\\n  b\n",
    "relayhost = a\nrelayhost = b\n",
    "  relayhost = a\nmydomain = b.c\n",
    "relayhost x\n",
    "= x\n",
    "relay host = x\n",
)


class Postconf(SynchronousTestCase):
    """
    C{postconf -x} takes seconds where a name service is slow, and errors end
    with a second's sleep: several run at a time.
    """

    def setUp(self) -> None:
        require("postconf")
        self.directory = Path(tempfile.mkdtemp(prefix="tx"))
        self.addCleanup(rmtree, self.directory)

    def postconf(
        self, texts: Sequence[str], *arguments: str
    ) -> list[dict[str, str] | None]:
        """
        @return: for each main.cf, values by name, white space folded; L{None}
            if it is refused.
        """
        with ThreadPoolExecutor(20) as pool:
            return list(pool.map(lambda text: self._one(text, arguments), texts))

    def _one(self, text: str, arguments: Sequence[str]) -> dict[str, str] | None:
        directory = tempfile.mkdtemp(dir=self.directory)
        Path(directory, "master.cf").write_text("")
        Path(directory, "main.cf").write_bytes(text.encode("utf-8"))
        done = subprocess.run(
            ["postconf", "-c", directory, *arguments],
            capture_output=True,
            text=True,
            env={**os.environ, "PATH": PATH},
        )
        if done.returncode:
            return None
        rows = (line.partition("=") for line in done.stdout.splitlines())
        return {name.strip(): " ".join(value.split()) for name, _, value in rows}


class ExpansionTests(Postconf):
    def test_good(self) -> None:
        """
        What we expand, Postfix expands to the same.
        """
        names = {f"t{n}": text for n, text in enumerate(GOOD)}
        rows = [f"{name} = |{text}|\n" for name, text in names.items()]
        use = f"relayhost = {' '.join(f'${name}' for name in names)}\n"
        text = "".join((use, "a = A\nb = B\n", *rows))
        (found,) = self.postconf([text], "-x", "relayhost")
        assert found is not None
        ours = Settings(parse_main_cf("main.cf", text).definitions).text("relayhost")
        self.assertEqual(" ".join(ours.split()), found["relayhost"])

    def test_bad(self) -> None:
        """
        What we refuse, Postfix refuses.
        """
        texts = [f"relayhost = |{text}|\na = A\nb = B\n" for text in BAD]
        circle = "relayhost = $relayhost\n"
        good = "relayhost = x\n"
        found = self.postconf([*texts, circle, good], "-x", "relayhost")
        self.assertEqual(found[-1], {"relayhost": "x"})
        for text, answer in zip((*texts, circle), found[:-1], strict=True):
            self.assertIsNone(answer, text)


class SyntaxTests(Postconf):
    def test_syntax(self) -> None:
        """
        The same values, or an error on both sides.
        """
        for text, theirs in zip(SYNTAX, self.postconf(SYNTAX, "-n"), strict=True):
            if theirs is None:
                self.assertRaises(ConfigError, parse_main_cf, "main.cf", text)
                continue
            theirs.pop("config_directory", None)
            ours = {
                name: " ".join(definition.text.split())
                for name, definition in parse_main_cf("m", text).definitions.items()
            }
            self.assertEqual(ours, theirs, text)


class NetworkTests(Postconf):
    def test_networks(self) -> None:
        """
        mynetworks and names of this machine, letter for letter.
        """
        names = ("mynetworks", "myhostname", "mydomain", "mydestination", "myorigin")
        found = self.postconf(NETWORKS, "-x", *names)
        for text, theirs in zip(NETWORKS, found, strict=True):
            if "compatibility_level" not in text and "style" not in text:
                level = "compatibility_level = 0\n"  # theirs, if it is missing
            else:
                level = ""
            main_cf = parse_main_cf("main.cf", level + text)
            settings = Settings(main_cf.definitions, this_machine())
            ours = {name: settings.text(name) for name in names}
            self.assertEqual(ours, theirs, text)
