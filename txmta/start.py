"""
How the server starts, up to its first role, and how a start fails.

Owns: the order of things at start and at stop; where the configuration is read.
Knows nothing of: how a configuration is read (L{txmta.build}), what roles do.

Order at start: configuration read and checked whole (L{read}, before twistd
becomes a daemon); queue directory, lock, log, sockets, and root's rights given
away (C{privilegedStartService}); store, queue manager, SMTP server
(C{startService}). At stop the other way round: no new sessions, sessions and
deliveries finish within a limit, everything is written down.

Errors: L{ConfigError<txmta.errors.ConfigError>} from L{read}; later ones end
the process with one line each and exit status 1.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn, TextIO

from twisted.application.service import IService

from txmta.config.place import with_place
from txmta.config.settings import Settings
from txmta.config.snapshot import Configuration, read_result, write_result
from txmta.errors import ConfigError

if TYPE_CHECKING:
    from txmta.roles.shared import Reactor


class StartFailed(Exception):
    """
    The server cannot start, and has said why.
    """


def read(path: str, allow_not_yet: bool) -> Configuration:
    """
    As L{load<txmta.build.load>}. Where the server will be of several processes,
    it is done in one that ends then: master lives long, and has no use for what
    must be loaded to check everything.
    """
    if os.geteuid() == 0:
        return _read_apart(path, allow_not_yet)
    from txmta.build import load

    return load(path, allow_not_yet)


def _read_apart(path: str, allow_not_yet: bool) -> Configuration:
    result = os.memfd_create("configuration", os.MFD_CLOEXEC)
    try:
        # twistd has no thread yet.
        child = os.fork()
        if not child:
            _read_and_end(path, allow_not_yet, result)
        _, status = os.waitpid(child, 0)
        if status:
            raise ConfigError([f"{path}: cannot be read: {_ended(status)}"])
        found = read_result(result)
        return replace(found, path=path)
    finally:
        os.close(result)


def _read_and_end(path: str, allow_not_yet: bool, result: int) -> NoReturn:
    status = 1
    try:
        from txmta.build import load

        try:
            write_result(result, load(path, allow_not_yet))
        except ConfigError as e:
            write_result(result, e.problems)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _ended(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"killed by signal {-code}" if code < 0 else "see above"


def say_fatal(problems: Iterable[str]) -> None:
    """
    One line each on standard error: our own, as long as we have one, and not
    what twistd has made of it, which goes to its log.
    """
    ours: TextIO | None = sys.stderr if _detached() else sys.__stderr__
    for problem in problems:
        print(f"txmta: fatal: {problem}", file=ours, flush=True)


def _detached() -> bool:
    """
    Whether twistd has made a daemon of us.
    """
    return sys.__stderr__ is None or os.path.samestat(os.fstat(2), os.stat(os.devnull))


def end_start(error: ConfigError, settings: Settings) -> NoReturn:
    """
    The server cannot start.
    """
    problems = [with_place(each, settings) for each in error.problems]
    say_fatal(problems)
    if _detached():
        # The twistd that waits for us hears of no other end, and shows the
        # first words.
        raise StartFailed(problems[0])
    raise SystemExit(1)


def make_service(
    configuration: Configuration, reactor: Reactor, now: Callable[[], float]
) -> IService:
    """
    @param reactor: its C{seconds()} must be monotonic.
    @param now: wall time.
    """
    if configuration.settings.several_processes:
        from txmta.multi import make_master

        return make_master(configuration, reactor, now)
    from txmta.single import Server

    return Server(configuration, reactor, now)
