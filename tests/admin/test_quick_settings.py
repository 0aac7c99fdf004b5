"""
L{txmta.admin.quick_settings} says the same as L{txmta.config.settings}.
"""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from txmta.admin.quick_settings import DEFAULTS, QuickSettings
from txmta.config.main_cf import read_main_cf
from txmta.config.settings import Definition, Settings
from txmta.config.system import this_machine
from txmta.errors import ConfigError


class QuickTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.path = self.folder / "main.cf"

    def quick(self, text: str) -> QuickSettings:
        self.path.write_text(text)
        return QuickSettings(str(self.path))

    def full(self, name: str) -> str:
        definitions = dict(read_main_cf(str(self.path)).definitions)
        definitions["config_directory"] = Definition(str(self.folder), "")
        text = Settings(definitions, this_machine()).text(name)
        return text.rstrip("/") if name == "queue_directory" else text

    def test_defaults(self) -> None:
        quick = self.quick("")
        for name in DEFAULTS:
            self.assertEqual(quick.text(name), self.full(name), name)

    def test_same(self) -> None:
        """
        Comments, continuation lines, the last definition, what refers to
        others, also to those that only the settings know.
        """
        for text in (
            "queue_directory = /a/b\n",
            "# queue_directory = /x\n  \nqueue_directory=/a\nqueue_directory = /b \n",
            "queue_directory =\n  /a\n# comment\n /b\n",
            "queue_directory = $config_directory/queue\n",
            "queue_directory = $mine/q\nmine = ${other}\nother = /o\n",
            "queue_directory = /q/$myhostname\nmyhostname = h.test\n",
            "queue_directory = /q${undefined?x}${undefined:y}\n",
            "queue_directory = /q/$mail_version\n",
            "message_size_limit = 5\nqueue_directory = /q/$message_size_limit\n",
            "multi_instance_name = one\n",
            "authorized_submit_users = !www, static:all\n",
            " leading\nqueue_directory = /q\n",
        ):
            quick = self.quick(text)
            for name in DEFAULTS:
                expected = self.full(name)
                self.assertEqual(quick.text(name), expected, f"{text} {name}")

    def test_wrong(self) -> None:
        """
        What is wrong is told in the words of the settings.
        """
        for text, words in (
            ("queue_directory = relative\n", "is not an absolute path"),
            ("queue_directory = $queue_directory\n", "refers to itself"),
            ("message_size_limit = many\n", "message_size_limit"),
            ("queue_directory = ${a\n", "queue_directory"),
        ):
            quick = self.quick(text)
            error = self.assertRaises(ConfigError, self.all_of, quick)
            self.assertIn(words, str(error))

    def all_of(self, quick: QuickSettings) -> None:
        quick.text("queue_directory")
        quick.count("message_size_limit")

    def test_unreadable(self) -> None:
        self.assertRaises(ConfigError, QuickSettings, os.fspath(self.path))
