"""
Tests of L{txmta.queue.templates}. What the file format means was tried with
Debian's C{postconf -b}.
"""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from txmta.config.settings import Settings
from txmta.errors import ConfigError
from txmta.queue.templates import BUILT_IN, MAX_FILE, Template, Templates, load


class TemplateCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.warnings: list[str] = []

    def load(self, text: str | bytes, **settings: str) -> Templates:
        path = self.mktemp()
        with open(path, "wb") as file:
            file.write(text.encode() if isinstance(text, str) else text)
        values = {"myhostname": "mx.here.test", "mydomain": "here.test", **settings}
        values["bounce_template_file"] = path
        return load(Settings.of(**values), self.warnings.append)

    def failure(self, text: str, **settings: str) -> Template:
        return self.load(f"failure_template = <<EOF\n{text}EOF\n", **settings)[
            "failure"
        ]


class BuiltInTests(TemplateCase):
    def test_all_four(self) -> None:
        """
        Without a file the built-in words count, expanded.
        """
        settings = Settings.of(myhostname="mx.here.test", delay_warning_time="4h")
        templates = load(settings, self.warnings.append)
        self.assertEqual(sorted(templates), ["delay", "failure", "success", "verify"])
        for template in templates.values():
            self.assertIn("system at host mx.here.test.\n", template.text)
            self.assertNotIn("$", template.text)
        self.assertIn("for more than 4 hour(s).\n", templates["delay"].text)
        self.assertIn("until it is 5 day(s) old.\n", templates["delay"].text)
        self.assertEqual(self.warnings, [])

    def test_useless_unit(self) -> None:
        """
        A time that the words cannot tell is a warning, if anybody sees it.
        """
        load(Settings.of(delay_warning_time="10m"), self.warnings.append)
        (warning,) = self.warnings
        self.assertIn("zero result", warning)
        self.assertIn('"delay_warning_time_hours"', warning)


