"""
Confine the process that serves a role.

Owns: from the configuration to one call.
Knows nothing of: what a role does.

Sources: Postfix: C{master/single_server.c} (chroot before privileges are
    given up, and after everything is opened).

Errors: L{ConfigError<txmta.errors.ConfigError>}: the process must end.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from txmta.config.master_cf import Service
from txmta.config.snapshot import Configuration
from txmta.errors import ConfigError
from txmta.master.binding import port_of
from txmta.master.confine import Confinement, confine
from txmta.master.preload import warm_up
from txmta.master.privileges import maildrop_group, server_account
from txmta.master.profiles import PROFILES, confinement, in_jail

#: Programs of master.cf that are not the smtp role's; all others are its,
#: above all those of plug-ins.
_PROGRAMS = {
    "smtpd": ("smtpd", "postscreen"),
    "qmgr": ("qmgr",),
    "pickup": ("pickup",),
    "proxymap": ("proxymap",),
    "log": ("postlogd",),
    "local": ("local", "virtual", "pipe"),
    # done within the others, or not at all
    "": (
        *("anvil", "bounce", "cleanup", "discard", "dnsblog", "error", "flush"),
        *("proxywrite", "qmqpd", "scache", "showq", "spawn", "tlsmgr"),
        *("tlsproxy", "trivial-rewrite", "verify"),
    ),
}

#: What is looked at again while the process runs, and must be in a jail, too.
JAIL_FILES = ("/etc/resolv.conf", "/etc/hosts")


def served(role: str, services: Sequence[Service]) -> Sequence[Service]:
    """
    @return: the services of master.cf that a role serves.
    """
    if role == "smtp":
        others = {program for programs in _PROGRAMS.values() for program in programs}
        return [s for s in services if s.type == "unix" and s.program not in others]
    return [s for s in services if s.program in _PROGRAMS.get(role, ())]


def jailed(role: str, services: Sequence[Service]) -> bool:
    """
    @return: does master.cf want a jail for the process of a role?
    """
    found = served(role, services)
    return PROFILES[role].chroot and any(service.chroot for service in found)


def wanted(role: str, configuration: Configuration) -> Confinement:
    """
    @return: what the role may have, on this machine, with this configuration.
    """
    settings = configuration.settings
    services = served(role, configuration.services)
    account = server_account(settings)
    if role == "pickup":
        account = account.joined(maildrop_group(settings))
    return confinement(role, settings, services, account, port_of)


def as_seen(role: str, configuration: Configuration) -> Configuration:
    """
    @return: what the role is to be made from: inside a jail, the queue is the
        root.
    """
    if not jailed(role, configuration.services):
        return configuration
    jail = wanted(role, configuration).chroot
    queue = {"queue_directory": in_jail(configuration.settings.queue_directory, jail)}
    settings = configuration.settings.override(queue, "chroot")
    return replace(configuration, settings=settings)


def confine_role(role: str, configuration: Configuration) -> Sequence[str]:
    """
    Call it when the role is made and its sockets are there, before anything is
    opened in the queue and before the first thread.

    @param configuration: as it is outside a jail.
    @return: what the kernel lacks, for the log.
    @raise ConfigError: the process must end.
    """
    warm_up()
    parent = os.getppid()
    if parent == 1:
        raise ConfigError(["the parent has ended"])
    found = wanted(role, configuration)
    missing = [
        f"chroot: {found.chroot}{name} is missing: copy {name} there"
        for name in JAIL_FILES
        if found.chroot
        and found.network.internet
        and not os.path.exists(f"{found.chroot}{name}")
    ]
    return [*missing, *confine(replace(found, parent=parent))]
