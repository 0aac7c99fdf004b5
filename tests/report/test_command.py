"""
Tests of C{txmta check} on whole configurations.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
from contextlib import redirect_stderr
from pathlib import Path
from shutil import rmtree
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from txmta.report.command import main
from txmta.report.gather import gather
from txmta.report.items import Item, Kind, Report, Verdict
from txmta.report.render import as_json, short, table

GOOD = """\
compatibility_level = 3.6
myhostname = mail.example.com
mydestination = example.com
mynetworks = 127.0.0.0/8
alias_maps =
local_recipient_maps =
queue_directory = /nonexistent/queue
"""


class _Out(io.TextIOWrapper):
    def __init__(self) -> None:
        self.octets = io.BytesIO()
        super().__init__(self.octets, "utf-8")


class CommandTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tx"))
        self.addCleanup(rmtree, self.folder)

    def write(self, main_cf: str, master_cf: str = "") -> str:
        path = self.folder / "main.cf"
        path.write_text(GOOD + main_cf)
        if master_cf:
            (self.folder / "master.cf").write_text(master_cf)
        return str(path)

    def run_it(self, *arguments: str) -> tuple[int, str, str]:
        out, err = _Out(), io.StringIO()
        self.patch(sys, "stdout", out)
        try:
            with redirect_stderr(err):
                status = main(arguments)
        except SystemExit as e:
            status = int(e.code or 0)
        out.flush()
        return status, out.octets.getvalue().decode("utf-8"), err.getvalue()

    def found(self, report: Report) -> dict[str, Item]:
        return {item.name: item for item in report.items}

    def test_same(self) -> None:
        """
        Exit status 0: it would start, and count as under Postfix.
        """
        path = self.write("biff = yes\n")
        status, out, err = self.run_it("--config", path)
        self.assertEqual((status, err), (0, ""))
        self.assertIn("No effect: nothing here depends on it", out)
        self.assertIn("  main.cf 2        myhostname = mail.example.com\n", out)
        self.assertIn("none would stop the start.", out)

    def test_config_directory(self) -> None:
        """
        $config_directory is where main.cf is, as for the server.
        """
        (self.folder / "hosts").write_text("a x\n")
        path = self.write("virtual_alias_maps = hash:$config_directory/hosts\n")
        self.assertIn(f"hash:{self.folder}/hosts", self.found(gather(path)))

    def test_stops(self) -> None:
        """
        Exit status 1, whether a declaration or the check at the start says so;
        with the reason at what is to be changed.
        """
        path = self.write(
            "fault_injection_code = 1\nvirtual_mailbox_maps = hash:/no/x\n"
            "message_size_limit = many\nmailbox_size_limit = 7\n"
        )
        status, out, _ = self.run_it("-c", str(self.folder), "--brief")
        self.assertEqual(status, 1)
        self.assertNotIn("myhostname = ", out)
        report = gather(path)
        found = self.found(report)
        for name, verdict, words in (
            ("fault_injection_code", Verdict.NOT_YET, "kept or lost: remove the line"),
            ("virtual_mailbox_maps", Verdict.WRONG, "No such file or directory"),
            ("message_size_limit", Verdict.WRONG, "write digits only"),
            ("mailbox_size_limit", Verdict.WRONG, "smaller than message_size_limit"),
        ):
            self.assertIs(found[name].verdict, verdict, name)
            self.assertTrue(found[name].stops, name)
            self.assertIn(words, found[name].why)
        self.assertEqual(report.problems, [])
        self.assertIn("4 would stop the start", out)

    def test_differs(self) -> None:
        """
        Exit status 2: what is ignored is named.
        """
        path = self.write("mydestinations = x\nqmqpd_error_delay = 2s\n")
        status, out, _ = self.run_it("--config", path)
        self.assertEqual(status, 2)
        self.assertIn("did you mean mydestination?", out)
        self.assertIn("1 unknown, 1 not yet", out)

    def test_json(self) -> None:
        path = self.write(
            "smtpd_restriction_classes = mine\nmine = permit\n",
            "2525 inet n - n - - smtpd -o hopcount_limit=x\n"
            "smtp unix - - n - - smtp\nrelay unix - - n - - smtp\n"
            "local unix - n n - - local\nvirtual unix - n n - - virtual\n"
            "error unix - - n - - error\nretry unix - - n - - error\n"
            "26 inet n - n - 1 postscreen\n",
        )
        status, out, _ = self.run_it("--json", "--config", path)
        self.assertEqual(status, 1)
        value: dict[str, Any] = json.loads(out)
        self.assertEqual(
            sorted(value),
            ["counts", "items", "main_cf", "problems", "status", "warnings"],
        )
        self.assertEqual((value["status"], value["main_cf"]), (1, path))
        items = {each["name"]: each for each in value["items"]}
        self.assertEqual(
            items["2525 inet: hopcount_limit"],
            {
                "kind": "override",
                "name": "2525 inet: hopcount_limit",
                "value": "x",
                "places": [f"{self.folder}/master.cf, line 1"],
                "status": "wrong",
                "stops": True,
                "why": "is not a number: write digits only",
            },
        )
        self.assertTrue(items["26 inet"]["stops"])
        self.assertEqual(sum(value["counts"].values()), len(value["items"]))

    def test_bad_lines(self) -> None:
        """
        Lines that are no definition are told beside the rest.
        """
        path = self.write("nonsense\n", "x unix\n")
        report = gather(path)
        self.assertEqual(len(report.problems), 2, report.problems)
        self.assertIn("myhostname", self.found(report))
        self.assertIn("! main.cf, line 8: missing '='", table(report))

    def test_bad_input(self) -> None:
        """
        Whatever the files hold, there is a report or a line of what is wrong.
        """
        long = "x" * 2_000_000
        for n, (main_cf, master_cf) in enumerate(
            (
                (bytes(range(256)) * 9, b""),
                (b"\0\0\0", b"\xff unix - - n - - smtp\n"),
                (f"mynetworks = {long}\n".encode(), b"x unix - - n - - smtp -o a={\n"),
                (b"a = $b\nb = ${a}\nmyhostname = $a\n", b"\n\n  \n#\n"),
                (b"mydestination = ${a?{${b?{${c\n", b"x y\n" * 3000),
                (b"alias_maps = proxy:proxy:hash:/x, pcre:{(/\n", b"- - - - - - - -\n"),
                (b"virtual_mailbox_maps = inline:{a\n", b"x unix - n n - - pipe\n"),
            )
        ):
            (self.folder / "main.cf").write_bytes(main_cf)
            (self.folder / "master.cf").write_bytes(master_cf)
            status, out, err = self.run_it("--config", str(self.folder / "main.cf"))
            self.assertEqual(status, 1, n)
            self.assertNotIn("Traceback", out + err)
            self.assertTrue("would not start" in out or "fatal: " in err, n)

    def test_a_directory(self) -> None:
        (self.folder / "main.cf").mkdir()
        status, _, err = self.run_it("-c", str(self.folder))
        self.assertEqual(status, 1)
        self.assertIn("main.cf: cannot be read: Is a directory", err)

    def test_no_file(self) -> None:
        status, out, err = self.run_it("--config", str(self.folder / "none"))
        self.assertEqual((status, out), (1, ""))
        self.assertIn("none: cannot be read", err)

    def test_usage(self) -> None:
        for arguments in (("--nosuch",), ("x",), ("-c", "x", "--config", "y")):
            status, _, err = self.run_it(*arguments)
            self.assertEqual(status, 64)
            self.assertIn("txmta check: fatal: ", err)

    def test_environment(self) -> None:
        """
        MAIL_CONFIG, as for all commands.
        """
        self.write("")
        self.patch(os, "environ", {**os.environ, "MAIL_CONFIG": str(self.folder)})
        self.assertEqual(self.run_it()[0], 0)

    def test_nothing_is_made(self) -> None:
        """
        Nothing is changed: neither the folder nor the queue directory.
        """
        path = self.write(f"queue_directory = {self.folder}/queue\n")
        self.run_it("--config", path)
        self.assertEqual(os.listdir(self.folder), ["main.cf"])


class RenderTests(SynchronousTestCase):
    def test_short(self) -> None:
        self.assertEqual(short("/etc/postfix/main.cf, line 12"), "main.cf 12")
        self.assertEqual(short("built-in master.cf"), "built-in master.cf")

    def test_lines(self) -> None:
        """
        No line is wider than a terminal for reading, but for a long word.
        """
        why = "because " * 40
        item = Item(
            Kind.TABLE, "hash:/x", "", ("a, line 1", "b, line 2"), Verdict.WRONG, why
        )
        text = table(Report("/m/main.cf", [item], ["p " * 90], ["w " * 90]))
        self.assertLessEqual(max(map(len, text.splitlines())), 100)
        self.assertIn("a 1 +1", text)
        self.assertIn('"status": 1', as_json(Report("/m", [item], ["p"])))

    def test_every_verdict_is_shown(self) -> None:
        """
        Whatever there is, the report has it.
        """
        items = [
            Item(Kind.PARAMETER, f"name{n}", "", ("m, line 1",), verdict)
            for n, verdict in enumerate(Verdict)
        ]
        text = table(Report("/m/main.cf", items))
        for item in items:
            self.assertIn(f" {item.name} =", text)
