"""
L{txmta.admin.postconf}: options, and what is shown of main.cf.
"""

from __future__ import annotations

import json
import subprocess
import sys

from tests.admin.postconf_case import SMTP, PostconfCase
from txmta.admin.postconf_known import MANUAL_ONLY, OLD
from txmta.config.settings import FAMILIES, Settings

AGENTS = ("lmtp", "relay", "smtp", "virtual")


class ShowTests(PostconfCase):
    def test_set(self) -> None:
        """
        C{-n}: what is set, sorted, with one space between words.
        """
        self.given("b_x = $foo\nrelayhost = a\n   b\t c\nmydomain = ${b_x}\n")
        self.assertEqual(
            self.postconf("-n"),
            "b_x = $foo\nconfig_directory = .\nmydomain = ${b_x}\nrelayhost = a b c\n",
        )
        self.warned("./main.cf: undefined parameter: foo")

    def test_all(self) -> None:
        """
        Without options: all parameters, those of services, those of one's own.
        """
        self.given("relayhost = $own\nown = x\n", "foo unix - n n - 0 pipe\n")
        rows = self.postconf().splitlines()
        self.assertEqual(rows, sorted(rows, key=lambda row: row.split(" ")[0]))
        for row in (
            "own = x",
            "relayhost = $own",
            "foo_time_limit = $command_time_limit",
            "foo_recipient_limit = $default_recipient_limit",
            "process_name = postconf",
        ):
            self.assertIn(row, rows)
        names = {row.split(" ")[0] for row in rows}
        known = set(Settings.names()) - OLD - MANUAL_ONLY
        # those of services that this master.cf has not
        others = {f"{agent}_{suffix}" for agent in AGENTS for suffix in FAMILIES}
        self.assertEqual(known - names - others, set())
        self.assertFalse(names & others)
        self.assertIn("local_destination_recipient_limit = 1", rows)
        # old names, and those of the manual only
        self.assertFalse(names & {"virtual_maps", "extract_recipient_limit"})

    def test_classes(self) -> None:
        self.given("relayhost = $own\nown = x\n", "foo unix - n n - 0 spawn\n")
        self.assertEqual(self.postconf("-nC", "user"), "own = x\n")
        self.assertEqual(
            self.postconf("-C", "service"), "foo_time_limit = $command_time_limit\n"
        )
        self.assertIn("relayhost = $own\n", self.postconf("-C", "BUILTIN"))
        self.refused('unknown -C option value "no" in "all,no"', "-C", "all,no")

    def test_defaults(self) -> None:
        """
        C{-d}: main.cf does not count.
        """
        self.given("relayhost = x\nmydomain = y\n")
        self.assertEqual(
            self.postconf("-d", "relayhost", "myorigin"),
            "relayhost =\nmyorigin = $myhostname\n",
        )
        self.assertNotIn("y", self.postconf("-dxh", "mydomain").split(".")[-1:])

    def test_names(self) -> None:
        self.given("relayhost = x\n")
        self.assertEqual(
            self.postconf("relayhost", "nobody", "mydestination"),
            "relayhost = x\nmydestination = "
            "$myhostname, localhost.$mydomain, localhost\n",
        )
        self.warned("nobody: unknown parameter")
        self.assertEqual(self.postconf("-h", "relayhost"), "x\n")
        self.assertEqual(self.postconf("-H", "relayhost"), "relayhost\n")

    def test_expanded(self) -> None:
        """
        C{-x}: macros, in macros, but not those that the program expands.
        """
        self.given("mydomain = ${a?{$a}:{no}}\na = <$b>\nb = 1\nforward_path = $home\n")
        self.assertEqual(
            self.postconf("-nx"),
            "a = <1>\nb = 1\nconfig_directory = .\nforward_path = $home\n"
            "mydomain = <1>\n",
        )

    def test_condition(self) -> None:
        """
        A condition looks at what is written.
        """
        self.given("mydomain = ${empty?yes}\nempty = $relayhost\n")
        self.assertEqual(self.postconf("-xh", "mydomain"), "yes\n")

    def test_loop(self) -> None:
        """
        A parameter that is defined by itself stops the command.
        """
        self.given("a = $b\nb = $a\nrelayhost = $a\n")
        self.assertEqual(self.postconf("-x", "relayhost", status=1), "")
        self.assertEqual(
            self.told[-2:],
            [
                'warning: unreasonable macro call nesting: "a"',
                "fatal: macro processing error",
            ],
        )

    def test_growth(self) -> None:
        """
        What doubles with each line does not fill the memory.
        """
        rows = "".join(f"a{n} = $a{n - 1}$a{n - 1}\n" for n in range(1, 60))
        self.given(f"a0 = x\n{rows}relayhost = $a59\n")
        self.postconf("-x", "relayhost", status=1)
        self.assertEqual(self.told[-1], "fatal: macro processing error")

    def test_folded(self) -> None:
        self.given(f"relayhost = {'x' * 60} {'y' * 20} z\n")
        self.assertEqual(
            self.postconf("-nf"),
            f"config_directory = .\nrelayhost = {'x' * 60}\n    {'y' * 20} z\n",
        )

    def test_json(self) -> None:
        """
        An object a line.
        """
        self.given('relayhost = a "b" \\\n  c\n')
        rows = [json.loads(row) for row in self.postconf("-nj").splitlines()]
        self.assertEqual(rows, [{"config_directory": "."}, {"relayhost": 'a "b" \\ c'}])

    def test_override(self) -> None:
        """
        C{-o} counts instead of main.cf.
        """
        self.given("relayhost = x\n")
        self.assertEqual(
            self.postconf("-o", "relayhost = y z", "relayhost"), "relayhost = y z\n"
        )
        self.refused(
            "invalid parameter override: x: missing '=' after attribute name",
            *("-o", "x"),
        )

    def test_octets(self) -> None:
        """
        What is not UTF-8 comes out as it is.
        """
        (self.folder / "main.cf").write_bytes(b"relayhost = a\xffb\n")
        done = subprocess.run(
            [
                *(sys.executable, "-m", "txmta.admin.postconf"),
                *("-c", str(self.folder), "-h", "relayhost"),
            ],
            capture_output=True,
            env={"PYTHONPATH": ":".join(sys.path), "LC_ALL": "C"},
            timeout=30,
        )
        self.assertEqual((done.stdout, done.stderr), (b"a\xffb\n", b""))


