"""
Tests of the import of a Sendmail configuration: the command, what it writes.
"""

from __future__ import annotations

import io
import json
import os
import random
import tempfile
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from txmta.admin.import_sendmail import main, take
from txmta.admin.import_sendmail_plan import Line, Plan, Result, Source
from txmta.admin.import_sendmail_report import as_json, as_table
from txmta.config.check import check
from txmta.config.main_cf import read_main_cf
from txmta.config.settings import Settings
from txmta.errors import ConfigError
from txmta.report.gather import gather

#: A bit of everything.
EXAMPLE = {
    "sendmail.mc": """\
include(`/usr/share/sendmail-cf/m4/cf.m4')dnl
define(`SMART_HOST', `smtp:[relay.example.net]')dnl
define(`confDOMAIN_NAME', `mail.example.com')dnl
FEATURE(`access_db')dnl
FEATURE(`virtusertable')dnl
FEATURE(`mailertable')dnl
FEATURE(`blacklist_recipients')dnl
FEATURE(`masquerade_envelope')dnl
MASQUERADE_AS(`example.com')dnl
EXPOSED_USER(`root')dnl
""",
    "local-host-names": "example.com\nmail.sub.example.net\n",
    "relay-domains": "partner.example\n192.168.7\n",
    "virtuser-domains": "virt.example\n",
    "generics-domains": "old.example\n",
    "trusted-users": "root\n",
    "access": "Connect:10.2\tRELAY\nspammer.example\tREJECT\n",
    "mailertable": "inside.example\tsmtp:[10.0.0.5]\n.example.net\trelay:hub.example\n",
    "virtusertable": "info@virt.example\tjoe\n@virt.example\t%1@other.example\n",
    "genericstable": "joe\tJoe.User@example.com\n",
    "domaintable": "oldname.example\texample.com\n",
    "aliases": "postmaster: root\nlist: a, b,\n  c@example.net\n",
}


def imported(files: Mapping[str, str | bytes]) -> tuple[list[Line], Mapping[str, str]]:
    """
    @return: the report, and the text of each file that is to be written.
    """
    plan = Plan()
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder), files)
        texts = take(plan, folder)
    return plan.lines, texts


def fill(folder: Path, files: Mapping[str, str | bytes]) -> None:
    for name, text in files.items():
        octets = text if isinstance(text, bytes) else text.encode()
        (folder / name).write_bytes(octets)


def entries(text: str) -> list[str]:
    """
    @return: lines of a table, with one blank between key and value.
    """
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return [" ".join(line.split()) for line in lines]


def lost(lines: list[Line]) -> dict[str, str]:
    """
    @return: why a line was not carried over, by its text.
    """
    return {x.source.text: x.note for x in lines if x.result is Result.LOST}


class LoadTests(SynchronousTestCase):
    def test_loads(self) -> None:
        """
        What is written is a main.cf without mistakes: if the start is refused,
        then only for what is not there yet.
        """
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for file, text in imported(EXAMPLE)[1].items():
                (folder / file).write_text(text)
            main_cf = read_main_cf(str(folder / "main.cf"))
            settings = Settings(main_cf.definitions)
            report = check(main_cf, settings, [])
        self.assertEqual(set(report.problems) - set(report.not_yet), set())
        unknown = [w for w in report.warnings if "unknown" in w or "unused" in w]
        self.assertEqual(unknown, [])
        self.assertEqual(settings.myhostname, "mail.example.com")
        self.assertIn("example.com", settings.mydestination)
        self.assertIn("10.2.0.0/16", settings.mynetworks)

    def test_starts(self) -> None:
        """
        With tables of routes and addresses alone the server would start.
        """
        files = {n: t for n, t in EXAMPLE.items() if n not in ("access", "sendmail.mc")}
        files["relay-domains"] = "192.168.7\n"
        with tempfile.TemporaryDirectory() as name:
            for file, text in imported(files)[1].items():
                Path(name, file).write_text(text)
            report = gather(f"{name}/main.cf")
        self.assertEqual([i for i in report.items if i.stops], [])
        self.assertEqual(report.problems, [])

    def test_every_line(self) -> None:
        """
        Each line that says something is in the report, once or more, and all
        of the example is carried over.
        """
        lines, _ = imported(EXAMPLE)
        told = {(line.source.file, line.source.line) for line in lines}
        for file, text in EXAMPLE.items():
            for number, line in enumerate(text.splitlines(), 1):
                if not line.startswith(" "):
                    self.assertIn((file, number), told)
        self.assertEqual(lost(lines), {})


class CommandTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.mail = self.root / "mail"
        self.mail.mkdir()
        self.output = self.root / "new" / "txmta"

    def run_it(self, *arguments: str) -> tuple[int, str, str]:
        out = io.TextIOWrapper(io.BytesIO())
        err = io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            try:
                status = main([*arguments, str(self.mail)])
            except SystemExit as e:
                assert isinstance(e.code, int)
                status = e.code
            out.flush()
        octets = out.buffer
        assert isinstance(octets, io.BytesIO)
        return status, octets.getvalue().decode(), err.getvalue()

    def test_only_tells(self) -> None:
        """
        Without --output nothing is written.
        """
        fill(self.mail, EXAMPLE)
        status, out, _ = self.run_it()
        self.assertEqual(status, 0)
        self.assertIn("Nothing was written", out)
        self.assertIn("mailertable:1", out)
        self.assertTrue(
            out.endswith(imported(EXAMPLE)[1]["main.cf"].partition("\n")[2])
        )
        self.assertEqual([p.name for p in self.root.iterdir()], ["mail"])

    def test_writes(self) -> None:
        fill(self.mail, EXAMPLE)
        status, _, _ = self.run_it("--output", str(self.output))
        self.assertEqual(status, 0)
        names = {path.name for path in self.output.iterdir()}
        self.assertEqual(names, set(imported(EXAMPLE)[1]))

    def test_overwrites_nothing(self) -> None:
        """
        If one of the files exists, were it a dangling link, nothing is written.
        """
        fill(self.mail, EXAMPLE)
        self.output.mkdir(parents=True)
        for make in (
            lambda path: path.write_text("mine"),
            lambda path: path.symlink_to(self.root / "elsewhere"),
        ):
            there = self.output / "virtual"
            make(there)
            self.assertEqual(self.run_it("--output", str(self.output))[0], 1)
            self.assertEqual([p.name for p in self.output.iterdir()], ["virtual"])
            self.assertFalse((self.root / "elsewhere").exists())
            there.unlink()

    def test_json(self) -> None:
        """
        The same report for programs; status 2 says that something was lost.
        """
        fill(self.mail, {"mailertable": "a.example\tuucp:b\n"})
        status, out, _ = self.run_it("--json")
        self.assertEqual(status, 2)
        report = json.loads(out)
        self.assertEqual(report["count"]["not carried over"], 1)
        (line,) = report["lines"]
        self.assertEqual((line["file"], line["line"]), ("mailertable", 1))
        self.assertEqual(line["text"], "a.example uucp:b")
        self.assertIn("uucp", line["note"])
        self.assertEqual(list(report["files"]), ["main.cf"])
        self.assertIn("mydestination = $myhostname", report["files"]["main.cf"])

    def test_misused(self) -> None:
        status, _, err = self.run_it("--no-such-option")
        self.assertEqual(status, 64)
        self.assertIn("--no-such-option", err)

    def test_no_configuration(self) -> None:
        (self.mail / "notes").write_text("x")
        self.assertEqual(self.run_it()[0], 1)


