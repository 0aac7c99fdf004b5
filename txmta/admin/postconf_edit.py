"""
C{postconf -e}, C{-X} and C{-#}: main.cf and master.cf are edited in place.

Owns: which lines change; comments and all other lines stay as they are.
Knows nothing of: options of the command line.

Sources: Postfix's postconf(1). Debian's C{postconf} is the oracle of the tests.

Errors: L{Fatal<txmta.admin.common.Fatal>}; the file is as it was, then.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from txmta.admin.common import Fatal
from txmta.admin.postconf_files import read
from txmta.config.master_lines import SPACE, split_name_value

Warn = Callable[[str], None]


class Edit(Enum):
    """
    What becomes of what is named.
    """

    SET = "-e"
    REMOVE = "-X"
    COMMENT = "-#"


@dataclass
class Line:
    """
    A line of a file and those that continue it.

    @ivar head: the first; C{""} for comments and what continues nothing.
    @ivar rest: what follows, comments among it.
    @ivar number: of the first.
    """

    head: str
    rest: list[str]
    number: int

    @property
    def text(self) -> str:
        """
        The logical line; line ends are left in.
        """
        return "".join((self.head, *filter(is_content, self.rest)))

    def as_it_was(self) -> str:
        return "".join((self.head, *self.rest))

    def commented(self) -> str:
        return "".join(
            f"#{each}" if is_content(each) else each for each in (self.head, *self.rest)
        )

    def comments(self) -> str:
        """
        What stays when the rest goes.
        """
        return "".join(each for each in self.rest if not is_content(each))


def is_content(line: str) -> bool:
    """
    @return: is it neither a comment nor empty?
    """
    bare = line.strip(SPACE)
    return bool(bare) and bare[0] != "#"


def lines_of(text: str) -> Iterator[Line]:
    """
    @return: all of a file; every line has its end.
    """
    line = Line("", [], 1)
    for number, each in enumerate(text.split("\n"), 1):
        if number == text.count("\n") + 1 and not each:
            break
        if is_content(each) and each[0] not in SPACE:
            yield line
            line = Line(f"{each}\n", [], number)
        else:
            line.rest.append(f"{each}\n")
    yield line


def edit_main(path: str, arguments: Sequence[str], edit: Edit, warn: Warn) -> None:
    """
    @param path: of main.cf.
    @param arguments: C{name=value}, or names to remove or comment out.
    """
    wanted = _wanted(arguments, edit, warn)
    with replaced(path) as edited:
        found: dict[str, int] = {}
        for line in lines_of(edited.text):
            name = _name(line.head)
            if name not in wanted:
                edited.add(line.as_it_was())
                continue
            found[name] = found.get(name, 0) + 1
            if found[name] == 2:
                warn(f'{path}: multiple entries for "{name}"')
            if edit is Edit.COMMENT:
                edited.add(line.commented())
                continue
            if edit is Edit.SET:
                edited.add(f"{name} = {wanted[name]}\n")
            edited.add(line.comments())
        if edit is Edit.SET:
            for name in sorted(set(wanted) - set(found)):
                edited.add(f"{name} = {wanted[name]}\n")


def _name(head: str) -> str:
    for at, c in enumerate(head):
        if c in SPACE or c == "=":
            return head[:at]
    return head


def _wanted(arguments: Sequence[str], edit: Edit, warn: Warn) -> dict[str, str]:
    wanted: dict[str, str] = {}
    for argument in arguments:
        if "\n" in argument:
            raise Fatal("-e, -X, or -# accepts no multi-line input")
        text = argument.lstrip(SPACE)
        if text.startswith("#"):
            raise Fatal("-e, -X, or -# accepts no comment input")
        if edit is Edit.SET:
            try:
                name, value = split_name_value(text)
            except ValueError as e:
                raise Fatal(f'{e}: "{text}"') from e
        else:
            if not text:
                raise Fatal("-X or -# requires non-blank parameter names")
            if "=" in text:
                raise Fatal("-X or -# requires parameter names without value")
            name, value = text.rstrip(SPACE), ""
        if name in wanted:
            warn(f"ignoring earlier request: '{name} = {wanted[name]}'")
        wanted[name] = value
    return wanted


class Edited:
    """
    @ivar text: what is in the file.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._parts: list[str] = []

    def add(self, text: str) -> None:
        """
        To the end of what will be in the file.
        """
        self._parts.append(text)

    def octets(self) -> bytes:
        return "".join(self._parts).encode("utf-8", "surrogateescape")


@contextlib.contextmanager
def replaced(path: str) -> Iterator[Edited]:
    """
    Read a file, and put another in its place, with the same owner and mode, once
    that is on disk. One edit at a time; a symbolic link stays one.
    """
    real = os.path.realpath(path)
    temporary = f"{real}.tmp"
    try:
        descriptor = _lock(temporary)
    except OSError as e:
        raise Fatal(f"open {path}.tmp: {e.strerror}") from e
    with open(descriptor, "wb") as file:
        try:
            edited = Edited(read(path, " for reading"))
            yield edited
            _finish(file.fileno(), edited.octets(), real)
            os.rename(temporary, real)
        except BaseException as e:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            if isinstance(e, OSError):
                raise Fatal(f"close {path}.tmp: {e.strerror}") from e
            raise
    with contextlib.suppress(OSError):
        folder = os.open(os.path.dirname(real), os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _lock(temporary: str) -> int:
    """
    @return: the new file, empty, which nobody else writes.
    """
    while True:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            ours = os.fstat(descriptor)
            with contextlib.suppress(FileNotFoundError):
                there = os.stat(temporary, follow_symlinks=False)
                # the one before us may have renamed or removed it
                if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
                    os.ftruncate(descriptor, 0)
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _finish(descriptor: int, octets: bytes, like: str) -> None:
    before = os.stat(like)
    now = os.fstat(descriptor)
    if (now.st_uid, now.st_gid) != (before.st_uid, before.st_gid):
        os.fchown(descriptor, before.st_uid, before.st_gid)
    os.fchmod(descriptor, before.st_mode & 0o7777)
    view = memoryview(octets)
    while view:
        view = view[os.write(descriptor, view) :]
    os.fsync(descriptor)
