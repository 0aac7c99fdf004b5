"""
What an import of a Sendmail configuration writes, read by Debian's Postfix.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.admin.test_import_sendmail import EXAMPLE, fill
from tests.support import PATH, require
from txmta.admin.import_sendmail import take, write
from txmta.admin.import_sendmail_plan import Plan
from txmta.config.main_cf import read_main_cf

FILES = {
    **EXAMPLE,
    "access": EXAMPLE["access"] + "10\tREJECT\nFrom:x@spammer.example\tOK\n"
    "To:closed@example.com\tERROR:5.7.1:550 Closed\nConnect:IPv6:2001:db8\tREJECT\n"
    "FREE@\t550 No\nFrom:<@>\tDISCARD\n",
    "mailertable": EXAMPLE["mailertable"] + "err.example\terror:nohost None\n",
    "virtusertable": EXAMPLE["virtusertable"] + "old+*@virt.example\t%1-%2@o.example\n"
    "gone@virt.example\terror:nouser 550 No such user\n",
    "local-host-names": EXAMPLE["local-host-names"] + "in.example.net\n",
    "aliases": EXAMPLE["aliases"] + '"a b": joe\nrun: "|/bin/true x"\n',
}

#: What is asked of each table, and what Postfix has to say.
ANSWERS: Mapping[str, Mapping[str, str]] = {
    "hash:transport": {
        "inside.example": "smtp:[10.0.0.5]",
        ".example.net": "relay:hub.example",
        "in.example.net": ":",
        "mail.sub.example.net": ":",
        "err.example": "error:5.1.2 None",
        "example.net": "",
    },
    "hash:virtual": {"info@virt.example": "joe", "@virt.example": ""},
    "regexp:virtual_regexp": {
        "ann@virt.example": "ann@other.example",
        "Ann+x@VIRT.example": "Ann@other.example",
        "old+tag@virt.example": "old-tag@o.example",
        "old@virt.example": "old@other.example",
        "info@virt.example": "",
        "info+x@virt.example": "",
        "x@sub.virt.example": "",
        "virt.example": "",
    },
    "hash:recipient_access": {
        "closed@example.com": "550 5.7.1 Closed",
        "gone@virt.example": "550 5.1.1 No such user",
        "spammer.example": "REJECT",
    },
    "hash:sender_access": {
        "x@spammer.example": "OK",
        "spammer.example": "REJECT",
        "free@": "550 5.7.1 No",
        "<>": "DISCARD",
    },
    "hash:client_access": {"spammer.example": "REJECT"},
    "cidr:client_access.cidr": {
        "10.2.3.4": "OK",
        "10.3.3.4": "REJECT",
        "2001:db8::1": "REJECT",
        "192.168.7.1": "",
    },
    "hash:relay_clients": {"partner.example": "OK"},
    "hash:canonical": {"@oldname.example": "@example.com"},
    "hash:sender_canonical": {
        "joe": "Joe.User@example.com",
        "joe@old.example": "Joe.User@example.com",
        "root@mail.sub.example.net": "root@mail.sub.example.net",
        "@mail.sub.example.net": "@example.com",
    },
    "hash:aliases": {
        "postmaster": "root",
        "list": "a, b, c@example.net",
        "a b": "joe",
        "run": '"|/bin/true x"',
    },
}


class ImportTests(SynchronousTestCase):
    def setUp(self) -> None:
        require("postconf", "postmap", "postalias")
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        mail = Path(folder.name, "mail")
        mail.mkdir()
        fill(mail, FILES)
        self.output = Path(folder.name, "output")
        self.written = take(Plan(), str(mail))
        write(str(self.output), self.written)
        (self.output / "master.cf").write_text("")

    def postfix(self, *command: str, given: str = "") -> str:
        """
        @return: what a command of Postfix says; it must not complain.
        """
        done = subprocess.run(
            [command[0], "-c", str(self.output), *command[1:]],
            input=given,
            capture_output=True,
            text=True,
            timeout=20,
            cwd=self.output,
            env={**os.environ, "PATH": PATH},
        )
        self.assertEqual(done.stderr, "", command)
        return done.stdout

    def test_postconf(self) -> None:
        """
        Postfix reads the same main.cf, and knows each name in it.
        """
        said = self.postfix("postconf", "-n")
        found = dict(line.split(" =", 1) for line in said.splitlines())
        own = read_main_cf(str(self.output / "main.cf")).definitions
        self.assertEqual(set(found) - {"config_directory"}, set(own))
        for name, definition in own.items():
            self.assertEqual(found[name].split(), definition.text.split(), name)

    def test_tables(self) -> None:
        """
        Postfix compiles each table without a warning, and finds in it what
        Sendmail would.
        """
        asked = set()
        for table, answers in ANSWERS.items():
            kind, _, name = table.partition(":")
            asked.add(name)
            if kind == "hash":
                tool = "postalias" if name == "aliases" else "postmap"
                self.postfix(tool, table)
            keys = "".join(f"{key}\n" for key in answers)
            lines = self.postfix("postmap", "-q", "-", table, given=keys)
            found = dict(line.split("\t", 1) for line in lines.splitlines())
            wanted = {key: value for key, value in answers.items() if value}
            if kind == "regexp":
                # postmap -q - writes the key as it was asked.
                self.assertEqual(found, wanted, table)
            else:
                folded = {key.lower(): value for key, value in found.items()}
                self.assertEqual(folded, wanted, table)
        self.assertEqual(asked, set(self.written) - {"main.cf"})
