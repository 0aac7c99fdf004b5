"""
What master.cf says after C{pipe}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txmta.config.master_cf import parse_master_cf
from txmta.delivery.pipe_attributes import (
    BadAttributes,
    PipeAttributes,
    parse,
    unescape,
)


class ParseTests(SynchronousTestCase):
    def of(self, text: str) -> PipeAttributes:
        (service,) = parse_master_cf("x", f"x unix - n n - - pipe {text}\n")
        return parse(service.arguments)

    def wrong(self, text: str) -> str:
        return str(self.assertRaises(BadAttributes, self.of, text))

    def test_all(self) -> None:
        found = self.of(
            "flags=DRhu. user=list:mail directory=/var/x chroot=/c eol=\\r\\n "
            "null_sender= size=10240 argv=/bin/x -f ${sender} { a  b } {{c}} user=y"
        )
        self.assertEqual(
            found,
            PipeAttributes(
                ("/bin/x", "-f", "${sender}", "a  b", "{c}", "user=y"),
                "list",
                "mail",
                frozenset("DRhu."),
                "/var/x",
                "/c",
                b"\r\n",
                "",
                10240,
            ),
        )

    def test_defaults(self) -> None:
        found = self.of("user=nobody argv=x")
        self.assertEqual(found, PipeAttributes(("x",), "nobody"))
        self.assertEqual(found.eol, b"\n")
        self.assertEqual(found.null_sender, "MAILER-DAEMON")
        self.assertEqual(found.single, "")

    def test_braces(self) -> None:
        """
        An attribute with white space is written in braces.
        """
        found = self.of("{ FLAGS = F } {flags=q} {user=a} {directory = /a b} argv=x")
        self.assertEqual(found.flags, frozenset("Fq"))
        self.assertEqual(found.directory, "/a b")

    def test_postfix_own(self) -> None:
        """
        The services in Postfix's own master.cf are understood.
        """
        for text in (
            "flags=DRXhu user=vmail argv=/usr/bin/maildrop -d ${recipient}",
            "flags=Fqhu user=uucp argv=uux -r -n -z -a$sender - $nexthop!rmail "
            "($recipient)",
            "flags=F user=ftn argv=/usr/lib/ifmail/ifmail -r $nexthop ($recipient)",
            "flags=Fq. user=bsmtp argv=/usr/lib/bsmtp/bsmtp -t$nexthop -f$sender "
            "$recipient",
            "flags=R user=scalemail argv=/usr/lib/scalemail/bin/scalemail-store "
            "${nexthop} ${user} ${extension}",
            "flags=FRX user=list argv=/usr/lib/mailman/bin/postfix-to-mailman.py "
            "${nexthop} ${user}",
        ):
            self.of(text)

    def test_wrong(self) -> None:
        """
        Each in Postfix's words, and with what to write.
        """
        for text, told in (
            ("user=a", "missing argv= command-line attribute"),
            ("user=a argv=", "missing argv= command-line attribute"),
            ("argv=x", "missing user= command-line attribute"),
            ("user=:mail argv=x", "missing user= command-line attribute"),
            ("user=a flags=Dz argv=x", "unknown flag: z"),
            ("user=a size=1k argv=x", "bad size= value: 1k"),
            ("user=a size=-1 argv=x", "bad size= value: -1"),
            ("user=a shell=x argv=x", "unknown attribute name: shell=x"),
            ("user=a /bin/x", "unknown attribute name: /bin/x"),
            ("user=a argv=x $foo", "unknown macro name: foo"),
            ("user=a directory=x argv=x", "directory=x: write a path from / on"),
            ("user=a chroot=x argv=x", "chroot=x: write a path from / on"),
        ):
            self.assertIn(told, self.wrong(text), text)

    def test_all_at_once(self) -> None:
        problems = self.assertRaises(BadAttributes, parse, ("flags=z", "size=x"))
        self.assertEqual(len(problems.problems), 4)

    def test_program_is_fixed(self) -> None:
        """
        No message chooses what is run.
        """
        self.assertIn("depend on the message", self.wrong("user=a argv=$user x"))
        self.assertIn("depend on the message", self.wrong("user=a argv=/b/$nexthop"))

    def test_unescape(self) -> None:
        """
        As Debian's Postfix.
        """
        for text, octets in (
            (r"\n", b"\n"),
            (r"\r\n", b"\r\n"),
            (r"\041\a\q\\", b"!\aq\\"),
            (r"\0x\1234\b\f\t\v", b"\0xS4\b\f\t\v"),
            ("ä", b"\xc3\xa4"),
            ("x\\", b"x\\"),
        ):
            self.assertEqual(unescape(text), octets)
