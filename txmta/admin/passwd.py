"""
C{txmta passwd}: accounts for clients that log in, in a file.

Owns: the lines of the file, one account each: name and hash; asking for passwords.
Knows nothing of: hashes (L{txmta.passwords}), the server: it reads the file as a
    table (smtpd_sasl_type = txmta).

The file is replaced whole, so that nobody ever reads half of it; others than owner
and group can never read it. Passwords are never arguments: those every user of the
machine can see.

Sources: passwd(1), htpasswd(1); texthash: in L{txmta.maps.text}.

Errors: one line on standard error; exit status 1, or 64 for a wrong command.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import getpass
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from txmta import passwords
from txmta.admin.common import Fatal, Tool, main_cf, write

#: Octets of a user name, as in the server.
MAX_NAME = 320

#: Octets of a password.
MAX_PASSWORD = 1024

_TYPES = ("texthash", "hash")


class File:
    """
    A file with accounts.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self) -> list[str]:
        """
        @return: all of them, comments too; none, if there is no file.
        """
        try:
            return self.path.read_text("utf-8").splitlines()
        except FileNotFoundError:
            return []
        except UnicodeDecodeError:
            raise Fatal(f"{self.path}: is no text in UTF-8") from None

    def accounts(self) -> Mapping[str, str]:
        """
        @return: name to hash.
        """
        return dict(filter(None, map(_entry, self.lines())))

    def change(self, name: str, stored: str | None) -> None:
        """
        @param stored: a hash; L{None}: there is no such account any more.
        """
        with self._locked():
            kept = [x for x in self.lines() if (_entry(x) or ("",))[0] != name]
            new = [*kept, *([f"{name} {stored}"] if stored is not None else [])]
            self._write("".join(f"{line}\n" for line in new))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
            os.fsync(folder)
        finally:
            os.close(folder)

    def _write(self, text: str) -> None:
        descriptor, temporary = tempfile.mkstemp(
            prefix=f".{self.path.name}.", dir=self.path.parent
        )
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                self._keep_rights(file.fileno())
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.path)
        except BaseException:
            os.unlink(temporary)
            raise

    def _keep_rights(self, descriptor: int) -> None:
        """
        Owner and group stay; what others may do does not.
        """
        with contextlib.suppress(FileNotFoundError):
            old = os.stat(self.path)
            new = os.fstat(descriptor)
            if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
                os.fchown(descriptor, old.st_uid, old.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(old.st_mode) & 0o640 | 0o600)


def _entry(line: str) -> tuple[str, str] | None:
    words = line.split(None, 1)
    if len(words) != 2 or line[0] in "# \t":
        return None
    return words[0], words[1].strip()


def main(arguments: Sequence[str] | None = None) -> int:
    """
    @return: the exit status.
    """
    parser = _parser()
    try:
        options = parser.parse_args(arguments)
    except SystemExit as e:
        return 64 if e.code else 0
    tool = Tool("txmta passwd", parser.format_usage(), 1)
    work: Callable[[argparse.Namespace, File], None] = _ACTIONS[options.action]
    return tool.run(lambda: work(options, File(_path(options))))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="txmta passwd", description="Accounts for clients that log in."
    )
    parser.add_argument("action", choices=[*_ACTIONS], help="what to do")
    parser.add_argument("name", nargs="?", default="", help="of the account")
    parser.add_argument(
        "-c", dest="folder", default="", help="folder with main.cf, for its table"
    )
    parser.add_argument("-f", dest="file", default="", help="the file")
    parser.add_argument(
        "-s",
        dest="scheme",
        default=passwords.DEFAULT_SCHEME,
        help=f"of the hash: {', '.join(passwords.MADE)}",
    )
    parser.add_argument(
        "--stdin", action="store_true", help="the password is a line there"
    )
    return parser


def _path(options: argparse.Namespace) -> Path:
    if options.file:
        return Path(options.file)
    value = main_cf(options.folder).text("smtpd_sasl_path")
    kind, colon, name = value.partition(":")
    if not colon or kind not in _TYPES or not name:
        raise Fatal(
            f"smtpd_sasl_path = {value} names no file: say which with -f, or write "
            "smtpd_sasl_path = texthash:/etc/txmta/accounts"
        )
    return Path(name)


def _name(options: argparse.Namespace) -> str:
    name: str = options.name
    if not name:
        raise Fatal(f"{options.action}: whose account?", 64)
    bad = not name.isprintable() or len(name.split()) != 1 or name[0] == "#"
    if bad or len(name.encode()) > MAX_NAME:
        raise Fatal(f"{name!r}: no name for an account: no spaces, no # at the start")
    return name


def _password(options: argparse.Namespace, twice: bool) -> str:
    if options.stdin:
        line = sys.stdin.readline(MAX_PASSWORD + 2)
        password = line.removesuffix("\n")
    else:
        password = getpass.getpass("Password: ")
        if twice and getpass.getpass("Again: ") != password:
            raise Fatal("these are two passwords: nothing has changed")
    if not password or len(password.encode()) > MAX_PASSWORD or "\0" in password:
        raise Fatal(f"a password has 1 to {MAX_PASSWORD} octets: nothing has changed")
    return password


def _set(options: argparse.Namespace, file: File, there: bool) -> None:
    name = _name(options)
    if (name in file.accounts()) is not there:
        other = "change" if not there else "add"
        what = "there is such an account" if not there else "there is no such account"
        raise Fatal(f"{name}: {what}: try txmta passwd {other} {name}")
    try:
        stored = passwords.make(_password(options, twice=True), options.scheme)
    except passwords.BadHash as e:
        raise Fatal(str(e)) from None
    file.change(name, stored)


def _add(options: argparse.Namespace, file: File) -> None:
    _set(options, file, there=False)


def _change(options: argparse.Namespace, file: File) -> None:
    _set(options, file, there=True)


def _delete(options: argparse.Namespace, file: File) -> None:
    name = _name(options)
    if name not in file.accounts():
        raise Fatal(f"{name}: there is no such account")
    file.change(name, None)


def _list(options: argparse.Namespace, file: File) -> None:
    for name, stored in file.accounts().items():
        try:
            scheme = passwords.split(stored)[0]
        except passwords.BadHash as e:
            scheme = str(e)
        write(f"{name}\t{scheme}\n")


def _check(options: argparse.Namespace, file: File) -> None:
    name = _name(options)
    stored = file.accounts().get(name)
    if stored is None:
        raise Fatal(f"{name}: there is no such account")
    try:
        good = passwords.verify(stored, _password(options, twice=False))
    except passwords.BadHash as e:
        raise Fatal(f"{name}: {e}") from None
    if not good:
        raise Fatal(f"{name}: that is not the password")


_ACTIONS: Mapping[str, Callable[[argparse.Namespace, File], None]] = {
    "add": _add,
    "change": _change,
    "delete": _delete,
    "list": _list,
    "check": _check,
}


if __name__ == "__main__":
    sys.exit(main())
