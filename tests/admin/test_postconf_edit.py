"""
L{txmta.admin.postconf_edit}, L{txmta.admin.postconf_edit_master}.
"""

from __future__ import annotations

import os
from pathlib import Path
from threading import Thread
from unittest import skipIf

from tests.admin.postconf_case import PostconfCase
from txmta.admin.common import Fatal
from txmta.admin.postconf_edit import Edit, edit_main, replaced

MAIN = """\
# a comment
a = 1
  # inside
  2

relayhost=x
  y
# end
b = 3
"""

MASTER = """\
# head
smtp unix - n n - 0 smtp
  -o a=1
# inside
  -o b=2 x

foo inet n n n - 0 foo
"""


class MainTests(PostconfCase):
    def setUp(self) -> None:
        super().setUp()
        self.given(MAIN, MASTER)

    def test_set(self) -> None:
        """
        In its place; comments stay; new ones at the end, sorted.
        """
        self.postconf("relayhost = z = 1", "d=", "c=2")
        self.assertEqual(
            self.main_cf(),
            MAIN.replace("relayhost=x\n  y\n", "relayhost = z = 1\n") + "c = 2\nd = \n",
        )
        self.postconf("-e", "a=9")
        self.assertIn("# a comment\na = 9\n  # inside\n\nrelayhost", self.main_cf())

    def test_remove(self) -> None:
        self.postconf("-X", "a", "relayhost", "unknown")
        self.assertEqual(self.main_cf(), "# a comment\n  # inside\n\n# end\nb = 3\n")

    def test_comment_out(self) -> None:
        self.postconf("-#", "a", "b")
        self.assertEqual(
            self.main_cf(),
            MAIN.replace("a = 1", "#a = 1")
            .replace("  2", "#  2")
            .replace("b =", "#b ="),
        )

    def test_several(self) -> None:
        """
        All of one name are set; of two requests, the last counts.
        """
        self.given("a = 1\na = 2\na = 3")
        self.postconf("a=4", "a=5")
        self.assertEqual(self.main_cf(), "a = 5\na = 5\na = 5\n")
        self.warned(
            "ignoring earlier request: 'a = 4'", './main.cf: multiple entries for "a"'
        )

    def test_refused(self) -> None:
        for arguments, why in (
            (("-e", "a"), "missing '=' after attribute name: \"a\""),
            (("a=1", "b\nc=2"), "-e, -X, or -# accepts no multi-line input"),
            (("a=1", "#b=2"), "-e, -X, or -# accepts no comment input"),
            (("-X", "a", ""), "-X or -# requires non-blank parameter names"),
            (("-#", "a", "b=1"), "-X or -# requires parameter names without value"),
        ):
            self.refused(why, *arguments)
            self.assertEqual(self.main_cf(), MAIN)

    def test_file(self) -> None:
        """
        Mode and symbolic link stay; nothing else is left behind.
        """
        real = self.folder / "real.cf"
        (self.folder / "main.cf").rename(real)
        real.chmod(0o640)
        (self.folder / "main.cf").symlink_to("real.cf")
        self.postconf("b=4")
        self.assertTrue((self.folder / "main.cf").is_symlink())
        self.assertIn("b = 4\n", real.read_text())
        self.assertEqual(real.stat().st_mode & 0o7777, 0o640)
        names = {path.name for path in self.folder.iterdir()}
        self.assertEqual(names, {"main.cf", "real.cf", "master.cf"})

    @skipIf(os.geteuid() != 0, "needs root: to give a file away")
    def test_owner(self) -> None:
        path = self.folder / "main.cf"
        os.chown(path, 65534, 65534)
        self.postconf("b=4")
        self.assertEqual((path.stat().st_uid, path.stat().st_gid), (65534, 65534))

    def test_failure(self) -> None:
        """
        What goes wrong half-way leaves the file as it was.
        """
        path = str(self.folder / "main.cf")

        def fail() -> None:
            with replaced(path) as edited:
                edited.add("half")
                raise OSError(28, "No space left on device")

        error = self.assertRaises(Fatal, fail)
        self.assertEqual(str(error), f"close {path}.tmp: No space left on device")
        self.assertEqual(self.main_cf(), MAIN)
        self.assertFalse(os.path.exists(f"{path}.tmp"))

    def test_no_file(self) -> None:
        (self.folder / "main.cf").unlink()
        self.refused("open ./main.cf for reading: No such file or directory", "a=1")
        self.assertFalse((self.folder / "main.cf.tmp").exists())

    def test_link_in_the_way(self) -> None:
        """
        Nobody's file is written through a link that has the temporary name.
        """
        (self.folder / "main.cf.tmp").symlink_to("victim")
        self.postconf("a=1", status=1)
        self.assertFalse((self.folder / "victim").exists())

    def test_synced(self) -> None:
        """
        The new file is on disk before it has the name, and then the name.
        """
        done: list[str] = []
        fsync, rename = os.fsync, os.rename

        def synced(descriptor: int) -> None:
            path = os.readlink(f"/proc/self/fd/{descriptor}")
            done.append(f"sync {os.path.basename(path)}")
            if path.endswith("main.cf.tmp"):
                self.assertEqual(Path(path).read_text(), f"{MAIN}c = 1\n")
            fsync(descriptor)

        def renamed(old: str, new: str) -> None:
            done.append(f"rename {os.path.basename(old)} {os.path.basename(new)}")
            rename(old, new)

        self.patch(os, "fsync", synced)
        self.patch(os, "rename", renamed)
        self.postconf("c=1")
        folder = f"sync {self.folder.name}"
        self.assertEqual(
            done, ["sync main.cf.tmp", "rename main.cf.tmp main.cf", folder]
        )

    def test_left_behind(self) -> None:
        """
        What an edit before left, when it was killed, is in nobody's way.
        """
        (self.folder / "main.cf.tmp").write_text("rest of before, longer than all\n")
        self.given("")
        self.postconf("a=1")
        self.assertEqual(self.main_cf(), "a = 1\n")

    def test_two_at_a_time(self) -> None:
        """
        No change is lost.
        """
        path = str(self.folder / "main.cf")
        threads = [
            Thread(target=edit_main, args=(path, [f"x{n}={n}"], Edit.SET, self.fail))
            for n in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        for n in range(20):
            self.assertIn(f"x{n} = {n}\n", self.main_cf())


class MasterTests(PostconfCase):
    def setUp(self) -> None:
        super().setUp()
        self.given("", MASTER)

    def test_parameters(self) -> None:
        self.postconf("-P", "smtp/unix/b=3", "smtp/unix/c=4", "*/inet/d=5")
        self.assertEqual(
            self.master_cf(),
            "# head\n"
            "smtp       unix  -       n       n       -       0       smtp\n"
            "    -o a=1\n    -o b=3\n    -o c=4\n    x\n# inside\n\n"
            "foo        inet  n       n       n       -       0       foo\n"
            "    -o d=5\n",
        )

    def test_remove_parameters(self) -> None:
        self.postconf("-PX", "smtp/unix/a")
        self.assertIn("smtp\n    -o b=2\n    x\n# inside\n", self.master_cf())
        self.postconf("-PX", "x/y/z")
        self.warned('unmatched service_name/type: "x/y/z"')

    def test_fields(self) -> None:
        self.postconf("-F", "foo/inet/chroot = y", "foo/inet/command = a -ob=c {d e} f")
        self.assertTrue(
            self.master_cf().endswith(
                "\n\nfoo        inet  n       n       y       -       0       a\n"
                "    -o b=c\n    d e f\n"
            ),
            self.master_cf(),
        )

    def test_entries(self) -> None:
        """
        Replaced in place, or added; one that has the new name goes.
        """
        self.given("", "a unix - - - - - x\nb unix - - - - - x\nc unix - - - - - x\n")
        self.postconf("-M", "a/unix=b unix - - - - - y", "d/unix = e unix - - - - - z")
        rows = [row.split() for row in self.master_cf().splitlines()]
        self.assertEqual(
            [(row[0], row[7]) for row in rows], [("b", "y"), ("c", "x"), ("e", "z")]
        )

    def test_remove_and_comment_out(self) -> None:
        self.postconf("-M#", "smtp/unix")
        self.assertEqual(
            self.master_cf(),
            MASTER.replace("smtp unix", "#smtp unix").replace("  -o", "#  -o"),
        )
        self.given("", MASTER)
        self.postconf("-MX", "smtp/*", "no/unix")
        self.assertEqual(
            self.master_cf(), "# head\n# inside\n\nfoo inet n n n - 0 foo\n"
        )
        self.warned()

    def test_refused(self) -> None:
        for arguments, why in (
            ("-M smtp=x", "-Me, -MX or -M# requires service_name/type"),
            ("-F smtp/unix=x", "-Fe or -FX requires service_name/type/field_name"),
            ("-P smtp/unix=x", "-Pe or -PX requires service_name/type/parameter"),
            ("-P smtp/unix/*=x", "-Pe does not accept wild-card parameter name"),
            ("-F smtp/unix/*=x", "-Fe does not accept wild-card field name"),
            ("-M smtp/unix=x", 'bad field count: "smtp/unix=x"'),
            ("-F smtp/unix/chroot=x", 'invalid chroot field "x" in "x"'),
            (
                "-F smtp/unix/service=",
                'invalid service field "" in "smtp/unix/service="',
            ),
            (
                "-F smtp/unix/command=",
                'invalid command field "" in "smtp/unix/command="',
            ),
            ("-MX a/b=c", "specify one of -e -X"),
        ):
            self.refused(why, *arguments.split())
            self.assertEqual(self.master_cf(), MASTER)
        blank = "-Pe does not accept whitespace in parameter value"
        self.refused(blank, "-P", "smtp/unix/a=b c")
        blank = "-Fe does not accept whitespace in non-command field"
        self.refused(blank, "-F", "smtp/unix/chroot=b c")

    def test_bad_file(self) -> None:
        for text, why in (
            ("a\n b - - - - - c\n", "specify service name and type on the same line"),
            ("a=b unix - - - - - c\n", 'service name syntax "a=b" is unsupported with'),
            (
                "a unix/ - - - - - c\n",
                'service type syntax "unix/" is unsupported with',
            ),
        ):
            self.given("", f"#\n{text}")
            self.postconf("-MX", "x/unix", status=1)
            self.assertIn(f"fatal: file ./master.cf: line 2: {why}", self.told[-1])
            self.assertEqual(self.master_cf(), f"#\n{text}")
