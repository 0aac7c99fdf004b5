"""
C{python -m txmta.check MAIN_CF}: all that would stop a start, and start nothing.

Behind C{postfix check}, and C{postfix reload} before it asks the server.

Owns: which looks are taken. Directories that are missing are made, as
    C{postfix check} does.
Knows nothing of: a running server, but whether there is one.

Errors: one line each on standard error, C{severity: text}; exit status 1 if
any of them would stop a start.
"""

from __future__ import annotations

import argparse
import os
import pwd
import sys
from collections.abc import Callable, Iterator, Sequence

from txmta.build import Configuration, load
from txmta.config.place import with_place
from txmta.delivery.pipe_attributes import parse
from txmta.errors import ConfigError
from txmta.master.binding import bind_all, port_of
from txmta.master.directory import prepare_queue
from txmta.master.lock import QueueLock
from txmta.master.privileges import maildrop_group, server_account
from txmta.master.readable import check_readable, needed
from txmta.master.sockets import listens
from txmta.roles.log import log_target


def problems(configuration: Configuration) -> Sequence[str]:
    """
    @return: what would stop a start, though the files say nothing wrong.
    """
    settings = configuration.settings
    found: list[str] = []

    def look(step: Callable[[], object]) -> bool:
        try:
            step()
        except ConfigError as e:
            found.extend(with_place(each, settings) for each in e.problems)
            return False
        return True

    # Each by itself: all that is missing is named at once.
    accounts = look(lambda: server_account(settings))
    if not look(lambda: maildrop_group(settings)) or not accounts:
        return found
    account = server_account(settings)
    group = maildrop_group(settings)
    look(lambda: check_readable(needed(configuration.path), account))
    if look(lambda: prepare_queue(settings.queue_directory, account, group)):
        try:
            lock = QueueLock(settings.queue_directory)
        except ConfigError:
            return found  # it runs: its ports are its own
        if os.geteuid() == 0:
            lock.give(account.uid, account.gid)
        look(lambda: log_target(settings).close())
        look(lambda: _try_to_bind(configuration))
        lock.release()
    return found


def cautions(configuration: Configuration) -> Iterator[str]:
    """
    @return: accounts without which some mail would be deferred for ever.
    """
    settings = configuration.settings
    if os.geteuid() != 0:
        return
    for service in configuration.services:
        if service.program == "pipe":
            name = parse(service.arguments).user
            if not _exists(name):
                yield (
                    f"{service.where}: user={name}: there is no such account: make it "
                    f"(useradd --system {name}), or name another"
                )
    name = settings.default_privs
    if not any(service.program == "local" for service in configuration.services):
        return
    trouble = ""
    if not _exists(name):
        trouble = f"there is no such account: make it (useradd --system {name}), or"
    elif pwd.getpwnam(name).pw_uid == 0:
        trouble = "has the rights of root:"
    if trouble:
        problem = f"default_privs = {name}: {trouble} name an account that owns nothing"
        yield with_place(problem, settings)


def _exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _try_to_bind(configuration: Configuration) -> None:
    wanted = listens(configuration.services, configuration.settings, port_of)
    for bound in bind_all(wanted):
        bound.socket.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """
    @return: exit status.
    """
    parser = argparse.ArgumentParser(prog="txmta.check", description=__doc__)
    parser.add_argument("main_cf")
    parser.add_argument(
        "--files", action="store_true", help="main.cf, master.cf and tables only"
    )
    options = parser.parse_args(arguments)
    try:
        configuration = load(options.main_cf, starts=False)
    except ConfigError as e:
        return _say((), e.problems)
    found = () if options.files else problems(configuration)
    return _say([*configuration.warnings, *cautions(configuration)], found)


def _say(warnings: Sequence[str], errors: Sequence[str]) -> int:
    for severity, texts in (("warning", warnings), ("fatal", errors)):
        for text in texts:
            print(f"{severity}: {text}", file=sys.stderr)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