class FileTests(PostconfCase):
    def test_bad_lines(self) -> None:
        for text, why in (
            ("a b\n", "line 1: missing '=' after attribute name: \"a b\""),
            ("\n#\n= b\n", 'line 3: missing attribute name: "= b"'),
        ):
            self.given(text)
            self.refused(f"./main.cf, {why}", "-n")

    def test_warnings(self) -> None:
        self.given("  a = b\nrelayhost = 1\nrelayhost = 2\n")
        self.assertIn("relayhost = 2\n", self.postconf("-n"))
        self.warned(
            './main.cf: logical line must not start with whitespace: "  a = b"',
            "./main.cf, line 3: overriding earlier entry: relayhost=1",
        )

    def test_no_file(self) -> None:
        """
        Without master.cf, the built-in services have their names.
        """
        (self.folder / "master.cf").unlink()
        self.assertIn("relay_recipient_limit = ", self.postconf("-C", "service"))
        self.warned("open ./master.cf: No such file or directory")
        self.refused("open ./master.cf: No such file or directory", "-M")
        (self.folder / "main.cf").unlink()
        self.refused("open ./main.cf: No such file or directory", "-n")

    def test_large_file(self) -> None:
        self.given("#" * (4 << 20) + "\n")
        self.refused("./main.cf: is larger than 4194304 octets", "-n")

    def test_terminal(self) -> None:
        """
        What is told gives no orders to a terminal.
        """
        self.given("x = \x1b[2J\x9b\ta\n")
        done = subprocess.run(
            [
                *(sys.executable, "-m", "txmta.admin.postconf"),
                *("-c", str(self.folder), "-n"),
            ],
            capture_output=True,
            env={"PYTHONPATH": ":".join(sys.path), "LC_ALL": "C"},
            timeout=30,
        )
        self.assertTrue(done.stderr.endswith(b"unused parameter: x=?[2J??a\n"))


