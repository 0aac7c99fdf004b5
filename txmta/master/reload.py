"""
Read the configuration anew, while the server runs.

Done by a child of a new fork server: so what was installed meanwhile counts,
nothing waits, and nothing that goes wrong there goes wrong here.

Owns: asking for it, and what cannot be changed without a stop.
Knows nothing of: how a configuration is read (L{txmta.build}), what is done
    with it (L{txmta.master.fleet}).

Errors: L{ConfigError<txmta.errors.ConfigError>} with all that is wrong.
"""

from __future__ import annotations

import os

from twisted.internet.defer import Deferred

from txmta.config.snapshot import Configuration, pack, read_result
from txmta.errors import ConfigError
from txmta.master.channel import channel_pair
from txmta.master.children import Child, how_it_ended
from txmta.master.forking import FdReactor, Forking
from txmta.master.given import sealed

#: The role of the child that reads it; gets a descriptor C{result}.
CHECK = "check"

_FIXED = ("queue_directory", "mail_owner", "process_model", "queue_store")


async def read_again(
    forking: Forking, reactor: FdReactor, old: Configuration, n: int
) -> Configuration:
    """
    @param forking: new, on its way; its C{lost} is used here.
    @param n: the number of the child.
    @raise ConfigError: the new configuration cannot be used.
    """
    result = os.memfd_create("result", os.MFD_CLOEXEC)
    try:
        child = await _checked(forking, reactor, old, n, result)
        kind = os.pread(result, 1, 0)
        how = how_it_ended(child)
        if child.status != 0 or not kind:
            raise ConfigError(
                child.fatal.splitlines() or [f"the configuration cannot be read: {how}"]
            )
        new = read_result(result)
    finally:
        os.close(result)
    problems = what_cannot_change(old, new)
    if problems:
        raise ConfigError(problems)
    return new


def what_cannot_change(old: Configuration, new: Configuration) -> list[str]:
    """
    @return: one line for each parameter that only counts at the start.
    """
    problems = []
    for name in _FIXED:
        before, now = old.settings.text(name), new.settings.text(name)
        if before != now:
            definition = new.settings.definitions.get(name)
            where = definition.where if definition else "default"
            problems.append(
                f"{where}: {name} = {now}: cannot change from {before} by a reload: "
                "stop and start"
            )
    return problems


def _checked(
    forking: Forking, reactor: FdReactor, old: Configuration, n: int, result: int
) -> Deferred[Child]:
    done: Deferred[Child] = Deferred(lambda _: forking.hang_up())

    def ended(child: Child) -> None:
        if not done.called:  # after a stop nobody waits for it
            done.callback(child)

    child = Child(CHECK, n, reactor, lambda child: None, ended)
    ours, theirs = channel_pair()
    child.open_channel(ours)
    settings = sealed(pack(old))
    given = {"settings": settings, "control": theirs.fileno(), "result": result}
    forking.fork(child, given)
    theirs.close()
    os.close(settings)
    return done
