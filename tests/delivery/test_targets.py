"""
L{txmta.delivery.targets}
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txmta.delivery.targets import Kind, targets

ADDRESSES = {
    "bob": ["bob"],
    "bob, far@else.test": ["bob", "far@else.test"],
    " bob ,\tjoe , ": ["bob", "joe"],
    "one two": ["one", "two"],
    "Bob Smith <bob>": ["bob"],
    "Bob Smith <bob>, joe": ["bob", "joe"],
    '"bob smith"@else.test': ["bob smith@else.test"],
    '"bob, smith"@else.test, joe': ["bob, smith@else.test", "joe"],
    "friends: bob, joe;": ["bob", "joe"],
    "\\bob": ["bob"],
    "bob (a comment, here), joe": ["bob", "joe"],
    "": [],
    ", ,": [],
    "(only a comment)": [],
}

OTHERS = {
    '"|/usr/bin/vacation bob"': (Kind.COMMAND, "|/usr/bin/vacation bob"),
    "|/usr/bin/cat": (Kind.COMMAND, "|/usr/bin/cat"),
    '"|cmd <x >y, z"': (Kind.COMMAND, "|cmd <x >y, z"),
    "/var/mail/archive": (Kind.FILE, "/var/mail/archive"),
    '"/a file"': (Kind.FILE, "/a file"),
    "~/archive": (Kind.FILE, "~/archive"),
    ":include:/etc/list": (Kind.INCLUDE, ":include:/etc/list"),
    '":Include:/etc/a list"': (Kind.INCLUDE, ":Include:/etc/a list"),
}


class TargetTests(SynchronousTestCase):
    def test_addresses(self) -> None:
        """
        As Debian's Postfix reads them.
        """
        for text, expected in ADDRESSES.items():
            found = list(targets(text))
            self.assertEqual([t.text for t in found], expected, text)
            self.assertEqual({t.kind for t in found} - {Kind.ADDRESS}, set(), text)

    def test_others(self) -> None:
        """
        Nothing that is a command or a file is ever taken for an address.
        """
        for text, expected in OTHERS.items():
            self.assertEqual([(t.kind, t.text) for t in targets(text)], [expected])

    def test_total_and_linear(self) -> None:
        """
        Any text is legal, and much of it is read in reasonable time.
        """
        for unit in ('"', "<", "(", "\\", ",", "a ", '"\\', "<(", ":", "a,", "@"):
            for _ in targets(unit * (1 << 16)):
                break
            for _ in targets(unit * 2000):
                pass
