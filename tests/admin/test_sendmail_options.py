"""
L{txmta.admin.sendmail_options}. What Postfix's command does with the same
arguments is in L{tests.interop.test_sendmail_oracle}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txmta.admin.sendmail_options import Options, Refused, parse


class ParseTests(SynchronousTestCase):
    def refused(self, *arguments: str) -> str:
        return str(self.assertRaises(Refused, parse, arguments))

    def fields(self, *arguments: str) -> dict[str, str]:
        return parse(arguments).fields

    def test_nothing(self) -> None:
        options = parse(())
        self.assertEqual(options.mode, "mail")
        self.assertTrue(options.dot_ends)
        self.assertIsNone(options.sender)

    def test_cluster(self) -> None:
        """
        Options without a value can share a hyphen with a last one that has one.
        """
        options = parse(("-tif", "a@b", "-oi", "-Fx y", "c@d"))
        self.assertTrue(options.extract)
        self.assertFalse(options.dot_ends)
        self.assertEqual(options.sender, "a@b")
        self.assertEqual(options.full_name, "x y")
        self.assertEqual(options.arguments, ["c@d"])

    def test_end(self) -> None:
        """
        Nothing is an option after the first argument that is none, or --.
        """
        self.assertEqual(parse(("a@b", "-t")).arguments, ["a@b", "-t"])
        self.assertEqual(parse(("--", "-f@b")).arguments, ["-f@b"])
        self.assertEqual(parse(("-", "-t")).arguments, ["-", "-t"])

    def test_injection(self) -> None:
        """
        A sender or recipient that comes from elsewhere is a value, whatever it
        looks like, and no option writes files.
        """
        options = parse(("-f", "-X/tmp/x", "--", "-C/tmp", "-t"))
        self.assertEqual(options.sender, "-X/tmp/x")
        self.assertFalse(options.extract)
        self.assertIn("unsupported: -X", self.refused("-X", "/var/www/x.php"))
        self.assertIn("unsupported: -X", self.refused("-oi", "-X/var/www/x.php"))
        self.assertEqual(parse(("-OQueueDirectory=/tmp", "x")).arguments, ["x"])

    def test_dsn(self) -> None:
        self.assertEqual(self.fields("-N", "success,delay"), {"notify": "10"})
        self.assertEqual(self.fields("-Nnever"), {"notify": "1"})
        self.assertEqual(
            self.fields("-R", "hdrs", "-V", "id"), self.fields("-Vid", "-Rhdrs")
        )
        self.assertEqual(self.fields("-B8BITMIME"), {"body": "8BITMIME"})
        for arguments in (
            ("-N", "never,success"),
            ("-N", ""),
            ("-R", "x"),
            ("-V", "\u00e4"),
            ("-V", "x" * 101),
        ):
            options = parse(arguments)
            self.assertEqual(options.fields, {})
            self.assertEqual(len(options.warnings), 1)

    def test_verbose(self) -> None:
        """
        -v asks for a report, whatever -N says; -bv for one without delivery,
        which leaves nothing else to ask for.
        """
        self.assertEqual(self.fields("-v"), {"trace": "record"})
        both = {"notify": "1", "trace": "record"}
        self.assertEqual(self.fields("-N", "never", "-v"), both)
        options = parse(["-bv", "-f", "a@b.test", "-Vid", "c@d.test"])
        self.assertEqual(options.mode, "verify")
        self.assertEqual(options.fields, {"envid": "id", "trace": "verify"})
        for argument in ("-v", "-t", "-Nnever"):
            words = f"{argument[:2]} option cannot be used with -bv"
            self.assertEqual(self.refused("-bv", argument, "a@b.test"), words)

    def test_verp(self) -> None:
        """
        What -V meant once is refused with what it means now.
        """
        for arguments in (("-V",), ("-V", "-t"), ("-XV",), ("-XV+=",)):
            self.assertIn("-XV", self.refused(*arguments))

    def test_required_tls(self) -> None:
        """
        What protects the message is not ignored.
        """
        self.assertIn("requiretls", self.refused("-O", "requiretls=yes"))
        parse(("-O", "requiretls=no"))

    def test_modes(self) -> None:
        for argument, mode in (
            ("-bm", "mail"),
            ("-bp", "list"),
            ("-bi", "aliases"),
            ("-I", "aliases"),
            ("-bd", "daemon"),
            ("-bs", "smtp"),
            ("-bv", "verify"),
            ("-q", "flush"),
            ("-qIabc", "flush"),
            ("-qRsite", "flush"),
            ("-q10m", "nothing"),
        ):
            self.assertEqual(parse((argument,)).mode, mode, argument)
        for mode in ("-bp", "-bi", "-bd", "-bs", "-q"):
            self.assertIn("requires no recipient", self.refused(mode, "x"))

    def test_unknown(self) -> None:
        self.assertIn("invalid option -- 'Z'", self.refused("-Z"))
        self.assertIn("invalid option -- '-'", self.refused("--help"))
        self.assertIn("unsupported: -bt", self.refused("-bt"))
        self.assertIn("requires an argument -- 'f'", self.refused("-f"))

    def test_every_letter(self) -> None:
        """
        Every option does something known: taken, ignored, or refused.
        """
        for number in range(33, 127):
            for value in ((), ("x",)):
                try:
                    options = parse((f"-{chr(number)}", *value))
                except Refused as e:
                    self.assertTrue(str(e))
                else:
                    self.assertIsInstance(options, Options)
