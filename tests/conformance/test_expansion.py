"""
Postfix's own cases for macros, compatibility levels, times, host and port.

The data are not part of the project; see C{tests.support.cases}.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from twisted.trial.unittest import SynchronousTestCase

from tests.support import cases
from txmta.config.declare import to_time
from txmta.config.expansion import MacroError, expand, level
from txmta.delivery.smtp_hosts import parse_nexthop

#: What exists in the test program only.
TEST_ONLY = ("length {", "test_named_fn")

#: Host and port: cases where we differ, and why.
DIFFERENT = {
    # a domain may end in a dot, and mail for it has been seen
    "hh.": "host hh port default-service",
    "[hh.]": "host hh port default-service",
    # looked up, as other names are, and not found
    "999": "host 999 port default-service",
}


def macros(name: str) -> Iterator[tuple[dict[str, str], str, int, str]]:
    """
    @param name: of a reference file without suffix.
    @return: what is defined, a text, the status, and the result, or the warning
        if the text is bad.
    """
    text = (cases("postfix-address") / f"{name}.ref").read_text("utf-8")
    defined: dict[str, str] = {}
    lines = text.splitlines()
    for at, line in enumerate(lines):
        asked = line.removeprefix("<< ")
        if "=" in asked and "$" not in asked and line.startswith("<< "):
            name, _, value = asked.partition("=")
            defined[name.strip()] = value.strip()
        elif asked == "" and line.startswith("<<"):
            continue
        elif line.startswith("<< "):
            answer = lines[at + 1 : at + 3]
            warning = answer[0].removeprefix("unknown: warning: ")
            match = re.fullmatch(r"stat=(\d) result=(.*)", answer[-1])
            if warning == answer[0]:
                match = re.fullmatch(r"stat=(\d) result=(.*)", answer[0])
            assert match is not None, asked
            bad = warning != answer[0]
            yield dict(defined), asked, int(match[1]), warning if bad else match[2]


class MacroTests(SynchronousTestCase):
    def check(self, name: str, least: int) -> None:
        count = 0
        for defined, text, status, expected in macros(name):
            if any(word in text for word in TEST_ONLY):
                continue
            undefined: list[str] = []

            def lookup(
                name: str,
                defined: dict[str, str] = defined,
                undefined: list[str] = undefined,
            ) -> str:
                if name not in defined:
                    undefined.append(name)
                return defined.get(name, "")

            def test(name: str, defined: dict[str, str] = defined) -> str:
                return defined.get(name, "")

            try:
                found = expand(text, lookup, test=test)
            except MacroError as e:
                self.assertTrue(status & 1, text)
                self.assertEqual(e.what, expected, text)
            else:
                self.assertEqual(found, expected, text)
                self.assertEqual(bool(undefined) * 2, status, text)
            count += 1
        self.assertGreater(count, least)

    def test_mac_expand(self) -> None:
        """
        Values, and what is said of what is malformed.
        """
        self.check("util/mac_expand", 70)

    def test_compat_level_expand(self) -> None:
        self.check("global/compat_level_expand", 20)


class LevelTests(SynchronousTestCase):
    def test_compat_level_convert(self) -> None:
        """
        The same are levels, and none.
        """
        folder = cases("postfix-address") / "global"
        text = (folder / "compat_level_convert.ref").read_text("utf-8")
        good = re.findall(r"unknown: (\S+) -> (0x\w+)", text)
        self.assertGreater(len(good), 5)
        for written, number in good:
            major, minor, patch = level(written)
            packed = major << 20 | minor << 10 | patch
            self.assertEqual(packed, int(number, 16), written)
        bad = re.findall(r'warning: (malformed .* syntax: "(.*)")', text)
        self.assertGreater(len(bad), 10)
        for warning, written in bad:
            error = self.assertRaises(MacroError, level, written)
            self.assertEqual(error.what, warning)


class TimeTests(SynchronousTestCase):
    def test_mail_conf_time(self) -> None:
        folder = cases("postfix-address") / "global"
        text = (folder / "mail_conf_time.ref").read_text("utf-8")
        found = re.findall(r"(\d+) (\w)\w+ = (\d+)", text)
        self.assertEqual(len(found), 5)
        for number, unit, seconds in found:
            self.assertEqual(to_time(number + unit, "s"), float(seconds))
            self.assertEqual(to_time(number, unit), float(seconds))


class HostPortTests(SynchronousTestCase):
    def test_host_port(self) -> None:
        """
        Next hops of the smtp agent.
        """
        folder = cases("postfix-address") / "util"
        text = (folder / "host_port.ref").read_text("utf-8")
        found = re.findall(r"^>> ([^#\n].*)\n(.*)$", text, re.MULTILINE)
        self.assertGreater(len(found), 10)
        for asked, answer in found:
            # "ppp" is no service
            given = asked.replace("ppp", "smtps")
            expected = DIFFERENT.get(asked, answer).replace("ppp", "smtps")
            try:
                there = parse_nexthop(given, 25)
            except ValueError:
                self.assertIn("warning", expected, asked)
                continue
            port = {25: "default-service", 465: "smtps"}[there.port]
            self.assertEqual(f"host {there.host} port {port}", expected, asked)
