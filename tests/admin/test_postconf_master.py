"""
L{txmta.admin.postconf_show}: C{postconf -M}, C{-F} and C{-P}.
"""

from __future__ import annotations

from tests.admin.postconf_case import PostconfCase
from txmta.admin.postconf_print import columns, line

MASTER = """\
smtp inet n - n - - smtpd -v
  -o {mydomain = a b} -o relayhost=$myorigin -o bogus
127.0.0.1:10025 inet n n n - 0 smtpd
long/name/of/a/socket unix - n n 60? 1 pipe
  flags=R {x y} user=a
"""


class EntryTests(PostconfCase):
    def setUp(self) -> None:
        super().setUp()
        self.given("myorigin = here\n", MASTER)

    def test_entries(self) -> None:
        self.assertEqual(
            self.postconf("-M"),
            "smtp       inet  n       -       n       -       -       smtpd -v "
            "-o {mydomain=a b} -o relayhost=$myorigin -o bogus\n"
            "127.0.0.1:10025 inet n   n       n       -       0       smtpd\n"
            "long/name/of/a/socket unix - n   n       60?     1       pipe "
            "flags=R {x y} user=a\n",
        )
        self.warned()

    def test_folded(self) -> None:
        """
        Options with values have lines of their own.
        """
        self.assertEqual(
            self.postconf("-Mxf", "smtp"),
            "smtp       inet  n       -       n       -       -       smtpd -v\n"
            "    -o {mydomain=a b}\n    -o relayhost=here\n    -o bogus\n",
        )

    def test_folded_braces(self) -> None:
        """
        They do not count where a line is to end.
        """
        for word, between in (("x" * 8, " "), ("x" * 9, "\n    ")):
            self.given("", f"foo unix - - - - - pipe 123456 {{{word} y}}\n")
            self.assertTrue(
                self.postconf("-Mf").endswith(f" 123456{between}{{{word} y}}\n")
            )

    def test_patterns(self) -> None:
        first = "127.0.0.1:10025 inet n   n       n       -       0       smtpd\n"
        for text in ("127.0.0.1:10025", "127.0.0.1:10025/inet", "127.0.0.1:10025/*"):
            self.assertEqual(self.postconf("-M", text), first)
            self.warned()
        self.assertEqual(self.postconf("-M", "x/unix", "*/unix").count("\n"), 1)
        self.warned('unmatched request: "x/unix"')
        self.refused("-M option requires service_name[/type]", "-M", "a/b/c")
        self.refused("-M option requires service_name[/type]", "-M", "/b")

    def test_fields(self) -> None:
        self.assertEqual(
            self.postconf("-F", "*/unix/wakeup", "smtp/inet/command"),
            "smtp/inet/command = smtpd -v -o {mydomain=a b} -o relayhost=$myorigin "
            "-o bogus\nlong/name/of/a/socket/unix/wakeup = 60?\n",
        )
        self.assertEqual(self.postconf("-Fh", "smtp").split("\n")[:2], ["smtp", "inet"])
        self.assertEqual(
            self.postconf("-FH", "smtp/inet/*").split("\n")[-2], "smtp/inet/command"
        )
        self.refused('invalid service attribute name: "no"', "-F", "x/y/no")

    def test_parameters(self) -> None:
        self.assertEqual(
            self.postconf("-Px"),
            "smtp/inet/mydomain = a b\nsmtp/inet/relayhost = here\n",
        )
        self.assertEqual(self.postconf("-Ph", "smtp/inet/mydomain"), "a b\n")
        self.assertEqual(self.postconf("-P", "smtp/inet/myorigin"), "")
        self.warned('unmatched request: "smtp/inet/myorigin"')

    def test_everywhere(self) -> None:
        """
        C{-PP}: from wherever it comes.
        """
        self.assertEqual(
            self.postconf("-PP", "*/inet/relayhost", "smtp/*/myorigin"),
            "smtp/inet/relayhost = $myorigin\nsmtp/inet/myorigin = here\n"
            "127.0.0.1:10025/inet/relayhost =\n",
        )
        self.warned()

    def test_json(self) -> None:
        self.assertEqual(
            self.postconf("-Mj", "smtp"),
            '{"smtp/inet": "smtp inet n - n - - smtpd -v -o {mydomain=a b} '
            '-o relayhost=$myorigin -o bogus"}\n',
        )
        self.assertEqual(
            self.postconf("-Fj", "*/unix/private"),
            '{"long/name/of/a/socket/unix/private": "-"}\n',
        )
        self.assertEqual(
            self.postconf("-Pjx", "*/*/relayhost"), '{"smtp/inet/relayhost": "here"}\n'
        )

    def test_names_of_the_service(self) -> None:
        """
        Each has its own service_name and process_name.
        """
        self.given("", "a unix - - - - - b -o mydomain=$service_name.$process_name\n")
        self.assertEqual(self.postconf("-Phx"), "a.b\n")
        self.assertIn("mydomain=a.b\n", self.postconf("-Mx"))

    def test_same_name(self) -> None:
        """
        Entries of one name and type share their settings, from the first that
        has any.
        """
        entry = "a unix - - - - - b"
        self.given("", f"{entry}\n{entry} -o mydomain=x\n{entry}\n")
        self.assertEqual(self.postconf("-Ph"), "x\nx\n")

    def test_bad(self) -> None:
        self.given("", "a unix - - -\n")
        self.refused("file ./master.cf: line 1: bad field count", "-M")
        self.given("", "a unix - - - x - b\n")
        self.refused('invalid wakeup field "x" in "a unix - - - x - b"', "-M")
        self.given("", "  a\nb unix - - - - - {c\n d unix - - - - - e -o {x\n")
        self.postconf("-M")
        self.warned('./master.cf: logical line must not start with whitespace: "  a"')


class PrintTests(PostconfCase):
    def test_line(self) -> None:
        """
        A word that would end after column 80 goes to the next line.
        """
        for length, expected in ((39, " "), (40, "\n    ")):
            text = f"{'a' * 40} {'b' * length}"
            self.assertEqual(line(text, True), text.replace(" ", expected) + "\n")
        self.assertEqual(line(" \t\n", True), "\n")

    def test_columns(self) -> None:
        self.assertEqual(columns(["a", "b", "c"]), "a          b     c")
        self.assertEqual(columns(["a" * 12, "b"]), "a" * 12 + " b")
