"""
L{txmta.admin.postconf_names}, L{txmta.admin.postconf_databases}: what is used.
"""

from __future__ import annotations

import os
import subprocess
import sys
from unittest import skipIf

from tests.admin.postconf_case import PostconfCase
from txmta.admin.postconf_names import DEPRECATED
from txmta.admin.postconf_order import in_order

SEE = "See https://www.postfix.org/DEPRECATION_README.html for details"


class UsedTests(PostconfCase):
    def test_nobody_asks(self) -> None:
        self.given("own = 1\nother = $own\n")
        self.assertNotIn("other", self.postconf("-n"))
        self.warned("./main.cf: unused parameter: other=$own")
        self.postconf("-nq")
        self.warned()

    def test_macros(self) -> None:
        """
        Names in conditions, both branches and comparisons are asked for.
        """
        self.given(
            "a = 1\nb = 1\nc = 1\nd = 1\nmydomain = "
            "${a?{$b}:{$(c)}}${{${d}} == {$e}?x}$$f\n"
        )
        self.postconf("-n")
        self.warned("./main.cf: undefined parameter: e")

    def test_raw(self) -> None:
        """
        Macros that the program expands ask for no parameter.
        """
        self.given("forward_path = $home\nown = 1\ndefault_rbl_reply = $own\n")
        self.postconf("-n")
        self.warned("./main.cf: unused parameter: own=1")

    def test_classes(self) -> None:
        self.given("smtpd_restriction_classes = $a, two\na = one\none = permit\n")
        self.assertIn("one = permit\n", self.postconf("-n"))
        self.warned("./main.cf: undefined parameter: two")

    def test_old_names(self) -> None:
        """
        What a default asks for is used; it is told that it will go.
        """
        self.given("virtual_maps = x\n")
        self.assertIn("virtual_maps = x\n", self.postconf("-n"))
        self.warned(
            './main.cf: support for parameter "virtual_maps" will be removed; '
            'instead, specify "virtual_alias_maps"',
            SEE,
        )

    def test_gone(self) -> None:
        self.given("deleted-test-only = x\n")
        self.postconf("-n")
        self.warned(
            "./main.cf: support for parameter deleted-test-only has been removed; "
            "instead, do not specify",
            SEE,
        )
        self.assertIn("smtp_use_tls", DEPRECATED)

    def test_read_only(self) -> None:
        self.given("process_name = x\nmydomain = $process_name\n")
        self.assertEqual(self.postconf("-x", "mydomain"), "mydomain = postconf\n")
        self.warned("./main.cf: read-only parameter assignment: process_name=x")


class ServiceTests(PostconfCase):
    def master(self, *options: str) -> None:
        lines = "".join(f" -o {option}\n" for option in options)
        self.given(
            self.main, f"foo unix - n n - 0 other\n{lines}bar inet n n n - 0 x\n"
        )

    main = ""

    def test_own(self) -> None:
        """
        Names of a service are asked for by it, and by main.cf.
        """
        self.main = "relayhost = $a\n"
        self.master("a=1", "b=2", "mydomain=$c", "c=3", "d=4")
        self.postconf("-n")
        self.warned(
            "./master.cf: unused parameter: b=2", "./master.cf: unused parameter: d=4"
        )

    def test_of_main_cf(self) -> None:
        """
        A service asks for names of main.cf that it has not itself.
        """
        self.main = "a = 1\nb = 2\n"
        self.master("b=3", "mydomain=$a$b")
        self.assertIn("a = 1\n", self.postconf("-n"))
        self.warned("./main.cf: unused parameter: b=2")

    def test_undefined(self) -> None:
        self.master("mydomain=$a")
        self.postconf("-n")
        self.warned("./master.cf: undefined parameter: a")

    def test_classes(self) -> None:
        """
        A class that either file names may be in the other.
        """
        self.main = "one = permit\nsmtpd_restriction_classes = two\n"
        self.master("smtpd_restriction_classes=one", "two=permit")
        self.assertIn("one = permit\n", self.postconf("-n"))
        self.warned()

    def test_deprecated(self) -> None:
        self.master("smtp_use_tls=yes")
        self.postconf("-M")
        self.warned(
            './master.cf: support for parameter "smtp_use_tls" will be removed; '
            'instead, specify "smtp_tls_security_level"',
            SEE,
        )