class BadInputTests(SynchronousTestCase):
    def test_encoding(self) -> None:
        """
        A line that is not UTF-8, or has control characters, is named with the
        octet; others of the file are carried over.
        """
        lines, texts = imported(
            {"access": b"caf\xe9.example\tREJECT\nx\0.example\tOK\ny.example\tOK\n"}
        )
        self.assertEqual(
            [(x.source.line, x.note) for x in lines if x.result is Result.LOST],
            [
                (1, "octet 0xe9 at column 4 is not UTF-8"),
                (2, "it has control characters"),
            ],
        )
        self.assertEqual(entries(texts["client_access"]), ["y.example OK"])

    def test_long_line(self) -> None:
        lines, _ = imported({"virtusertable": f"a@b.example\t{'x' * 70_000}\n"})
        self.assertIn("longer than", lines[0].note)
        self.assertLess(len(lines[0].source.text), 300)

    def test_malformed(self) -> None:
        """
        What makemap refuses is lost, and said.
        """
        lines, _ = imported({"access": " a.example\tOK\nnovalue\n"})
        self.assertEqual(
            [x.note.partition(",")[0] for x in lines],
            ["it begins with white space", "it has no value"],
        )

    def test_no_file(self) -> None:
        """
        A FIFO or a directory in place of a file is named, and waits for nobody.
        """
        plan = Plan()
        with tempfile.TemporaryDirectory() as name:
            os.mkfifo(f"{name}/access")
            os.mkdir(f"{name}/mailertable")
            os.symlink("nowhere", f"{name}/aliases")
            take(plan, name)
        told = {x.source.file: x.note for x in plan.lines}
        self.assertEqual(told["access"], "it is no regular file")
        self.assertEqual(told["mailertable"], "it is no regular file")
        self.assertIn("No such file", told["aliases"])
        self.assertEqual({x.result for x in plan.lines}, {Result.UNREAD})

    def test_database_only(self) -> None:
        """
        A database without its text is named, with the remedy.
        """
        lines, _ = imported({"access.db": b"\0", "aliases": "a: b\n"})
        notes = {x.source.file: x.note for x in lines if x.result is Result.UNREAD}
        self.assertIn("makemap -u", notes["access.db"])

    def test_password(self) -> None:
        """
        Passwords are neither told nor written.
        """
        lines, texts = imported(
            {"access": 'AuthInfo:host.example\t"U:me" "P=sesame"\n', "authinfo": "x y"}
        )
        self.assertNotIn("sesame", repr(lines) + repr(texts))
        self.assertEqual(len(lines), 2)

    def test_no_way_out_of_a_line(self) -> None:
        """
        Nothing in a value of sendmail.mc becomes another line of main.cf, nor
        is $name in it expanded.
        """
        hostile = "define(`SMART_HOST', `a.example\nmynetworks = 0.0.0.0/0')\n"
        hostile += "define(`confDOUBLE_BOUNCE_ADDRESS', `$mydomain')\n"
        hostile += "define(`LUSER_RELAY', `local:a$mydomain')\n"
        hostile += "define(`LUSER_RELAY', `local:a\nmynetworks = ::/0')\n"
        lines, texts = imported({"sendmail.mc": hostile})
        self.assertNotIn("0.0.0.0/0", texts["main.cf"])
        self.assertNotIn("::/0", texts["main.cf"])
        self.assertNotIn("a$mydomain", texts["main.cf"])
        self.assertEqual(len(lost(lines)), 4)
        plan = Plan()
        source = Source("sendmail.mc", 1, "")
        plan.set(source, "x", "a$b")
        plan.set(source, "y", "a\nb")
        self.assertEqual(plan.values, {"x": "a$$b"})

    def test_anything(self) -> None:
        """
        Whatever the files have, there is a report, and a main.cf of names and
        values.
        """
        words = "@ %1 +* ++ : . [ ] error: smtp: local: RELAY Connect: IPv6: 10 ::"
        words += " 1.2.3.4 a.test b # \" \\ ` ' ( ) , define(` FEATURE(` SMART_HOST"
        words += " MASQUERADE_AS(` LOCAL_CONFIG\n Cw 550 $j $ { } \xe9 \0 | <@> \t \n"
        pieces = [*words.split(" "), " ", "\n"]
        chance = random.Random(5)
        for _ in range(150):
            files = {
                name: "".join(chance.choices(pieces, k=40)).encode("latin-1")
                for name in EXAMPLE
            }
            lines, texts = imported(files)
            "".join([*as_table(lines, None, texts), *as_json(lines, None, texts)])
            for line in texts["main.cf"].splitlines():
                self.assertRegex(line, r"^(#.*|    .*||\w+ =( .*)?)$")

    def test_terminal(self) -> None:
        """
        Nothing that is told gives a terminal orders.
        """
        lines, texts = imported(
            {
                "sendmail.mc": "define(`SMART_HOST', `\x1b]0;x\x07\u202e')\n",
                "access": "a\x1bb.test\tOK\n",
                "\x1b[2J": "",
            }
        )
        told = "".join(as_table(lines, None, texts)).replace("\n", "")
        self.assertEqual(len(lines), 3)
        self.assertTrue(told.isprintable(), ascii(told))

    def test_many_words(self) -> None:
        """
        A long list is a file of its own, without what depends on others.
        """
        names = "".join(f"d{n}.example\n" for n in range(60))
        _, texts = imported({"local-host-names": names})
        self.assertEqual(len(entries(texts["mydestination"])), 61)
        self.assertIn("$config_directory/mydestination", texts["main.cf"])
        self.assertNotIn("$", texts["mydestination"])


class AliasTests(SynchronousTestCase):
    def test_aliases(self) -> None:
        """
        Aliases are the same but for wildcards; names that need quotes have them.
        """
        lines, texts = imported(
            {
                "aliases": '# x\nPostmaster: root\n"a b": joe\nlist: a,\n'
                '\t"|/bin/x y"\n'
                "up+*: joe\nbad\nshort: |vacation\npostmaster: other\n"
            }
        )
        self.assertEqual(
            entries(texts["aliases"]),
            [
                "postmaster: root",
                '"a b": joe',
                'list: a, "|/bin/x y"',
                "short: |vacation",
            ],
        )
        self.assertEqual(sorted(lost(lines)), ["bad", "postmaster: other", "up+*: joe"])
        notes = [x.note for x in lines if x.result is Result.CHANGED]
        self.assertEqual(len(notes), 1)
        self.assertIn("smrsh", notes[0])


class NothingTests(SynchronousTestCase):
    def test_unreadable(self) -> None:
        with self.assertRaises(Exception) as caught:
            take(Plan(), "/nowhere/at/all")
        self.assertNotIsInstance(caught.exception, ConfigError)
        self.assertIn("/nowhere/at/all", str(caught.exception))
