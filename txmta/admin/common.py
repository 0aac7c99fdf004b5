"""
What the queue tools have in common: options, words, exit codes, main.cf.

Owns: how an error becomes a line on standard error and an exit status.
Knows nothing of: the queue.

No Twisted here: C{mailq} must be there at once.

Sources: sysexits.h; Postfix C{util/msg_vstream.c}, C{global/mail_conf.c}.

Errors: L{Fatal}.
"""

from __future__ import annotations

import contextlib
import getopt
import os
import sys
from collections.abc import Callable, Sequence

from txmta.admin.quick_settings import QuickSettings
from txmta.errors import ConfigError

EX_UNAVAILABLE, EX_SOFTWARE, EX_IOERR, EX_TEMPFAIL, EX_NOPERM = 69, 70, 74, 75, 77

#: Where main.cf is, if neither C{-c} nor MAIL_CONFIG says so.
DEFAULT_DIRECTORY = "/etc/txmta"


class Fatal(Exception):
    """
    The command ends here.

    @ivar status: its exit status; L{None} is that for all errors of this tool.
    """

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


class Tool:
    """
    One command.

    @ivar name: in front of what it says.
    """

    def __init__(self, name: str, usage: str, status: int) -> None:
        """
        @param status: exit status for errors that have no other.
        """
        self.name = name
        self.usage = usage
        self.status = status

    def run(self, work: Callable[[], None]) -> int:
        """
        @return: the exit status.
        """
        try:
            try:
                work()
                sys.stdout.flush()
            except BrokenPipeError:
                # As "mailq | head" wants it; and nothing is left to flush.
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        except Fatal as e:
            self.say(f"fatal: {e}")
            return self.status if e.status is None else e.status
        except ConfigError as e:
            for problem in e.problems:
                self.say(f"fatal: {problem}")
            return self.status
        except OSError as e:
            self.say(f"fatal: {e.filename or 'output write error'}: {e.strerror}")
            return EX_IOERR
        except KeyboardInterrupt:
            return 130
        return 0

    def say(self, text: str) -> None:
        """
        One line on standard error.
        """
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        line = f"{self.name}: {text}\n".encode("utf-8", "surrogateescape")
        sys.stderr.flush()
        os.write(2, line)

    def options(
        self, arguments: Sequence[str], known: str
    ) -> tuple[list[tuple[str, str]], list[str]]:
        """
        @param known: as for getopt(3).
        @return: letters with their values, and what follows.
        @raise Fatal: with the usage.
        """
        try:
            found, rest = getopt.getopt(list(arguments), known)
        except getopt.GetoptError as e:
            needs = "requires argument" in e.msg
            what = "option requires an argument" if needs else "invalid option"
            self.say(f"{what} -- '{e.opt}'")
            raise self.misused() from e
        return [(letter[1:], value) for letter, value in found], rest

    def misused(self) -> Fatal:
        return Fatal(f"usage: {self.usage}", self.status)


def main_cf(folder: str) -> QuickSettings:
    """
    @param folder: what C{-c} says, or C{""}.
    @raise ConfigError: it cannot be read.
    """
    folder = folder or os.environ.get("MAIL_CONFIG") or DEFAULT_DIRECTORY
    return QuickSettings(os.path.join(os.path.abspath(folder), "main.cf"))


def write(text: str) -> None:
    """
    On standard output, whatever the locale.
    """
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))


def valid_queue_id(text: str) -> bool:
    """
    Whether this could be a queue id.
    """
    return text.replace("_", "a").isalnum() and text.isascii() and len(text) <= 64
