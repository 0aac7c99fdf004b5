"""
L{txmta.delivery.list_files}
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from txmta.delivery.list_files import (
    MAX_FORWARD,
    MAX_INCLUDE,
    check_home,
    read_forward,
    read_include,
    table_owner,
)
from txmta.delivery.questions import Account, Listed, Trouble

US = os.geteuid()


def nobody(uid: int) -> Account | None:
    return None


def failing(number: int, when: Callable[[Any], bool]) -> Callable[..., Any]:
    """
    @return: for L{os.lstat} and its like: fails for some paths.
    """

    def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *args: Any, **kwargs: Any) -> Any:
            if when(path):
                raise OSError(number, os.strerror(number), path)
            return real(path, *args, **kwargs)

        return call

    return wrap


class FileCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Path(self.mktemp()).absolute()
        self.home.mkdir(parents=True)
        self.account = Account("bob", US, 1000, str(self.home))
        self.path = self.home / ".forward"

    def fail(self, name: str, number: int, path: Path | None = None) -> None:  # type: ignore[override]
        target = str(path or self.path)
        wrap = failing(number, lambda p: p == target)
        self.patch(os, name, wrap(getattr(os, name)))


class ForwardTests(FileCase):
    def read(self, refusal: str = "") -> Listed | Trouble | None:
        return read_forward(self.account, [str(self.path)], refusal)

    def warning(self) -> str:
        listed = self.read()
        assert isinstance(listed, Listed)
        self.assertEqual(listed.text, "")
        return listed.warning.replace(str(self.path), "PATH")

    def test_text(self) -> None:
        """
        Octets that are not UTF-8 are no trouble.
        """
        self.path.write_bytes(b"bob\xff, j\xc3\xb6e\n")
        self.assertEqual(self.read(), Listed(str(self.path), "bob\udcff, j\xf6e\n"))

    def test_first(self) -> None:
        """
        The first that exists counts, even if it is of no use.
        """
        first, second = self.home / "a", self.home / "b"
        paths = [str(self.home / "none"), str(first), str(second)]
        second.write_text("second")
        self.assertEqual(
            read_forward(self.account, paths, ""), Listed(str(second), "second")
        )
        first.mkdir()
        listed = read_forward(self.account, paths, "")
        assert isinstance(listed, Listed)
        self.assertEqual((listed.path, listed.text), (str(first), ""))

    def test_not_regular(self) -> None:
        """
        A FIFO is not even opened: that would wait for ever.
        """
        for make in (
            os.mkfifo,
            os.mkdir,
            lambda path: os.symlink("/etc/passwd", path),
        ):
            make(self.path)
            self.assertEqual(self.warning(), "file PATH is not a regular file")
            os.rmdir(self.path) if self.path.is_dir() else self.path.unlink()

    def test_writable(self) -> None:
        """
        For everybody; a group is trusted, as by Postfix.
        """
        self.path.write_text("far@else.test")
        self.path.chmod(0o666)
        self.assertEqual(self.warning(), "file PATH is world writable")
        self.path.chmod(0o664)
        self.assertEqual(self.read(), Listed(str(self.path), "far@else.test"))

    def test_owner(self) -> None:
        """
        The user or root.
        """
        self.path.write_text("x")
        if US == 0:
            os.chown(self.path, 7, 7)
            self.assertEqual(self.warning(), "file PATH has bad owner uid 7")
            os.chown(self.path, 0, 0)
        self.account = Account("other", US + 1, 1, str(self.home))
        found = self.read()
        assert isinstance(found, Listed)
        self.assertEqual(found.text, "x" if US == 0 else "")

    def test_absent(self) -> None:
        """
        Also where we, with the user's rights, may not look.
        """
        self.assertIsNone(self.read())
        for path in ("/dev/null/x", f"{self.home}/{'x' * 300}", "a\0b"):
            self.assertIsNone(read_forward(self.account, [path], ""))
        self.fail("lstat", errno.EACCES)
        self.assertIsNone(self.read())

    def test_no_answer(self) -> None:
        """
        A file system that does not answer is not an absent file: the mail
        would go to the wrong place.
        """
        self.path.write_text("far@else.test")
        for name, number in (
            ("open", errno.EIO),
            ("open", errno.EMFILE),
            ("lstat", errno.ESTALE),
        ):
            self.fail(name, number)
            trouble = self.read()
            assert isinstance(trouble, Trouble), name
            self.assertEqual(trouble.status, "4.3.0")

    def test_cannot_open(self) -> None:
        self.path.write_text("far@else.test")
        self.fail("open", errno.EACCES)
        self.assertEqual(self.warning(), "cannot open file PATH: Permission denied")

    def test_swapped(self) -> None:
        """
        What is put in its place between the look and the opening is looked
        at again: a link is not followed, a file for everybody not trusted.
        """
        real = os.open

        def everybodys() -> None:
            self.path.write_text("evil")
            self.path.chmod(0o666)

        for swap in (
            lambda: self.path.symlink_to("/etc/passwd"),
            lambda: os.mkfifo(self.path),
            everybodys,
        ):
            self.path.write_text("far@else.test")

            def opened(path: Any, *args: Any, swap: Any = swap) -> int:
                self.path.unlink()
                swap()
                return real(path, *args)

            self.patch(os, "open", opened)
            self.assertIn("cannot open file PATH", self.warning())
            self.patch(os, "open", real)
            self.path.unlink()

    def test_huge(self) -> None:
        """
        Deferred, and not read to its end.
        """
        with self.path.open("wb") as file:
            file.truncate(1 << 40)
        trouble = self.read()
        assert isinstance(trouble, Trouble)
        self.assertEqual(trouble.status, "4.3.0")
        self.assertIn(f"more than {MAX_FORWARD} octets", trouble.reason)
        self.path.write_bytes(b"x" * MAX_FORWARD)
        found = self.read()
        assert isinstance(found, Listed)
        self.assertEqual(len(found.text), MAX_FORWARD)

    def test_not_ours(self) -> None:
        """
        Without the user's rights: never opened. None is none; else the mail
        waits, and the reason says for what.
        """
        self.patch(os, "open", None)
        self.assertIsNone(self.read("whose rights we lack"))
        self.path.write_text("far@else.test")
        for _ in range(2):
            trouble = self.read("whose rights we lack")
            assert isinstance(trouble, Trouble)
            self.assertEqual(trouble.status, "4.3.5")
            self.assertIn("forward_path", trouble.reason)
            # Not allowed to look: we cannot say that there is none.
            self.fail("lstat", errno.EACCES)


class IncludeTests(FileCase):
    def setUp(self) -> None:
        super().setUp()
        self.path = self.home / "list"
        self.path.write_text("joe\n")

    def read(self, superuser: bool = True, find: Any = nobody) -> Listed | Trouble:
        return read_include(str(self.path), superuser, find)

    def bounced(self) -> str:
        trouble = self.read(False)
        assert isinstance(trouble, Trouble)
        self.assertEqual(
            (trouble.status, trouble.reason),
            ("5.3.5", "mail system configuration error"),
        )
        return trouble.warning.replace(str(self.path), "PATH")

    def test_text(self) -> None:
        self.assertEqual(self.read(False), Listed(str(self.path), "joe\n"))

    def test_link(self) -> None:
        """
        An include file may be a link, unlike a .forward file.
        """
        real = self.home / "real"
        self.path.rename(real)
        self.path.symlink_to(real)
        self.assertEqual(self.read(False), Listed(str(self.path), "joe\n"))

    def test_refused(self) -> None:
        """
        As by Postfix: bounced, with a warning for the administrator.
        """
        self.path.chmod(0o666)
        self.assertEqual(self.bounced(), ":include: file PATH is world writable")
        self.path.unlink()
        self.assertEqual(
            self.bounced(),
            "unable to lookup :include: file PATH: No such file or directory",
        )
        for make in (os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)):
            make(self.path)
            self.assertEqual(
                self.bounced(), ":include: file PATH is not a regular file"
            )
            os.rmdir(self.path) if self.path.is_dir() else self.path.unlink()

    def test_unreadable(self) -> None:
        self.fail("open", errno.EACCES)
        self.assertEqual(
            self.bounced(), "cannot open include file PATH: Permission denied"
        )

    def test_no_answer(self) -> None:
        """
        Nobody's mail bounces for a server that is down.
        """
        for name, number in (("open", errno.EIO), ("stat", errno.ESTALE)):
            self.fail(name, number)
            trouble = self.read(False)
            assert isinstance(trouble, Trouble)
            self.assertEqual(trouble.status, "4.3.0")

    def test_huge(self) -> None:
        with self.path.open("wb") as file:
            file.truncate(1 << 40)
        trouble = self.read(False)
        assert isinstance(trouble, Trouble)
        self.assertEqual(trouble.status, "4.3.0")
        self.assertIn(f"more than {MAX_INCLUDE} octets", trouble.reason)

    def test_owner(self) -> None:
        """
        What a user writes into a list of root's has the user's rights; a
        user's own alias lends nobody else's.
        """
        if US == 0:
            os.chown(self.path, 7, 7)
        account = Account("u", 7, 7, "/")
        uid = os.stat(self.path).st_uid
        found = self.read(True, lambda n: account if n == uid else None)
        assert isinstance(found, Listed)
        self.assertEqual(found.account, account)
        found = self.read(False, lambda n: account)
        assert isinstance(found, Listed)
        self.assertIsNone(found.account)
        trouble = self.read(True)
        assert isinstance(trouble, Trouble)
        self.assertEqual(trouble.status, "4.3.5")


class OtherTests(FileCase):
    def test_home(self) -> None:
        self.assertIsNone(check_home(self.account))
        self.home.rmdir()
        trouble = check_home(self.account)
        assert trouble is not None
        self.assertEqual(
            (trouble.status, trouble.reason),
            (
                "4.3.0",
                f"cannot access home directory {self.home}: No such file or directory",
            ),
        )

    def test_table_owner(self) -> None:
        """
        Of the file of a table; what is no file only main.cf can have named.
        """
        self.path.write_text("")
        self.assertEqual(table_owner(f"hash:{self.path}"), US)
        self.assertEqual(table_owner(f"proxy:hash:{self.path}"), US)
        self.assertEqual(table_owner("inline:{a=b}"), 0)
        self.assertRaises(OSError, table_owner, f"hash:{self.home}/none")