class OptionTests(PostconfCase):
    def test_one_of(self) -> None:
        for arguments, both in (
            ("-n -d", "-d -n"),
            ("-M -P", "-M -P"),
            ("-x -e a=b", "-e -x"),
            ("-x a=b", "-e -x"),
            ("-h -H", "-h -H"),
            ("-a -m", "-a -m"),
            ("-f -X a", "-f -X"),
            ("-o a=b -d", "-d -o"),
            ("-j -h", "-h -j"),
        ):
            self.refused(f"specify one of {both}", *arguments.split())
        self.refused("specify one of -b and -t", "-b", "-t")

    def test_not_together(self) -> None:
        for arguments, why in (
            ("-M -h", "-M, do not specify -h"),
            ("-F -X", "-F, do not specify -X"),
            ("-m -n -f", "-m, do not specify -f -n"),
            ("-P -C user", "-P, do not specify -C"),
        ):
            self.refused(f"with option {why}", *arguments.split())

    def test_missing(self) -> None:
        self.refused("-e requires name=value argument", "-e")
        self.refused("missing service argument", "-X")
        self.postconf("-Z", status=1)
        self.assertIn("fatal: usage: postconf [-a", self.told[-1])


class OtherTests(PostconfCase):
    def test_lists(self) -> None:
        self.assertEqual(self.postconf("-l"), "flock\nfcntl\ndotlock\n")
        types = self.postconf("-m").split()
        self.assertLess({"hash", "regexp", "proxy", "inline"}, set(types))
        self.assertNotIn("sdbm", types)
        self.assertIn("rsa", self.postconf("-T", "public-key-algorithms"))
        self.assertRegex(self.postconf("-T", "run-version"), r"\AOpenSSL \d.*\n\Z")
        self.refused("unknown 'postconf -T' mode: x", "-T", "x")

    def test_sasl(self) -> None:
        """
        The kinds of backends that a server may have.
        """
        self.assertLess({"dovecot", "txmta"}, {*self.postconf("-a").split(), "x"})
        self.refused("-A: there is no SASL yet", "-A")

    def test_templates(self) -> None:
        """
        C{-t}: as written; C{-b}: expanded; from main.cf, the command line, or
        built in.
        """
        (self.folder / "words").write_text("success_template = <<X\n$myhostname!\nX\n")
        path = self.folder / "words"
        self.given(f"myhostname = h.example\nbounce_template_file = {path}\n")
        self.assertIn("\n\n$myhostname!\nEOF\n", self.postconf("-t"))
        self.assertIn("text = <<EOF\nh.example!\nEOF\n", self.postconf("-b"))
        built_in = self.postconf("-t", "")
        self.assertNotIn("$myhostname!", built_in)
        self.given()
        self.assertEqual(self.postconf("-t"), built_in)
        self.assertIn("$myhostname!", self.postconf("-t", str(path)))
        why = "options -b and -t require at most one template file"
        self.refused(why, "-b", "x", "y")


class LightTests(PostconfCase):
    def test_imports(self) -> None:
        """
        C{postconf} does without Twisted.
        """
        self.given("relayhost = x\n", SMTP)
        program = (
            "import sys\nfrom txmta.admin.postconf import main\n"
            f"main(['-nxc', {str(self.folder)!r}])\n"
            f"main(['-Mc', {str(self.folder)!r}])\nprint(*sys.modules)"
        )
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
            env={"PYTHONPATH": ":".join(sys.path)},
        )
        self.assertIn("relayhost = x\n", done.stdout)
        found = set(done.stdout.split())
        for name in ("twisted", "zope", "sqlite3", "txmta.model"):
            self.assertNotIn(name, found)
