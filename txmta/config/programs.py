"""
The programs of master.cf: what becomes of each here.

Owns: which of Postfix's daemons are a part of something else here, which are
    not there, and what to do instead.
Knows nothing of: delivery agents, which plug-ins add to; settings.

Sources: Postfix's master(5) and the manual page of each daemon.

Errors: none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from txmta.config.declare import Status
from txmta.config.master_cf import Service

#: What can listen on type inet.
LISTENERS = ("smtpd", "postscreen")

#: Parameters of every service: they say how it is logged, and nothing else.
EVERYWHERE = ("syslog_name", "syslog_facility")


@dataclass(frozen=True)
class Fate:
    """
    What becomes of one service of master.cf.

    @ivar status: honoured: it is served, with C{-o} of its own; no-effect: its
        work is done, elsewhere; not-yet: it is not; refused: it cannot be.
    @ivar note: how, or what to do.
    @ivar stops: it refuses the start: without it mail would not be served that
        should, or be served otherwise.
    @ivar own: C{-o} counts.
    """

    status: Status
    note: str
    stops: bool = False
    own: bool = False


def _served(note: str) -> Fate:
    return Fate(Status.HONOURED, note, own=True)


def _function(note: str) -> Fate:
    return Fate(Status.NO_EFFECT, note)


def _absent(note: str, stops: bool = False) -> Fate:
    return Fate(Status.NOT_YET, note, stops)


_AGENT = _served("Delivers mail.")
_SMTPD = _served("Listens, and takes mail by SMTP.")

#: Programs that serve, or need not.
FATES: Mapping[str, Fate] = {
    "smtpd": _SMTPD,
    "pickup": _served("Takes mail that programs hand in."),
    "cleanup": _served(
        "A part of each that takes mail: of those whose cleanup_service_name "
        "names it, and its -o counts there."
    ),
    "qmgr": _served("The queue manager."),
    "oqmgr": _function("There is one queue manager, which schedules as qmgr does."),
    "nqmgr": _function("The old name of qmgr: there is one queue manager."),
    "trivial-rewrite": Fate(
        Status.NO_EFFECT, "A part of each process that needs addresses.", own=True
    ),
    "bounce": _function("A part of the queue manager."),
    "proxymap": _function(
        "A process of its own where some table needs one; tables are written by "
        "their owner."
    ),
    "tlsmgr": _function("Each process keeps its TLS sessions."),
    "verify": _function("Whoever verifies an address asks the queue manager."),
    "flush": _function("The deferred queue is looked through: no files are kept."),
    "showq": _function("The queue manager lists the queue."),
    "anvil": _function("The SMTP servers count clients themselves."),
    "scache": _function("Whoever makes connections keeps them."),
    "postlogd": _function("The log has a process of its own, or is a part of one."),
    "tlsproxy": _function("Only postscreen asks for it."),
    "dnsblog": _function("Only postscreen asks for it."),
    "postscreen": _served("Listens, tests clients; smtpd has those that pass."),
    "qmqpd": _absent("there is no QMQP server: nobody listens there"),
    "spawn": _absent(
        "it starts no programs yet: let another, such as systemd, listen at that "
        "socket for it"
    ),
    "nbdb_reindexd": _function("Berkeley DB files are not read."),
}

_NOBODY = _absent("smtpd alone listens on type inet: nobody listens there")
_PASS = _served("Takes the clients that postscreen lets pass.")
_OFF_THE_NET = _absent("smtpd listens on type inet only")


def fate(service: Service, agents: Collection[str]) -> Fate:
    """
    @param agents: programs that deliver mail.
    """
    program = service.program
    if program == "smtpd" and service.type != "inet":
        return _PASS if service.type == "pass" else _OFF_THE_NET
    if program == "postscreen" and service.type != "inet":
        return _OFF_THE_NET
    if program in agents:
        if service.type == "unix":
            return _AGENT
        return Fate(
            Status.REFUSED,
            f"{program} delivers mail and does not listen: write type unix"
            + (", or program smtpd" if program == "smtp" else ""),
            True,
        )
    found = FATES.get(program)
    if found is not None:
        on_the_net = service.type == "inet" and program not in LISTENERS
        return _NOBODY if on_the_net and found.status is not Status.NOT_YET else found
    what = "there is no such program here"
    if "/" in program:
        what = "programs of others are not started"
    return _absent(f"{what}: write one of ours, or remove the service")