class FileTests(TemplateCase):
    def test_headers_and_text(self) -> None:
        """
        Headers in any case, then text; what is not given is built in.
        """
        found = self.failure(
            "SUBJECT:  It failed\nfrom: Me <me>\n\n \nHello $myhostname,\n  \\ $$5\n"
        )
        self.assertEqual(found.subject, "It failed")
        self.assertEqual(found.sender, "Me <me>")
        self.assertEqual(found.text, "Hello mx.here.test,\n  \\ $5\n")
        self.assertEqual(
            found.postmaster_subject, BUILT_IN["failure"].postmaster_subject
        )
        self.assertEqual(found.charset, "us-ascii")
        self.assertEqual(self.warnings, [])

    def test_only_what_is_there(self) -> None:
        """
        Other templates stay built in; the last of a name counts.
        """
        text = "success_template = <<A\nSubject: {}\n\n{}\nA\n"
        found = self.load("  # c\n\n" + text.format(1, 2) + text.format(3, 4))
        self.assertEqual(
            (found["success"].subject, found["success"].text), ("3", "4\n")
        )
        self.assertEqual(found["delay"].subject, BUILT_IN["delay"].subject)

    def test_marker(self) -> None:
        """
        The end is a line with nothing but the word.
        """
        found = self.load("failure_template   =   <<  XX  \n\nbody\nXX \n#x\nXX\n")
        self.assertEqual(found["failure"].text, "body\nXX \n#x\n")

    def test_text_without_blank_line(self) -> None:
        """
        The first line that is no header begins the text.
        """
        self.assertEqual(self.failure("Subject: x\nbody it is\n").text, "body it is\n")
        found = self.load("failure_template = hello\n")["failure"]
        self.assertEqual(found.text, "hello\n")

    def test_times(self) -> None:
        """
        Two times can be had in any unit.
        """
        found = self.failure(
            "\n$maximal_queue_lifetime_weeks $maximal_queue_lifetime_days "
            "$delay_warning_time_minutes ${delay_warning_time_seconds}\n",
            maximal_queue_lifetime="14d",
            delay_warning_time="10m",
        )
        self.assertEqual(found.text, "2 14 10 600\n")

    def test_charset(self) -> None:
        """
        Octets are kept, in whatever charset they are.
        """
        found = self.load(
            b"failure_template = <<E\nCharset: iso-8859-1\n\nSch\xf6n $mydomain\nE\n"
        )["failure"]
        self.assertEqual(found.charset, "iso-8859-1")
        self.assertTrue(found.eight_bit)
        octets = found.text.encode("utf-8", "surrogateescape")
        self.assertEqual(octets, b"Sch\xf6n here.test\n")

    def test_domains_for_people(self) -> None:
        """
        myhostname and mydomain are shown as people write them.
        """
        text = "Charset: utf-8\n\n$mydomain\n"
        name = {"mydomain": "xn--bcher-kva.test"}
        self.assertEqual(self.failure(text, **name).text, "bücher.test\n")
        found = self.failure(text, smtputf8_enable="no", **name)
        self.assertEqual(found.text, "xn--bcher-kva.test\n")

    def test_ignored(self) -> None:
        """
        What Postfix warns of is a warning, and the built-in template counts.
        """
        for text, warning in (
            ("From:  \n\nbody\n", 'empty "From" header value in failure template'),
            ("Foo: x\n\nbody\n", 'unknown "Foo" header label'),
            ("Subject: ü\n\nbody\n", 'non-ASCII "Subject" header value'),
            ("Subject: x\n\n\n", "missing message text"),
            ("Subject: x\n", "missing message text"),
            ("\nbödy\n", "8-bit message text"),
        ):
            self.warnings.clear()
            found = self.failure(text)
            self.assertEqual(found.subject, BUILT_IN["failure"].subject)
            self.assertIn("I'm sorry", found.text)
            self.assertEqual(len(self.warnings), 1, text)
            self.assertIn(warning, self.warnings[0])
            self.assertTrue(self.warnings[0].endswith("-- ignoring this template"))

    def test_no_postmaster_copy(self) -> None:
        """
        The postmaster gets no copies of success reports.
        """
        text = "success_template = <<E\nPostmaster-Subject: x\n\nbody\nE\n"
        self.assertIn("Your message was", self.load(text)["success"].text)
        self.assertIn("inapplicable", self.warnings[0])

    def test_unknown_name(self) -> None:
        """
        A template of another name is a warning, with its line.
        """
        self.load("# x\nother_template = <<E\nx\nE\nfailure = x\n")
        self.assertEqual(
            [w.partition(", ")[2] for w in self.warnings],
            [
                "line 2: unknown template name: other_template "
                "-- ignoring this template",
                "line 5: unknown template name: failure -- ignoring this template",
            ],
        )

    def test_refused(self) -> None:
        """
        What is fatal to Postfix when mail bounces refuses the start.
        """
        for text, problem in (
            ("blah\n", "line 1: missing '=' after attribute name"),
            ("failure_template = <<\nx\n", "line 1: missing end marker"),
            ("failure_template = <<E\nx\n", 'line 1: missing "E" end marker'),
            ("failure_template = <<E\n\n$nosuch\nE\n", "undefined $nosuch"),
            ("failure_template = <<E\n\na $ {\nE\n", "empty macro name"),
            (
                "failure_template = <<E\n\n$delay_warning_time_years\nE\n",
                'unrecognized suffix "years"',
            ),
            ("x" * (MAX_FILE + 1), "larger than"),
        ):
            error = self.assertRaises(ConfigError, self.load, text)
            self.assertIn(problem, error.problems[0])

    def test_missing_file(self) -> None:
        """
        So does a file that is not there.
        """
        settings = Settings.of(bounce_template_file=os.path.abspath(self.mktemp()))
        error = self.assertRaises(ConfigError, load, settings, self.warnings.append)
        self.assertIn("No such file", error.problems[0])