class DatabaseTests(PostconfCase):
    def unused(self, main: str) -> list[str]:
        """
        @return: names that nobody uses.
        """
        self.given(main)
        self.postconf("-n")
        return [told.rpartition(": ")[2].partition("=")[0] for told in self.told]

    def test_names(self) -> None:
        """
        A client asks for its settings; wrappers and braces may be around it.
        """
        for table in (
            "ldap:foo",
            "proxy:ldap:foo",
            "debug:proxy:ldap:foo",
            "pipemap:{static:x, ldap:foo}",
            "debug:unionmap:{{proxy:ldap:foo}}",
            "$kind:foo",
        ):
            self.assertEqual(
                self.unused(
                    f"kind = ldap\nvirtual_alias_maps = $kind:x {table}\n"
                    "foo_domain = 1\nfoo_hosts = 1\n"
                ),
                ["foo_hosts"],
                table,
            )

    def test_not_used(self) -> None:
        """
        What nobody uses asks for nothing.
        """
        self.assertEqual(
            self.unused("own = mysql:foo\nfoo_hosts = 1\n"), ["foo_hosts", "own"]
        )

    def test_no_client(self) -> None:
        self.assertEqual(
            self.unused("relayhost = hash:foo ./x ldap:./foo\nfoo_domain = 1\n"),
            ["foo_domain"],
        )

    def test_client_file(self) -> None:
        """
        What no client asks for, in its file; once.
        """
        path = self.folder / "x.cf"
        path.write_text("hosts = x\nuser = y\nserver_host = z\n")
        self.given(f"virtual_alias_maps = pgsql:{path} proxy:pgsql:{path}\n")
        self.postconf("-n")
        self.warned("pgsql:./x.cf: unused parameter: server_host=z")
        self.postconf("-nq")
        self.warned()

    def test_bad_client_file(self) -> None:
        path = self.folder / "x.cf"
        self.given(f"virtual_alias_maps = pgsql:{path} mysql:{self.folder}\n")
        self.postconf("-n")
        self.warned(
            'open "pgsql" configuration "./x.cf": No such file or directory',
            'open "mysql" configuration ".": not a regular file',
        )

    @skipIf(os.geteuid() != 0, "needs root: to become somebody else")
    def test_secret_client_file(self) -> None:
        """
        A file that we may not read is none of our business.
        """
        path = self.folder / "x.cf"
        path.write_text("server_host = z\n")
        path.chmod(0o600)
        self.folder.chmod(0o755)
        self.given(f"virtual_alias_maps = pgsql:{path}\n")
        program = (
            "import os, sys\nfrom txmta.admin.postconf import main\nos.setuid(65534)\n"
            f"sys.exit(main(['-nc', {str(self.folder)!r}]))"
        )
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            timeout=30,
            env={"PYTHONPATH": ":".join(sys.path)},
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_comments(self) -> None:
        """
        No comment can follow other text, but for patterns.
        """
        self.given("relayhost = x, #y and so on, and so on\nmynetworks = a#b\n")
        self.postconf("-n")
        told = "#comment after other text is not allowed: #y and so on, and so on..."
        self.warned(f"./main.cf: {told}")
        self.given("virtual_alias_maps = pcre:{ {/a #b/ c} } inline:{ { a = #b } }\n")
        self.postconf("-n")
        told = "#comment after other text is not allowed: #b ..."
        self.warned(f"./main.cf: {told}")

    def test_braces(self) -> None:
        self.given("virtual_alias_maps = inline:{ a\n", "")
        self.postconf("-n")
        self.warned("./main.cf: missing '}' in \"{ a\"")
        self.given("mydomain = " + "{" * 500 + "ldap:x" + "}" * 500 + "\n")
        self.postconf("-n")
        self.warned()


class OrderTests(PostconfCase):
    def test_order(self) -> None:
        """
        That of Postfix's tables.
        """
        names = [f"p{n}" for n in range(1, 40)]
        found = in_order(names[:8])
        self.assertEqual(" ".join(found), "p8 p3 p6 p1 p7 p5 p4 p2")
        found = in_order(names)
        self.assertEqual(" ".join(found[:8]), "p12 p21 p39 p11 p36 p22 p6 p38")
        self.assertEqual(sorted(found), sorted(names))
